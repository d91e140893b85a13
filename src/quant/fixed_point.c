/* Multipliers as a 31-bit mantissa and a shift: what targets without floating point compute with.
 */
#include "base/diag.h"
#include "quant/requantize.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

enum { MAX_SHIFT = 30, MIN_SHIFT = -31 };

static OctetStatus check_shift(OctetFixedPoint *fixed, OctetDiagnostic *diagnostic) {
    if (fixed->mantissa == 0 || fixed->shift < MIN_SHIFT) {
        *fixed = (OctetFixedPoint){0};
    } else if (fixed->shift > MAX_SHIFT) {
        return oct_fail(diagnostic, OCTET_ERROR_NUMERIC,
                        "a multiplier of 2^%" PRId32 " or more is too large for fixed point",
                        fixed->shift - 1);
    }
    return OCTET_OK;
}

OctetStatus octet_fixed_point(double multiplier, OctetFixedPoint *fixed,
                              OctetDiagnostic *diagnostic) {
    *fixed = (OctetFixedPoint){0};
    if (!(multiplier >= 0) || isinf(multiplier)) {
        return oct_fail(diagnostic, OCTET_ERROR_NUMERIC,
                        "%g can't be a multiplier; it must be finite and not negative", multiplier);
    }
    if (multiplier == 0) {
        return OCTET_OK;
    }
    int shift;
    double mantissa = frexp(multiplier, &shift) * 0x1p31;
    int64_t rounded = (int64_t)(mantissa + 0.5); /* exact: both have at most 53 bits above 2^-22 */
    if (rounded == INT64_C(1) << 31) {
        rounded /= 2;
        shift++;
    }
    *fixed = (OctetFixedPoint){.mantissa = (int32_t)rounded, .shift = shift};
    return check_shift(fixed, diagnostic);
}

/* A positive finite float as mantissa * 2^exponent, the mantissa of 24 bits. False otherwise. */
static bool take_apart(float value, uint32_t *mantissa, int32_t *exponent) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    int32_t biased = (int32_t)(bits >> 23);
    *mantissa = bits & 0x7fffff;
    if (biased >= 255 || (biased == 0 && *mantissa == 0)) {
        return false; /* the sign makes biased at least 256 */
    }
    if (biased > 0) {
        *mantissa |= 0x800000;
        *exponent = biased - 150;
        return true;
    }
    *exponent = -149;
    while (*mantissa < 0x800000) {
        *mantissa <<= 1;
        --*exponent;
    }
    return true;
}

/* numerator / denominator with `bits` significant bits, by long division, and whether there is a
 * remainder. The quotient is quotient * 2^-scale. */
static uint64_t divide(uint64_t numerator, uint32_t denominator, int bits, int32_t *scale,
                       bool *remains) {
    uint64_t quotient = numerator / denominator, rest = numerator % denominator;
    *scale = 0;
    while (quotient < UINT64_C(1) << (bits - 1)) {
        rest <<= 1;
        quotient = (quotient << 1) | (rest >= denominator);
        rest = rest >= denominator ? rest - denominator : rest;
        ++*scale;
    }
    *remains = rest != 0;
    return quotient;
}

OctetStatus octet_fixed_point_from_scales(float input_scale, float weight_scale, float output_scale,
                                          OctetFixedPoint *fixed, OctetDiagnostic *diagnostic) {
    uint32_t input, weight, output;
    int32_t input_exponent, weight_exponent, output_exponent, scale;
    bool remains;
    *fixed = (OctetFixedPoint){0};
    if (!take_apart(input_scale, &input, &input_exponent) ||
        !take_apart(weight_scale, &weight, &weight_exponent) ||
        !take_apart(output_scale, &output, &output_exponent)) {
        return oct_fail(diagnostic, OCTET_ERROR_NUMERIC, "a scale is not positive and finite");
    }
    /* the double quotient has 53 bits, half to even; one more bit and the remainder decide */
    uint64_t quotient = divide((uint64_t)input * weight, output, 54, &scale, &remains);
    bool up = (quotient & 1) && (remains || (quotient & 2));
    uint64_t rounded = (quotient >> 1) + up;
    int32_t exponent = input_exponent + weight_exponent - output_exponent - scale + 1;
    if (rounded == UINT64_C(1) << 53) {
        rounded >>= 1;
        exponent++;
    }
    /* 53 bits to 31, half away from zero */
    uint64_t mantissa = (rounded + (UINT64_C(1) << 21)) >> 22;
    int32_t shift = exponent + 53;
    if (mantissa == UINT64_C(1) << 31) {
        mantissa >>= 1;
        shift++;
    }
    *fixed = (OctetFixedPoint){.mantissa = (int32_t)mantissa, .shift = shift};
    return check_shift(fixed, diagnostic);
}

static int32_t saturate(int64_t value) {
    return (int32_t)(value < INT32_MIN ? INT32_MIN : value > INT32_MAX ? INT32_MAX : value);
}

/* gemmlowp's SaturatingRoundingDoublingHighMul: a * b / 2^31 to the nearest, ties upward. The
 * mantissa is never INT32_MIN, so it can't saturate. */
static int32_t doubling_high_multiply(int32_t a, int32_t b) {
    int64_t product = (int64_t)a * b;
    int64_t nudge = product >= 0 ? INT64_C(1) << 30 : 1 - (INT64_C(1) << 30);
    return (int32_t)((product + nudge) / (INT64_C(1) << 31));
}

/* gemmlowp's RoundingDivideByPOT: x / 2^exponent, half away from zero. */
static int32_t rounding_shift(int32_t x, int32_t exponent) {
    int64_t half = exponent > 0 ? INT64_C(1) << (exponent - 1) : 0;
    int64_t magnitude = x < 0 ? -(int64_t)x : x;
    int64_t shifted = (magnitude + half) >> exponent;
    return (int32_t)(x < 0 ? -shifted : shifted);
}

int32_t oct_fixed_point_multiply(int32_t x, OctetFixedPoint multiplier) {
    int32_t left = multiplier.shift > 0 ? multiplier.shift : 0;
    int32_t right = multiplier.shift > 0 ? 0 : -multiplier.shift;
    int32_t shifted = saturate((int64_t)x * (INT64_C(1) << left));
    return rounding_shift(doubling_high_multiply(shifted, multiplier.mantissa), right);
}

int32_t oct_fixed_point_multiply_single(int32_t x, OctetFixedPoint multiplier) {
    int32_t shift = 31 - multiplier.shift; /* 1 to 62 */
    int64_t round = INT64_C(1) << (shift - 1);
    int64_t sum = (int64_t)x * multiplier.mantissa + round;
    /* floor division by 2^shift, without shifting a negative number */
    int64_t result = sum >= 0 ? sum >> shift : -((-sum + (INT64_C(1) << shift) - 1) >> shift);
    return saturate(result);
}
