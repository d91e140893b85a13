#include "kernels/q8_depthwise_pack.h"
#include "base/mem.h"
#include "kernels/q8_pack.h"

size_t oct_q8_depthwise_packed_bytes(size_t widest, size_t channels, size_t kernel_h,
                                     size_t kernel_w) {
    size_t taps, bytes;
    if (channels > SIZE_MAX / 64 || !oct_mul_size(kernel_h, kernel_w, &taps) ||
        taps > SIZE_MAX / 8) {
        return 0;
    }
    size_t groups = oct_q8_depthwise_groups(kernel_h, kernel_w);
    size_t whole = channels / widest * widest;
    size_t all = whole + (whole < channels ? oct_q8_depthwise_width(channels - whole, widest) : 0);
    return oct_mul_size(all, 8 + 4 * groups, &bytes) ? bytes : 0;
}

/* The weight of tap `i` of group `group` for one channel. */
static int8_t weight_of(const OctQ8DepthwiseSource *source, size_t channel, size_t group,
                        size_t i) {
    size_t tap = 4 * group + i;
    if (source->kernel_h == 3 && source->kernel_w == 3) {
        tap = i < 3 ? 3 * i + group : 9;
    } else if (source->kernel_h == 5 && source->kernel_w == 5) {
        tap = group < 5 ? 5 * i + group : 4 * group + i;
    }
    if (tap >= source->kernel_h * source->kernel_w) {
        return 0;
    }
    return source->weights[channel * source->channel_stride + tap * source->tap_stride];
}

void oct_q8_depthwise_pack(size_t widest, int32_t activation_offset,
                           const OctQ8DepthwiseSource *source, void *packed) {
    size_t groups = oct_q8_depthwise_groups(source->kernel_h, source->kernel_w);
    uint8_t *block = packed;
    for (size_t first = 0; first < source->channels;) {
        size_t width = oct_q8_depthwise_width(source->channels - first, widest);
        OctQ8Layout layout = {.nr = (uint32_t)width, .lanes = (uint32_t)(width / 16)};
        int32_t *bias = (int32_t *)(void *)block;
        float *multiplier = (float *)(void *)(block + 4 * width);
        int8_t *weights = (int8_t *)block + 8 * width;
        for (size_t p = 0; p < width; p++) {
            size_t channel = first + oct_q8_panel_channel(&layout, width, p);
            bool exists = channel < source->channels;
            int32_t sum = 0;
            for (size_t i = 0; i < 4 * groups; i++) {
                int8_t w = exists ? weight_of(source, channel, i / 4, i % 4) : 0;
                weights[i / 4 * 4 * width + 4 * p + i % 4] = w;
                sum += w;
            }
            uint32_t given = exists && source->bias ? (uint32_t)source->bias[channel] : 0;
            int32_t factor = activation_offset - source->input_zero_point;
            bias[p] = (int32_t)(given + (uint32_t)factor * (uint32_t)sum);
            multiplier[p] = exists && source->multipliers ? source->multipliers[channel] : 0.0f;
        }
        block += oct_q8_depthwise_block_bytes(width, groups);
        first += width;
    }
}
