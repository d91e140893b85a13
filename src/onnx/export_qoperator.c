/* QOperator form: which operators exist on integers, and their lists of inputs. */
#include "base/diag.h"
#include "octet/quant.h"
#include "onnx/export.h"
#include "onnx/fold.h"

#include <math.h>
#include <string.h>

typedef enum Layout {
    LAYOUT_CONV,   /* x, w, y, then the bias */
    LAYOUT_MATMUL, /* a, b, y */
    LAYOUT_GEMM,   /* a, b, the bias, then y */
    LAYOUT_BINARY, /* a, b, y */
    LAYOUT_UNARY,  /* x, y */
    LAYOUT_CONCAT, /* y, then all inputs */
    LAYOUT_WHERE   /* the condition, a, b, y */
} Layout;

typedef struct QLinear {
    const char *op_type, *name, *domain;
    Layout layout;
} QLinear;

static const QLinear table[] = {
    {"Conv", "QLinearConv", "", LAYOUT_CONV},
    {"MatMul", "QLinearMatMul", "", LAYOUT_MATMUL},
    {"Gemm", "QGemm", "com.microsoft", LAYOUT_GEMM},
    {"Add", "QLinearAdd", "com.microsoft", LAYOUT_BINARY},
    {"Mul", "QLinearMul", "com.microsoft", LAYOUT_BINARY},
    {"AveragePool", "QLinearAveragePool", "com.microsoft", LAYOUT_UNARY},
    {"GlobalAveragePool", "QLinearGlobalAveragePool", "com.microsoft", LAYOUT_UNARY},
    {"LeakyRelu", "QLinearLeakyRelu", "com.microsoft", LAYOUT_UNARY},
    {"Sigmoid", "QLinearSigmoid", "com.microsoft", LAYOUT_UNARY},
    {"Softmax", "QLinearSoftmax", "com.microsoft", LAYOUT_UNARY},
    {"Concat", "QLinearConcat", "com.microsoft", LAYOUT_CONCAT},
    {"Where", "QLinearWhere", "com.microsoft", LAYOUT_WHERE},
};

static const QLinear *find_qlinear(const OctNode *node) {
    for (size_t i = 0; i < sizeof table / sizeof table[0] && !*node->domain; i++) {
        if (strcmp(node->op_type, table[i].op_type) == 0) {
            return &table[i];
        }
    }
    return NULL;
}

static bool is_byte(OctetDType dtype) {
    return dtype == OCTET_U8 || dtype == OCTET_S8;
}

bool oct_is_byte_value(const OctValue *value) {
    return value && is_byte(value->qparams.dtype) && value->qparams.axis < 0;
}

/* A weight whose channels, if they differ in scale, lie along `axis`. */
static bool weight_fits(const OctValue *value, int32_t axis) {
    const OctetQParams *q = value ? &value->qparams : NULL;
    bool fits = q && is_byte(q->dtype) && (q->axis < 0 || q->axis == axis) && q->block_size == 0;
    for (int64_t i = 1; fits && i < q->count; i++) {
        fits = q->zero_point[i] == q->zero_point[0];
    }
    return fits;
}

/* Integers of a bias at the scale input * weight[c]: *bias is made if `made` asks for it. */
static bool convert_bias(const OctValue *value, const OctValue *input, const OctValue *weight,
                         OctetTensor **made) {
    const OctetTensor *tensor = oct_value_tensor(value);
    int64_t count;
    bool integers = tensor && value->qparams.dtype == OCTET_S32;
    if (!tensor || tensor->shape.rank != 1 || !octet_shape_count(&tensor->shape, &count) ||
        !(integers || (!oct_value_quantized(value) && tensor->dtype == OCTET_F32))) {
        return false;
    }
    if (weight->qparams.axis >= 0 && weight->qparams.count != count) {
        return false;
    }
    if (made && octet_tensor_create(OCTET_S32, &tensor->shape, made, NULL) != OCTET_OK) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        float scale =
            input->qparams.scale[0] * weight->qparams.scale[weight->qparams.axis < 0 ? 0 : i];
        double number;
        if (integers) {
            int64_t at = value->qparams.axis < 0 ? 0 : i;
            int64_t raw = ((const int32_t *)tensor->data)[i];
            float own = value->qparams.scale[at];
            number = (double)(raw - value->qparams.zero_point[at]);
            number = own == scale ? number : number * (double)own / (double)scale;
        } else {
            number = (double)((const float *)tensor->data)[i] / (double)scale;
        }
        number = nearbyint(number);
        if (!(fabs(number) <= INT32_MAX)) {
            return false; /* only found without `made`, which is asked first */
        }
        if (made) {
            ((int32_t *)(*made)->data)[i] = (int32_t)number;
        }
    }
    return true;
}

/* The stored integers are at that scale already. */
static bool bias_is_ready(const OctValue *value, const OctValue *input, const OctValue *weight) {
    const OctetQParams *q = &value->qparams;
    const OctetQParams *w = &weight->qparams;
    bool ready = q->dtype == OCTET_S32 && q->count == w->count;
    for (int64_t i = 0; ready && i < q->count; i++) {
        ready = q->zero_point[i] == 0 && q->scale[i] == input->qparams.scale[0] * w->scale[i];
    }
    return ready;
}

static bool bias_fits(const OctNode *node, int32_t k) {
    const OctValue *bias = oct_node_input(node, k);
    return !bias || convert_bias(bias, node->inputs[0], node->inputs[1], NULL);
}

/* Integer kernels want one type for data, and no unsigned weights with signed data. */
static bool types_fit(OctetDType input, OctetDType weight, OctetDType output) {
    return input == output && (input == OCTET_U8 || weight == OCTET_S8);
}

static bool all_bytes(const OctNode *node, int32_t from) {
    OctetDType dtype = node->outputs[0]->qparams.dtype;
    for (int32_t k = from; k < node->input_count; k++) {
        if (!oct_is_byte_value(node->inputs[k]) || node->inputs[k]->qparams.dtype != dtype) {
            return false;
        }
    }
    return node->input_count > from;
}

static bool layout_fits(const OctNode *node, Layout layout) {
    const OctValue *a = oct_node_input(node, 0);
    const OctValue *b = oct_node_input(node, 1);
    OctetDType output = node->outputs[0]->qparams.dtype;
    switch (layout) {
    case LAYOUT_CONV:
        return oct_is_byte_value(a) && weight_fits(b, 0) && b->constant && bias_fits(node, 2) &&
               types_fit(a->qparams.dtype, b->qparams.dtype, output);
    case LAYOUT_MATMUL:
        return oct_is_byte_value(a) && b && b->shape.rank >= 2 &&
               weight_fits(b, b->shape.rank - 1) &&
               types_fit(a->qparams.dtype, b->qparams.dtype, output);
    case LAYOUT_GEMM:
        return oct_is_byte_value(a) && b && b->constant &&
               weight_fits(b, oct_node_int(node, "transB", 0) ? 0 : 1) && bias_fits(node, 2) &&
               oct_node_float(node, "alpha", 1) == 1 && oct_node_float(node, "beta", 1) == 1 &&
               types_fit(a->qparams.dtype, b->qparams.dtype, output);
    case LAYOUT_WHERE:
        return a && !oct_value_quantized(a) && node->input_count == 3 && all_bytes(node, 1);
    case LAYOUT_BINARY:
        return node->input_count == 2 && all_bytes(node, 0);
    case LAYOUT_UNARY:
        return node->input_count == 1 && all_bytes(node, 0);
    default:
        return all_bytes(node, 0);
    }
}

OctIntegerForm oct_integer_form(const OctNode *node) {
    if (node->activation.kind != OCT_ACTIVATION_NONE || node->output_count < 1 ||
        !node->outputs[0] || !oct_is_byte_value(node->outputs[0])) {
        return OCT_FORM_NONE;
    }
    if (oct_moves_bytes(node)) {
        return OCT_FORM_MOVER;
    }
    const QLinear *qlinear = find_qlinear(node);
    bool fits = qlinear && node->output_count == 1 && layout_fits(node, qlinear->layout);
    return fits ? OCT_FORM_QLINEAR : OCT_FORM_NONE;
}

/* ---- rewriting ---- */

typedef struct Inputs {
    OctValue **list;
    int32_t count;
    OctFindIntegers find;
    void *user;
    bool failed;
} Inputs;

static void add_scale(Inputs *inputs, OctValue *value) {
    OctExportForm names = {0};
    inputs->failed = inputs->failed || !inputs->find(inputs->user, value, &names);
    inputs->list[inputs->count++] = names.scale;
    inputs->list[inputs->count++] = names.zero_point;
}

static void add_triple(Inputs *inputs, OctValue *value) {
    OctExportForm names = {0};
    inputs->failed = inputs->failed || !inputs->find(inputs->user, value, &names);
    inputs->list[inputs->count++] = names.integers;
    add_scale(inputs, value);
}

static void add_bias(OctGraph *graph, Inputs *inputs, const OctNode *node) {
    OctValue *bias = oct_node_input(node, 2);
    OctetTensor *tensor = NULL;
    char name[256];
    if (!bias) {
        return;
    }
    if (bias_is_ready(bias, node->inputs[0], node->inputs[1])) {
        OctExportForm names = {0};
        inputs->failed = inputs->failed || !inputs->find(inputs->user, bias, &names);
        inputs->list[inputs->count++] = names.integers;
        return;
    }
    if (!convert_bias(bias, node->inputs[0], node->inputs[1], &tensor)) {
        octet_tensor_free(tensor);
        inputs->failed = true;
        return;
    }
    oct_export_name(name, sizeof name, node->name, "bias");
    OctValue *value = oct_graph_add_constant(graph, name, tensor);
    inputs->failed = inputs->failed || !value;
    inputs->list[inputs->count++] = value;
}

OctetStatus oct_make_qlinear(OctGraph *graph, OctNode *node, OctValue *output, OctFindIntegers find,
                             void *user, OctetDiagnostic *diagnostic) {
    const QLinear *qlinear = find_qlinear(node);
    Inputs inputs = {.find = find, .user = user};
    inputs.list =
        oct_arena_array(graph->arena, 3 * (size_t)node->input_count + 8, sizeof *inputs.list);
    if (!inputs.list) {
        return oct_fail_memory(diagnostic);
    }
    int32_t first = 0;
    if (qlinear->layout == LAYOUT_CONCAT) {
        add_scale(&inputs, output);
    } else if (qlinear->layout == LAYOUT_WHERE) {
        inputs.list[inputs.count++] = node->inputs[0];
        first = 1;
    }
    bool biased = qlinear->layout == LAYOUT_CONV || qlinear->layout == LAYOUT_GEMM;
    for (int32_t k = first; k < node->input_count && !(biased && k == 2); k++) {
        add_triple(&inputs, node->inputs[k]);
    }
    if (qlinear->layout == LAYOUT_GEMM) {
        bool bias = oct_node_input(node, 2) != NULL;
        add_bias(graph, &inputs, node);
        inputs.count += bias ? 0 : 1; /* left out */
        oct_node_remove_attribute(node, "beta");
    }
    if (qlinear->layout != LAYOUT_CONCAT) {
        add_scale(&inputs, output);
    }
    if (qlinear->layout == LAYOUT_CONV) {
        add_bias(graph, &inputs, node);
    }
    bool done = !inputs.failed;
    if (strcmp(qlinear->name, "QLinearSoftmax") == 0) {
        done = done && oct_node_set_int(graph, node, "opset", node->opset);
    }
    if (*qlinear->domain) {
        done = done && oct_graph_set_opset(graph, qlinear->domain, 1);
        node->opset = 1;
    }
    node->op_type = qlinear->name;
    node->domain = qlinear->domain;
    node->inputs = inputs.list;
    node->input_count = inputs.count;
    return done ? OCTET_OK : oct_fail_memory(diagnostic);
}

/* ---- activations that the grid does itself ---- */

static bool grid_cuts(const OctetQParams *q, float minimum, float maximum) {
    int64_t low;
    int64_t high;
    if (q->dtype == OCTET_DTYPE_NONE || q->axis >= 0) {
        return false;
    }
    octet_dtype_range(q->dtype, &low, &high);
    double scale = q->scale[0];
    double zero = q->zero_point[0];
    return (minimum == -INFINITY || nearbyint((double)minimum / scale) + zero <= (double)low) &&
           (maximum == INFINITY || nearbyint((double)maximum / scale) + zero >= (double)high);
}

/* The bounds of a Relu, or of a Clip with constant bounds. */
static bool bounds_of(const OctNode *node, float *minimum, float *maximum) {
    *minimum = -INFINITY;
    *maximum = INFINITY;
    if (*node->domain) {
        return false;
    }
    if (strcmp(node->op_type, "Relu") == 0) {
        *minimum = 0;
        return true;
    }
    if (strcmp(node->op_type, "Clip") != 0) {
        return false;
    }
    *minimum = oct_node_float(node, "min", -INFINITY);
    *maximum = oct_node_float(node, "max", INFINITY);
    for (int32_t k = 1; k < node->input_count && k < 3; k++) {
        const OctetTensor *bound = oct_constant_behind(node->inputs[k]);
        if (node->inputs[k] && (!bound || bound->dtype != OCTET_F32 || bound->bytes != 4)) {
            return false;
        }
        if (bound) {
            *(k == 1 ? minimum : maximum) = *(const float *)bound->data;
        }
    }
    return true;
}

/* The activation is no node of its own then: its name stands with the operator that does it. */
static bool note_activation(OctGraph *graph, OctNode *node) {
    bool relu = node->activation.minimum == 0 && node->activation.maximum == INFINITY;
    return !node->activation_name ||
           oct_node_include(graph, node, relu ? "Relu" : "Clip", node->activation_name,
                            &node->activation_notes);
}

/* Lets the producer make the activation's output. False when out of memory. */
static bool skip_node(OctGraph *graph, const OctUses *uses, OctNode *node) {
    float minimum;
    float maximum;
    OctValue *input = oct_node_input(node, 0);
    OctNode *producer = input ? input->producer : NULL;
    if (!producer || !bounds_of(node, &minimum, &maximum) || node->output_count != 1 ||
        !node->outputs[0] || !find_qlinear(producer) || producer->outputs[0] != input ||
        oct_value_quantized(input) || input->is_output ||
        producer->activation.kind != OCT_ACTIVATION_NONE || oct_uses_single(uses, input) != node ||
        !grid_cuts(&node->outputs[0]->qparams, minimum, maximum)) {
        return true;
    }
    OctValue *output = node->outputs[0];
    oct_graph_remove_node(graph, node);
    producer->outputs[0] = output;
    output->producer = producer;
    input->producer = NULL;
    return oct_node_include(graph, producer, node->op_type, node->name, &node->notes);
}

OctetStatus oct_absorb_activations(OctGraph *graph, OctetDiagnostic *diagnostic) {
    OctUses uses;
    OCT_TRY(oct_graph_uses(graph, &uses, diagnostic));
    bool done = true;
    for (int32_t i = 0; i < graph->node_count && done; i++) {
        OctNode *node = graph->nodes[i];
        const OctValue *output = oct_node_output(node, 0);
        if (node->activation.kind != OCT_ACTIVATION_NONE && output &&
            grid_cuts(&output->qparams, node->activation.minimum, node->activation.maximum)) {
            done = note_activation(graph, node);
            node->activation = (OctActivation){0};
        }
        if (done && !node->dead) {
            done = skip_node(graph, &uses, node);
        }
    }
    oct_uses_free(&uses);
    if (!done) {
        return oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        OCT_TRY(oct_absorb_activations(graph->children[i], diagnostic));
    }
    return oct_graph_compact(graph, diagnostic);
}
