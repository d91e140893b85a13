/* Int8 convolution with NEON. A product of two s8 fits 16 bits, the sum of two may not (-128
 * twice), so products are added pairwise into 32 bits at once. A vector of sums then holds the
 * two halves of two channels. */
#include <arm_neon.h>

#include "kernels/q8_unroll.h"

enum { TILE_ROWS = 2, ACCUMULATORS = 8 };

OCT_INLINE void multiply(const uint8_t *const *x, const int8_t *weights, size_t k, size_t rows,
                         int32x4_t *acc) {
    const int8x16_t offset = vdupq_n_s8(-128);
    for (size_t i = 0; i < k; i += 4) {
        int8x16_t w[4];
        OCT_EACH_VECTOR(v, 4, w[v] = vld1q_s8(weights + 16 * v););
        OCT_EACH_ROW(r, rows, {
            int32_t four;
            __builtin_memcpy(&four, x[r] + i, 4);
            int8x16_t a = veorq_s8(vreinterpretq_s8_s32(vdupq_n_s32(four)), offset);
            OCT_EACH_VECTOR(v, 4, {
                int32x4_t *sums = acc + ACCUMULATORS * r + 2 * v;
                sums[0] = vpadalq_s16(sums[0], vmull_s8(vget_low_s8(a), vget_low_s8(w[v])));
                sums[1] = vpadalq_s16(sums[1], vmull_high_s8(a, w[v]));
            });
        });
        weights += 64;
    }
}

OCT_INLINE void collect(const int32x4_t *acc, int32x4_t *sums) {
    OCT_EACH_VECTOR(v, 4, sums[v] = vpaddq_s32(acc[2 * v], acc[2 * v + 1]););
}

#include "kernels/arm/q8_conv_template_neon.h"

const OctQ8ConvBundle oct_q8_conv_neon = {
    .name = "q8_conv neon",
    .cpu = OCTET_CPU_NEON,
    .nr = 16,
    .narrowest = 4,
    .pixel_block = 2,
    .packed_bytes = conv_packed_bytes,
    .pack = conv_pack,
    .kernel = conv_kernel,
};
