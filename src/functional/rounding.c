/* Quantized operators whose float arithmetic PyTorch's kernels spell out in their own way: real
 * numbers by fma(scale, q, -scale * zero_point), results by multiplication with 1 / scale. Sources:
 * aten/src/ATen/native/quantized/cpu/kernels/QuantizedOpKernels.cpp, Normalization.cpp,
 * UpSampleBilinear2d.cpp and AdaptiveAveragePooling.cpp, PyTorch 1.13. */
#include "functional/rounding.h"

#include "base/diag.h"
#include "base/mem.h"
#include "functional/call.h"
#include "kernels/vmath.h"
#include "quant/quantize_values.h"

#include <math.h>

enum { INTEGERS = 256 };

static int32_t integer_at(const OctetTensor *tensor, int64_t index) {
    return tensor->dtype == OCTET_U8 ? ((const uint8_t *)tensor->data)[index]
                                     : ((const int8_t *)tensor->data)[index];
}

static void set_integer(OctetTensor *tensor, int64_t index, int64_t value) {
    ((uint8_t *)tensor->data)[index] = (uint8_t)value; /* two's complement for s8 */
}

/* An integer from a number of steps that is rounded half to even. */
static int64_t from_steps(float steps, const OctetQParams *grid) {
    OctQuantizeTarget target =
        oct_quantize_target(grid->dtype, 1, grid->zero_point[0], OCTET_QUANTIZE_DIVIDE);
    return oct_quantize_one(steps, &target);
}

/* Steps that are counted from the integer 0. */
static int64_t from_zero_steps(float steps, const OctetQParams *grid) {
    int32_t zero = 0;
    OctetQParams from_zero = *grid;
    from_zero.zero_point = &zero;
    return from_steps(steps, &from_zero);
}

OctetStatus oct_result_create(const OctetTensor *like, const OctetShape *shape, float scale,
                              int32_t zero_point, OctetTensor **result,
                              OctetDiagnostic *diagnostic) {
    OctetQParams grid = {
        .dtype = like->dtype, .axis = -1, .count = 1, .scale = &scale, .zero_point = &zero_point};
    *result = NULL;
    OCT_TRY(octet_qparams_check(&grid, shape, diagnostic));
    OCT_TRY(octet_tensor_create(like->dtype, shape, result, diagnostic));
    OctetStatus status = octet_tensor_set_qparams(*result, &grid, diagnostic);
    if (status != OCTET_OK) {
        octet_tensor_free(*result);
        *result = NULL;
    }
    return status;
}

/* ---- one number to one number: a table of all integers ---- */

static void leaky_relu(float *values, float slope) {
    for (int i = 0; i < INTEGERS; i++) {
        values[i] = values[i] * (values[i] > 0 ? 1.0f : slope);
    }
}

static void elu(float *values, float alpha) {
    float powers[INTEGERS];
    oct_vmath_select(OCTET_CPU_PORTABLE)->exp(values, powers, INTEGERS);
    for (int i = 0; i < INTEGERS; i++) {
        values[i] = values[i] < 0 ? (powers[i] - 1.0f) * alpha : values[i];
    }
}

static void hardswish(float *values, float unused) {
    (void)unused;
    for (int i = 0; i < INTEGERS; i++) {
        float gate = values[i] + 3.0f;
        gate = gate < 0 ? 0.0f : gate > 6 ? 6.0f : gate;
        values[i] = values[i] * gate / 6.0f;
    }
}

/* All integers of a type as real numbers. qnnpack, which computes hardswish on u8, subtracts the
 * zero point first. */
static void dequantize_all(const OctetQParams *grid, bool qnnpack, float *values) {
    float scale = grid->scale[0], zero_point = (float)grid->zero_point[0];
    float first = grid->dtype == OCTET_U8 ? 0.0f : -128.0f;
    for (int i = 0; i < INTEGERS; i++) {
        float q = first + (float)i;
        values[i] = qnnpack ? scale * (q - zero_point) : fmaf(scale, q, -(scale * zero_point));
    }
}

static int64_t quantize_value(float value, const OctetQParams *grid, bool qnnpack) {
    float steps = value * (1.0f / grid->scale[0]);
    if (!qnnpack) {
        return from_steps(steps, grid);
    }
    return from_zero_steps(steps + (float)grid->zero_point[0], grid);
}

OctetStatus oct_quantized_shift(const OctetTensor *input, int64_t steps, float scale,
                                int32_t zero_point, OctetTensor **result,
                                OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_result_create(input, &input->shape, scale, zero_point, result, diagnostic));
    float multiplier = input->qparams.scale[0] * (1.0f / scale);
    for (size_t i = 0; i < input->bytes; i++) {
        int64_t sum = integer_at(input, (int64_t)i) - input->qparams.zero_point[0] + steps;
        set_integer(*result, (int64_t)i, from_steps((float)sum * multiplier, &(*result)->qparams));
    }
    return OCTET_OK;
}

OctetStatus oct_quantized_unary(OctUnaryRule rule, const OctetTensor *input, float number,
                                const OctetQOutput *output, OctetTensor **result,
                                OctetDiagnostic *diagnostic) {
    static void (*const functions[])(float *, float) = {leaky_relu, elu, hardswish};
    float values[INTEGERS];
    uint8_t table[INTEGERS];
    *result = NULL;
    OCT_TRY(oct_check_quantized(input, diagnostic));
    OCT_TRY(oct_result_create(input, &input->shape, output->scale, output->zero_point, result,
                              diagnostic));
    bool qnnpack = rule == OCT_RULE_HARDSWISH && input->dtype == OCTET_U8;
    dequantize_all(&input->qparams, qnnpack, values);
    functions[rule](values, number);
    int lowest = input->dtype == OCTET_U8 ? 0 : -128;
    for (int i = 0; i < INTEGERS; i++) {
        table[(uint8_t)(lowest + i)] =
            (uint8_t)quantize_value(values[i], &(*result)->qparams, qnnpack);
    }
    for (size_t i = 0; i < input->bytes; i++) {
        ((uint8_t *)(*result)->data)[i] = table[((const uint8_t *)input->data)[i]];
    }
    return OCTET_OK;
}

/* ---- batch normalization ---- */

OctetStatus oct_quantized_batch_norm(const OctetTensor *input, const float *scale,
                                     const float *shift, const float *mean, const float *variance,
                                     float eps, const OctetQOutput *output, OctetTensor **result,
                                     OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_result_create(input, &input->shape, output->scale, output->zero_point, result,
                              diagnostic));
    int64_t channels = input->shape.dims[1], all = 0;
    (void)octet_shape_count(&input->shape, &all); /* it has data */
    int64_t area = all == 0 ? 1 : all / (input->shape.dims[0] * channels);
    double in_scale = (double)input->qparams.scale[0], out_scale = (double)output->scale;
    for (int64_t i = 0; i < all; i++) {
        int64_t c = i / area % channels;
        float inverse = (float)(1.0 / (double)sqrtf(variance[c] + eps));
        float weight = scale ? scale[c] : 1.0f;
        float alpha = (float)((double)(inverse * weight) * (in_scale / out_scale));
        float beta =
            (float)((double)((shift ? shift[c] : 0.0f) - mean[c] * inverse * weight) / out_scale);
        float steps =
            fmaf(alpha, (float)(integer_at(input, i) - input->qparams.zero_point[0]), beta);
        set_integer(*result, i, from_steps(steps, &(*result)->qparams));
    }
    return OCTET_OK;
}

/* ---- bilinear ---- */

/* Where an output pixel lies between two input pixels. */
typedef struct Between {
    int64_t first, step;
    float to_second;
} Between;

static Between between(int64_t in, int64_t out, bool align_corners, int64_t index) {
    float scale = align_corners ? (out > 1 ? (float)(in - 1) / (float)(out - 1) : 0.0f)
                                : (float)in / (float)out;
    float place = align_corners ? scale * (float)index : scale * ((float)index + 0.5f) - 0.5f;
    place = place < 0 ? 0 : place;
    int64_t first = (int64_t)place;
    return (Between){first, first < in - 1, place - (float)first};
}

OctetStatus oct_quantized_bilinear(const OctetTensor *input, const int64_t *sizes,
                                   bool align_corners, OctetTensor **result,
                                   OctetDiagnostic *diagnostic) {
    OctetShape shape = input->shape;
    int64_t height = shape.dims[2], width = shape.dims[3];
    int64_t planes = shape.dims[0] * shape.dims[1];
    shape.dims[2] = sizes[0];
    shape.dims[3] = sizes[1];
    *result = NULL;
    if (sizes[0] < 1 || sizes[1] < 1 || height < 1 || width < 1) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "interpolate needs sizes of 1 and more");
    }
    int32_t zero_point = input->qparams.zero_point[0];
    OCT_TRY(
        oct_result_create(input, &shape, input->qparams.scale[0], zero_point, result, diagnostic));
    int64_t at = 0;
    for (int64_t plane = 0; plane < planes; plane++) {
        for (int64_t y = 0; y < sizes[0]; y++) {
            Between rows = between(height, sizes[0], align_corners, y);
            for (int64_t x = 0; x < sizes[1]; x++, at++) {
                Between columns = between(width, sizes[1], align_corners, x);
                int64_t a = (plane * height + rows.first) * width + columns.first;
                int64_t b = a + rows.step * width;
                float w1 = columns.to_second, w0 = 1.0f - w1;
                float top = w0 * (float)integer_at(input, a) +
                            w1 * (float)integer_at(input, a + columns.step);
                float bottom = w0 * (float)integer_at(input, b) +
                               w1 * (float)integer_at(input, b + columns.step);
                float steps = (1.0f - rows.to_second) * top + rows.to_second * bottom;
                set_integer(*result, at,
                            from_steps(steps - (float)zero_point, &(*result)->qparams));
            }
        }
    }
    return OCTET_OK;
}

/* ---- adaptive average pooling, as PyTorch does it for tensors that are not channels-last: the
 * mean of the stored integers ---- */

OctetStatus oct_quantized_adaptive_pool(const OctetTensor *input, const int64_t *size,
                                        OctetTensor **result, OctetDiagnostic *diagnostic) {
    int32_t rank = input->shape.rank, spatial = rank - 2;
    OctetShape shape = input->shape;
    int64_t all = 0;
    for (int32_t i = 0; i < spatial; i++) {
        shape.dims[2 + i] = size[i];
    }
    OCT_TRY(oct_result_create(input, &shape, input->qparams.scale[0], input->qparams.zero_point[0],
                              result, diagnostic));
    (void)octet_shape_count(&shape, &all);
    for (int64_t at = 0; at < all; at++) {
        int64_t begin[3] = {0}, end[3] = {1, 1, 1}, rest = at, in[3] = {1, 1, 1};
        for (int32_t i = spatial - 1; i >= 0; i--) {
            int64_t place = rest % size[i];
            int32_t axis = 3 - spatial + i;
            rest /= size[i];
            in[axis] = input->shape.dims[2 + i];
            begin[axis] = place * in[axis] / size[i];
            end[axis] = ((place + 1) * in[axis] + size[i] - 1) / size[i];
        }
        int64_t sum = 0, count = 0;
        for (int64_t d = begin[0]; d < end[0]; d++) {
            for (int64_t h = begin[1]; h < end[1]; h++) {
                for (int64_t w = begin[2]; w < end[2]; w++, count++) {
                    int64_t index = ((rest * in[0] + d) * in[1] + h) * in[2] + w;
                    sum += integer_at(input, index);
                }
            }
        }
        float mean = (float)sum * (1.0f / (float)count);
        set_integer(*result, at, from_zero_steps(mean, &(*result)->qparams));
    }
    return OCTET_OK;
}
