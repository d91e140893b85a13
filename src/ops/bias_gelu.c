/* com.microsoft's BiasGelu and FastGelu: Gelu(x + bias), the bias along the last axis. FastGelu is
 * the tanh form, and its bias may be left out. */
#include "kernels/vmath.h"
#include "ops/ops.h"

#include <string.h>

typedef struct BiasGelu {
    size_t rows, count;
    const OctF32VectorBundle *vector;
    OctF32UnaryKernel function;
} BiasGelu;

typedef struct Work {
    const BiasGelu *gelu;
    const float *x, *bias;
    float *y;
} Work;

static void run_row(void *user, size_t row) {
    const Work *work = user;
    size_t count = work->gelu->count, at = row * count;
    const float *x = work->x + at;
    float *y = work->y + at;
    if (work->bias) {
        work->gelu->vector->vector_vector[OCT_F32_ADD](x, work->bias, y, count);
        x = y;
    }
    work->gelu->function(x, y, count);
}

static OctetStatus run_gelu(void *state, const OctRun *run) {
    const BiasGelu *gelu = state;
    Work work = {gelu, run->inputs[0].data, run->input_count > 1 ? run->inputs[1].data : NULL,
                 run->outputs[0].data};
    oct_parallel_for(run->pool, run_row, &work, gelu->count ? gelu->rows : 0);
    return OCTET_OK;
}

static OctetStatus prepare_gelu(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctetShape *shape = &node->inputs[0]->shape;
    const OctValue *bias = oct_node_input(node, 1);
    int64_t count;
    BiasGelu *gelu = oct_prepare_state(prepare, prepared, sizeof *gelu);
    if (!gelu) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    if (shape->rank < 1 || !octet_shape_count(shape, &count) ||
        (bias && (bias->shape.rank != 1 || bias->shape.dims[0] != shape->dims[shape->rank - 1]))) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "the bias does not fit the last axis");
    }
    prepared->run = run_gelu;
    prepared->kernel = "bias_gelu";
    prepared->cpu = prepare->cpu;
    gelu->count = (size_t)shape->dims[shape->rank - 1];
    gelu->rows = gelu->count ? (size_t)count / gelu->count : 0;
    gelu->vector = oct_f32_vector_select(prepare->cpu);
    bool fast = strcmp(node->op_type, "FastGelu") == 0;
    const OctVmathBundle *math = oct_vmath_select(prepare->cpu);
    gelu->function = fast ? math->gelu_tanh : math->gelu;
    return OCTET_OK;
}

static OctetStatus check_gelu(const OctGraph *graph, const OctNode *node,
                              OctetDiagnostic *diagnostic) {
    (void)graph;
    return oct_check_type(node, 0, OCT_TYPES_FLOAT, diagnostic);
}

const OctOp oct_ops_bias_gelu[] = {
    {"com.microsoft", "BiasGelu", 1, 0, 0, 2, 2, 1, 1, check_gelu, oct_infer_same, prepare_gelu},
    {"com.microsoft", "FastGelu", 1, 0, 0, 1, 2, 1, 1, check_gelu, oct_infer_same, prepare_gelu},
};
OCT_OPS_COUNT(bias_gelu);
