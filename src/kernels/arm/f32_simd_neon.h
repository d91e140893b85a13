/* f32_simd_portable.h's functions over vectors of 4 lanes. */
#ifndef OCT_KERNELS_ARM_F32_SIMD_NEON_H
#define OCT_KERNELS_ARM_F32_SIMD_NEON_H

#include <arm_neon.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OCT_SIMD static inline __attribute__((always_inline, unused))

enum { LANES = 4 };
typedef float32x4_t F;
typedef int32x4_t I;
typedef uint32x4_t M;

OCT_SIMD F s_load(const float *p) {
    return vld1q_f32(p);
}
OCT_SIMD void s_store(float *p, F a) {
    vst1q_f32(p, a);
}
OCT_SIMD F s_load_part(const float *p, size_t n) {
    float lanes[4] = {0};
    for (size_t i = 0; i < n; i++) {
        lanes[i] = p[i];
    }
    return vld1q_f32(lanes);
}
OCT_SIMD void s_store_part(float *p, F a, size_t n) {
    float lanes[4];
    vst1q_f32(lanes, a);
    for (size_t i = 0; i < n; i++) {
        p[i] = lanes[i];
    }
}
OCT_SIMD F s_set(float a) {
    return vdupq_n_f32(a);
}
OCT_SIMD F s_add(F a, F b) {
    return vaddq_f32(a, b);
}
OCT_SIMD F s_sub(F a, F b) {
    return vsubq_f32(a, b);
}
OCT_SIMD F s_mul(F a, F b) {
    return vmulq_f32(a, b);
}
OCT_SIMD F s_div(F a, F b) {
    return vdivq_f32(a, b);
}
OCT_SIMD F s_fma(F a, F b, F c) {
    return vfmaq_f32(c, a, b);
}
OCT_SIMD F s_sqrt(F a) {
    return vsqrtq_f32(a);
}
/* by comparison: fmin and fmax order the zeros and treat NaN otherwise */
OCT_SIMD F s_min(F a, F b) {
    return vbslq_f32(vcltq_f32(a, b), a, b);
}
OCT_SIMD F s_max(F a, F b) {
    return vbslq_f32(vcgtq_f32(a, b), a, b);
}
OCT_SIMD F s_floor(F a) {
    return vrndmq_f32(a);
}
OCT_SIMD F s_ceil(F a) {
    return vrndpq_f32(a);
}
OCT_SIMD F s_round(F a) {
    return vrndnq_f32(a);
}
OCT_SIMD I s_bits(F a) {
    return vreinterpretq_s32_f32(a);
}
OCT_SIMD F s_from_bits(I a) {
    return vreinterpretq_f32_s32(a);
}
OCT_SIMD I si_set(int32_t a) {
    return vdupq_n_s32(a);
}
OCT_SIMD I si_add(I a, I b) {
    return vaddq_s32(a, b);
}
OCT_SIMD I si_sub(I a, I b) {
    return vsubq_s32(a, b);
}
OCT_SIMD I si_and(I a, I b) {
    return vandq_s32(a, b);
}
OCT_SIMD I si_or(I a, I b) {
    return vorrq_s32(a, b);
}
OCT_SIMD I si_xor(I a, I b) {
    return veorq_s32(a, b);
}
#define si_shl(a, n) vshlq_n_s32(a, n)
#define si_sar(a, n) vshrq_n_s32(a, n)
OCT_SIMD F si_to_float(I a) {
    return vcvtq_f32_s32(a);
}
OCT_SIMD M si_equal(I a, I b) {
    return vceqq_s32(a, b);
}
OCT_SIMD M si_greater(I a, I b) {
    return vcgtq_s32(a, b);
}
OCT_SIMD M s_less(F a, F b) {
    return vcltq_f32(a, b);
}
OCT_SIMD M s_is_nan(F a) {
    return vmvnq_u32(vceqq_f32(a, a));
}
OCT_SIMD M m_or(M a, M b) {
    return vorrq_u32(a, b);
}
OCT_SIMD M m_not(M a) {
    return vmvnq_u32(a);
}
OCT_SIMD bool m_any(M a) {
    return vmaxvq_u32(a) != 0;
}
OCT_SIMD F s_select(M mask, F a, F b) {
    return vbslq_f32(mask, a, b);
}
OCT_SIMD I si_select(M mask, I a, I b) {
    return vbslq_s32(mask, a, b);
}
OCT_SIMD void si_store(int32_t *p, I a) {
    vst1q_s32(p, a);
}
OCT_SIMD I si_load(const int32_t *p) {
    return vld1q_s32(p);
}

#endif
