/* Depthwise int8 convolution with AVX2. */
#include <immintrin.h>

#include "kernels/x86/q8_epilogue_avx2.h"
#include "kernels/x86/q8_x86.h"

/* Four products by two vpmaddwd: the even bytes and the odd bytes of both operands, widened. */
OCT_INLINE __m256i dot_256(__m256i acc, __m256i x, __m256i w) {
    __m256i even = _mm256_madd_epi16(_mm256_and_si256(x, _mm256_set1_epi16(0xFF)),
                                     _mm256_srai_epi16(_mm256_slli_epi16(w, 8), 8));
    __m256i odd = _mm256_madd_epi16(_mm256_srli_epi16(x, 8), _mm256_srai_epi16(w, 8));
    return _mm256_add_epi32(acc, _mm256_add_epi32(even, odd));
}

OCT_INLINE __m128i dot_128(__m128i acc, __m128i x, __m128i w) {
    __m128i even = _mm_madd_epi16(_mm_and_si128(x, _mm_set1_epi16(0xFF)),
                                  _mm_srai_epi16(_mm_slli_epi16(w, 8), 8));
    __m128i odd = _mm_madd_epi16(_mm_srli_epi16(x, 8), _mm_srai_epi16(w, 8));
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
