/* Int8 convolution with the dot product instruction: tiles of 4 pixels by 16 channels. */
#include <arm_neon.h>

#include "kernels/q8_unroll.h"

enum { TILE_ROWS = 4, ACCUMULATORS = 4 };

/* Lane `lane` of every row's vector holds four positions. The barrier keeps gcc from loading the
 * weights of all lanes first, for which the registers do not suffice. */
#define MULTIPLY_LANE(lane)                                                                        \
    do {                                                                                           \
        int8x16_t w[4];                                                                            \
        OCT_EACH_VECTOR(v, 4, w[v] = vld1q_s8(weights + 16 * v););                                 \
        OCT_EACH_ROW(r, rows, {                                                                    \
            OCT_EACH_VECTOR(                                                                       \
                v, 4, { acc[4 * r + v] = vdotq_laneq_s32(acc[4 * r + v], w[v], a[r], lane); });    \
        });                                                                                        \
        __asm__ volatile("" ::: "memory");                                                         \
        weights += 64;                                                                             \
    } while (0)

OCT_INLINE void multiply(const uint8_t *const *x, const int8_t *weights, size_t k, size_t rows,
                         int32x4_t *acc) {
    const uint8x16_t offset = vdupq_n_u8(128);
    int8x16_t a[8];
    size_t i = 0;
    for (; i + 16 <= k; i += 16) {
        OCT_EACH_ROW(r, rows, a[r] = vreinterpretq_s8_u8(veorq_u8(vld1q_u8(x[r] + i), offset)););
        MULTIPLY_LANE(0);
        MULTIPLY_LANE(1);
        MULTIPLY_LANE(2);
        MULTIPLY_LANE(3);
    }
    for (; i < k; i += 4) {
        OCT_EACH_ROW(r, rows, {
            uint32_t four;
            __builtin_memcpy(&four, x[r] + i, 4);
            a[r] = vreinterpretq_s8_u8(veorq_u8(vreinterpretq_u8_u32(vdupq_n_u32(four)), offset));
        });
        MULTIPLY_LANE(0);
    }
}

OCT_INLINE void collect(const int32x4_t *acc, int32x4_t *sums) {
    OCT_EACH_VECTOR(v, 4, sums[v] = acc[v];);
}

#include "kernels/arm/q8_conv_template_neon.h"

const OctQ8ConvBundle oct_q8_conv_neondot = {
    .name = "q8_conv neon-dot",
    .cpu = OCTET_CPU_NEON_DOT,
    .nr = 16,
    .narrowest = 4,
    .pixel_block = 4,
    .packed_bytes = conv_packed_bytes,
    .pack = conv_pack,
    .kernel = conv_kernel,
};
