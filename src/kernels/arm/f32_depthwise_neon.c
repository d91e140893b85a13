#include "kernels/f32_isa.h"

#include <arm_neon.h>
#include <math.h>

/* 6 pixels x 4 channels: a vector of weights serves 6 pixels. */
enum { MR = 6, CR = 4 };

#define INLINE static inline __attribute__((always_inline))

INLINE float32x4_t clamp(float32x4_t value, float32x4_t minimum, float32x4_t maximum) {
    /* by comparison and not fmin/fmax, which order the zeros */
    value = vbslq_f32(vcgtq_f32(minimum, value), minimum, value);
    return vbslq_f32(vcltq_f32(maximum, value), maximum, value);
}

INLINE void run_block(const OctF32DepthwiseTile *tile, const float *weights, size_t channel,
                      size_t rows) {
    float32x4_t sum[MR];
    for (size_t row = 0; row < rows; row++) {
        sum[row] = vld1q_f32(weights);
    }
    for (size_t tap = 0; tap < tile->taps; tap++) {
        float32x4_t w = vld1q_f32(weights + (tile->tap_indices[tap] + 1) * CR);
        const float *input = tile->input + tile->tap_offsets[tap] + channel;
        for (size_t row = 0; row < rows; row++) {
            sum[row] = vfmaq_f32(sum[row], vld1q_f32(input + row * tile->input_step), w);
        }
    }
    for (size_t row = 0; row < rows; row++) {
        size_t at = row * tile->output_step + channel;
        float32x4_t value = sum[row];
        if (tile->residual) {
            value = vaddq_f32(value, vld1q_f32(tile->residual + at));
        }
        vst1q_f32(tile->output + at,
                  clamp(value, vdupq_n_f32(tile->minimum), vdupq_n_f32(tile->maximum)));
    }
}

/* The channels behind the last whole block. */
static void run_rest(const OctF32DepthwiseTile *tile, const float *weights, size_t channel) {
    for (size_t row = 0; row < tile->row_count; row++) {
        const float *input = tile->input + row * tile->input_step + channel;
        for (size_t i = 0; channel + i < tile->channels; i++) {
            float sum = weights[i];
            for (size_t tap = 0; tap < tile->taps; tap++) {
                sum = fmaf(input[tile->tap_offsets[tap] + (int64_t)i],
                           weights[(tile->tap_indices[tap] + 1) * CR + i], sum);
            }
            size_t at = row * tile->output_step + channel + i;
            sum = tile->residual ? sum + tile->residual[at] : sum;
            tile->output[at] = oct_f32_clamp(sum, tile->minimum, tile->maximum);
        }
    }
}

INLINE void run_rows(const OctF32DepthwiseTile *tile, size_t rows) {
    const float *weights = tile->weights;
    size_t channel = 0;
    for (; channel + CR <= tile->channels; channel += CR) {
        run_block(tile, weights, channel, rows);
        weights += tile->block_floats;
    }
    if (channel < tile->channels) {
        run_rest(tile, weights, channel);
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
    default:
        run_rows(tile, 6);
        break;
    }
}

const OctF32DepthwiseBundle oct_f32_depthwise_neon = {
    .name = "f32 depthwise 6x4 neon",
    .cpu = OCTET_CPU_NEON,
    .mr = MR,
    .cr = CR,
    .kernel = run_tile,
};
