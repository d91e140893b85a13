#include "kernels/f32_isa.h"

#include <immintrin.h>

/* 6 rows x 16 columns: 12 sums, 2 vectors of weights, 1 broadcast of the 16 registers. */
enum { MR = 6, NR = 16 };

#define INLINE static inline __attribute__((always_inline))

INLINE __m256i mask_of(size_t count) {
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)count), lanes);
}

INLINE void store_row(const OctF32Tile *tile, size_t row, const __m256 *sum, size_t vectors,
                      __m256i last) {
    __m256 minimum = _mm256_set1_ps(tile->minimum);
    __m256 maximum = _mm256_set1_ps(tile->maximum);
    for (size_t v = 0; v < vectors; v++) {
        __m256i mask = v + 1 == vectors ? last : _mm256_set1_epi32(-1);
        size_t at = tile->offsets[row] + 8 * v;
        __m256 value = sum[v];
        if (tile->residual) {
            value = _mm256_add_ps(value, _mm256_maskload_ps(tile->residual + at, mask));
        }
        /* the second operand is returned when either is NaN, and for equal zeros */
        value = _mm256_min_ps(maximum, _mm256_max_ps(minimum, value));
        _mm256_maskstore_ps(tile->output + at, mask, value);
    }
}

INLINE void run_rows(const OctF32Tile *tile, size_t rows, size_t vectors) {
    __m256 sum[MR][2];
    __m256i last = mask_of(tile->column_count - 8 * (vectors - 1));
    for (size_t v = 0; v < vectors; v++) {
        __m256i mask = v + 1 == vectors ? last : _mm256_set1_epi32(-1);
        for (size_t row = 0; row < rows; row++) {
            sum[row][v] = tile->bias
                              ? _mm256_loadu_ps(tile->bias + 8 * v)
                              : _mm256_maskload_ps(tile->output + tile->offsets[row] + 8 * v, mask);
        }
    }
    const float *weights = tile->weights;
    const float *const *pointers = tile->rows;
    for (size_t tap = 0; tap < tile->taps; tap++, pointers += MR) {
        const float *a[MR];
        for (size_t row = 0; row < rows; row++) {
            a[row] = pointers[row];
        }
        for (size_t i = 0; i < tile->depth; i++, weights += NR) {
            __m256 w[2];
            for (size_t v = 0; v < vectors; v++) {
                w[v] = _mm256_loadu_ps(weights + 8 * v);
            }
            for (size_t row = 0; row < rows; row++) {
                __m256 x = _mm256_broadcast_ss(a[row] + i);
                for (size_t v = 0; v < vectors; v++) {
                    sum[row][v] = _mm256_fmadd_ps(x, w[v], sum[row][v]);
                }
            }
        }
    }
    for (size_t row = 0; row < rows; row++) {
        store_row(tile, row, sum[row], vectors, last);
    }
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
