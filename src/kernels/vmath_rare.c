#include "kernels/vmath_rare.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

/* For positive finite normal x: x = 2^e * m with m in [sqrt(1/2), sqrt(2)), and
 * log(m) = 2 * (s + s^3/3 + s^5/5 + ...) with s = (m - 1) / (m + 1), |s| <= 0.172. */
double oct_vmath_log_double(double x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof bits);
    int64_t exponent = (int64_t)(bits >> 52) - 1023;
    bits = (bits & 0xfffffffffffffULL) | 0x3ff0000000000000ULL;
    double mantissa;
    memcpy(&mantissa, &bits, sizeof mantissa);
    if (mantissa > 1.4142135623730951) {
        mantissa *= 0.5;
        exponent++;
    }
    double s = (mantissa - 1) / (mantissa + 1);
    double square = s * s;
    double sum = 0;
    for (int k = 21; k >= 1; k -= 2) {
        sum = sum * square + 1.0 / k;
    }
    return (double)exponent * 0.6931471805599453 + 2 * s * sum;
}

/* For |x| <= 700: 2^n * exp(r), r within half of log(2), by its power series. */
double oct_vmath_exp_double(double x) {
    double n = rint(x * 1.4426950408889634);
    double r = (x - n * 0.693147180369123816490) - n * 1.90821492927058770002e-10;
    double sum = 1;
    for (int k = 14; k >= 1; k--) {
        sum = sum * r / k + 1;
    }
    uint64_t bits = (uint64_t)((int64_t)n + 1023) << 52;
    double power;
    memcpy(&power, &bits, sizeof power);
    return sum * power;
}

/* For x >= 0, infinity included; the series needs |t| <= tan(pi / 8). */
static double atan_positive(double x) {
    const double half_pi = 1.5707963267948966;
    double base = 0;
    double sign = 1;
    if (x > 1) {
        base = half_pi;
        sign = -1;
        x = 1 / x;
    }
    double offset = 0;
    if (x > 0.41421356237309503) {
        offset = 0.5 * half_pi;
        x = (x - 1) / (x + 1);
    }
    double square = x * x;
    double sum = 0;
    for (int k = 31; k >= 1; k -= 2) {
        sum = 1.0 / k - sum * square;
    }
    return base + sign * (offset + x * sum);
}

static double atan_value(double x) {
    return x < 0 ? -atan_positive(-x) : x == 0 ? x : atan_positive(x);
}

static double asin_value(double x) {
    if (!(x >= -1 && x <= 1)) {
        return NAN;
    }
    return atan_value(x / sqrt((1 - x) * (1 + x)));
}

static double acos_value(double x) {
    if (!(x >= -1 && x <= 1)) {
        return NAN;
    }
    return 2 * atan_positive(sqrt((1 - x) / (1 + x)));
}

/* exp of |x|; beyond 100 sinh and cosh are infinite in f32 anyway. */
static double exp_of_magnitude(double x) {
    double magnitude = fabs(x);
    return oct_vmath_exp_double(magnitude < 100 ? magnitude : 100);
}

static double sinh_value(double x) {
    if (fabs(x) < 1) {
        double square = x * x;
        double sum = 1;
        for (int k = 6; k >= 1; k--) {
            sum = 1 + sum * square / ((2 * k) * (2 * k + 1));
        }
        return x * sum;
    }
    double e = exp_of_magnitude(x);
    double magnitude = 0.5 * (e - 1 / e);
    return x < 0 ? -magnitude : magnitude;
}

static double cosh_value(double x) {
    double e = exp_of_magnitude(x);
    return 0.5 * (e + 1 / e);
}

static double asinh_value(double x) {
    double a = fabs(x);
    if (a > 1e300) {
        return x;
    }
    double square = a * a;
    double magnitude = a < 0.01 ? a * (1 - square * (1.0 / 6 - square * (3.0 / 40)))
                                : oct_vmath_log_double(a + sqrt(square + 1));
    return x < 0 ? -magnitude : x == 0 ? x : magnitude;
}

static double acosh_value(double x) {
    if (!(x >= 1)) {
        return NAN;
    }
    return x > 1e300 ? x : oct_vmath_log_double(x + sqrt(x * x - 1));
}

static double atanh_value(double x) {
    double a = fabs(x);
    if (!(a <= 1)) {
        return NAN;
    }
    double square = a * a;
    double magnitude = a == 1     ? INFINITY
                       : a < 0.01 ? a * (1 + square * (1.0 / 3 + square * 0.2))
                                  : 0.5 * oct_vmath_log_double((1 + a) / (1 - a));
    return x < 0 ? -magnitude : x == 0 ? x : magnitude;
}

void oct_vmath_turn(int64_t k, int64_t n, double *cosine, double *sine) {
    k %= n;
    k += k < 0 ? n : 0;
    /* quarters of a turn, and the rest in [-1/8, 1/8] of a turn */
    int64_t quarter = (8 * k + n) / (2 * n);
    double x = 6.283185307179586 * ((double)(4 * k - quarter * n) / (4.0 * (double)n));
    double square = x * x;
    double c = 1;
    double s = 1;
    for (int i = 8; i >= 1; i--) {
        c = 1 - c * square / ((2 * i) * (2 * i - 1));
        s = 1 - s * square / ((2 * i) * (2 * i + 1));
    }
    s *= x;
    switch (quarter & 3) {
    case 0:
        *cosine = c;
        *sine = s;
        break;
    case 1:
        *cosine = -s;
        *sine = c;
        break;
    case 2:
        *cosine = -c;
        *sine = -s;
        break;
    default:
        *cosine = s;
        *sine = -c;
    }
}

#define DEFINE(name)                                                                               \
    void oct_vmath_##name(const float *input, float *output, size_t count) {                       \
        for (size_t i = 0; i < count; i++) {                                                       \
            output[i] = isnan(input[i]) ? NAN : (float)name##_value((double)input[i]);             \
        }                                                                                          \
    }

DEFINE(asin)
DEFINE(acos)
DEFINE(atan)
DEFINE(sinh)
DEFINE(cosh)
DEFINE(asinh)
DEFINE(acosh)
DEFINE(atanh)
