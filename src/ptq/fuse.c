#include "base/diag.h"
#include "ir/op.h"
#include "octet/ptq.h"
#include "passes/passes.h"

OctetStatus octet_fuse(OctetGraph *graph, OctetDiagnostic *diagnostic) {
    static const OctPass passes[] = {oct_pass_matmul_to_gemm, oct_pass_fold_pads,
                                     oct_pass_fold_batch_norm, oct_pass_fuse_activations};
    if (graph->quantized) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE,
                        "the model is quantized already; fusing comes before quantizing");
    }
    OCT_TRY(oct_graph_infer(graph, diagnostic));
    OCT_TRY(oct_passes_simplify(graph, diagnostic));
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++) {
        OCT_TRY(oct_pass_run(passes[i], graph, diagnostic));
    }
    OCT_TRY(oct_graph_infer(graph, diagnostic));
    return oct_passes_simplify(graph, diagnostic);
}
