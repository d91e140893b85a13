#include "base/diag.h"
#include "passes/passes.h"

OctetStatus oct_pass_remove_dead(OctGraph *graph, OctetDiagnostic *diagnostic) {
    OctUses uses;
    OCT_TRY(oct_graph_uses(graph, &uses, diagnostic));
    /* the counts change as nodes go; a node's inputs come before it, so one sweep from the back
     * sees every node after all of its consumers */
    int32_t *count = oct_calloc((size_t)graph->value_count + 1, sizeof *count);
    if (!count) {
        oct_uses_free(&uses);
        return oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < graph->value_count; i++) {
        count[i] = oct_uses_count(&uses, graph->values[i]);
    }
    for (int32_t i = graph->node_count - 1; i >= 0; i--) {
        OctNode *node = graph->nodes[i];
        bool used = false;
        bool has_body = false;
        for (int32_t k = 0; k < node->output_count; k++) {
            const OctValue *output = node->outputs[k];
            used = used || (output && (output->is_output || count[output->id] > 0));
        }
        for (int32_t k = 0; k < node->attribute_count; k++) {
            has_body = has_body || node->attributes[k].type == OCT_ATTRIBUTE_GRAPH;
        }
        if (used || node->dead || has_body) {
            continue;
        }
        for (int32_t k = 0; k < node->input_count; k++) {
            const OctValue *input = node->inputs[k];
            bool own = input && input->id >= 0 && input->id < graph->value_count &&
                       graph->values[input->id] == input;
            count[own ? input->id : graph->value_count] -= 1;
        }
        oct_graph_remove_node(graph, node);
    }
    oct_free(count);
    oct_uses_free(&uses);
    return OCTET_OK;
}
