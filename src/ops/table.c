/* All operators in one table, and the resolution of a graph's nodes against it. */
#include "ir/findings.h"
#include "octet/operators.h"
#include "ops/families.h"
#include "ops/ops.h"

#include <string.h>

typedef struct Family {
    const OctOp *ops;
    const size_t *count;
} Family;

#define DECLARE(name)                                                                              \
    extern const OctOp oct_ops_##name[];                                                           \
    extern const size_t oct_ops_##name##_count;
OCT_OP_FAMILIES_TENSOR(DECLARE)
OCT_OP_FAMILIES_NETWORK(DECLARE)
OCT_OP_FAMILIES_ENGINE(DECLARE)
#undef DECLARE

#define LIST(name) {oct_ops_##name, &oct_ops_##name##_count},
static const Family families[] = {OCT_OP_FAMILIES_TENSOR(LIST) OCT_OP_FAMILIES_NETWORK(LIST)
                                      OCT_OP_FAMILIES_ENGINE(LIST)};
#undef LIST

const OctOp *oct_op_at(size_t index) {
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        if (index < *families[f].count) {
            return families[f].ops + index;
        }
        index -= *families[f].count;
    }
    return NULL;
}

static const OctOp *find(const char *domain, const char *name, int64_t opset, bool any_version) {
    for (size_t f = 0; f < sizeof families / sizeof families[0]; f++) {
        for (size_t i = 0; i < *families[f].count; i++) {
            const OctOp *op = families[f].ops + i;
            if (oct_same_name(op->name, name) && strcmp(op->domain, domain) == 0 &&
                (any_version || (opset >= op->since && (op->until == 0 || opset <= op->until)))) {
                return op;
            }
        }
    }
    return NULL;
}

const OctOp *oct_op_find(const char *domain, const char *name, int64_t opset) {
    domain = strcmp(domain, "ai.onnx") == 0 ? "" : domain;
    const OctOp *op = find(domain, name, opset, false);
    return op ? op : oct_custom_find(domain, name, opset);
}

bool octet_operator_at(size_t index, OctetOperatorInfo *info) {
    const OctOp *op = oct_op_at(index);
    if (op) {
        *info = (OctetOperatorInfo){.domain = op->domain,
                                    .name = op->name,
                                    .since = op->since,
                                    .until = op->until,
                                    .int8 = (op->flags & OCT_OP_INT8) != 0};
    }
    return op != NULL;
}

static OctetStatus check_counts(const OctNode *node, OctetDiagnostic *diagnostic) {
    const OctOp *op = node->op;
    int32_t inputs = node->input_count;
    if (inputs < op->min_inputs || (op->max_inputs >= 0 && inputs > op->max_inputs)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node,
                           "has %d inputs, which is not legal", (int)inputs);
    }
    int32_t outputs = node->output_count;
    if (outputs < op->min_outputs || (op->max_outputs >= 0 && outputs > op->max_outputs)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node,
                           "has %d outputs, which is not legal", (int)outputs);
    }
    for (int32_t k = 0; k < op->min_inputs; k++) {
        if (!node->inputs[k]) {
            return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "lacks its input %d", (int)k);
        }
    }
    return OCTET_OK;
}

static OctetStatus fail_missing(const OctNode *node, OctetDiagnostic *diagnostic) {
    bool other_opset = find(node->domain, node->op_type, 0, true) != NULL;
    return oct_fail_node(diagnostic, OCTET_ERROR_UNSUPPORTED, node->name,
                         "%s%s%s%s of opset %d is not supported", other_opset ? "" : "operator ",
                         node->domain, node->domain[0] ? "." : "", node->op_type, (int)node->opset);
}

static OctetStatus resolve_node(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    node->op = oct_op_find(node->domain, node->op_type, node->opset);
    if (!node->op) {
        return fail_missing(node, diagnostic);
    }
    OCT_TRY(check_counts(node, diagnostic));
    OCT_TRY(oct_check_float8(node, diagnostic));
    return node->op->check ? node->op->check(graph, node, diagnostic) : OCTET_OK;
}

OctetStatus oct_graph_resolve(OctGraph *graph, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        if (!node->dead && !node->refused) {
            OctetStatus status = resolve_node(graph, node, diagnostic);
            OCT_TRY(oct_graph_fault(graph, node, status, diagnostic));
        }
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        OCT_TRY(oct_graph_resolve(graph->children[i], diagnostic));
    }
    return OCTET_OK;
}
