/* Int8 convolution with AVX-512 VNNI. A tile is up to 6 pixels by 64 channels, 8 by 48, 8 by 32
 * or 8 by 16: at most 24 accumulators, so that they, the weights of a step and a broadcast
 * activation fit the 32 registers (gcc 12 then spills nothing). */
#include <immintrin.h>

#include "kernels/q8_pack.h"
#include "kernels/q8_unroll.h"
#include "kernels/x86/q8_overlap_avx512.h"
#include "kernels/x86/q8_x86.h"

/* Bytes of four rows are interleaved by two levels of unpack, which leaves the channels in the
 * order of a panel. */
static void pack_rows(const OctQ8PackSource *source, const uint8_t *weights, uint8_t *destination,
                      int32_t *sums) {
    const __m512i flip = _mm512_set1_epi8((char)source->flip), ones = _mm512_set1_epi8(1);
    __m512i sum[4] = {_mm512_setzero_si512(), _mm512_setzero_si512(), _mm512_setzero_si512(),
                      _mm512_setzero_si512()};
    for (size_t t = 0; t < source->taps; t++) {
        const uint8_t *tap = weights + t * source->tap_stride;
        for (size_t i = 0; i < source->k; i += 4) {
            __m512i row[4];
            for (size_t b = 0; b < 4; b++) {
                const uint8_t *from = tap + (i + b) * source->k_stride;
                row[b] = i + b < source->k ? _mm512_xor_si512(_mm512_loadu_si512(from), flip)
                                           : _mm512_setzero_si512();
            }
            const __m512i low01 = _mm512_unpacklo_epi8(row[0], row[1]);
            const __m512i high01 = _mm512_unpackhi_epi8(row[0], row[1]);
            const __m512i low23 = _mm512_unpacklo_epi8(row[2], row[3]);
            const __m512i high23 = _mm512_unpackhi_epi8(row[2], row[3]);
            const __m512i fours[4] = {
                _mm512_unpacklo_epi16(low01, low23), _mm512_unpackhi_epi16(low01, low23),
                _mm512_unpacklo_epi16(high01, high23), _mm512_unpackhi_epi16(high01, high23)};
            for (size_t v = 0; v < 4; v++) {
                sum[v] = _mm512_dpbusd_epi32(sum[v], ones, fours[v]);
                _mm512_storeu_si512(destination + 64 * v, fours[v]);
            }
            destination += 256;
        }
    }
    for (size_t v = 0; v < 4; v++) {
        _mm512_storeu_si512(sums + 16 * v, sum[v]);
    }
}

static const OctQ8Layout layout = {.nr = 64, .lanes = 4, .pack_rows = pack_rows};

static size_t packed_bytes(size_t channels, size_t taps, size_t k) {
    return oct_q8_packed_bytes(&layout, channels, taps, k);
}

static void pack(const OctQ8PackSource *source, void *packed) {
    oct_q8_pack(&layout, source, packed);
}

/* One panel, as a tile needs it. */
typedef struct Panel {
    const OctQ8ConvArgs *args;
    const uint8_t *data; /* bias, multipliers, weights */
    size_t channel;      /* the first, counted from the first of the call */
    size_t count;        /* channels to store; at most 16 * vectors */
} Panel;

OCT_INLINE __m512i broadcast(const uint8_t *x) {
    int32_t four;
    __builtin_memcpy(&four, x, 4);
    return _mm512_set1_epi32(four);
}

/* acc[r * vectors + v] += the products of `rows` rows with the weights of bytes [from, to) of one
 * tap, which begin at `weights`. */
OCT_INLINE void multiply(const uint8_t *const *x, const uint8_t *weights, size_t from, size_t to,
                         size_t rows, size_t vectors, __m512i *acc) {
    for (size_t i = from; i < to; i += 4) {
        __m512i w[4];
        OCT_EACH_VECTOR(v, vectors, w[v] = _mm512_loadu_si512(weights + 64 * v););
        OCT_EACH_ROW(r, rows, {
            __m512i four = broadcast(x[r] + i);
            OCT_EACH_VECTOR(v, vectors, {
                acc[r * vectors + v] = _mm512_dpbusd_epi32(acc[r * vectors + v], four, w[v]);
            });
        });
        weights += 64 * vectors;
    }
}

OCT_INLINE void tile(const Panel *panel, size_t pixel, size_t rows, size_t vectors) {
    const OctQ8ConvArgs *args = panel->args;
    __m512i acc[24];
    OCT_EACH_ROW(r, rows, {
        OCT_EACH_VECTOR(v, vectors,
                        acc[r * vectors + v] = _mm512_loadu_si512(panel->data + 64 * v););
    });
    const uint8_t *weights = panel->data + 128 * vectors;
    size_t tap_bytes = (args->k + 3) / 4 * 64 * vectors;
    const uint8_t *x[8];
    if (args->pointers) {
        const uint8_t *const *pointers = args->pointers + pixel;
        for (size_t t = 0; t < args->taps; t++) {
            if (!oct_q8_is_padding(args, pointers, rows)) {
                OCT_EACH_ROW(r, rows, x[r] = pointers[r] + args->pointer_offset;);
                multiply(x, weights, 0, args->k, rows, vectors, acc);
            }
            weights += tap_bytes;
            pointers += args->pointer_stride;
        }
    } else {
        OCT_EACH_ROW(r, rows, x[r] = args->input + (pixel + r) * args->input_stride;);
        multiply(x, weights, 0, args->k, rows, vectors, acc);
    }
    if (args->row_bias) {
        OCT_EACH_ROW(r, rows, {
            __m512i bias = _mm512_set1_epi32(args->row_bias[pixel + r]);
            OCT_EACH_VECTOR(v, vectors, {
                acc[r * vectors + v] = _mm512_add_epi32(acc[r * vectors + v], bias);
            });
        });
    }
    oct_q8_finish_tile_avx512(
        args->epilogue, acc, (const float *)(panel->data + 64 * vectors), rows, vectors,
        panel->count, args->output, pixel * args->output_stride + panel->channel,
        args->output_stride,
        args->residual ? args->residual + pixel * args->residual_stride + panel->channel : NULL,
        args->residual_stride);
}

OCT_INLINE void rows_of_tap(const OctQ8ConvArgs *args, size_t pixel, size_t tap, size_t rows,
                            const uint8_t **x) {
    if (args->pointers) {
        const uint8_t *const *pointers = args->pointers + tap * args->pointer_stride + pixel;
        OCT_EACH_ROW(r, rows, x[r] = pointers[r] + args->pointer_offset;);
    } else {
        OCT_EACH_ROW(r, rows, x[r] = args->input + (pixel + r) * args->input_stride;);
    }
}

OCT_INLINE bool is_padding(const OctQ8ConvArgs *args, size_t pixel, size_t tap, size_t rows) {
    return args->pointers &&
           oct_q8_is_padding(args, args->pointers + tap * args->pointer_stride + pixel, rows);
}

/* All whole tiles of [first, end), one after the other. Requantizing runs on pipes that products
 * leave free, but a tile's worth of it at once is more than the CPU looks past. So a tile is
 * finished unit by unit, and after each of them the freed accumulators take the first `lead` bytes
 * of products of the next tile. */
OCT_INLINE void overlapped(const Panel *panel, size_t first, size_t end, size_t rows,
                           size_t vectors, OctQ8Finish finish, size_t lead) {
    const OctQ8ConvArgs *args = panel->args;
    const size_t unit_rows = vectors == 1 ? 4 : vectors == 2 ? 2 : 1;
    const float *multipliers = (const float *)(panel->data + 64 * vectors);
    const uint8_t *weights = panel->data + 128 * vectors;
    OctQ8Unit512 unit;
    oct_q8_unit_init_avx512(&unit, args->epilogue, finish);
    size_t k = (args->k + 3) / 4 * 4;
    uint8_t *y = NULL;
    const uint8_t *residual = NULL;
    __m512i acc[24];
    OCT_EACH_ROW(r, rows,
                 { OCT_EACH_VECTOR(v, vectors, acc[r * vectors + v] = _mm512_setzero_si512();); });
    for (size_t pixel = first;; pixel += rows) {
        bool more = pixel + rows <= end;
        size_t ahead = !more ? 0 : k < lead ? k : lead;
        const uint8_t *x[8];
        rows_of_tap(args, more ? pixel : first, 0, rows, x);
        OCT_EACH_ROW(u, rows / unit_rows, {
            __m512i *sums = acc + u * unit_rows * vectors;
            if (pixel != first) {
                oct_q8_finish_unit_avx512(
                    &unit, finish, sums, multipliers, vectors, panel->count,
                    y + u * unit_rows * args->output_stride, args->output_stride,
                    residual ? residual + u * unit_rows * args->residual_stride : NULL,
                    args->residual_stride);
            }
            OCT_EACH_VECTOR(v, unit_rows * vectors,
                            { sums[v] = _mm512_loadu_si512(panel->data + 64 * (v % vectors)); });
            multiply(x + u * unit_rows, weights, 0, ahead, unit_rows, vectors, sums);
        });
        if (!more) {
            return;
        }
        if (!is_padding(args, pixel, 0, rows)) {
            multiply(x, weights + ahead * 16 * vectors, ahead, k, rows, vectors, acc);
        }
        for (size_t t = 1; t < args->taps; t++) {
            if (is_padding(args, pixel, t, rows)) {
                continue;
            }
            rows_of_tap(args, pixel, t, rows, x);
            multiply(x, weights + t * k * 16 * vectors, 0, k, rows, vectors, acc);
        }
        y = (uint8_t *)args->output + pixel * args->output_stride + panel->channel;
        if (finish == OCT_Q8_FINISH_ADD || finish == OCT_Q8_FINISH_ADD_TO) {
            residual = args->residual + pixel * args->residual_stride + panel->channel;
        }
    }
}

/* A function of its own a tile: inlined into one, gcc would mix up their registers. */
#define TILE(rows, vectors)                                                                        \
    static __attribute__((noinline)) void tile_##rows##x##vectors(const Panel *panel,              \
                                                                  size_t first, size_t end) {      \
        for (size_t p = first; p + rows <= end; p += rows) {                                       \
            tile(panel, p, rows, vectors);                                                         \
        }                                                                                          \
    }
TILE(6, 4)
TILE(4, 4)
TILE(2, 4)
TILE(1, 4)
TILE(8, 3)
TILE(4, 3)
TILE(2, 3)
TILE(1, 3)
TILE(8, 2)
TILE(4, 2)
TILE(2, 2)
TILE(1, 2)
TILE(8, 1)
TILE(4, 1)
TILE(2, 1)
TILE(1, 1)

/* The bytes of products that a unit's epilogue needs beside it were found by trying. */
#define OVERLAPPED(name, rows, vectors, finish, lead)                                              \
    static __attribute__((noinline)) void name##_##rows##x##vectors(const Panel *panel,            \
                                                                    size_t first, size_t end) {    \
        if (first + rows <= end) {                                                                 \
            overlapped(panel, first, end, rows, vectors, finish, lead);                            \
        }                                                                                          \
    }
#define OVERLAPPED_TILES(rows, vectors)                                                            \
    OVERLAPPED(add, rows, vectors, OCT_Q8_FINISH_ADD, 32)                                          \
    OVERLAPPED(add_to, rows, vectors, OCT_Q8_FINISH_ADD_TO, 32)                                    \
    OVERLAPPED(table, rows, vectors, OCT_Q8_FINISH_TABLE, 16)
OVERLAPPED_TILES(6, 4)
OVERLAPPED_TILES(4, 4)
OVERLAPPED_TILES(8, 3)
OVERLAPPED_TILES(8, 2)
OVERLAPPED_TILES(8, 1)
OVERLAPPED(plain, 6, 4, OCT_Q8_FINISH_PLAIN, 8)
OVERLAPPED(plain, 8, 3, OCT_Q8_FINISH_PLAIN, 8)
OVERLAPPED(plain, 8, 2, OCT_Q8_FINISH_PLAIN, 8)
OVERLAPPED(plain, 8, 1, OCT_Q8_FINISH_PLAIN, 8)

typedef void (*TileFunction)(const Panel *panel, size_t first, size_t end);

/* Tiles of each number of vectors, the tall ones first. */
typedef struct Tiles {
    size_t rows[4];
    TileFunction tiles[4];
} Tiles;

static const Tiles tiles[4] = {
    {{8, 4, 2, 1}, {tile_8x1, tile_4x1, tile_2x1, tile_1x1}},
    {{8, 4, 2, 1}, {tile_8x2, tile_4x2, tile_2x2, tile_1x2}},
    {{8, 4, 2, 1}, {tile_8x3, tile_4x3, tile_2x3, tile_1x3}},
    {{6, 4, 2, 1}, {tile_6x4, tile_4x4, tile_2x4, tile_1x4}},
};
/* Where a tile's products are few, a shorter one lets more of the epilogue overlap with them. */
static const Tiles flat_tiles = {{4, 4, 2, 1}, {tile_4x4, tile_4x4, tile_2x4, tile_1x4}};

/* The first tile where it overlaps with the next one, by finish and number of vectors; the last
 * for single taps, where a plain epilogue gains nothing by it. */
static const TileFunction overlapped_tiles[4][5] = {
    {add_8x1, add_8x2, add_8x3, add_6x4, add_4x4},
    {add_to_8x1, add_to_8x2, add_to_8x3, add_to_6x4, add_to_4x4},
    {table_8x1, table_8x2, table_8x3, table_6x4, table_4x4},
    {plain_8x1, plain_8x2, plain_8x3, plain_6x4, tile_4x4},
};

static void kernel(const OctQ8ConvArgs *args) {
    size_t panel_bytes = oct_q8_panel_bytes(64, args->taps, args->k);
    size_t end = args->first_channel + args->channels;
    OctQ8Finish finish = args->row_bias ? OCT_Q8_FINISH_OTHER : oct_q8_finish_of(args->epilogue);
    for (size_t channel = args->first_channel; channel < end; channel += 64) {
        size_t count = end - channel < 64 ? end - channel : 64, vectors = (count + 15) / 16;
        Panel panel = {
            .args = args,
            .data = (const uint8_t *)args->packed + channel / 64 * panel_bytes,
            .channel = channel - args->first_channel,
            .count = count,
        };
        const Tiles *chosen = vectors == 4 && args->taps == 1 ? &flat_tiles : &tiles[vectors - 1];
        size_t p = 0;
        for (size_t i = 0; i < 4 && p < args->pixels; i++) {
            size_t rows = chosen->rows[i];
            TileFunction function = chosen->tiles[i];
            if (i == 0 && finish != OCT_Q8_FINISH_OTHER) {
                function = overlapped_tiles[finish][chosen == &flat_tiles ? 4 : vectors - 1];
            }
            function(&panel, p, args->pixels);
            p += (args->pixels - p) / rows * rows;
        }
    }
}

static size_t padding_tile(size_t channels) {
    return channels < 64 ? 8 : channels % 64 == 0 ? 6 : 24;
}

const OctQ8ConvBundle oct_q8_conv_avx512vnni = {
    .name = "q8_conv avx512vnni",
    .cpu = OCTET_CPU_AVX512_VNNI,
    .nr = 64,
    .narrowest = 16,
    .pixel_block = 24,
    .padding_tile = padding_tile,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .kernel = kernel,
};
