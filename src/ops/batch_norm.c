/* BatchNormalization where it could not be folded into the layer before it:
 * y = fma(x, a, b), a = scale / sqrt(variance + epsilon), b = shift - mean * a.
 *
 * On u8 grids it is a depthwise convolution with one tap: with A = a * sx / sy and B = b / sy,
 * m = max(|A| / 127, |B| / 2^29), w = RNE(A / m) and bias = RNE(B / m), the result is
 * clamp(RNE(float((x - zx) * w + bias) * m) + zy). */
#include "engine/pack.h"
#include "kernels/f32_vector.h"
#include "kernels/q8_conv_run.h"
#include "ops/fused_activation.h"
#include "ops/layout.h"
#include "ops/quantized.h"
#include "ops/rows.h"
#include "ops/through_float.h"

#include <math.h>
#include <string.h>

/* The tensor's parts: N, C and the rest. */
typedef struct Parts {
    size_t batch, channels, area;
    bool channels_last;
} Parts;

static Parts parts_of(const OctNode *node) {
    const OctetShape *shape = &node->inputs[0]->shape;
    Parts parts = {1, 1, 1, oct_channels_last(node)};
    int32_t channel_axis = parts.channels_last ? shape->rank - 1 : 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        size_t *part = i == 0 ? &parts.batch : i == channel_axis ? &parts.channels : &parts.area;
        *part *= (size_t)shape->dims[i];
    }
    return parts;
}

static void channel_factors(const float *scale, const float *shift, const float *mean,
                            const float *variance, float epsilon, size_t c, float *a, float *b) {
    *a = scale[c] / sqrtf(variance[c] + epsilon);
    *b = shift[c] - mean[c] * *a;
}

/* ---- float ---- */

enum { CHUNK = 512 };

typedef struct BatchNorm {
    Parts parts;
    float epsilon, minimum, maximum;
    bool clamps;
    size_t slots, a_offset, b_offset; /* offsets in the workspace */
    const OctF32VectorBundle *vector;
} BatchNorm;

typedef struct Work {
    const BatchNorm *norm;
    const float *x, *a, *b;
    float *y;
} Work;

static void span(const Work *work, size_t at, size_t count, const float *a, const float *b) {
    const BatchNorm *norm = work->norm;
    float *y = work->y + at;
    norm->vector->scale_shift(work->x + at, a, b, y, count);
    if (norm->clamps) {
        norm->vector->clamp(y, y, count, norm->minimum, norm->maximum);
    }
}

static void run_pixels(void *user, size_t index) {
    const Work *work = user;
    const Parts *parts = &work->norm->parts;
    size_t begin, end;
    oct_split_range(parts->batch * parts->area, work->norm->slots, index, &begin, &end);
    for (size_t pixel = begin; pixel < end; pixel++) {
        span(work, pixel * parts->channels, parts->channels, work->a, work->b);
    }
}

static void run_plane(void *user, size_t plane) {
    const Work *work = user;
    size_t area = work->norm->parts.area, channel = plane % work->norm->parts.channels;
    float a[CHUNK], b[CHUNK];
    for (size_t i = 0; i < CHUNK; i++) {
        a[i] = work->a[channel];
        b[i] = work->b[channel];
    }
    for (size_t i = 0; i < area; i += CHUNK) {
        span(work, plane * area + i, area - i < CHUNK ? area - i : CHUNK, a, b);
    }
}

static OctetStatus run_f32(void *state, const OctRun *run) {
    const BatchNorm *norm = state;
    const Parts *parts = &norm->parts;
    float *a = oct_workspace_at(run, norm->a_offset), *b = oct_workspace_at(run, norm->b_offset);
    for (size_t c = 0; c < parts->channels; c++) {
        channel_factors(run->inputs[1].data, run->inputs[2].data, run->inputs[3].data,
                        run->inputs[4].data, norm->epsilon, c, &a[c], &b[c]);
    }
    Work work = {norm, run->inputs[0].data, a, b, run->outputs[0].data};
    if (parts->channels_last) {
        oct_parallel_for(run->pool, run_pixels, &work, norm->slots);
    } else {
        oct_parallel_for(run->pool, run_plane, &work, parts->batch * parts->channels);
    }
    return OCTET_OK;
}

static OctetStatus prepare_f32(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    BatchNorm *norm = oct_prepare_state(prepare, prepared, sizeof *norm);
    if (!norm) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_f32;
    prepared->kernel = "scale_shift";
    prepared->cpu = prepare->cpu;
    norm->parts = parts_of(node);
    norm->epsilon = oct_node_float(node, "epsilon", 1e-5f);
    norm->clamps = node->activation.kind != OCT_ACTIVATION_NONE;
    oct_activation_bounds(&node->activation, &norm->minimum, &norm->maximum);
    norm->slots = prepare->threads > 0 ? prepare->threads : 1;
    norm->vector = oct_f32_vector_select(prepare->cpu);
    size_t bytes = norm->parts.channels * sizeof(float);
    OCT_TRY(
        oct_workspace_add(&prepared->workspace_bytes, bytes, &norm->a_offset, prepare->diagnostic));
    return oct_workspace_add(&prepared->workspace_bytes, bytes, &norm->b_offset,
                             prepare->diagnostic);
}

/* ---- u8 ---- */

typedef struct BatchNormQ8 {
    OctPack *pack;
    OctQ8ConvSetup setup;
    OctLayout x, y;
    size_t kernel_offset;
} BatchNormQ8;

static void destroy(void *state) {
    BatchNormQ8 *norm = state;
    oct_pack_release(norm->pack);
    oct_free(norm);
}

static OctetStatus run_q8(void *state, const OctRun *run) {
    const BatchNormQ8 *norm = state;
    if (norm->x.batch * norm->x.area == 0) {
        return OCTET_OK;
    }
    const uint8_t *x = oct_layout_read(&norm->x, run, run->inputs[0].data);
    uint8_t *y = oct_layout_target(&norm->y, run, run->outputs[0].data);
    oct_q8_conv_run(oct_pack_data(norm->pack), &norm->setup, x, y, NULL,
                    oct_workspace_at(run, norm->kernel_offset), run->pool);
    oct_layout_finish(&norm->y, run, run->outputs[0].data);
    return OCTET_OK;
}

typedef struct PackRequest {
    const OctPrepare *prepare;
    size_t channels;
    OctQ8Epilogue epilogue;
} PackRequest;

static OctetStatus fill(const PackRequest *request, int8_t *weights, int32_t *bias,
                        float *multipliers, OctetDiagnostic *diagnostic) {
    const OctNode *node = request->prepare->node;
    const float *parameters[4];
    for (int32_t k = 0; k < 4; k++) {
        parameters[k] = oct_value_tensor(node->inputs[k + 1])->data;
    }
    float epsilon = oct_node_float(node, "epsilon", 1e-5f);
    double x_scale = oct_value_scale(node->inputs[0]);
    double y_scale = oct_value_scale(node->outputs[0]);
    for (size_t c = 0; c < request->channels; c++) {
        float a, b;
        channel_factors(parameters[0], parameters[1], parameters[2], parameters[3], epsilon, c, &a,
                        &b);
        double slope = (double)a * x_scale / y_scale, offset = (double)b / y_scale;
        float unit = (float)fmax(fabs(slope) / 127.0, fabs(offset) * 0x1p-29);
        if (!isfinite(slope) || !isfinite(offset) || !isfinite(unit)) {
            return oct_fail_op(diagnostic, OCTET_ERROR_NUMERIC, node,
                               "channel %zu has a factor or a shift that is not finite", c);
        }
        unit = unit < 0x1p-120f ? 1.0f : unit; /* nothing but 0 comes of so little */
        weights[c] = (int8_t)fmin(fmax(rint(slope / (double)unit), -127.0), 127.0);
        bias[c] = (int32_t)rint(offset / (double)unit);
        multipliers[c] = unit;
    }
    return OCTET_OK;
}

static OctetStatus make(void *user, void **object, size_t *bytes, OctetDiagnostic *diagnostic) {
    const PackRequest *request = user;
    size_t channels = request->channels;
    OctQ8Conv *conv = NULL;
    int8_t *weights = oct_calloc(channels, sizeof *weights);
    int32_t *bias = oct_calloc(channels, sizeof *bias);
    float *multipliers = oct_calloc(channels, sizeof *multipliers);
    OctetStatus status = weights && bias && multipliers
                             ? fill(request, weights, bias, multipliers, diagnostic)
                             : oct_fail_memory(diagnostic);
    if (status == OCTET_OK) {
        OctQ8ConvParams params = oct_q8_conv_params(channels, channels);
        params.groups = channels;
        params.weights = weights;
        params.bias = bias;
        params.multipliers = multipliers;
        params.input_zero_point = (uint8_t)oct_value_zero_point(request->prepare->node->inputs[0]);
        params.epilogue = request->epilogue;
        status = oct_q8_conv_create(&params, request->prepare->cpu, &conv, diagnostic);
    }
    oct_free(weights);
    oct_free(bias);
    oct_free(multipliers);
    if (status == OCTET_OK) {
        *object = conv;
        *bytes = oct_q8_conv_packed_bytes(conv);
    }
    return oct_fail_in_node(diagnostic, status, request->prepare->node->name);
}

static void free_conv(void *object) {
    oct_q8_conv_free(object);
}

static uint64_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

static OctetStatus pack(const OctPrepare *prepare, size_t channels, BatchNormQ8 *norm) {
    const OctNode *node = prepare->node;
    const OctValue *x = node->inputs[0], *y = node->outputs[0];
    PackRequest request = {prepare, channels, oct_q8_epilogue_u8((uint8_t)oct_value_zero_point(y))};
    oct_activation_u8(&node->activation, &y->qparams, &request.epilogue.minimum,
                      &request.epilogue.maximum);
    OctPackKey key = {.kernel = "q8_batch_norm"};
    for (int32_t k = 0; k < 4; k++) {
        key.constants[k] = oct_constant_id(node->inputs[k + 1]->constant);
    }
    key.parameters[0] = bits_of(oct_value_scale(x)) << 32 | bits_of(oct_value_scale(y));
    key.parameters[1] = (uint64_t)oct_value_zero_point(x) << 32 | (uint64_t)oct_value_zero_point(y);
    key.parameters[2] = (uint64_t)request.epilogue.minimum << 8 | request.epilogue.maximum;
    key.parameters[3] = bits_of(oct_node_float(node, "epsilon", 1e-5f));
    key.parameters[4] = (uint64_t)prepare->cpu;
    return oct_pack_object(prepare->packs, &key, make, free_conv, &request, &norm->pack,
                           prepare->diagnostic);
}

static OctetStatus prepare_q8(const OctPrepare *prepare, OctPreparedOp *prepared) {
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    size_t *workspace = &prepared->workspace_bytes;
    Parts parts = parts_of(prepare->node);
    OctImageShape image = {(int64_t)parts.batch, (int64_t)parts.channels, 1, {(int64_t)parts.area}};
    BatchNormQ8 *norm = oct_prepare_state(prepare, prepared, sizeof *norm);
    if (!norm) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_q8;
    prepared->destroy = destroy;
    prepared->cpu = prepare->cpu;
    OCT_TRY(oct_layout_prepare(&norm->x, &image, parts.channels_last, 1, workspace, diagnostic));
    OCT_TRY(oct_layout_prepare(&norm->y, &image, parts.channels_last, 1, workspace, diagnostic));
    OCT_TRY(pack(prepare, parts.channels, norm));
    prepared->kernel = oct_q8_conv_kernel_name(oct_pack_data(norm->pack));
    if (norm->x.batch * norm->x.area == 0) {
        return OCTET_OK;
    }
    OCT_TRY(oct_q8_conv_setup(oct_pack_data(norm->pack), parts.batch, 1, parts.area, 0, 0, 0,
                              &norm->setup, diagnostic));
    return oct_workspace_add(workspace, norm->setup.workspace_bytes, &norm->kernel_offset,
                             diagnostic);
}

/* ---- both ---- */

static OctetStatus prepare_batch_norm(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    Parts parts = parts_of(node);
    bool constant = true;
    size_t bytes;
    OCT_TRY(oct_tensor_bytes(OCTET_F32, &node->inputs[0]->shape, &bytes, prepare->diagnostic));
    for (int32_t k = 1; k < 5; k++) {
        const OctValue *value = node->inputs[k];
        if (value->shape.rank != 1 || (size_t)value->shape.dims[0] != parts.channels) {
            return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                               "input %d does not have one number a channel", (int)k);
        }
        constant = constant && value->constant && oct_value_storage(value) == OCTET_F32;
    }
    if (!oct_value_quantized(node->inputs[0]) && !oct_value_quantized(node->outputs[0])) {
        return prepare_f32(prepare, prepared);
    }
    bool fits =
        constant && oct_is_u8(node->inputs[0]) && oct_is_u8(node->outputs[0]) && parts.channels > 0;
    return fits ? prepare_q8(prepare, prepared)
                : oct_prepare_through_float(prepare, prepared, prepare_f32);
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

const OctOp oct_ops_batch_norm[] = {
    {"", "BatchNormalization", 7, 0, OCT_OP_INT8 | OCT_OP_LAYOUT | OCT_OP_INPLACE, 5, 5, 1, 5,
     check_batch_norm, oct_infer_same, prepare_batch_norm},
};
OCT_OPS_COUNT(batch_norm);
