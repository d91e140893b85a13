#include "kernels/f32_isa.h"
#include "kernels/q8_unroll.h"

#include <immintrin.h>

/* 14 rows x 32 columns: 28 sums, 2 vectors of weights, 1 broadcast of the 32 registers. Arrays of
 * vectors have the four elements that OCT_EACH_VECTOR names. */
enum { MR = 14, NR = 32, VECTORS = 4 };

#define INLINE static inline __attribute__((always_inline))

INLINE __m512 clamp(__m512 value, __m512 minimum, __m512 maximum) {
    /* the second operand is returned when either is NaN, and for equal zeros */
    return _mm512_min_ps(maximum, _mm512_max_ps(minimum, value));
}

INLINE void store_rows(const OctF32Tile *tile, __m512 sum[MR][VECTORS], size_t rows, size_t vectors,
                       __mmask16 last, bool whole, bool residual) {
    __m512 minimum = _mm512_set1_ps(tile->minimum);
    __m512 maximum = _mm512_set1_ps(tile->maximum);
    float *output = tile->output;
    OCT_EACH_OF_14(row, rows, {
        OCT_EACH_VECTOR(v, vectors, {
            size_t at = tile->offsets[row] + 16 * v;
            bool partial = !whole && v + 1 == vectors;
            __m512 value = sum[row][v];
            if (residual) {
                const float *from = tile->residual + at;
                value = _mm512_add_ps(value, partial ? _mm512_maskz_loadu_ps(last, from)
                                                     : _mm512_loadu_ps(from));
            }
            value = clamp(value, minimum, maximum);
            if (partial) {
                _mm512_mask_storeu_ps(output + at, last, value);
            } else {
                _mm512_storeu_ps(output + at, value);
            }
        });
    });
}

INLINE void start_rows(const float *bias, __m512 sum[MR][VECTORS], size_t rows, size_t vectors) {
    OCT_EACH_VECTOR(v, vectors, {
        __m512 start = bias ? _mm512_loadu_ps(bias + 16 * v) : _mm512_setzero_ps();
        OCT_EACH_OF_14(row, rows, { sum[row][v] = start; });
    });
}

INLINE void add_before(const OctF32Tile *tile, __m512 sum[MR][VECTORS], size_t rows, size_t vectors,
                       __mmask16 last) {
    OCT_EACH_OF_14(row, rows, {
        OCT_EACH_VECTOR(v, vectors, {
            __mmask16 mask = v + 1 == vectors ? last : (__mmask16)0xFFFF;
            const float *from = tile->before + tile->before_offsets[row] + 16 * v;
            sum[row][v] = _mm512_add_ps(_mm512_maskz_loadu_ps(mask, from), sum[row][v]);
        });
    });
}

INLINE void run_rows(const OctF32Tile *tile, size_t rows, size_t vectors) {
    __m512 sum[MR][VECTORS];
    __mmask16 last = (__mmask16)(0xFFFFu >> (16 * vectors - tile->column_count));
    start_rows(tile->bias, sum, rows, vectors);
    const float *weights = tile->weights;
    const float *const *pointers = tile->rows;
    for (size_t tap = 0; tap < tile->taps; tap++, pointers += MR) {
        const float *a[MR];
        OCT_EACH_OF_14(row, rows, { a[row] = pointers[row] + tile->skip; });
        for (size_t i = 0; i < tile->depth; i++, weights += NR) {
            __m512 w[VECTORS];
            OCT_EACH_VECTOR(v, vectors, { w[v] = _mm512_loadu_ps(weights + 16 * v); });
            OCT_EACH_OF_14(row, rows, {
                __m512 x = _mm512_set1_ps(a[row][i]);
                OCT_EACH_VECTOR(v, vectors,
                                { sum[row][v] = _mm512_fmadd_ps(x, w[v], sum[row][v]); });
            });
        }
    }
    if (!tile->bias) {
        add_before(tile, sum, rows, vectors, last);
    }
    if (last != 0xFFFF) {
        store_rows(tile, sum, rows, vectors, last, false, tile->residual != NULL);
    } else if (tile->residual) {
        store_rows(tile, sum, rows, vectors, last, true, true);
    } else {
        store_rows(tile, sum, rows, vectors, last, true, false);
    }
}

/* A whole tile whose last vector has at most 8 columns: half a vector costs half a multiplication
 * where 512 bits take two passes. */
INLINE void run_half(const OctF32Tile *tile, size_t rows, size_t vectors) {
    __m512 sum[MR][VECTORS];
    __m256 half[MR];
    size_t start = 16 * vectors;
    __mmask8 last = (__mmask8)(0xFFu >> (start + 8 - tile->column_count));
    start_rows(tile->bias, sum, rows, vectors);
    __m256 half_start = tile->bias ? _mm256_loadu_ps(tile->bias + start) : _mm256_setzero_ps();
    OCT_EACH_OF_14(row, rows, { half[row] = half_start; });
    const float *weights = tile->weights;
    const float *const *pointers = tile->rows;
    for (size_t tap = 0; tap < tile->taps; tap++, pointers += MR) {
        const float *a[MR];
        OCT_EACH_OF_14(row, rows, { a[row] = pointers[row] + tile->skip; });
        for (size_t i = 0; i < tile->depth; i++, weights += NR) {
            __m512 w[VECTORS];
            OCT_EACH_VECTOR(v, vectors, { w[v] = _mm512_loadu_ps(weights + 16 * v); });
            __m256 half_w = _mm256_loadu_ps(weights + start);
            OCT_EACH_OF_14(row, rows, {
                __m512 x = _mm512_set1_ps(a[row][i]);
                OCT_EACH_VECTOR(v, vectors,
                                { sum[row][v] = _mm512_fmadd_ps(x, w[v], sum[row][v]); });
                half[row] = _mm256_fmadd_ps(_mm512_castps512_ps256(x), half_w, half[row]);
            });
        }
    }
    if (!tile->bias) {
        add_before(tile, sum, rows, vectors, 0xFFFF);
        OCT_EACH_OF_14(row, rows, {
            const float *from = tile->before + tile->before_offsets[row] + start;
            half[row] = _mm256_add_ps(_mm256_maskz_loadu_ps(last, from), half[row]);
        });
    }
    __m256 minimum = _mm256_set1_ps(tile->minimum);
    __m256 maximum = _mm256_set1_ps(tile->maximum);
    OCT_EACH_OF_14(row, rows, {
        size_t at = tile->offsets[row] + start;
        __m256 value = half[row];
        if (tile->residual) {
            value = _mm256_add_ps(value, _mm256_maskz_loadu_ps(last, tile->residual + at));
        }
        value = _mm256_min_ps(maximum, _mm256_max_ps(minimum, value));
        _mm256_mask_storeu_ps(tile->output + at, last, value);
    });
    if (vectors) {
        store_rows(tile, sum, rows, vectors, 0xFFFF, true, tile->residual != NULL);
    }
}

static void run_14x8(const OctF32Tile *tile) {
    run_half(tile, MR, 0);
}

static void run_14x24(const OctF32Tile *tile) {
    run_half(tile, MR, 1);
}

#define ROWS(n)                                                                                    \
    static void run_##n##x1(const OctF32Tile *tile) {                                              \
        run_rows(tile, n, 1);                                                                      \
    }                                                                                              \
    static void run_##n##x2(const OctF32Tile *tile) {                                              \
        run_rows(tile, n, 2);                                                                      \
    }
ROWS(1)
ROWS(2)
ROWS(3)
ROWS(4)
ROWS(5)
ROWS(6)
ROWS(7)
ROWS(8)
ROWS(9)
ROWS(10)
ROWS(11)
ROWS(12)
ROWS(13)
ROWS(14)

static void run_tile(const OctF32Tile *tile) {
    static const OctF32TileKernel kernels[MR][2] = {
        {run_1x1, run_1x2},   {run_2x1, run_2x2},   {run_3x1, run_3x2},   {run_4x1, run_4x2},
        {run_5x1, run_5x2},   {run_6x1, run_6x2},   {run_7x1, run_7x2},   {run_8x1, run_8x2},
        {run_9x1, run_9x2},   {run_10x1, run_10x2}, {run_11x1, run_11x2}, {run_12x1, run_12x2},
        {run_13x1, run_13x2}, {run_14x1, run_14x2},
    };
    if (tile->row_count == MR && (tile->column_count - 1) % 16 < 8) {
        (tile->column_count > 16 ? run_14x24 : run_14x8)(tile);
        return;
    }
    kernels[tile->row_count - 1][tile->column_count > 16](tile);
}

const OctF32GemmBundle oct_f32_gemm_avx512vnni = {
    .name = "f32 14x32 avx512",
    .cpu = OCTET_CPU_AVX512_VNNI,
    .mr = MR,
    .nr = NR,
    .kernel = run_tile,
};
