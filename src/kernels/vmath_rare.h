/* Deterministic f32 functions that networks seldom use: evaluated in double, one value at a time,
 * with additions, multiplications, divisions and square roots alone, so that every platform gives
 * the same bits. Within 1 ulp. In place allowed.
 * Outside the domain, and for NaN, the result is NaN. */
#ifndef OCT_KERNELS_VMATH_RARE_H
#define OCT_KERNELS_VMATH_RARE_H

#include <stddef.h>

void oct_vmath_asin(const float *input, float *output, size_t count);
void oct_vmath_acos(const float *input, float *output, size_t count);
void oct_vmath_atan(const float *input, float *output, size_t count);
void oct_vmath_sinh(const float *input, float *output, size_t count);
void oct_vmath_cosh(const float *input, float *output, size_t count);
void oct_vmath_asinh(const float *input, float *output, size_t count);
void oct_vmath_acosh(const float *input, float *output, size_t count);
void oct_vmath_atanh(const float *input, float *output, size_t count);

#endif
