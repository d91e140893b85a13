/* The vector abstraction that the f32 templates (f32_*_template.h, vmath_template.h) are written
 * in, here with vectors of one lane: the oracle. The ISA folders have the same functions over
 * their registers (x86/f32_simd_avx2.h, x86/f32_simd_avx512.h, arm/f32_simd_neon.h), so that every
 * level does the same operations in the same order. */
#ifndef OCT_KERNELS_F32_SIMD_PORTABLE_H
#define OCT_KERNELS_F32_SIMD_PORTABLE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define OCT_SIMD static inline __attribute__((always_inline, unused))

enum { LANES = 1 };
typedef float F;   /* a vector of f32 */
typedef int32_t I; /* a vector of s32 */
typedef bool M;    /* a mask */

OCT_SIMD F s_load(const float *p) {
    return *p;
}
OCT_SIMD void s_store(float *p, F a) {
    *p = a;
}
/* The first n < LANES lanes; the others are 0, and not stored. */
OCT_SIMD F s_load_part(const float *p, size_t n) {
    return n ? *p : 0.0f;
}
OCT_SIMD void s_store_part(float *p, F a, size_t n) {
    if (n) {
        *p = a;
    }
}
OCT_SIMD F s_set(float a) {
    return a;
}
OCT_SIMD F s_add(F a, F b) {
    return a + b;
}
OCT_SIMD F s_sub(F a, F b) {
    return a - b;
}
OCT_SIMD F s_mul(F a, F b) {
    return a * b;
}
OCT_SIMD F s_div(F a, F b) {
    return a / b;
}
/* a * b + c, rounded once */
OCT_SIMD F s_fma(F a, F b, F c) {
    return fmaf(a, b, c);
}
OCT_SIMD F s_sqrt(F a) {
    return sqrtf(a);
}
/* a < b ? a : b, so b if either is NaN or the two are equal; s_max likewise */
OCT_SIMD F s_min(F a, F b) {
    return a < b ? a : b;
}
OCT_SIMD F s_max(F a, F b) {
    return a > b ? a : b;
}
OCT_SIMD F s_floor(F a) {
    return floorf(a);
}
OCT_SIMD F s_ceil(F a) {
    return ceilf(a);
}
OCT_SIMD F s_round(F a) {
    return rintf(a);
}
OCT_SIMD I s_bits(F a) {
    I bits;
    memcpy(&bits, &a, sizeof bits);
    return bits;
}
OCT_SIMD F s_from_bits(I a) {
    F value;
    memcpy(&value, &a, sizeof value);
    return value;
}
OCT_SIMD I si_set(int32_t a) {
    return a;
}
OCT_SIMD I si_add(I a, I b) {
    return (I)((uint32_t)a + (uint32_t)b);
}
OCT_SIMD I si_sub(I a, I b) {
    return (I)((uint32_t)a - (uint32_t)b);
}
OCT_SIMD I si_and(I a, I b) {
    return a & b;
}
OCT_SIMD I si_or(I a, I b) {
    return a | b;
}
OCT_SIMD I si_xor(I a, I b) {
    return a ^ b;
}
/* shifts by a constant; si_sar keeps the sign */
#define si_shl(a, n) ((I)((uint32_t)(a) << (n)))
#define si_sar(a, n) ((I)((a) >> (n)))
OCT_SIMD F si_to_float(I a) {
    return (float)a;
}
OCT_SIMD M si_equal(I a, I b) {
    return a == b;
}
OCT_SIMD M si_greater(I a, I b) {
    return a > b;
}
/* ordered comparisons: false with NaN */
OCT_SIMD M s_less(F a, F b) {
    return a < b;
}
OCT_SIMD M s_is_nan(F a) {
    return a != a;
}
OCT_SIMD M m_or(M a, M b) {
    return a || b;
}
OCT_SIMD M m_not(M a) {
    return !a;
}
OCT_SIMD bool m_any(M a) {
    return a;
}
OCT_SIMD F s_select(M mask, F a, F b) {
    return mask ? a : b;
}
OCT_SIMD I si_select(M mask, I a, I b) {
    return mask ? a : b;
}
OCT_SIMD void si_store(int32_t *p, I a) {
    *p = a;
}
OCT_SIMD I si_load(const int32_t *p) {
    return *p;
}

#endif
