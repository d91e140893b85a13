/* Int8 convolution on 128-bit vectors; included by the NEON and the NEON dot product bundle,
 * which define before:
 *   TILE_ROWS, ACCUMULATORS   pixels of a tile, vectors of sums a pixel of 16 channels has
 *   multiply(x, weights, k, rows, acc)   adds the products of `rows` rows with one tap's weights
 *   collect(acc, sums)   a pixel's accumulators to four vectors in channel order
 * Activations are turned into s8 by subtracting 128, which the packed bias makes good. */
#include "kernels/arm/q8_arm.h"
#include "kernels/arm/q8_epilogue_neon.h"
#include "kernels/q8_pack.h"

static const OctQ8Layout layout = {.nr = 16, .lanes = 4, .activation_offset = 128};

static size_t conv_packed_bytes(size_t channels, size_t taps, size_t k) {
    return oct_q8_packed_bytes(&layout, channels, taps, k);
}

static void conv_pack(const OctQ8PackSource *source, void *packed) {
    oct_q8_pack(&layout, source, packed);
}

typedef struct Panel {
    const OctQ8ConvArgs *args;
    const uint8_t *data; /* bias, multipliers, weights */
    size_t channel, count;
} Panel;

OCT_INLINE void tile(const Panel *panel, size_t pixel, size_t rows) {
    const OctQ8ConvArgs *args = panel->args;
    int32x4_t acc[TILE_ROWS * ACCUMULATORS];
    OCT_EACH_ROW(r, rows, {
        OCT_EACH_VECTOR(v, ACCUMULATORS < 4 ? ACCUMULATORS : 4,
                        { acc[r * ACCUMULATORS + v] = vdupq_n_s32(0); });
        OCT_EACH_VECTOR(v, ACCUMULATORS - 4, acc[r * ACCUMULATORS + 4 + v] = vdupq_n_s32(0););
    });
    const uint8_t *weights = panel->data + 128;
    size_t tap_bytes = (args->k + 3) / 4 * 64;
    const uint8_t *x[8];
    for (size_t t = 0; t < args->taps; t++) {
        OCT_EACH_ROW(r, rows, {
            x[r] = args->pointers
                       ? args->pointers[t * args->pointer_stride + pixel + r] + args->pointer_offset
                       : args->input + (pixel + r) * args->input_stride;
        });
        multiply(x, (const int8_t *)weights, args->k, rows, acc);
        weights += tap_bytes;
    }
    const int32_t *bias = (const int32_t *)(const void *)panel->data;
    const float *multipliers = (const float *)(const void *)(panel->data + 64);
    OCT_EACH_ROW(r, rows, {
        int32x4_t sums[4];
        collect(acc + r * ACCUMULATORS, sums);
        int32x4_t row_bias = vdupq_n_s32(args->row_bias ? args->row_bias[pixel + r] : 0);
        OCT_EACH_VECTOR(
            v, 4, { sums[v] = vaddq_s32(sums[v], vaddq_s32(vld1q_s32(bias + 4 * v), row_bias)); });
        const uint8_t *residual =
            args->residual ? args->residual + (pixel + r) * args->residual_stride + panel->channel
                           : NULL;
        oct_q8_finish_neon(args->epilogue, sums, multipliers, panel->count, args->output,
                           (pixel + r) * args->output_stride + panel->channel, residual);
    });
}

static __attribute__((noinline)) void tile_all(const Panel *panel, size_t pixel) {
    tile(panel, pixel, TILE_ROWS);
}

static __attribute__((noinline)) void tile_one(const Panel *panel, size_t pixel) {
    tile(panel, pixel, 1);
}

static void conv_kernel(const OctQ8ConvArgs *args) {
    size_t panel_bytes = oct_q8_panel_bytes(16, args->taps, args->k);
    size_t end = args->first_channel + args->channels;
    for (size_t channel = args->first_channel; channel < end; channel += 16) {
        Panel panel = {
            .args = args,
            .data = (const uint8_t *)args->packed + channel / 16 * panel_bytes,
            .channel = channel - args->first_channel,
            .count = end - channel < 16 ? end - channel : 16,
        };
        size_t p = 0;
        for (; p + TILE_ROWS <= args->pixels; p += TILE_ROWS) {
            tile_all(&panel, p);
        }
        for (; p < args->pixels; p++) {
            tile_one(&panel, p);
        }
    }
}
