/* Deterministic f32 functions that networks seldom use: evaluated in double, one value at a time,
 * with additions, multiplications, divisions and square roots alone, so that every platform gives
 * the same bits. Within 1 ulp. In place allowed.
 * Outside the domain, and for NaN, the result is NaN. */
#ifndef OCT_KERNELS_VMATH_RARE_H
#define OCT_KERNELS_VMATH_RARE_H

#include <stddef.h>
#include <stdint.h>

void oct_vmath_asin(const float *input, float *output, size_t count);
void oct_vmath_acos(const float *input, float *output, size_t count);
void oct_vmath_atan(const float *input, float *output, size_t count);
void oct_vmath_sinh(const float *input, float *output, size_t count);
void oct_vmath_cosh(const float *input, float *output, size_t count);
void oct_vmath_asinh(const float *input, float *output, size_t count);
void oct_vmath_acosh(const float *input, float *output, size_t count);
void oct_vmath_atanh(const float *input, float *output, size_t count);

/* In double, within some 1e-14 relative. log: positive finite normal x. exp: |x| <= 700. */
double oct_vmath_log_double(double x);
double oct_vmath_exp_double(double x);
/* Cosine and sine of k / n of a full turn, exact at multiples of a quarter turn; n > 0. */
void oct_vmath_turn(int64_t k, int64_t n, double *cosine, double *sine);

#endif
