/* The portable depthwise bundle: s32 bias[channels], f32 multiplier[channels],
 * s8 weights[taps][channels]. */
#include "base/mem.h"
#include "kernels/q8_conv_c.h"

static size_t packed_bytes(size_t channels, size_t kernel_h, size_t kernel_w) {
    size_t bytes;
    if (!oct_mul_size(kernel_h, kernel_w, &bytes) || !oct_add_size(bytes, 8, &bytes) ||
        !oct_mul_size(bytes, channels, &bytes)) {
        return 0;
    }
    return bytes;
}

static void pack(const OctQ8DepthwiseSource *source, void *packed) {
    size_t channels = source->channels, taps = source->kernel_h * source->kernel_w;
    int32_t *bias = packed;
    float *multiplier = (float *)(bias + channels);
    int8_t *weights = (int8_t *)(multiplier + channels);
    for (size_t c = 0; c < channels; c++) {
        int32_t sum = 0;
        for (size_t t = 0; t < taps; t++) {
            int8_t w = source->weights[c * source->channel_stride + t * source->tap_stride];
            weights[t * channels + c] = w;
            sum += w;
        }
        uint32_t given = source->bias ? (uint32_t)source->bias[c] : 0;
        bias[c] = (int32_t)(given - (uint32_t)source->input_zero_point * (uint32_t)sum);
        multiplier[c] = source->multipliers ? source->multipliers[c] : 0.0f;
    }
}

enum { BLOCK = 64 };

static void kernel(const OctQ8DepthwiseArgs *args) {
    size_t channels = args->channels;
    const int32_t *bias = args->packed;
    const float *multiplier = (const float *)(bias + channels);
    const int8_t *weights = (const int8_t *)(multiplier + channels);
    for (size_t p = 0; p < args->pixels; p++) {
        for (size_t first = 0; first < channels; first += BLOCK) {
            size_t count = channels - first < BLOCK ? channels - first : BLOCK;
            int32_t acc[BLOCK];
            for (size_t c = 0; c < count; c++) {
                acc[c] = bias[first + c];
            }
            const int8_t *w = weights + first;
            for (size_t r = 0; r < args->kernel_h; r++) {
                const uint8_t *const *row =
                    args->pointers + r * args->row_stride + p * args->stride_w;
                for (size_t t = 0; t < args->kernel_w; t++, w += channels) {
                    const uint8_t *x = row[t * args->dilation_w] + first;
                    for (size_t c = 0; c < count; c++) {
                        acc[c] += x[c] * w[c];
                    }
                }
            }
            const uint8_t *residual =
                args->residual ? args->residual + p * args->residual_stride + first : NULL;
            oct_q8_store_c(args->epilogue, acc, multiplier + first, count, args->output,
                           p * args->output_stride + first, residual);
        }
    }
}

const OctQ8DepthwiseBundle oct_q8_depthwise_c = {
    .name = "q8_depthwise portable",
    .cpu = OCTET_CPU_PORTABLE,
    .packed_bytes = packed_bytes,
    .pack = pack,
    .kernel = kernel,
};
