#include "kernels/vmath_scalar.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

/* Two over pi behind 32 zero bits, in words of 32 bits. */
static const uint32_t two_over_pi[] = {0x00000000, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0,
                                       0xdb629599, 0x3c439041, 0xfe5163ab, 0xdebbc561};

float oct_vmath_reduce_large_angle(float x, int32_t *quadrant) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    int exponent = (int)(bits >> 23 & 0xff);
    if (exponent == 0xff) {
        *quadrant = 0;
        return NAN;
    }
    /* x = mantissa * 2^(exponent - 150). Of mantissa * 2/pi only bits below weight 4 count: 96
     * bits of 2/pi, starting where the product's unit is 2^-94. */
    uint64_t mantissa = (bits & 0x7fffff) | 0x800000;
    int first = exponent - 150 - 1 + 31;
    int word = first / 32;
    int shift = first % 32;
    uint64_t window[3];
    for (int i = 0; i < 3; i++) {
        uint64_t pair = (uint64_t)two_over_pi[word + i] << 32 | two_over_pi[word + i + 1];
        window[i] = pair << shift >> 32;
    }
    uint64_t low = mantissa * window[2];
    uint64_t middle = mantissa * window[1] + (low >> 32);
    uint64_t high = mantissa * window[0] + (middle >> 32);
    uint64_t turns = high << 32 | (middle & 0xffffffff); /* in units of 2^-62 quadrants */
    int32_t nearest = (int32_t)((turns + ((uint64_t)1 << 61)) >> 62);
    int64_t rest;
    turns <<= 2;
    memcpy(&rest, &turns, sizeof rest);
    float angle = (float)((double)rest * 0x1p-64 * 0x1.921fb54442d18p+0);
    *quadrant = x < 0.0f ? -nearest : nearest;
    return x < 0.0f ? -angle : angle;
}

/* log2 of a positive finite number, to about 1e-12 relative */
static double log2_of(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    const uint64_t root_half = 0x3fe6a09e667f3bcd;
    bits += 0x3ff0000000000000 - root_half;
    int exponent = (int)(bits >> 52) - 1023;
    bits = (bits & 0x000fffffffffffff) + root_half;
    double m;
    memcpy(&m, &bits, sizeof m);
    double s = (m - 1.0) / (m + 1.0);
    double z = s * s;
    double sum = 1.0 / 15.0;
    for (int n = 13; n >= 1; n -= 2) {
        sum = sum * z + 1.0 / n;
    }
    return (double)exponent + 2.0 * s * sum * 0x1.71547652b82fep+0;
}

/* 2^x for x in [-200, 200], to about 1e-11 relative */
static double exp2_of(double x) {
    double nearest = (x + 0x1.8p52) - 0x1.8p52;
    double r = (x - nearest) * 0x1.62e42fefa39efp-1;
    double sum = 1.0;
    for (int n = 9; n >= 1; n--) {
        sum = 1.0 + sum * r / n;
    }
    uint64_t bits = (uint64_t)((int)nearest + 1023) << 52;
    double scale;
    memcpy(&scale, &bits, sizeof scale);
    return sum * scale;
}

/* Of |x|^y for x finite and not 0, y finite */
static float positive_power(double x, double y) {
    double exponent = y * log2_of(x);
    exponent = exponent < -200.0 ? -200.0 : exponent > 200.0 ? 200.0 : exponent;
    return (float)exp2_of(exponent);
}

static bool is_integer(float y) {
    return y == floorf(y);
}

static bool is_odd(float y) {
    return fabsf(y) < 0x1p24f && is_integer(y) && floorf(y * 0.5f) != y * 0.5f;
}

static float power(float x, float y) {
    if (y == 0.0f || x == 1.0f) {
        return 1.0f;
    }
    if (isnan(x) || isnan(y)) {
        return NAN;
    }
    float size = fabsf(x);
    float result;
    if (isinf(y)) {
        return size == 1.0f ? 1.0f : (size > 1.0f) == (y > 0.0f) ? INFINITY : 0.0f;
    }
    if (size == 0.0f || isinf(size)) {
        result = (size == 0.0f) == (y > 0.0f) ? 0.0f : INFINITY;
    } else if (x < 0.0f && !is_integer(y)) {
        return NAN;
    } else {
        result = positive_power((double)size, (double)y);
    }
    return signbit(x) && is_odd(y) ? -result : result;
}

void oct_vmath_pow(const float *base, const float *exponent, float *output, size_t count) {
    for (size_t i = 0; i < count; i++) {
        output[i] = power(base[i], exponent[i]);
    }
}
