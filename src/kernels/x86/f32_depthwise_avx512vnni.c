#include "kernels/f32_isa.h"

#include <immintrin.h>

/* 8 pixels x 16 channels: a vector of weights serves 8 pixels. */
enum { MR = 8, CR = 16, BLOCKS = 4 };

#define INLINE static inline __attribute__((always_inline))

typedef struct Mask {
    bool whole;
    __mmask16 lanes;
} Mask;

INLINE __m512 load(const float *data, Mask mask) {
    return mask.whole ? _mm512_loadu_ps(data) : _mm512_maskz_loadu_ps(mask.lanes, data);
}

/* What is done to a finished sum. */
typedef struct Epilogue {
    __m512 minimum, maximum;
    const float *residual;
    float *output;
} Epilogue;

INLINE Epilogue epilogue_of(const OctF32DepthwiseTile *tile) {
    return (Epilogue){_mm512_set1_ps(tile->minimum), _mm512_set1_ps(tile->maximum), tile->residual,
                      tile->output};
}

INLINE void finish(const Epilogue *epilogue, size_t at, __m512 value, Mask mask) {
    if (epilogue->residual) {
        value = _mm512_add_ps(value, load(epilogue->residual + at, mask));
    }
    /* the second operand is returned when either is NaN, and for equal zeros */
    value = _mm512_max_ps(epilogue->minimum, value);
    value = _mm512_min_ps(epilogue->maximum, value);
    if (mask.whole) {
        _mm512_storeu_ps(epilogue->output + at, value);
    } else {
        _mm512_mask_storeu_ps(epilogue->output + at, mask.lanes, value);
    }
}

INLINE void run_block(const OctF32DepthwiseTile *tile, const Epilogue *epilogue,
                      const float *weights, size_t channel, Mask mask, size_t rows) {
    __m512 sum[MR];
    const float *inputs[MR];
#pragma GCC unroll 8
    for (size_t row = 0; row < rows; row++) {
        sum[row] = _mm512_loadu_ps(weights);
        inputs[row] = tile->input + row * tile->input_step + channel;
    }
    size_t taps = tile->taps;
    size_t output_step = tile->output_step;
    for (size_t tap = 0; tap < taps; tap++) {
        __m512 w = _mm512_loadu_ps(weights + (tile->tap_indices[tap] + 1) * CR);
        int64_t offset = tile->tap_offsets[tap];
#pragma GCC unroll 8
        for (size_t row = 0; row < rows; row++) {
            sum[row] = _mm512_fmadd_ps(load(inputs[row] + offset, mask), w, sum[row]);
        }
    }
#pragma GCC unroll 8
    for (size_t row = 0; row < rows; row++) {
        finish(epilogue, row * output_step + channel, sum[row], mask);
    }
}

INLINE void run_rows(const OctF32DepthwiseTile *tile, size_t rows) {
    Epilogue epilogue = epilogue_of(tile);
    const float *weights = tile->weights;
    size_t channel = 0;
    for (; channel + CR <= tile->channels; channel += CR, weights += tile->block_floats) {
        run_block(tile, &epilogue, weights, channel, (Mask){true, 0}, rows);
    }
    if (channel < tile->channels) {
        Mask mask = {false, (__mmask16)((1u << (tile->channels - channel)) - 1)};
        run_block(tile, &epilogue, weights, channel, mask, rows);
    }
}

/* A single pixel: blocks of channels instead of pixels keep the adders busy. */
static void run_pixel(const OctF32DepthwiseTile *tile) {
    Epilogue epilogue = epilogue_of(tile);
    const float *weights = tile->weights;
    size_t channel = 0;
    for (; channel + BLOCKS * CR <= tile->channels; channel += BLOCKS * CR) {
        __m512 sum[BLOCKS];
#pragma GCC unroll 4
        for (size_t block = 0; block < BLOCKS; block++) {
            sum[block] = _mm512_loadu_ps(weights + block * tile->block_floats);
        }
        for (size_t tap = 0; tap < tile->taps; tap++) {
            const float *x = tile->input + tile->tap_offsets[tap] + channel;
            const float *w = weights + (tile->tap_indices[tap] + 1) * CR;
#pragma GCC unroll 4
            for (size_t block = 0; block < BLOCKS; block++) {
                sum[block] =
                    _mm512_fmadd_ps(_mm512_loadu_ps(x + block * CR),
                                    _mm512_loadu_ps(w + block * tile->block_floats), sum[block]);
            }
        }
#pragma GCC unroll 4
        for (size_t block = 0; block < BLOCKS; block++) {
            finish(&epilogue, channel + block * CR, sum[block], (Mask){true, 0});
        }
        weights += BLOCKS * tile->block_floats;
    }
    for (; channel + CR <= tile->channels; channel += CR, weights += tile->block_floats) {
        run_block(tile, &epilogue, weights, channel, (Mask){true, 0}, 1);
    }
    if (channel < tile->channels) {
        Mask mask = {false, (__mmask16)((1u << (tile->channels - channel)) - 1)};
        run_block(tile, &epilogue, weights, channel, mask, 1);
    }
}

static void run_tile(const OctF32DepthwiseTile *tile) {
    switch (tile->row_count) {
    case 1:
        run_pixel(tile);
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
