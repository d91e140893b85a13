/* LRN and MeanVarianceNormalization. */
#include "base/patience.h"
#include "kernels/f32_rows.h"
#include "kernels/transpose.h"
#include "kernels/vmath.h"
#include "ops/layout.h"
#include "ops/rows.h"

#include <math.h>
#include <string.h>

/* ---- LRN: y = x / (bias + alpha / size * sum of squares over `size` channels) ^ beta ---- */

typedef struct Lrn {
    OctLayout x, y;
    OctetCpu cpu;
    size_t size, slots, buffer_offset;
    float factor, beta, bias;
} Lrn;

typedef struct LrnRun {
    const Lrn *lrn;
    const OctRun *run;
    const float *x;
    float *y;
} LrnRun;

static void lrn_range(void *user, size_t index) {
    const LrnRun *work = user;
    const Lrn *lrn = work->lrn;
    size_t channels = lrn->x.channels, begin, end;
    /* Channels c - (size - 1) / 2 to c + size / 2. */
    size_t before = (lrn->size - 1) / 2, after = lrn->size / 2;
    float *square = (float *)oct_workspace_at(work->run, lrn->buffer_offset) + index * 3 * channels;
    float *base = square + channels, *exponent = base + channels;
    OctF32BinaryKernel pow = oct_vmath_select(lrn->cpu)->pow;
    oct_split_range(lrn->x.batch * lrn->x.area, lrn->slots, index, &begin, &end);
    size_t stint = 0;
    for (size_t pixel = begin; pixel < end; pixel++) {
        const float *x = work->x + pixel * channels;
        float *y = work->y + pixel * channels;
        for (size_t c = 0; c < channels; c++) {
            square[c] = x[c] * x[c];
            exponent[c] = lrn->beta;
        }
        for (size_t c = 0; c < channels; c++) {
            size_t last = c + after < channels ? c + after : channels - 1;
            size_t first = c > before ? c - before : 0;
            float sum = 0.0f;
            if (oct_is_over_after(&stint, last - first + 1)) {
                return;
            }
            for (size_t i = first; i <= last; i++) {
                sum += square[i];
            }
            base[c] = lrn->bias + lrn->factor * sum;
        }
        pow(base, exponent, base, channels);
        for (size_t c = 0; c < channels; c++) {
            y[c] = x[c] / base[c];
        }
    }
}

static OctetStatus run_lrn(void *state, const OctRun *run) {
    const Lrn *lrn = state;
    if (lrn->x.batch * lrn->x.area * lrn->x.channels == 0) {
        return OCTET_OK;
    }
    LrnRun work = {lrn, run, oct_layout_read(&lrn->x, run, run->inputs[0].data),
                   oct_layout_target(&lrn->y, run, run->outputs[0].data)};
    oct_parallel_for(run->pool, lrn_range, &work, lrn->slots);
    oct_layout_finish(&lrn->y, run, run->outputs[0].data);
    return OCTET_OK;
}

static OctetStatus check_lrn(const OctGraph *graph, const OctNode *node,
                             OctetDiagnostic *diagnostic) {
    (void)graph;
    if (oct_node_int(node, "size", 0) < 1) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "needs a size of 1 up");
    }
    return OCTET_OK;
}

static OctetStatus prepare_lrn(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    OctImageShape image;
    bool last = oct_channels_last(node);
    if (!oct_image_shape_split(&node->inputs[0]->shape, last, &image)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "needs a rank of 2 up");
    }
    Lrn *lrn = oct_prepare_state(prepare, prepared, sizeof *lrn);
    if (!lrn) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_lrn;
    prepared->kernel = "lrn";
    prepared->cpu = lrn->cpu = prepare->cpu;
    size_t *workspace = &prepared->workspace_bytes, bytes;
    OCT_TRY(oct_layout_prepare(&lrn->x, &image, last, sizeof(float), workspace, diagnostic));
    OCT_TRY(oct_layout_prepare(&lrn->y, &image, last, sizeof(float), workspace, diagnostic));
    lrn->size = (size_t)oct_node_int(node, "size", 1);
    lrn->factor = oct_node_float(node, "alpha", 1e-4f) / (float)lrn->size;
    lrn->beta = oct_node_float(node, "beta", 0.75f);
    lrn->bias = oct_node_float(node, "bias", 1.0f);
    lrn->slots = prepare->threads > 0 ? prepare->threads : 1;
    if (!oct_mul_size(lrn->x.channels * 3 * sizeof(float), lrn->slots, &bytes)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "is too large");
    }
    return oct_workspace_add(workspace, bytes, &lrn->buffer_offset, diagnostic);
}

/* ---- MeanVarianceNormalization: (x - mean) / (sqrt(variance) + 1e-9) over some axes ---- */

typedef struct MeanVariance {
    const OctF32RowsBundle *kernels;
    OctetShape shape, moved;
    int32_t to_rows[OCTET_MAX_RANK], back[OCTET_MAX_RANK];
    size_t rows, count, copy_offset;
} MeanVariance;

typedef struct MeanVarianceRun {
    const MeanVariance *norm;
    float *data;
} MeanVarianceRun;

static void mean_variance_row(void *user, size_t row) {
    const MeanVarianceRun *work = user;
    const MeanVariance *norm = work->norm;
    float *x = work->data + row * norm->count, size = (float)norm->count;
    float mean = norm->kernels->sum(x, norm->count) / size;
    for (size_t i = 0; i < norm->count; i++) {
        x[i] -= mean;
    }
    float deviation = sqrtf(norm->kernels->sum_of_squares(x, norm->count) / size) + 1e-9f;
    for (size_t i = 0; i < norm->count; i++) {
        x[i] /= deviation;
    }
}

static OctetStatus run_mean_variance(void *state, const OctRun *run) {
    const MeanVariance *norm = state;
    MeanVarianceRun work = {norm, oct_workspace_at(run, norm->copy_offset)};
    if (norm->rows * norm->count == 0) {
        return OCTET_OK;
    }
    oct_transpose(sizeof(float), norm->shape.rank, norm->shape.dims, norm->to_rows,
                  run->inputs[0].data, work.data, run->pool);
    oct_parallel_for(run->pool, mean_variance_row, &work, norm->rows);
    oct_transpose(sizeof(float), norm->moved.rank, norm->moved.dims, norm->back, work.data,
                  run->outputs[0].data, run->pool);
    return OCTET_OK;
}

static OctetStatus prepare_mean_variance(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctetShape *shape = &node->inputs[0]->shape;
    MeanVariance *norm = oct_prepare_state(prepare, prepared, sizeof *norm);
    if (!norm) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_mean_variance;
    prepared->kernel = "mean_variance";
    bool reduced[OCTET_MAX_RANK] = {false};
    static const int64_t usual[] = {0, 2, 3};
    const int64_t *axes;
    int32_t count = oct_node_ints(node, "axes", &axes);
    if (count == 0) {
        axes = usual;
        count = 3;
    }
    for (int32_t i = 0; i < count; i++) {
        int32_t axis;
        OCT_TRY(oct_normalize_axis(node, axes[i], shape->rank, &axis, prepare->diagnostic));
        reduced[axis] = true;
    }
    norm->shape = *shape;
    norm->moved = oct_shape_of_rank(shape->rank);
    norm->rows = norm->count = 1;
    for (int32_t pass = 0, place = 0; pass < 2; pass++) {
        for (int32_t axis = 0; axis < shape->rank; axis++) {
            if (reduced[axis] == (pass == 1)) {
                *(pass == 1 ? &norm->count : &norm->rows) *= (size_t)shape->dims[axis];
                norm->moved.dims[place] = shape->dims[axis];
                norm->back[axis] = place;
                norm->to_rows[place++] = axis;
            }
        }
    }
    size_t bytes;
    OCT_TRY(oct_tensor_bytes(OCTET_F32, shape, &bytes, prepare->diagnostic));
    norm->kernels = oct_f32_rows_select(prepare->cpu);
    return oct_workspace_add(&prepared->workspace_bytes, bytes, &norm->copy_offset,
                             prepare->diagnostic);
}

const OctOp oct_ops_channel_norm[] = {
    {"", "LRN", 1, 0, OCT_OP_LAYOUT, 1, 1, 1, 1, check_lrn, oct_infer_same, prepare_lrn},
    {"", "MeanVarianceNormalization", 9, 0, 0, 1, 1, 1, 1, NULL, oct_infer_same,
     prepare_mean_variance},
};
OCT_OPS_COUNT(channel_norm);
