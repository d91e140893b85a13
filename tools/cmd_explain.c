/* octet explain: how the bias of an int8 layer becomes an integer, and the sum a byte. */
#include "commands.h"
#include "common.h"
#include "explain_input.h"
#include "explain_text.h"
#include "report.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Settings {
    TextList operands;
    GeneralOptions general;
    const char *node, *channel, *mode, *against, *input, *at;
    PreprocessOptions preprocess;
} Settings;

typedef struct Job {
    const Settings *settings;
    OctetRequantize mode;
    int64_t channel; /* -1: the one whose bias errs most */
    OctetGraph *graph, *original;
    OctetLayerExplanation *layers;
    size_t count;
    OctetBiasRepair *repairs; /* what convert noted in the file */
    size_t repair_count;
    bool has_pixel; /* an output for --input */
    OctetPixelExplanation pixel;
} Job;

typedef OctetChannelExplanation Channel;

/* What a bias errs or can err by, in steps of the output (in real units if that is float). */
static double bias_error(const Channel *e) {
    double error = e->bias_known ? fabs(e->bias_error) : e->bias_error_limit;
    return e->output_scale > 0 ? error / (double)e->output_scale : error;
}

static int compare_layers(const void *first, const void *second) {
    const OctetLayerExplanation *a = first, *b = second;
    double of_a = bias_error(&a->channels[a->worst_bias]);
    double of_b = bias_error(&b->channels[b->worst_bias]);
    if (of_a != of_b) {
        return of_a > of_b ? -1 : 1;
    }
    double share_a = a->channels[a->tightest].int32_share;
    double share_b = b->channels[b->tightest].int32_share;
    return share_a > share_b ? -1 : share_a < share_b;
}

static OctetStatus explain_node(Job *job, const OctetNode *node, OctetDiagnostic *diagnostic) {
    const OctetNode *original =
        job->original ? octet_graph_find_node(job->original, octet_node_name(node)) : NULL;
    OctetStatus status =
        octet_explain_layer(node, original, job->mode, &job->layers[job->count], diagnostic);
    job->count += status == OCTET_OK;
    return status;
}

static OctetStatus explain_graph(Job *job, OctetDiagnostic *diagnostic) {
    size_t nodes = octet_graph_node_count(job->graph);
    job->layers = checked_calloc(nodes + 1, sizeof *job->layers);
    if (job->settings->node) {
        const OctetNode *node = octet_graph_find_node(job->graph, job->settings->node);
        return node ? explain_node(job, node, diagnostic)
                    : fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, NULL,
                           "--node %s: the model has no such node (octet inspect lists them)",
                           job->settings->node);
    }
    OctetStatus status = OCTET_OK;
    for (size_t i = 0; status == OCTET_OK && i < nodes; i++) {
        const OctetNode *node = octet_graph_node_at(job->graph, i);
        if (octet_node_explainable(node)) {
            status = explain_node(job, node, diagnostic);
        }
    }
    if (status == OCTET_OK && job->count == 0) {
        return fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, job->settings->operands.items[0],
                    "it has no int8 layers to explain; octet quantize makes some");
    }
    if (status == OCTET_OK) {
        qsort(job->layers, job->count, sizeof *job->layers, compare_layers);
    }
    return status;
}

static OctetStatus explain_given_input(Job *job, OctetDiagnostic *diagnostic) {
    const Settings *settings = job->settings;
    const OctetLayerExplanation *layer = &job->layers[0];
    const ExplainInput request = {
        .graph = job->graph,
        .node = octet_graph_find_node(job->graph, settings->node),
        .original = job->original ? octet_graph_find_node(job->original, settings->node) : NULL,
        .mode = job->mode,
        .channel = job->channel < 0 ? layer->worst_bias : job->channel,
        .preprocess = &settings->preprocess,
        .path = settings->input,
        .at = settings->at,
    };
    OctetStatus status = explain_input(&request, &job->pixel, diagnostic);
    job->has_pixel = status == OCTET_OK;
    return status;
}

static OctetStatus load(Job *job, OctetDiagnostic *diagnostic) {
    OctetStatus status = model_load(job->settings->operands.items[0], &job->graph, diagnostic);
    if (status == OCTET_OK && job->settings->against) {
        status = model_load(job->settings->against, &job->original, diagnostic);
    }
    if (status == OCTET_OK) {
        status = octet_graph_repairs(job->graph, &job->repairs, &job->repair_count, diagnostic);
    }
    if (status == OCTET_OK) {
        status = explain_graph(job, diagnostic);
    }
    return status == OCTET_OK && job->settings->input ? explain_given_input(job, diagnostic)
                                                      : status;
}

/* Prints the repairs of a node (NULL: of all) and one of its channels (-1: of all). */
static void print_repairs(const Job *job, const char *node, int64_t channel) {
    enum { SHOWN = 20 };
    size_t shown = 0;
    for (size_t i = 0; i < job->repair_count; i++) {
        const OctetBiasRepair *repair = &job->repairs[i];
        if ((node && strcmp(repair->node, node) != 0) ||
            (channel >= 0 && repair->channel != channel) || shown++ >= SHOWN) {
            continue;
        }
        printf("%s%s, channel %" PRId64 ": the bias %.9g needed the int32 %.0f. ",
               shown == 1 ? "\nBiases that did not fit when the model was made:\n" : "",
               repair->node, repair->channel, (double)repair->bias, repair->bias_before);
        if (repair->scale_after == repair->scale_before) {
            printf("It was saturated at %" PRId32 ".\n", repair->bias_after);
        } else {
            printf("The weight scale was raised from %.9g to %.9g; it is %" PRId32 " now.\n",
                   (double)repair->scale_before, (double)repair->scale_after, repair->bias_after);
        }
    }
    if (shown > SHOWN) {
        printf("and %zu more (--json lists all)\n", shown - SHOWN);
    }
}

static void print_table(const Job *job) {
    int width = 5;
    for (size_t i = 0; i < job->count; i++) {
        int length = (int)strlen(job->layers[i].name);
        width = length > width && length <= 48 ? length : width;
    }
    bool limits = false;
    printf("%-*s  %-13s  %8s  %20s  %20s\n", width, "layer", "operator", "channels",
           "bias error (channel)", "int32 used (channel)");
    for (size_t i = 0; i < job->count; i++) {
        const OctetLayerExplanation *layer = &job->layers[i];
        const Channel *worst = &layer->channels[layer->worst_bias];
        const Channel *tightest = &layer->channels[layer->tightest];
        char error[48] = "no bias", used[48];
        if (worst->has_bias) {
            snprintf(error, sizeof error, "%s%.2g%s (%" PRId64 ")",
                     worst->bias_known ? "" : "<= ", bias_error(worst),
                     worst->output_scale > 0 ? "" : " real", worst->channel);
            limits = limits || !worst->bias_known;
        }
        snprintf(used, sizeof used, "%.3g%% (%" PRId64 ")", tightest->int32_share * 100,
                 tightest->channel);
        printf("%-*s  %-13s  %8" PRId64 "  %20s  %20s\n", width, layer->name, layer->op_type,
               layer->channel_count, error, used);
    }
    printf("\nBias errors are in steps of the layer's output, the worst first. int32 used is the\n"
           "largest sum that any input can give, the bias included.\n");
    if (limits) {
        printf("\"<=\": the file has the integers alone; --against FLOAT.onnx shows what they were "
               "made of.\n");
    }
    printf("octet explain %s --node NAME tells how a layer works.\n",
           job->settings->operands.items[0]);
}

static json_t *json_wide(int64_t value) {
    return json_integer((json_int_t)value);
}

static void add_bias(json_t *object, const Channel *e) {
    json_add(object, "bias", e->has_bias ? json_number(e->bias) : json_null());
    json_add(object, "bias_known", json_boolean(e->bias_known));
    json_add(object, "bias_scale", json_number(e->bias_scale));
    json_add(object, "bias_exact", e->has_bias ? json_number(e->bias_exact) : json_null());
    json_add(object, "bias_integer",
             e->has_bias && !e->bias_stays_real ? json_integer(e->bias_integer) : json_null());
    json_add(object, "bias_added", e->has_bias ? json_number(e->bias_added) : json_null());
    json_add(object, "bias_error", e->bias_known ? json_number(e->bias_error) : json_null());
    json_add(object, "bias_error_limit", json_number(e->bias_error_limit));
    json_add(object, "bias_error_steps",
             e->output_scale > 0 ? json_number(bias_error(e)) : json_null());
    json_add(object, "bias_int32_share", json_number(fabs((double)e->bias_integer) / 0x1p31));
}

static json_t *json_example(const Channel *e) {
    json_t *object = json_new_object();
    json_add(object, "input", json_integer(e->example_input));
    json_add(object, "accumulator", json_wide(e->example_accumulator));
    json_add(object, "sum", json_wide(e->example_sum));
    json_add(object, "steps", json_number(e->example_steps));
    json_add(object, "output", e->output_scale > 0 ? json_integer(e->example_output) : json_null());
    json_add(object, "exact", json_number(e->example_exact));
    return object;
}

static json_t *json_channel(const Channel *e) {
    bool bytes = e->output_scale > 0;
    json_t *object = json_new_object();
    json_add(object, "channel", json_wide(e->channel));
    json_add(object, "input_scale", json_number((double)e->input_scale));
    json_add(object, "input_zero_point", json_integer(e->input_zero_point));
    json_add(object, "weight_scale", json_number((double)e->weight_scale));
    json_add(object, "weight_zero_point", json_integer(e->weight_zero_point));
    json_add(object, "output_scale", bytes ? json_number((double)e->output_scale) : json_null());
    json_add(object, "output_zero_point", bytes ? json_integer(e->output_zero_point) : json_null());
    add_bias(object, e);
    json_add(object, "weight_sum", json_wide(e->weight_sum));
    json_add(object, "stored_weight_sum", json_wide(e->stored_weight_sum));
    json_add(object, "zero_point_correction", json_wide(e->zero_point_correction));
    json_add(object, "zero_point_correction_input",
             json_wide(-e->input_zero_point * e->stored_weight_sum));
    json_add(object, "zero_point_correction_both",
             json_wide(e->weight_count * e->input_zero_point * e->weight_zero_point));
    json_add(object, "accumulator_min", json_wide(e->accumulator_minimum));
    json_add(object, "accumulator_max", json_wide(e->accumulator_maximum));
    json_add(object, "int32_share", json_number(e->int32_share));
    json_add(object, "exact_multiplier", bytes ? json_number(e->exact_multiplier) : json_null());
    json_add(object, "multiplier", bytes ? json_number((double)e->multiplier) : json_null());
    json_add(object, "mantissa", json_integer(e->fixed.mantissa));
    json_add(object, "shift", json_integer(e->fixed.shift));
    json_add(object, "example", json_example(e));
    return object;
}

static json_t *json_layer(const Job *job, const OctetLayerExplanation *layer) {
    json_t *object = json_new_object();
    json_t *channels = json_new_array();
    for (int64_t c = 0; c < layer->channel_count; c++) {
        if (job->channel < 0 || c == job->channel) {
            json_push(channels, json_channel(&layer->channels[c]));
        }
    }
    json_add(object, "name", json_text(layer->name));
    json_add(object, "op_type", json_text(layer->op_type));
    json_add(object, "channel_count", json_wide(layer->channel_count));
    json_add(object, "worst_bias_channel", json_wide(layer->worst_bias));
    json_add(object, "worst_bias_error_steps",
             json_number(bias_error(&layer->channels[layer->worst_bias])));
    json_add(object, "tightest_channel", json_wide(layer->tightest));
    json_add(object, "int32_share", json_number(layer->channels[layer->tightest].int32_share));
    json_add(object, "channels", channels);
    return object;
}

static json_t *json_pixel(const OctetPixelExplanation *pixel) {
    json_t *object = json_new_object();
    json_t *position = json_new_array(), *inputs = json_new_array(), *weights = json_new_array();
    for (int32_t i = 0; i < pixel->rank; i++) {
        json_push(position, json_wide(pixel->position[i]));
    }
    for (int64_t i = 0; i < pixel->count; i++) {
        json_push(inputs, json_integer(pixel->inputs[i]));
        json_push(weights, json_integer(pixel->weights[i]));
    }
    json_add(object, "position", position);
    json_add(object, "inputs", inputs);
    json_add(object, "weights", weights);
    json_add(object, "product_sum", json_wide(pixel->product_sum));
    json_add(object, "input_sum", json_wide(pixel->input_sum));
    json_add(object, "weight_sum", json_wide(pixel->weight_sum));
    json_add(object, "channel", json_channel(&pixel->channel));
    return object;
}

static json_t *json_repair(const OctetBiasRepair *repair) {
    json_t *object = json_new_object();
    json_add(object, "node", json_text(repair->node));
    json_add(object, "channel", json_wide(repair->channel));
    json_add(object, "bias", json_number((double)repair->bias));
    json_add(object, "scale_before", json_number((double)repair->scale_before));
    json_add(object, "scale_after", json_number((double)repair->scale_after));
    json_add(object, "bias_before", json_number(repair->bias_before));
    json_add(object, "bias_after", json_integer(repair->bias_after));
    return object;
}

static void print_json(const Job *job) {
    json_t *object = json_new_object();
    json_t *layers = json_new_array();
    for (size_t i = 0; i < job->count; i++) {
        json_push(layers, json_layer(job, &job->layers[i]));
    }
    json_t *repairs = json_new_array();
    for (size_t i = 0; i < job->repair_count; i++) {
        const OctetBiasRepair *repair = &job->repairs[i];
        if (!job->settings->node || strcmp(repair->node, job->settings->node) == 0) {
            json_push(repairs, json_repair(repair));
        }
    }
    json_add(object, "mode", json_text(octet_requantize_name(job->mode)));
    json_add(object, "layers", layers);
    json_add(object, "repairs", repairs);
    if (job->has_pixel) {
        json_add(object, "output", json_pixel(&job->pixel));
    }
    json_print_exact(object);
}

static int print_all(const Job *job) {
    if (job->settings->node && job->channel >= job->layers[0].channel_count) {
        return report_error("--channel %" PRId64 ": %s has the channels 0 to %" PRId64,
                            job->channel, job->layers[0].name, job->layers[0].channel_count - 1);
    }
    if (job->settings->general.json) {
        print_json(job);
    } else if (job->settings->node) {
        int64_t channel = job->channel < 0 ? job->layers[0].worst_bias : job->channel;
        explain_print_channel(&job->layers[0], channel, job->has_pixel ? &job->pixel : NULL);
        print_repairs(job, job->layers[0].name, channel);
    } else {
        print_table(job);
        print_repairs(job, NULL, -1);
    }
    return 0;
}

static int read_channel(const Settings *settings, int64_t *channel) {
    *channel = -1;
    if (!settings->channel) {
        return 0;
    }
    char *end;
    errno = 0;
    *channel = strtoll(settings->channel, &end, 10);
    if (errno != 0 || *end != '\0' || end == settings->channel || *channel < 0) {
        return usage_error("explain", "--channel %s: not a channel's number", settings->channel);
    }
    return settings->node ? 0 : usage_error("explain", "--channel needs --node");
}

static int check_options(const Settings *settings) {
    if (settings->input && !settings->node) {
        return usage_error("explain", "--input needs --node");
    }
    if (settings->at && !settings->input) {
        return usage_error("explain", "--at needs --input");
    }
    const char *preprocessing = option_given(preprocess_options, &settings->preprocess);
    if (preprocessing && !settings->input) {
        return usage_error("explain", "--%s needs --input", preprocessing);
    }
    return preprocess_check("explain", &settings->preprocess);
}

static int run_explain(const void *given) {
    Job job = {.settings = given};
    OctetDiagnostic diagnostic = {0};
    report_set_quiet(job.settings->general.quiet);
    report_set_json(job.settings->general.json);
    int code = read_channel(job.settings, &job.channel);
    if (code == 0) {
        code = check_options(job.settings);
    }
    if (code != 0) {
        return code;
    }
    if (job.settings->mode) {
        octet_requantize_parse(job.settings->mode, &job.mode);
    }
    code = load(&job, &diagnostic) == OCTET_OK ? print_all(&job) : report_failure(&diagnostic);
    for (size_t i = 0; i < job.count; i++) {
        octet_explanation_clear(&job.layers[i]);
    }
    free(job.layers);
    octet_pixel_clear(&job.pixel);
    octet_repairs_free(job.repairs);
    octet_graph_free(job.graph);
    octet_graph_free(job.original);
    return code;
}

static const char *const modes[] = {"onnx", "fbgemm", "qnnpack", "tflite", "tflite-single", NULL};

static const Option option_list[] = {
    {"node", OPTION_TEXT, offsetof(Settings, node), "NAME",
     "Tell about this layer, instead of a table of all.", NULL},
    {"channel", OPTION_TEXT, offsetof(Settings, channel), "K",
     "Which output channel; the one whose bias errs most without it.", NULL},
    {"mode", OPTION_CHOICE, offsetof(Settings, mode), "MODE",
     "Whose arithmetic: onnx (the default), fbgemm, qnnpack, tflite, tflite-single.", modes},
    {"against", OPTION_TEXT, offsetof(Settings, against), "FLOAT.onnx",
     "The float model, to see how far its biases are from the integers.", NULL},
    {"input", OPTION_TEXT, offsetof(Settings, input), "FILE",
     "An image or array that the model runs on: the example then is an output of that layer, "
     "worked out from the integers that it really got.",
     NULL},
    {"at", OPTION_TEXT, offsetof(Settings, at), "Y,X",
     "Which place of the output (default: the middle).", NULL},
    {0},
};

static const OptionGroup groups[] = {
    {"Options", option_list, 0},
    {"Preprocessing of --input", preprocess_options, offsetof(Settings, preprocess)},
    {"Output", general_options, offsetof(Settings, general)},
    {0},
};

const Command explain_command = {
    .name = "explain",
    .summary = "Tell how a layer's bias becomes an int32, and its sum a byte.",
    .usage = "MODEL.int8.onnx [--node NAME] [--channel K] [--mode MODE] [options]",
    .description =
        "For a layer: the scales, the bias in float and as an integer, what rounding it costs, the "
        "zero-point correction, the multiplier in float and in fixed point, how much of int32 is "
        "used at most, and one output worked out from the stored integers to the final byte. "
        "Without --node: a table of all layers, the worst biases first.",
    .examples = "  octet explain int8.onnx\n"
                "  octet explain int8.onnx --node conv1 --channel 3 --mode qnnpack\n"
                "  octet explain int8.onnx --node conv1 --input cat.jpeg --at 10,12\n"
                "  octet explain int8.onnx --against float.onnx\n",
    .groups = groups,
    .takes_model = true,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .operands_least = 1,
    .operands_most = 1,
    .run = run_explain,
};
