#include "kernels/q8_vector_c.h"

#include <string.h>

OctQ8Add oct_q8_add_params(float scale_a, int32_t zero_a, float scale_b, int32_t zero_b,
                           float scale_y, int32_t zero_y) {
    OctQ8Add add = {.ratio_a = scale_a / scale_y, .ratio_b = scale_b / scale_y, .maximum = 255};
    float shift_a = add.ratio_a * (float)zero_a, shift_b = add.ratio_b * (float)zero_b;
    add.fixed = (float)zero_y - (shift_a + shift_b);
    return add;
}

bool oct_q8_epilogue_is_bounded(const OctQ8Epilogue *epilogue, const float *multipliers,
                                size_t count) {
    const OctQ8Add *add = &epilogue->add;
    if (epilogue->has_add &&
        !(fabsf(add->ratio_a) < 1e6f && fabsf(add->ratio_b) < 1e6f && fabsf(add->fixed) < 1e9f)) {
        return false;
    }
    bool bounded = true; /* an accumulator is at most 2^31 */
    for (size_t c = 0; c < count; c++) {
        bounded = bounded && fabsf(multipliers[c]) < 1.0f;
    }
    return bounded;
}

OctQ8Mul oct_q8_mul_params(float scale_a, int32_t zero_a, float scale_b, int32_t zero_b,
                           float scale_y, int32_t zero_y) {
    return (OctQ8Mul){.ratio = scale_a * scale_b / scale_y,
                      .zero_a = (uint8_t)zero_a,
                      .zero_b = (uint8_t)zero_b,
                      .zero_y = (uint8_t)zero_y,
                      .maximum = 255};
}

OctQ8Average oct_q8_average_params(float scale_x, int32_t zero_x, size_t count, float scale_y,
                                   int32_t zero_y) {
    return (OctQ8Average){.bias = -(int32_t)count * zero_x,
                          .multiplier = scale_x / (scale_y * (float)count),
                          .zero_point = (uint8_t)zero_y,
                          .maximum = 255};
}

void oct_q8_finish_rows(const OctQ8VectorOps *ops, const OctQ8Epilogue *epilogue, uint8_t *y,
                        size_t y_stride, const uint8_t *residual, size_t residual_stride,
                        size_t rows, size_t count) {
    if (y_stride == count && (!epilogue->has_add || residual_stride == count)) {
        count *= rows;
        rows = count > 0;
    }
    for (size_t r = 0; r < rows; r++) {
        if (epilogue->table) {
            ops->lookup(epilogue->table, y, y, count);
        }
        if (epilogue->has_add) {
            ops->add(&epilogue->add, epilogue->residual_is_a ? residual : y,
                     epilogue->residual_is_a ? y : residual, y, count);
            if (epilogue->add_table) {
                ops->lookup(epilogue->add_table, y, y, count);
            }
            residual += residual_stride;
        }
        y += y_stride;
    }
}

static void add(const OctQ8Add *params, const uint8_t *a, const uint8_t *b, uint8_t *y,
                size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] = oct_q8_add_one(params, a[i], b[i]);
    }
}

static void add_scalar(const OctQ8Add *params, const uint8_t *a, uint8_t b, bool scalar_is_a,
                       uint8_t *y, size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] = scalar_is_a ? oct_q8_add_one(params, b, a[i]) : oct_q8_add_one(params, a[i], b);
    }
}

static void mul(const OctQ8Mul *params, const uint8_t *a, const uint8_t *b, uint8_t *y,
                size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] = oct_q8_mul_one(params, a[i], b[i]);
    }
}

static void mul_scalar(const OctQ8Mul *params, const uint8_t *a, uint8_t b, uint8_t *y,
                       size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] = oct_q8_mul_one(params, a[i], b);
    }
}

static void lookup(const uint8_t *table, const uint8_t *x, uint8_t *y, size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] = table[x[i]];
    }
}

static void quantize(const float *x, float scale, uint8_t zero_point, uint8_t *y, size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] = oct_q8_quantize_one(x[i], scale, zero_point);
    }
}

static void dequantize(const uint8_t *x, float scale, uint8_t zero_point, float *y, size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] = (float)(x[i] - zero_point) * scale;
    }
}

static void max_rows(const uint8_t *const *rows, size_t count, uint8_t *y, size_t channels) {
    for (size_t c = 0; c < channels; c++) {
        uint8_t highest = 0;
        for (size_t p = 0; p < count; p++) {
            highest = rows[p][c] > highest ? rows[p][c] : highest;
        }
        y[c] = highest;
    }
}

static void sum_rows(const uint8_t *x, size_t stride, size_t count, int32_t *sums,
                     size_t channels) {
    for (size_t p = 0; p < count; p++) {
        for (size_t c = 0; c < channels; c++) {
            sums[c] += x[p * stride + c];
        }
    }
}

static void sum_pointers(const uint8_t *const *rows, size_t count, int32_t *sums, size_t channels) {
    for (size_t p = 0; p < count; p++) {
        for (size_t c = 0; c < channels; c++) {
            sums[c] += rows[p][c];
        }
    }
}

static void average(const OctQ8Average *params, const int32_t *sums, uint8_t *y, size_t channels) {
    for (size_t c = 0; c < channels; c++) {
        y[c] = oct_q8_average_one(params, sums[c]);
    }
}

static int32_t sum(const uint8_t *x, size_t count) {
    int32_t total = 0;
    for (size_t i = 0; i < count; i++) {
        total += x[i];
    }
    return total;
}

static void flip(const uint8_t *x, uint8_t *y, size_t count) {
    for (size_t i = 0; i < count; i++) {
        y[i] = x[i] ^ 0x80;
    }
}

static void quantize_planes(const float *x, size_t x_stride, float scale, uint8_t zero_point,
                            uint8_t *y, size_t y_stride, size_t channels, size_t pixels) {
    for (size_t c = 0; c < channels; c++) {
        for (size_t p = 0; p < pixels; p++) {
            y[p * y_stride + c] = oct_q8_quantize_one(x[c * x_stride + p], scale, zero_point);
        }
    }
}

const OctQ8VectorOps oct_q8_vector_c = {
    .name = "q8_vector portable",
    .cpu = OCTET_CPU_PORTABLE,
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
