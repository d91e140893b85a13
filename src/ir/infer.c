#include "base/diag.h"
#include "base/float8.h"
#include "base/patience.h"
#include "ir/findings.h"
#include "ir/op.h"

#include <string.h>

/* What a file says of a value and what inference finds must agree where both are numbers; what is
 * known more precisely wins. */
static OctetStatus merge(OctValue *value, OctetDType dtype, const OctetShape *declared,
                         OctetDiagnostic *diagnostic) {
    char found[128];
    char said[128];
    if (value->dtype == OCTET_DTYPE_NONE) {
        value->dtype = dtype;
    }
    if (declared->rank < 0) {
        return OCTET_OK;
    }
    if (value->shape.rank < 0) {
        value->shape = *declared;
        return OCTET_OK;
    }
    bool fits = value->shape.rank == declared->rank;
    for (int32_t i = 0; fits && i < declared->rank; i++) {
        int64_t a = value->shape.dims[i];
        int64_t b = declared->dims[i];
        if (a >= 0 && b >= 0 && a != b) {
            fits = false;
        } else if (a < 0 && (b >= 0 || a == OCT_DIM_UNKNOWN)) {
            value->shape.dims[i] = b;
        }
    }
    if (!fits) {
        octet_shape_format(&value->shape, found, sizeof found);
        octet_shape_format(declared, said, sizeof said);
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "%s has shape %s by its operator, but the file says %s", value->name, found,
                        said);
    }
    return OCTET_OK;
}

static OctetStatus deny_float8(const OctNode *node, OctValue *const *values, int32_t count,
                               OctetDiagnostic *diagnostic) {
    for (int32_t k = 0; k < count; k++) {
        if (values[k] && oct_dtype_is_float8(values[k]->dtype)) {
            return oct_fail_node(diagnostic, OCTET_ERROR_UNSUPPORTED, node->name,
                                 "%s of opset %d has no %s form (%s)", node->op_type,
                                 (int)node->opset, octet_dtype_name(values[k]->dtype),
                                 values[k]->name);
        }
    }
    return OCTET_OK;
}

OctetStatus oct_check_float8(const OctNode *node, OctetDiagnostic *diagnostic) {
    if (node->op->flags & OCT_OP_FLOAT8) {
        return OCTET_OK;
    }
    OCT_TRY(deny_float8(node, node->inputs, node->input_count, diagnostic));
    return deny_float8(node, node->outputs, node->output_count, diagnostic);
}

static OctetStatus infer_node(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    enum { FEW = 8 };
    OctetShape few_shapes[FEW];
    OctetDType few_types[FEW];
    int32_t count = node->output_count;
    if (!node->op || !node->op->infer) {
        return OCTET_OK;
    }
    /* operators with more outputs than FEW (Split) keep only what inference says */
    for (int32_t k = 0; k < count; k++) {
        OctValue *output = node->outputs[k];
        if (output && k < FEW) {
            few_shapes[k] = output->shape;
            few_types[k] = output->dtype;
        }
    }
    OCT_TRY(node->op->infer(graph, node, diagnostic));
    for (int32_t k = 0; k < count && k < FEW; k++) {
        if (node->outputs[k]) {
            OCT_TRY(merge(node->outputs[k], few_types[k], &few_shapes[k], diagnostic));
        }
    }
    return oct_check_float8(node, diagnostic);
}

OctetStatus oct_graph_infer(OctGraph *graph, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        if (!node->dead) {
            OCT_TRY(oct_go_on(diagnostic));
            OctetStatus status = infer_node(graph, node, diagnostic);
            OCT_TRY(oct_graph_fault(graph, node, status, diagnostic));
        }
    }
    return OCTET_OK;
}
