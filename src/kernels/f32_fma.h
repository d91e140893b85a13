/* Fused multiply-adds for the portable kernels, exact and faster than fmaf without the instruction.
 *
 * The product of two floats is exact in double, so only the sum is rounded twice: to double, then
 * to float. That is the same as rounding once unless the double lies half-way between two floats,
 * or the result is subnormal; then fmaf decides. */
#ifndef OCT_KERNELS_F32_FMA_H
#define OCT_KERNELS_F32_FMA_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { OCT_FMA_LANES = 8 };

/* Nonzero if any of these sums may not just be converted to float. */
static inline uint32_t oct_f32_fma_doubtful(const double *sums) {
    uint64_t bits[OCT_FMA_LANES];
    memcpy(bits, sums, sizeof bits);
    uint32_t doubtful = 0;
    for (size_t i = 0; i < OCT_FMA_LANES; i++) {
        uint32_t low = (uint32_t)bits[i] & 0x1fffffff;
        uint32_t exponent = (uint32_t)(bits[i] >> 52) & 0x7ff;
        doubtful |= (uint32_t)(low == 0x10000000);
        /* exponents of 2^-1022 up to below 2^-126; zero is exact */
        doubtful |= (uint32_t)(exponent - 1 < 896);
    }
    return doubtful;
}

/* sum[i] = fma(a, b[i], sum[i]) */
static inline void oct_f32_fma_scalar(float a, const float *b, float *sum) {
    double sums[OCT_FMA_LANES];
    for (size_t i = 0; i < OCT_FMA_LANES; i++) {
        sums[i] = (double)a * (double)b[i] + (double)sum[i];
    }
    if (oct_f32_fma_doubtful(sums)) {
        for (size_t i = 0; i < OCT_FMA_LANES; i++) {
            sum[i] = fmaf(a, b[i], sum[i]);
        }
        return;
    }
    for (size_t i = 0; i < OCT_FMA_LANES; i++) {
        sum[i] = (float)sums[i];
    }
}

/* sum[i] = fma(a[i], b[i], sum[i]) */
static inline void oct_f32_fma_vector(const float *a, const float *b, float *sum) {
    double sums[OCT_FMA_LANES];
    for (size_t i = 0; i < OCT_FMA_LANES; i++) {
        sums[i] = (double)a[i] * (double)b[i] + (double)sum[i];
    }
    if (oct_f32_fma_doubtful(sums)) {
        for (size_t i = 0; i < OCT_FMA_LANES; i++) {
            sum[i] = fmaf(a[i], b[i], sum[i]);
        }
        return;
    }
    for (size_t i = 0; i < OCT_FMA_LANES; i++) {
        sum[i] = (float)sums[i];
    }
}

#endif
