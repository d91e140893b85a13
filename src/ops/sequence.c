/* Sequences of tensors and optional values: what is known of them before they run. Running them is
 * the engine's (engine/sequence.c), since kernels know tensors only. Source: ONNX Operators.md. */
#include "ops/ops.h"

/* Output k as a value of this kind; what is no tensor has no shape. */
static void set_kind(const OctNode *node, int32_t k, uint32_t kind, OctetDType dtype) {
    OctetShape unknown = oct_shape_unknown();
    OctValue *output = oct_node_output(node, k);
    if (output) {
        oct_set_output(node, k, dtype, &unknown);
        output->kind = kind;
    }
}

static uint32_t input_kind(const OctNode *node, int32_t k) {
    const OctValue *input = oct_node_input(node, k);
    return input ? input->kind : OCTET_KIND_TENSOR;
}

static OctetStatus infer_construct(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    set_kind(node, 0, OCTET_KIND_SEQUENCE, oct_input_dtype(node, 0));
    return OCTET_OK;
}

static OctetStatus infer_empty(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    set_kind(node, 0, OCTET_KIND_SEQUENCE, (OctetDType)oct_node_int(node, "dtype", OCTET_F32));
    return OCTET_OK;
}

static OctetStatus check_empty(const OctGraph *graph, const OctNode *node,
                               OctetDiagnostic *diagnostic) {
    (void)graph;
    int64_t dtype = oct_node_int(node, "dtype", OCTET_F32);
    bool known = dtype > 0 && dtype <= OCTET_S4 && octet_dtype_size((OctetDType)dtype) > 0;
    return known ? OCTET_OK
                 : oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                               "makes a sequence of elements of ONNX's type %d", (int)dtype);
}

static OctetStatus infer_insert(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    OctetDType dtype = oct_input_dtype(node, 0);
    set_kind(node, 0, OCTET_KIND_SEQUENCE,
             dtype != OCTET_DTYPE_NONE ? dtype : oct_input_dtype(node, 1));
    return OCTET_OK;
}

/* SequenceAt, ConcatFromSequence */
static OctetStatus infer_tensor(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    set_kind(node, 0, OCTET_KIND_TENSOR, oct_input_dtype(node, 0));
    return OCTET_OK;
}

static OctetStatus infer_length(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    OctetShape scalar = oct_shape_of_rank(0);
    oct_set_output(node, 0, OCTET_S64, &scalar);
    return OCTET_OK;
}

/* ---- optional values ---- */

static OctetStatus infer_optional(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    const OctValue *output = oct_node_output(node, 0);
    if (oct_node_input(node, 0)) {
        set_kind(node, 0, input_kind(node, 0) | OCTET_KIND_OPTIONAL, oct_input_dtype(node, 0));
    } else if (output) {
        /* the attribute says what would be there */
        set_kind(node, 0, (uint32_t)oct_node_int(node, OCT_TYPE_KIND, 0) | OCTET_KIND_OPTIONAL,
                 (OctetDType)oct_node_int(node, OCT_TYPE_DTYPE, OCTET_DTYPE_NONE));
    }
    return OCTET_OK;
}

static OctetStatus infer_has(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    OctetShape scalar = oct_shape_of_rank(0);
    oct_set_output(node, 0, OCTET_BOOL, &scalar);
    return OCTET_OK;
}

static OctetStatus infer_get(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    set_kind(node, 0, input_kind(node, 0) & ~(uint32_t)OCTET_KIND_OPTIONAL,
             oct_input_dtype(node, 0));
    return OCTET_OK;
}

/* ---- SequenceMap ---- */

static OctGraph *body_of(const OctNode *node) {
    const OctAttribute *body = oct_node_attribute(node, "body");
    return body && body->type == OCT_ATTRIBUTE_GRAPH ? body->v.graph : NULL;
}

static OctetStatus check_map(const OctGraph *graph, const OctNode *node,
                             OctetDiagnostic *diagnostic) {
    (void)graph;
    return body_of(node) ? OCTET_OK
                         : oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has no body");
}

static OctetStatus infer_map(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctGraph *body = body_of(node);
    for (int32_t k = 0; k < node->input_count && k < body->input_count; k++) {
        if (oct_input_dtype(node, k) != OCTET_DTYPE_NONE) {
            body->inputs[k]->dtype = oct_input_dtype(node, k);
            body->inputs[k]->shape = oct_shape_unknown();
        }
    }
    OCT_TRY(oct_graph_infer(body, diagnostic));
    for (int32_t k = 0; k < node->output_count && k < body->output_count; k++) {
        set_kind(node, k, OCTET_KIND_SEQUENCE, body->outputs[k]->dtype);
    }
    return OCTET_OK;
}

static OctetStatus prepare_none(const OctPrepare *prepare, OctPreparedOp *prepared) {
    (void)prepared;
    return oct_fail_op(prepare->diagnostic, OCTET_ERROR_INTERNAL, prepare->node,
                       "is run by the engine alone");
}

#define FLAGS (OCT_OP_DYNAMIC | OCT_OP_ENGINE)

const OctOp oct_ops_sequence[] = {
    {"", "SequenceConstruct", 11, 0, FLAGS, 1, -1, 1, 1, NULL, infer_construct, prepare_none},
    {"", "SequenceEmpty", 11, 0, FLAGS, 0, 0, 1, 1, check_empty, infer_empty, prepare_none},
    {"", "SequenceInsert", 11, 0, FLAGS, 2, 3, 1, 1, NULL, infer_insert, prepare_none},
    {"", "SequenceErase", 11, 0, FLAGS, 1, 2, 1, 1, NULL, infer_insert, prepare_none},
    {"", "SequenceAt", 11, 0, FLAGS, 2, 2, 1, 1, NULL, infer_tensor, prepare_none},
    {"", "SequenceLength", 11, 0, FLAGS, 1, 1, 1, 1, NULL, infer_length, prepare_none},
    {"", "SplitToSequence", 11, 0, FLAGS, 1, 2, 1, 1, NULL, infer_construct, prepare_none},
    {"", "ConcatFromSequence", 11, 0, FLAGS, 1, 1, 1, 1, NULL, infer_tensor, prepare_none},
    {"", "SequenceMap", 17, 0, FLAGS, 1, -1, 1, -1, check_map, infer_map, prepare_none},
    {"", "Optional", 15, 0, FLAGS, 0, 1, 1, 1, NULL, infer_optional, prepare_none},
    {"", "OptionalHasElement", 15, 0, FLAGS, 0, 1, 1, 1, NULL, infer_has, prepare_none},
    {"", "OptionalGetElement", 15, 0, FLAGS, 1, 1, 1, 1, NULL, infer_get, prepare_none},
};
OCT_OPS_COUNT(sequence);
