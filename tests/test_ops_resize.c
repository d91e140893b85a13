/* Resize and Upsample against ONNX Runtime's results, in both layouts, float and int8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conv_naive.h"
#include "op_harness.h"
#include "resize_golden.h"

enum { GOLDENS = sizeof resize_goldens / sizeof resize_goldens[0] };

static OctetShape shape_of(const int64_t *dims, int rank, bool last) {
    OctetShape shape = {.rank = rank};
    for (int i = 0; i < rank; i++) {
        int to = !last || i == 0 ? i : i == 1 ? rank - 1 : i - 1;
        shape.dims[to] = dims[i];
    }
    return shape;
}

static size_t count_of(const OctetShape *shape) {
    int64_t count;
    assert_true(octet_shape_count(shape, &count));
    return (size_t)count;
}

/* In place, if the test runs channels-last. */
static void arrange(bool last, size_t size, const int64_t *dims, void *data) {
    int64_t area = dims[2] * dims[3];
    size_t count = (size_t)(dims[0] * dims[1] * area);
    char *copy = malloc(count * size);
    if (last) {
        naive_to_last(size, dims[0], dims[1], area, data, copy);
        memcpy(data, copy, count * size);
    }
    free(copy);
}

static void set_text(OpHarness *h, const char *name, const char *text) {
    if (text) {
        assert_true(oct_node_set_string(h->graph, h->node, name, text));
    }
}

static void begin(OpHarness *h, const ResizeGolden *g, bool last) {
    op_begin(h, "", g->opset < 10 ? "Upsample" : "Resize", g->opset, 1);
    assert_true(oct_node_set_int(h->graph, h->node, "channels_last", last));
    set_text(h, "mode", g->mode);
    set_text(h, "coordinate_transformation_mode", g->coordinates);
    set_text(h, "nearest_mode", g->nearest);
    set_text(h, "keep_aspect_ratio_policy", g->policy);
    assert_true(oct_node_set_float(h->graph, h->node, "cubic_coeff_a", g->cubic_a));
    assert_true(oct_node_set_float(h->graph, h->node, "extrapolation_value", g->extrapolation));
    assert_true(oct_node_set_int(h->graph, h->node, "exclude_outside", g->exclude_outside));
    assert_true(oct_node_set_int(h->graph, h->node, "antialias", g->antialias));
    if (g->axis_count) {
        assert_true(oct_node_set_ints(h->graph, h->node, "axes", g->axes, g->axis_count));
    }
}

/* Everything behind X. */
static void add_parameters(OpHarness *h, const ResizeGolden *g, bool constant) {
    OctValue *(*add)(OpHarness *, OctetDType, const OctetShape *, const void *) =
        constant ? op_constant : op_input;
    if (g->opset >= 11) {
        if (g->roi_count) {
            add(h, OCTET_F32, SHAPE(g->roi_count), g->roi);
        } else {
            op_absent(h);
        }
    }
    if (g->by_sizes) {
        op_absent(h);
        add(h, OCTET_S64, SHAPE(g->count), g->sizes);
    } else {
        add(h, OCTET_F32, SHAPE(g->count), g->scales);
    }
}

static void check(const ResizeGolden *g, bool constant, bool last, OctetThreadPool *pool) {
    OctetShape xs = shape_of(g->shape, g->rank, last), ys = shape_of(g->output, g->rank, last);
    size_t x_count = count_of(&xs), y_count = count_of(&ys);
    float *x = malloc(x_count * sizeof *x), *y = malloc(y_count * sizeof *y);
    for (size_t k = 0; k < x_count; k++) {
        x[k] = (float)((k * 7919 + 13) % 101) / 10 - 5;
    }
    memcpy(y, g->expected, y_count * sizeof *y);
    if (g->rank == 4) {
        arrange(last, 4, g->shape, x);
        arrange(last, 4, g->output, y);
    }
    OpHarness h;
    begin(&h, g, last);
    h.pool = pool;
    op_input(&h, OCTET_F32, &xs, x);
    add_parameters(&h, g, constant);
    op_run_ok(&h);
    op_expect_f32(&h, 0, &ys, y, 2e-5f);
    op_end(&h);
    free(x);
    free(y);
}

static void test_goldens(void **state) {
    for (int i = 0; i < GOLDENS; i++) {
        const ResizeGolden *g = &resize_goldens[i];
        check(g, true, false, *state);
        check(g, false, false, *state); /* sizes that are known only when running */
        if (g->rank == 4) {
            check(g, true, true, *state);
            check(g, false, true, *state);
        }
    }
}

/* On a grid: x is exact on it, so the result is the golden's within half a step. */
static void check_u8(const ResizeGolden *g, bool last, float y_scale, int32_t y_zero,
                     OctetThreadPool *pool) {
    OctetShape xs = shape_of(g->shape, g->rank, last), ys = shape_of(g->output, g->rank, last);
    size_t x_count = count_of(&xs), y_count = count_of(&ys);
    uint8_t *x = malloc(x_count);
    float *y = malloc(y_count * sizeof *y);
    for (size_t k = 0; k < x_count; k++) {
        x[k] = (uint8_t)((k * 7919 + 13) % 101 + 20);
    }
    memcpy(y, g->expected, y_count * sizeof *y);
    arrange(last, 1, g->shape, x);
    arrange(last, 4, g->output, y);
    OpHarness h;
    begin(&h, g, last);
    h.pool = pool;
    op_input_q(&h, OCTET_U8, &xs, x, 0.1f, 70);
    add_parameters(&h, g, true);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, y_scale, y_zero);
    op_run_ok(&h);
    op_expect_shape(&h, 0, OCTET_U8, &ys);
    for (size_t k = 0; k < y_count; k++) {
        float level = fminf(fmaxf(y[k] / y_scale + (float)y_zero, 0), 255);
        float got = ((const uint8_t *)h.outputs[0].data)[k];
        assert_true(fabsf(got - level) <= 0.5f + 2e-3f);
    }
    op_end(&h);
    free(x);
    free(y);
}

static void test_u8(void **state) {
    for (int i = 0; i < GOLDENS; i++) {
        if (resize_goldens[i].rank == 4) {
            check_u8(&resize_goldens[i], true, 0.1f, 70, *state);
            check_u8(&resize_goldens[i], false, 0.1f, 70, *state);
            check_u8(&resize_goldens[i], true, 0.13f, 99, *state);
        }
    }
}

/* Nearest moves elements of any type. */
static void test_types(void **state) {
    (void)state;
    const int64_t x[2] = {-1, INT64_MAX}, y[4] = {-1, -1, INT64_MAX, INT64_MAX};
    const uint8_t xb[2] = {1, 0}, yb[4] = {1, 1, 0, 0};
    const float scale = 2;
    OpHarness h;
    op_begin(&h, "", "Resize", 13, 1);
    op_input(&h, OCTET_S64, SHAPE(2), x);
    op_absent(&h);
    op_constant(&h, OCTET_F32, SHAPE(1), &scale);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S64, SHAPE(4), y);
    op_end(&h);
    op_begin(&h, "", "Resize", 13, 1);
    op_input(&h, OCTET_BOOL, SHAPE(2), xb);
    op_absent(&h);
    op_constant(&h, OCTET_F32, SHAPE(1), &scale);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_BOOL, SHAPE(4), yb);
    op_end(&h);
}

static void expect_error(float scale, int64_t scales, const char *mode, OctetStatus status) {
    float x[4] = {0}, s[4] = {1, 1, scale, scale};
    OpHarness h;
    op_begin(&h, "", "Resize", 13, 1);
    set_text(&h, "mode", mode);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 2, 2), x);
    op_absent(&h);
    op_constant(&h, OCTET_F32, SHAPE(scales), s);
    assert_int_equal(op_run(&h), status);
    op_end(&h);
}

static void test_errors(void **state) {
    (void)state;
    expect_error(2, 3, "nearest", OCTET_ERROR_SHAPE);
    expect_error(0, 4, "nearest", OCTET_ERROR_FORMAT);
    expect_error(-1, 4, "linear", OCTET_ERROR_FORMAT);
    expect_error(NAN, 4, "linear", OCTET_ERROR_FORMAT);
    expect_error(1e30f, 4, "linear", OCTET_ERROR_LIMIT);
    expect_error(2, 4, "quintic", OCTET_ERROR_UNSUPPORTED);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_goldens), cmocka_unit_test(test_u8),
                                       cmocka_unit_test(test_types), cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, start_pool, stop_pool);
}
