#include "engine/rewrite.h"
#include "base/diag.h"

#include <string.h>

OctetStatus oct_resolve_node(OctNode *node, OctetDiagnostic *diagnostic) {
    node->op = oct_op_find(node->domain, node->op_type, node->opset);
    return node->op ? OCTET_OK
                    : oct_fail_node(diagnostic, OCTET_ERROR_INTERNAL, node->name,
                                    "the engine lacks its operator %s", node->op_type);
}

OctetStatus oct_insert_unary(OctGraph *graph, OctNode *before, const char *domain,
                             const char *op_type, OctValue *input, OctNode **node,
                             OctetDiagnostic *diagnostic) {
    enum { ONNX_OPSET = 17 };
    OctValue *output = oct_graph_add_value(graph, input->name);
    if (!output) {
        return oct_fail_memory(diagnostic);
    }
    *node =
        oct_graph_insert_node(graph, before, op_type, domain, input->name, &input, 1, &output, 1);
    if (!*node) {
        return oct_fail_memory(diagnostic);
    }
    (*node)->opset = *domain ? 1 : ONNX_OPSET;
    output->origin = input->origin;
    output->channels_last = input->channels_last;
    return oct_resolve_node(*node, diagnostic);
}

OctetStatus oct_insert_conversion(OctGraph *graph, OctNode *before, OctValue *input,
                                  const OctetQParams *qparams, OctValue **output,
                                  OctetDiagnostic *diagnostic) {
    const char *op_type = qparams->dtype == OCTET_DTYPE_NONE ? "Dequantize"
                          : oct_value_quantized(input)       ? "Requantize"
                                                             : "Quantize";
    OctNode *node = NULL;
    OCT_TRY(oct_insert_unary(graph, before, "octet", op_type, input, &node, diagnostic));
    *output = node->outputs[0];
    (*output)->dtype = OCTET_F32;
    (*output)->shape = input->shape;
    return oct_graph_set_qparams(graph, *output, qparams) ? OCTET_OK : oct_fail_memory(diagnostic);
}

OctetStatus oct_add_shared_constant(OctGraph *graph, const char *name, OctConstant *constant,
                                    OctValue **value, OctetDiagnostic *diagnostic) {
    *value = oct_graph_add_value(graph, name);
    if (!*value) {
        return oct_fail_memory(diagnostic);
    }
    oct_value_take_constant(*value, oct_constant_retain(constant));
    return OCTET_OK;
}

void oct_node_set_output(OctNode *node, int32_t k, OctValue *value) {
    if (node->outputs[k] && node->outputs[k]->producer == node) {
        node->outputs[k]->producer = NULL;
    }
    node->outputs[k] = value;
    value->producer = node;
}

void oct_replace_in_nodes(OctGraph *graph, const OctValue *from, OctValue *to) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        for (int32_t k = 0; k < node->input_count && !node->dead; k++) {
            if (node->inputs[k] == from) {
                node->inputs[k] = to;
            }
        }
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        oct_replace_in_nodes(graph->children[i], from, to);
    }
}

OctNode **oct_snapshot_nodes(const OctGraph *graph, int32_t *count) {
    *count = graph->node_count;
    OctNode **nodes = oct_calloc((size_t)graph->node_count + 1, sizeof *nodes);
    if (nodes && graph->node_count) {
        memcpy(nodes, graph->nodes, (size_t)graph->node_count * sizeof *nodes);
    }
    return nodes;
}

bool oct_value_is_8bit(const OctValue *value) {
    OctetDType dtype = value->qparams.dtype;
    return (dtype == OCTET_U8 || dtype == OCTET_S8) && value->qparams.count == 1;
}

bool oct_node_is(const OctNode *node, const char *op_type) {
    return node->domain[0] == '\0' && oct_same_name(node->op_type, op_type);
}

bool oct_node_has_graph(const OctNode *node) {
    for (int32_t i = 0; i < node->attribute_count; i++) {
        if (node->attributes[i].type == OCT_ATTRIBUTE_GRAPH) {
            return true;
        }
    }
    return false;
}

bool oct_input_is_data(const OctNode *node, int32_t k) {
    static const char *const first_only[] = {"Resize", "Upsample", "Pad",  "Clip",
                                             "Tile",   "Expand",   "Slice"};
    const OctValue *input = oct_node_input(node, k);
    if (!input || input->dtype != OCTET_F32) {
        return false;
    }
    for (size_t i = 0; i < sizeof first_only / sizeof first_only[0]; i++) {
        if (k > 0 && oct_node_is(node, first_only[i])) {
            return false;
        }
    }
    return true;
}

bool oct_node_is_layer(const OctNode *node) {
    return oct_node_is(node, "Conv") || oct_node_is(node, "ConvTranspose") ||
           oct_node_is(node, "Gemm") || oct_node_is(node, "MatMul");
}
