/* Depthwise int8 convolution on 256-bit vectors, blocks of 32 and 16 channels; included by the
 * AVX2 and the AVX2-VNNI bundle, which define before: WEIGHT_BYTES (2: the packing is wide),
 * dot_256(acc, x, w) and dot_128(acc, x, w): each 32-bit element of acc plus the products of its
 * four u8 and the four weights at pointer w. */
#include <string.h>

#include "kernels/q8_depthwise_pack.h"
#include "kernels/x86/q8_epilogue_avx2.h"

/* The driver admits no larger kernels. */
enum { MAX_TAPS = 2048 };

static const OctQ8DepthwiseLayout depthwise_layout = {.widest = 32, .wide = WEIGHT_BYTES == 2};

static size_t depthwise_packed_bytes(size_t channels, size_t kernel_h, size_t kernel_w) {
    return oct_q8_depthwise_packed_bytes(&depthwise_layout, channels, kernel_h, kernel_w);
}

static void depthwise_pack(const OctQ8DepthwiseSource *source, void *packed) {
    oct_q8_depthwise_pack(&depthwise_layout, source, packed);
}

/* Accumulators (in the order of q8_pack.h) to 32-bit outputs. */
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

typedef struct Constants {
    OctQ8Requantize256 wide;
    bool words;
} Constants;

OCT_INLINE Constants make_constants(const OctQ8Epilogue *epilogue) {
    return (Constants){
        .wide = oct_q8_requantize_constants_avx2(epilogue),
        .words = epilogue->kind != OCT_Q8_OUT_U8,
    };
}

/* The first `count` bytes. */
OCT_INLINE void store_some(const OctQ8DepthwiseArgs *args, __m256i bytes, size_t count,
                           size_t pixel, size_t channel) {
    uint8_t block[32];
    _mm256_storeu_si256((__m256i *)(void *)block, bytes);
    memcpy((uint8_t *)args->output + pixel * args->output_stride + channel, block, count);
}

OCT_INLINE void finish_256(const OctQ8DepthwiseArgs *args, const Constants *constants,
                           const __m256i *acc, const float *multipliers, size_t count, size_t pixel,
                           size_t channel) {
    if (__builtin_expect(constants->words, 0)) {
        int32_t raw[32];
        OCT_EACH_VECTOR(v, 4, _mm256_storeu_si256((__m256i *)(void *)(raw + 8 * v), acc[v]););
        finish_words(args, raw, multipliers, 2, count, pixel, channel);
        return;
    }
    __m256i low =
        oct_q8_requantize_avx2(&constants->wide, acc[0], acc[1], multipliers, multipliers + 8);
    __m256i high = oct_q8_requantize_avx2(&constants->wide, acc[2], acc[3], multipliers + 16,
                                          multipliers + 24);
    __m256i bytes = _mm256_max_epu8(_mm256_packus_epi16(low, high), constants->wide.minimum);
    if (count == 32) {
        uint8_t *output = (uint8_t *)args->output + pixel * args->output_stride + channel;
        _mm256_storeu_si256((__m256i *)(void *)output, bytes);
        return;
    }
    store_some(args, bytes, count, pixel, channel);
}

OCT_INLINE void finish_128(const OctQ8DepthwiseArgs *args, const Constants *constants,
                           const __m128i *acc, const float *multipliers, size_t count, size_t pixel,
                           size_t channel) {
    if (__builtin_expect(constants->words, 0)) {
        int32_t raw[16];
        OCT_EACH_VECTOR(v, 4, _mm_storeu_si128((__m128i *)(void *)(raw + 4 * v), acc[v]););
        finish_words(args, raw, multipliers, 1, count, pixel, channel);
        return;
    }
    /* packs works lane by lane: the order of the vectors is 0, 2, 1, 3 afterwards */
    __m256i words =
        oct_q8_requantize_avx2(&constants->wide, _mm256_set_m128i(acc[1], acc[0]),
                               _mm256_set_m128i(acc[3], acc[2]), multipliers, multipliers + 8);
    __m128i bytes =
        _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
    bytes = _mm_shuffle_epi32(bytes, 0xD8);
    bytes = _mm_max_epu8(bytes, _mm256_castsi256_si128(constants->wide.minimum));
    if (count == 16) {
        uint8_t *output = (uint8_t *)args->output + pixel * args->output_stride + channel;
        _mm_storeu_si128((__m128i *)(void *)output, bytes);
        return;
    }
    store_some(args, _mm256_castsi128_si256(bytes), count, pixel, channel);
}

/* The first `count` bytes of 32, zeros behind. */
OCT_INLINE __m256i load_some(const uint8_t *bytes, size_t count) {
    uint8_t block[32] = {0};
    memcpy(block, bytes, count);
    return _mm256_loadu_si256((const __m256i *)(const void *)block);
}

#define CONSTANTS Constants
#define MAKE_CONSTANTS make_constants
#define SUFFIX(name) name##_256
#define V __m256i
#define W __m256i
#define LOADB LOADW
#define LANES 2
#define ZERO _mm256_setzero_si256
#define LOADW(p) _mm256_loadu_si256((const __m256i *)(const void *)(p))
#define LOAD(p, count) ((count) == 32 ? LOADW(p) : load_some(p, count))
#define LOW8 _mm256_unpacklo_epi8
#define HIGH8 _mm256_unpackhi_epi8
#define LOW16 _mm256_unpacklo_epi16
#define HIGH16 _mm256_unpackhi_epi16
#define DOT dot_256
#define FINISH finish_256
#include "kernels/q8_depthwise_template.h"
#undef SUFFIX
#undef V
#undef W
#undef LOADB
#undef LANES
#undef ZERO
#undef LOADW
#undef LOAD
#undef LOW8
#undef HIGH8
#undef LOW16
#undef HIGH16
#undef DOT
#undef FINISH

#define SUFFIX(name) name##_128
#define V __m128i
#define W __m128i
#define LOADB LOADW
#define LANES 1
#define ZERO _mm_setzero_si128
#define LOADW(p) _mm_loadu_si128((const __m128i *)(const void *)(p))
#define LOAD(p, count) ((count) == 16 ? LOADW(p) : _mm256_castsi256_si128(load_some(p, count)))
#define LOW8 _mm_unpacklo_epi8
#define HIGH8 _mm_unpackhi_epi8
#define LOW16 _mm_unpacklo_epi16
#define HIGH16 _mm_unpackhi_epi16
#define DOT dot_128
#define FINISH finish_128
#include "kernels/q8_depthwise_template.h"

static void depthwise_kernel(const OctQ8DepthwiseArgs *args) {
    size_t groups = oct_q8_depthwise_groups(args->kernel_h, args->kernel_w);
    const uint8_t *packed = args->packed;
    for (size_t channel = 0; channel < args->channels;) {
        size_t rest = args->channels - channel, width = oct_q8_depthwise_width(rest, 32);
        size_t count = rest < width ? rest : width;
        if (width == 32) {
            block_256(args, packed, channel, count);
        } else {
            block_128(args, packed, channel, count);
        }
        packed += oct_q8_depthwise_block_bytes(&depthwise_layout, width, groups);
        channel += width;
    }
    oct_q8_depthwise_finish(&oct_q8_vector_avx2, args);
}
