/* Int8 convolution with AVX2. vpmaddubsw would saturate its 16-bit sums of two products, so both
 * operands are widened to 16 bits, for which vpmaddwd is exact: activations once for all panels,
 * into a buffer; weights when they are loaded. */
#include <immintrin.h>

#include "kernels/q8_conv_c.h"
#include "kernels/x86/q8_epilogue_avx2.h"
#include "kernels/x86/q8_x86.h"

/* The weights of eight channels at k and k + 1 (or k + 2 and k + 3), widened. */
OCT_INLINE __m256i widen(const uint8_t *weights) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)(const void *)weights));
}

/* Two of a row's activations times the weights of 16 or 8 channels. In assembly, since gcc 12
 * moves the multiplications of all rows together and then spills most of the 16 registers. */
#define MULTIPLY_TWO(offset, row, index, acc0, acc1, w0, w1)                                       \
    do {                                                                                           \
        __m256i two, products;                                                                     \
        __asm__ volatile(                                                                          \
            "vpbroadcastd " #offset "(%[x],%[i],2), %[two]\n\t"                                    \
            "vpmaddwd %[first], %[two], %[products]\n\t"                                           \
            "vpaddd %[products], %[sum0], %[sum0]\n\t"                                             \
            "vpmaddwd %[second], %[two], %[two]\n\t"                                               \
            "vpaddd %[two], %[sum1], %[sum1]\n\t"                                                  \
            : [sum0] "+x"(acc0), [sum1] "+x"(acc1), [two] "=&x"(two), [products] "=&x"(products)   \
            : [x] "r"(row), [i] "r"(index), [first] "x"(w0), [second] "x"(w1)                      \
            : "memory");                                                                           \
    } while (0)

#define MULTIPLY_ONE(offset, row, index, acc0, w0)                                                 \
    do {                                                                                           \
        __m256i two;                                                                               \
        __asm__ volatile("vpbroadcastd " #offset "(%[x],%[i],2), %[two]\n\t"                       \
                         "vpmaddwd %[first], %[two], %[two]\n\t"                                   \
                         "vpaddd %[two], %[sum0], %[sum0]\n\t"                                     \
                         : [sum0] "+x"(acc0), [two] "=&x"(two)                                     \
                         : [x] "r"(row), [i] "r"(index), [first] "x"(w0)                           \
                         : "memory");                                                              \
    } while (0)

/* x: rows of k 16-bit integers. */
OCT_INLINE void multiply(const uint8_t *const *x, const uint8_t *weights, size_t k, size_t rows,
                         size_t vectors, __m256i *acc) {
    for (size_t i = 0; i < k; i += 4) {
        if (vectors == 2) {
            __m256i w0 = widen(weights), w1 = widen(weights + 16);
            OCT_EACH_ROW(r, rows, MULTIPLY_TWO(0, x[r], i, acc[2 * r], acc[2 * r + 1], w0, w1););
            w0 = widen(weights + 32);
            w1 = widen(weights + 48);
            OCT_EACH_ROW(r, rows, MULTIPLY_TWO(4, x[r], i, acc[2 * r], acc[2 * r + 1], w0, w1););
        } else {
            __m256i w0 = widen(weights);
            OCT_EACH_ROW(r, rows, MULTIPLY_ONE(0, x[r], i, acc[r], w0););
            w0 = widen(weights + 16);
            OCT_EACH_ROW(r, rows, MULTIPLY_ONE(4, x[r], i, acc[r], w0););
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

/* Widened activations: 64 kB on the stack, of which a group of pixels is computed with all panels
 * before the next. */
enum { BUFFER = 32768 };

/* Row of tap t for a pixel. */
static const uint8_t *row_of(const OctQ8ConvArgs *args, size_t t, size_t pixel) {
    return args->pointers ? args->pointers[t * args->pointer_stride + pixel] + args->pointer_offset
                          : args->input + pixel * args->input_stride;
}

/* k bytes, and up to three behind, as 16-bit integers. */
static void widen_row(const uint8_t *x, size_t k, int16_t *to) {
    size_t i = 0;
    for (; i + 16 <= k; i += 16) {
        __m128i bytes = _mm_loadu_si128((const __m128i *)(const void *)(x + i));
        _mm256_storeu_si256((__m256i *)(void *)(to + i), _mm256_cvtepu8_epi16(bytes));
    }
    for (; i < k; i += 4) {
        int32_t four;
        memcpy(&four, x + i, 4);
        _mm_storel_epi64((__m128i *)(void *)(to + i), _mm_cvtepu8_epi16(_mm_cvtsi32_si128(four)));
    }
}

/* Sums too deep for the buffer, one output at a time. */
static __attribute__((noinline)) void conv_deep(const OctQ8ConvArgs *args, size_t channel,
                                                size_t count) {
    size_t k4 = (args->k + 3) / 4 * 4, width = count > 8 ? 16 : 8;
    size_t offset = channel - args->first_channel;
    const uint8_t *panel =
        (const uint8_t *)args->packed + channel / 16 * oct_q8_panel_bytes(16, args->taps, args->k);
    const int8_t *weights = (const int8_t *)panel + 8 * width;
    for (size_t pixel = 0; pixel < args->pixels; pixel++) {
        for (size_t p = 0; p < width; p++) {
            size_t c = oct_q8_panel_channel(&layout, width, p);
            if (c >= count) {
                continue;
            }
            int32_t start, row_bias = args->row_bias ? args->row_bias[pixel] : 0;
            float multiplier;
            memcpy(&start, panel + 4 * p, sizeof start);
            memcpy(&multiplier, panel + 4 * (width + p), sizeof multiplier);
            uint32_t acc = (uint32_t)start + (uint32_t)row_bias;
            for (size_t i = 0; i < args->taps * args->k; i++) {
                size_t t = i / args->k, k = i % args->k;
                const int8_t *group = weights + (t * k4 + k / 4 * 4) * width;
                int32_t w = group[2 * (k % 4 / 2 * width + p) + k % 2];
                acc += (uint32_t)(w * row_of(args, t, pixel)[k]);
            }
            int32_t sum = (int32_t)acc;
            const uint8_t *residual =
                args->residual ? args->residual + pixel * args->residual_stride + offset + c : NULL;
            oct_q8_store_c(args->epilogue, &sum, &multiplier, 1, args->output,
                           pixel * args->output_stride + offset + c, residual);
        }
    }
}

static void conv_kernel(const OctQ8ConvArgs *args) {
    size_t k4 = (args->k + 3) / 4 * 4, depth = args->taps * k4;
    size_t fit = BUFFER / depth, end = args->first_channel + args->channels;
    if (fit == 0) {
        for (size_t channel = args->first_channel; channel < end; channel += 16) {
            conv_deep(args, channel, end - channel < 16 ? end - channel : 16);
        }
        return;
    }
    int16_t buffer[BUFFER] __attribute__((aligned(32)));
    size_t element = args->epilogue->kind == OCT_Q8_OUT_U8 ? 1 : 4;
    size_t group = fit >= 6 ? fit / 6 * 6 : fit;
    OctQ8ConvArgs part = *args;
    part.taps = 1;
    part.k = depth;
    part.pointers = NULL;
    part.input = (const uint8_t *)buffer;
    part.input_stride = 2 * depth;
    for (size_t first = 0; first < args->pixels; first += group) {
        part.pixels = args->pixels - first < group ? args->pixels - first : group;
        part.output = (uint8_t *)args->output + first * args->output_stride * element;
        part.residual = args->residual ? args->residual + first * args->residual_stride : NULL;
        part.row_bias = args->row_bias ? args->row_bias + first : NULL;
        for (size_t pixel = 0; pixel < part.pixels; pixel++) {
            for (size_t t = 0; t < args->taps; t++) {
                widen_row(row_of(args, t, first + pixel), args->k, buffer + pixel * depth + t * k4);
            }
        }
        conv_tiles(&part);
    }
}

const OctQ8ConvBundle oct_q8_conv_avx2 = {
    .name = "q8_conv avx2",
    .cpu = OCTET_CPU_AVX2,
    .nr = 16,
    .narrowest = 8,
    .pixel_block = 6,
    .packed_bytes = conv_packed_bytes,
    .pack = conv_pack,
    .kernel = conv_kernel,
    .for_small_pairs = &oct_q8_conv_pairs_avx2,
};
