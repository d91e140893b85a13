/* Folding of the engine's own conversions of constants, shared through the store. */
#include "base/diag.h"
#include "engine/passes.h"
#include "engine/rewrite.h"
#include "ops/evaluate.h"

#include <string.h>

/* ---- keys: everything that the result is a function of ---- */

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t bytes) {
    const unsigned char *p = data;
    for (size_t i = 0; i < bytes; i++) {
        hash = (hash ^ p[i]) * 1099511628211ULL;
    }
    return hash;
}

static uint64_t hash_text(uint64_t hash, const char *text) {
    return hash_bytes(hash, text, strlen(text) + 1);
}

static uint64_t hash_attribute(uint64_t hash, const OctAttribute *a) {
    uint64_t id;
    hash = hash_text(hash, a->name);
    hash = hash_bytes(hash, &a->type, sizeof a->type);
    switch (a->type) {
    case OCT_ATTRIBUTE_FLOAT:
        return hash_bytes(hash, &a->v.f, sizeof a->v.f);
    case OCT_ATTRIBUTE_INT:
        return hash_bytes(hash, &a->v.i, sizeof a->v.i);
    case OCT_ATTRIBUTE_STRING:
        return hash_text(hash, a->v.s);
    case OCT_ATTRIBUTE_TENSOR:
        id = oct_constant_id(a->v.tensor);
        return hash_bytes(hash, &id, sizeof id);
    case OCT_ATTRIBUTE_FLOATS:
        return hash_bytes(hash, a->v.floats, (size_t)a->count * sizeof *a->v.floats);
    case OCT_ATTRIBUTE_INTS:
        return hash_bytes(hash, a->v.ints, (size_t)a->count * sizeof *a->v.ints);
    case OCT_ATTRIBUTE_STRINGS:
        for (int32_t i = 0; i < a->count; i++) {
            hash = hash_text(hash, a->v.strings[i]);
        }
        return hash;
    case OCT_ATTRIBUTE_GRAPH: /* never folded */
        break;
    }
    return hash;
}

static uint64_t hash_qparams(uint64_t hash, const OctetQParams *q) {
    hash = hash_bytes(hash, &q->dtype, sizeof q->dtype);
    if (q->dtype != OCTET_DTYPE_NONE) {
        hash = hash_bytes(hash, &q->axis, sizeof q->axis);
        hash = hash_bytes(hash, &q->block_size, sizeof q->block_size);
        hash = hash_bytes(hash, q->scale, (size_t)q->count * sizeof *q->scale);
        hash = hash_bytes(hash, q->zero_point, (size_t)q->count * sizeof *q->zero_point);
    }
    return hash;
}

enum { SECOND_START = 0x1b873593, LISTED_BYTES = 512 };

static bool key_of(const OctNode *node, OctPackKey *key) {
    const size_t places = sizeof key->constants / sizeof key->constants[0];
    *key = (OctPackKey){.kernel = node->op_type};
    if (node->output_count != 1 || (size_t)node->input_count > places) {
        return false;
    }
    uint64_t hash = hash_text(14695981039346656037ULL, node->domain);
    uint64_t second = SECOND_START;
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        const OctetTensor *tensor = oct_value_tensor(input);
        if (!input) {
            continue;
        }
        if (tensor->dtype == OCTET_S64 && tensor->bytes <= LISTED_BYTES) {
            /* a list of axes or sizes, made anew for every plan: its content counts */
            hash = hash_bytes(hash, tensor->data, tensor->bytes);
        } else {
            key->constants[k] = oct_constant_id(input->constant);
        }
        hash = hash_qparams(hash, &input->qparams);
    }
    for (int32_t i = 0; i < node->attribute_count; i++) {
        hash = hash_attribute(hash, &node->attributes[i]);
        second = hash_attribute(second, &node->attributes[i]);
    }
    hash = hash_qparams(hash, &node->outputs[0]->qparams);
    hash = hash_bytes(hash, &node->activation, sizeof node->activation);
    key->parameters[0] = hash;
    key->parameters[1] = second;
    key->parameters[2] = (uint64_t)node->opset;
    return true;
}

/* ---- evaluating ---- */

typedef struct Fold {
    OctGraph *graph;
    OctNode *node;
} Fold;

static OctetStatus derive(void *user, OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    Fold *fold = user;
    return oct_node_evaluate(fold->graph, fold->node, SIZE_MAX, tensor, diagnostic);
}

static OctetStatus fold_node(OctGraph *graph, OctNode *node, const OctPackKey *key,
                             OctPackStore *packs, OctetDiagnostic *diagnostic) {
    Fold fold = {graph, node};
    OctConstant *constant;
    OctValue *output = node->outputs[0];
    OCT_TRY(oct_pack_constant(packs, key, derive, &fold, &constant, diagnostic));
    oct_graph_remove_node(graph, node);
    oct_value_take_constant(output, constant);
    return OCTET_OK;
}

/* Conversions and permutations keep a constant's size within a factor of 4. */
static bool is_conversion(const OctNode *node) {
    return strcmp(node->domain, "octet") == 0 || oct_node_is(node, "Transpose") ||
           oct_node_is(node, "Reshape");
}

OctetStatus oct_plan_fold(OctetSession *session, OctGraph *graph, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        OctPackKey key;
        if (!node->dead && is_conversion(node) && oct_node_is_evaluable(node) &&
            !node->outputs[0]->is_output && key_of(node, &key)) {
            OCT_TRY(fold_node(graph, node, &key, session->packs, diagnostic));
        }
    }
    return OCTET_OK;
}
