#include "quant/quantize_values.h"

#include <math.h>

/* Adding and subtracting 1.5 * 2^23 rounds |x| <= 2^22 to integers, half to even, in two additions
 * that every compiler vectorizes. */
static const float rounder = 12582912.0F;

OctQuantizeTarget oct_quantize_target(OctetDType dtype, float scale, int32_t zero_point,
                                      OctetQuantizeRule rule) {
    OctQuantizeTarget target = {
        .dtype = dtype, .scale = scale, .zero_point = zero_point, .rule = rule};
    octet_dtype_range(dtype, &target.minimum, &target.maximum);
    return target;
}

int64_t oct_quantize_one(float value, const OctQuantizeTarget *target) {
    float steps = target->rule == OCTET_QUANTIZE_DIVIDE ? value / target->scale
                                                        : value * (1.0F / target->scale);
    if (isnan(steps)) {
        return target->zero_point;
    }
    double q = target->rule == OCTET_QUANTIZE_DIVIDE
                   ? (double)rintf(steps) + target->zero_point
                   : (double)(rintf(steps) + (float)target->zero_point);
    return (int64_t)fmin(fmax(q, (double)target->minimum), (double)target->maximum);
}

/* Types of at most 16 bits: the clamp's ends are small integers, so it may come before rounding. */
#define DEFINE_QUANTIZE(name, type)                                                                \
    static void name(const float *restrict values, int64_t count, const OctQuantizeTarget *target, \
                     type *restrict quantized) {                                                   \
        const bool divide = target->rule == OCTET_QUANTIZE_DIVIDE;                                 \
        const float scale = divide ? target->scale : 1.0F / target->scale;                         \
        const float low = (float)(target->minimum - target->zero_point);                           \
        const float high = (float)(target->maximum - target->zero_point);                          \
        const int32_t zero_point = target->zero_point;                                             \
        for (int64_t i = 0; i < count; i++) {                                                      \
            float steps = divide ? values[i] / scale : values[i] * scale;                          \
            steps = steps != steps ? 0.0F : steps;                                                 \
            steps = steps < low ? low : steps;                                                     \
            steps = steps > high ? high : steps;                                                   \
            float rounded = (steps + rounder) - rounder;                                           \
            quantized[i] = (type)((int32_t)rounded + zero_point);                                  \
        }                                                                                          \
    }

DEFINE_QUANTIZE(quantize_u8, uint8_t)
DEFINE_QUANTIZE(quantize_s8, int8_t)
DEFINE_QUANTIZE(quantize_u16, uint16_t)
DEFINE_QUANTIZE(quantize_s16, int16_t)

void oct_quantize_values(const float *values, int64_t count, const OctQuantizeTarget *target,
                         void *quantized) {
    switch (target->dtype) {
    case OCTET_U8:
    case OCTET_U4:
        quantize_u8(values, count, target, quantized);
        break;
    case OCTET_S8:
    case OCTET_S4:
        quantize_s8(values, count, target, quantized);
        break;
    case OCTET_U16:
        quantize_u16(values, count, target, quantized);
        break;
    case OCTET_S16:
        quantize_s16(values, count, target, quantized);
        break;
    default:
        for (int64_t i = 0; i < count; i++) {
            ((int32_t *)quantized)[i] = (int32_t)oct_quantize_one(values[i], target);
        }
    }
}

#define DEFINE_DEQUANTIZE(name, type)                                                              \
    static void name(const type *restrict quantized, int64_t count, float scale,                   \
                     int32_t zero_point, float *restrict values) {                                 \
        for (int64_t i = 0; i < count; i++) {                                                      \
            values[i] = (float)((int32_t)quantized[i] - zero_point) * scale;                       \
        }                                                                                          \
    }

DEFINE_DEQUANTIZE(dequantize_u8, uint8_t)
DEFINE_DEQUANTIZE(dequantize_s8, int8_t)
DEFINE_DEQUANTIZE(dequantize_u16, uint16_t)
DEFINE_DEQUANTIZE(dequantize_s16, int16_t)

void oct_dequantize_values(const void *quantized, OctetDType dtype, int64_t count, float scale,
                           int32_t zero_point, float *values) {
    switch (dtype) {
    case OCTET_U8:
    case OCTET_U4:
        dequantize_u8(quantized, count, scale, zero_point, values);
        break;
    case OCTET_S8:
    case OCTET_S4:
        dequantize_s8(quantized, count, scale, zero_point, values);
        break;
    case OCTET_U16:
        dequantize_u16(quantized, count, scale, zero_point, values);
        break;
    case OCTET_S16:
        dequantize_s16(quantized, count, scale, zero_point, values);
        break;
    default:
        for (int64_t i = 0; i < count; i++) {
            int64_t steps = (int64_t)((const int32_t *)quantized)[i] - zero_point;
            values[i] = (float)steps * scale;
        }
    }
}
