/* Int8 convolution on 256-bit vectors, conv_tiles; included by the AVX2 and the AVX2-VNNI bundle,
 * which define multiply(x, weights, k, rows, vectors, acc) before: acc[r * vectors + v] += the
 * products of `rows` rows with one tap's weights. A tile is up to 6 pixels by 16 channels: 12
 * accumulators, which leaves 4 of the 16 registers. */
#include <string.h>

#include "kernels/q8_pack.h"
#include "kernels/x86/q8_epilogue_avx2.h"

typedef struct Panel {
    const OctQ8ConvArgs *args;
    const uint8_t *data; /* bias, multipliers, weights */
    size_t channel;      /* the first, counted from the first of the call */
    size_t count;        /* channels to store; at most 8 * vectors */
} Panel;

/* 32-bit outputs of a pixel. */
static __attribute__((noinline)) void store_words(const Panel *panel, const int32_t *acc,
                                                  size_t vectors, size_t pixel) {
    const OctQ8ConvArgs *args = panel->args;
    const float *multipliers = (const float *)(const void *)(panel->data + 32 * vectors);
    size_t offset = pixel * args->output_stride + panel->channel;
    for (size_t p = 0; p < 8 * vectors; p++) {
        size_t channel = 4 * vectors * (p / 4 % 2) + 4 * (p / 8) + p % 4;
        if (channel < panel->count && args->epilogue->kind == OCT_Q8_OUT_S32) {
            ((int32_t *)args->output)[offset + channel] = acc[p];
        } else if (channel < panel->count) {
            ((float *)args->output)[offset + channel] = (float)acc[p] * multipliers[p];
        }
    }
}

/* Rows of 16 bytes in channel order: two rows to one vector. */
OCT_INLINE __m256i requantize_rows(const OctQ8Requantize256 *constants, const __m256i *first,
                                   const __m256i *second, const float *multipliers,
                                   size_t vectors) {
    size_t last = vectors - 1;
    const float *last_multipliers = multipliers + 8 * last;
    __m256i a =
        oct_q8_requantize_avx2(constants, first[0], first[last], multipliers, last_multipliers);
    __m256i b =
        oct_q8_requantize_avx2(constants, second[0], second[last], multipliers, last_multipliers);
    __m256i bytes = _mm256_max_epu8(_mm256_packus_epi16(a, b), constants->minimum);
    if (vectors == 2) {
        return _mm256_permute4x64_epi64(bytes, 0xD8);
    }
    return _mm256_permutevar8x32_epi32(bytes, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* How a row of bytes goes on. */
typedef enum Ending { ENDING_PLAIN, ENDING_ADD, ENDING_ANY } Ending;

OCT_INLINE void finish_row(const Panel *panel, __m128i bytes, size_t pixel, size_t row,
                           uint8_t *block, Ending ending) {
    const OctQ8ConvArgs *args = panel->args;
    const OctQ8Epilogue *epilogue = args->epilogue;
    size_t p = pixel + row;
    if (ending == ENDING_ANY) {
        _mm_storeu_si128((__m128i *)(void *)(block + 16 * row), bytes);
        return;
    }
    if (ending == ENDING_ADD) {
        const uint8_t *residual = args->residual + p * args->residual_stride + panel->channel;
        __m128i other = _mm_loadu_si128((const __m128i *)(const void *)residual);
        bytes = epilogue->residual_is_a ? oct_q8_add_sixteen_avx2(&epilogue->add, other, bytes)
                                        : oct_q8_add_sixteen_avx2(&epilogue->add, bytes, other);
    }
    uint8_t *output = (uint8_t *)args->output + p * args->output_stride + panel->channel;
    _mm_storeu_si128((__m128i *)(void *)output, bytes);
}

OCT_INLINE void finish_rows(const Panel *panel, const __m256i *acc, size_t pixel, size_t rows,
                            size_t vectors, Ending ending) {
    const OctQ8ConvArgs *args = panel->args;
    const OctQ8Requantize256 constants = oct_q8_requantize_constants_avx2(args->epilogue);
    const float *multipliers = (const float *)(const void *)(panel->data + 32 * vectors);
    uint8_t block[8 * 16];
    OCT_EACH_ROW(i, (rows + 1) / 2, {
        size_t second = 2 * i + 1 < rows ? 2 * i + 1 : 2 * i;
        __m256i bytes = requantize_rows(&constants, acc + 2 * i * vectors, acc + second * vectors,
                                        multipliers, vectors);
        /* with one vector, the 8 bytes of each row stand twice */
        finish_row(panel, _mm256_castsi256_si128(bytes), pixel, 2 * i, block, ending);
        if (2 * i + 1 < rows) {
            __m128i other = vectors == 2
                                ? _mm256_extracti128_si256(bytes, 1)
                                : _mm256_castsi256_si128(_mm256_permute4x64_epi64(bytes, 0x02));
            finish_row(panel, other, pixel, 2 * i + 1, block, ending);
        }
    });
    if (ending == ENDING_ANY) {
        const uint8_t *residual =
            args->residual ? args->residual + pixel * args->residual_stride + panel->channel : NULL;
        oct_q8_finish_block_avx2(args->epilogue, block, rows, panel->count,
                                 (uint8_t *)args->output + pixel * args->output_stride +
                                     panel->channel,
                                 args->output_stride, residual, args->residual_stride);
    }
}

OCT_INLINE void finish(const Panel *panel, const __m256i *acc, size_t pixel, size_t rows,
                       size_t vectors) {
    const OctQ8Epilogue *epilogue = panel->args->epilogue;
    if (__builtin_expect(epilogue->kind != OCT_Q8_OUT_U8, 0)) {
        OCT_EACH_ROW(r, rows, {
            int32_t raw[16];
            OCT_EACH_VECTOR(v, vectors, {
                _mm256_storeu_si256((__m256i *)(void *)(raw + 8 * v), acc[r * vectors + v]);
            });
            store_words(panel, raw, vectors, pixel + r);
        });
        return;
    }
    bool whole = vectors == 2 && panel->count == 16 && !epilogue->table;
    if (whole && !epilogue->has_add) {
        finish_rows(panel, acc, pixel, rows, vectors, ENDING_PLAIN);
    } else if (whole && !epilogue->add_table) {
        finish_rows(panel, acc, pixel, rows, vectors, ENDING_ADD);
    } else {
        finish_rows(panel, acc, pixel, rows, vectors, ENDING_ANY);
    }
}

OCT_INLINE void tile(const Panel *panel, size_t pixel, size_t rows, size_t vectors) {
    const OctQ8ConvArgs *args = panel->args;
    __m256i acc[12];
    OCT_EACH_ROW(r, rows, {
        OCT_EACH_VECTOR(v, vectors, {
            acc[r * vectors + v] =
                _mm256_loadu_si256((const __m256i *)(const void *)(panel->data + 32 * v));
        });
    });
    const uint8_t *weights = panel->data + 64 * vectors;
    size_t tap_bytes = (args->k + 3) / 4 * 32 * vectors;
    const uint8_t *x[8];
    if (args->pointers) {
        const uint8_t *const *pointers = args->pointers + pixel;
        for (size_t t = 0; t < args->taps; t++) {
            if (!oct_q8_is_padding(args, pointers, rows)) {
                OCT_EACH_ROW(r, rows, x[r] = pointers[r] + args->pointer_offset;);
                multiply(x, weights, args->k, rows, vectors, acc);
            }
            weights += tap_bytes;
            pointers += args->pointer_stride;
        }
    } else {
        OCT_EACH_ROW(r, rows, x[r] = args->input + (pixel + r) * args->input_stride;);
        multiply(x, weights, args->k, rows, vectors, acc);
    }
    if (args->row_bias) {
        OCT_EACH_ROW(r, rows, {
            __m256i bias = _mm256_set1_epi32(args->row_bias[pixel + r]);
            OCT_EACH_VECTOR(v, vectors, {
                acc[r * vectors + v] = _mm256_add_epi32(acc[r * vectors + v], bias);
            });
        });
    }
    finish(panel, acc, pixel, rows, vectors);
}

/* A function of its own a tile: inlined into one, gcc would mix up their registers. */
#define TILE(rows, vectors)                                                                        \
    static __attribute__((noinline)) void tile_##rows##x##vectors(const Panel *panel,              \
                                                                  size_t first, size_t end) {      \
        for (size_t p = first; p + rows <= end; p += rows) {                                       \
            tile(panel, p, rows, vectors);                                                         \
        }                                                                                          \
    }
TILE(6, 2)
TILE(3, 2)
TILE(2, 2)
TILE(1, 2)
TILE(6, 1)
TILE(3, 1)
TILE(2, 1)
TILE(1, 1)

static inline size_t conv_padding_tile(size_t channels) {
    (void)channels;
    return 6;
}

static void conv_tiles(const OctQ8ConvArgs *args) {
    static const size_t rows[4] = {6, 3, 2, 1};
    static void (*const tiles[2][4])(const Panel *, size_t, size_t) = {
        {tile_6x1, tile_3x1, tile_2x1, tile_1x1}, {tile_6x2, tile_3x2, tile_2x2, tile_1x2}};
    size_t panel_bytes = oct_q8_panel_bytes(16, args->taps, args->k);
    size_t end = args->first_channel + args->channels;
    for (size_t channel = args->first_channel; channel < end; channel += 16) {
        size_t count = end - channel < 16 ? end - channel : 16;
        Panel panel = {
            .args = args,
            .data = (const uint8_t *)args->packed + channel / 16 * panel_bytes,
            .channel = channel - args->first_channel,
            .count = count,
        };
        size_t p = 0;
        for (size_t i = 0; i < 4 && p < args->pixels; i++) {
            tiles[count > 8][i](&panel, p, args->pixels);
            p += (args->pixels - p) / rows[i] * rows[i];
        }
    }
}
