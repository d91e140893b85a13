#include "passes/passes.h"

#include "base/diag.h"
#include "base/patience.h"

OctetStatus oct_pass_run(OctPass pass, OctGraph *graph, OctetDiagnostic *diagnostic) {
    OCT_TRY(pass(graph, diagnostic));
    OCT_TRY(oct_go_on(diagnostic));
    OCT_TRY(oct_graph_compact(graph, diagnostic));
#ifdef OCTET_CHECKS
    OCT_TRY(oct_graph_verify(graph, diagnostic));
#endif
    return OCTET_OK;
}

OctetStatus oct_passes_simplify(OctGraph *graph, OctetDiagnostic *diagnostic) {
    static const OctPass passes[] = {oct_pass_fold_constants, oct_pass_remove_identities,
                                     oct_pass_merge_common, oct_pass_remove_dead};
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        OCT_TRY(oct_pass_run(passes[i], graph, diagnostic));
    }
    return OCTET_OK;
}
