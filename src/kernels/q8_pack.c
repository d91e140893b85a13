#include "kernels/q8_pack.h"
#include "base/mem.h"

#include <string.h>

size_t oct_q8_packed_bytes(const OctQ8Layout *layout, size_t channels, size_t taps, size_t k) {
    size_t depth = 0, panels = channels / layout->nr + (channels % layout->nr != 0);
    size_t bytes = 0;
    if (channels == 0 || k > SIZE_MAX - 3 || !oct_mul_size(taps, (k + 3) / 4 * 4, &depth) ||
        !oct_add_size(depth, 8, &depth) || !oct_mul_size(depth, layout->nr, &depth) ||
        !oct_mul_size(depth, panels, &bytes)) {
        return 0;
    }
    size_t last = oct_q8_panel_width(layout, channels, panels - 1);
    return (panels - 1) * depth + oct_q8_panel_bytes(last, taps, k);
}

/* The four weights of one channel from position i on, as they lie in memory, zeros behind k. */
static uint32_t load_four(const OctQ8PackSource *source, const int8_t *weights, size_t i) {
    uint8_t bytes[4] = {0, 0, 0, 0};
    uint32_t four;
    if (source->k_stride == 1 && i + 4 <= source->k) {
        memcpy(&four, weights + i, 4);
        return four ^ (source->flip * 0x01010101u);
    }
    for (size_t b = 0; b < 4 && i + b < source->k; b++) {
        bytes[b] = (uint8_t)weights[(i + b) * source->k_stride] ^ source->flip;
    }
    memcpy(&four, bytes, 4);
    return four;
}

static int32_t sum_four(uint32_t four) {
    int8_t bytes[4];
    memcpy(bytes, &four, 4);
    return bytes[0] + bytes[1] + bytes[2] + bytes[3];
}

static void store_four(bool split_pairs, uint8_t *group, size_t width, size_t p, uint32_t four) {
    if (split_pairs) {
        uint8_t bytes[4];
        memcpy(bytes, &four, 4);
        group[2 * p] = bytes[0];
        group[2 * p + 1] = bytes[2];
        group[2 * (width + p)] = bytes[1];
        group[2 * (width + p) + 1] = bytes[3];
    } else {
        memcpy(group + 4 * p, &four, 4);
    }
}

/* The weights of panel channels [first, first + width) to `destination`; sums[p] gets each
 * position's sum of weights. */
static void pack_weights(const OctQ8Layout *layout, const OctQ8PackSource *source, size_t first,
                         size_t width, uint8_t *destination, int32_t *sums) {
    size_t depth = (source->k + 3) / 4 * 4;
    for (size_t p = 0; p < width; p++) {
        size_t channel = first + oct_q8_panel_channel(layout, width, p);
        bool exists = channel < source->channels;
        const int8_t *weights = source->weights + (exists ? channel * source->channel_stride : 0);
        uint8_t *group = destination;
        uint32_t sum = 0;
        for (size_t t = 0; t < source->taps; t++) {
            for (size_t i = 0; i < depth; i += 4) {
                uint32_t four = exists ? load_four(source, weights, i) : 0;
                sum += (uint32_t)sum_four(four);
                store_four(layout->split_pairs, group, width, p, four);
                group += 4 * width;
            }
            weights += source->tap_stride;
        }
        sums[p] = (int32_t)sum;
    }
}

void oct_q8_pack(const OctQ8Layout *layout, const OctQ8PackSource *source, void *packed) {
    uint8_t *panel = packed;
    size_t width = 0;
    for (size_t first = 0; first < source->channels; first += layout->nr) {
        width = oct_q8_panel_width(layout, source->channels, first / layout->nr);
        int32_t *bias = (int32_t *)(void *)panel;
        float *multiplier = (float *)(void *)(panel + 4 * width);
        pack_weights(layout, source, first, width, panel + 8 * width, bias);
        int32_t factor = layout->activation_offset - source->input_zero_point;
        for (size_t p = 0; p < width; p++) {
            size_t channel = first + oct_q8_panel_channel(layout, width, p);
            bool exists = channel < source->channels;
            uint32_t correction = (uint32_t)factor * (uint32_t)bias[p];
            uint32_t given = exists && source->bias ? (uint32_t)source->bias[channel] : 0;
            bias[p] = (int32_t)(given + correction);
            multiplier[p] = exists && source->multipliers ? source->multipliers[channel] : 0.0f;
        }
        panel += oct_q8_panel_bytes(width, source->taps, source->k);
    }
}
