/* Elementwise int8 kernels with NEON. Ragged ends go through a block on the stack. */
#include <arm_neon.h>
#include <string.h>

#include "kernels/arm/q8_arm.h"
#include "kernels/arm/q8_epilogue_neon.h"
#include "kernels/q8_vector_c.h"

/* Applies `block` (16 elements of a and b to y) to `count` elements. */
#define FOR_BLOCKS_TWO(count, a, b, y, block)                                                      \
    do {                                                                                           \
        size_t done = 0;                                                                           \
        for (; done + 16 <= (count); done += 16) {                                                 \
            vst1q_u8((y) + done, block(vld1q_u8((a) + done), vld1q_u8((b) + done)));               \
        }                                                                                          \
        if (done < (count)) {                                                                      \
            uint8_t rest_a[16] = {0}, rest_b[16] = {0};                                            \
            memcpy(rest_a, (a) + done, (count)-done);                                              \
            memcpy(rest_b, (b) + done, (count)-done);                                              \
            vst1q_u8(rest_a, block(vld1q_u8(rest_a), vld1q_u8(rest_b)));                           \
            memcpy((y) + done, rest_a, (count)-done);                                              \
        }                                                                                          \
    } while (0)

#define FOR_BLOCKS(count, a, y, block)                                                             \
    do {                                                                                           \
        size_t done = 0;                                                                           \
        for (; done + 16 <= (count); done += 16) {                                                 \
            vst1q_u8((y) + done, block(vld1q_u8((a) + done)));                                     \
        }                                                                                          \
        if (done < (count)) {                                                                      \
            uint8_t rest[16] = {0};                                                                \
            memcpy(rest, (a) + done, (count)-done);                                                \
            vst1q_u8(rest, block(vld1q_u8(rest)));                                                 \
            memcpy((y) + done, rest, (count)-done);                                                \
        }                                                                                          \
    } while (0)

static void add(const OctQ8Add *params, const uint8_t *a, const uint8_t *b, uint8_t *y,
                size_t count) {
#define ADD_BLOCK(a, b) oct_q8_add_neon(params, a, b)
    FOR_BLOCKS_TWO(count, a, b, y, ADD_BLOCK);
}

static void add_scalar(const OctQ8Add *params, const uint8_t *a, uint8_t b, bool scalar_is_a,
                       uint8_t *y, size_t count) {
    const uint8x16_t scalar = vdupq_n_u8(b);
#define ADD_SCALAR_A(a) oct_q8_add_neon(params, scalar, a)
#define ADD_SCALAR_B(a) oct_q8_add_neon(params, a, scalar)
    if (scalar_is_a) {
        FOR_BLOCKS(count, a, y, ADD_SCALAR_A);
    } else {
        FOR_BLOCKS(count, a, y, ADD_SCALAR_B);
    }
}

OCT_INLINE uint8x16_t multiply(const OctQ8Mul *params, uint8x16_t a, uint8x16_t b) {
    const uint8x8_t zero_a = vdup_n_u8(params->zero_a), zero_b = vdup_n_u8(params->zero_b);
    int16x8_t a_low = vreinterpretq_s16_u16(vsubl_u8(vget_low_u8(a), zero_a));
    int16x8_t a_high = vreinterpretq_s16_u16(vsubl_u8(vget_high_u8(a), zero_a));
    int16x8_t b_low = vreinterpretq_s16_u16(vsubl_u8(vget_low_u8(b), zero_b));
    int16x8_t b_high = vreinterpretq_s16_u16(vsubl_u8(vget_high_u8(b), zero_b));
    const int32x4_t products[4] = {
        vmull_s16(vget_low_s16(a_low), vget_low_s16(b_low)), vmull_high_s16(a_low, b_low),
        vmull_s16(vget_low_s16(a_high), vget_low_s16(b_high)), vmull_high_s16(a_high, b_high)};
    const float32x4_t ratio = vdupq_n_f32(params->ratio), zero = vdupq_n_f32(params->zero_y);
    const float32x4_t low = vdupq_n_f32(params->minimum), high = vdupq_n_f32(params->maximum);
    int32x4_t q[4];
    OCT_EACH_VECTOR(i, 4, {
        float32x4_t value = vaddq_f32(vmulq_f32(vcvtq_f32_s32(products[i]), ratio), zero);
        q[i] = vcvtnq_s32_f32(vminnmq_f32(vmaxnmq_f32(value, low), high));
    });
    return oct_q8_narrow_neon(q);
}

static void mul(const OctQ8Mul *params, const uint8_t *a, const uint8_t *b, uint8_t *y,
                size_t count) {
#define MUL_BLOCK(a, b) multiply(params, a, b)
    FOR_BLOCKS_TWO(count, a, b, y, MUL_BLOCK);
}

static void mul_scalar(const OctQ8Mul *params, const uint8_t *a, uint8_t b, uint8_t *y,
                       size_t count) {
    const uint8x16_t scalar = vdupq_n_u8(b);
#define MUL_SCALAR_BLOCK(a) multiply(params, a, scalar)
    FOR_BLOCKS(count, a, y, MUL_SCALAR_BLOCK);
}

static void lookup(const uint8_t *table, const uint8_t *x, uint8_t *y, size_t count) {
#define LOOKUP_BLOCK(x) oct_q8_lookup_neon(table, x)
    FOR_BLOCKS(count, x, y, LOOKUP_BLOCK);
}

static void quantize(const float *x, float scale, uint8_t zero_point, uint8_t *y, size_t count) {
    const float32x4_t scales = vdupq_n_f32(scale);
    const float32x4_t low = vdupq_n_f32((float)(0 - zero_point));
    const float32x4_t high = vdupq_n_f32((float)(255 - zero_point));
    const int32x4_t zero = vdupq_n_s32(zero_point);
    size_t done = 0;
    for (; done + 16 <= count; done += 16) {
        int32x4_t q[4];
        OCT_EACH_VECTOR(i, 4, {
            float32x4_t value = vdivq_f32(vld1q_f32(x + done + 4 * i), scales);
            /* the conversion gives 0 for NaN, which the clamp lets through */
            value = vminq_f32(vmaxq_f32(value, low), high);
            q[i] = vaddq_s32(vcvtnq_s32_f32(value), zero);
        });
        vst1q_u8(y + done, oct_q8_narrow_neon(q));
    }
    for (; done < count; done++) {
        y[done] = oct_q8_quantize_one(x[done], scale, zero_point);
    }
}

static void dequantize(const uint8_t *x, float scale, uint8_t zero_point, float *y, size_t count) {
    oct_q8_vector_c.dequantize(x, scale, zero_point, y, count);
}

static void max_rows(const uint8_t *const *rows, size_t count, uint8_t *y, size_t channels) {
    size_t c = 0;
    for (; c + 16 <= channels; c += 16) {
        uint8x16_t highest = vld1q_u8(rows[0] + c);
        for (size_t p = 1; p < count; p++) {
            highest = vmaxq_u8(highest, vld1q_u8(rows[p] + c));
        }
        vst1q_u8(y + c, highest);
    }
    for (; c < channels; c++) {
        uint8_t highest = 0;
        for (size_t p = 0; p < count; p++) {
            highest = rows[p][c] > highest ? rows[p][c] : highest;
        }
        y[c] = highest;
    }
}

/* The row p of what is summed: either an array of pointers or a stride. */
typedef struct Rows {
    const uint8_t *const *pointers;
    const uint8_t *first;
    size_t stride;
} Rows;

OCT_INLINE const uint8_t *row_of(const Rows *rows, size_t p) {
    return rows->pointers ? rows->pointers[p] : rows->first + p * rows->stride;
}

/* Eight channels at a time in 16 bits, emptied into 32 bits after every 256 rows. */
OCT_INLINE void sum_any(const Rows *rows, size_t count, int32_t *sums, size_t channels) {
    size_t c = 0;
    for (; c + 8 <= channels; c += 8) {
        int32x4_t low = vld1q_s32(sums + c), high = vld1q_s32(sums + c + 4);
        for (size_t p = 0; p < count;) {
            size_t end = count - p < 256 ? count : p + 256;
            uint16x8_t sum = vdupq_n_u16(0);
            for (; p < end; p++) {
                sum = vaddw_u8(sum, vld1_u8(row_of(rows, p) + c));
            }
            low = vaddq_s32(low, vreinterpretq_s32_u32(vmovl_u16(vget_low_u16(sum))));
            high = vaddq_s32(high, vreinterpretq_s32_u32(vmovl_high_u16(sum)));
        }
        vst1q_s32(sums + c, low);
        vst1q_s32(sums + c + 4, high);
    }
    for (size_t p = 0; c < channels && p < count; p++) {
        const uint8_t *row = row_of(rows, p);
        for (size_t i = c; i < channels; i++) {
            sums[i] += row[i];
        }
    }
}

static void sum_rows(const uint8_t *x, size_t stride, size_t count, int32_t *sums,
                     size_t channels) {
    const Rows rows = {.first = x, .stride = stride};
    sum_any(&rows, count, sums, channels);
}

static void sum_pointers(const uint8_t *const *pointers, size_t count, int32_t *sums,
                         size_t channels) {
    const Rows rows = {.pointers = pointers};
    sum_any(&rows, count, sums, channels);
}

static void average(const OctQ8Average *params, const int32_t *sums, uint8_t *y, size_t channels) {
    oct_q8_vector_c.average(params, sums, y, channels);
}

static int32_t sum(const uint8_t *x, size_t count) {
    return oct_q8_vector_c.sum(x, count);
}

static void flip(const uint8_t *x, uint8_t *y, size_t count) {
    oct_q8_vector_c.flip(x, y, count);
}

enum { PLANE_CHUNK = 64, PLANE_CHANNELS = 16 };

static void quantize_planes(const float *x, size_t x_stride, float scale, uint8_t zero_point,
                            uint8_t *y, size_t y_stride, size_t channels, size_t pixels) {
    uint8_t planes[PLANE_CHANNELS * PLANE_CHUNK];
    for (size_t c = 0; c < channels; c += PLANE_CHANNELS) {
        size_t some = channels - c < PLANE_CHANNELS ? channels - c : PLANE_CHANNELS;
        for (size_t p = 0; p < pixels; p += PLANE_CHUNK) {
            size_t count = pixels - p < PLANE_CHUNK ? pixels - p : PLANE_CHUNK, done = 0;
            for (size_t i = 0; i < some; i++) {
                quantize(x + (c + i) * x_stride + p, scale, zero_point, planes + i * PLANE_CHUNK,
                         count);
            }
            for (; channels == 3 && y_stride == 3 && done + 16 <= count; done += 16) {
                uint8x16x3_t three = {{vld1q_u8(planes + done), vld1q_u8(planes + 64 + done),
                                       vld1q_u8(planes + 128 + done)}};
                vst3q_u8(y + (p + done) * 3, three);
            }
            for (; done < count; done++) {
                for (size_t i = 0; i < some; i++) {
                    y[(p + done) * y_stride + c + i] = planes[i * PLANE_CHUNK + done];
                }
            }
        }
    }
}

const OctQ8VectorOps oct_q8_vector_neon = {
    .name = "q8_vector neon",
    .cpu = OCTET_CPU_NEON,
    .add = add,
    .add_scalar = add_scalar,
    .mul = mul,
    .mul_scalar = mul_scalar,
    .lookup = lookup,
    .quantize = quantize,
    .dequantize = dequantize,
    .max_rows = max_rows,
    .sum_rows = sum_rows,
    .sum_pointers = sum_pointers,
    .average = average,
    .sum = sum,
    .flip = flip,
    .quantize_planes = quantize_planes,
};
