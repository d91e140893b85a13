#include "kernels/q8_depthwise_pack.h"
#include "base/mem.h"
#include "kernels/q8_pack.h"

#include <string.h>

size_t oct_q8_depthwise_packed_bytes(const OctQ8DepthwiseLayout *layout, size_t channels,
                                     size_t kernel_h, size_t kernel_w) {
    size_t widest = layout->widest;
    size_t taps, bytes;
    if (channels > SIZE_MAX / 64 || !oct_mul_size(kernel_h, kernel_w, &taps) ||
        taps > SIZE_MAX / 16) {
        return 0;
    }
    size_t groups = oct_q8_depthwise_groups(kernel_h, kernel_w);
    size_t whole = channels / widest * widest;
    size_t all = whole + (whole < channels ? oct_q8_depthwise_width(channels - whole, widest) : 0);
    return oct_mul_size(all, oct_q8_depthwise_block_bytes(layout, 1, groups), &bytes) ? bytes : 0;
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

/* Stores the weight of tap i of a group for position p of a block. */
static void store_weight(bool wide, size_t width, uint8_t *group, size_t p, size_t i, int8_t w) {
    if (!wide) {
        group[4 * p + i] = (uint8_t)w;
        return;
    }
    size_t vector = width / 4; /* positions; a vector of s8 has `width` bytes */
    int16_t value = w;
    memcpy(group + p / vector * 2 * width + i % 2 * width + p % vector * 4 + i / 2 * 2, &value, 2);
}

void oct_q8_depthwise_pack(const OctQ8DepthwiseLayout *layout, const OctQ8DepthwiseSource *source,
                           void *packed) {
    size_t groups = oct_q8_depthwise_groups(source->kernel_h, source->kernel_w);
    size_t weight_bytes = layout->wide ? 2 : 1;
    int32_t factor = layout->activation_offset - source->input_zero_point;
    uint8_t *block = packed;
    for (size_t first = 0; first < source->channels;) {
        size_t width = oct_q8_depthwise_width(source->channels - first, layout->widest);
        OctQ8Layout order = {.nr = (uint32_t)width, .lanes = (uint32_t)(width / 16)};
        int32_t *bias = (int32_t *)(void *)block;
        float *multiplier = (float *)(void *)(block + 4 * width);
        for (size_t p = 0; p < width; p++) {
            size_t channel = first + oct_q8_panel_channel(&order, width, p);
            bool exists = channel < source->channels;
            int32_t sum = 0;
            for (size_t i = 0; i < 4 * groups; i++) {
                int8_t w = exists ? weight_of(source, channel, i / 4, i % 4) : 0;
                uint8_t *group = block + 8 * width + i / 4 * 4 * width * weight_bytes;
                store_weight(layout->wide, width, group, p, i % 4, w);
                sum += w;
            }
            uint32_t given = exists && source->bias ? (uint32_t)source->bias[channel] : 0;
            bias[p] = (int32_t)(given + (uint32_t)factor * (uint32_t)sum);
            multiplier[p] = exists && source->multipliers ? source->multipliers[channel] : 0.0f;
        }
        block += oct_q8_depthwise_block_bytes(layout, width, groups);
        first += width;
    }
}
