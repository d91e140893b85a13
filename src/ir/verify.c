#include "base/diag.h"
#include "ir/graph.h"
#include "quant/qparams.h"

#include <string.h>

static OctetStatus broken(OctetDiagnostic *diagnostic, const OctNode *node, const OctValue *value,
                          const char *reason) {
    return oct_fail_node(diagnostic, OCTET_ERROR_INTERNAL, node ? node->name : NULL,
                         "the graph is broken: %s%s%s", value ? value->name : "", value ? " " : "",
                         reason);
}

static OctetStatus verify_qparams(const OctValue *value, OctetDiagnostic *diagnostic) {
    const OctetQParams *q = &value->qparams;
    if (value->dtype != OCTET_F32) {
        return broken(diagnostic, value->producer, value, "is quantized but not f32");
    }
    if (q->count < 1 || !q->scale || !q->zero_point) {
        return broken(diagnostic, value->producer, value, "has qparams without a scale");
    }
    if (q->count > 1 && !value->constant) {
        return broken(diagnostic, value->producer, value,
                      "is not a constant but quantized per channel");
    }
    if (!oct_qparams_are_legal(q)) {
        return broken(diagnostic, value->producer, value,
                      "has a scale that is not positive and finite or a zero point outside its "
                      "type's range");
    }
    if (q->count > 1 && q->block_size == 0 && value->shape.rank >= 0 &&
        (q->axis < 0 || q->axis >= value->shape.rank || value->shape.dims[q->axis] != q->count)) {
        return broken(diagnostic, value->producer, value, "has an axis that does not fit");
    }
    return OCTET_OK;
}

static OctetStatus verify_value(const OctGraph *graph, int32_t id, OctetDiagnostic *diagnostic) {
    const OctValue *value = graph->values[id];
    if (value->id != id) {
        return broken(diagnostic, NULL, value, "has a wrong number");
    }
    if (!value->name || !*value->name ||
        oct_names_find(&graph->value_names, value->name) != value) {
        return broken(diagnostic, NULL, value, "can't be found by its name");
    }
    if ((value->is_input ? 1 : 0) + (value->constant ? 1 : 0) + (value->producer ? 1 : 0) > 1) {
        return broken(diagnostic, value->producer, value, "has more than one source");
    }
    const OctetTensor *tensor = oct_value_tensor(value);
    if (tensor) {
        if (tensor->dtype != oct_value_storage(value)) {
            return broken(diagnostic, NULL, value, "holds another type than it says");
        }
        if (!octet_shape_equal(&tensor->shape, &value->shape)) {
            return broken(diagnostic, NULL, value, "holds another shape than it says");
        }
    }
    return oct_value_quantized(value) ? verify_qparams(value, diagnostic) : OCTET_OK;
}

static bool owns(const OctGraph *graph, const OctValue *value) {
    return value->id >= 0 && value->id < graph->value_count && graph->values[value->id] == value;
}

static bool visible(const OctGraph *graph, const OctValue *value) {
    for (const OctGraph *g = graph; g; g = g->parent) {
        if (owns(g, value)) {
            return true;
        }
    }
    return false;
}

static OctetStatus verify_node(const OctGraph *graph, const OctNode *node, bool *made,
                               OctetDiagnostic *diagnostic) {
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        if (!input) {
            continue;
        }
        if (!visible(graph, input)) {
            return broken(diagnostic, node, input, "is used but not of this graph");
        }
        if (owns(graph, input) && !input->is_input && !input->constant && !made[input->id]) {
            return broken(diagnostic, node, input, "is used before it is made");
        }
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        const OctValue *output = node->outputs[k];
        if (!output) {
            continue;
        }
        if (!owns(graph, output) || output->producer != node || made[output->id]) {
            return broken(diagnostic, node, output, "is not made by this node alone");
        }
        made[output->id] = true;
    }
    return OCTET_OK;
}

OctetStatus oct_graph_verify(const OctGraph *graph, OctetDiagnostic *diagnostic) {
    bool *made = oct_calloc((size_t)graph->value_count + 1, sizeof *made);
    OctetStatus status = made ? OCTET_OK : oct_fail_memory(diagnostic);
    for (int32_t i = 0; i < graph->value_count && status == OCTET_OK; i++) {
        status = verify_value(graph, i, diagnostic);
    }
    for (int32_t i = 0; i < graph->node_count && status == OCTET_OK; i++) {
        if (!graph->nodes[i]->dead) {
            status = verify_node(graph, graph->nodes[i], made, diagnostic);
        }
    }
    for (int32_t i = 0; i < graph->output_count && status == OCTET_OK; i++) {
        const OctValue *output = graph->outputs[i];
        if (!visible(graph, output) || !output->is_output) {
            status = broken(diagnostic, NULL, output, "is an output but not of this graph");
        } else if (owns(graph, output) && !output->is_input && !output->constant &&
                   !made[output->id]) {
            status = broken(diagnostic, NULL, output, "is an output that nothing makes");
        }
    }
    for (int32_t i = 0; i < graph->child_count && status == OCTET_OK; i++) {
        status = oct_graph_verify(graph->children[i], diagnostic);
    }
    oct_free(made);
    return status;
}
