/* The epilogue of the 256-bit int8 kernels. */
#ifndef OCT_KERNELS_Q8_EPILOGUE_AVX2_H
#define OCT_KERNELS_Q8_EPILOGUE_AVX2_H

#include <immintrin.h>

#include "kernels/q8_epilogue.h"
#include "kernels/q8_unroll.h"

/* Tables and addition for `rows` requantized rows of 16 bytes in channel order, and the store of
 * the first `count` of each. block is scratch. */
void oct_q8_finish_block_avx2(const OctQ8Epilogue *epilogue, uint8_t *block, size_t rows,
                              size_t count, uint8_t *output, size_t stride, const uint8_t *residual,
                              size_t residual_stride);

/* The part that all u8 outputs begin with. */
typedef struct OctQ8Requantize256 {
    __m256 high;
    __m256i zero_point, minimum;
} OctQ8Requantize256;

OCT_INLINE OctQ8Requantize256 oct_q8_requantize_constants_avx2(const OctQ8Epilogue *epilogue) {
    return (OctQ8Requantize256){
        .high = _mm256_set1_ps((float)(epilogue->maximum - epilogue->zero_point)),
        .zero_point = _mm256_set1_epi16(epilogue->zero_point),
        .minimum = _mm256_set1_epi8((char)epilogue->minimum),
    };
}

/* Two accumulators to 16-bit words with the zero point, lane by lane. The lower clamp is left to
 * the saturating packs: only values of 2^31 and above need one in float; after it, the addition
 * can't leave 16 bits. */
OCT_INLINE __m256i oct_q8_requantize_avx2(const OctQ8Requantize256 *constants, __m256i first,
                                          __m256i second, const float *first_multipliers,
                                          const float *second_multipliers) {
    __m256 a = _mm256_mul_ps(_mm256_cvtepi32_ps(first), _mm256_loadu_ps(first_multipliers));
    __m256 b = _mm256_mul_ps(_mm256_cvtepi32_ps(second), _mm256_loadu_ps(second_multipliers));
    __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(_mm256_min_ps(a, constants->high)),
                                       _mm256_cvtps_epi32(_mm256_min_ps(b, constants->high)));
    return _mm256_add_epi16(words, constants->zero_point);
}

/* The addition of OctQ8Add for 16 bytes. */
OCT_INLINE __m128i oct_q8_add_sixteen_avx2(const OctQ8Add *add, __m128i a, __m128i b) {
    const __m256 ratio_a = _mm256_set1_ps(add->ratio_a), ratio_b = _mm256_set1_ps(add->ratio_b);
    const __m256 fixed = _mm256_set1_ps(add->fixed);
    const __m256 low = _mm256_set1_ps(add->minimum), high = _mm256_set1_ps(add->maximum);
    __m256i q[2];
    OCT_EACH_VECTOR(i, 2, {
        __m256i wide_a = _mm256_cvtepu8_epi32(i == 0 ? a : _mm_unpackhi_epi64(a, a));
        __m256i wide_b = _mm256_cvtepu8_epi32(i == 0 ? b : _mm_unpackhi_epi64(b, b));
        __m256 sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(wide_b), ratio_b, fixed);
        sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(wide_a), ratio_a, sum);
        q[i] = _mm256_cvtps_epi32(_mm256_min_ps(_mm256_max_ps(sum, low), high));
    });
    __m256i words = _mm256_permute4x64_epi64(_mm256_packs_epi32(q[0], q[1]), 0xD8);
    return _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
}

#endif
