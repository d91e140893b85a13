/* The packed form that the int8 convolution bundles share.
 *
 * Channels are cut into panels of nr, the last one narrower, rounded up to 4 * lanes. A panel is
 *   s32 bias[width], f32 multiplier[width], s8 weights[taps][ceil(k / 4)][width][4]
 * with zeros for what doesn't exist. Position p of a panel of `width` = 4 * lanes * v channels
 * holds channel 4 * v * j + 4 * i + e, where p = 4 * lanes * i + 4 * j + e: that is the order in
 * which packs and packus of v vectors with `lanes` lanes of 128 bits leave whole rows of channels,
 * so that the kernel stores without a shuffle. With one lane it is the natural order. */
#ifndef OCT_KERNELS_Q8_PACK_H
#define OCT_KERNELS_Q8_PACK_H

#include "kernels/q8_conv.h"

typedef struct OctQ8Layout {
    uint32_t nr;    /* a multiple of 4 * lanes, at most 64 */
    uint32_t lanes; /* 1, 2 or 4 */
    /* a group is stored as [width][k 0, k 1] and then [width][k 2, k 3] */
    bool split_pairs;
    /* the kernel subtracts this from every activation (128 where it computes s8 x s8) */
    int32_t activation_offset;
    /* Packs a panel of nr channels that are neighbors in memory, from the pointer of the first one
     * on, and stores each position's sum of weights; NULL: portable. */
    void (*pack_rows)(const OctQ8PackSource *source, const uint8_t *weights, uint8_t *destination,
                      int32_t *sums);
} OctQ8Layout;

/* Channels in panel number `panel`, rounded up. */
static inline size_t oct_q8_panel_width(const OctQ8Layout *layout, size_t channels, size_t panel) {
    size_t unit = (size_t)4 * layout->lanes;
    size_t rest = channels - panel * layout->nr;
    rest = rest < layout->nr ? rest : layout->nr;
    return (rest + unit - 1) / unit * unit;
}

/* Bytes of a panel of `width` channels. */
static inline size_t oct_q8_panel_bytes(size_t width, size_t taps, size_t k) {
    return width * (8 + taps * ((k + 3) / 4) * 4);
}

/* The channel at position p of a panel of `width`. */
static inline size_t oct_q8_panel_channel(const OctQ8Layout *layout, size_t width, size_t p) {
    size_t vector = (size_t)4 * layout->lanes, vectors = width / vector;
    size_t i = p / vector, j = p % vector / 4, e = p % 4;
    return 4 * vectors * j + 4 * i + e;
}

/* 0 on overflow. */
size_t oct_q8_packed_bytes(const OctQ8Layout *layout, size_t channels, size_t taps, size_t k);
void oct_q8_pack(const OctQ8Layout *layout, const OctQ8PackSource *source, void *packed);

#endif
