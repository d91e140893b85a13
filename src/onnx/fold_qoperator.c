/* Operators on integers, as QOperator models have them: QLinearConv and its kind. Each becomes the
 * plain operator on real numbers, with DequantizeLinear in front and QuantizeLinear behind, which
 * is how ONNX defines it. */
#include "base/diag.h"
#include "onnx/fold.h"

#include <string.h>

enum { MAX_INPUTS = 64 };

typedef struct Rewrite {
    OctGraph *graph;
    OctNode *node;
    int32_t opset; /* of the plain operator */
    OctetDiagnostic *diagnostic;
} Rewrite;

static OctValue *input(const Rewrite *rewrite, int32_t k) {
    return oct_node_input(rewrite->node, k);
}

static bool is_constant(const Rewrite *rewrite, int32_t k) {
    return oct_constant_behind(input(rewrite, k)) != NULL;
}

static OctNode *add_node(const Rewrite *rewrite, const char *op_type, const char *name,
                         OctValue *const *inputs, int32_t count, OctValue *output) {
    OctNode *node =
        oct_graph_add_node(rewrite->graph, op_type, "", name, inputs, count, &output, 1);
    if (node) {
        node->opset = rewrite->opset;
        node->file_order = rewrite->node->file_order;
    }
    return node;
}

/* A new value for the real numbers of an integer one. */
static OctValue *add_real(const Rewrite *rewrite, const OctValue *integers) {
    const char *name = oct_name_of_real(rewrite->graph, integers->name);
    return name ? oct_graph_add_value(rewrite->graph, name) : NULL;
}

/* The real numbers of an integer value. axis: of its parameters, if they are several. */
static OctValue *dequantize(const Rewrite *rewrite, OctValue *integers, OctValue *scale,
                            OctValue *zero_point, int64_t axis) {
    OctValue *real = add_real(rewrite, integers);
    OctNode *node =
        real ? add_node(rewrite, "DequantizeLinear", NULL,
                        (OctValue *[]){integers, scale, zero_point}, zero_point ? 3 : 2, real)
             : NULL;
    return node && oct_node_set_int(rewrite->graph, node, "axis", axis) ? real : NULL;
}

/* Input k with its scale and zero point behind it. */
static OctValue *dequantize_triple(const Rewrite *rewrite, int32_t k, int64_t axis) {
    return dequantize(rewrite, input(rewrite, k), input(rewrite, k + 1), input(rewrite, k + 2),
                      axis);
}

/* An int32 bias: its scale is the product of the data's and the weights'. */
static OctValue *dequantize_bias(const Rewrite *rewrite, OctValue *bias, int32_t data_scale,
                                 int32_t weight_scale, float factor) {
    const OctetTensor *x = oct_constant_behind(input(rewrite, data_scale));
    const OctetTensor *w = oct_constant_behind(input(rewrite, weight_scale));
    int64_t count;
    OctetTensor *scale;
    if (!octet_shape_count(&w->shape, &count) ||
        octet_tensor_create(OCTET_F32, &w->shape, &scale, rewrite->diagnostic) != OCTET_OK) {
        return NULL;
    }
    for (int64_t i = 0; i < count; i++) {
        ((float *)scale->data)[i] = factor * *(const float *)x->data * ((const float *)w->data)[i];
    }
    OctValue *value = oct_graph_add_constant(rewrite->graph, NULL, scale);
    return value ? dequantize(rewrite, bias, value, NULL, 0) : NULL;
}

/* Puts `op_type` in the node's place: its attributes without those in `without`, its name, its
 * output quantized by inputs y_scale and y_scale + 1; -1: the output is real. */
static OctetStatus replace(const Rewrite *rewrite, const char *op_type, OctValue *const *inputs,
                           int32_t count, int32_t y_scale, OctNode **made) {
    OctGraph *graph = rewrite->graph;
    OctNode *node = rewrite->node;
    for (int32_t k = 0; k < count; k++) {
        if (!inputs[k]) {
            return oct_fail_memory(rewrite->diagnostic);
        }
    }
    OctValue *output = node->outputs[0];
    const char *name = node->name;
    int32_t attribute_count = node->attribute_count;
    OctAttribute *attributes = node->attributes;
    OctValue *y_inputs[3] = {NULL, y_scale >= 0 ? input(rewrite, y_scale) : NULL,
                             y_scale >= 0 ? input(rewrite, y_scale + 1) : NULL};
    node->attribute_count = 0; /* so that removing doesn't release them: they move */
    oct_graph_remove_node(graph, node);
    OctValue *real = y_scale >= 0 ? add_real(rewrite, output) : output;
    *made = real ? add_node(rewrite, op_type, name, inputs, count, real) : NULL;
    if (!*made) {
        node->attribute_count = attribute_count;
        return oct_fail_memory(rewrite->diagnostic);
    }
    (*made)->notes = node->notes;
    (*made)->attributes = attributes;
    (*made)->attribute_count = attribute_count;
    (*made)->attribute_capacity = attribute_count;
    if (y_scale >= 0) {
        y_inputs[0] = real;
        if (!add_node(rewrite, "QuantizeLinear", NULL, y_inputs, y_inputs[2] ? 3 : 2, output)) {
            return oct_fail_memory(rewrite->diagnostic);
        }
    }
    return OCTET_OK;
}

/* ---- one function an operator family; each leaves a node alone that it can't rewrite ---- */

/* x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero, bias */
static OctetStatus rewrite_conv(const Rewrite *rewrite) {
    if (!is_constant(rewrite, 1) || !is_constant(rewrite, 4) || !is_constant(rewrite, 6) ||
        !input(rewrite, 0) || !input(rewrite, 3) ||
        oct_node_int(rewrite->node, "channels_last", 0) != 0) {
        return OCTET_OK;
    }
    OctValue *bias = input(rewrite, 8);
    OctValue *inputs[3] = {dequantize_triple(rewrite, 0, 1), dequantize_triple(rewrite, 3, 0),
                           bias ? dequantize_bias(rewrite, bias, 1, 4, 1) : NULL};
    OctNode *made;
    OCT_TRY(replace(rewrite, "Conv", inputs, bias ? 3 : 2, 6, &made));
    oct_node_remove_attribute(made, "channels_last");
    return OCTET_OK;
}

/* a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero; columns of b may differ in scale */
static OctetStatus rewrite_matmul(const Rewrite *rewrite) {
    const OctetTensor *a_scale = oct_constant_behind(input(rewrite, 1));
    int64_t count;
    if (!a_scale || !octet_shape_count(&a_scale->shape, &count) || count != 1 ||
        !is_constant(rewrite, 4) || !is_constant(rewrite, 6) || !input(rewrite, 0) ||
        !input(rewrite, 3)) {
        return OCTET_OK;
    }
    OctValue *inputs[2] = {dequantize_triple(rewrite, 0, -1), dequantize_triple(rewrite, 3, -1)};
    OctNode *made;
    return replace(rewrite, "MatMul", inputs, 2, 6, &made);
}

/* a, a_scale, a_zero, b, b_scale, b_zero, c, y_scale, y_zero; without y_scale the output is real */
static OctetStatus rewrite_gemm(const Rewrite *rewrite) {
    bool quantized = input(rewrite, 7) != NULL;
    if (!is_constant(rewrite, 1) || !is_constant(rewrite, 4) || !input(rewrite, 0) ||
        !input(rewrite, 3) || (quantized && !is_constant(rewrite, 7))) {
        return OCTET_OK;
    }
    OctValue *c = input(rewrite, 6);
    float alpha = oct_node_float(rewrite->node, "alpha", 1);
    int64_t columns = oct_node_int(rewrite->node, "transB", 0) ? 0 : 1;
    OctValue *inputs[3] = {dequantize_triple(rewrite, 0, 1), dequantize_triple(rewrite, 3, columns),
                           c ? dequantize_bias(rewrite, c, 1, 4, alpha) : NULL};
    OctNode *made;
    return replace(rewrite, "Gemm", inputs, c ? 3 : 2, quantized ? 7 : -1, &made);
}

/* a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero */
static OctetStatus rewrite_binary(const Rewrite *rewrite) {
    if (!is_constant(rewrite, 1) || !is_constant(rewrite, 4) || !is_constant(rewrite, 6) ||
        !input(rewrite, 0) || !input(rewrite, 3)) {
        return OCTET_OK;
    }
    bool adds = strcmp(rewrite->node->op_type, "QLinearAdd") == 0;
    OctValue *inputs[2] = {dequantize_triple(rewrite, 0, 1), dequantize_triple(rewrite, 3, 1)};
    OctNode *made;
    return replace(rewrite, adds ? "Add" : "Mul", inputs, 2, 6, &made);
}

/* y_scale, y_zero, then triples */
static OctetStatus rewrite_concat(const Rewrite *rewrite) {
    OctValue *inputs[MAX_INPUTS];
    int32_t count = (rewrite->node->input_count - 2) / 3;
    bool legal = count > 0 && count <= MAX_INPUTS && is_constant(rewrite, 0);
    for (int32_t i = 0; legal && i < count; i++) {
        legal = input(rewrite, 2 + 3 * i) && is_constant(rewrite, 3 + 3 * i);
    }
    if (!legal) {
        return OCTET_OK;
    }
    for (int32_t i = 0; i < count; i++) {
        inputs[i] = dequantize_triple(rewrite, 2 + 3 * i, 1);
    }
    OctNode *made;
    return replace(rewrite, "Concat", inputs, count, 0, &made);
}

/* condition, x, x_scale, x_zero, y, y_scale, y_zero, z_scale, z_zero */
static OctetStatus rewrite_where(const Rewrite *rewrite) {
    if (!is_constant(rewrite, 2) || !is_constant(rewrite, 5) || !is_constant(rewrite, 7) ||
        !input(rewrite, 0) || !input(rewrite, 1) || !input(rewrite, 4)) {
        return OCTET_OK;
    }
    OctValue *inputs[3] = {input(rewrite, 0), dequantize_triple(rewrite, 1, 1),
                           dequantize_triple(rewrite, 4, 1)};
    OctNode *made;
    return replace(rewrite, "Where", inputs, 3, 7, &made);
}

/* Transposes between channels-first and channels-last, for a value of `rank`. */
static OctValue *transpose(const Rewrite *rewrite, OctValue *value, int32_t rank, bool to_last) {
    int64_t perm[OCTET_MAX_RANK] = {0};
    for (int32_t i = 1; i < rank; i++) {
        perm[i] = to_last ? (i + 1 < rank ? i + 1 : 1) : (i == 1 ? rank - 1 : i - 1);
    }
    OctValue *moved = oct_graph_add_value(rewrite->graph, value->name);
    OctNode *node = moved ? add_node(rewrite, "Transpose", NULL, &value, 1, moved) : NULL;
    return node && oct_node_set_ints(rewrite->graph, node, "perm", perm, rank) ? moved : NULL;
}

/* The rank of a value before any inference: its own, or that of what it comes from through
 * operators that keep the rank. Unknown: -1. */
static int32_t trace_rank(const OctValue *value) {
    static const struct {
        const char *op_type;
        int32_t input; /* that has the rank of the output */
    } keepers[] = {
        {"QuantizeLinear", 0},
        {"DequantizeLinear", 0},
        {"QLinearAdd", 0},
        {"QLinearMul", 0},
        {"QLinearLeakyRelu", 0},
        {"QLinearSigmoid", 0},
        {"Transpose", 0},
        {"MaxPool", 0},
        {"QLinearAveragePool", 0},
        {"QLinearConcat", 2},
        {"QLinearConv", 3},
        {"Conv", 1},
        {"Relu", 0},
        {"Clip", 0},
        {"Add", 0},
        {"AveragePool", 0},
        {"Concat", 0},
        {"LeakyRelu", 0},
        {"Mul", 0},
        {"Sigmoid", 0},
        {"Identity", 0},
    };
    enum { FARTHEST = 1000 };
    for (int32_t step = 0; value && value->shape.rank < 0 && step < FARTHEST; step++) {
        const OctNode *producer = value->producer;
        value = NULL;
        for (size_t i = 0; producer && i < sizeof keepers / sizeof keepers[0]; i++) {
            if (strcmp(producer->op_type, keepers[i].op_type) == 0) {
                value = oct_node_input(producer, keepers[i].input);
            }
        }
    }
    return value ? value->shape.rank : -1;
}

/* The rank of a channels-last pooling: what its attributes or its input tell; 0 if nothing does. */
static int32_t pooled_rank(const OctNode *node) {
    const int64_t *kernel;
    int32_t spatial = oct_node_ints(node, "kernel_shape", &kernel);
    int32_t rank = spatial > 0 ? spatial + 2 : trace_rank(node->inputs[0]);
    return rank >= 3 && rank <= OCTET_MAX_RANK ? rank : 0;
}

/* Pooling of channels-last data: between two Transposes. */
static OctetStatus rewrite_channels_last(const Rewrite *rewrite, const char *op_type,
                                         int32_t rank) {
    OctGraph *graph = rewrite->graph;
    OctValue *real = dequantize_triple(rewrite, 0, 1);
    OctValue *first = real ? transpose(rewrite, real, rank, false) : NULL;
    OctNode *made;
    OCT_TRY(replace(rewrite, op_type, &first, 1, 3, &made));
    oct_node_remove_attribute(made, "channels_last");
    OctValue *last = made->outputs[0];
    OctValue *pooled = oct_graph_add_value(graph, last->name);
    if (!pooled) {
        return oct_fail_memory(rewrite->diagnostic);
    }
    made->outputs[0] = pooled;
    pooled->producer = made;
    int64_t perm[OCTET_MAX_RANK] = {0};
    for (int32_t i = 1; i < rank; i++) {
        perm[i] = i + 1 < rank ? i + 1 : 1;
    }
    OctNode *back = add_node(rewrite, "Transpose", NULL, &pooled, 1, last);
    return back && oct_node_set_ints(graph, back, "perm", perm, rank)
               ? OCTET_OK
               : oct_fail_memory(rewrite->diagnostic);
}

/* x, x_scale, x_zero, y_scale, y_zero: QLinearX is X */
static OctetStatus rewrite_unary(const Rewrite *rewrite) {
    const OctNode *node = rewrite->node;
    if (!is_constant(rewrite, 1) || !is_constant(rewrite, 3) || !input(rewrite, 0)) {
        return OCTET_OK;
    }
    static const char *const names[] = {"AveragePool", "GlobalAveragePool", "LeakyRelu",
                                        "Sigmoid",     "Softmax",           "ReduceMean"};
    const char *op_type = NULL;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strcmp(node->op_type + strlen("QLinear"), names[i]) == 0) {
            op_type = names[i];
        }
    }
    if (!op_type) {
        return OCTET_OK;
    }
    if (oct_node_int(node, "channels_last", 0) != 0) {
        int32_t rank = pooled_rank(node);
        return rank ? rewrite_channels_last(rewrite, op_type, rank) : OCTET_OK;
    }
    int32_t opset = (int32_t)oct_node_int(node, "opset", rewrite->opset);
    OctValue *real = dequantize_triple(rewrite, 0, 1);
    OctNode *made;
    OCT_TRY(replace(rewrite, op_type, &real, 1, 3, &made));
    oct_node_remove_attribute(made, "channels_last");
    if (strcmp(op_type, "Softmax") == 0) {
        /* its attribute tells which rule for the axis holds, whatever the model imports */
        made->opset = opset;
        oct_node_remove_attribute(made, "opset");
    }
    return OCTET_OK;
}

static OctetStatus rewrite_node(const Rewrite *rewrite) {
    static const struct {
        const char *domain, *op_type;
        OctetStatus (*run)(const Rewrite *rewrite);
    } table[] = {
        {"", "QLinearConv", rewrite_conv},
        {"", "QLinearMatMul", rewrite_matmul},
        {"com.microsoft", "QLinearConv", rewrite_conv},
        {"com.microsoft", "QGemm", rewrite_gemm},
        {"com.microsoft", "QLinearAdd", rewrite_binary},
        {"com.microsoft", "QLinearMul", rewrite_binary},
        {"com.microsoft", "QLinearConcat", rewrite_concat},
        {"com.microsoft", "QLinearWhere", rewrite_where},
        {"com.microsoft", "QLinearAveragePool", rewrite_unary},
        {"com.microsoft", "QLinearGlobalAveragePool", rewrite_unary},
        {"com.microsoft", "QLinearLeakyRelu", rewrite_unary},
        {"com.microsoft", "QLinearSigmoid", rewrite_unary},
        {"com.microsoft", "QLinearSoftmax", rewrite_unary},
        {"com.microsoft", "QLinearReduceMean", rewrite_unary},
    };
    const OctNode *node = rewrite->node;
    if (node->op_type[0] != 'Q' || node->output_count != 1 || !node->outputs[0]) {
        return OCTET_OK;
    }
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++) {
        if (strcmp(node->op_type, table[i].op_type) == 0 &&
            strcmp(node->domain, table[i].domain) == 0) {
            return table[i].run(rewrite);
        }
    }
    return OCTET_OK;
}

OctetStatus oct_fold_qoperator(OctGraph *graph, OctetDiagnostic *diagnostic) {
    enum { DEFAULT_OPSET = 13 };
    int64_t opset = oct_graph_opset(graph, "");
    int32_t count = graph->node_count;
    for (int32_t i = 0; i < count; i++) {
        Rewrite rewrite = {graph, graph->nodes[i], opset > 1 ? (int32_t)opset : DEFAULT_OPSET,
                           diagnostic};
        OCT_TRY(rewrite_node(&rewrite));
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        OCT_TRY(oct_fold_qoperator(graph->children[i], diagnostic));
    }
    return oct_graph_compact(graph, diagnostic);
}
