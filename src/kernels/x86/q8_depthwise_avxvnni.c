/* Depthwise int8 convolution with AVX2 and VNNI in its VEX form. */
#include <immintrin.h>

#include "kernels/x86/q8_epilogue_avx2.h"
#include "kernels/x86/q8_x86.h"

#define WEIGHT_BYTES 1
#define dot_256(acc, x, w)                                                                         \
    _mm256_dpbusd_avx_epi32(acc, x, _mm256_loadu_si256((const __m256i *)(const void *)(w)))
#define dot_128(acc, x, w)                                                                         \
    _mm_dpbusd_avx_epi32(acc, x, _mm_loadu_si128((const __m128i *)(const void *)(w)))

#include "kernels/x86/q8_depthwise_256.h"

const OctQ8DepthwiseBundle oct_q8_depthwise_avxvnni = {
    .name = "q8_depthwise avx2-vnni",
    .cpu = OCTET_CPU_AVX2_VNNI,
    .packed_bytes = depthwise_packed_bytes,
    .pack = depthwise_pack,
    .kernel = depthwise_kernel,
};
