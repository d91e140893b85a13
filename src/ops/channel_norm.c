/* Normalizations with a rule a channel: BatchNormalization, LRN, MeanVarianceNormalization. */
#include "kernels/f32_rows.h"
#include "kernels/q8_vector.h"
#include "kernels/transpose.h"
#include "kernels/vmath.h"
#include "ops/fused_activation.h"
#include "ops/layout.h"
#include "ops/quantized.h"
#include "ops/rows.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 512 };

/* ---- BatchNormalization: y = fma(x, a, b), a = scale / sqrt(variance + epsilon),
 * b = shift - mean * a ---- */

typedef struct BatchNorm {
    size_t batch, channels, area;
    bool channels_last;
    OctElement x, y;
    float epsilon, minimum, maximum;
    bool clamps;
    const OctF32VectorBundle *vector;
    const OctQ8VectorOps *integer;
    size_t a_offset, b_offset; /* in the workspace */
} BatchNorm;

typedef struct BatchNormRun {
    const BatchNorm *norm;
    const OctRun *run;
    const float *a, *b;
} BatchNormRun;

/* y = fma(x, a, b) for `count` elements at offset `at`, through f32 if quantized. */
static void batch_norm_span(const BatchNormRun *work, size_t at, size_t count, const float *a,
                            const float *b) {
    const BatchNorm *norm = work->norm;
    float buffer[CHUNK];
    const void *x = work->run->inputs[0].data;
    void *y = work->run->outputs[0].data;
    const float *from = (const float *)x + at;
    float *to = norm->y.quantized ? buffer : (float *)y + at;
    if (norm->x.quantized) {
        norm->integer->dequantize((const uint8_t *)x + at, norm->x.scale, norm->x.zero_point,
                                  buffer, count);
        from = buffer;
    }
    norm->vector->scale_shift(from, a, b, to, count);
    if (norm->clamps) {
        norm->vector->clamp(to, to, count, norm->minimum, norm->maximum);
    }
    if (norm->y.quantized) {
        norm->integer->quantize(buffer, norm->y.scale, norm->y.zero_point, (uint8_t *)y + at,
                                count);
    }
}

/* A pixel's channels. */
static void batch_norm_pixel(void *user, size_t pixel) {
    const BatchNormRun *work = user;
    size_t channels = work->norm->channels;
    for (size_t c = 0; c < channels; c += CHUNK) {
        size_t count = channels - c < CHUNK ? channels - c : CHUNK;
        batch_norm_span(work, pixel * channels + c, count, work->a + c, work->b + c);
    }
}

/* A channel's plane. */
static void batch_norm_plane(void *user, size_t plane) {
    const BatchNormRun *work = user;
    size_t area = work->norm->area, channel = plane % work->norm->channels;
    float a[CHUNK], b[CHUNK];
    for (size_t i = 0; i < CHUNK; i++) {
        a[i] = work->a[channel];
        b[i] = work->b[channel];
    }
    for (size_t i = 0; i < area; i += CHUNK) {
        size_t count = area - i < CHUNK ? area - i : CHUNK;
        batch_norm_span(work, plane * area + i, count, a, b);
    }
}

static OctetStatus run_batch_norm(void *state, const OctRun *run) {
    const BatchNorm *norm = state;
    const float *scale = run->inputs[1].data, *shift = run->inputs[2].data;
    const float *mean = run->inputs[3].data, *variance = run->inputs[4].data;
    float *a = oct_workspace_at(run, norm->a_offset);
    float *b = oct_workspace_at(run, norm->b_offset);
    for (size_t c = 0; c < norm->channels; c++) {
        a[c] = scale[c] / sqrtf(variance[c] + norm->epsilon);
        b[c] = shift[c] - mean[c] * a[c];
    }
    BatchNormRun work = {norm, run, a, b};
    if (norm->channels_last) {
        oct_parallel_for(run->pool, batch_norm_pixel, &work, norm->batch * norm->area);
    } else {
        oct_parallel_for(run->pool, batch_norm_plane, &work, norm->batch * norm->channels);
    }
    return OCTET_OK;
}

static OctetStatus prepare_batch_norm(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctetShape *shape = &node->inputs[0]->shape;
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    BatchNorm *norm = oct_prepare_state(prepare, prepared, sizeof *norm);
    if (!norm) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_batch_norm;
    prepared->kernel = "scale_shift";
    prepared->cpu = prepare->cpu;
    norm->batch = norm->channels = norm->area = 1;
    norm->channels_last = oct_channels_last(node);
    int32_t channel_axis = norm->channels_last ? shape->rank - 1 : 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        size_t *part = i == 0 ? &norm->batch : i == channel_axis ? &norm->channels : &norm->area;
        *part *= (size_t)shape->dims[i];
    }
    for (int32_t k = 1; k < 5; k++) {
        const OctValue *value = node->inputs[k];
        if (value->shape.rank != 1 || (size_t)value->shape.dims[0] != norm->channels ||
            oct_value_storage(value) != OCTET_F32) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "input %d does not have one number a channel", (int)k);
        }
    }
    OCT_TRY(oct_element_of(prepare, node->inputs[0], &norm->x));
    OCT_TRY(oct_element_of(prepare, node->outputs[0], &norm->y));
    norm->epsilon = oct_node_float(node, "epsilon", 1e-5f);
    norm->clamps = node->activation.kind != OCT_ACTIVATION_NONE;
    oct_activation_bounds(&node->activation, &norm->minimum, &norm->maximum);
    norm->vector = oct_f32_vector_select(prepare->cpu);
    norm->integer = oct_q8_vector_ops(prepare->cpu);
    size_t bytes = norm->channels * sizeof(float);
    OCT_TRY(oct_workspace_add(&prepared->workspace_bytes, bytes, &norm->a_offset, diagnostic));
    return oct_workspace_add(&prepared->workspace_bytes, bytes, &norm->b_offset, diagnostic);
}

static OctetStatus check_batch_norm(const OctGraph *graph, const OctNode *node,
                                    OctetDiagnostic *diagnostic) {
    (void)graph;
    bool spatial = oct_node_int(node, "spatial", 1) != 0;
    bool training = oct_node_int(node, "training_mode", 0) != 0;
    int32_t outputs = 0;
    for (int32_t k = 0; k < node->output_count; k++) {
        outputs += node->outputs[k] != NULL;
    }
    if (!spatial || training || outputs > 1) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           training || outputs > 1 ? "is in training mode"
                                                   : "spatial = 0 is not supported");
    }
    return OCTET_OK;
}

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
    for (size_t pixel = begin; pixel < end; pixel++) {
        const float *x = work->x + pixel * channels;
        float *y = work->y + pixel * channels;
        for (size_t c = 0; c < channels; c++) {
            square[c] = x[c] * x[c];
            exponent[c] = lrn->beta;
        }
        for (size_t c = 0; c < channels; c++) {
            size_t last = c + after < channels ? c + after : channels - 1;
            float sum = 0.0f;
            for (size_t i = c > before ? c - before : 0; i <= last; i++) {
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
    norm->kernels = oct_f32_rows_select(prepare->cpu);
    return oct_workspace_add(&prepared->workspace_bytes, norm->rows * norm->count * sizeof(float),
                             &norm->copy_offset, prepare->diagnostic);
}

#define BATCH_NORM_FLAGS (OCT_OP_INT8 | OCT_OP_LAYOUT | OCT_OP_INPLACE)

const OctOp oct_ops_channel_norm[] = {
    {"", "BatchNormalization", 7, 0, BATCH_NORM_FLAGS, 5, 5, 1, 5, check_batch_norm, oct_infer_same,
     prepare_batch_norm},
    {"", "LRN", 1, 0, OCT_OP_LAYOUT, 1, 1, 1, 1, check_lrn, oct_infer_same, prepare_lrn},
    {"", "MeanVarianceNormalization", 9, 0, 0, 1, 1, 1, 1, NULL, oct_infer_same,
     prepare_mean_variance},
};
OCT_OPS_COUNT(channel_norm);
