/* Kernels know one pair of types: u8 activations and s8 weights. Tensors of the other signedness
 * move by 128, integers and zero points alike, which changes no real number. */
#include "base/diag.h"
#include "engine/passes.h"
#include "engine/rewrite.h"

typedef struct Rebasing {
    OctPackStore *packs;
    OctGraph *graph;
    OctetDiagnostic *diagnostic;
} Rebasing;

typedef struct Rebase {
    const OctValue *value;
    OctetDType to;
} Rebase;

/* u8 to s8 or back: 128 off the integers and off the zero points. */
static OctetStatus rebase_tensor(void *user, OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    const Rebase *rebase = user;
    const OctetTensor *from = oct_value_tensor(rebase->value);
    OctetQParams qparams = rebase->value->qparams;
    int32_t shift = rebase->to == OCTET_U8 ? 128 : -128;
    OCT_TRY(octet_tensor_create(rebase->to, &from->shape, tensor, diagnostic));
    uint8_t *out = (*tensor)->data;
    const uint8_t *in = from->data;
    for (size_t i = 0; i < from->bytes; i++) {
        out[i] = in[i] ^ 0x80;
    }
    qparams.dtype = rebase->to;
    OctetStatus status = octet_tensor_set_qparams(*tensor, &qparams, diagnostic);
    if (status != OCTET_OK) {
        octet_tensor_free(*tensor);
        *tensor = NULL;
        return status;
    }
    for (int64_t i = 0; i < qparams.count; i++) {
        (*tensor)->qparams.zero_point[i] += shift;
    }
    return OCTET_OK;
}

static OctetStatus rebase_constant(Rebasing *r, OctNode *node, int32_t k, OctetDType to) {
    OctValue *value = node->inputs[k];
    OctValue *rebased;
    OctConstant *constant;
    Rebase rebase = {value, to};
    OctPackKey key = {.kernel = "rebase", .constants = {oct_constant_id(value->constant)}};
    OCT_TRY(oct_pack_constant(r->packs, &key, rebase_tensor, &rebase, &constant, r->diagnostic));
    OctetStatus status =
        oct_add_shared_constant(r->graph, value->name, constant, &rebased, r->diagnostic);
    oct_constant_release(constant);
    if (status == OCTET_OK) {
        node->inputs[k] = rebased;
    }
    return status;
}

/* Activations become u8, weights of matrix products s8. The integers of the caller's tensors stay
 * as they are: the conversions at the border translate. */
static OctetStatus rebase_all(Rebasing *r) {
    for (int32_t i = 0; i < r->graph->value_count; i++) {
        OctValue *value = r->graph->values[i];
        if (value->qparams.dtype == OCTET_S8 && value->producer && !value->is_output) {
            int32_t zero_point = value->qparams.zero_point[0] + 128;
            OctetQParams moved = value->qparams;
            moved.dtype = OCTET_U8;
            moved.zero_point = &zero_point;
            if (!oct_graph_set_qparams(r->graph, value, &moved)) {
                return oct_fail_memory(r->diagnostic);
            }
        }
    }
    for (int32_t i = 0; i < r->graph->node_count; i++) {
        OctNode *node = r->graph->nodes[i];
        for (int32_t k = 0; k < node->input_count; k++) {
            const OctValue *input = node->inputs[k];
            if (!input || !input->constant) {
                continue;
            }
            OctetDType dtype = input->qparams.dtype;
            OctetDType want = k == 1 && oct_node_is_layer(node) ? OCTET_S8 : OCTET_U8;
            if ((dtype == OCTET_U8 || dtype == OCTET_S8) && dtype != want) {
                OCT_TRY(rebase_constant(r, node, k, want));
            }
        }
    }
    return OCTET_OK;
}

OctetStatus oct_plan_rebase(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic) {
    Rebasing r = {session->packs, graph, diagnostic};
    return rebase_all(&r);
}
