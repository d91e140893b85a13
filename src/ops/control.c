/* If, Loop, Scan: what is known of their outputs before they run. Running them is the engine's
 * (engine/control.c), since their bodies are graphs. */
#include "ops/ops.h"

static OctGraph *body_of(const OctNode *node, const char *attribute) {
    const OctAttribute *a = oct_node_attribute(node, attribute);
    return a && a->type == OCT_ATTRIBUTE_GRAPH ? a->v.graph : NULL;
}

static OctetStatus check_body(const OctNode *node, const char *attribute,
                              OctetDiagnostic *diagnostic) {
    return body_of(node, attribute)
               ? OCTET_OK
               : oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has no %s", attribute);
}

static OctetStatus check_if(const OctGraph *graph, const OctNode *node,
                            OctetDiagnostic *diagnostic) {
    (void)graph;
    OCT_TRY(check_body(node, "then_branch", diagnostic));
    return check_body(node, "else_branch", diagnostic);
}

static OctetStatus check_loop(const OctGraph *graph, const OctNode *node,
                              OctetDiagnostic *diagnostic) {
    (void)graph;
    return check_body(node, "body", diagnostic);
}

static void output_like(const OctNode *node, int32_t k, const OctValue *value,
                        const OctetShape *shape) {
    OctetShape unknown = oct_shape_unknown();
    if (oct_node_output(node, k) && value) {
        oct_set_output(node, k, value->dtype, value->kind ? &unknown : shape);
        node->outputs[k]->kind = value->kind;
    }
}

/* Dimensions that two branches agree on. */
static OctetShape common_shape(const OctetShape *a, const OctetShape *b) {
    if (a->rank < 0 || a->rank != b->rank) {
        return oct_shape_unknown();
    }
    OctetShape shape = oct_shape_of_rank(a->rank);
    for (int32_t i = 0; i < a->rank; i++) {
        shape.dims[i] = oct_dims_equal(a->dims[i], b->dims[i]) ? a->dims[i] : OCT_DIM_UNKNOWN;
    }
    return shape;
}

static OctetStatus infer_if(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctGraph *yes = body_of(node, "then_branch");
    OctGraph *no = body_of(node, "else_branch");
    OCT_TRY(oct_graph_infer(yes, diagnostic));
    OCT_TRY(oct_graph_infer(no, diagnostic));
    for (int32_t k = 0; k < node->output_count; k++) {
        if (k < yes->output_count && k < no->output_count) {
            const OctValue *a = yes->outputs[k];
            OctetShape shape = common_shape(&a->shape, &no->outputs[k]->shape);
            output_like(node, k, a->dtype != OCTET_DTYPE_NONE ? a : no->outputs[k], &shape);
            if (node->outputs[k]) {
                node->outputs[k]->kind |= no->outputs[k]->kind;
            }
        }
    }
    return OCTET_OK;
}

/* What a body's input is, as far as all iterations agree: its type. */
static void tell_body(OctGraph *body, int32_t k, OctetDType dtype, const OctetShape *shape) {
    if (k < body->input_count && dtype != OCTET_DTYPE_NONE) {
        body->inputs[k]->dtype = dtype;
        body->inputs[k]->shape = *shape;
    }
}

static void tell_carried(OctGraph *body, int32_t k, const OctNode *node, int32_t input) {
    OctetShape unknown = oct_shape_unknown();
    tell_body(body, k, oct_input_dtype(node, input), &unknown);
    if (k < body->input_count && oct_node_input(node, input)) {
        body->inputs[k]->kind |= node->inputs[input]->kind;
    }
}

static OctetStatus infer_loop(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctGraph *body = body_of(node, "body");
    OctetShape scalar = oct_shape_of_rank(0);
    OctetShape unknown = oct_shape_unknown();
    int32_t carried = node->input_count > 2 ? node->input_count - 2 : 0;
    tell_body(body, 0, OCTET_S64, &scalar);
    tell_body(body, 1, OCTET_BOOL, &scalar);
    for (int32_t k = 0; k < carried; k++) {
        tell_carried(body, 2 + k, node, 2 + k);
    }
    OCT_TRY(oct_graph_infer(body, diagnostic));
    for (int32_t k = 0; k < node->output_count && 1 + k < body->output_count; k++) {
        output_like(node, k, body->outputs[1 + k], &unknown);
    }
    return OCTET_OK;
}

static OctetStatus infer_scan(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctGraph *body = body_of(node, "body");
    OctetShape unknown = oct_shape_unknown();
    int32_t first = node->opset < 9 ? 1 : 0; /* then input 0 tells lengths */
    for (int32_t k = first; k < node->input_count; k++) {
        tell_carried(body, k - first, node, k);
    }
    OCT_TRY(oct_graph_infer(body, diagnostic));
    for (int32_t k = 0; k < node->output_count && k < body->output_count; k++) {
        output_like(node, k, body->outputs[k], &unknown);
    }
    return OCTET_OK;
}

static OctetStatus prepare_control(const OctPrepare *prepare, OctPreparedOp *prepared) {
    (void)prepared;
    return oct_fail_op(prepare->diagnostic, OCTET_ERROR_INTERNAL, prepare->node,
                       "is run by the engine alone");
}

#define FLAGS (OCT_OP_DYNAMIC | OCT_OP_ENGINE | OCT_OP_FLOAT8)

const OctOp oct_ops_control[] = {
    {"", "If", 1, 0, FLAGS, 1, 1, 1, -1, check_if, infer_if, prepare_control},
    {"", "Loop", 1, 0, FLAGS, 0, -1, 0, -1, check_loop, infer_loop, prepare_control},
    {"", "Scan", 8, 8, FLAGS, 0, -1, 1, -1, check_loop, infer_scan, prepare_control},
    {"", "Scan", 9, 0, FLAGS, 1, -1, 1, -1, check_loop, infer_scan, prepare_control},
};
OCT_OPS_COUNT(control);
