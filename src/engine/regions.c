/* Int8 or float: decides for every node, and puts conversions where the two meet.
 *
 * A node computes in int8 if its operator can and all its data operands and outputs have grids (the
 * output of a layer with constant weights may be float). A node that only moves data keeps whatever
 * it is given. What remains computes in float: quantized operands are dequantized (once a value),
 * quantized results rounded behind it. */
#include "base/diag.h"
#include "engine/passes.h"
#include "engine/rewrite.h"

#include <string.h>

typedef struct Regions {
    OctetSession *session;
    OctGraph *graph;
    OctValue **dequantized; /* by id of the values that were there before */
    int32_t value_count;
    OctetDiagnostic *diagnostic;
} Regions;

static const OctetQParams none = {.axis = -1};

/* ---- conversions ---- */

static bool owns(const OctGraph *graph, const OctValue *value) {
    return value->id >= 0 && value->id < graph->value_count && graph->values[value->id] == value;
}

/* The dequantized value, made before `before` when new. */
static OctetStatus dequantize(Regions *r, OctNode *before, OctValue *value, OctValue **real) {
    bool known = value->id < r->value_count;
    *real = known ? r->dequantized[value->id] : NULL;
    if (!*real) {
        OCT_TRY(oct_insert_conversion(r->graph, before, value, &none, real, r->diagnostic));
        (*real)->origin = NULL;
        if (known) {
            r->dequantized[value->id] = *real;
        }
    }
    return OCTET_OK;
}

static OctetStatus to_float(Regions *r, OctNode *node, int32_t k) {
    OctValue *real = NULL;
    OCT_TRY(dequantize(r, node, node->inputs[k], &real));
    node->inputs[k] = real;
    return OCTET_OK;
}

/* Child graphs take real numbers from outside. */
static OctetStatus to_float_in_child(Regions *r, OctNode *node, OctGraph *child) {
    for (int32_t i = 0; i < child->node_count; i++) {
        OctNode *inner = child->nodes[i];
        for (int32_t k = 0; k < inner->input_count && !inner->dead; k++) {
            OctValue *input = inner->inputs[k];
            if (input && owns(r->graph, input) && oct_value_quantized(input)) {
                OCT_TRY(dequantize(r, node, input, &inner->inputs[k]));
            }
        }
    }
    for (int32_t i = 0; i < child->output_count; i++) {
        OctValue *output = child->outputs[i];
        if (owns(r->graph, output) && oct_value_quantized(output)) {
            OCT_TRY(dequantize(r, node, output, &child->outputs[i]));
        }
    }
    for (int32_t i = 0; i < child->child_count; i++) {
        OCT_TRY(to_float_in_child(r, node, child->children[i]));
    }
    return OCTET_OK;
}

static OctetStatus settle_children(Regions *r, OctNode *node) {
    for (int32_t i = 0; i < node->attribute_count; i++) {
        if (node->attributes[i].type == OCT_ATTRIBUTE_GRAPH) {
            OctGraph *child = node->attributes[i].v.graph;
            OCT_TRY(to_float_in_child(r, node, child));
            OCT_TRY(oct_plan_regions(r->session, child, r->diagnostic));
        }
    }
    return OCTET_OK;
}

static OctetStatus to_grid(Regions *r, OctNode *node, int32_t k, const OctetQParams *qparams) {
    OctValue *converted;
    OCT_TRY(
        oct_insert_conversion(r->graph, node, node->inputs[k], qparams, &converted, r->diagnostic));
    converted->origin = NULL;
    node->inputs[k] = converted;
    return OCTET_OK;
}

/* The node makes a float; behind it, it is rounded to the grid of what was the node's output. */
static OctetStatus round_output(Regions *r, OctNode *node, int32_t k, OctNode *after) {
    OctValue *value = node->outputs[k];
    OctValue *real = oct_graph_add_value(r->graph, value->name);
    if (!real) {
        return oct_fail_memory(r->diagnostic);
    }
    real->dtype = OCTET_F32;
    real->shape = value->shape;
    OctNode *quantize = oct_graph_insert_node(r->graph, after, "Quantize", "octet", value->name,
                                              &real, 1, &value, 1);
    if (!quantize) {
        return oct_fail_memory(r->diagnostic);
    }
    quantize->opset = 1;
    node->outputs[k] = real;
    real->producer = node;
    return oct_resolve_node(quantize, r->diagnostic);
}

static OctetStatus make_float(Regions *r, OctNode *node, OctNode *after) {
    for (int32_t k = 0; k < node->input_count; k++) {
        if (node->inputs[k] && oct_value_quantized(node->inputs[k])) {
            OCT_TRY(to_float(r, node, k));
        }
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k] && oct_value_quantized(node->outputs[k])) {
            OCT_TRY(round_output(r, node, k, after));
        }
    }
    return OCTET_OK;
}

/* ---- nodes that move data ---- */

/* The grid that all data operands share; NULL if there is none. */
static const OctetQParams *common_grid(const OctNode *node) {
    const OctetQParams *grid = NULL;
    for (int32_t k = 0; k < node->input_count; k++) {
        if (!oct_input_is_data(node, k)) {
            continue;
        }
        const OctetQParams *own = &node->inputs[k]->qparams;
        if (own->dtype == OCTET_DTYPE_NONE || own->count != 1 ||
            (grid && !octet_qparams_equal(grid, own))) {
            return NULL;
        }
        grid = own;
    }
    return grid;
}

/* One grid for all outputs that have one; false if they differ or only some have one. */
static bool output_grid(const OctNode *node, const OctetQParams **grid) {
    int32_t with = 0;
    int32_t without = 0;
    *grid = NULL;
    for (int32_t k = 0; k < node->output_count; k++) {
        const OctValue *output = node->outputs[k];
        if (!output || output->dtype != OCTET_F32) {
            continue;
        }
        if (!oct_value_quantized(output)) {
            without++;
            continue;
        }
        with++;
        if (*grid && !octet_qparams_equal(*grid, &output->qparams)) {
            return false;
        }
        *grid = &output->qparams;
    }
    return with == 0 || without == 0;
}

/* Moving integers and rounding to another grid commute, as long as rounding is element by element.
 * So a mover's operands are brought to its output's grid, and an output without a grid takes that
 * of the operands; its consumers dequantize what they need. */
static OctetStatus make_mover(Regions *r, OctNode *node, OctNode *after) {
    const OctetQParams *inputs = common_grid(node);
    const OctetQParams *outputs;
    if (!output_grid(node, &outputs)) {
        return make_float(r, node, after);
    }
    const OctetQParams *grid = outputs ? outputs : inputs;
    if (!grid) {
        return make_float(r, node, after);
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        if (oct_input_is_data(node, k) && !octet_qparams_equal(&node->inputs[k]->qparams, grid)) {
            if (node->inputs[k]->constant && node->inputs[k]->qparams.count > 1) {
                OCT_TRY(to_float(r, node, k));
            }
            OCT_TRY(to_grid(r, node, k, grid));
        }
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        OctValue *output = node->outputs[k];
        if (!output || output->dtype != OCTET_F32 || oct_value_quantized(output)) {
            continue;
        }
        if (output->is_output) {
            /* the network's user wants floats */
            OctValue *real;
            OctValue *moved = oct_graph_add_value(r->graph, output->name);
            if (!moved || !oct_graph_set_qparams(r->graph, moved, grid)) {
                return oct_fail_memory(r->diagnostic);
            }
            moved->dtype = OCTET_F32;
            moved->shape = output->shape;
            oct_node_set_output(node, k, moved);
            OCT_TRY(oct_insert_conversion(r->graph, after, moved, &none, &real, r->diagnostic));
            OctNode *convert = real->producer;
            oct_node_set_output(convert, 0, output);
            oct_replace_in_nodes(r->graph, output, moved);
            convert->inputs[0] = moved;
        } else if (!oct_graph_set_qparams(r->graph, output, grid)) {
            return oct_fail_memory(r->diagnostic);
        }
    }
    return OCTET_OK;
}

/* ---- deciding ---- */

/* Weights may be quantized per channel, a layer's bias may be s32 or float. */
static bool operand_allows_int8(const OctNode *node, int32_t k) {
    const OctValue *input = node->inputs[k];
    if (oct_node_is_layer(node) && k == 1 && input->constant) {
        return input->qparams.dtype == OCTET_S8 && input->qparams.block_size == 0;
    }
    if (oct_node_is_layer(node) && k == 2) {
        return input->constant != NULL;
    }
    return oct_value_is_8bit(input) || (k > 0 && input->constant && !oct_value_quantized(input));
}

/* The accumulators of a layer, or of a product of two activations, can leave it as floats. */
static bool gives_real_numbers(const OctNode *node) {
    const OctValue *weight = oct_node_input(node, 1);
    return oct_node_is_layer(node) && weight && (weight->constant || oct_node_is(node, "MatMul"));
}

static const char *reason_for_float(const OctNode *node) {
    if (node->keep_float) {
        return node->float_reason ? node->float_reason : "it was to be left in float";
    }
    if (!(node->op->flags & OCT_OP_INT8)) {
        return "its operator has no int8 kernel";
    }
    if (!oct_node_input(node, 0) || node->inputs[0]->dtype != OCTET_F32) {
        return "it does not compute on real numbers";
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        if (oct_input_is_data(node, k) && !operand_allows_int8(node, k)) {
            return k == 1 && oct_node_is_layer(node) ? "its weights are not quantized to 8 bits"
                                                     : "an input of it is not quantized to 8 bits";
        }
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        const OctValue *output = node->outputs[k];
        bool real = output && output->dtype == OCTET_F32 && !oct_value_is_8bit(output);
        if (real && (oct_value_quantized(output) || !gives_real_numbers(node))) {
            return "its output is not quantized to 8 bits";
        }
    }
    return NULL;
}

/* A Pad's fill other than 0 may lie beside the operand's grid, and only an output that has a grid
 * of its own rounds it. */
static bool fills_beside_grid(const OctNode *node) {
    const OctValue *fill = oct_node_input(node, 2);
    const OctetTensor *tensor = oct_value_tensor(fill);
    if (!oct_node_is(node, "Pad") || !node->outputs[0] || oct_value_quantized(node->outputs[0]) ||
        strcmp(oct_node_string(node, "mode", "constant"), "constant") != 0) {
        return false;
    }
    if (node->opset < 11) {
        return oct_node_float(node, "value", 0) != 0;
    }
    bool zero = tensor && tensor->dtype == OCTET_F32 && tensor->bytes == sizeof(float) &&
                *(const float *)tensor->data == 0;
    return fill && !zero;
}

static OctetStatus decide(Regions *r, OctNode *node, OctNode *after) {
    if (strcmp(node->domain, "octet") == 0) {
        return OCTET_OK;
    }
    OCT_TRY(settle_children(r, node));
    bool touches_grid = false;
    for (int32_t k = 0; k < node->input_count; k++) {
        touches_grid |= node->inputs[k] && oct_value_quantized(node->inputs[k]);
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        touches_grid |= node->outputs[k] && oct_value_quantized(node->outputs[k]);
    }
    if (!touches_grid) {
        if (r->graph->quantized && !node->float_reason && (node->op->flags & OCT_OP_INT8)) {
            node->float_reason = reason_for_float(node);
        }
        return OCTET_OK;
    }
    bool moves = (node->op->flags & OCT_OP_MOVES_DATA) &&
                 node->activation.kind == OCT_ACTIVATION_NONE && !node->keep_float &&
                 !fills_beside_grid(node);
    if (moves) {
        return make_mover(r, node, after);
    }
    const char *reason = reason_for_float(node);
    if (reason) {
        node->float_reason = reason;
        return make_float(r, node, after);
    }
    return OCTET_OK;
}

OctetStatus oct_plan_regions(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic) {
    int32_t count;
    Regions r = {.session = session, .graph = graph, .diagnostic = diagnostic};
    OctNode **nodes = oct_snapshot_nodes(graph, &count);
    OctetStatus status =
        nodes ? oct_plan_rebase(session, graph, diagnostic) : oct_fail_memory(diagnostic);
    r.value_count = graph->value_count;
    r.dequantized = oct_calloc((size_t)r.value_count + 1, sizeof(OctValue *));
    if (!r.dequantized && status == OCTET_OK) {
        status = oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < count && status == OCTET_OK; i++) {
        status = decide(&r, nodes[i], i + 1 < count ? nodes[i + 1] : NULL);
    }
    oct_free(nodes);
    oct_free(r.dequantized);
    return status;
}
