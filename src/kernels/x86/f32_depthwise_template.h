/* Depthwise convolution in f32 for x86, included after the names of one level (f32_simd_*.h) with
 * BUNDLE, BUNDLE_NAME and BUNDLE_CPU. */
#include "kernels/f32_isa.h"

/* 8 pixels by a vector of channels, whose weights serve all 8. */
enum { MR = 8, CR = LANES, BLOCKS = 4 };

#define INLINE static inline __attribute__((always_inline))

/* The first `count` of CR channels. */
INLINE F load(const float *data, size_t count) {
    return count == CR ? s_load(data) : s_load_part(data, count);
}

/* What is done to a finished sum. */
typedef struct Epilogue {
    F minimum, maximum;
    const float *residual;
    float *output;
} Epilogue;

INLINE Epilogue epilogue_of(const OctF32DepthwiseTile *tile) {
    return (Epilogue){s_set(tile->minimum), s_set(tile->maximum), tile->residual, tile->output};
}

INLINE void finish(const Epilogue *epilogue, size_t at, F value, size_t count) {
    if (epilogue->residual) {
        value = s_add(value, load(epilogue->residual + at, count));
    }
    /* the second operand is returned when either is NaN, and for equal zeros */
    value = s_max(epilogue->minimum, value);
    value = s_min(epilogue->maximum, value);
    if (count == CR) {
        s_store(epilogue->output + at, value);
    } else {
        s_store_part(epilogue->output + at, value, count);
    }
}

INLINE void run_block(const OctF32DepthwiseTile *tile, const Epilogue *epilogue,
                      const float *weights, size_t channel, size_t count, size_t rows) {
    F sum[MR];
    const float *inputs[MR];
#pragma GCC unroll 8
    for (size_t row = 0; row < rows; row++) {
        sum[row] = s_load(weights);
        inputs[row] = tile->input + row * tile->input_step + channel;
    }
    size_t taps = tile->taps;
    size_t output_step = tile->output_step;
    for (size_t tap = 0; tap < taps; tap++) {
        F w = s_load(weights + (tile->tap_indices[tap] + 1) * CR);
        int64_t offset = tile->tap_offsets[tap];
#pragma GCC unroll 8
        for (size_t row = 0; row < rows; row++) {
            sum[row] = s_fma(load(inputs[row] + offset, count), w, sum[row]);
        }
    }
#pragma GCC unroll 8
    for (size_t row = 0; row < rows; row++) {
        finish(epilogue, row * output_step + channel, sum[row], count);
    }
}

INLINE void run_rows(const OctF32DepthwiseTile *tile, size_t rows) {
    Epilogue epilogue = epilogue_of(tile);
    const float *weights = tile->weights;
    size_t channel = 0;
    for (; channel + CR <= tile->channels; channel += CR, weights += tile->block_floats) {
        run_block(tile, &epilogue, weights, channel, CR, rows);
    }
    if (channel < tile->channels) {
        run_block(tile, &epilogue, weights, channel, tile->channels - channel, rows);
    }
}

/* A single pixel: blocks of channels instead of pixels keep the adders busy. */
static void run_pixel(const OctF32DepthwiseTile *tile) {
    Epilogue epilogue = epilogue_of(tile);
    const float *weights = tile->weights;
    size_t channel = 0;
    for (; channel + BLOCKS * CR <= tile->channels; channel += BLOCKS * CR) {
        F sum[BLOCKS];
#pragma GCC unroll 4
        for (size_t block = 0; block < BLOCKS; block++) {
            sum[block] = s_load(weights + block * tile->block_floats);
        }
        for (size_t tap = 0; tap < tile->taps; tap++) {
            const float *x = tile->input + tile->tap_offsets[tap] + channel;
            const float *w = weights + (tile->tap_indices[tap] + 1) * CR;
#pragma GCC unroll 4
            for (size_t block = 0; block < BLOCKS; block++) {
                sum[block] = s_fma(s_load(x + block * CR), s_load(w + block * tile->block_floats),
                                   sum[block]);
            }
        }
#pragma GCC unroll 4
        for (size_t block = 0; block < BLOCKS; block++) {
            finish(&epilogue, channel + block * CR, sum[block], CR);
        }
        weights += BLOCKS * tile->block_floats;
    }
    for (; channel + CR <= tile->channels; channel += CR, weights += tile->block_floats) {
        run_block(tile, &epilogue, weights, channel, CR, 1);
    }
    if (channel < tile->channels) {
        run_block(tile, &epilogue, weights, channel, tile->channels - channel, 1);
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

const OctF32DepthwiseBundle BUNDLE = {
    .name = BUNDLE_NAME,
    .cpu = BUNDLE_CPU,
    .mr = MR,
    .cr = CR,
    .kernel = run_tile,
};
