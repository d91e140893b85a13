/* Depthwise int8 convolution with AVX-512 VNNI: blocks of 64, 32 and 16 channels. */
#include <immintrin.h>
#include <string.h>

#include "kernels/q8_depthwise_pack.h"
#include "kernels/q8_vector.h"
#include "kernels/x86/q8_epilogue_avx512.h"
#include "kernels/x86/q8_x86.h"

static const OctQ8DepthwiseLayout layout = {.widest = 64};

static size_t packed_bytes(size_t channels, size_t kernel_h, size_t kernel_w) {
    return oct_q8_depthwise_packed_bytes(&layout, channels, kernel_h, kernel_w);
}

static void pack(const OctQ8DepthwiseSource *source, void *packed) {
    oct_q8_depthwise_pack(&layout, source, packed);
}

/* The driver admits no larger kernels. */
enum { MAX_TAPS = 2048 };

/* 32-bit outputs of a block of 16 * lanes channels, in the order of q8_pack.h. */
static __attribute__((noinline)) void finish_words(const OctQ8DepthwiseArgs *args,
                                                   const int32_t *acc, const float *multipliers,
                                                   size_t lanes, size_t count, size_t pixel,
                                                   size_t channel) {
    size_t offset = pixel * args->output_stride + channel;
    for (size_t p = 0; p < 16 * lanes; p++) {
        size_t i = p / (4 * lanes), j = p / 4 % lanes, c = 16 * j + 4 * i + p % 4;
        if (c < count && args->epilogue->kind == OCT_Q8_OUT_S32) {
            ((int32_t *)args->output)[offset + c] = acc[p];
        } else if (c < count) {
            ((float *)args->output)[offset + c] = (float)acc[p] * multipliers[p];
        }
    }
}

/* What the epilogue needs besides the multipliers, made once a row: read from memory, the compiler
 * would reload all of it after every store. */
#define DEFINE_FINISH(bits, MM, V, F, store, store_some)                                           \
    typedef struct Constants##bits {                                                               \
        F high;                                                                                    \
        V zero_point, minimum, maximum;                                                            \
        bool words, bounded;                                                                       \
    } Constants##bits;                                                                             \
    OCT_INLINE Constants##bits make_constants_##bits(const OctQ8Epilogue *epilogue) {              \
        return (Constants##bits){                                                                  \
            .high = MM##_set1_ps((float)(epilogue->maximum - epilogue->zero_point)),               \
            .zero_point = MM##_set1_epi16(epilogue->zero_point),                                   \
            .minimum = MM##_set1_epi8((char)epilogue->minimum),                                    \
            .maximum = MM##_set1_epi8((char)epilogue->maximum),                                    \
            .words = epilogue->kind != OCT_Q8_OUT_U8,                                              \
            .bounded = epilogue->bounded,                                                          \
        };                                                                                         \
    }                                                                                              \
    OCT_INLINE V requantize_##bits(const Constants##bits *constants, bool bounded, const V *acc,   \
                                   const float *multipliers) {                                     \
        V q[4];                                                                                    \
        OCT_EACH_VECTOR(v, 4, {                                                                    \
            F value =                                                                              \
                MM##_mul_ps(MM##_cvtepi32_ps(acc[v]), MM##_loadu_ps(multipliers + bits / 32 * v)); \
            q[v] = MM##_cvtps_epi32(bounded ? value : MM##_min_ps(value, constants->high));        \
        });                                                                                        \
        V low_half = MM##_adds_epi16(MM##_packs_epi32(q[0], q[1]), constants->zero_point);         \
        V high_half = MM##_adds_epi16(MM##_packs_epi32(q[2], q[3]), constants->zero_point);        \
        V bytes = MM##_max_epu8(MM##_packus_epi16(low_half, high_half), constants->minimum);       \
        return MM##_min_epu8(bytes, constants->maximum);                                           \
    }                                                                                              \
    OCT_INLINE void finish_##bits(                                                                 \
        const OctQ8DepthwiseArgs *args, const Constants##bits *constants, const V *acc,            \
        const float *multipliers, size_t count, size_t pixel, size_t channel) {                    \
        if (__builtin_expect(constants->words, 0)) {                                               \
            int32_t raw[bits / 8];                                                                 \
            OCT_EACH_VECTOR(v, 4, store((V *)(void *)(raw + bits / 32 * v), acc[v]););             \
            finish_words(args, raw, multipliers, bits / 128, count, pixel, channel);               \
            return;                                                                                \
        }                                                                                          \
        V bytes = __builtin_expect(constants->bounded, 1)                                          \
                      ? requantize_##bits(constants, true, acc, multipliers)                       \
                      : requantize_##bits(constants, false, acc, multipliers);                     \
        uint8_t *output = (uint8_t *)args->output + pixel * args->output_stride + channel;         \
        if (count == bits / 8) {                                                                   \
            store((V *)(void *)output, bytes);                                                     \
        } else {                                                                                   \
            store_some(output, ((uint64_t)1 << count) - 1, bytes);                                 \
        }                                                                                          \
    }

/* masks of the type that each width takes */
#define STORE_SOME_512(y, mask, bytes) _mm512_mask_storeu_epi8(y, mask, bytes)
#define STORE_SOME_256(y, mask, bytes) _mm256_mask_storeu_epi8(y, (__mmask32)(mask), bytes)
#define STORE_SOME_128(y, mask, bytes) _mm_mask_storeu_epi8(y, (__mmask16)(mask), bytes)
DEFINE_FINISH(512, _mm512, __m512i, __m512, _mm512_storeu_si512, STORE_SOME_512)
DEFINE_FINISH(256, _mm256, __m256i, __m256, _mm256_storeu_si256, STORE_SOME_256)
DEFINE_FINISH(128, _mm, __m128i, __m128, _mm_storeu_si128, STORE_SOME_128)

#define PAIRS

#define ZERO _mm512_setzero_si512
#define SUFFIX(name) name##_512
#define V __m512i
#define W __m512i
#define LOADB LOADW
#define LANES 4
#define LOADW(p) _mm512_loadu_si512(p)
#define LOAD(p, count)                                                                             \
    ((count) == 64 ? _mm512_loadu_si512(p)                                                         \
                   : _mm512_maskz_loadu_epi8(((__mmask64)1 << (count)) - 1, p))
#define LOW8 _mm512_unpacklo_epi8
#define HIGH8 _mm512_unpackhi_epi8
#define LOW16 _mm512_unpacklo_epi16
#define HIGH16 _mm512_unpackhi_epi16
#define DOT(acc, x, w) _mm512_dpbusd_epi32(acc, x, LOADW(w))
#define DOTW _mm512_dpbusd_epi32
#define WEIGHT_BYTES 1
#define FINISH finish_512
#define CONSTANTS Constants512
#define MAKE_CONSTANTS make_constants_512
#include "kernels/q8_depthwise_template.h"
#undef ZERO
#undef SUFFIX
#undef V
#undef W
#undef LOADB
#undef LANES
#undef LOADW
#undef LOAD
#undef LOW8
#undef HIGH8
#undef LOW16
#undef HIGH16
#undef DOT
#undef DOTW
#undef WEIGHT_BYTES
#undef FINISH
#undef CONSTANTS
#undef MAKE_CONSTANTS

#define ZERO _mm256_setzero_si256
#define SUFFIX(name) name##_256
#define V __m256i
#define W __m256i
#define LOADB LOADW
#define LANES 2
#define LOADW(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define LOAD(p, count)                                                                             \
    ((count) == 32 ? LOADW(p)                                                                      \
                   : _mm256_maskz_loadu_epi8((__mmask32)(((uint64_t)1 << (count)) - 1), p))
#define LOW8 _mm256_unpacklo_epi8
#define HIGH8 _mm256_unpackhi_epi8
#define LOW16 _mm256_unpacklo_epi16
#define HIGH16 _mm256_unpackhi_epi16
#define DOT(acc, x, w) _mm256_dpbusd_epi32(acc, x, LOADW(w))
#define DOTW _mm256_dpbusd_epi32
#define WEIGHT_BYTES 1
#define FINISH finish_256
#define CONSTANTS Constants256
#define MAKE_CONSTANTS make_constants_256
#include "kernels/q8_depthwise_template.h"
#undef ZERO
#undef SUFFIX
#undef V
#undef W
#undef LOADB
#undef LANES
#undef LOADW
#undef LOAD
#undef LOW8
#undef HIGH8
#undef LOW16
#undef HIGH16
#undef DOT
#undef DOTW
#undef WEIGHT_BYTES
#undef FINISH
#undef CONSTANTS
#undef MAKE_CONSTANTS

#define ZERO _mm_setzero_si128
#define SUFFIX(name) name##_128
#define V __m128i
#define W __m128i
#define LOADB LOADW
#define LANES 1
#define LOADW(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define LOAD(p, count)                                                                             \
    ((count) == 16 ? LOADW(p) : _mm_maskz_loadu_epi8((__mmask16)((1u << (count)) - 1), p))
#define LOW8 _mm_unpacklo_epi8
#define HIGH8 _mm_unpackhi_epi8
#define LOW16 _mm_unpacklo_epi16
#define HIGH16 _mm_unpackhi_epi16
#define DOT(acc, x, w) _mm_dpbusd_epi32(acc, x, LOADW(w))
#define DOTW _mm_dpbusd_epi32
#define WEIGHT_BYTES 1
#define FINISH finish_128
#define CONSTANTS Constants128
#define MAKE_CONSTANTS make_constants_128
#include "kernels/q8_depthwise_template.h"

static void kernel(const OctQ8DepthwiseArgs *args) {
    size_t groups = oct_q8_depthwise_groups(args->kernel_h, args->kernel_w);
    const uint8_t *packed = args->packed;
    for (size_t channel = 0; channel < args->channels;) {
        size_t rest = args->channels - channel, width = oct_q8_depthwise_width(rest, 64);
        size_t count = rest < width ? rest : width;
        if (width == 64) {
            block_512(args, packed, channel, count);
        } else if (width == 32) {
            block_256(args, packed, channel, count);
        } else {
            block_128(args, packed, channel, count);
        }
        packed += oct_q8_depthwise_block_bytes(&layout, width, groups);
        channel += width;
    }
    oct_q8_depthwise_finish(&oct_q8_vector_avx512vnni, args);
}

const OctQ8DepthwiseBundle oct_q8_depthwise_avx512vnni = {
    .name = "q8_depthwise avx512vnni",
    .cpu = OCTET_CPU_AVX512_VNNI,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .kernel = kernel,
};
