#include "kernels/f32_isa.h"

#include <immintrin.h>

/* 8 pixels x 16 channels: a vector of weights serves 8 pixels. */
enum { MR = 8, CR = 16 };

#define INLINE static inline __attribute__((always_inline))

INLINE void run_block(const OctF32DepthwiseTile *tile, const float *weights, size_t channel,
                      bool whole, __mmask16 mask, size_t rows) {
    __m512 sum[MR];
#pragma GCC unroll 8
    for (size_t row = 0; row < rows; row++) {
        sum[row] = _mm512_loadu_ps(weights);
    }
    if (tile->tap_offsets) {
        const float *inputs[MR];
        for (size_t row = 0; row < rows; row++) {
            inputs[row] = tile->rows[row] + channel;
        }
        for (size_t tap = 0; tap < tile->taps; tap++) {
            weights += CR;
            __m512 w = _mm512_loadu_ps(weights);
            int64_t offset = tile->tap_offsets[tap];
#pragma GCC unroll 8
            for (size_t row = 0; row < rows; row++) {
                __m512 x = whole ? _mm512_loadu_ps(inputs[row] + offset)
                                 : _mm512_maskz_loadu_ps(mask, inputs[row] + offset);
                sum[row] = _mm512_fmadd_ps(x, w, sum[row]);
            }
        }
    } else {
        const float *const *pointers = tile->rows;
        for (size_t tap = 0; tap < tile->taps; tap++, pointers += MR) {
            weights += CR;
            __m512 w = _mm512_loadu_ps(weights);
#pragma GCC unroll 8
            for (size_t row = 0; row < rows; row++) {
                __m512 x = whole ? _mm512_loadu_ps(pointers[row] + channel)
                                 : _mm512_maskz_loadu_ps(mask, pointers[row] + channel);
                sum[row] = _mm512_fmadd_ps(x, w, sum[row]);
            }
        }
    }
    __m512 minimum = _mm512_set1_ps(tile->minimum);
    __m512 maximum = _mm512_set1_ps(tile->maximum);
#pragma GCC unroll 8
    for (size_t row = 0; row < rows; row++) {
        size_t at = tile->offsets[row] + channel;
        __m512 value = sum[row];
        if (tile->residual) {
            value = _mm512_add_ps(value, _mm512_maskz_loadu_ps(mask, tile->residual + at));
        }
        value = _mm512_min_ps(maximum, _mm512_max_ps(minimum, value));
        if (whole) {
            _mm512_storeu_ps(tile->output + at, value);
        } else {
            _mm512_mask_storeu_ps(tile->output + at, mask, value);
        }
    }
}

INLINE void run_rows(const OctF32DepthwiseTile *tile, size_t rows) {
    const float *weights = tile->weights;
    size_t channel = 0;
    for (; channel + CR <= tile->channels; channel += CR) {
        run_block(tile, weights, channel, true, (__mmask16)0xFFFF, rows);
        weights += CR * (tile->taps + 1);
    }
    if (channel < tile->channels) {
        run_block(tile, weights, channel, false,
                  (__mmask16)((1u << (tile->channels - channel)) - 1), rows);
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

const OctF32DepthwiseBundle oct_f32_depthwise_avx512vnni = {
    .name = "f32 depthwise 8x16 avx512",
    .cpu = OCTET_CPU_AVX512_VNNI,
    .mr = MR,
    .cr = CR,
    .kernel = run_tile,
};
