/* What can happen in a layer's epilogue, while the result is in registers: a table, and the
 * addition of a residual. Every step keeps its own rounding, so fusing changes no bit. */
#include "base/diag.h"
#include "engine/layout.h"
#include "engine/passes.h"
#include "engine/rewrite.h"

#include <string.h>

typedef struct Fuse {
    OctetSession *session;
    OctGraph *graph;
    OctetDiagnostic *diagnostic;
} Fuse;

/* The inputs of a layer, residual included: X, W, bias, residual. */
enum { RESIDUAL_INPUT = 3 };

static bool is_layer(const OctNode *node) {
    return node && !node->dead && (oct_node_is(node, "Conv") || oct_node_is(node, "Gemm")) &&
           node->input_count <= RESIDUAL_INPUT;
}

static bool is_octet(const OctNode *node, const char *op_type) {
    return node && !node->dead && strcmp(node->domain, "octet") == 0 &&
           strcmp(node->op_type, op_type) == 0;
}

/* The layer that makes a value which only one node uses. */
static OctNode *private_layer(const Fuse *f, const OctUses *uses, const OctValue *value) {
    OctNode *layer = value->producer;
    bool private = is_layer(layer) && !value->is_output && oct_uses_count(uses, value) == 1 &&
                   !oct_session_observes(f->session, value);
    return private ? layer : NULL;
}

/* The fusion of a layer, made when new: so far the result is rounded to the layer's output. */
static OctFusion *fusion_of(Fuse *f, OctNode *layer) {
    if (!layer->fusion) {
        OctFusion *fusion = oct_arena_alloc(f->graph->arena, sizeof *fusion);
        if (fusion) {
            fusion->grid = layer->outputs[0]->qparams;
            layer->fusion = fusion;
        }
    }
    return (OctFusion *)(uintptr_t)layer->fusion;
}

/* The layer makes the node's output from now on, and stands in its place. */
static void take_over(Fuse *f, OctNode *layer, OctNode *node) {
    OctValue *output = node->outputs[0];
    oct_graph_remove_node(f->graph, node);
    oct_node_set_output(layer, 0, output);
}

static OctetStatus fuse_table(Fuse *f, OctNode *node, const OctUses *uses) {
    OctNode *layer = private_layer(f, uses, node->inputs[0]);
    if (!layer || (layer->fusion && (layer->fusion->table || layer->fusion->has_residual))) {
        return OCTET_OK;
    }
    const OctAttribute *attribute = oct_node_attribute(node, "table");
    OctFusion *fusion = fusion_of(f, layer);
    uint8_t *table =
        oct_arena_memdup(f->graph->arena, oct_constant_tensor(attribute->v.tensor)->data, 256);
    if (!fusion || !table) {
        return oct_fail_memory(f->diagnostic);
    }
    fusion->table = table;
    fusion->table_grid = node->outputs[0]->qparams;
    take_over(f, layer, node);
    return OCTET_OK;
}

/* Position of a node among the graph's: the later of two layers takes the residual, so that the
 * other one need not wait. */
static int32_t position(const OctGraph *graph, const OctNode *node) {
    for (int32_t i = graph->node_count - 1; i >= 0; i--) {
        if (graph->nodes[i] == node) {
            return i;
        }
    }
    return -1;
}

static bool may_add(const OctNode *layer, const OctNode *add, const OctValue *residual) {
    const OctValue *own = layer->outputs[0];
    const OctValue *sum = add->outputs[0];
    if (residual == own || residual->constant || !oct_value_has_static_shape(sum) ||
        !octet_shape_equal(&residual->shape, &sum->shape) ||
        !octet_shape_equal(&own->shape, &sum->shape) ||
        own->channels_last != residual->channels_last) {
        return false;
    }
    bool quantized = oct_value_quantized(own);
    if (oct_value_quantized(residual) != quantized || oct_value_quantized(sum) != quantized) {
        return false;
    }
    if (!quantized) {
        /* kernels from bytes to floats add nothing */
        return oct_node_is(layer, "Conv") && !oct_value_quantized(layer->inputs[0]) &&
               layer->activation.kind == OCT_ACTIVATION_NONE;
    }
    return oct_value_is_8bit(own) && !(layer->fusion && layer->fusion->has_residual);
}

static OctetStatus fuse_add(Fuse *f, OctNode *add, const OctUses *uses) {
    OctNode *layers[2];
    for (int32_t k = 0; k < 2; k++) {
        layers[k] = private_layer(f, uses, add->inputs[k]);
        if (layers[k] && !may_add(layers[k], add, add->inputs[1 - k])) {
            layers[k] = NULL;
        }
    }
    int32_t chosen = layers[1] ? 1 : 0;
    if (layers[0] && layers[1] && position(f->graph, layers[0]) > position(f->graph, layers[1])) {
        chosen = 0;
    }
    OctNode *layer = layers[chosen];
    if (!layer) {
        return OCTET_OK;
    }
    OctValue *residual = add->inputs[1 - chosen];
    if (oct_value_quantized(residual)) {
        if (f->session->options.requantize != OCTET_REQUANTIZE_ONNX) {
            return OCTET_OK; /* layers add as `onnx` does */
        }
        OctFusion *fusion = fusion_of(f, layer);
        if (!fusion) {
            return oct_fail_memory(f->diagnostic);
        }
        fusion->has_residual = true;
        fusion->residual_first = chosen == 1;
        fusion->activation = add->activation;
    } else {
        layer->activation = add->activation;
    }
    take_over(f, layer, add);
    return oct_node_set_input(f->graph, layer, RESIDUAL_INPUT, residual)
               ? OCTET_OK
               : oct_fail_memory(f->diagnostic);
}

/* Quantize writes channels-last by itself. */
static OctetStatus fuse_planes(Fuse *f, OctNode *transpose, const OctUses *uses) {
    const OctValue *input = transpose->inputs[0];
    OctNode *quantize = input->producer;
    int32_t rank = input->shape.rank;
    int32_t to_last[OCTET_MAX_RANK];
    const int64_t *listed;
    if (!is_octet(quantize, "Quantize") || oct_node_int(quantize, "channels_last", 0) != 0 ||
        rank < 3 || oct_uses_count(uses, input) != 1 || input->is_output ||
        oct_session_observes(f->session, input) || input->qparams.dtype != OCTET_U8 ||
        input->qparams.count != 1 || oct_node_ints(transpose, "perm", &listed) != rank) {
        return OCTET_OK;
    }
    oct_permutation_to_last(rank, to_last);
    for (int32_t i = 0; i < rank; i++) {
        if (listed[i] != to_last[i]) {
            return OCTET_OK;
        }
    }
    take_over(f, quantize, transpose);
    return oct_node_set_int(f->graph, quantize, "channels_last", 1)
               ? OCTET_OK
               : oct_fail_memory(f->diagnostic);
}

OctetStatus oct_plan_fuse(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic) {
    Fuse f = {session, graph, diagnostic};
    OctUses uses = {0};
    OCT_TRY(oct_graph_uses(graph, &uses, diagnostic));
    OctetStatus status = OCTET_OK;
    for (int32_t i = 0; i < graph->node_count && status == OCTET_OK; i++) {
        OctNode *node = graph->nodes[i];
        if (node->dead) {
            continue;
        }
        if (is_octet(node, "Table")) {
            status = fuse_table(&f, node, &uses);
        } else if (oct_node_is(node, "Transpose")) {
            status = fuse_planes(&f, node, &uses);
        } else if (oct_node_is(node, "Add") && node->inputs[0] && node->inputs[1]) {
            status = fuse_add(&f, node, &uses);
        }
    }
    oct_uses_free(&uses);
    return status == OCTET_OK ? oct_graph_compact(graph, diagnostic) : status;
}
