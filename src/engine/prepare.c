#include "base/diag.h"
#include "base/threads.h"
#include "engine/engine.h"

#include <string.h>

static bool computes_on_grids(const OctNode *node) {
    bool inner = strcmp(node->domain, "octet") == 0;
    for (int32_t k = 0; k < node->input_count && !inner; k++) {
        if (node->inputs[k] && oct_value_quantized(node->inputs[k])) {
            return true;
        }
    }
    return false;
}

static OctetStatus note_float_node(OctetSession *session, const OctNode *node, const char *reason,
                                   OctetDiagnostic *diagnostic) {
    if (!oct_grow(&session->float_nodes, &session->float_node_capacity,
                  session->float_node_count + 1, sizeof *session->float_nodes)) {
        return oct_fail_memory(diagnostic);
    }
    struct OctFloatNode *note = &session->float_nodes[session->float_node_count];
    note->name = oct_strdup(node->name);
    note->reason = oct_strdup(reason);
    if (!note->name || !note->reason) {
        oct_free(note->name);
        oct_free(note->reason);
        return oct_fail_memory(diagnostic);
    }
    session->float_node_count++;
    session->replan = true;
    return OCTET_ERROR_UNSUPPORTED;
}

OctetStatus oct_prepare_node(OctetSession *session, const OctGraph *graph, const OctNode *node,
                             uint64_t table_limit, OctPreparedOp *op, OctetDiagnostic *diagnostic) {
    OctetDiagnostic own = {0};
    OctPrepare prepare = {.graph = graph,
                          .node = node,
                          .cpu = octet_get_cpu(),
                          .requantize = session->options.requantize,
                          .threads = oct_pool_size(session->options.pool),
                          .packs = session->packs,
                          .table_limit = table_limit,
                          .diagnostic = &own};
    OCT_TRY(oct_go_on(diagnostic));
    OCT_TRY(oct_check_float8(node, diagnostic));
    OctetStatus status = node->op->prepare(&prepare, op);
    bool known = status == OCTET_ERROR_UNSUPPORTED && computes_on_grids(node) &&
                 !node->keep_float && oct_graph_find_node(session->base, node->name);
    if (known) {
        return note_float_node(session, node, own.message, diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_limits_check_work(&session->options.limits, op->macs, prepare.threads, &own);
    }
    if (status != OCTET_OK) {
        oct_fail_node(diagnostic, status, *own.node ? own.node : node->name, "%s", own.message);
    }
    return status;
}
