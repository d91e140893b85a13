/* Int8 convolution with AVX2 for weights whose products of neighbors never saturate: vpmaddubsw
 * adds them in 16 bits (oct_q8_pairs_fit). Three instructions for 32 products, where the other
 * AVX2 bundle takes four for as many and widens all activations before. */
#include <immintrin.h>

#include "kernels/x86/q8_epilogue_avx2.h"
#include "kernels/x86/q8_x86.h"

OCT_INLINE void multiply(const uint8_t *const *x, const uint8_t *weights, size_t k, size_t rows,
                         size_t vectors, __m256i *acc) {
    for (size_t i = 0; i < k; i += 4) {
        __m256i w[4];
        OCT_EACH_VECTOR(v, vectors, {
            w[v] = _mm256_loadu_si256((const __m256i *)(const void *)(weights + 32 * v));
        });
        OCT_EACH_ROW(r, rows, {
            int32_t four;
            __builtin_memcpy(&four, x[r] + i, 4);
            __m256i activations = _mm256_set1_epi32(four);
            OCT_EACH_VECTOR(v, vectors, {
                __m256i pairs = _mm256_maddubs_epi16(activations, w[v]);
                __m256i fours = _mm256_madd_epi16(pairs, _mm256_set1_epi16(1));
                acc[r * vectors + v] = _mm256_add_epi32(acc[r * vectors + v], fours);
            });
        });
        weights += 32 * vectors;
    }
}

#include "kernels/x86/q8_conv_template_256.h"

static const OctQ8Layout conv_layout = {.nr = 16, .lanes = 2};

static size_t conv_packed_bytes(size_t channels, size_t taps, size_t k) {
    return oct_q8_packed_bytes(&conv_layout, channels, taps, k);
}

static void conv_pack(const OctQ8PackSource *source, void *packed) {
    oct_q8_pack(&conv_layout, source, packed);
}

const OctQ8ConvBundle oct_q8_conv_pairs_avx2 = {
    .name = "q8_conv avx2 pairs",
    .cpu = OCTET_CPU_AVX2,
    .nr = 16,
    .narrowest = 8,
    .pixel_block = 6,
    .padding_tile = conv_padding_tile,
    .packed_bytes = conv_packed_bytes,
    .pack = conv_pack,
    .kernel = conv_tiles,
};
