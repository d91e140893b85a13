/* Softmax, LogSoftmax and Hardmax along every axis, by both axis rules, in float and int8. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_harness.h"
#include "op_random.h"

typedef enum Kind { SOFTMAX, LOG_SOFTMAX, HARDMAX } Kind;

static const char *const names[] = {"Softmax", "LogSoftmax", "Hardmax"};

/* x seen as [outer][count][inner]. */
static void define(Kind kind, const double *x, int64_t outer, int64_t count, int64_t inner,
                   double *y) {
    for (int64_t line = 0; line < outer * inner; line++) {
        int64_t first = line / inner * count * inner + line % inner, best = first;
        double sum = 0;
        for (int64_t i = 0; i < count; i++) {
            best = x[first + i * inner] > x[best] ? first + i * inner : best;
        }
        for (int64_t i = 0; i < count; i++) {
            sum += exp(x[first + i * inner] - x[best]);
        }
        for (int64_t i = 0; i < count; i++) {
            int64_t at = first + i * inner;
            double shifted = x[at] - x[best];
            y[at] = kind == SOFTMAX       ? exp(shifted) / sum
                    : kind == LOG_SOFTMAX ? shifted - log(sum)
                                          : (at == best ? 1.0 : 0.0);
        }
    }
}

static void check(Kind kind, int opset, int64_t axis, bool set_axis, const OctetShape *shape,
                  bool quantized, OctetThreadPool *pool) {
    int64_t count, outer = 1, length = 1, inner = 1;
    assert_true(octet_shape_count(shape, &count));
    int64_t at = axis < 0 ? axis + shape->rank : axis;
    for (int32_t i = 0; i < shape->rank; i++) {
        outer *= i < at ? shape->dims[i] : 1;
        inner *= i > at && opset >= 13 ? shape->dims[i] : 1;
        length *= i == at || (i > at && opset < 13) ? shape->dims[i] : 1;
    }
    float *x = op_random_floats((size_t)count), *y = calloc((size_t)count + 1, sizeof *y);
    uint8_t *xq = op_random_bytes((size_t)count), *yq = calloc((size_t)count + 1, 1);
    double *exact = calloc((size_t)count + 1, sizeof *exact);
    double *result = calloc((size_t)count + 1, sizeof *result);
    for (int64_t i = 0; i < count; i++) {
        x[i] *= 8.0f;
        exact[i] = quantized ? ((double)xq[i] - 100) * (double)0.05f : (double)x[i];
    }
    define(kind, exact, outer, length, inner, result);
    float y_scale = kind == LOG_SOFTMAX ? 1.0f / 16 : 1.0f / 256;
    int32_t y_zero = kind == LOG_SOFTMAX ? 255 : 0;
    OpHarness h;
    op_begin(&h, "", names[kind], opset, 1);
    h.pool = pool;
    if (set_axis) {
        assert_true(oct_node_set_int(h.graph, h.node, "axis", axis));
    }
    if (quantized) {
        op_input_q(&h, OCTET_U8, shape, xq, 0.05f, 100);
        op_quantize(&h, h.node->outputs[0], OCTET_U8, y_scale, y_zero);
    } else {
        op_input(&h, OCTET_F32, shape, x);
    }
    op_run_ok(&h);
    for (int64_t i = 0; i < count; i++) {
        y[i] = (float)result[i];
    }
    if (!quantized) {
        op_expect_f32(&h, 0, shape, y, 2e-6f);
    } else {
        op_expect_shape(&h, 0, OCTET_U8, shape);
        const uint8_t *got = h.outputs[0].data;
        for (int64_t i = 0; i < count; i++) { /* half a step, and what float may add */
            double level = fmin(fmax(result[i] / (double)y_scale + y_zero, 0.0), 255.0);
            assert_true(fabs((double)got[i] - level) <= 0.5 + 1e-3);
        }
    }
    op_end(&h);
    free(x);
    free(y);
    free(xq);
    free(yq);
    free(exact);
    free(result);
}

static void test_axes(void **state) {
    for (int kind = SOFTMAX; kind <= HARDMAX; kind++) {
        for (int quantized = 0; quantized < (kind == HARDMAX ? 1 : 2); quantized++) {
            for (int64_t axis = -4; axis < 4; axis++) {
                check((Kind)kind, 13, axis, true, SHAPE(2, 5, 3, 70), quantized, *state);
                check((Kind)kind, 11, axis, true, SHAPE(2, 5, 3, 7), quantized, *state);
            }
            check((Kind)kind, 13, -1, false, SHAPE(3, 1000), quantized, *state);
            check((Kind)kind, 11, 1, false, SHAPE(2, 3, 4), quantized, *state);
            check((Kind)kind, 13, 0, true, SHAPE(1), quantized, *state);
            check((Kind)kind, 13, 1, true, SHAPE(0, 3), quantized, *state);
        }
    }
}

/* Large inputs neither overflow nor lose the sum. */
static void test_large(void **state) {
    (void)state;
    float x[2][4] = {{0, 1, 2, 3}, {10000, 10001, 10002, 10003}};
    float row[4] = {0.032058604f, 0.08714432f, 0.23688284f, 0.6439143f}, y[8];
    memcpy(y, row, sizeof row);
    memcpy(y + 4, row, sizeof row);
    OpHarness h;
    op_begin(&h, "", "Softmax", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 4), x);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(2, 4), y, 1e-6f);
    op_end(&h);
}

static void test_bad_axis(void **state) {
    (void)state;
    float x[4] = {0};
    OpHarness h;
    op_begin(&h, "", "Softmax", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), x);
    assert_true(oct_node_set_int(h.graph, h.node, "axis", 2));
    assert_int_not_equal(op_run(&h), OCTET_OK);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_axes), cmocka_unit_test(test_large),
                                       cmocka_unit_test(test_bad_axis)};
    return cmocka_run_group_tests(tests, start_pool, stop_pool);
}
