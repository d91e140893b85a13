/* The ARM levels of the int8 kernels. */
#ifndef OCT_KERNELS_Q8_ARM_H
#define OCT_KERNELS_Q8_ARM_H

#include "kernels/q8_conv.h"
#include "kernels/q8_vector.h"

extern const OctQ8ConvBundle oct_q8_conv_neon;
extern const OctQ8ConvBundle oct_q8_conv_neondot;
extern const OctQ8DepthwiseBundle oct_q8_depthwise_neon;
extern const OctQ8DepthwiseBundle oct_q8_depthwise_neondot;
extern const OctQ8VectorOps oct_q8_vector_neon;

#endif
