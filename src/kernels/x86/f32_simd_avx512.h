/* f32_simd_portable.h's functions over vectors of 16 lanes. */
#ifndef OCT_KERNELS_X86_F32_SIMD_AVX512_H
#define OCT_KERNELS_X86_F32_SIMD_AVX512_H

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OCT_SIMD static inline __attribute__((always_inline, unused))

enum { LANES = 16 };
typedef __m512 F;
typedef __m512i I;
typedef __mmask16 M;

OCT_SIMD F s_load(const float *p) {
    return _mm512_loadu_ps(p);
}
OCT_SIMD void s_store(float *p, F a) {
    _mm512_storeu_ps(p, a);
}
OCT_SIMD F s_load_part(const float *p, size_t n) {
    return _mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
}
OCT_SIMD void s_store_part(float *p, F a, size_t n) {
    _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), a);
}
OCT_SIMD F s_set(float a) {
    return _mm512_set1_ps(a);
}
OCT_SIMD F s_add(F a, F b) {
    return _mm512_add_ps(a, b);
}
OCT_SIMD F s_sub(F a, F b) {
    return _mm512_sub_ps(a, b);
}
OCT_SIMD F s_mul(F a, F b) {
    return _mm512_mul_ps(a, b);
}
OCT_SIMD F s_div(F a, F b) {
    return _mm512_div_ps(a, b);
}
OCT_SIMD F s_fma(F a, F b, F c) {
    return _mm512_fmadd_ps(a, b, c);
}
OCT_SIMD F s_sqrt(F a) {
    return _mm512_sqrt_ps(a);
}
OCT_SIMD F s_min(F a, F b) {
    return _mm512_min_ps(a, b);
}
OCT_SIMD F s_max(F a, F b) {
    return _mm512_max_ps(a, b);
}
OCT_SIMD F s_floor(F a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
}
OCT_SIMD F s_ceil(F a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
}
OCT_SIMD F s_round(F a) {
    return _mm512_roundscale_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
OCT_SIMD I s_bits(F a) {
    return _mm512_castps_si512(a);
}
OCT_SIMD F s_from_bits(I a) {
    return _mm512_castsi512_ps(a);
}
OCT_SIMD I si_set(int32_t a) {
    return _mm512_set1_epi32(a);
}
OCT_SIMD I si_add(I a, I b) {
    return _mm512_add_epi32(a, b);
}
OCT_SIMD I si_sub(I a, I b) {
    return _mm512_sub_epi32(a, b);
}
OCT_SIMD I si_and(I a, I b) {
    return _mm512_and_si512(a, b);
}
OCT_SIMD I si_or(I a, I b) {
    return _mm512_or_si512(a, b);
}
OCT_SIMD I si_xor(I a, I b) {
    return _mm512_xor_si512(a, b);
}
#define si_shl(a, n) _mm512_slli_epi32(a, n)
#define si_sar(a, n) _mm512_srai_epi32(a, n)
OCT_SIMD F si_to_float(I a) {
    return _mm512_cvtepi32_ps(a);
}
OCT_SIMD M si_equal(I a, I b) {
    return _mm512_cmpeq_epi32_mask(a, b);
}
OCT_SIMD M si_greater(I a, I b) {
    return _mm512_cmpgt_epi32_mask(a, b);
}
OCT_SIMD M s_less(F a, F b) {
    return _mm512_cmp_ps_mask(a, b, _CMP_LT_OQ);
}
OCT_SIMD M s_is_nan(F a) {
    return _mm512_cmp_ps_mask(a, a, _CMP_UNORD_Q);
}
OCT_SIMD M m_or(M a, M b) {
    return (M)(a | b);
}
OCT_SIMD M m_not(M a) {
    return (M)~a;
}
OCT_SIMD bool m_any(M a) {
    return a != 0;
}
OCT_SIMD F s_select(M mask, F a, F b) {
    return _mm512_mask_blend_ps(mask, b, a);
}
OCT_SIMD I si_select(M mask, I a, I b) {
    return _mm512_mask_blend_epi32(mask, b, a);
}
OCT_SIMD void si_store(int32_t *p, I a) {
    _mm512_storeu_si512(p, a);
}
OCT_SIMD I si_load(const int32_t *p) {
    return _mm512_loadu_si512(p);
}

#endif
