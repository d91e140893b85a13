/* octet eval: accuracy on labeled samples, agreement with another model, time. */
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
    const char *path, *labels, *against;
} Settings;

/* One of the two models. */
typedef struct Side {
    OctetGraph *graph;
    OctetSession *session;
    const OctetTensor **outputs;
    size_t output_count;
    double seconds;
} Side;

typedef struct Job {
    const Settings *settings;
    OctetThreadPool *pool;
    Side model, against;
    Samples *samples;
    OctetLabels *labels;
    Similarity similarity;
    bool reference_is_against;
    bool classifies; /* the first output holds scores of classes */
    int64_t n, top1, top5, agreeing, against_top1;
} Job;

static void release_side(Side *side) {
    octet_session_free(side->session);
    octet_graph_free(side->graph);
    free(side->outputs);
}

static void release(Job *job) {
    samples_close(job->samples);
    octet_labels_free(job->labels);
    release_side(&job->model);
    release_side(&job->against);
    octet_thread_pool_free(job->pool);
}

static OctetStatus open_side(const Job *job, const char *path, Side *side,
                             OctetDiagnostic *diagnostic) {
    OctetStatus status = model_load(path, &side->graph, diagnostic);
    if (status != OCTET_OK) {
        return status;
    }
    side->output_count = octet_graph_output_count(side->graph);
    side->outputs = checked_calloc(side->output_count, sizeof(*side->outputs));
    OctetSessionOptions options = {.pool = job->pool,
                                   .limits = run_limits(),
                                   .requantize = run_requantize(&job->settings->run)};
    return octet_session_create(side->graph, &options, &side->session, diagnostic);
}

static OctetStatus run_side(Side *side, const OctetTensor *const *inputs, size_t count,
                            OctetDiagnostic *diagnostic) {
    double started = seconds_now();
    OctetStatus status = border_run(side->session, side->graph, inputs, count, side->outputs,
                                    side->output_count, diagnostic);
    side->seconds += seconds_now() - started;
    return status;
}

/* The other model's inputs are found by name, else by place. */
static OctetStatus run_against(Job *job, const Batch *batch, OctetDiagnostic *diagnostic) {
    size_t count = octet_graph_input_count(job->against.graph);
    if (count != batch->input_count) {
        return fail(diagnostic, OCTET_ERROR_SHAPE, job->settings->against,
                    "the model has %zu inputs, the other one %zu", count, batch->input_count);
    }
    const OctetTensor **inputs = checked_calloc(count, sizeof(*inputs));
    for (size_t i = 0; i < count; i++) {
        const char *name = octet_value_name(octet_graph_input_at(job->against.graph, i));
        inputs[i] = batch->inputs[i];
        for (size_t k = 0; k < count; k++) {
            if (strcmp(name, octet_value_name(octet_graph_input_at(job->model.graph, k))) == 0) {
                inputs[i] = batch->inputs[k];
            }
        }
    }
    OctetStatus status = run_side(&job->against, inputs, count, diagnostic);
    free(inputs);
    return status;
}

static OctetStatus count_classes(Job *job, const Batch *batch, const float *values,
                                 const float *other, int64_t classes, OctetDiagnostic *diagnostic) {
    for (int64_t i = 0; i < batch->count; i++) {
        const float *scores = values + i * classes;
        int64_t winner = arg_max(scores, classes);
        int64_t other_winner = other ? arg_max(other + i * classes, classes) : -1;
        job->agreeing += winner == other_winner;
        if (!job->labels) {
            continue;
        }
        int64_t label, best[5];
        int64_t item = batch->items[i];
        const char *name = samples_name(job->samples, item);
        if (!octet_labels_find(job->labels, name, item, &label)) {
            return fail(diagnostic, OCTET_ERROR_FORMAT, job->settings->labels,
                        "there is no label for sample %lld%s%s", (long long)item, name ? ", " : "",
                        name ? name : "");
        }
        if (label >= classes) {
            return fail(diagnostic, OCTET_ERROR_FORMAT, job->settings->labels,
                        "class %lld of sample %lld: the model's first output has %lld classes",
                        (long long)label, (long long)item, (long long)classes);
        }
        int64_t found = top_values(scores, classes, 5, best);
        for (int64_t k = 0; k < found; k++) {
            job->top5 += best[k] == label;
        }
        job->top1 += winner == label;
        job->against_top1 += other_winner == label;
    }
    return OCTET_OK;
}

/* One output of both models. The first one holds the classes. */
static OctetStatus compare_output(Job *job, const Batch *batch, size_t index, int64_t batch_size,
                                  OctetDiagnostic *diagnostic) {
    OctetTensor *made = NULL, *other_made = NULL;
    const float *values = NULL, *other = NULL;
    int64_t count = 0, other_count = 0;
    OctetStatus status = border_floats(job->model.graph, index, job->model.outputs[index], &values,
                                       &count, &made, diagnostic);
    if (status == OCTET_OK && job->against.session) {
        status = border_floats(job->against.graph, index, job->against.outputs[index], &other,
                               &other_count, &other_made, diagnostic);
        if (status == OCTET_OK && other_count != count) {
            status = fail(diagnostic, OCTET_ERROR_SHAPE, job->settings->against,
                          "output %zu has %lld values, the other model's %lld", index,
                          (long long)other_count, (long long)count);
        }
    }
    if (status == OCTET_OK) {
        int64_t each = count / batch_size;
        if (other && job->reference_is_against) {
            similarity_add(&job->similarity, other, values, each * batch->count);
        } else if (other) {
            similarity_add(&job->similarity, values, other, each * batch->count);
        }
        job->classifies = index > 0 ? job->classifies : is_scores(&job->model.outputs[0]->shape);
        if (index == 0 && job->labels && !job->classifies) {
            status = fail(diagnostic, OCTET_ERROR_SHAPE, job->settings->operands.items[0],
                          "the first output holds no scores of classes to compare with labels");
        } else if (index == 0 && job->classifies) {
            status = count_classes(job, batch, values, other, each, diagnostic);
        }
    }
    octet_tensor_free(made);
    octet_tensor_free(other_made);
    return status;
}

static OctetStatus evaluate_batch(Job *job, const Batch *batch, OctetDiagnostic *diagnostic) {
    OctetStatus status = run_side(&job->model, (const OctetTensor *const *)batch->inputs,
                                  batch->input_count, diagnostic);
    if (status == OCTET_OK && job->against.session) {
        status = run_against(job, batch, diagnostic);
    }
    const OctetShape *shape = &batch->inputs[0]->shape;
    /* a model with a fixed batch gets the last sample again where the data ends */
    int64_t batch_size = batch->count > 1 || shape->rank > 1 ? shape->dims[0] : 1;
    batch_size = batch_size > 0 ? batch_size : 1;
    for (size_t i = 0; status == OCTET_OK && i < job->model.output_count; i++) {
        status = compare_output(job, batch, i, batch_size, diagnostic);
    }
    job->n += batch->count;
    return status;
}

/* Lines that name their files may be about more than this data; others are most likely another
 * file's if there are too many. */
static OctetStatus check_label_count(const Job *job, OctetDiagnostic *diagnostic) {
    int64_t labels = octet_labels_count(job->labels), samples = samples_count(job->samples);
    if (labels < samples) {
        return fail(diagnostic, OCTET_ERROR_FORMAT, job->settings->labels,
                    "%lld labels for %lld samples", (long long)labels, (long long)samples);
    }
    if (labels > samples && !octet_labels_named(job->labels)) {
        return fail(
            diagnostic, OCTET_ERROR_FORMAT, job->settings->labels,
            "%lld labels for %lld samples; if the first ones are theirs, say --samples %lld",
            (long long)labels, (long long)samples, (long long)samples);
    }
    return OCTET_OK;
}

static OctetStatus open_data(Job *job, OctetDiagnostic *diagnostic) {
    const Settings *settings = job->settings;
    const char *stored = octet_graph_metadata(job->model.graph, PREPROCESS_KEY);
    if (!stored && job->against.graph) {
        stored = octet_graph_metadata(job->against.graph, PREPROCESS_KEY);
    }
    SamplesOptions options = {.path = settings->path,
                              .data = &settings->data,
                              .preprocess = &settings->preprocess,
                              .stored = stored,
                              .prefetch = true};
    OctetStatus status = samples_open(job->model.graph, &options, &job->samples, diagnostic);
    if (status == OCTET_OK && settings->labels) {
        status = octet_labels_read(settings->labels, &job->labels, diagnostic);
    }
    return status == OCTET_OK && job->labels && settings->data.samples == 0
               ? check_label_count(job, diagnostic)
               : status;
}

static OctetStatus open_models(Job *job, OctetDiagnostic *diagnostic) {
    const Settings *settings = job->settings;
    OctetStatus status = pool_create(&settings->run, &job->pool, diagnostic);
    if (status == OCTET_OK) {
        status = open_side(job, settings->operands.items[0], &job->model, diagnostic);
    }
    if (status == OCTET_OK && settings->against) {
        status = open_side(job, settings->against, &job->against, diagnostic);
        if (status == OCTET_OK && job->against.output_count != job->model.output_count) {
            status = fail(diagnostic, OCTET_ERROR_SHAPE, settings->against,
                          "the model has %zu outputs, the other one %zu", job->against.output_count,
                          job->model.output_count);
        }
    }
    /* the float model is what the noise is measured against; of two alike, the other one */
    job->reference_is_against =
        job->against.graph && (octet_graph_is_quantized(job->model.graph) ||
                               !octet_graph_is_quantized(job->against.graph));
    return status;
}

static OctetStatus evaluate(Job *job, OctetDiagnostic *diagnostic) {
    OctetStatus status = open_models(job, diagnostic);
    if (status == OCTET_OK) {
        status = open_data(job, diagnostic);
    }
    if (status != OCTET_OK) {
        return status;
    }
    progress_start("evaluating:", samples_count(job->samples));
    for (;;) {
        Batch batch;
        status = samples_next(job->samples, &batch, diagnostic);
        if (status != OCTET_OK || !batch.inputs) {
            break;
        }
        status = evaluate_batch(job, &batch, diagnostic);
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

static double share(int64_t part, int64_t whole) {
    return (double)part / (double)whole;
}

static void print_json(const Job *job) {
    json_t *object = json_new_object();
    bool other = job->against.session != NULL;
    json_add(object, "n", json_integer(job->n));
    json_add(object, "skipped", json_integer(samples_skipped(job->samples)));
    json_add(object, "top1", json_number(job->labels ? share(job->top1, job->n) : NAN));
    json_add(object, "top5", json_number(job->labels ? share(job->top5, job->n) : NAN));
    json_add(object, "agreement",
             json_number(other && job->classifies ? share(job->agreeing, job->n) : NAN));
    json_add(object, "sqnr_db", json_number(other ? similarity_sqnr(&job->similarity) : NAN));
    json_add(object, "ms_per_sample", json_number(1e3 * job->model.seconds / (double)job->n));
    json_add(object, "against_top1",
             json_number(other && job->labels ? share(job->against_top1, job->n) : NAN));
    json_add(object, "against_ms_per_sample",
             json_number(other ? 1e3 * job->against.seconds / (double)job->n : NAN));
    json_print(object);
}

static void print_text(const Job *job) {
    char decibels[32];
    int64_t skipped = samples_skipped(job->samples);
    printf("samples        %lld", (long long)job->n);
    if (skipped > 0) {
        printf(" (%lld unreadable ones skipped)", (long long)skipped);
    }
    putchar('\n');
    if (job->labels) {
        printf("top-1          %.4f", share(job->top1, job->n));
        if (job->against.session) {
            printf("  (the other model: %.4f)", share(job->against_top1, job->n));
        }
        printf("\ntop-5          %.4f\n", share(job->top5, job->n));
    }
    if (job->against.session && job->classifies) {
        printf("agreement      %.4f\n", share(job->agreeing, job->n));
    }
    if (job->against.session) {
        printf("SQNR           %s dB\n",
               format_decibels(similarity_sqnr(&job->similarity), decibels, sizeof decibels));
    }
    printf("time           %.3g ms a sample", 1e3 * job->model.seconds / (double)job->n);
    if (job->against.session) {
        printf("  (the other model: %.3g ms)", 1e3 * job->against.seconds / (double)job->n);
    }
    putchar('\n');
}

static int run_eval(const void *given) {
    const Settings *settings = given;
    if (!settings->path) {
        return usage_error("eval", "--data DATA is needed");
    }
    if (!settings->labels && !settings->against) {
        return usage_error("eval", "--labels FILE or --against OTHER.onnx is needed");
    }
    int code = preprocess_check("eval", &settings->preprocess);
    if (code != 0) {
        return code;
    }
    report_set_quiet(settings->general.quiet);
    report_set_json(settings->general.json);
    OctetDiagnostic diagnostic = {0};
    Job job = {.settings = settings};
    if (evaluate(&job, &diagnostic) != OCTET_OK) {
        code = report_failure(&diagnostic);
    } else if (settings->general.json) {
        print_json(&job);
    } else {
        print_text(&job);
    }
    release(&job);
    return code;
}

static const Option options[] = {
    {"data", OPTION_TEXT, offsetof(Settings, path), "DATA",
     "The samples: the same kinds as --calib of octet quantize.", NULL},
    {"labels", OPTION_TEXT, offsetof(Settings, labels), "FILE",
     "The true classes: 'class' or 'file class' a line, counted from 0.", NULL},
    {"against", OPTION_TEXT, offsetof(Settings, against), "OTHER.onnx",
     "Another model to compare with, usually the float one.", NULL},
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

const Command eval_command = {
    .name = "eval",
    .summary = "Measure a model's accuracy, and how far it is from another one.",
    .usage = "MODEL.onnx --data DATA --labels FILE [--against OTHER.onnx] [options]",
    .description =
        "Prints the shares of samples whose true class the model ranks first (top-1) and among "
        "its first five (top-5). With --against also the share of samples for which both models "
        "rank the same class first (agreement), and the signal-to-noise ratio over all outputs "
        "(SQNR, in decibels), the float model being the signal. Classes are read from the first "
        "output. JSON keys: n, top1, top5, agreement, sqnr_db, ms_per_sample.",
    .examples = "  octet eval int8.onnx --data photos/ --labels labels.txt --against float.onnx\n"
                "  octet eval net.onnx --data x.npy --labels y.txt --divide 255 --json\n"
                "  octet eval int8.onnx --data x.npz --against float.onnx\n",
    .groups = groups,
    .takes_model = true,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .operands_least = 1,
    .operands_most = 1,
    .run = run_eval,
};
