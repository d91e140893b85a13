/* Normalizations against their definitions in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conv_naive.h"
#include "op_harness.h"
#include "op_random.h"

static double mean_of(const float *x, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += x[i];
    }
    return sum / (double)count;
}

static double variance_of(const float *x, int64_t count, double mean) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        sum += (x[i] - mean) * (x[i] - mean);
    }
    return sum / (double)count;
}

/* ---- LayerNormalization ---- */

static void test_layer_norm(void **state) {
    for (int64_t axis = -3; axis < 3; axis++) {
        int64_t dims[3] = {4, 5, 33}, count = 1;
        for (int64_t i = axis < 0 ? axis + 3 : axis; i < 3; i++) {
            count *= dims[i];
        }
        int64_t rows = 4 * 5 * 33 / count;
        float *x = op_random_floats(660), *scale = op_random_floats(660);
        float *shift = op_random_floats(660), y[660], mean[660], inverse[660];
        for (int64_t r = 0; r < rows; r++) {
            double m = mean_of(x + r * count, count), v = variance_of(x + r * count, count, m);
            mean[r] = (float)m;
            inverse[r] = (float)(1.0 / sqrt(v + 1e-3));
            for (int64_t i = 0; i < count; i++) {
                y[r * count + i] =
                    (float)((x[r * count + i] - m) / sqrt(v + 1e-3) * (double)scale[i] +
                            (double)shift[i]);
            }
        }
        OctetShape shape = {.rank = 3, .dims = {4, 5, 33}}, tail = {.rank = 0}, head = shape;
        for (int64_t i = axis < 0 ? axis + 3 : axis; i < 3; i++) {
            tail.dims[tail.rank++] = dims[i];
            head.dims[i] = 1;
        }
        OpHarness h;
        op_begin(&h, "", "LayerNormalization", 17, 3);
        h.pool = *state;
        assert_true(oct_node_set_int(h.graph, h.node, "axis", axis));
        assert_true(oct_node_set_float(h.graph, h.node, "epsilon", 1e-3f));
        op_input(&h, OCTET_F32, &shape, x);
        op_constant(&h, OCTET_F32, &tail, scale);
        op_constant(&h, OCTET_F32, &tail, shift);
        op_run_ok(&h);
        op_expect_f32(&h, 0, &shape, y, 1e-5f);
        op_expect_f32(&h, 1, &head, mean, 1e-5f);
        op_expect_f32(&h, 2, &head, inverse, 1e-5f);
        op_end(&h);
        free(x);
        free(scale);
        free(shift);
    }
}

static void test_layer_norm_int8(void **state) {
    uint8_t *x = op_random_bytes(6 * 40);
    float *scale = op_random_floats(40), *shift = op_random_floats(40);
    OpHarness h;
    op_begin(&h, "", "LayerNormalization", 17, 1);
    h.pool = *state;
    op_input_q(&h, OCTET_U8, SHAPE(6, 40), x, 0.1f, 77);
    op_constant(&h, OCTET_F32, SHAPE(40), scale);
    op_constant(&h, OCTET_F32, SHAPE(40), shift);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.02f, 128);
    op_run_ok(&h);
    op_expect_shape(&h, 0, OCTET_U8, SHAPE(6, 40));
    for (int r = 0; r < 6; r++) {
        float real[40];
        for (int i = 0; i < 40; i++) {
            real[i] = (float)(x[r * 40 + i] - 77) * 0.1f;
        }
        double m = mean_of(real, 40), v = variance_of(real, 40, m);
        for (int i = 0; i < 40; i++) {
            double value = (real[i] - m) / sqrt(v + 1e-5) * (double)scale[i] + (double)shift[i];
            double level = fmin(fmax(value / (double)0.02f + 128, 0), 255);
            double got = ((const uint8_t *)h.outputs[0].data)[r * 40 + i];
            assert_true(fabs(got - level) <= 0.5 + 1e-3);
        }
    }
    op_end(&h);
    free(x);
    free(scale);
    free(shift);
}

static void test_rms_norm(void **state) {
    (void)state;
    float x[4] = {1, -2, 3, -4}, scale[4] = {1, 2, 3, 4}, y[4];
    for (int i = 0; i < 4; i++) {
        y[i] = (float)(x[i] / sqrt(7.5 + 1e-5) * scale[i]);
    }
    OpHarness h;
    op_begin(&h, "", "SimplifiedLayerNormalization", 1, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 4), x);
    op_constant(&h, OCTET_F32, SHAPE(4), scale);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1, 4), y, 1e-6f);
    op_end(&h);
}

static void test_skip_layer_norm(void **state) {
    int64_t batch = 3, rows = 4, count = 20;
    size_t all = (size_t)(batch * rows * count);
    float *x = op_random_floats(all), *skip = op_random_floats((size_t)(rows * count));
    float *gamma = op_random_floats(20), *beta = op_random_floats(20), *bias = op_random_floats(20);
    float *sum = calloc(all, sizeof *sum), *y = calloc(all, sizeof *y);
    for (size_t i = 0; i < all; i++) {
        sum[i] = x[i] + skip[i % (size_t)(rows * count)] + bias[i % 20];
    }
    for (int64_t r = 0; r < batch * rows; r++) {
        double m = mean_of(sum + r * count, count), v = variance_of(sum + r * count, count, m);
        for (int64_t i = 0; i < count; i++) {
            y[r * count + i] =
                (float)((sum[r * count + i] - m) / sqrt(v + 1e-5) * (double)gamma[i] +
                        (double)beta[i]);
        }
    }
    OpHarness h;
    op_begin(&h, "com.microsoft", "SkipLayerNormalization", 1, 4);
    h.pool = *state;
    assert_true(oct_node_set_float(h.graph, h.node, "epsilon", 1e-5f));
    op_input(&h, OCTET_F32, SHAPE(batch, rows, count), x);
    op_input(&h, OCTET_F32, SHAPE(rows, count), skip);
    op_constant(&h, OCTET_F32, SHAPE(count), gamma);
    op_constant(&h, OCTET_F32, SHAPE(count), beta);
    op_constant(&h, OCTET_F32, SHAPE(count), bias);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(batch, rows, count), y, 1e-5f);
    op_expect_f32(&h, 3, SHAPE(batch, rows, count), sum, 0.0f);
    op_end(&h);
    free(x);
    free(skip);
    free(gamma);
    free(beta);
    free(bias);
    free(sum);
    free(y);
}

/* ---- planes ---- */

static void check_planes(const char *op, int opset, int64_t groups, OctetThreadPool *pool) {
    int64_t batch = 2, channels = 6, area = 35;
    size_t all = (size_t)(batch * channels * area);
    bool instance = groups == channels, per_group = !instance && opset < 21;
    int64_t parameters = per_group ? groups : channels, each = channels / groups;
    float *x = op_random_floats(all), *y = calloc(all, sizeof *y);
    float *scale = op_random_floats(6), *shift = op_random_floats(6);
    for (int64_t r = 0; r < batch * groups; r++) {
        const float *row = x + r * each * area;
        double m = mean_of(row, each * area), v = variance_of(row, each * area, m);
        for (int64_t i = 0; i < each * area; i++) {
            int64_t c = r % groups * each + i / area, p = per_group ? r % groups : c;
            y[r * each * area + i] =
                (float)((row[i] - m) / sqrt(v + 1e-5) * (double)scale[p] + (double)shift[p]);
        }
    }
    OpHarness h;
    op_begin(&h, "", op, opset, 1);
    h.pool = pool;
    assert_true(oct_node_set_int(h.graph, h.node, "num_groups", groups));
    op_input(&h, OCTET_F32, SHAPE(batch, channels, 5, 7), x);
    op_constant(&h, OCTET_F32, SHAPE(parameters), scale);
    op_constant(&h, OCTET_F32, SHAPE(parameters), shift);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(batch, channels, 5, 7), y, 1e-5f);
    op_end(&h);
    free(x);
    free(y);
    free(scale);
    free(shift);
}

static void test_planes(void **state) {
    check_planes("InstanceNormalization", 6, 6, *state);
    check_planes("GroupNormalization", 18, 2, *state);
    check_planes("GroupNormalization", 21, 3, *state);
    check_planes("GroupNormalization", 21, 1, *state);
}

/* ---- BatchNormalization ---- */

/* The integers of ops/batch_norm.c, for x on (0.01, 9) and y on (0.05, 60). */
static uint8_t batch_norm_u8(float a, float b, uint8_t x, bool relu) {
    double slope = (double)a * (double)0.01f / (double)0.05f, offset = (double)b / (double)0.05f;
    float unit = (float)fmax(fabs(slope) / 127.0, fabs(offset) * 0x1p-29);
    int32_t w = (int32_t)rint(slope / (double)unit), bias = (int32_t)rint(offset / (double)unit);
    float level = rintf((float)((x - 9) * w + bias) * unit) + 60;
    return (uint8_t)fminf(fmaxf(level, relu ? 60 : 0), 255);
}

static void check_batch_norm(bool last, bool quantized, bool relu, OctetThreadPool *pool) {
    int64_t batch = 2, channels = 600, area = 7;
    size_t all = (size_t)(batch * channels * area);
    float *x = op_random_floats(all), *y = calloc(all, sizeof *y), *p[4];
    uint8_t *xq = op_random_bytes(all), *yq = calloc(all, 1);
    for (int k = 0; k < 4; k++) {
        p[k] = op_random_floats((size_t)channels);
    }
    for (int64_t c = 0; c < channels; c++) {
        p[3][c] = fabsf(p[3][c]) + 0.1f;
    }
    for (size_t i = 0; i < all; i++) {
        size_t c = last ? i % (size_t)channels : i / (size_t)area % (size_t)channels;
        float a = p[0][c] / sqrtf(p[3][c] + 1e-5f), real = (float)(xq[i] - 9) * 0.01f;
        y[i] = fmaf(quantized ? real : x[i], a, p[1][c] - p[2][c] * a);
        y[i] = relu && y[i] < 0 ? 0 : y[i];
        if (quantized) {
            yq[i] = batch_norm_u8(a, p[1][c] - p[2][c] * a, xq[i], relu);
            assert_true(fabsf(fminf(fmaxf(y[i] / 0.05f + 60, 0), 255) - yq[i]) < 0.52f);
        }
    }
    OctetShape shape = last ? *SHAPE(batch, area, channels) : *SHAPE(batch, channels, area);
    OpHarness h;
    op_begin(&h, "", "BatchNormalization", 15, 1);
    h.pool = pool;
    assert_true(oct_node_set_int(h.graph, h.node, "channels_last", last));
    if (relu) {
        h.node->activation = (OctActivation){OCT_ACTIVATION_CLIP, 0.0f, INFINITY};
    }
    if (quantized) {
        op_input_q(&h, OCTET_U8, &shape, xq, 0.01f, 9);
        op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.05f, 60);
    } else {
        op_input(&h, OCTET_F32, &shape, x);
    }
    for (int k = 0; k < 4; k++) {
        op_constant(&h, OCTET_F32, SHAPE(channels), p[k]);
    }
    op_run_ok(&h);
    op_expect(&h, 0, quantized ? OCTET_U8 : OCTET_F32, &shape, quantized ? (void *)yq : y);
    op_end(&h);
    for (int k = 0; k < 4; k++) {
        free(p[k]);
    }
    free(x);
    free(y);
    free(xq);
    free(yq);
}

static void test_batch_norm(void **state) {
    for (int i = 0; i < 8; i++) {
        check_batch_norm(i & 1, i >> 1 & 1, i >> 2, *state);
    }
}

/* ---- LRN ---- */

static void check_lrn(int64_t size, bool last, OctetThreadPool *pool) {
    int64_t batch = 2, channels = 9, area = 12;
    size_t all = (size_t)(batch * channels * area);
    float *x = op_random_floats(all), *y = calloc(all, sizeof *y),
          *copy = calloc(all, sizeof *copy);
    for (int64_t i = 0; i < (int64_t)all; i++) {
        int64_t c = i / area % channels;
        double sum = 0;
        for (int64_t k = c - (size - 1) / 2; k <= c + size / 2; k++) {
            if (k >= 0 && k < channels) {
                double value = x[i + (k - c) * area];
                sum += value * value;
            }
        }
        y[i] = (float)(x[i] / pow(1.5 + 0.2 / (double)size * sum, 0.5));
    }
    if (last) {
        naive_to_last(4, batch, channels, area, x, copy);
        memcpy(x, copy, all * 4);
        naive_to_last(4, batch, channels, area, y, copy);
        memcpy(y, copy, all * 4);
    }
    OctetShape shape = last ? *SHAPE(batch, 3, 4, channels) : *SHAPE(batch, channels, 3, 4);
    OpHarness h;
    op_begin(&h, "", "LRN", 13, 1);
    h.pool = pool;
    assert_true(oct_node_set_int(h.graph, h.node, "size", size));
    assert_true(oct_node_set_int(h.graph, h.node, "channels_last", last));
    assert_true(oct_node_set_float(h.graph, h.node, "alpha", 0.2f));
    assert_true(oct_node_set_float(h.graph, h.node, "beta", 0.5f));
    assert_true(oct_node_set_float(h.graph, h.node, "bias", 1.5f));
    op_input(&h, OCTET_F32, &shape, x);
    op_run_ok(&h);
    op_expect_f32(&h, 0, &shape, y, 1e-5f);
    op_end(&h);
    free(x);
    free(y);
    free(copy);
}

static void test_lrn(void **state) {
    for (int64_t size = 1; size < 12; size++) {
        check_lrn(size, size % 2, *state);
        check_lrn(size, size % 2 == 0, *state);
    }
}

/* ---- the rest ---- */

static void test_mean_variance(void **state) {
    float *x = op_random_floats(2 * 3 * 4 * 5), y[120];
    for (int c = 0; c < 3; c++) {
        float plane[40];
        for (int i = 0; i < 40; i++) {
            plane[i] = x[(i / 20 * 3 + c) * 20 + i % 20];
        }
        double m = mean_of(plane, 40), v = variance_of(plane, 40, m);
        for (int i = 0; i < 40; i++) {
            y[(i / 20 * 3 + c) * 20 + i % 20] = (float)((plane[i] - m) / (sqrt(v) + 1e-9));
        }
    }
    OpHarness h;
    op_begin(&h, "", "MeanVarianceNormalization", 13, 1);
    h.pool = *state;
    op_input(&h, OCTET_F32, SHAPE(2, 3, 4, 5), x);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(2, 3, 4, 5), y, 1e-5f);
    op_end(&h);
    free(x);
}

static void test_lp(void **state) {
    (void)state;
    float x[6] = {3, 0, 4, 0, -5, 0};
    for (int p = 1; p <= 2; p++) {
        float by_rows[6] = {3, 0, 4, 0, -1, 0}, by_columns[6] = {1, 0, 1, 0, -1, 0};
        float norm = p == 1 ? 7.0f : 5.0f;
        for (int i = 0; i < 3; i++) {
            by_rows[i] /= norm;
        }
        for (int axis = 0; axis < 2; axis++) {
            OpHarness h;
            op_begin(&h, "", "LpNormalization", 1, 1);
            assert_true(oct_node_set_int(h.graph, h.node, "p", p));
            assert_true(oct_node_set_int(h.graph, h.node, "axis", axis));
            op_input(&h, OCTET_F32, SHAPE(2, 3), x);
            op_run_ok(&h);
            op_expect_f32(&h, 0, SHAPE(2, 3), axis ? by_rows : by_columns, 1e-6f);
            op_end(&h);
        }
    }
}

static void test_errors(void **state) {
    (void)state;
    static const float data[64];
    OpHarness h;
    op_begin(&h, "", "GroupNormalization", 21, 1);
    assert_true(oct_node_set_int(h.graph, h.node, "num_groups", 3));
    op_input(&h, OCTET_F32, SHAPE(1, 4, 4), data);
    op_constant(&h, OCTET_F32, SHAPE(4), data);
    op_constant(&h, OCTET_F32, SHAPE(4), data);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
    op_begin(&h, "", "LayerNormalization", 17, 1);
    op_input(&h, OCTET_F32, SHAPE(4, 4), data);
    op_constant(&h, OCTET_F32, SHAPE(3), data);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
    op_begin(&h, "", "BatchNormalization", 15, 3);
    assert_true(oct_node_set_int(h.graph, h.node, "training_mode", 1));
    op_input(&h, OCTET_F32, SHAPE(1, 4, 4), data);
    for (int k = 0; k < 4; k++) {
        op_constant(&h, OCTET_F32, SHAPE(4), data);
    }
    assert_int_equal(op_run(&h), OCTET_ERROR_UNSUPPORTED);
    op_end(&h);
}

static int start_pool(void **state) {
    OctetThreadPool *pool = NULL;
    int failed = octet_thread_pool_create(2, &pool, NULL) != OCTET_OK;
    *state = pool;
    return failed;
}

static int stop_pool(void **state) {
    octet_thread_pool_free(*state);
    return 0;
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_layer_norm), cmocka_unit_test(test_layer_norm_int8),
        cmocka_unit_test(test_rms_norm),   cmocka_unit_test(test_skip_layer_norm),
        cmocka_unit_test(test_planes),     cmocka_unit_test(test_batch_norm),
        cmocka_unit_test(test_lrn),        cmocka_unit_test(test_mean_variance),
        cmocka_unit_test(test_lp),         cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, start_pool, stop_pool);
}
