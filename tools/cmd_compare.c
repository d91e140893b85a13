/* octet compare: how far every layer of a model is from the same layer of another. */
#include "border.h"
#include "commands.h"
#include "compare.h"
#include "report.h"

typedef struct Settings {
    TextList operands;
    GeneralOptions general;
    RunOptions run;
    PreprocessOptions preprocess;
    DataOptions data;
    const char *path;
    int64_t worst, output_samples;
} Settings;

enum { OUTPUT_SAMPLES = 4 };

static bool is_kept(void *user, const OctetValue *value) {
    const Compare *compare = user;
    for (size_t i = 0; i < compare->kept_count; i++) {
        if (compare->kept[i].value == value) {
            return true;
        }
    }
    return false;
}

static OctetStatus keep_tensor(Compare *compare, const OctetValue *value,
                               const OctetTensor *tensor) {
    for (size_t i = 0; i < compare->kept_count; i++) {
        Kept *kept = &compare->kept[i];
        if (kept->value == value) {
            octet_tensor_free(kept->tensor);
            kept->tensor = NULL;
            return tensor->qparams.dtype != OCTET_DTYPE_NONE
                       ? octet_dequantize(tensor, &kept->tensor, NULL)
                       : octet_tensor_copy(tensor, &kept->tensor, NULL);
        }
    }
    return OCTET_OK;
}

static OctetStatus observe_first(void *user, const OctetValue *value, const OctetTensor *tensor) {
    return keep_tensor(user, value, tensor);
}

static Layer *layer_of(const Compare *compare, const OctetValue *value) {
    for (size_t i = 0; i < compare->layer_count; i++) {
        if (compare->layers[i].second == value) {
            return &compare->layers[i];
        }
    }
    return NULL;
}

static bool is_layer(void *user, const OctetValue *value) {
    return layer_of(user, value) != NULL;
}

static OctetStatus observe_second(void *user, const OctetValue *value, const OctetTensor *tensor) {
    Layer *layer = layer_of(user, value);
    const OctetTensor *reference = layer ? compare_kept(user, layer->first) : NULL;
    return reference ? compare_loss(layer, reference, tensor, &layer->total) : OCTET_OK;
}

static OctetStatus open_models(Compare *compare, const Settings *settings,
                               OctetDiagnostic *diagnostic) {
    OctetStatus status = pool_create(&settings->run, &compare->pool, diagnostic);
    for (int side = 0; status == OCTET_OK && side < 2; side++) {
        status = model_load(settings->operands.items[side], &compare->graphs[side], diagnostic);
    }
    if (status != OCTET_OK) {
        return status;
    }
    compare_find_layers(compare);
    if (compare->layer_count == 0) {
        return fail(diagnostic, OCTET_ERROR_SHAPE, settings->operands.items[1],
                    "no value has the same name as in the other model: are they two forms of one "
                    "network?");
    }
    for (int side = 0; status == OCTET_OK && side < 2; side++) {
        OctetSessionOptions options = {.pool = compare->pool,
                                       .limits = run_limits(),
                                       .requantize = compare->requantize,
                                       .observe = side == 0 ? observe_first : observe_second,
                                       .observe_filter = side == 0 ? is_kept : is_layer,
                                       .observe_user = compare};
        size_t outputs = octet_graph_output_count(compare->graphs[side]);
        compare->outputs[side] = checked_calloc(outputs, sizeof(*compare->outputs[side]));
        status = octet_session_create(compare->graphs[side], &options, &compare->sessions[side],
                                      diagnostic);
    }
    if (status == OCTET_OK) {
        compare_open_alone(compare);
    }
    return status;
}

static OctetStatus compare_batch(Compare *compare, const Batch *batch,
                                 OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    for (size_t i = 0; status == OCTET_OK && i < batch->input_count; i++) {
        status =
            keep_tensor(compare, octet_graph_input_at(compare->graphs[0], i), batch->inputs[i]);
    }
    for (int side = 0; status == OCTET_OK && side < 2; side++) {
        status = border_run(compare->sessions[side], compare->graphs[side],
                            (const OctetTensor *const *)batch->inputs, batch->input_count,
                            compare->outputs[side], octet_graph_output_count(compare->graphs[side]),
                            diagnostic);
    }
    compare->n += batch->count;
    return status == OCTET_OK ? compare_run_alone(compare, batch, diagnostic) : status;
}

static OctetStatus compare_samples(Compare *compare, const Settings *settings,
                                   OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    progress_start("comparing:", samples_count(compare->samples));
    for (;;) {
        Batch batch;
        status = samples_next(compare->samples, &batch, diagnostic);
        if (status != OCTET_OK || !batch.inputs) {
            break;
        }
        status = compare_batch(compare, &batch, diagnostic);
        progress_step(batch.visited);
        batch_release(&batch);
        if (status != OCTET_OK) {
            break;
        }
    }
    progress_end();
    if (status == OCTET_OK && compare->n == 0) {
        status = fail(diagnostic, OCTET_ERROR_FORMAT, settings->path,
                      "none of the samples could be read");
    }
    return status;
}

static OctetStatus compare_all(Compare *compare, const Settings *settings,
                               OctetDiagnostic *diagnostic) {
    OctetStatus status = open_models(compare, settings, diagnostic);
    if (status != OCTET_OK) {
        return status;
    }
    const char *stored = octet_graph_metadata(compare->graphs[1], PREPROCESS_KEY);
    if (!stored) {
        stored = octet_graph_metadata(compare->graphs[0], PREPROCESS_KEY);
    }
    SamplesOptions options = {.path = settings->path,
                              .data = &settings->data,
                              .preprocess = &settings->preprocess,
                              .stored = stored,
                              .prefetch = true};
    status = samples_open(compare->graphs[0], &options, &compare->samples, diagnostic);
    if (status == OCTET_OK) {
        status = compare_samples(compare, settings, diagnostic);
    }
    compare_drop_unseen(compare);
    return status == OCTET_OK ? compare_run_rests(compare, diagnostic) : status;
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
    report_set_json(settings->general.json);
    OctetDiagnostic diagnostic = {0};
    Compare compare = {.requantize = run_requantize(&settings->run),
                       .most_remembered = settings->output_samples > 0
                                              ? (size_t)settings->output_samples
                                              : OUTPUT_SAMPLES};
    if (compare_all(&compare, settings, &diagnostic) != OCTET_OK) {
        code = report_failure(&diagnostic);
    } else {
        compare_rank(&compare);
        size_t shown = compare.layer_count;
        if (settings->worst > 0 && (size_t)settings->worst < shown) {
            shown = (size_t)settings->worst;
        }
        if (settings->general.json) {
            compare_print_json(&compare, shown);
        } else {
            compare_print_text(&compare, shown, settings->operands.items[0]);
        }
    }
    compare_release(&compare);
    return code;
}

static const Option options[] = {
    {"data", OPTION_TEXT, offsetof(Settings, path), "DATA",
     "The samples: the same kinds as --calib of octet quantize.", NULL},
    {"worst", OPTION_COUNT, offsetof(Settings, worst), "N", "Show only the N worst layers.", NULL},
    {"output-samples", OPTION_COUNT, offsetof(Settings, output_samples), "N",
     "Measure what layers cost at the output on the first N batches (4). Each takes about half a "
     "run of the float model for every layer.",
     NULL},
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
    .summary = "Show what each layer of an int8 model loses, the worst first.",
    .usage = "FLOAT.onnx INT8.onnx --data DATA [options]",
    .description =
        "Runs both models on the samples and compares the values of the same name, layer by "
        "layer: signal-to-noise ratio (SQNR, in decibels, FLOAT being the signal), cosine, and how "
        "far the mean of a channel moves. A layer's total error includes what the layers before "
        "it added; its own error is what it adds itself, with FLOAT's values as its inputs. What "
        "that costs is measured at FLOAT's outputs, with this layer alone taken from INT8, and "
        "the layers are ranked by it. The last line is the option of octet quantize that leaves "
        "the worst in float.",
    .examples = "  octet compare float.onnx int8.onnx --data images.npy --samples 20\n"
                "  octet compare float.onnx int8.onnx --data photos/ --worst 10 --json\n",
    .groups = groups,
    .takes_model = true,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .operands_least = 2,
    .operands_most = 2,
    .run = run_compare,
};
