/* Elementwise, pooling and converting int8 kernels. One table of functions a CPU level; every
 * entry gives the same bytes at every level. Buffers may be the same (in place) but not overlap
 * otherwise. No alignment is needed; nothing behind the given counts is read or written. */
#ifndef OCT_KERNELS_Q8_VECTOR_H
#define OCT_KERNELS_Q8_VECTOR_H

#include "kernels/q8_epilogue.h"
#include "octet/status.h"

/* u8 * u8 -> u8 as MLAS' QLinearMul (qlmul.cpp):
 *   ratio = scale_a * scale_b / scale_y   (float32, in this order)
 *   y = clamp(RNE(float((a - zero_a) * (b - zero_b)) * ratio + float(zero_y)), minimum, maximum)
 * with the product and the sum each rounded to float32. */
typedef struct OctQ8Mul {
    float ratio;
    uint8_t zero_a, zero_b, zero_y;
    uint8_t minimum, maximum;
} OctQ8Mul;

OctQ8Mul oct_q8_mul_params(float scale_a, int32_t zero_a, float scale_b, int32_t zero_b,
                           float scale_y, int32_t zero_y);

static inline uint8_t oct_q8_mul_one(const OctQ8Mul *mul, uint8_t a, uint8_t b) {
    float product = (float)((a - mul->zero_a) * (b - mul->zero_b)) * mul->ratio;
    return (uint8_t)lrintf(
        oct_q8_clampf(product + (float)mul->zero_y, (float)mul->minimum, (float)mul->maximum));
}

/* Average pooling: y = clamp(RNE(float(sum - count * zero_x) * multiplier) + zero_y, min, max),
 * sum exact in int32, multiplier = scale_x / (scale_y * count) in float32 (MLAS'
 * QLinearGlobalAveragePool). */
typedef struct OctQ8Average {
    int32_t bias; /* -count * zero_x */
    float multiplier;
    uint8_t zero_point, minimum, maximum;
} OctQ8Average;

/* count: pixels averaged, 1 to 2^23. */
OctQ8Average oct_q8_average_params(float scale_x, int32_t zero_x, size_t count, float scale_y,
                                   int32_t zero_y);

typedef struct OctQ8VectorOps {
    const char *name;
    OctetCpu cpu;
    void (*add)(const OctQ8Add *add, const uint8_t *a, const uint8_t *b, uint8_t *y, size_t count);
    /* b is one value for all; scalar_is_a: b takes the place of the formula's a */
    void (*add_scalar)(const OctQ8Add *add, const uint8_t *a, uint8_t b, bool scalar_is_a,
                       uint8_t *y, size_t count);
    void (*mul)(const OctQ8Mul *mul, const uint8_t *a, const uint8_t *b, uint8_t *y, size_t count);
    void (*mul_scalar)(const OctQ8Mul *mul, const uint8_t *a, uint8_t b, uint8_t *y, size_t count);
    /* y[i] = table[x[i]], 256 entries: every function of one int8 tensor, requantization too */
    void (*lookup)(const uint8_t *table, const uint8_t *x, uint8_t *y, size_t count);
    /* y = clamp(RNE(x / scale) + zero_point, low, high), NaN -> zero_point. The engine's u8: for
     * s8 models zero_point is the model's plus 128. */
    void (*quantize)(const float *x, float scale, uint8_t zero_point, uint8_t *y, size_t count);
    /* y = float(x - zero_point) * scale */
    void (*dequantize)(const uint8_t *x, float scale, uint8_t zero_point, float *y, size_t count);
    /* y[c] = maximum over p of rows[p][c], c < channels; count >= 1 */
    void (*max_rows)(const uint8_t *const *rows, size_t count, uint8_t *y, size_t channels);
    /* sums[c] += sum over p of x[p * stride + c]; the caller zeroes sums */
    void (*sum_rows)(const uint8_t *x, size_t stride, size_t count, int32_t *sums, size_t channels);
    /* sums[c] += sum over p of rows[p][c] */
    void (*sum_pointers)(const uint8_t *const *rows, size_t count, int32_t *sums, size_t channels);
    /* y[c] from sums[c] as OctQ8Average says */
    void (*average)(const OctQ8Average *average, const int32_t *sums, uint8_t *y, size_t channels);
    /* the sum of `count` bytes (row sums of a matrix) */
    int32_t (*sum)(const uint8_t *x, size_t count);
    /* y[i] = x[i] ^ 0x80: s8 to u8 at the engine's border and back */
    void (*flip)(const uint8_t *x, uint8_t *y, size_t count);
    /* quantize and transpose in one: x is [channels][pixels] of f32 (planes x_stride apart), y is
     * [pixels] of channels bytes, y_stride apart */
    void (*quantize_planes)(const float *x, size_t x_stride, float scale, uint8_t zero_point,
                            uint8_t *y, size_t y_stride, size_t channels, size_t pixels);
} OctQ8VectorOps;

/* What an epilogue has behind requantizing (tables and addition), in place over `rows` rows of
 * `count` bytes, y_stride and residual_stride apart. */
void oct_q8_finish_rows(const OctQ8VectorOps *ops, const OctQ8Epilogue *epilogue, uint8_t *y,
                        size_t y_stride, const uint8_t *residual, size_t residual_stride,
                        size_t rows, size_t count);

/* The table of `cpu`; never NULL. */
const OctQ8VectorOps *oct_q8_vector_ops(OctetCpu cpu);

#endif
