/* Depthwise int8 convolution with the dot product instruction. */
#include <arm_neon.h>

#include "kernels/q8_unroll.h"

#define dot vdotq_s32

#include "kernels/arm/q8_depthwise_neon.h"

const OctQ8DepthwiseBundle oct_q8_depthwise_neondot = {
    .name = "q8_depthwise neon-dot",
    .cpu = OCTET_CPU_NEON_DOT,
    .packed_bytes = depthwise_packed_bytes,
    .pack = depthwise_pack,
    .kernel = depthwise_kernel,
};
