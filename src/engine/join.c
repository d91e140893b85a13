/* Concat without copying: where 8-bit convolutions make all of its parts for it alone, they write
 * them to their places among the joined channels, and the Concat becomes a Join, which does
 * nothing.
 */
#include "base/diag.h"
#include "engine/compile.h"
#include "engine/passes.h"
#include "engine/rewrite.h"
#include "ops/conv.h"

#include <string.h>

bool oct_node_is_join(const OctNode *node) {
    return strcmp(node->domain, "octet") == 0 && strcmp(node->op_type, "Join") == 0;
}

static bool makes_part(const OctetSession *session, const OctUses *uses, const OctValue *part,
                       const OctValue *whole) {
    const OctNode *layer = part->producer;
    return layer && oct_node_is(layer, "Conv") && !part->is_output && part->channels_last &&
           oct_uses_count(uses, part) == 1 && !oct_session_observes(session, part) &&
           part->qparams.dtype == OCTET_U8 &&
           octet_qparams_equal(&part->qparams, &whole->qparams) && oct_conv_writes_slices(layer);
}

static bool can_join(const OctetSession *session, const OctUses *uses, const OctNode *node) {
    const OctValue *whole = oct_node_output(node, 0);
    int64_t axis = oct_node_int(node, "axis", 1);
    int32_t rank = whole ? whole->shape.rank : 0;
    if (!oct_node_is(node, "Concat") || rank < 3 || (axis != rank - 1 && axis != -1) ||
        !whole->channels_last) {
        return false;
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        if (!node->inputs[k] || !makes_part(session, uses, node->inputs[k], whole)) {
            return false;
        }
    }
    return true;
}

static OctetStatus join(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    OctValue *whole = node->outputs[0];
    int64_t channels = whole->shape.dims[whole->shape.rank - 1];
    OctNode *made = oct_graph_insert_node(graph, node, "Join", "octet", node->name, node->inputs,
                                          node->input_count, &whole, 1);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->opset = 1;
    for (int32_t k = 0; k < made->input_count; k++) {
        if (!oct_node_set_int(graph, made->inputs[k]->producer, "output_stride", channels)) {
            return oct_fail_memory(diagnostic);
        }
    }
    oct_graph_remove_node(graph, node);
    return oct_resolve_node(made, diagnostic);
}

/* Offsets in the arena exist for what is planned alone: with anything that the data decide in the
 * graph, nothing is joined. */
static bool is_static(const OctGraph *graph) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        if (oct_node_has_graph(node)) {
            return false;
        }
        for (int32_t k = 0; k < node->output_count; k++) {
            if (node->outputs[k] && !oct_value_has_static_shape(node->outputs[k])) {
                return false;
            }
        }
    }
    return true;
}

OctetStatus oct_plan_join(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic) {
    OctUses uses = {0};
    int32_t count;
    if (session->options.requantize != OCTET_REQUANTIZE_ONNX || !is_static(graph)) {
        return OCTET_OK;
    }
    OCT_TRY(oct_graph_uses(graph, &uses, diagnostic));
    OctNode **nodes = oct_snapshot_nodes(graph, &count);
    OctetStatus status = nodes ? OCTET_OK : oct_fail_memory(diagnostic);
    for (int32_t i = 0; i < count && status == OCTET_OK; i++) {
        if (can_join(session, &uses, nodes[i])) {
            status = join(graph, nodes[i], diagnostic);
        }
    }
    oct_free(nodes);
    oct_uses_free(&uses);
    return status == OCTET_OK ? oct_graph_compact(graph, diagnostic) : status;
}
