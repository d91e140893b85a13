/* octet inspect: what is in a model file. */
#include "commands.h"
#include "common.h"
#include "inspect_plan.h"
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Settings {
    TextList operands;
    GeneralOptions general;
    bool fused, plan;
    QuantizeRules rules; /* of the plan */
    TextList shapes;
} Settings;

typedef struct Totals {
    int64_t parameters;
    uint64_t parameter_bytes;
    double macs;
    size_t int8_nodes;
} Totals;

/* Every constant once, however many nodes use it. */
static void count_parameters(const OctetGraph *graph, Totals *totals) {
    size_t nodes = octet_graph_node_count(graph);
    size_t capacity = 0, count = 0;
    for (size_t i = 0; i < nodes; i++) {
        capacity += octet_node_input_count(octet_graph_node_at(graph, i));
    }
    const OctetTensor **seen = checked_calloc(capacity, sizeof(*seen));
    for (size_t i = 0; i < nodes; i++) {
        const OctetNode *node = octet_graph_node_at(graph, i);
        for (size_t k = 0; k < octet_node_input_count(node); k++) {
            const OctetValue *value = octet_node_input(node, k);
            const OctetTensor *tensor = value ? octet_value_tensor(value) : NULL;
            bool again = !tensor;
            for (size_t s = 0; s < count && !again; s++) {
                again = seen[s] == tensor;
            }
            int64_t elements;
            if (!again && octet_shape_count(&tensor->shape, &elements)) {
                seen[count++] = tensor;
                totals->parameters += elements;
                totals->parameter_bytes += tensor->bytes;
            }
        }
    }
    free(seen);
}

static Totals count_all(const OctetGraph *graph) {
    Totals totals = {0};
    count_parameters(graph, &totals);
    for (size_t i = 0; i < octet_graph_node_count(graph); i++) {
        const OctetNode *node = octet_graph_node_at(graph, i);
        totals.macs += octet_node_macs(node);
        totals.int8_nodes += node_in_int8(node);
    }
    return totals;
}

static json_t *json_qparams(const OctetQParams *qparams) {
    if (!qparams) {
        return json_null();
    }
    json_t *object = json_new_object();
    json_t *scales = json_new_array();
    json_t *zero_points = json_new_array();
    for (int64_t i = 0; i < qparams->count; i++) {
        json_push(scales, json_number((double)qparams->scale[i]));
        json_push(zero_points, json_integer(qparams->zero_point[i]));
    }
    json_add(object, "dtype", json_text(octet_dtype_name(qparams->dtype)));
    json_add(object, "axis", qparams->axis < 0 ? json_null() : json_integer(qparams->axis));
    json_add(object, "scale", scales);
    json_add(object, "zero_point", zero_points);
    return object;
}

static const char *kind_name(const OctetValue *value) {
    static const char *const names[] = {"tensor", "sequence", "optional", "optional sequence"};
    return names[octet_value_kind(value) & (OCTET_KIND_SEQUENCE | OCTET_KIND_OPTIONAL)];
}

static json_t *json_value(const OctetGraph *graph, const OctetValue *value) {
    if (!value) {
        return json_null();
    }
    OctetShape shape = octet_value_shape(value);
    json_t *object = json_new_object();
    json_add(object, "name", json_text(octet_value_name(value)));
    json_add(object, "dtype", json_text(octet_dtype_name(octet_value_dtype(value))));
    json_add(object, "kind", json_text(kind_name(value)));
    json_add(object, "shape", json_shape(graph, &shape));
    json_add(object, "qparams", json_qparams(octet_value_qparams(value)));
    if (octet_value_tensor(value)) {
        json_add(object, "constant", json_true());
    }
    return object;
}

static json_t *json_node(const OctetGraph *graph, const OctetNode *node) {
    json_t *object = json_new_object();
    json_t *inputs = json_new_array();
    json_t *outputs = json_new_array();
    for (size_t i = 0; i < octet_node_input_count(node); i++) {
        json_push(inputs, json_value(graph, octet_node_input(node, i)));
    }
    for (size_t i = 0; i < octet_node_output_count(node); i++) {
        json_push(outputs, json_value(graph, octet_node_output(node, i)));
    }
    json_add(object, "name", json_text(octet_node_name(node)));
    json_add(object, "op_type", json_text(octet_node_op_type(node)));
    json_add(object, "domain", json_text(octet_node_domain(node)));
    json_add(object, "activation", json_text(octet_node_activation(node)));
    json_add(object, "int8", json_boolean(node_in_int8(node)));
    json_add(object, "float_reason", json_text(octet_node_float_reason(node)));
    json_add(object, "macs", json_number(octet_node_macs(node)));
    json_add(object, "inputs", inputs);
    json_add(object, "outputs", outputs);
    return object;
}

static void print_json(const char *path, const OctetGraph *graph) {
    Totals totals = count_all(graph);
    json_t *object = json_new_object();
    json_t *inputs = json_new_array();
    json_t *outputs = json_new_array();
    json_t *nodes = json_new_array();
    for (size_t i = 0; i < octet_graph_input_count(graph); i++) {
        json_push(inputs, json_value(graph, octet_graph_input_at(graph, i)));
    }
    for (size_t i = 0; i < octet_graph_output_count(graph); i++) {
        json_push(outputs, json_value(graph, octet_graph_output_at(graph, i)));
    }
    for (size_t i = 0; i < octet_graph_node_count(graph); i++) {
        json_push(nodes, json_node(graph, octet_graph_node_at(graph, i)));
    }
    json_add(object, "file", json_text(path));
    json_add(object, "bytes", json_integer((json_int_t)file_bytes(path)));
    json_add(object, "quantized", json_boolean(octet_graph_is_quantized(graph)));
    json_add(object, "preprocess", json_text(octet_graph_metadata(graph, PREPROCESS_KEY)));
    json_add(object, "parameters", json_integer(totals.parameters));
    json_add(object, "parameter_bytes", json_integer((json_int_t)totals.parameter_bytes));
    json_add(object, "macs", json_number(totals.macs));
    json_add(object, "inputs", inputs);
    json_add(object, "outputs", outputs);
    json_add(object, "nodes", nodes);
    json_add(object, "findings", json_findings());
    json_print(object);
}

/* "u8, scale 0.0123, zero point 3" or "s8, 64 scales 0.001 to 0.02, axis 0". */
static void format_qparams(const OctetQParams *qparams, char *buffer, size_t size) {
    if (!qparams || qparams->count < 1) {
        buffer[0] = '\0';
        return;
    }
    const char *type = octet_dtype_name(qparams->dtype);
    if (qparams->count == 1) {
        snprintf(buffer, size, "%s, scale %.6g, zero point %d", type, (double)qparams->scale[0],
                 qparams->zero_point[0]);
        return;
    }
    float least = qparams->scale[0], most = qparams->scale[0];
    for (int64_t i = 1; i < qparams->count; i++) {
        least = qparams->scale[i] < least ? qparams->scale[i] : least;
        most = qparams->scale[i] > most ? qparams->scale[i] : most;
    }
    snprintf(buffer, size, "%s, %lld scales from %.3g to %.3g, axis %d", type,
             (long long)qparams->count, (double)least, (double)most, qparams->axis);
}

static void print_values(const OctetGraph *graph, const char *title, size_t count,
                         const OctetValue *(*at)(const OctetGraph *graph, size_t index)) {
    for (size_t i = 0; i < count; i++) {
        const OctetValue *value = at(graph, i);
        OctetShape shape = octet_value_shape(value);
        char text[160], qparams[160];
        octet_graph_shape_format(graph, &shape, text, sizeof text);
        format_qparams(octet_value_qparams(value), qparams, sizeof qparams);
        bool tensor = octet_value_kind(value) == OCTET_KIND_TENSOR;
        printf("%-12s %s  %s %s%s%s\n", i == 0 ? title : "", octet_value_name(value),
               octet_dtype_name(octet_value_dtype(value)), tensor ? text : kind_name(value),
               qparams[0] ? "  " : "", qparams);
    }
}

static const OctetQParams *qparams_of(const OctetValue *value) {
    return value ? octet_value_qparams(value) : NULL;
}

static void print_node(const OctetGraph *graph, const OctetNode *node, int width) {
    char shape[160] = "?", qparams[160], macs[32] = "";
    const OctetValue *output = octet_node_output_count(node) ? octet_node_output(node, 0) : NULL;
    if (output) {
        OctetShape of_output = octet_value_shape(output);
        octet_graph_shape_format(graph, &of_output, shape, sizeof shape);
    }
    if (octet_node_macs(node) > 0) {
        snprintf(macs, sizeof macs, "%.3g M", octet_node_macs(node) * 1e-6);
    }
    const char *activation = octet_node_activation(node);
    char op[96];
    snprintf(op, sizeof op, "%s%s%s", octet_node_op_type(node), activation[0] ? "+" : "",
             activation);
    printf("  %-*s  %-18s  %-16s  %8s", width, octet_node_name(node), op, shape, macs);
    format_qparams(qparams_of(output), qparams, sizeof qparams);
    if (qparams[0]) {
        printf("  -> %s", qparams);
    }
    for (size_t i = 1; i < octet_node_input_count(node); i++) {
        const OctetValue *input = octet_node_input(node, i);
        if (input && octet_value_tensor(input) && qparams_of(input)) {
            format_qparams(qparams_of(input), qparams, sizeof qparams);
            printf("; weights %s", qparams);
            break;
        }
    }
    const char *reason = octet_node_float_reason(node);
    if (reason && !node_in_int8(node)) {
        printf("  float: %s", reason);
    }
    putchar('\n');
}

static void print_text(const char *path, const OctetGraph *graph) {
    char bytes[32], parameter_bytes[32];
    Totals totals = count_all(graph);
    size_t nodes = octet_graph_node_count(graph);
    const char *preprocess = octet_graph_metadata(graph, PREPROCESS_KEY);
    printf("%-12s %s (%s)\n", "file", path, format_bytes(file_bytes(path), bytes, sizeof bytes));
    print_values(graph, "inputs", octet_graph_input_count(graph), octet_graph_input_at);
    print_values(graph, "outputs", octet_graph_output_count(graph), octet_graph_output_at);
    printf("%-12s %zu", "nodes", nodes);
    if (octet_graph_is_quantized(graph)) {
        printf(", %zu of them in int8", totals.int8_nodes);
    }
    printf("\n%-12s %lld (%s)\n", "parameters", (long long)totals.parameters,
           format_bytes(totals.parameter_bytes, parameter_bytes, sizeof parameter_bytes));
    printf("%-12s %.4g M a run (an open batch counted as 1)\n", "MACs", totals.macs * 1e-6);
    if (preprocess) {
        printf("%-12s %s\n", "preprocess", preprocess);
    }
    int width = 4;
    for (size_t i = 0; i < nodes; i++) {
        int length = (int)strlen(octet_node_name(octet_graph_node_at(graph, i)));
        width = length > width && length <= 40 ? length : width;
    }
    printf("\n  %-*s  %-18s  %-16s  %8s\n", width, "node", "operator", "output", "MACs");
    for (size_t i = 0; i < nodes; i++) {
        print_node(graph, octet_graph_node_at(graph, i), width);
    }
    if (findings_count() > 0) {
        printf("\n  what can't be run:\n");
        findings_print(stdout, "    ");
    }
}

/* What is for --plan alone, and there for a model of one kind alone. */
static int check_options(const Settings *settings) {
    const char *rule = option_given(rules_options, &settings->rules);
    if (settings->fused && settings->plan) {
        return usage_error("inspect", "--fused and --plan exclude each other");
    }
    if (!settings->plan && (rule || settings->shapes.count > 0)) {
        return usage_error("inspect", "--%s needs --plan", rule ? rule : "shape");
    }
    return rules_check("inspect", &settings->rules);
}

static int check_plan(const Settings *settings, const OctetGraph *graph) {
    const char *rule = option_given(rules_options, &settings->rules);
    bool quantized = octet_graph_is_quantized(graph);
    if (quantized && rule) {
        return usage_error("inspect", "--%s is for float models; this one is quantized", rule);
    }
    if (!quantized && settings->shapes.count > 0) {
        return usage_error("inspect", "--shape is for quantized models; this one is float");
    }
    return 0;
}

static int run_inspect(const void *given) {
    const Settings *settings = given;
    const char *path = settings->operands.items[0];
    OctetDiagnostic diagnostic = {0};
    OctetGraph *graph = NULL;
    report_set_quiet(settings->general.quiet);
    report_set_json(settings->general.json);
    int code = check_options(settings);
    if (code != 0) {
        return code;
    }
    OctetLoadOptions options = load_limits();
    options.lenient = !settings->plan; /* what can't run has no plan: then all of it is listed */
    OctetStatus status = octet_model_load(path, &options, &graph, &diagnostic);
    /* in a quantized file a layer and its activation are one step between two grids */
    if (status == OCTET_OK &&
        (settings->fused || settings->plan || octet_graph_is_quantized(graph))) {
        status = octet_fuse(graph, &diagnostic);
        if (status != OCTET_OK) {
            findings_forget();
        }
    }
    if (status == OCTET_OK && settings->plan) {
        code = check_plan(settings, graph);
    }
    if (status == OCTET_OK && settings->plan && code == 0) {
        status = inspect_plan(path, graph, &settings->rules, &settings->shapes,
                              settings->general.json, &diagnostic);
    }
    if (status != OCTET_OK) {
        code = report_failure(&diagnostic);
    } else if (settings->plan) {
        /* printed, or refused */
    } else if (settings->general.json) {
        print_json(path, graph);
    } else {
        print_text(path, graph);
    }
    octet_graph_free(graph);
    return code;
}

static const Option options[] = {
    {"fused", OPTION_FLAG, offsetof(Settings, fused), NULL,
     "Show a float graph after constants and batch norms are folded and activations fused, as it "
     "is quantized and run. Quantized ones are always shown so.",
     NULL},
    {"plan", OPTION_FLAG, offsetof(Settings, plan), NULL,
     "Show for every node whether it will be int8 or float and why, before anything is calibrated; "
     "of a quantized model, what the engine runs it with.",
     NULL},
    {"shape", OPTION_LIST, offsetof(Settings, shapes), "[NAME=]SHAPE",
     "With --plan, the shape of a quantized model's input; open dimensions count as 1 without it.",
     NULL},
    {0},
};

static const OptionGroup groups[] = {
    {"Options", options, 0},
    {"For --plan, as in octet quantize", rules_options, offsetof(Settings, rules)},
    {"Output", general_options, offsetof(Settings, general)},
    {0},
};

const Command inspect_command = {
    .name = "inspect",
    .summary = "Show a model's inputs, outputs, nodes, shapes, quantization and sizes.",
    .usage = "MODEL.onnx [--fused | --plan] [--json]",
    .description = "Lists what is in the file: inputs and outputs with their types and shapes, "
                   "every node with its output's shape and quantization parameters, the number of "
                   "parameters and of multiply-accumulates (MACs), sizes. QuantizeLinear and "
                   "DequantizeLinear are shown as what they are about: parameters of tensors. "
                   "Models with operators that Octet can't run are shown too.",
    .examples = "  octet inspect model.onnx\n"
                "  octet inspect model.onnx --plan --skip '*/head/*'\n"
                "  octet inspect int8.onnx --json\n",
    .groups = groups,
    .takes_model = true,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .operands_least = 1,
    .operands_most = 1,
    .run = run_inspect,
};
