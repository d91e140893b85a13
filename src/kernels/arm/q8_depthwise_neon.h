/* Depthwise int8 convolution in blocks of 16 channels; included by the NEON and the NEON dot
 * product bundle, which define dot(acc, x, w) before: each word of acc plus four products of s8.
 * Activations are turned into s8 by subtracting 128, which the packed bias makes good. */
#include "kernels/arm/q8_arm.h"
#include "kernels/arm/q8_epilogue_neon.h"
#include "kernels/q8_depthwise_pack.h"

/* The driver admits no larger kernels. */
enum { MAX_TAPS = 2048 };

static const OctQ8DepthwiseLayout layout = {.widest = 16, .activation_offset = 128};

static size_t depthwise_packed_bytes(size_t channels, size_t kernel_h, size_t kernel_w) {
    return oct_q8_depthwise_packed_bytes(&layout, channels, kernel_h, kernel_w);
}

static void depthwise_pack(const OctQ8DepthwiseSource *source, void *packed) {
    oct_q8_depthwise_pack(&layout, source, packed);
}

OCT_INLINE int8x16_t load(const uint8_t *pixel, size_t count) {
    const uint8x16_t offset = vdupq_n_u8(128);
    if (count == 16) {
        return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(pixel), offset));
    }
    uint8_t block[16] = {0};
    memcpy(block, pixel, count);
    return vreinterpretq_s8_u8(veorq_u8(vld1q_u8(block), offset));
}

OCT_INLINE void finish(const OctQ8DepthwiseArgs *args, const OctQ8Epilogue *epilogue,
                       const int32x4_t *acc, const float *multipliers, size_t count, size_t pixel,
                       size_t channel) {
    const uint8_t *residual =
        args->residual ? args->residual + pixel * args->residual_stride + channel : NULL;
    oct_q8_finish_neon(epilogue, acc, multipliers, count, args->output,
                       pixel * args->output_stride + channel, residual);
}

#define SUFFIX(name) name##_16
#define V int8x16_t
#define W int32x4_t
#define LANES 1
#define LOAD load
#define LOADW(p) vld1q_s8((const int8_t *)(p))
#define LOADB(p) vreinterpretq_s32_s8(LOADW(p))
#define ZERO() vdupq_n_s8(0)
#define LOW8 vzip1q_s8
#define HIGH8 vzip2q_s8
#define LOW16(a, b)                                                                                \
    vreinterpretq_s8_s16(vzip1q_s16(vreinterpretq_s16_s8(a), vreinterpretq_s16_s8(b)))
#define HIGH16(a, b)                                                                               \
    vreinterpretq_s8_s16(vzip2q_s16(vreinterpretq_s16_s8(a), vreinterpretq_s16_s8(b)))
#define DOT(acc, x, w) dot(acc, x, LOADW(w))
#define WEIGHT_BYTES 1
#define CONSTANTS OctQ8Epilogue
#define MAKE_CONSTANTS(epilogue) *(epilogue)
#define FINISH finish
#include "kernels/q8_depthwise_template.h"

static void depthwise_kernel(const OctQ8DepthwiseArgs *args) {
    size_t groups = oct_q8_depthwise_groups(args->kernel_h, args->kernel_w);
    const uint8_t *packed = args->packed;
    for (size_t channel = 0; channel < args->channels; channel += 16) {
        size_t rest = args->channels - channel;
        block_16(args, packed, channel, rest < 16 ? rest : 16);
        packed += oct_q8_depthwise_block_bytes(&layout, 16, groups);
    }
}
