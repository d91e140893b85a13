#include "quant/requantize_pairs.h"
#include "base/diag.h"
#include "quant/requantize.h"

#include <math.h>

static uint8_t clamp(int64_t value, const OctPairGrids *grids) {
    value = value < grids->minimum ? grids->minimum : value;
    return (uint8_t)(value > grids->maximum ? grids->maximum : value);
}

/* RNE(steps) + zero point; steps far outside saturate. */
static uint8_t round_steps(float steps, const OctPairGrids *grids) {
    float inside = fminf(fmaxf(steps, -1024.0F), 1024.0F);
    return clamp((int64_t)rintf(inside) + grids->y_zero_point, grids);
}

/* PyTorch's own kernel, in every engine but qnnpack: both dequantized by one fused multiply-add
 * with fl(s * -z), added, multiplied with fl(1 / sy). */
static void add_in_float(const OctPairGrids *grids, uint8_t *table) {
    const float a_zero = grids->a_scale * (float)-grids->a_zero_point;
    const float b_zero = grids->b_scale * (float)-grids->b_zero_point;
    const float inverse = 1.0F / grids->y_scale;
    for (int a = 0; a < 256; a++) {
        float first = fmaf(grids->a_scale, (float)a, a_zero);
        for (int b = 0; b < 256; b++) {
            float sum = first + fmaf(grids->b_scale, (float)b, b_zero);
            *table++ = round_steps(sum * inverse, grids);
        }
    }
}

/* PyTorch has no quantized difference: dequantized, subtracted, quantized by fl(1 / sy). */
static void subtract_in_float(const OctPairGrids *grids, uint8_t *table) {
    const float inverse = 1.0F / grids->y_scale;
    for (int a = 0; a < 256; a++) {
        float first = (float)(a - grids->a_zero_point) * grids->a_scale;
        for (int b = 0; b < 256; b++) {
            float second = (float)(b - grids->b_zero_point) * grids->b_scale;
            *table++ = round_steps((first - second) * inverse, grids);
        }
    }
}

/* x / 2^shift to the nearest, halves away from zero. */
static int32_t shift_half_away(int32_t x, int32_t shift) {
    const int64_t half = INT64_C(1) << (shift - 1);
    return (int32_t)(x < 0 ? -((-(int64_t)x + half) >> shift) : ((int64_t)x + half) >> shift);
}

/* QNNPACK: both ratios as multipliers of 22 bits under a common shift. False where QNNPACK refuses:
 * ratios outside [2^-14, 2^8). */
static bool add_by_shift(const OctPairGrids *grids, uint8_t *table) {
    const float a_ratio = grids->a_scale / grids->y_scale,
                b_ratio = grids->b_scale / grids->y_scale;
    const float larger = fmaxf(a_ratio, b_ratio), smaller = fminf(a_ratio, b_ratio);
    if (!(smaller >= 0x1p-14F) || !(larger < 0x1p8F)) {
        return false;
    }
    int exponent;
    (void)frexpf(larger, &exponent); /* larger is in [2^(exponent - 1), 2^exponent) */
    const int32_t shift = 22 - exponent;
    if (shift > 31) {
        return false;
    }
    const int64_t a_multiplier = (int64_t)rintf(ldexpf(a_ratio, shift));
    const int64_t b_multiplier = (int64_t)rintf(ldexpf(b_ratio, shift));
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            int64_t sum =
                a_multiplier * (a - grids->a_zero_point) + b_multiplier * (b - grids->b_zero_point);
            *table++ =
                clamp((int64_t)shift_half_away((int32_t)sum, shift) + grids->y_zero_point, grids);
        }
    }
    return true;
}

static int32_t multiply(OctetRequantize mode, int32_t x, OctetFixedPoint multiplier) {
    return mode == OCTET_REQUANTIZE_TFLITE ? oct_fixed_point_multiply(x, multiplier)
                                           : oct_fixed_point_multiply_single(x, multiplier);
}

/* TensorFlow Lite's Add and Sub: both shifted left by 20 and brought to twice the larger scale. */
static OctetStatus add_fixed_point(OctetRequantize mode, const OctPairGrids *grids, bool minus,
                                   uint8_t *table, OctetDiagnostic *diagnostic) {
    enum { LEFT_SHIFT = 20 };
    const double a_scale = (double)grids->a_scale, b_scale = (double)grids->b_scale;
    const double twice = 2 * fmax(a_scale, b_scale);
    OctetFixedPoint of_a, of_b, of_y;
    OCT_TRY(octet_fixed_point(a_scale / twice, &of_a, diagnostic));
    OCT_TRY(octet_fixed_point(b_scale / twice, &of_b, diagnostic));
    OCT_TRY(
        octet_fixed_point(twice / ((1 << LEFT_SHIFT) * (double)grids->y_scale), &of_y, diagnostic));
    for (int a = 0; a < 256; a++) {
        int32_t first = multiply(mode, (a - grids->a_zero_point) * (1 << LEFT_SHIFT), of_a);
        for (int b = 0; b < 256; b++) {
            int32_t second = multiply(mode, (b - grids->b_zero_point) * (1 << LEFT_SHIFT), of_b);
            int32_t sum = minus ? first - second : first + second;
            *table++ = clamp((int64_t)multiply(mode, sum, of_y) + grids->y_zero_point, grids);
        }
    }
    return OCTET_OK;
}

static bool is_fixed_point(OctetRequantize mode) {
    return mode == OCTET_REQUANTIZE_TFLITE || mode == OCTET_REQUANTIZE_TFLITE_SINGLE;
}

OctetStatus oct_requantize_add_pairs(OctetRequantize mode, const OctPairGrids *grids, bool minus,
                                     uint8_t table[OCT_PAIRS], OctetDiagnostic *diagnostic) {
    if (is_fixed_point(mode)) {
        return add_fixed_point(mode, grids, minus, table, diagnostic);
    }
    if (minus) {
        subtract_in_float(grids, table);
        return OCTET_OK;
    }
    if (mode != OCTET_REQUANTIZE_QNNPACK || !add_by_shift(grids, table)) {
        add_in_float(grids, table);
    }
    return OCTET_OK;
}

OctetStatus oct_requantize_multiply_pairs(OctetRequantize mode, const OctPairGrids *grids,
                                          uint8_t table[OCT_PAIRS], OctetDiagnostic *diagnostic) {
    const float multiplier = grids->a_scale * grids->b_scale * (1.0F / grids->y_scale);
    OctetFixedPoint fixed = {0};
    if (is_fixed_point(mode)) {
        OCT_TRY(octet_fixed_point_from_scales(grids->a_scale, grids->b_scale, grids->y_scale,
                                              &fixed, diagnostic));
    }
    for (int a = 0; a < 256; a++) {
        for (int b = 0; b < 256; b++) {
            int32_t product = (a - grids->a_zero_point) * (b - grids->b_zero_point);
            *table++ =
                is_fixed_point(mode)
                    ? clamp((int64_t)multiply(mode, product, fixed) + grids->y_zero_point, grids)
                    : round_steps((float)product * multiplier, grids);
        }
    }
    return OCTET_OK;
}

float oct_requantize_average(OctetRequantize mode, float x_scale, float y_scale, int64_t count) {
    bool together = mode == OCTET_REQUANTIZE_ONNX || mode == OCTET_REQUANTIZE_QNNPACK;
    return together ? x_scale / (y_scale * (float)count) : x_scale / y_scale / (float)count;
}
