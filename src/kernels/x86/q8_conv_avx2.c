/* Int8 convolution with AVX2. vpmaddubsw would saturate its 16-bit sums of two products, so both
 * operands are widened to 16 bits: vpmaddwd is exact. On cores where both multiply at the same
 * rate the difference is in the additions alone. */
#include <immintrin.h>

#include "kernels/x86/q8_epilogue_avx2.h"
#include "kernels/x86/q8_x86.h"

/* The weights of eight channels at k and k + 2 (or k + 1 and k + 3), widened. */
OCT_INLINE __m256i widen(const uint8_t *weights) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)weights));
}

/* One row's four activations, of which PREPARE leaves two as words, times the weights of 16 or 8
 * channels. In assembly, since gcc 12 moves the multiplications of all rows together and then
 * spills most of the 16 registers. */
#define MULTIPLY_TWO(PREPARE, memory, acc0, acc1, w0, w1)                                          \
    do {                                                                                           \
        __m256i two, products;                                                                     \
        __asm__ volatile(                                                                          \
            "vpbroadcastd %[four], %[two]\n\t" PREPARE                                             \
            "vpmaddwd %[first], %[two], %[products]\n\t"                                           \
            "vpaddd %[products], %[sum0], %[sum0]\n\t"                                             \
            "vpmaddwd %[second], %[two], %[two]\n\t"                                               \
            "vpaddd %[two], %[sum1], %[sum1]\n\t"                                                  \
            : [sum0] "+x"(acc0), [sum1] "+x"(acc1), [two] "=&x"(two), [products] "=&x"(products)   \
            : [four] "m"(*(const uint32_t *)(const void *)(memory)), [mask] "m"(even_bytes),       \
              [first] "x"(w0), [second] "x"(w1));                                                  \
    } while (0)

#define MULTIPLY_ONE(PREPARE, memory, acc0, w0)                                                    \
    do {                                                                                           \
        __m256i two;                                                                               \
        __asm__ volatile("vpbroadcastd %[four], %[two]\n\t" PREPARE                                \
                         "vpmaddwd %[first], %[two], %[two]\n\t"                                   \
                         "vpaddd %[two], %[sum0], %[sum0]\n\t"                                     \
                         : [sum0] "+x"(acc0), [two] "=&x"(two)                                     \
                         : [four] "m"(*(const uint32_t *)(const void *)(memory)),                  \
                           [mask] "m"(even_bytes), [first] "x"(w0));                               \
    } while (0)

#define EVEN "vpand %[mask], %[two], %[two]\n\t"
#define ODD "vpsrlw $8, %[two], %[two]\n\t"

OCT_INLINE void multiply(const uint8_t *const *x, const uint8_t *weights, size_t k, size_t rows,
                         size_t vectors, __m256i *acc) {
    static const uint32_t even_bytes[8]
        __attribute__((aligned(32))) = {0x00FF00FF, 0x00FF00FF, 0x00FF00FF, 0x00FF00FF,
                                        0x00FF00FF, 0x00FF00FF, 0x00FF00FF, 0x00FF00FF};
    for (size_t i = 0; i < k; i += 4) {
        if (vectors == 2) {
            __m256i w0 = widen(weights), w1 = widen(weights + 16);
            OCT_EACH_ROW(r, rows,
                         MULTIPLY_TWO(EVEN, x[r] + i, acc[2 * r], acc[2 * r + 1], w0, w1););
            w0 = widen(weights + 32);
            w1 = widen(weights + 48);
            OCT_EACH_ROW(r, rows, MULTIPLY_TWO(ODD, x[r] + i, acc[2 * r], acc[2 * r + 1], w0, w1););
        } else {
            __m256i w0 = widen(weights);
            OCT_EACH_ROW(r, rows, MULTIPLY_ONE(EVEN, x[r] + i, acc[r], w0););
            w0 = widen(weights + 16);
            OCT_EACH_ROW(r, rows, MULTIPLY_ONE(ODD, x[r] + i, acc[r], w0););
        }
        weights += 32 * vectors;
    }
}

#include "kernels/x86/q8_conv_template_256.h"

static const OctQ8Layout layout = {.nr = 16, .lanes = 2, .split_pairs = true};

static size_t conv_packed_bytes(size_t channels, size_t taps, size_t k) {
    return oct_q8_packed_bytes(&layout, channels, taps, k);
}

static void conv_pack(const OctQ8PackSource *source, void *packed) {
    oct_q8_pack(&layout, source, packed);
}

const OctQ8ConvBundle oct_q8_conv_avx2 = {
    .name = "q8_conv avx2",
    .cpu = OCTET_CPU_AVX2,
    .nr = 16,
    .pixel_block = 6,
    .packed_bytes = conv_packed_bytes,
    .pack = conv_pack,
    .kernel = conv_kernel,
};
