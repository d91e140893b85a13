/* octet compare: how far every layer of a model is from the same layer of another. */
#include "border.h"
#include "commands.h"
#include "common.h"
#include "metrics.h"
#include "report.h"
#include "samples.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Settings {
    TextList operands;
    GeneralOptions general;
    RunOptions run;
    PreprocessOptions preprocess;
    DataOptions data;
    const char *path;
    int64_t worst;
} Settings;

/* A value that both models have, by its name. */
typedef struct Layer {
    const char *value;
    const OctetNode *node; /* of the second model */
    const OctetValue *first, *second;
    Similarity similarity;
    float *kept; /* the first model's values of the current batch */
    int64_t kept_count, kept_capacity;
} Layer;

typedef struct Job {
    const Settings *settings;
    OctetThreadPool *pool;
    OctetGraph *graphs[2];
    OctetSession *sessions[2];
    const OctetTensor **outputs[2];
    Samples *samples;
    Layer *layers;
    size_t layer_count;
    int64_t n;
} Job;

static void release(Job *job) {
    samples_close(job->samples);
    for (int side = 0; side < 2; side++) {
        octet_session_free(job->sessions[side]);
        octet_graph_free(job->graphs[side]);
        free(job->outputs[side]);
    }
    for (size_t i = 0; i < job->layer_count; i++) {
        free(job->layers[i].kept);
    }
    free(job->layers);
    octet_thread_pool_free(job->pool);
}

/* Layers that only pass on what another one made would repeat its numbers. */
static bool moves_data(const OctetNode *node) {
    static const char *const types[] = {"Reshape", "Flatten",   "Squeeze",  "Unsqueeze", "Identity",
                                        "Dropout", "Transpose", "Constant", "Shape",     "Cast"};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++) {
        if (strcmp(octet_node_op_type(node), types[i]) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_real(const OctetValue *value) {
    return octet_value_qparams(value) || octet_value_dtype(value) == OCTET_F32;
}

static void find_layers(Job *job) {
    const OctetGraph *second = job->graphs[1];
    size_t nodes = octet_graph_node_count(second);
    size_t capacity = 0;
    for (size_t i = 0; i < nodes; i++) {
        capacity += octet_node_output_count(octet_graph_node_at(second, i));
    }
    job->layers = checked_calloc(capacity, sizeof(*job->layers));
    for (size_t i = 0; i < nodes; i++) {
        const OctetNode *node = octet_graph_node_at(second, i);
        for (size_t k = 0; !moves_data(node) && k < octet_node_output_count(node); k++) {
            const OctetValue *value = octet_node_output(node, k);
            const OctetValue *other =
                value ? octet_graph_find_value(job->graphs[0], octet_value_name(value)) : NULL;
            /* shapes and indices are integers, and either right or wrong */
            bool real = other && is_real(value) && is_real(other);
            if (real && !octet_value_tensor(other)) {
                job->layers[job->layer_count++] = (Layer){.value = octet_value_name(value),
                                                          .node = node,
                                                          .first = other,
                                                          .second = value};
            }
        }
    }
}

static Layer *layer_of(Job *job, const OctetValue *value) {
    for (size_t i = 0; i < job->layer_count; i++) {
        if (job->layers[i].first == value || job->layers[i].second == value) {
            return &job->layers[i];
        }
    }
    return NULL;
}

static bool is_layer(void *user, const OctetValue *value) {
    return layer_of(user, value) != NULL;
}

static OctetStatus keep(void *user, const OctetValue *value, const OctetTensor *tensor) {
    Layer *layer = layer_of(user, value);
    OctetTensor *made = NULL;
    const float *values = NULL;
    int64_t count = 0;
    OctetStatus status = tensor_floats(tensor, &values, &count, &made, NULL);
    if (status == OCTET_OK && layer) {
        if (count > layer->kept_capacity) {
            free(layer->kept);
            layer->kept = checked_calloc((size_t)count, sizeof(float));
            layer->kept_capacity = count;
        }
        if (count > 0) {
            memcpy(layer->kept, values, (size_t)count * sizeof(float));
        }
        layer->kept_count = count;
    }
    octet_tensor_free(made);
    return status;
}

static OctetStatus compare_layer(void *user, const OctetValue *value, const OctetTensor *tensor) {
    Layer *layer = layer_of(user, value);
    OctetTensor *made = NULL;
    const float *values = NULL;
    int64_t count = 0;
    OctetStatus status = tensor_floats(tensor, &values, &count, &made, NULL);
    if (status == OCTET_OK && layer && count == layer->kept_count) {
        similarity_add(&layer->similarity, layer->kept, values, count);
    }
    octet_tensor_free(made);
    return status;
}

static OctetStatus open_models(Job *job, OctetDiagnostic *diagnostic) {
    const Settings *settings = job->settings;
    OctetStatus status = pool_create(&settings->run, &job->pool, diagnostic);
    for (int side = 0; status == OCTET_OK && side < 2; side++) {
        status = model_load(settings->operands.items[side], &job->graphs[side], diagnostic);
    }
    if (status != OCTET_OK) {
        return status;
    }
    find_layers(job);
    if (job->layer_count == 0) {
        return fail(diagnostic, OCTET_ERROR_SHAPE, settings->operands.items[1],
                    "no value has the same name as in the other model: are they two forms of one "
                    "network?");
    }
    for (int side = 0; status == OCTET_OK && side < 2; side++) {
        OctetSessionOptions options = {.pool = job->pool,
                                       .requantize = run_requantize(&settings->run),
                                       .observe = side == 0 ? keep : compare_layer,
                                       .observe_filter = is_layer,
                                       .observe_user = job};
        size_t outputs = octet_graph_output_count(job->graphs[side]);
        job->outputs[side] = checked_calloc(outputs, sizeof(*job->outputs[side]));
        status =
            octet_session_create(job->graphs[side], &options, &job->sessions[side], diagnostic);
    }
    return status;
}

static OctetStatus compare_batch(Job *job, const Batch *batch, OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    for (int side = 0; status == OCTET_OK && side < 2; side++) {
        status =
            border_run(job->sessions[side], job->graphs[side],
                       (const OctetTensor *const *)batch->inputs, batch->input_count,
                       job->outputs[side], octet_graph_output_count(job->graphs[side]), diagnostic);
    }
    job->n += batch->count;
    return status;
}

static OctetStatus compare_all(Job *job, OctetDiagnostic *diagnostic) {
    OctetStatus status = open_models(job, diagnostic);
    if (status != OCTET_OK) {
        return status;
    }
    const char *stored = octet_graph_metadata(job->graphs[1], PREPROCESS_KEY);
    if (!stored) {
        stored = octet_graph_metadata(job->graphs[0], PREPROCESS_KEY);
    }
    SamplesOptions options = {.path = job->settings->path,
                              .data = &job->settings->data,
                              .preprocess = &job->settings->preprocess,
                              .stored = stored,
                              .prefetch = true};
    status = samples_open(job->graphs[0], &options, &job->samples, diagnostic);
    if (status != OCTET_OK) {
        return status;
    }
    progress_start("comparing:", samples_count(job->samples));
    for (;;) {
        Batch batch;
        status = samples_next(job->samples, &batch, diagnostic);
        if (status != OCTET_OK || !batch.inputs) {
            break;
        }
        status = compare_batch(job, &batch, diagnostic);
        progress_step(batch.visited);
        batch_release(&batch);
        if (status != OCTET_OK) {
            break;
        }
    }
    progress_end();
    if (status == OCTET_OK && job->n == 0) {
        status = fail(diagnostic, OCTET_ERROR_FORMAT, job->settings->path,
                      "none of the samples could be read");
    }
    return status;
}

/* Values that a run computes while it plans, such as constants, are never seen. */
static void drop_unseen(Job *job) {
    size_t kept = 0;
    for (size_t i = 0; i < job->layer_count; i++) {
        if (job->layers[i].similarity.count > 0) {
            job->layers[kept++] = job->layers[i];
        } else {
            free(job->layers[i].kept);
        }
    }
    job->layer_count = kept;
}

/* The lowest ratio first; not-a-number counts as worse than any. */
static int worse_first(const void *left, const void *right) {
    double a = similarity_sqnr(&((const Layer *)left)->similarity);
    double b = similarity_sqnr(&((const Layer *)right)->similarity);
    if (isnan(a) || isnan(b)) {
        return isnan(b) - isnan(a);
    }
    return (a > b) - (a < b);
}

static void print_json(const Job *job, size_t shown) {
    json_t *object = json_new_object();
    json_t *layers = json_new_array();
    for (size_t i = 0; i < shown; i++) {
        const Layer *layer = &job->layers[i];
        json_t *entry = json_new_object();
        json_add(entry, "name", json_text(octet_node_name(layer->node)));
        json_add(entry, "op_type", json_text(octet_node_op_type(layer->node)));
        json_add(entry, "value", json_text(layer->value));
        json_add(entry, "int8", json_boolean(node_in_int8(layer->node)));
        json_add(entry, "sqnr_db", json_number(similarity_sqnr(&layer->similarity)));
        json_add(entry, "cosine", json_number(similarity_cosine(&layer->similarity)));
        json_push(layers, entry);
    }
    json_add(object, "n", json_integer(job->n));
    json_add(object, "skipped", json_integer(samples_skipped(job->samples)));
    json_add(object, "layers", layers);
    json_print(object);
}

static void print_text(const Job *job, size_t shown) {
    char decibels[32];
    int width = 5;
    for (size_t i = 0; i < shown; i++) {
        int length = (int)strlen(octet_node_name(job->layers[i].node));
        width = length > width && length <= 48 ? length : width;
    }
    printf("%-*s  %-18s  %-5s  %8s  %9s\n", width, "layer", "operator", "", "SQNR dB", "cosine");
    for (size_t i = 0; i < shown; i++) {
        const Layer *layer = &job->layers[i];
        printf("%-*s  %-18s  %-5s  %8s  %9.6f\n", width, octet_node_name(layer->node),
               octet_node_op_type(layer->node), node_in_int8(layer->node) ? "int8" : "float",
               format_decibels(similarity_sqnr(&layer->similarity), decibels, sizeof decibels),
               similarity_cosine(&layer->similarity));
    }
    printf("%zu of %zu layers, worst first; %lld samples\n", shown, job->layer_count,
           (long long)job->n);
}

static int run_compare(const void *given) {
    const Settings *settings = given;
    if (!settings->path) {
        return usage_error("compare", "--data DATA is needed");
    }
    int code = preprocess_check("compare", &settings->preprocess);
    if (code != 0) {
        return code;
    }
    report_set_quiet(settings->general.quiet);
    OctetDiagnostic diagnostic = {0};
    Job job = {.settings = settings};
    if (compare_all(&job, &diagnostic) != OCTET_OK) {
        code = report_failure(&diagnostic);
    } else {
        drop_unseen(&job);
        size_t shown = job.layer_count;
        if (settings->worst > 0 && (size_t)settings->worst < shown) {
            shown = (size_t)settings->worst;
        }
        qsort(job.layers, job.layer_count, sizeof(*job.layers), worse_first);
        if (settings->general.json) {
            print_json(&job, shown);
        } else {
            print_text(&job, shown);
        }
    }
    release(&job);
    return code;
}

static const Option options[] = {
    {"data", OPTION_TEXT, offsetof(Settings, path), "DATA",
     "The samples: the same kinds as --calib of octet quantize.", NULL},
    {"worst", OPTION_COUNT, offsetof(Settings, worst), "N", "Show only the N worst layers.", NULL},
    {0},
};

static const OptionGroup groups[] = {
    {"Options", options, 0},
    {"Data", data_options, offsetof(Settings, data)},
    {"Preprocessing", preprocess_options, offsetof(Settings, preprocess)},
    {"Running", run_options, offsetof(Settings, run)},
    {"Output", general_options, offsetof(Settings, general)},
    {0},
};

const Command compare_command = {
    .name = "compare",
    .summary = "Compare every layer of two forms of a network, the worst first.",
    .usage = "A.onnx B.onnx --data DATA [options]",
    .description =
        "Runs both models on the samples and compares the values of the same name, layer by "
        "layer: signal-to-noise ratio (SQNR, in decibels, A being the signal) and cosine. Each "
        "layer's error includes what the layers before it added. The layers at the top are those "
        "to look at, for example with octet quantize --skip.",
    .examples = "  octet compare float.onnx int8.onnx --data images.npy --samples 20\n"
                "  octet compare float.onnx int8.onnx --data photos/ --worst 10 --json\n",
    .groups = groups,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .operands_least = 2,
    .operands_most = 2,
    .run = run_compare,
};
