/* The x86 levels of the int8 kernels. */
#ifndef OCT_KERNELS_Q8_X86_H
#define OCT_KERNELS_Q8_X86_H

#include "kernels/q8_conv.h"
#include "kernels/q8_vector.h"

extern const OctQ8ConvBundle oct_q8_conv_avx2;
extern const OctQ8ConvBundle oct_q8_conv_avxvnni;
extern const OctQ8ConvBundle oct_q8_conv_avx512vnni;
extern const OctQ8DepthwiseBundle oct_q8_depthwise_avx2;
extern const OctQ8DepthwiseBundle oct_q8_depthwise_avxvnni;
extern const OctQ8DepthwiseBundle oct_q8_depthwise_avx512vnni;

/* OctQ8VectorOps.lookup of this level. */
void oct_q8_lookup_avx2(const uint8_t *table, const uint8_t *x, uint8_t *y, size_t count);
extern const OctQ8VectorOps oct_q8_vector_avx2;

#endif
