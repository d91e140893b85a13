/* The formulas of docs/numerics.md for what becomes of an accumulator, written once more. */
#ifndef OCTET_TESTS_MODE_FORMULAS_H
#define OCTET_TESTS_MODE_FORMULAS_H

#include "octet/quant.h"

#include <math.h>

/* A channel of a layer; its bias is `stored` if integer_bias, else `bias`. */
typedef struct ModeChannel {
    float sx, sw, sy;
    int32_t zy;
    bool relu, integer_bias;
    int32_t stored;
    float bias;
} ModeChannel;

static int32_t mode_bias(const ModeChannel *l, OctetRequantize mode) {
    float inverse = 1.0f / (l->sx * l->sw);
    return l->integer_bias ? l->stored
           : mode == OCTET_REQUANTIZE_ONNX
               ? (int32_t)rint((double)l->bias / ((double)l->sx * (double)l->sw))
           : mode == OCTET_REQUANTIZE_QNNPACK ? (int32_t)rintf(l->bias * inverse)
                                              : (int32_t)roundf(l->bias * inverse);
}

/* x * M with M = mantissa * 2^(shift - 31), in integers, divisions truncating. */
static int64_t mode_multiply(double multiplier, OctetRequantize mode, int64_t x) {
    int shift;
    double fraction = frexp(multiplier, &shift);
    int64_t mantissa = (int64_t)round(fraction * 2147483648.0);
    if (mantissa == INT64_C(1) << 31) {
        mantissa /= 2;
        shift++;
    }
    if (shift < -31) { /* QuantizeMultiplier makes 0 of it */
        return 0;
    }
    if (mode == OCTET_REQUANTIZE_TFLITE_SINGLE) {
        int total = 31 - shift;
        return (x * mantissa + (INT64_C(1) << (total - 1))) >> total;
    }
    int64_t product = x * (INT64_C(1) << (shift > 0 ? shift : 0)) * mantissa;
    int64_t half = INT64_C(1) << 30;
    int64_t high = (product + (product >= 0 ? half : 1 - half)) / (INT64_C(1) << 31);
    int64_t divisor = INT64_C(1) << (shift < 0 ? -shift : 0);
    int64_t twice = 2 * high + (high >= 0 ? divisor : -divisor);
    return divisor == 1 ? high : twice / (2 * divisor);
}

static uint8_t mode_byte(const ModeChannel *l, OctetRequantize mode, int32_t accumulator) {
    float unit = l->sx * l->sw, steps, low = (float)(l->relu ? l->zy : 0) - (float)l->zy;
    int64_t sum = (int64_t)accumulator + mode_bias(l, mode);
    if (mode == OCTET_REQUANTIZE_FBGEMM) {
        float bias = l->integer_bias ? (float)l->stored * unit : l->bias;
        steps = ((float)accumulator + bias / unit) * (unit / l->sy);
    } else if (mode == OCTET_REQUANTIZE_ONNX) {
        steps = (float)sum * (unit / l->sy);
    } else if (mode == OCTET_REQUANTIZE_QNNPACK) {
        steps = (float)sum * (l->sw * l->sx * (1.0f / l->sy));
    } else {
        double multiplier = (double)l->sx * (double)l->sw / (double)l->sy;
        steps = (float)fmax(fmin((double)mode_multiply(multiplier, mode, sum), 1000), -1000);
    }
    return (uint8_t)(rintf(fminf(fmaxf(steps, low), 255.0f - (float)l->zy)) + (float)l->zy);
}

#endif
