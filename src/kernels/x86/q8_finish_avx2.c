#include "kernels/x86/q8_epilogue_avx2.h"

#include <string.h>

#include "kernels/x86/q8_x86.h"

/* Eight sums as bytes. */
OCT_INLINE void add_eight(const OctQ8Add *add, const uint8_t *a, const uint8_t *b, uint8_t *y) {
    __m256 wide_a =
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)a)));
    __m256 wide_b =
        _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_loadl_epi64((const __m128i *)(const void *)b)));
    __m256 sum = _mm256_fmadd_ps(wide_b, _mm256_set1_ps(add->ratio_b), _mm256_set1_ps(add->fixed));
    sum = _mm256_fmadd_ps(wide_a, _mm256_set1_ps(add->ratio_a), sum);
    sum = _mm256_max_ps(sum, _mm256_set1_ps(add->minimum));
    sum = _mm256_min_ps(sum, _mm256_set1_ps(add->maximum));
    __m256i q = _mm256_cvtps_epi32(sum);
    __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(q), _mm256_extracti128_si256(q, 1));
    _mm_storel_epi64((__m128i *)(void *)y, _mm_packus_epi16(words, words));
}

void oct_q8_finish_bytes_avx2(const OctQ8Epilogue *epilogue, uint8_t *bytes, size_t count,
                              uint8_t *output, const uint8_t *residual) {
    uint8_t other[32];
    if (epilogue->table) {
        oct_q8_lookup_avx2(epilogue->table, bytes, bytes, count);
    }
    if (epilogue->has_add) {
        if (count % 8 != 0) {
            memcpy(other, residual, count);
            residual = other;
        }
        for (size_t i = 0; i < count; i += 8) {
            add_eight(&epilogue->add, epilogue->residual_is_a ? residual + i : bytes + i,
                      epilogue->residual_is_a ? bytes + i : residual + i, bytes + i);
        }
        if (epilogue->add_table) {
            oct_q8_lookup_avx2(epilogue->add_table, bytes, bytes, count);
        }
    }
    if (count == 16) {
        memcpy(output, bytes, 16);
    } else {
        memcpy(output, bytes, count);
    }
}
