/* All operators in one table, and the resolution of a graph's nodes against it. */
#include "octet/operators.h"
#include "ops/families.h"
#include "ops/ops.h"

#include <stdio.h>
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
            if (op->name[0] == name[0] && strcmp(op->name, name) == 0 &&
                strcmp(op->domain, domain) == 0 &&
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

/* The list of what is unsupported, collected over all nodes. */
typedef struct Complaints {
    int count;
    size_t used;
    char text[960];
    char first_node[192];
} Complaints;

static void complain(Complaints *complaints, const OctNode *node, const char *reason) {
    if (complaints->count++ == 0) {
        snprintf(complaints->first_node, sizeof complaints->first_node, "%s", node->name);
    }
    /* the same operator often stands in many nodes: name it once */
    char line[400];
    snprintf(line, sizeof line, "%s", reason);
    if (strstr(complaints->text, line)) {
        return;
    }
    size_t room = sizeof complaints->text - complaints->used;
    int written = snprintf(complaints->text + complaints->used, room, "%s%s (first at node '%s')",
                           complaints->used ? "; " : "", line, node->name);
    if (written > 0) {
        complaints->used += (size_t)written < room ? (size_t)written : room - 1;
    }
}

static void complain_missing(Complaints *complaints, const OctNode *node) {
    char reason[300];
    const char *separator = node->domain[0] ? "." : "";
    if (find(node->domain, node->op_type, 0, true)) {
        snprintf(reason, sizeof reason, "%s%s%s of opset %d is not supported", node->domain,
                 separator, node->op_type, (int)node->opset);
    } else {
        snprintf(reason, sizeof reason, "operator %s%s%s of opset %d is not supported",
                 node->domain, separator, node->op_type, (int)node->opset);
    }
    complain(complaints, node, reason);
}

static OctetStatus resolve_node(OctGraph *graph, OctNode *node, Complaints *complaints,
                                OctetDiagnostic *diagnostic) {
    node->op = oct_op_find(node->domain, node->op_type, node->opset);
    if (!node->op) {
        complain_missing(complaints, node);
        return OCTET_OK;
    }
    OCT_TRY(check_counts(node, diagnostic));
    if (!node->op->check) {
        return OCTET_OK;
    }
    OctetDiagnostic own = {0};
    OctetStatus status = node->op->check(graph, node, &own);
    if (status == OCTET_ERROR_UNSUPPORTED) {
        complain(complaints, node, own.message);
        node->op = NULL;
        return OCTET_OK;
    }
    if (status != OCTET_OK) {
        return oct_fail_node(diagnostic, status, node->name, "%s", own.message);
    }
    return OCTET_OK;
}

static OctetStatus resolve_graph(OctGraph *graph, Complaints *complaints,
                                 OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        if (!graph->nodes[i]->dead) {
            OCT_TRY(resolve_node(graph, graph->nodes[i], complaints, diagnostic));
        }
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        OCT_TRY(resolve_graph(graph->children[i], complaints, diagnostic));
    }
    return OCTET_OK;
}

OctetStatus oct_graph_resolve(OctGraph *graph, bool lenient, OctetDiagnostic *diagnostic) {
    Complaints complaints = {0};
    OCT_TRY(resolve_graph(graph, &complaints, diagnostic));
    if (complaints.count == 0 || lenient) {
        return OCTET_OK;
    }
    if (complaints.count == 1) {
        return oct_fail_node(diagnostic, OCTET_ERROR_UNSUPPORTED, complaints.first_node, "%s",
                             complaints.text);
    }
    return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED, "%d nodes can't be run: %s",
                    complaints.count, complaints.text);
}
