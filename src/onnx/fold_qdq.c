/* The order of the folding steps, for a graph and its children. */
#include "base/diag.h"
#include "onnx/fold.h"

/* Values that held integers in the file and now are real: "x_quantized" becomes "x", if that name
 * is free. */
static OctetStatus rename_reals(OctGraph *graph, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < graph->value_count; i++) {
        OctValue *value = graph->values[i];
        if (!oct_value_quantized(value) || value->is_input || value->is_output) {
            continue;
        }
        const char *name = oct_name_of_real(graph, value->name);
        if (name && (name == value->name || oct_graph_find_value(graph, name))) {
            continue;
        }
        if (!name || !oct_names_set(&graph->value_names, name, value) ||
            !oct_names_set(&graph->value_names, value->name, NULL)) {
            return oct_fail_memory(diagnostic);
        }
        value->name = name;
    }
    return OCTET_OK;
}

static OctetStatus fold_graph(OctGraph *graph, OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_fold_movers(graph, diagnostic));
    OCT_TRY(oct_fold_quantized_constants(graph, diagnostic));
    OCT_TRY(oct_fold_pairs(graph, diagnostic));
    OCT_TRY(oct_fold_spread(graph, diagnostic));
    OCT_TRY(rename_reals(graph, diagnostic));
    for (int32_t i = 0; i < graph->child_count; i++) {
        OCT_TRY(fold_graph(graph->children[i], diagnostic));
    }
    return OCTET_OK;
}

static bool any_quantized(const OctGraph *graph) {
    for (int32_t i = 0; i < graph->value_count; i++) {
        if (oct_value_quantized(graph->values[i])) {
            return true;
        }
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        if (any_quantized(graph->children[i])) {
            return true;
        }
    }
    return false;
}

OctetStatus oct_fold_qdq(OctGraph *graph, OctetDiagnostic *diagnostic) {
    OCT_TRY(fold_graph(graph, diagnostic));
    graph->quantized = any_quantized(graph);
    return OCTET_OK;
}
