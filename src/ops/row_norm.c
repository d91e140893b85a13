/* NormalizeRows, the engine's own: a layer normalization that a model spells out in single nodes
 * (ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div, and Mul, Add), in one pass over the rows with
 * every rounding of those nodes. Its result may be quantized in the same pass. */
#include "kernels/f32_rows.h"
#include "kernels/f32_vector.h"
#include "ops/rows.h"

#include <math.h>

typedef struct RowNorm {
    OctRows rows;
    const OctF32RowsBundle *kernels;
    const OctF32VectorBundle *vector;
    float epsilon;
} RowNorm;

typedef struct RowNormRun {
    const RowNorm *norm;
    const float *scale, *shift; /* a number an element, or NULL */
} RowNormRun;

/* y holds the squares first, so that no other row is needed. */
static void normalize_row(const void *user, size_t row, const float *x, float *y) {
    const RowNormRun *at = user;
    const RowNorm *norm = at->norm;
    const OctF32VectorBundle *vector = norm->vector;
    size_t count = norm->rows.count;
    (void)row;
    float mean = norm->kernels->sum(x, count) / (float)count;
    vector->vector_scalar[OCT_F32_SUB](x, &mean, y, count);
    vector->vector_vector[OCT_F32_MUL](y, y, y, count);
    float variance = norm->kernels->sum(y, count) / (float)count;
    float deviation = sqrtf(variance + norm->epsilon);
    vector->vector_scalar[OCT_F32_SUB](x, &mean, y, count);
    vector->vector_scalar[OCT_F32_DIV](y, &deviation, y, count);
    if (at->scale) {
        vector->vector_vector[OCT_F32_MUL](y, at->scale, y, count);
    }
    if (at->shift) {
        vector->vector_vector[OCT_F32_ADD](y, at->shift, y, count);
    }
}

static const float *floats_or_null(const OctRun *run, int32_t k) {
    return k < run->input_count ? run->inputs[k].data : NULL;
}

static OctetStatus run_row_norm(void *state, const OctRun *run) {
    RowNormRun at = {state, floats_or_null(run, 1), floats_or_null(run, 2)};
    oct_rows_run(&at.norm->rows, run, normalize_row, &at);
    return OCTET_OK;
}

static OctetStatus prepare_row_norm(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctetShape *shape = &node->inputs[0]->shape;
    RowNorm *norm = oct_prepare_state(prepare, prepared, sizeof *norm);
    if (!norm) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_row_norm;
    prepared->kernel = "normalize_rows";
    prepared->cpu = prepare->cpu;
    oct_rows_around(shape, shape->rank - 1, &norm->rows);
    norm->kernels = oct_f32_rows_select(prepare->cpu);
    norm->vector = oct_f32_vector_select(prepare->cpu);
    norm->epsilon = oct_node_float(node, "epsilon", 0);
    return oct_rows_prepare(&norm->rows, prepare, prepared);
}

const OctOp oct_ops_row_norm[] = {
    {"octet", "NormalizeRows", 1, 0, OCT_OP_INT8, 1, 3, 1, 1, oct_check_inner, oct_infer_same,
     prepare_row_norm},
};
OCT_OPS_COUNT(row_norm);
