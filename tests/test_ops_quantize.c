/* QuantizeLinear, DequantizeLinear and DynamicQuantizeLinear as operators. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_harness.h"
#include "op_random.h"

static const OctetDType types[] = {OCTET_U8, OCTET_S8, OCTET_U16, OCTET_S16,
                                   OCTET_U4, OCTET_S4, OCTET_S32};

static int64_t load(OctetDType dtype, const void *data, size_t i) {
    switch (octet_dtype_size(dtype)) {
    case 1:
        return dtype == OCTET_U8 || dtype == OCTET_U4 ? ((const uint8_t *)data)[i]
                                                      : ((const int8_t *)data)[i];
    case 2:
        return dtype == OCTET_U16 ? ((const uint16_t *)data)[i] : ((const int16_t *)data)[i];
    default:
        return ((const int32_t *)data)[i];
    }
}

static void store(OctetDType dtype, void *data, size_t i, int64_t value) {
    switch (octet_dtype_size(dtype)) {
    case 1:
        ((uint8_t *)data)[i] = (uint8_t)value;
        break;
    case 2:
        ((uint16_t *)data)[i] = (uint16_t)value;
        break;
    default:
        ((int32_t *)data)[i] = (int32_t)value;
    }
}

/* Per tensor, per axis, or by blocks along the axis of a 3 x 8 x 5 tensor. */
typedef enum Granularity { TENSOR, AXIS, BLOCKS } Granularity;

enum { BLOCK = 3 };

static size_t parameter_of(Granularity granularity, int axis, size_t i) {
    static const size_t dims[3] = {3, 8, 5};
    size_t at[3] = {i / 40, i / 5 % 8, i % 5}, blocks[3] = {3, 8, 5};
    if (granularity == TENSOR) {
        return 0;
    }
    if (granularity == AXIS) {
        return at[axis];
    }
    at[axis] /= BLOCK;
    blocks[axis] = (dims[axis] + BLOCK - 1) / BLOCK;
    return (at[0] * blocks[1] + at[1]) * blocks[2] + at[2];
}

static OctetShape parameter_shape(Granularity granularity, int axis) {
    OctetShape shape = {.rank = 3, .dims = {3, 8, 5}};
    if (granularity == TENSOR) {
        return (OctetShape){.rank = 0};
    }
    if (granularity == AXIS) {
        return (OctetShape){.rank = 1, .dims = {shape.dims[axis]}};
    }
    shape.dims[axis] = (shape.dims[axis] + BLOCK - 1) / BLOCK;
    return shape;
}

static void check(OctetDType dtype, Granularity granularity, int axis, bool has_zero, bool from_s32,
                  OctetThreadPool *pool) {
    int64_t minimum, maximum;
    octet_dtype_range(dtype, &minimum, &maximum);
    float *x = op_random_floats(120), *scale = op_random_floats(120), real[120];
    int32_t whole[120];
    char q[480], zeros[480];
    memset(zeros, 0, sizeof zeros);
    OctetShape shape = parameter_shape(granularity, axis);
    int64_t parameters;
    assert_true(octet_shape_count(&shape, &parameters));
    for (int64_t i = 0; i < parameters; i++) {
        scale[i] = fabsf(scale[i]) * 0.05f + 0.01f;
        store(dtype, zeros, (size_t)i,
              !has_zero || dtype == OCTET_S32 ? 0 : minimum + op_random_int(0, 15));
    }
    for (size_t i = 0; i < 120; i++) {
        whole[i] = op_random_int(-9, 9);
        x[i] = from_s32 ? (float)whole[i] : i == 7 ? NAN : i == 8 ? INFINITY : x[i] * 4.0f;
        size_t p = parameter_of(granularity, axis, i);
        int64_t zero = load(dtype, zeros, p);
        double level = isnan(x[i]) ? 0.0 : (double)rintf(x[i] / scale[p]);
        level = fmin(fmax(level + (double)zero, (double)minimum), (double)maximum);
        store(dtype, q, i, (int64_t)level);
        real[i] = (float)(load(dtype, q, i) - zero) * scale[p];
    }
    OpHarness h;
    op_begin(&h, "", "QuantizeLinear", 21, 1);
    h.pool = pool;
    assert_true(oct_node_set_int(h.graph, h.node, "axis", axis));
    assert_true(oct_node_set_int(h.graph, h.node, "block_size", granularity == BLOCKS ? BLOCK : 0));
    if (!has_zero) {
        assert_true(oct_node_set_int(h.graph, h.node, "output_dtype", dtype));
    }
    op_input(&h, from_s32 ? OCTET_S32 : OCTET_F32, SHAPE(3, 8, 5), from_s32 ? (void *)whole : x);
    op_input(&h, OCTET_F32, &shape, scale);
    if (has_zero) {
        op_constant(&h, dtype, &shape, zeros);
    }
    op_run_ok(&h);
    op_expect(&h, 0, dtype, SHAPE(3, 8, 5), q);
    op_end(&h);
    op_begin(&h, "", "DequantizeLinear", 21, 1);
    h.pool = pool;
    assert_true(oct_node_set_int(h.graph, h.node, "axis", axis));
    assert_true(oct_node_set_int(h.graph, h.node, "block_size", granularity == BLOCKS ? BLOCK : 0));
    op_input(&h, dtype, SHAPE(3, 8, 5), q);
    op_input(&h, OCTET_F32, &shape, scale);
    if (has_zero) {
        op_constant(&h, dtype, &shape, zeros);
    }
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(3, 8, 5), real);
    op_end(&h);
    free(x);
    free(scale);
}

static void test_all(void **state) {
    for (size_t t = 0; t < sizeof types / sizeof types[0]; t++) {
        for (int axis = 0; axis < 3; axis++) {
            for (int g = TENSOR; g <= BLOCKS; g++) {
                check(types[t], (Granularity)g, axis, true, false, *state);
                check(types[t], (Granularity)g, axis, false, axis == 1, *state);
            }
        }
    }
}

/* ONNX's three examples of DynamicQuantizeLinear. */
static void test_dynamic(void **state) {
    (void)state;
    const float x[3][6] = {{0, 2, -3, -2.5f, 1.34f, 0.5f},
                           {-1.0f, -2.1f, -1.3f, -2.5f, -3.34f, -4.0f},
                           {0, 0, 0, 0, 0, 0}};
    const uint8_t y[3][6] = {
        {153, 255, 0, 26, 221, 179}, {191, 121, 172, 96, 42, 0}, {0, 0, 0, 0, 0, 0}};
    const float scale[3] = {5.0f / 255.0f, 4.0f / 255.0f, 1.0f};
    const uint8_t zero[3] = {153, 255, 0};
    for (int i = 0; i < 3; i++) {
        OpHarness h;
        op_begin(&h, "", "DynamicQuantizeLinear", 11, 3);
        op_input(&h, OCTET_F32, SHAPE(6), x[i]);
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_U8, SHAPE(6), y[i]);
        op_expect_f32(&h, 1, SCALAR, &scale[i], 1e-7f);
        op_expect(&h, 2, OCTET_U8, SCALAR, &zero[i]);
        op_end(&h);
    }
}

static void expect_error(const OctetShape *scales, float scale, OctetStatus status) {
    float x[6] = {0}, s[6];
    for (int i = 0; i < 6; i++) {
        s[i] = scale;
    }
    OpHarness h;
    op_begin(&h, "", "QuantizeLinear", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3), x);
    op_input(&h, OCTET_F32, scales, s);
    assert_int_equal(op_run(&h), status);
    op_end(&h);
}

static void test_errors(void **state) {
    (void)state;
    expect_error(SCALAR, 1.0f, OCTET_OK);
    expect_error(SHAPE(2), 1.0f, OCTET_ERROR_SHAPE);
    expect_error(SHAPE(2, 3), 1.0f, OCTET_ERROR_SHAPE);
    expect_error(SCALAR, 0.0f, OCTET_ERROR_NUMERIC);
    expect_error(SCALAR, NAN, OCTET_ERROR_NUMERIC);
    expect_error(SCALAR, INFINITY, OCTET_ERROR_NUMERIC);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_all), cmocka_unit_test(test_dynamic),
                                       cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, start_pool, stop_pool);
}
