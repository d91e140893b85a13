/* The parts of vector math that every level runs one value at a time. */
#ifndef OCT_KERNELS_VMATH_SCALAR_H
#define OCT_KERNELS_VMATH_SCALAR_H

#include <stddef.h>
#include <stdint.h>

/* Below it three fused multiply-adds reduce an angle well enough. */
#define OCT_VMATH_SMALL_ANGLE 48000.0f

/* For |x| >= OCT_VMATH_SMALL_ANGLE, infinity and NaN (which give NaN): x = quadrant * pi / 2 +
 * result modulo 2 pi, by exact integer arithmetic with the bits of 2 / pi that matter. */
float oct_vmath_reduce_large_angle(float x, int32_t *quadrant);

/* vmath.h's pow: logarithm and exponential in double, without fused operations. */
void oct_vmath_pow(const float *base, const float *exponent, float *output, size_t count);

#endif
