/* Where: picks from two tensors by a third. */
#include "ops/broadcast.h"

#include <string.h>

static OctetStatus check_where(const OctGraph *graph, const OctNode *node,
                               OctetDiagnostic *diagnostic) {
    (void)graph;
    OCT_TRY(oct_check_type(node, 0, OCT_TYPES_BOOL, diagnostic));
    return oct_check_type(node, 1, OCT_TYPES_ANY, diagnostic);
}

/* A short list of which all or some entries are known. */
static OctetStatus where_known(OctGraph *graph, const OctNode *node, OctetDiagnostic *diagnostic) {
    OctValue *output = oct_node_output(node, 0);
    int64_t known[3][OCT_MAX_INTS];
    int32_t counts[3];
    int64_t count;
    if (!output || !oct_dtype_is_integer(output->dtype) || output->shape.rank > 1 ||
        !octet_shape_count(&output->shape, &count) || count > OCT_MAX_INTS) {
        return OCTET_OK;
    }
    for (int32_t k = 0; k < 3; k++) {
        counts[k] = oct_value_known_ints(node->inputs[k], known[k], OCT_MAX_INTS);
        if (counts[k] != count && counts[k] != 1) {
            return OCTET_OK;
        }
    }
    int64_t result[OCT_MAX_INTS];
    for (int64_t i = 0; i < count; i++) {
        int64_t condition = known[0][counts[0] == 1 ? 0 : i];
        int64_t a = known[1][counts[1] == 1 ? 0 : i];
        int64_t b = known[2][counts[2] == 1 ? 0 : i];
        result[i] = condition == OCT_DIM_UNKNOWN ? (a == b ? a : OCT_DIM_UNKNOWN)
                    : condition != 0             ? a
                                                 : b;
    }
    return oct_set_known(graph, output, result, (int32_t)count, diagnostic);
}

static OctetStatus infer_where(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    OctetShape shape;
    OCT_TRY(oct_broadcast_shapes(node, oct_input_shape(node, 0), oct_input_shape(node, 1), &shape,
                                 diagnostic));
    OCT_TRY(oct_broadcast_shapes(node, &shape, oct_input_shape(node, 2), &shape, diagnostic));
    OctetDType dtype = oct_input_dtype(node, 1);
    OctetDType other = oct_input_dtype(node, 2);
    if (dtype != OCTET_DTYPE_NONE && other != OCTET_DTYPE_NONE && dtype != other) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "mixes %s and %s",
                           octet_dtype_name(dtype), octet_dtype_name(other));
    }
    oct_set_output(node, 0, dtype == OCTET_DTYPE_NONE ? other : dtype, &shape);
    return where_known(graph, node, diagnostic);
}

typedef struct WhereJob {
    const uint8_t *condition;
    const void *a, *b;
    void *output;
    size_t size;
} WhereJob;

#define PICK(type)                                                                                 \
    do {                                                                                           \
        const type *a = (const type *)job->a + row->offsets[1];                                    \
        const type *b = (const type *)job->b + row->offsets[2];                                    \
        type *to = (type *)job->output + row->output_offset;                                       \
        for (int64_t i = 0; i < row->count; i++) {                                                 \
            to[i] = condition[i * row->steps[0]] ? a[i * row->steps[1]] : b[i * row->steps[2]];    \
        }                                                                                          \
    } while (0)

static void where_row(const void *context, const OctBroadcastRow *row) {
    const WhereJob *job = context;
    const uint8_t *condition = job->condition + row->offsets[0];
    switch (job->size) {
    case 1:
        PICK(uint8_t);
        break;
    case 2:
        PICK(uint16_t);
        break;
    case 4:
        PICK(uint32_t);
        break;
    default:
        PICK(uint64_t);
    }
}

static OctetStatus run_where(void *state, const OctRun *run) {
    const OctBroadcast *plan = state;
    WhereJob job = {run->inputs[0].data, run->inputs[1].data, run->inputs[2].data,
                    run->outputs[0].data, octet_dtype_size(run->outputs[0].dtype)};
    oct_broadcast_run(plan, where_row, &job, run->pool);
    return OCTET_OK;
}

static OctetStatus prepare_where(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctBroadcast *plan = oct_prepare_state(prepare, prepared, sizeof *plan);
    if (!plan) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    const OctetShape *shapes[] = {&node->inputs[0]->shape, &node->inputs[1]->shape,
                                  &node->inputs[2]->shape};
    oct_broadcast_plan(plan, &node->outputs[0]->shape, 3, shapes);
    prepared->run = run_where;
    prepared->kernel = "where";
    return OCTET_OK;
}

const OctOp oct_ops_where[] = {
    {"", "Where", 9, 0, OCT_OP_BROADCAST | OCT_OP_MOVES_DATA | OCT_OP_INT8, 3, 3, 1, 1, check_where,
     infer_where, prepare_where},
};
OCT_OPS_COUNT(where);
