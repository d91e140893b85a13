/* Depthwise int8 convolution with NEON. */
#include <arm_neon.h>

#include "kernels/q8_unroll.h"

OCT_INLINE int32x4_t dot(int32x4_t acc, int8x16_t x, int8x16_t w) {
    int32x4_t low = vpaddlq_s16(vmull_s8(vget_low_s8(x), vget_low_s8(w)));
    int32x4_t high = vpaddlq_s16(vmull_high_s8(x, w));
    return vaddq_s32(acc, vpaddq_s32(low, high));
}

#include "kernels/arm/q8_depthwise_neon.h"

const OctQ8DepthwiseBundle oct_q8_depthwise_neon = {
    .name = "q8_depthwise neon",
    .cpu = OCTET_CPU_NEON,
    .packed_bytes = depthwise_packed_bytes,
    .pack = depthwise_pack,
    .kernel = depthwise_kernel,
};
