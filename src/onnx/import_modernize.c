/* Which nodes are old, and what the rewriting of them needs to know: see import_old.h. */
#include "base/diag.h"
#include "ir/findings.h"
#include "onnx/import_old.h"

#include <string.h>

int32_t oct_old_rank(const OctOld *old, int32_t k) {
    const OctValue *value = oct_node_input(old->node, k);
    const OctetTensor *tensor = oct_value_tensor(value);
    if (tensor) {
        return tensor->shape.rank;
    }
    bool own = value && value->id >= 0 && value->id < old->value_count &&
               old->graph->values[value->id] == value;
    return own ? old->ranks[value->id] : -1;
}

static int32_t ints_of(const OctNode *node, const char *name) {
    const int64_t *ints;
    return oct_node_ints(node, name, &ints);
}

static int32_t output_rank(const OctOld *old) {
    const OctNode *node = old->node;
    int32_t rank = oct_old_rank(old, 0);
    const OctetTensor *shape = oct_value_tensor(oct_node_input(node, 1));
    static const char *const others[] = {"Shape",           "Size",        "Gather",  "Expand",
                                         "GatherND",        "TopK",        "NonZero", "OneHot",
                                         "ConstantOfShape", "ConstantFill"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        if (strcmp(node->op_type, others[i]) == 0 || *node->domain) {
            return -1;
        }
    }
    if (strcmp(node->op_type, "Reshape") == 0) {
        return shape && shape->shape.rank == 1 ? (int32_t)shape->shape.dims[0]
               : ints_of(node, "shape") > 0    ? ints_of(node, "shape")
                                               : -1;
    }
    if (strcmp(node->op_type, "Flatten") == 0 || strcmp(node->op_type, "Gemm") == 0) {
        return 2;
    }
    if (strcmp(node->op_type, "MatMul") == 0) {
        int32_t other = oct_old_rank(old, 1);
        return rank < 2 || other < 2 ? -1 : rank > other ? rank : other;
    }
    if (strcmp(node->op_type, "Squeeze") == 0) {
        int32_t axes = ints_of(node, "axes");
        return rank >= 0 && axes > 0 && axes <= rank ? rank - axes : -1;
    }
    if (strcmp(node->op_type, "Unsqueeze") == 0) {
        int32_t axes = ints_of(node, "axes");
        return rank >= 0 && axes <= OCTET_MAX_RANK - rank ? rank + axes : -1;
    }
    bool reduces =
        strncmp(node->op_type, "Reduce", 6) == 0 || strncmp(node->op_type, "Arg", 3) == 0;
    if (reduces && oct_node_int(node, "keepdims", 1) == 0) {
        return -1;
    }
    /* sums of several inputs have the largest rank */
    for (int32_t k = 1; k < node->input_count && rank >= 0; k++) {
        int32_t other = oct_old_rank(old, k);
        bool sums = strcmp(node->op_type, "Add") == 0 || strcmp(node->op_type, "Sub") == 0 ||
                    strcmp(node->op_type, "Mul") == 0 || strcmp(node->op_type, "Div") == 0;
        rank = sums && other > rank ? other : rank;
    }
    return rank;
}

static void note_ranks(const OctOld *old) {
    int32_t rank = output_rank(old);
    for (int32_t k = 0; k < old->node->output_count; k++) {
        const OctValue *value = old->node->outputs[k];
        if (value && value->id >= 0 && value->id < old->value_count) {
            old->ranks[value->id] = rank;
        }
    }
}

static bool has_old_nodes(const OctGraph *graph) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        if ((!*node->domain && node->opset < OCT_OLD_UNTIL) || oct_is_experimental(node)) {
            return true;
        }
    }
    return false;
}

static OctetStatus modernize_graph(OctGraph *graph, OctetDiagnostic *diagnostic) {
    OctOld old = {.graph = graph, .value_count = graph->value_count, .diagnostic = diagnostic};
    old.ranks = oct_calloc((size_t)graph->value_count + 1, sizeof *old.ranks);
    if (!old.ranks) {
        return oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < graph->value_count; i++) {
        old.ranks[i] = graph->values[i]->shape.rank;
    }
    int32_t count = graph->node_count;
    OctetStatus status = OCTET_OK;
    for (int32_t i = 0; i < count && status == OCTET_OK; i++) {
        old.node = graph->nodes[i];
        if (old.node->dead || old.node->refused) {
            continue;
        }
        if (!*old.node->domain) {
            status = oct_import_experimental(&old);
            status = status == OCTET_OK && !old.node->dead ? oct_import_old(&old) : status;
        }
        note_ranks(&old);
        status = oct_graph_fault(graph, old.node, status, diagnostic);
    }
    oct_free(old.ranks);
    return status == OCTET_OK ? oct_graph_compact(graph, diagnostic) : status;
}

/* The model is then of the version that its newest node is of. */
static bool raise_opset(OctGraph *graph) {
    int64_t newest = oct_graph_opset(graph, "");
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        newest = !*node->domain && node->opset > newest ? node->opset : newest;
    }
    return oct_graph_set_opset(graph, "", newest);
}

OctetStatus oct_import_modernize(OctGraph *graph, OctetDiagnostic *diagnostic) {
    if (has_old_nodes(graph)) {
        OCT_TRY(modernize_graph(graph, diagnostic));
        if (!raise_opset(graph)) {
            return oct_fail_memory(diagnostic);
        }
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        OCT_TRY(oct_import_modernize(graph->children[i], diagnostic));
    }
    return OCTET_OK;
}
