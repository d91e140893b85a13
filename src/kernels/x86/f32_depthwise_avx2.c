#include "kernels/f32_isa.h"

#include <immintrin.h>

/* 8 pixels x 8 channels: a vector of weights serves 8 pixels. */
enum { MR = 8, CR = 8 };

#define INLINE static inline __attribute__((always_inline))

INLINE __m256 load(const float *data, bool whole, __m256i mask) {
    return whole ? _mm256_loadu_ps(data) : _mm256_maskload_ps(data, mask);
}

INLINE void run_block(const OctF32DepthwiseTile *tile, const float *weights, size_t channel,
                      bool whole, __m256i mask, size_t rows) {
    __m256 sum[MR];
#pragma GCC unroll 8
    for (size_t row = 0; row < rows; row++) {
        sum[row] = _mm256_loadu_ps(weights);
    }
    if (tile->tap_offsets) {
        const float *inputs[MR];
        for (size_t row = 0; row < rows; row++) {
            inputs[row] = tile->rows[row] + channel;
        }
        for (size_t tap = 0; tap < tile->taps; tap++) {
            weights += CR;
            __m256 w = _mm256_loadu_ps(weights);
            int64_t offset = tile->tap_offsets[tap];
#pragma GCC unroll 8
            for (size_t row = 0; row < rows; row++) {
                sum[row] = _mm256_fmadd_ps(load(inputs[row] + offset, whole, mask), w, sum[row]);
            }
        }
    } else {
        const float *const *pointers = tile->rows;
        for (size_t tap = 0; tap < tile->taps; tap++, pointers += MR) {
            weights += CR;
            __m256 w = _mm256_loadu_ps(weights);
#pragma GCC unroll 8
            for (size_t row = 0; row < rows; row++) {
                sum[row] = _mm256_fmadd_ps(load(pointers[row] + channel, whole, mask), w, sum[row]);
            }
        }
    }
    __m256 minimum = _mm256_set1_ps(tile->minimum);
    __m256 maximum = _mm256_set1_ps(tile->maximum);
#pragma GCC unroll 8
    for (size_t row = 0; row < rows; row++) {
        size_t at = tile->offsets[row] + channel;
        __m256 value = sum[row];
        if (tile->residual) {
            value = _mm256_add_ps(value, load(tile->residual + at, whole, mask));
        }
        value = _mm256_min_ps(maximum, _mm256_max_ps(minimum, value));
        if (whole) {
            _mm256_storeu_ps(tile->output + at, value);
        } else {
            _mm256_maskstore_ps(tile->output + at, mask, value);
        }
    }
}

INLINE void run_rows(const OctF32DepthwiseTile *tile, size_t rows) {
    const float *weights = tile->weights;
    const __m256i lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    size_t channel = 0;
    for (; channel + CR <= tile->channels; channel += CR) {
        run_block(tile, weights, channel, true, lanes, rows);
        weights += CR * (tile->taps + 1);
    }
    if (channel < tile->channels) {
        __m256i count = _mm256_set1_epi32((int)(tile->channels - channel));
        run_block(tile, weights, channel, false, _mm256_cmpgt_epi32(count, lanes), rows);
    }
}

static void run_tile(const OctF32DepthwiseTile *tile) {
    switch (tile->row_count) {
    case 1:
        run_rows(tile, 1);
        break;
    case 2:
        run_rows(tile, 2);
        break;
    case 3:
        run_rows(tile, 3);
        break;
    case 4:
        run_rows(tile, 4);
        break;
    case 5:
        run_rows(tile, 5);
        break;
    case 6:
        run_rows(tile, 6);
        break;
    case 7:
        run_rows(tile, 7);
        break;
    default:
        run_rows(tile, 8);
        break;
    }
}

const OctF32DepthwiseBundle oct_f32_depthwise_avx2 = {
    .name = "f32 depthwise 8x8 avx2",
    .cpu = OCTET_CPU_AVX2,
    .mr = MR,
    .cr = CR,
    .kernel = run_tile,
};
