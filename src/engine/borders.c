/* What stands between the caller's tensors and the network's values. */
#include "base/diag.h"
#include "engine/passes.h"
#include "engine/rewrite.h"

static const OctetQParams none = {.axis = -1};

/* A quantized input is given as floats: the graph gets a float input and a Quantize. Given as
 * integers it stays what it is; regions rebase it if it is s8. */
static OctetStatus quantize_input(OctGraph *graph, int32_t index, OctetDiagnostic *diagnostic) {
    OctValue *value = graph->inputs[index];
    OctValue *real = oct_graph_add_value(graph, value->name);
    OctNode *first = graph->node_count ? graph->nodes[0] : NULL;
    if (!real) {
        return oct_fail_memory(diagnostic);
    }
    real->dtype = OCTET_F32;
    real->shape = value->shape;
    real->is_input = true;
    graph->inputs[index] = real;
    value->is_input = false;
    OctNode *node =
        oct_graph_insert_node(graph, first, "Quantize", "octet", value->name, &real, 1, &value, 1);
    if (!node) {
        return oct_fail_memory(diagnostic);
    }
    node->opset = 1;
    return oct_resolve_node(node, diagnostic);
}

/* Integers in the caller's tensor must not be read beyond its end, as kernels do with rows of
 * activations, and s8 has to become u8: both by a node at the start. */
static OctetStatus take_integers(OctGraph *graph, int32_t index, OctetDiagnostic *diagnostic) {
    OctValue *value = graph->inputs[index];
    OctValue *raw = oct_graph_add_value(graph, value->name);
    OctNode *first = graph->node_count ? graph->nodes[0] : NULL;
    if (!raw || !oct_graph_set_qparams(graph, raw, &value->qparams)) {
        return oct_fail_memory(diagnostic);
    }
    raw->dtype = OCTET_F32;
    raw->shape = value->shape;
    raw->is_input = true;
    graph->inputs[index] = raw;
    value->is_input = false;
    OctNode *node =
        oct_graph_insert_node(graph, first, "Requantize", "octet", value->name, &raw, 1, &value, 1);
    if (!node) {
        return oct_fail_memory(diagnostic);
    }
    node->opset = 1;
    return oct_resolve_node(node, diagnostic);
}

static OctetStatus convert_output(OctGraph *graph, int32_t index, const OctetQParams *qparams,
                                  OctetDiagnostic *diagnostic) {
    OctValue *value = graph->outputs[index];
    OctValue *converted;
    OCT_TRY(oct_insert_conversion(graph, NULL, value, qparams, &converted, diagnostic));
    for (int32_t i = index; i < graph->output_count; i++) {
        if (graph->outputs[i] == value) {
            graph->outputs[i] = converted;
        }
    }
    value->is_output = false;
    converted->is_output = true;
    converted->origin = NULL; /* observers are shown the value itself */
    return OCTET_OK;
}

OctetStatus oct_plan_borders(OctetSession *session, OctPlan *plan, OctetDiagnostic *diagnostic) {
    OctGraph *graph = plan->graph;
    for (int32_t i = 0; i < graph->input_count; i++) {
        if (oct_value_quantized(graph->inputs[i])) {
            OCT_TRY(plan->input_integers[i] ? take_integers(graph, i, diagnostic)
                                            : quantize_input(graph, i, diagnostic));
        }
    }
    for (int32_t i = 0; i < graph->output_count; i++) {
        const OctValue *value = graph->outputs[i];
        bool quantized = oct_value_quantized(value);
        if (quantized && !session->options.int8_outputs) {
            OCT_TRY(convert_output(graph, i, &none, diagnostic));
        } else if (quantized && value->qparams.dtype == OCTET_S8) {
            OCT_TRY(convert_output(graph, i, &value->qparams, diagnostic));
        }
    }
    return OCTET_OK;
}
