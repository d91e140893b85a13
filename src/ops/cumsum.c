/* CumSum: running sums along an axis. */
#include "base/patience.h"
#include "ops/ops.h"

static OctetStatus check_cumsum(const OctGraph *graph, const OctNode *node,
                                OctetDiagnostic *diagnostic) {
    (void)graph;
    return oct_check_type(node, 0, OCT_TYPES_FLOAT | OCT_TYPES_INTEGER, diagnostic);
}

/* One line: `count` elements `stride` apart, in the order of the sum. */
static void sum_floats(const float *from, float *to, int64_t count, int64_t stride,
                       bool exclusive) {
    float total = 0;
    for (int64_t i = 0; i < count; i++) {
        float x = from[i * stride];
        to[i * stride] = exclusive ? total : total + x;
        total += x;
    }
}

static void sum_ints(OctetDType dtype, const char *from, char *to, int64_t count, int64_t stride,
                     bool exclusive) {
    int64_t step = stride * (int64_t)octet_dtype_size(dtype);
    uint64_t total = 0;
    for (int64_t i = 0; i < count; i++) {
        int64_t x;
        /* integer to integer can't fail */
        (void)oct_convert(OCTET_S64, &x, dtype, from + i * step, 1, NULL);
        int64_t sum = (int64_t)(exclusive ? total : total + (uint64_t)x);
        total += (uint64_t)x;
        (void)oct_convert(dtype, to + i * step, OCTET_S64, &sum, 1, NULL);
    }
}

static OctetStatus run_cumsum(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctView *input = &run->inputs[0];
    bool exclusive = oct_node_int(node, "exclusive", 0) != 0;
    bool reverse = oct_node_int(node, "reverse", 0) != 0;
    OctInts list;
    int32_t axis;
    OCT_TRY(oct_run_int_list(node, NULL, 1, run, &list));
    if (list.count != 1) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node, "needs one axis");
    }
    OCT_TRY(oct_normalize_axis(node, list.v[0], input->shape.rank, &axis, run->diagnostic));
    int64_t outer = 0;
    int64_t inner = 0;
    oct_shape_product(&input->shape, 0, axis, &outer);
    oct_shape_product(&input->shape, axis + 1, input->shape.rank, &inner);
    int64_t dim = input->shape.dims[axis];
    int64_t size = (int64_t)octet_dtype_size(input->dtype);
    size_t stint = 0;
    for (int64_t line = 0;
         dim > 0 && line < outer * inner && !oct_is_over_after(&stint, (size_t)dim); line++) {
        int64_t first = line / inner * dim * inner + line % inner;
        first += reverse ? (dim - 1) * inner : 0;
        const char *from = (const char *)input->data + first * size;
        char *to = (char *)run->outputs[0].data + first * size;
        int64_t stride = reverse ? -inner : inner;
        if (input->dtype == OCTET_F32) {
            sum_floats((const float *)(const void *)from, (float *)(void *)to, dim, stride,
                       exclusive);
        } else {
            sum_ints(input->dtype, from, to, dim, stride, exclusive);
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_cumsum(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_cumsum;
    prepared->kernel = "cumsum";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

const OctOp oct_ops_cumsum[] = {
    {"", "CumSum", 11, 0, 0, 2, 2, 1, 1, check_cumsum, oct_infer_same, prepare_cumsum},
};
OCT_OPS_COUNT(cumsum);
