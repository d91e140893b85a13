#include "base/diag.h"
#include "base/patience.h"
#include "ir/op.h"
#include "octet/ptq.h"
#include "passes/passes.h"

/* A quantized graph's weights are final, so that nothing can be multiplied into them; activations
 * that a file keeps apart from their layers join them all the same. */
static OctetStatus fuse_quantized(OctGraph *graph, OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_passes_simplify(graph, diagnostic));
    return oct_pass_run(oct_pass_fuse_activations, graph, diagnostic);
}

static OctetStatus fuse(OctetGraph *graph, OctetDiagnostic *diagnostic) {
    static const OctPass passes[] = {oct_pass_matmul_to_gemm, oct_pass_fold_pads,
                                     oct_pass_fold_batch_norm, oct_pass_fuse_activations};
    OCT_TRY(oct_graph_infer(graph, diagnostic));
    if (graph->quantized) {
        return fuse_quantized(graph, diagnostic);
    }
    OCT_TRY(oct_passes_simplify(graph, diagnostic));
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        OCT_TRY(oct_pass_run(passes[i], graph, diagnostic));
    }
    OCT_TRY(oct_graph_infer(graph, diagnostic));
    return oct_passes_simplify(graph, diagnostic);
}

OctetStatus octet_fuse(OctetGraph *graph, OctetDiagnostic *diagnostic) {
    OctPatience patience;
    oct_graph_begin(graph, &patience);
    OctetStatus status = fuse(graph, diagnostic);
    oct_patience_end(&patience);
    return status;
}
