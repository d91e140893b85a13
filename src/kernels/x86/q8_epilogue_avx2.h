/* The epilogue of the 256-bit int8 kernels. */
#ifndef OCT_KERNELS_Q8_EPILOGUE_AVX2_H
#define OCT_KERNELS_Q8_EPILOGUE_AVX2_H

#include <immintrin.h>

#include "kernels/q8_epilogue.h"
#include "kernels/q8_unroll.h"

/* Tables and addition for `count` requantized bytes (at most 32) in channel order, and the store.
 * bytes[0, 32) is scratch. */
void oct_q8_finish_bytes_avx2(const OctQ8Epilogue *epilogue, uint8_t *bytes, size_t count,
                              uint8_t *output, const uint8_t *residual);

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
 * the saturating packs: only values of 2^31 and above need one in float. */
OCT_INLINE __m256i oct_q8_requantize_avx2(const OctQ8Requantize256 *constants, __m256i first,
                                          __m256i second, const float *first_multipliers,
                                          const float *second_multipliers) {
    __m256 a = _mm256_mul_ps(_mm256_cvtepi32_ps(first), _mm256_loadu_ps(first_multipliers));
    __m256 b = _mm256_mul_ps(_mm256_cvtepi32_ps(second), _mm256_loadu_ps(second_multipliers));
    __m256i words = _mm256_packs_epi32(_mm256_cvtps_epi32(_mm256_min_ps(a, constants->high)),
                                       _mm256_cvtps_epi32(_mm256_min_ps(b, constants->high)));
    return _mm256_adds_epi16(words, constants->zero_point);
}

#endif
