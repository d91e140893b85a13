/* The order of the folding steps, for a graph and its children. */
#include "base/diag.h"
#include "onnx/fold.h"

static OctetStatus fold_graph(OctGraph *graph, OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_fold_movers(graph, diagnostic));
    OCT_TRY(oct_fold_quantized_constants(graph, diagnostic));
    OCT_TRY(oct_fold_pairs(graph, diagnostic));
    OCT_TRY(oct_fold_spread(graph, diagnostic));
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
