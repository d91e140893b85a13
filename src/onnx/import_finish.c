/* What follows once all nodes are there: folding, resolving, shapes, and the outcome. */
#include "base/diag.h"
#include "ir/op.h"
#include "onnx/fold.h"
#include "onnx/import.h"
#include "onnx/import_old.h"

/* Whether what was found so far is an end. */
static bool is_refused(const OctImport *import) {
    return import->findings.malformed || (import->findings.nodes > 0 && !import->lenient);
}

/* Shapes: from the inputs, then with what the file says where operators say nothing. */
static OctetStatus infer(OctImport *import) {
    OCT_TRY(oct_graph_infer(import->root, import->diagnostic));
    if (is_refused(import) || !oct_hints_apply(import)) {
        return OCTET_OK;
    }
    OctetDiagnostic ignored = {0};
    import->root->findings = NULL; /* what fails now is not a node's fault */
    OctetStatus status = oct_graph_infer(import->root, &ignored);
    import->root->findings = &import->findings;
    if (status == OCTET_OK) {
        return OCTET_OK;
    }
    oct_log(OCTET_LOG_WARNING, "shapes that the file states are wrong and ignored: %s",
            ignored.message);
    oct_hints_withdraw(import);
    return oct_graph_infer(import->root, import->diagnostic);
}

/* Folding takes values of unknown type for floats, before inference; whatever else is quantized in
 * the file (QuantizeLinear takes int32, too) shows now. */
static OctetStatus check_quantized(OctImport *import, OctGraph *graph) {
    for (int32_t i = 0; i < graph->value_count; i++) {
        OctValue *value = graph->values[i];
        if (!oct_value_quantized(value) || value->dtype == OCTET_F32) {
            continue;
        }
        if (value->dtype != OCTET_DTYPE_NONE) {
            OctetStatus status = oct_fail(import->diagnostic, OCTET_ERROR_UNSUPPORTED,
                                          "'%s' is of type %s; only floats can be quantized",
                                          value->name, octet_dtype_name(value->dtype));
            if (!value->producer) {
                return status;
            }
            OCT_TRY(oct_graph_fault(graph, value->producer, status, import->diagnostic));
            value->qparams.dtype = OCTET_DTYPE_NONE; /* a lenient import keeps the value */
            continue;
        }
        value->dtype = OCTET_F32;
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        OCT_TRY(check_quantized(import, graph->children[i]));
    }
    return OCTET_OK;
}

/* The parameters of all nodes that quantize, before any of them are folded away. */
static OctetStatus check_parameters(OctGraph *graph, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        if (!node->dead && !node->refused) {
            OctetStatus status = oct_check_qparams(node, diagnostic);
            OCT_TRY(oct_graph_fault(graph, node, status, diagnostic));
        }
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        OCT_TRY(check_parameters(graph->children[i], diagnostic));
    }
    return OCTET_OK;
}

/* A graph that is refused in any case stays as the file has it: more is found in it so. */
static OctetStatus fold(OctImport *import) {
    OctGraph *graph = import->root;
    OCT_TRY(oct_graph_compact(graph, import->diagnostic));
    OCT_TRY(oct_import_modernize(graph, import->diagnostic));
    if (!is_refused(import)) {
        OCT_TRY(oct_fold_qoperator(graph, import->diagnostic));
    }
    OCT_TRY(check_parameters(graph, import->diagnostic));
    return is_refused(import) ? OCTET_OK : oct_fold_qdq(graph, import->diagnostic);
}

OctetStatus oct_import_finish(OctImport *import) {
    OctGraph *graph = import->root;
    OCT_TRY(fold(import));
    OCT_TRY(oct_graph_resolve(graph, import->diagnostic));
    OCT_TRY(infer(import));
    OCT_TRY(check_quantized(import, graph));
    if (is_refused(import)) {
        return OCTET_OK;
    }
    if (import->narrowed || import->source.narrowed) {
        oct_log(OCTET_LOG_WARNING,
                "the model uses f16, bf16 or f64; Octet computes those parts in f32");
    }
    return oct_graph_verify(graph, import->diagnostic);
}

/* What ended the import early stands behind what was found in nodes before. */
OctetStatus oct_import_conclude(OctImport *import, OctetStatus status,
                                const OctetLoadOptions *options, OctetDiagnostic *diagnostic) {
    OctetDiagnostic *own = import->diagnostic;
    if (oct_is_fault(status) && import->findings.nodes > 0) {
        const OctFaultPlace last = {INT64_MAX, own->node, "", "", 0};
        status = oct_findings_add(&import->findings, &last, status, own);
    }
    if (status != OCTET_OK) {
        return oct_fail_node(diagnostic, status, own->node[0] ? own->node : NULL, "%s",
                             own->message);
    }
    oct_findings_sort(&import->findings);
    oct_findings_tell(&import->findings, options->on_findings, options->findings_user);
    return is_refused(import) ? oct_findings_fail(&import->findings, diagnostic) : OCTET_OK;
}
