/* Taking a part out of a graph. */
#include "base/diag.h"
#include "base/mem.h"
#include "ir/graph.h"
#include "octet/graph.h"

static bool is_own(const OctGraph *graph, const OctValue *value) {
    return value && value->id >= 0 && value->id < graph->value_count &&
           graph->values[value->id] == value;
}

/* Detaches the copy's inputs and outputs, and makes those of the part. Values are found by their
 * numbers, which a clone keeps. */
static OctetStatus set_borders(const OctGraph *graph, const OctetValue *const *inputs,
                               size_t input_count, const OctetValue *const *outputs,
                               size_t output_count, OctGraph *part, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < part->value_count; i++) {
        part->values[i]->is_input = part->values[i]->is_output = false;
    }
    part->input_count = part->output_count = 0;
    for (size_t i = 0; i < input_count + output_count; i++) {
        bool input = i < input_count;
        const OctValue *value = input ? inputs[i] : outputs[i - input_count];
        if (!is_own(graph, value) || (input && value->constant)) {
            return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                            "the borders of a part must be values of the graph, and its inputs no "
                            "constants");
        }
        OctValue *copy = part->values[value->id];
        if (input && copy->producer) {
            copy->known = NULL; /* whoever runs the part may give other numbers */
            copy->known_count = 0;
        }
        if (!(input ? oct_graph_add_input(part, copy) : oct_graph_add_output(part, copy))) {
            return oct_fail_memory(diagnostic);
        }
    }
    return OCTET_OK;
}

/* Marks what the outputs need. Nodes stand in topological order, so one sweep from the back sees
 * all uses of a value before the node that makes it. */
static OctetStatus keep_needed(OctGraph *part, bool *needed, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < part->output_count; i++) {
        needed[part->outputs[i]->id] = true;
    }
    for (int32_t i = part->node_count - 1; i >= 0; i--) {
        OctNode *node = part->nodes[i];
        bool keep = false;
        for (int32_t k = 0; k < node->output_count; k++) {
            const OctValue *output = node->outputs[k];
            keep = keep || (output && needed[output->id] && !output->is_input);
        }
        if (!keep) {
            oct_graph_remove_node(part, node);
            continue;
        }
        for (int32_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] && node->outputs[k]->is_input) {
                node->outputs[k]->producer = NULL;
                node->outputs[k] = NULL;
            }
        }
        for (int32_t k = 0; k < node->input_count; k++) {
            if (node->inputs[k]) {
                needed[node->inputs[k]->id] = true;
            }
        }
    }
    for (int32_t i = 0; i < part->value_count; i++) {
        const OctValue *value = part->values[i];
        if (needed[i] && !value->producer && !value->constant && !value->is_input) {
            return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                            "the part needs the value %s, which is not among its inputs",
                            value->name);
        }
    }
    return OCTET_OK;
}

OctetStatus octet_graph_extract(const OctetGraph *graph, const OctetValue *const *inputs,
                                size_t input_count, const OctetValue *const *outputs,
                                size_t output_count, OctetGraph **part,
                                OctetDiagnostic *diagnostic) {
    OctGraph *made = NULL;
    *part = NULL;
    if (graph->child_count > 0) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "graphs with subgraphs can't be taken apart");
    }
    OCT_TRY(oct_graph_clone(graph, &made, diagnostic));
    bool *needed = oct_calloc((size_t)made->value_count + 1, sizeof *needed);
    OctetStatus status = needed ? OCTET_OK : oct_fail_memory(diagnostic);
    if (status == OCTET_OK) {
        status = set_borders(graph, inputs, input_count, outputs, output_count, made, diagnostic);
    }
    if (status == OCTET_OK) {
        status = keep_needed(made, needed, diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_graph_compact(made, diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_graph_verify(made, diagnostic);
    }
    oct_free(needed);
    if (status != OCTET_OK) {
        oct_graph_free(made);
        return status;
    }
    *part = made;
    return OCTET_OK;
}
