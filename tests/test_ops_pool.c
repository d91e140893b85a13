/* Pools in float, int8 and plain integers, against their definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conv_naive.h"
#include "op_harness.h"
#include "op_random.h"

typedef enum Kind { KIND_MAX, KIND_AVERAGE, KIND_LP } Kind;

typedef struct Case {
    Kind kind;
    bool global, count_include_pad, ceil_mode, channels_last, relu;
    int64_t p;
    int rank;
    int64_t batch, channels;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3], pad_end[3];
} Case;

/* One output over unused leading axes of 1: the sum of value(tap), the count, the maximum. */
typedef struct Tally {
    double sum, maximum;
    int64_t count, padded, where;
} Tally;

static double measure(const Case *c, double value) {
    return c->kind == KIND_LP ? pow(fabs(value), (double)c->p) : value;
}

static Tally tally(const Case *c, const double *plane, int64_t output) {
    Tally t = {.maximum = -INFINITY, .where = -1};
    int64_t at[3] = {output / (c->out[1] * c->out[2]), output / c->out[2] % c->out[1],
                     output % c->out[2]};
    for (int64_t k = 0; k < naive_area(c->kernel); k++) {
        int64_t tap[3] = {k / (c->kernel[1] * c->kernel[2]), k / c->kernel[2] % c->kernel[1],
                          k % c->kernel[2]};
        bool inside = true, padded = true;
        int64_t pixel = 0;
        for (int i = 0; i < 3; i++) {
            int64_t x = at[i] * c->stride[i] + tap[i] * c->dilation[i] - c->pad[i];
            inside = inside && x >= 0 && x < c->in[i];
            padded = padded && x < c->in[i] + c->pad_end[i];
            pixel = pixel * c->in[i] + x;
        }
        t.padded += padded;
        if (inside) {
            t.count++;
            t.sum += measure(c, plane[pixel]);
            if (plane[pixel] > t.maximum) {
                t.maximum = plane[pixel];
                t.where = pixel;
            }
        }
    }
    return t;
}

static OctetShape image_shape(const Case *c, const int64_t *sizes) {
    OctetShape shape = {.rank = c->rank + 2};
    shape.dims[0] = c->batch;
    shape.dims[c->channels_last ? c->rank + 1 : 1] = c->channels;
    for (int i = 0; i < c->rank; i++) {
        shape.dims[i + (c->channels_last ? 1 : 2)] = sizes[3 - c->rank + i];
    }
    return shape;
}

static void begin(OpHarness *h, const Case *c, int32_t outputs, OctetThreadPool *pool) {
    static const char *const names[] = {"MaxPool", "AveragePool", "LpPool"};
    static const char *const global_names[] = {"GlobalMaxPool", "GlobalAveragePool",
                                               "GlobalLpPool"};
    int first = 3 - c->rank;
    int64_t pads[6];
    op_begin(h, "", (c->global ? global_names : names)[c->kind], 22, outputs);
    h->pool = pool;
    assert_true(oct_node_set_int(h->graph, h->node, "channels_last", c->channels_last));
    if (c->relu) {
        h->node->activation = (OctActivation){OCT_ACTIVATION_CLIP, 0.0f, INFINITY};
    }
    if (c->kind == KIND_LP) {
        assert_true(oct_node_set_int(h->graph, h->node, "p", c->p));
    }
    if (c->global) {
        return;
    }
    for (int i = 0; i < c->rank; i++) {
        pads[i] = c->pad[first + i];
        pads[c->rank + i] = c->pad_end[first + i];
    }
    OctGraph *graph = h->graph;
    assert_true(oct_node_set_ints(graph, h->node, "kernel_shape", c->kernel + first, c->rank));
    assert_true(oct_node_set_ints(graph, h->node, "strides", c->stride + first, c->rank));
    assert_true(oct_node_set_ints(graph, h->node, "dilations", c->dilation + first, c->rank));
    assert_true(oct_node_set_ints(graph, h->node, "pads", pads, 2 * c->rank));
    assert_true(oct_node_set_int(graph, h->node, "ceil_mode", c->ceil_mode));
    if (c->kind == KIND_AVERAGE) {
        assert_true(oct_node_set_int(graph, h->node, "count_include_pad", c->count_include_pad));
    }
}

static void to_last(const Case *c, size_t size, const int64_t *sizes, void *data) {
    size_t count = (size_t)(c->batch * c->channels * naive_area(sizes));
    char *copy = malloc(count * size + 1);
    if (c->channels_last) {
        naive_to_last(size, c->batch, c->channels, naive_area(sizes), data, copy);
        memcpy(data, copy, count * size);
    }
    free(copy);
}

static double expected_real(const Case *c, const Tally *t) {
    int64_t divisor = c->count_include_pad ? t->padded : t->count;
    double value = c->kind == KIND_MAX  ? t->maximum
                   : c->kind == KIND_LP ? pow(t->sum, 1.0 / (double)c->p)
                   : divisor == 0       ? 0.0
                                        : t->sum / (double)divisor;
    return c->relu ? fmax(value, 0.0) : value;
}

static void check_float(const Case *c, bool indices, OctetThreadPool *pool) {
    int64_t in = naive_area(c->in), out = naive_area(c->out), planes = c->batch * c->channels;
    float *x = op_random_floats((size_t)(planes * in));
    double *exact = calloc((size_t)(planes * in) + 1, sizeof *exact);
    float *y = calloc((size_t)(planes * out) + 1, sizeof *y);
    int64_t *where = calloc((size_t)(planes * out) + 1, sizeof *where);
    for (int64_t i = 0; i < planes * in; i++) {
        exact[i] = x[i];
    }
    for (int64_t i = 0; i < planes * out; i++) {
        Tally t = tally(c, exact + i / out * in, i % out);
        y[i] = (float)expected_real(c, &t);
        where[i] = t.where < 0 ? -1 : i / out * in + t.where;
    }
    OctetShape xs = image_shape(c, c->in), ys = image_shape(c, c->out);
    to_last(c, 4, c->in, x);
    to_last(c, 4, c->out, y);
    to_last(c, 8, c->out, where);
    OpHarness h;
    begin(&h, c, indices ? 2 : 1, pool);
    op_input(&h, OCTET_F32, &xs, x);
    op_run_ok(&h);
    op_expect_f32(&h, 0, &ys, y, 1e-5f);
    if (indices) {
        op_expect(&h, 1, OCTET_S64, &ys, where);
    }
    op_end(&h);
    free(x);
    free(exact);
    free(y);
    free(where);
}

static void check_u8(const Case *c, bool same_grid, OctetThreadPool *pool) {
    float x_scale = 0.02f, y_scale = same_grid ? x_scale : 0.03f;
    int32_t x_zero = op_random_int(0, 255), y_zero = same_grid ? x_zero : op_random_int(0, 255);
    int64_t in = naive_area(c->in), out = naive_area(c->out), planes = c->batch * c->channels;
    uint8_t *x = op_random_bytes((size_t)(planes * in)),
            *y = op_random_bytes((size_t)(planes * out));
    double *exact = calloc((size_t)(planes * in) + 1, sizeof *exact);
    for (int64_t i = 0; i < planes * in; i++) {
        exact[i] = (double)x[i] - x_zero;
    }
    for (int64_t i = 0; i < planes * out; i++) {
        Tally t = tally(c, exact + i / out * in, i % out);
        int64_t divisor = c->count_include_pad ? t.padded : t.count;
        float level;
        if (c->kind == KIND_MAX) {
            double top = t.count ? t.maximum : -(double)x_zero;
            level = rintf((float)top * x_scale / y_scale);
        } else {
            level = divisor ? rintf((float)t.sum * (x_scale / (y_scale * (float)divisor))) : 0.0f;
        }
        float low = c->relu ? (float)y_zero : 0.0f;
        y[i] = (uint8_t)fminf(fmaxf(level + (float)y_zero, low), 255.0f);
    }
    OctetShape xs = image_shape(c, c->in), ys = image_shape(c, c->out);
    to_last(c, 1, c->in, x);
    to_last(c, 1, c->out, y);
    OpHarness h;
    begin(&h, c, 1, pool);
    op_input_q(&h, OCTET_U8, &xs, x, x_scale, x_zero);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, y_scale, y_zero);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_U8, &ys, y);
    op_end(&h);
    free(x);
    free(y);
    free(exact);
}

static Case random_case(Kind kind) {
    Case c = {.kind = kind,
              .global = op_random_int(0, 4) == 0,
              .count_include_pad = op_random_int(0, 1),
              .ceil_mode = op_random_int(0, 1),
              .channels_last = op_random_int(0, 1),
              .relu = op_random_int(0, 4) == 0,
              .p = op_random_int(1, 3),
              .rank = op_random_int(1, 3),
              .batch = op_random_int(1, 3),
              .channels = op_random_int(1, 40)};
    if (c.global || kind != KIND_AVERAGE) {
        c.count_include_pad = false;
    }
    for (int i = 0; i < 3; i++) {
        bool used = i >= 3 - c.rank;
        c.in[i] = used ? op_random_int(1, 10) : 1;
        c.kernel[i] = c.stride[i] = c.dilation[i] = c.out[i] = 1;
        if (c.global) {
            c.kernel[i] = c.in[i];
        } else if (used) {
            c.kernel[i] = op_random_int(1, 4);
            c.stride[i] = op_random_int(1, 3);
            c.dilation[i] = op_random_int(1, 2);
            c.pad[i] = op_random_int(0, (int)c.kernel[i] - 1);
            c.pad_end[i] = op_random_int(0, (int)c.kernel[i] - 1);
            int64_t extent = (c.kernel[i] - 1) * c.dilation[i] + 1;
            while (c.in[i] + c.pad[i] + c.pad_end[i] < extent) {
                c.in[i]++;
            }
            int64_t room = c.in[i] + c.pad[i] + c.pad_end[i] - extent;
            c.out[i] = room / c.stride[i] + 1;
            if (c.ceil_mode && room % c.stride[i] && c.out[i] * c.stride[i] < c.in[i] + c.pad[i]) {
                c.out[i]++;
            }
        }
    }
    return c;
}

static void test_max(void **state) {
    for (int i = 0; i < 150; i++) {
        Case c = random_case(KIND_MAX);
        bool indices = !c.global && !c.relu && op_random_int(0, 1);
        check_float(&c, indices, *state);
        check_u8(&c, op_random_int(0, 1), *state);
    }
}

static void test_average(void **state) {
    for (int i = 0; i < 150; i++) {
        Case c = random_case(KIND_AVERAGE);
        check_float(&c, false, *state);
        check_u8(&c, op_random_int(0, 1), *state);
    }
}

static void test_lp(void **state) {
    for (int i = 0; i < 100; i++) {
        Case c = random_case(KIND_LP);
        check_float(&c, false, *state);
    }
}

/* More taps than the kernel's group of pointers. */
static void test_large_window(void **state) {
    for (int kind = KIND_MAX; kind <= KIND_AVERAGE; kind++) {
        Case c = {.kind = (Kind)kind,
                  .rank = 2,
                  .batch = 1,
                  .channels = 3,
                  .in = {1, 20, 20},
                  .out = {1, 6, 4},
                  .kernel = {1, 15, 17},
                  .stride = {1, 1, 1},
                  .dilation = {1, 1, 1}};
        check_float(&c, false, *state);
        check_u8(&c, true, *state);
        check_u8(&c, false, *state);
    }
}

/* Without grids, MaxPool works on the integers, and may number its indices by columns. */
static void test_plain_integers(void **state) {
    (void)state;
    const uint8_t x[9] = {1, 9, 3, 4, 5, 6, 7, 2, 8};
    int64_t kernel[2] = {2, 2};
    for (int column_major = 0; column_major < 2; column_major++) {
        OpHarness h;
        op_begin(&h, "", "MaxPool", 12, 2);
        op_input(&h, OCTET_U8, SHAPE(1, 1, 3, 3), x);
        assert_true(oct_node_set_ints(h.graph, h.node, "kernel_shape", kernel, 2));
        assert_true(oct_node_set_int(h.graph, h.node, "storage_order", column_major));
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_U8, SHAPE(1, 1, 2, 2), (uint8_t[]){9, 9, 7, 8});
        op_expect(&h, 1, OCTET_S64, SHAPE(1, 1, 2, 2),
                  column_major ? (int64_t[]){3, 3, 2, 8} : (int64_t[]){1, 1, 6, 8});
        op_end(&h);
    }
}

static void test_errors(void **state) {
    (void)state;
    static const float x[16];
    OpHarness h;
    op_begin(&h, "", "MaxPool", 12, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 4, 4), x);
    assert_int_equal(op_run(&h), OCTET_ERROR_FORMAT);
    op_end(&h);
    op_begin(&h, "", "AveragePool", 12, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 4, 4), x);
    assert_true(oct_node_set_ints(h.graph, h.node, "kernel_shape", (int64_t[]){5, 5}, 2));
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_max),
                                       cmocka_unit_test(test_average),
                                       cmocka_unit_test(test_lp),
                                       cmocka_unit_test(test_large_window),
                                       cmocka_unit_test(test_plain_integers),
                                       cmocka_unit_test(test_errors)};
    return cmocka_run_group_tests(tests, start_pool, stop_pool);
}
