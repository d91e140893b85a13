/* The epilogue of the NEON int8 kernels: 16 channels of a pixel from four accumulators. */
#ifndef OCT_KERNELS_Q8_EPILOGUE_NEON_H
#define OCT_KERNELS_Q8_EPILOGUE_NEON_H

#include <arm_neon.h>
#include <string.h>

#include "kernels/q8_conv_c.h"
#include "kernels/q8_unroll.h"

/* table[x] for 16 bytes. */
OCT_INLINE uint8x16_t oct_q8_lookup_neon(const uint8_t *table, uint8x16_t x) {
    const uint8x16_t step = vdupq_n_u8(64);
    uint8x16_t y = vqtbl4q_u8(vld1q_u8_x4(table), x);
    x = vsubq_u8(x, step);
    y = vqtbx4q_u8(y, vld1q_u8_x4(table + 64), x);
    x = vsubq_u8(x, step);
    y = vqtbx4q_u8(y, vld1q_u8_x4(table + 128), x);
    x = vsubq_u8(x, step);
    return vqtbx4q_u8(y, vld1q_u8_x4(table + 192), x);
}

/* Four groups of four words inside [0, 255] to bytes. */
OCT_INLINE uint8x16_t oct_q8_narrow_neon(const int32x4_t *q) {
    int16x8_t low = vcombine_s16(vqmovn_s32(q[0]), vqmovn_s32(q[1]));
    int16x8_t high = vcombine_s16(vqmovn_s32(q[2]), vqmovn_s32(q[3]));
    return vcombine_u8(vqmovun_s16(low), vqmovun_s16(high));
}

/* Bytes 4i to 4i + 3 as floats. */
OCT_INLINE float32x4_t oct_q8_widen_neon(uint8x16_t x, int i) {
    uint16x8_t half = i < 2 ? vmovl_u8(vget_low_u8(x)) : vmovl_u8(vget_high_u8(x));
    return vcvtq_f32_u32(i % 2 == 0 ? vmovl_u16(vget_low_u16(half))
                                    : vmovl_u16(vget_high_u16(half)));
}

/* The addition of OctQ8Add for 16 bytes; the "nm" forms give the number where one is NaN. */
OCT_INLINE uint8x16_t oct_q8_add_neon(const OctQ8Add *add, uint8x16_t a, uint8x16_t b) {
    const float32x4_t fixed = vdupq_n_f32(add->fixed), low = vdupq_n_f32(add->minimum);
    const float32x4_t high = vdupq_n_f32(add->maximum);
    int32x4_t q[4];
    OCT_EACH_VECTOR(i, 4, {
        float32x4_t sum = vfmaq_f32(fixed, oct_q8_widen_neon(b, i), vdupq_n_f32(add->ratio_b));
        sum = vfmaq_f32(sum, oct_q8_widen_neon(a, i), vdupq_n_f32(add->ratio_a));
        q[i] = vcvtnq_s32_f32(vminnmq_f32(vmaxnmq_f32(sum, low), high));
    });
    return oct_q8_narrow_neon(q);
}

OCT_INLINE uint8x16_t oct_q8_requantize_neon(const OctQ8Epilogue *epilogue, const int32x4_t *acc,
                                             const float *multipliers) {
    int32x4_t q[4];
    OCT_EACH_VECTOR(v, 4, {
        q[v] = vcvtnq_s32_f32(vmulq_f32(vcvtq_f32_s32(acc[v]), vld1q_f32(multipliers + 4 * v)));
    });
    const int16x8_t zero_point = vdupq_n_s16(epilogue->zero_point);
    int16x8_t low = vcombine_s16(vqmovn_s32(q[0]), vqmovn_s32(q[1]));
    int16x8_t high = vcombine_s16(vqmovn_s32(q[2]), vqmovn_s32(q[3]));
    uint8x16_t bytes = vcombine_u8(vqmovun_s16(vqaddq_s16(low, zero_point)),
                                   vqmovun_s16(vqaddq_s16(high, zero_point)));
    bytes = vmaxq_u8(bytes, vdupq_n_u8(epilogue->minimum));
    return vminq_u8(bytes, vdupq_n_u8(epilogue->maximum));
}

/* Stores `count` (at most 16) channels of a pixel at output[offset]. */
OCT_INLINE void oct_q8_finish_neon(const OctQ8Epilogue *epilogue, const int32x4_t *acc,
                                   const float *multipliers, size_t count, void *output,
                                   size_t offset, const uint8_t *residual) {
    if (epilogue->kind != OCT_Q8_OUT_U8) {
        int32_t raw[16];
        OCT_EACH_VECTOR(v, 4, vst1q_s32(raw + 4 * v, acc[v]););
        oct_q8_store_c(epilogue, raw, multipliers, count, output, offset, residual);
        return;
    }
    uint8x16_t bytes = oct_q8_requantize_neon(epilogue, acc, multipliers);
    if (epilogue->table) {
        bytes = oct_q8_lookup_neon(epilogue->table, bytes);
    }
    if (epilogue->has_add) {
        uint8_t block[16] = {0};
        memcpy(block, residual, count);
        uint8x16_t other = vld1q_u8(block);
        bytes = epilogue->residual_is_a ? oct_q8_add_neon(&epilogue->add, other, bytes)
                                        : oct_q8_add_neon(&epilogue->add, bytes, other);
        if (epilogue->add_table) {
            bytes = oct_q8_lookup_neon(epilogue->add_table, bytes);
        }
    }
    uint8_t *y = (uint8_t *)output + offset;
    if (count == 16) {
        vst1q_u8(y, bytes);
    } else {
        uint8_t block[16];
        vst1q_u8(block, bytes);
        memcpy(y, block, count);
    }
}

#endif
