/* Depthwise int8 convolution with AVX2. */
#include <immintrin.h>

#include "kernels/x86/q8_epilogue_avx2.h"
#include "kernels/x86/q8_x86.h"

/* Four products by two vpmaddwd: of the even and of the odd bytes, widened. */
#define WEIGHT_BYTES 2

OCT_INLINE __m256i dot_256(__m256i acc, __m256i x, const uint8_t *w) {
    __m256i even_weights = _mm256_loadu_si256((const __m256i *)(const void *)w);
    __m256i odd_weights = _mm256_loadu_si256((const __m256i *)(const void *)(w + 32));
    __m256i even = _mm256_madd_epi16(_mm256_and_si256(x, _mm256_set1_epi16(0xFF)), even_weights);
    __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), odd_weights);
    return _mm256_add_epi32(acc, _mm256_add_epi32(even, odd));
}

OCT_INLINE __m128i dot_128(__m128i acc, __m128i x, const uint8_t *w) {
    __m128i even_weights = _mm_loadu_si128((const __m128i *)(const void *)w);
    __m128i odd_weights = _mm_loadu_si128((const __m128i *)(const void *)(w + 16));
    __m128i even = _mm_madd_epi16(_mm_and_si128(x, _mm_set1_epi16(0xFF)), even_weights);
    __m128i odd = _mm_madd_epi16(_mm_srli_epi16(x, 8), odd_weights);
    return _mm_add_epi32(acc, _mm_add_epi32(even, odd));
}

#include "kernels/x86/q8_depthwise_256.h"

const OctQ8DepthwiseBundle oct_q8_depthwise_avx2 = {
    .name = "q8_depthwise avx2",
    .cpu = OCTET_CPU_AVX2,
    .packed_bytes = depthwise_packed_bytes,
    .pack = depthwise_pack,
    .kernel = depthwise_kernel,
};
