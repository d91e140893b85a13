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
    if (i + 4 <= source->k) {
        for (size_t b = 0; b < 4; b++) {
            bytes[b] = (uint8_t)weights[(i + b) * source->k_stride];
        }
        memcpy(&four, bytes, 4);
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
        group[2 * p + 1] = bytes[1];
        group[2 * (width + p)] = bytes[2];
        group[2 * (width + p) + 1] = bytes[3];
    } else {
        memcpy(group + 4 * p, &four, 4);
    }
}

/* Positions packed at a time: eight cache lines of every channel, so that memory is read in runs
 * and both sides stay in the caches. */
enum { PIECE = 512, MAX_WIDTH = 64, MAX_SPREAD = 25 };

/* Positions [begin, end) of one channel's tap to position p of the panel; returns their sum. */
static int32_t pack_piece(const OctQ8Layout *layout, const OctQ8PackSource *source,
                          const int8_t *weights, size_t begin, size_t end, uint8_t *tap,
                          size_t width, size_t p) {
    int32_t sum = 0;
    if (source->k_stride == 1 && end <= source->k && !layout->split_pairs) {
        uint8_t *group = tap + begin * width + 4 * p;
        for (size_t i = begin; i < end; i += 4) {
            uint32_t four;
            memcpy(&four, weights + i, 4);
            four ^= source->flip * 0x01010101u;
            memcpy(group, &four, 4);
            group += 4 * width;
        }
        for (size_t i = begin; i < end; i++) {
            sum += (int8_t)(weights[i] ^ (int8_t)source->flip);
        }
        return sum;
    }
    for (size_t i = begin; i < end; i += 4) {
        uint32_t four = load_four(source, weights, i);
        sum += sum_four(four);
        store_four(layout->split_pairs, tap + i * width, width, p, four);
    }
    return sum;
}

/* Whether the taps of a position are neighbors in memory, as in ONNX's order. */
static bool taps_are_neighbors(const OctQ8PackSource *source) {
    return source->taps > 1 && source->taps <= MAX_SPREAD && source->tap_stride == 1 &&
           source->k_stride == source->taps;
}

/* Positions [begin, end) of all of one channel's taps to position p of the panel, by way of lines
 * that hold one tap each; returns their sum. */
static int32_t pack_spread(const OctQ8Layout *layout, const OctQ8PackSource *source,
                           const int8_t *weights, size_t begin, size_t end, uint8_t *destination,
                           size_t width, size_t p) {
    uint8_t lines[MAX_SPREAD][PIECE];
    size_t depth = (source->k + 3) / 4 * 4, taps = source->taps;
    size_t count = (end < source->k ? end : source->k) - begin;
    const uint8_t *from = (const uint8_t *)weights + begin * taps;
    int32_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        for (size_t t = 0; t < taps; t++) {
            lines[t][i] = from[i * taps + t] ^ source->flip;
        }
    }
    for (size_t t = 0; t < taps; t++) {
        uint8_t *group = destination + (t * depth + begin) * width;
        memset(lines[t] + count, 0, end - begin - count);
        for (size_t i = 0; i < end - begin; i += 4) {
            uint32_t four;
            memcpy(&four, lines[t] + i, 4);
            store_four(layout->split_pairs, group + i * width, width, p, four);
        }
        for (size_t i = 0; i < count; i++) {
            sum += (int8_t)lines[t][i];
        }
    }
    return sum;
}

/* The weights of panel channels [first, first + width) to `destination`; sums[p] gets each
 * position's sum of weights. */
static void pack_weights(const OctQ8Layout *layout, const OctQ8PackSource *source, size_t first,
                         size_t width, uint8_t *destination, int32_t *sums) {
    size_t depth = (source->k + 3) / 4 * 4;
    bool neighbors = taps_are_neighbors(source);
    const int8_t *channels[MAX_WIDTH];
    for (size_t p = 0; p < width; p++) {
        size_t channel = first + oct_q8_panel_channel(layout, width, p);
        channels[p] =
            channel < source->channels ? source->weights + channel * source->channel_stride : NULL;
        sums[p] = 0;
    }
    for (size_t begin = 0; begin < depth; begin += PIECE) {
        size_t end = depth - begin < PIECE ? depth : begin + PIECE;
        for (size_t p = 0; neighbors && p < width; p++) {
            if (channels[p]) {
                int32_t sum =
                    pack_spread(layout, source, channels[p], begin, end, destination, width, p);
                sums[p] = (int32_t)((uint32_t)sums[p] + (uint32_t)sum);
            }
        }
        for (size_t t = 0; t < source->taps; t++) {
            uint8_t *tap = destination + t * depth * width;
            for (size_t p = 0; p < width; p++) {
                if (!channels[p]) {
                    for (size_t i = begin; i < end; i += 4) {
                        store_four(layout->split_pairs, tap + i * width, width, p, 0);
                    }
                    continue;
                }
                if (neighbors) {
                    continue;
                }
                int32_t sum = pack_piece(layout, source, channels[p] + t * source->tap_stride,
                                         begin, end, tap, width, p);
                sums[p] = (int32_t)((uint32_t)sums[p] + (uint32_t)sum);
            }
        }
    }
}

/* The same for weights whose channels are neighbors in memory: four rows at a time. */
static void pack_rows(const OctQ8Layout *layout, const OctQ8PackSource *source, size_t first,
                      size_t width, uint8_t *destination, int32_t *sums) {
    size_t offsets[MAX_WIDTH];
    size_t count = source->channels - first < width ? source->channels - first : width;
    for (size_t p = 0; p < width; p++) {
        offsets[p] = oct_q8_panel_channel(layout, width, p);
        sums[p] = 0;
    }
    for (size_t t = 0; t < source->taps; t++) {
        const uint8_t *tap = (const uint8_t *)source->weights + first + t * source->tap_stride;
        for (size_t i = 0; i < source->k; i += 4) {
            /* rows behind k count as zeros, which flip must not touch */
            uint8_t rows[4][MAX_WIDTH] = {{0}};
            for (size_t b = 0; b < 4 && i + b < source->k; b++) {
                const uint8_t *row = tap + (i + b) * source->k_stride;
                for (size_t c = 0; c < count; c++) {
                    rows[b][c] = row[c] ^ source->flip;
                }
            }
            for (size_t p = 0; p < width; p++) {
                size_t c = offsets[p];
                const uint8_t bytes[4] = {rows[0][c], rows[1][c], rows[2][c], rows[3][c]};
                uint32_t four;
                memcpy(&four, bytes, 4);
                sums[p] = (int32_t)((uint32_t)sums[p] + (uint32_t)sum_four(four));
                store_four(layout->split_pairs, destination, width, p, four);
            }
            destination += 4 * width;
        }
    }
}

void oct_q8_pack(const OctQ8Layout *layout, const OctQ8PackSource *source, void *packed) {
    uint8_t *panel = packed;
    size_t width = 0;
    for (size_t first = 0; first < source->channels; first += layout->nr) {
        width = oct_q8_panel_width(layout, source->channels, first / layout->nr);
        int32_t *bias = (int32_t *)(void *)panel;
        float *multiplier = (float *)(void *)(panel + 4 * width);
        bool rows = source->channel_stride == 1 && source->k_stride != 1;
        if (rows && layout->pack_rows && source->channels - first >= layout->nr) {
            layout->pack_rows(source, (const uint8_t *)source->weights + first, panel + 8 * width,
                              bias);
        } else if (rows) {
            pack_rows(layout, source, first, width, panel + 8 * width, bias);
        } else {
            pack_weights(layout, source, first, width, panel + 8 * width, bias);
        }
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

bool oct_q8_pairs_fit(const OctQ8PackSource *source) {
    int8_t flip = (int8_t)source->flip;
    bool fits = true;
    for (size_t n = 0; n < source->channels && fits; n++) {
        for (size_t t = 0; t < source->taps && fits; t++) {
            const int8_t *w = source->weights + n * source->channel_stride + t * source->tap_stride;
            for (size_t i = 0; i + 1 < source->k; i += 2) {
                int a = (int8_t)(w[i * source->k_stride] ^ flip);
                int b = (int8_t)(w[(i + 1) * source->k_stride] ^ flip);
                int positive = (a > 0 ? a : 0) + (b > 0 ? b : 0);
                int negative = a + b - positive;
                fits = fits && positive <= 128 && negative >= -128;
            }
        }
    }
    return fits;
}
