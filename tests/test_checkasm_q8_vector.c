/* Every elementwise int8 kernel against the scalar definitions, bit for bit. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "checkasm.h"
#include "kernels/q8_max_pool.h"
#include "kernels/q8_vector.h"

enum { ROUNDS = 200 };

typedef void (*Check)(const OctQ8VectorOps *ops, CheckRandom *random);

static void for_levels(Check check) {
    OctetCpu levels[6];
    size_t count = check_levels(levels);
    for (size_t l = 0; l < count; l++) {
        CheckRandom random = check_random(7);
        for (int i = 0; i < ROUNDS; i++) {
            check(oct_q8_vector_ops(levels[l]), &random);
        }
    }
}

static size_t any_count(CheckRandom *random) {
    return (size_t)check_range(random, 0, check_range(random, 0, 9) ? 100 : 1200);
}

static CheckBuffer bytes_of(CheckRandom *random, size_t count) {
    CheckBuffer buffer = check_buffer(count, (int)check_range(random, 0, 1));
    check_bytes(random, (int)check_range(random, 0, CHECK_BYTES - 1), buffer.data, count);
    return buffer;
}

static uint8_t any_byte(CheckRandom *random) {
    return (uint8_t)check_range(random, 0, 255);
}

static void any_range(CheckRandom *random, uint8_t *minimum, uint8_t *maximum) {
    if (check_range(random, 0, 1)) {
        *minimum = (uint8_t)check_range(random, 0, 100);
        *maximum = (uint8_t)check_range(random, 100, 255);
    }
}

static void finish(CheckBuffer *a, CheckBuffer *b, CheckBuffer *y) {
    check_buffer_free(a);
    check_buffer_free(b);
    check_buffer_free(y);
}

static void check_add(const OctQ8VectorOps *ops, CheckRandom *random) {
    size_t count = any_count(random);
    CheckBuffer a = bytes_of(random, count), b = bytes_of(random, count);
    CheckBuffer y = bytes_of(random, count);
    bool huge = check_range(random, 0, 9) == 0;
    OctQ8Add add =
        oct_q8_add_params(check_float(random, 0.001f, huge ? 1e30f : 1.0f), any_byte(random),
                          check_float(random, 0.001f, 1.0f), any_byte(random),
                          check_float(random, 0.01f, 1.0f), any_byte(random));
    any_range(random, &add.minimum, &add.maximum);
    ops->add(&add, a.data, b.data, y.data, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(y.data[i], oct_q8_add_one(&add, a.data[i], b.data[i]));
    }
    uint8_t scalar = any_byte(random);
    ops->add_scalar(&add, a.data, scalar, true, y.data, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(y.data[i], oct_q8_add_one(&add, scalar, a.data[i]));
    }
    ops->add_scalar(&add, a.data, scalar, false, y.data, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(y.data[i], oct_q8_add_one(&add, a.data[i], scalar));
    }
    memcpy(y.data, a.data, count); /* in place */
    ops->add(&add, y.data, b.data, y.data, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(y.data[i], oct_q8_add_one(&add, a.data[i], b.data[i]));
    }
    finish(&a, &b, &y);
}

static void check_mul(const OctQ8VectorOps *ops, CheckRandom *random) {
    size_t count = any_count(random);
    CheckBuffer a = bytes_of(random, count), b = bytes_of(random, count);
    CheckBuffer y = bytes_of(random, count);
    bool huge = check_range(random, 0, 9) == 0;
    OctQ8Mul mul =
        oct_q8_mul_params(check_float(random, 0.001f, huge ? 1e38f : 1.0f), any_byte(random),
                          check_float(random, 0.001f, 1.0f), any_byte(random),
                          check_float(random, 0.001f, 1.0f), any_byte(random));
    any_range(random, &mul.minimum, &mul.maximum);
    ops->mul(&mul, a.data, b.data, y.data, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(y.data[i], oct_q8_mul_one(&mul, a.data[i], b.data[i]));
    }
    uint8_t scalar = any_byte(random);
    ops->mul_scalar(&mul, a.data, scalar, y.data, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(y.data[i], oct_q8_mul_one(&mul, a.data[i], scalar));
    }
    finish(&a, &b, &y);
}

static void check_lookup_and_flip(const OctQ8VectorOps *ops, CheckRandom *random) {
    size_t count = any_count(random);
    CheckBuffer x = bytes_of(random, count), y = bytes_of(random, count);
    CheckBuffer table = bytes_of(random, 256);
    check_bytes(random, CHECK_BYTES_RANDOM, table.data, 256);
    ops->lookup(table.data, x.data, y.data, count);
    int64_t sum = 0;
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(y.data[i], table.data[x.data[i]]);
        sum += x.data[i];
    }
    assert_int_equal(ops->sum(x.data, count), sum);
    ops->flip(x.data, y.data, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(y.data[i], x.data[i] ^ 0x80);
    }
    finish(&x, &table, &y);
}

static uint8_t quantized(float x, float scale, int zero_point) {
    float value = x / scale;
    if (isnan(value)) {
        return (uint8_t)zero_point;
    }
    float rounded = rintf(value) + (float)zero_point;
    return rounded <= 0.0f ? 0 : rounded >= 255.0f ? 255 : (uint8_t)rounded;
}

static void check_convert(const OctQ8VectorOps *ops, CheckRandom *random) {
    size_t count = any_count(random);
    CheckBuffer x = check_buffer(4 * count, CHECK_GUARD_END), q = bytes_of(random, count);
    CheckBuffer back = check_buffer(4 * count, CHECK_GUARD_END);
    float *values = (float *)x.data, *floats = (float *)back.data;
    float scale = check_float(random, 0.001f, 0.1f);
    uint8_t zero_point = any_byte(random);
    check_floats(random, (int)check_range(random, 0, CHECK_FLOATS - 1), values, count);
    ops->quantize(values, scale, zero_point, q.data, count);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(q.data[i], quantized(values[i], scale, zero_point));
    }
    ops->dequantize(q.data, scale, zero_point, floats, count);
    for (size_t i = 0; i < count; i++) {
        assert_true(floats[i] == (float)(q.data[i] - zero_point) * scale);
    }
    finish(&x, &q, &back);
}

static void check_planes(const OctQ8VectorOps *ops, CheckRandom *random) {
    size_t channels = (size_t)check_range(random, 1, check_range(random, 0, 1) ? 4 : 40);
    size_t pixels = (size_t)check_range(random, 1, 150), gap = (size_t)check_range(random, 0, 1);
    size_t stride = channels + gap;
    CheckBuffer x = check_buffer(4 * channels * pixels, CHECK_GUARD_END);
    CheckBuffer y = check_buffer((pixels - 1) * stride + channels, CHECK_GUARD_END);
    float *values = (float *)x.data;
    check_floats(random, CHECK_FLOATS_NORMAL, values, channels * pixels);
    ops->quantize_planes(values, pixels, 0.02f, 100, y.data, stride, channels, pixels);
    for (size_t p = 0; p < pixels; p++) {
        for (size_t c = 0; c < channels; c++) {
            assert_int_equal(y.data[p * stride + c], quantized(values[c * pixels + p], 0.02f, 100));
        }
        assert_true(gap == 0 || p + 1 == pixels || y.data[p * stride + channels] == CHECK_CANARY);
    }
    check_buffer_free(&x);
    check_buffer_free(&y);
}

static void check_pool(const OctQ8VectorOps *ops, CheckRandom *random) {
    size_t channels = (size_t)check_range(random, 1, 100);
    size_t count = (size_t)check_range(random, 1, check_range(random, 0, 9) ? 20 : 700);
    CheckBuffer x = bytes_of(random, channels * count), y = bytes_of(random, channels);
    CheckBuffer sums = check_buffer(4 * channels, CHECK_GUARD_END);
    const uint8_t **rows = malloc(count * sizeof *rows);
    assert_non_null(rows);
    for (size_t p = 0; p < count; p++) {
        rows[p] = x.data + (count - 1 - p) * channels;
    }
    ops->max_rows(rows, count, y.data, channels);
    int32_t *totals = (int32_t *)sums.data;
    memset(totals, 0, 4 * channels);
    ops->sum_rows(x.data, channels, count, totals, channels);
    ops->sum_pointers(rows, count, totals, channels);
    for (size_t c = 0; c < channels; c++) {
        int32_t sum = 0;
        uint8_t highest = 0;
        for (size_t p = 0; p < count; p++) {
            sum += rows[p][c];
            highest = rows[p][c] > highest ? rows[p][c] : highest;
        }
        assert_int_equal(y.data[c], highest);
        assert_int_equal(totals[c], 2 * sum);
    }
    OctQ8Average average =
        oct_q8_average_params(check_float(random, 0.01f, 0.1f), any_byte(random), 2 * count,
                              check_float(random, 0.01f, 0.1f), any_byte(random));
    any_range(random, &average.minimum, &average.maximum);
    ops->average(&average, totals, y.data, channels);
    for (size_t c = 0; c < channels; c++) {
        assert_int_equal(y.data[c],
                         oct_q8_requantize(totals[c] + average.bias, average.multiplier,
                                           average.zero_point, average.minimum, average.maximum));
    }
    free(rows);
    finish(&x, &y, &sums);
}

static uint8_t highest_of(const OctQ8MaxPool *pool, const uint8_t *x, size_t y, size_t column,
                          size_t channel) {
    uint8_t highest = 0;
    for (size_t r = 0; r < pool->kernel_h; r++) {
        for (size_t t = 0; t < pool->kernel_w; t++) {
            size_t line = y * pool->stride_h + r - pool->pad_top; /* wraps above the image */
            size_t pixel = column * pool->stride_w + t - pool->pad_left;
            if (line < pool->in_h && pixel < pool->in_w) {
                uint8_t value = x[(line * pool->in_w + pixel) * pool->channels + channel];
                highest = value > highest ? value : highest;
            }
        }
    }
    return highest;
}

static void check_max_pool(const OctQ8VectorOps *ops, CheckRandom *random) {
    OctQ8MaxPool pool = {.channels = (size_t)check_range(random, 1, 70),
                         .in_h = (size_t)check_range(random, 1, 9),
                         .in_w = (size_t)check_range(random, 1, 9),
                         .out_h = (size_t)check_range(random, 1, 5),
                         .out_w = (size_t)check_range(random, 1, 5),
                         .kernel_h = (size_t)check_range(random, 1, 4),
                         .kernel_w = (size_t)check_range(random, 1, 4),
                         .stride_h = (size_t)check_range(random, 1, 3),
                         .stride_w = (size_t)check_range(random, 1, 3),
                         .pad_top = (size_t)check_range(random, 0, 2),
                         .pad_left = (size_t)check_range(random, 0, 2)};
    if (!oct_q8_max_pool_fits(&pool)) {
        return;
    }
    CheckBuffer x = bytes_of(random, pool.in_h * pool.in_w * pool.channels);
    CheckBuffer y = check_buffer(pool.out_w * pool.channels, CHECK_GUARD_END);
    for (size_t row = 0; row < pool.out_h; row++) {
        oct_q8_max_pool_row(ops, &pool, x.data, row, y.data);
        for (size_t i = 0; i < y.size; i++) {
            assert_int_equal(y.data[i],
                             highest_of(&pool, x.data, row, i / pool.channels, i % pool.channels));
        }
    }
    check_buffer_free(&x);
    check_buffer_free(&y);
}

static void test_max_pool(void **state) {
    (void)state;
    for_levels(check_max_pool);
    const OctQ8MaxPool outside = {1, 4, 4, 9, 1, 2, 2, 1, 1, 0, 0};
    assert_false(oct_q8_max_pool_fits(&outside));
}

static void test_add(void **state) {
    (void)state;
    for_levels(check_add);
}

static void test_mul(void **state) {
    (void)state;
    for_levels(check_mul);
}

static void test_lookup(void **state) {
    (void)state;
    for_levels(check_lookup_and_flip);
}

static void test_convert(void **state) {
    (void)state;
    for_levels(check_convert);
}

static void test_planes(void **state) {
    (void)state;
    for_levels(check_planes);
}

static void test_pool(void **state) {
    (void)state;
    for_levels(check_pool);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_add),      cmocka_unit_test(test_mul),
        cmocka_unit_test(test_lookup),   cmocka_unit_test(test_convert),
        cmocka_unit_test(test_planes),   cmocka_unit_test(test_pool),
        cmocka_unit_test(test_max_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
