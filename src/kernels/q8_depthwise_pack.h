/* The packed form that the vector depthwise bundles share: blocks of 64, 32 or 16 channels, each
 *   s32 bias[width], f32 multiplier[width], s8 weights[groups][width][4],
 * the positions of a block ordered as in a panel of q8_pack.h whose `lanes` are width / 16. A
 * group is four taps (zeros for what doesn't exist); for 3 x 3 a column of the kernel and a zero;
 * for 5 x 5 the first four of each column and then the last row; otherwise the taps in order. */
#ifndef OCT_KERNELS_Q8_DEPTHWISE_PACK_H
#define OCT_KERNELS_Q8_DEPTHWISE_PACK_H

#include "kernels/q8_conv.h"
#include "kernels/q8_vector.h"

/* The width of the block that starts where `rest` channels are left. */
static inline size_t oct_q8_depthwise_width(size_t rest, size_t widest) {
    size_t width = rest > 32 ? 64 : rest > 16 ? 32 : 16;
    return width < widest ? width : widest;
}

static inline size_t oct_q8_depthwise_groups(size_t kernel_h, size_t kernel_w) {
    return kernel_h == 3 && kernel_w == 3 ? 3 : (kernel_h * kernel_w + 3) / 4;
}

/* How a bundle packs. */
typedef struct OctQ8DepthwiseLayout {
    size_t widest;             /* 64, 32 or 16 */
    int32_t activation_offset; /* what the kernel subtracts from every activation (128 where it
                                  computes s8 x s8) */
    /* weights are s16, each vector's as two: taps 0 and 2 of its positions, then taps 1 and 3 */
    bool wide;
} OctQ8DepthwiseLayout;

static inline size_t oct_q8_depthwise_block_bytes(const OctQ8DepthwiseLayout *layout, size_t width,
                                                  size_t groups) {
    return width * (8 + (layout->wide ? 8 : 4) * groups);
}

/* 0 on overflow. */
size_t oct_q8_depthwise_packed_bytes(const OctQ8DepthwiseLayout *layout, size_t channels,
                                     size_t kernel_h, size_t kernel_w);
void oct_q8_depthwise_pack(const OctQ8DepthwiseLayout *layout, const OctQ8DepthwiseSource *source,
                           void *packed);

/* Tables and addition for all outputs of a call, which the kernel has left requantized: cheaper
 * than block by block, while the row is in L1. */
static inline void oct_q8_depthwise_finish(const OctQ8VectorOps *ops,
                                           const OctQ8DepthwiseArgs *args) {
    const OctQ8Epilogue *epilogue = args->epilogue;
    if (epilogue->kind == OCT_Q8_OUT_U8 && (epilogue->has_add || epilogue->table)) {
        oct_q8_finish_rows(ops, epilogue, args->output, args->output_stride, args->residual,
                           args->residual_stride, args->pixels, args->channels);
    }
}

#endif
