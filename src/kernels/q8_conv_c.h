/* The portable int8 bundles, and the scalar store that vector kernels use for ragged ends. */
#ifndef OCT_KERNELS_Q8_CONV_C_H
#define OCT_KERNELS_Q8_CONV_C_H

#include "kernels/q8_conv.h"

extern const OctQ8ConvBundle oct_q8_conv_c;
extern const OctQ8DepthwiseBundle oct_q8_depthwise_c;

/* Stores `count` accumulators of neighboring channels through the epilogue at output[offset]
 * (elements). residual points at the first channel's byte. */
void oct_q8_store_c(const OctQ8Epilogue *epilogue, const int32_t *acc, const float *multiplier,
                    size_t count, void *output, size_t offset, const uint8_t *residual);

#endif
