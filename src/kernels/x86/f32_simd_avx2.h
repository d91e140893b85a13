/* f32_simd_portable.h's functions over vectors of 8 lanes. */
#ifndef OCT_KERNELS_X86_F32_SIMD_AVX2_H
#define OCT_KERNELS_X86_F32_SIMD_AVX2_H

#include <immintrin.h>
#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define OCT_SIMD static inline __attribute__((always_inline, unused))

enum { LANES = 8 };
typedef __m256 F;
typedef __m256i I;
typedef __m256 M;

OCT_SIMD __m256i part_mask(size_t n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
OCT_SIMD F s_load(const float *p) {
    return _mm256_loadu_ps(p);
}
OCT_SIMD void s_store(float *p, F a) {
    _mm256_storeu_ps(p, a);
}
OCT_SIMD F s_load_part(const float *p, size_t n) {
    return _mm256_maskload_ps(p, part_mask(n));
}
OCT_SIMD void s_store_part(float *p, F a, size_t n) {
    _mm256_maskstore_ps(p, part_mask(n), a);
}
OCT_SIMD F s_set(float a) {
    return _mm256_set1_ps(a);
}
OCT_SIMD F s_add(F a, F b) {
    return _mm256_add_ps(a, b);
}
OCT_SIMD F s_sub(F a, F b) {
    return _mm256_sub_ps(a, b);
}
OCT_SIMD F s_mul(F a, F b) {
    return _mm256_mul_ps(a, b);
}
OCT_SIMD F s_div(F a, F b) {
    return _mm256_div_ps(a, b);
}
OCT_SIMD F s_fma(F a, F b, F c) {
    return _mm256_fmadd_ps(a, b, c);
}
OCT_SIMD F s_sqrt(F a) {
    return _mm256_sqrt_ps(a);
}
OCT_SIMD F s_min(F a, F b) {
    return _mm256_min_ps(a, b);
}
OCT_SIMD F s_max(F a, F b) {
    return _mm256_max_ps(a, b);
}
OCT_SIMD F s_floor(F a) {
    return _mm256_floor_ps(a);
}
OCT_SIMD F s_ceil(F a) {
    return _mm256_ceil_ps(a);
}
OCT_SIMD F s_round(F a) {
    return _mm256_round_ps(a, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
OCT_SIMD I s_bits(F a) {
    return _mm256_castps_si256(a);
}
OCT_SIMD F s_from_bits(I a) {
    return _mm256_castsi256_ps(a);
}
OCT_SIMD I si_set(int32_t a) {
    return _mm256_set1_epi32(a);
}
OCT_SIMD I si_add(I a, I b) {
    return _mm256_add_epi32(a, b);
}
OCT_SIMD I si_sub(I a, I b) {
    return _mm256_sub_epi32(a, b);
}
OCT_SIMD I si_and(I a, I b) {
    return _mm256_and_si256(a, b);
}
OCT_SIMD I si_or(I a, I b) {
    return _mm256_or_si256(a, b);
}
OCT_SIMD I si_xor(I a, I b) {
    return _mm256_xor_si256(a, b);
}
#define si_shl(a, n) _mm256_slli_epi32(a, n)
#define si_sar(a, n) _mm256_srai_epi32(a, n)
OCT_SIMD F si_to_float(I a) {
    return _mm256_cvtepi32_ps(a);
}
OCT_SIMD M si_equal(I a, I b) {
    return _mm256_castsi256_ps(_mm256_cmpeq_epi32(a, b));
}
OCT_SIMD M si_greater(I a, I b) {
    return _mm256_castsi256_ps(_mm256_cmpgt_epi32(a, b));
}
OCT_SIMD M s_less(F a, F b) {
    return _mm256_cmp_ps(a, b, _CMP_LT_OQ);
}
OCT_SIMD M s_is_nan(F a) {
    return _mm256_cmp_ps(a, a, _CMP_UNORD_Q);
}
OCT_SIMD M m_or(M a, M b) {
    return _mm256_or_ps(a, b);
}
OCT_SIMD M m_not(M a) {
    return _mm256_xor_ps(a, _mm256_castsi256_ps(_mm256_set1_epi32(-1)));
}
OCT_SIMD bool m_any(M a) {
    return _mm256_movemask_ps(a) != 0;
}
OCT_SIMD F s_select(M mask, F a, F b) {
    return _mm256_blendv_ps(b, a, mask);
}
OCT_SIMD I si_select(M mask, I a, I b) {
    return _mm256_blendv_epi8(b, a, _mm256_castps_si256(mask));
}
OCT_SIMD void si_store(int32_t *p, I a) {
    _mm256_storeu_si256((__m256i *)(void *)p, a);
}
OCT_SIMD I si_load(const int32_t *p) {
    return _mm256_loadu_si256((const __m256i *)(const void *)p);
}

#endif
