#include "kernels/f32_isa.h"
#include "kernels/q8_unroll.h"

#include <immintrin.h>

/* 6 rows x 16 columns: 12 sums, 2 vectors of weights, 1 broadcast of the 16 registers. Arrays of
 * vectors have as many elements as OCT_EACH_ROW and OCT_EACH_VECTOR name. */
enum { MR = 6, NR = 16, ROWS = 8, VECTORS = 4 };

#define INLINE static inline __attribute__((always_inline))

INLINE __m256i mask_of(size_t count) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lanes);
}

INLINE __m256 load(const float *data, bool whole, __m256i mask) {
    return whole ? _mm256_loadu_ps(data) : _mm256_maskload_ps(data, mask);
}

INLINE void store_rows(const OctF32Tile *tile, __m256 sum[ROWS][VECTORS], size_t rows,
                       size_t vectors, __m256i last, bool all, bool residual) {
    __m256 minimum = _mm256_set1_ps(tile->minimum);
    __m256 maximum = _mm256_set1_ps(tile->maximum);
    OCT_EACH_ROW(row, rows, {
        OCT_EACH_VECTOR(v, vectors, {
            size_t at = tile->offsets[row] + 8 * v;
            bool whole = all || v + 1 < vectors;
            __m256 value = sum[row][v];
            if (residual) {
                value = _mm256_add_ps(value, load(tile->residual + at, whole, last));
            }
            /* the second operand is returned when either is NaN, and for equal zeros */
            value = _mm256_min_ps(maximum, _mm256_max_ps(minimum, value));
            if (whole) {
                _mm256_storeu_ps(tile->output + at, value);
            } else {
                _mm256_maskstore_ps(tile->output + at, last, value);
            }
        });
    });
}

INLINE void start_rows(const float *bias, __m256 sum[ROWS][VECTORS], size_t rows, size_t vectors) {
    OCT_EACH_VECTOR(v, vectors, {
        __m256 start = bias ? _mm256_loadu_ps(bias + 8 * v) : _mm256_setzero_ps();
        OCT_EACH_ROW(row, rows, { sum[row][v] = start; });
    });
}

INLINE void add_before(const OctF32Tile *tile, __m256 sum[ROWS][VECTORS], size_t rows,
                       size_t vectors, __m256i last) {
    OCT_EACH_ROW(row, rows, {
        OCT_EACH_VECTOR(v, vectors, {
            const float *from = tile->before + tile->before_offsets[row] + 8 * v;
            sum[row][v] = _mm256_add_ps(load(from, v + 1 < vectors, last), sum[row][v]);
        });
    });
}

INLINE void run_rows(const OctF32Tile *tile, size_t rows, size_t vectors) {
    __m256 sum[ROWS][VECTORS];
    __m256i last = mask_of(tile->column_count - 8 * (vectors - 1));
    start_rows(tile->bias, sum, rows, vectors);
    const float *weights = tile->weights;
    const float *const *pointers = tile->rows;
    for (size_t tap = 0; tap < tile->taps; tap++, pointers += MR) {
        const float *a[ROWS];
        OCT_EACH_ROW(row, rows, { a[row] = pointers[row] + tile->skip; });
        for (size_t i = 0; i < tile->depth; i++, weights += NR) {
            __m256 w[VECTORS];
            OCT_EACH_VECTOR(v, vectors, { w[v] = _mm256_loadu_ps(weights + 8 * v); });
            OCT_EACH_ROW(row, rows, {
                __m256 x = _mm256_broadcast_ss(a[row] + i);
                OCT_EACH_VECTOR(v, vectors,
                                { sum[row][v] = _mm256_fmadd_ps(x, w[v], sum[row][v]); });
            });
        }
    }
    if (!tile->bias) {
        add_before(tile, sum, rows, vectors, last);
    }
    if (tile->column_count < 8 * vectors) {
        store_rows(tile, sum, rows, vectors, last, false, tile->residual != NULL);
    } else if (tile->residual) {
        store_rows(tile, sum, rows, vectors, last, true, true);
    } else {
        store_rows(tile, sum, rows, vectors, last, true, false);
    }
}

#define KERNELS(n)                                                                                 \
    static void run_##n##x1(const OctF32Tile *tile) {                                              \
        run_rows(tile, n, 1);                                                                      \
    }                                                                                              \
    static void run_##n##x2(const OctF32Tile *tile) {                                              \
        run_rows(tile, n, 2);                                                                      \
    }
KERNELS(1)
KERNELS(2)
KERNELS(3)
KERNELS(4)
KERNELS(5)
KERNELS(6)

static void run_tile(const OctF32Tile *tile) {
    static const OctF32TileKernel kernels[MR][2] = {
        {run_1x1, run_1x2}, {run_2x1, run_2x2}, {run_3x1, run_3x2},
        {run_4x1, run_4x2}, {run_5x1, run_5x2}, {run_6x1, run_6x2},
    };
    kernels[tile->row_count - 1][tile->column_count > 8](tile);
}

const OctF32GemmBundle oct_f32_gemm_avx2 = {
    .name = "f32 6x16 avx2",
    .cpu = OCTET_CPU_AVX2,
    .mr = MR,
    .nr = NR,
    .kernel = run_tile,
};
