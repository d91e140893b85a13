/* Conv and ConvTranspose in float against their definition in double. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conv_naive.h"
#include "op_harness.h"
#include "op_random.h"

static double *to_double(const float *data, size_t count) {
    double *copy = malloc((count + 1) * sizeof *copy);
    for (size_t i = 0; i < count; i++) {
        copy[i] = data[i];
    }
    return copy;
}

typedef struct Case {
    NaiveConv naive;
    int rank; /* spatial */
    bool bias, constant, channels_last, relu;
    int64_t pad_end[3];
} Case;

static OctetShape image_shape(const Case *c, int64_t channels, const int64_t *sizes, bool last) {
    OctetShape shape = {.rank = c->rank + 2};
    shape.dims[0] = c->naive.batch;
    shape.dims[last ? c->rank + 1 : 1] = channels;
    for (int i = 0; i < c->rank; i++) {
        shape.dims[i + (last ? 1 : 2)] = sizes[3 - c->rank + i];
    }
    return shape;
}

static void set_attributes(OpHarness *h, const Case *c) {
    int first = 3 - c->rank;
    int64_t pads[6];
    for (int i = 0; i < c->rank; i++) {
        pads[i] = c->naive.pad[first + i];
        pads[c->rank + i] = c->pad_end[first + i];
    }
    assert_true(oct_node_set_ints(h->graph, h->node, "strides", c->naive.stride + first, c->rank));
    assert_true(
        oct_node_set_ints(h->graph, h->node, "dilations", c->naive.dilation + first, c->rank));
    assert_true(oct_node_set_ints(h->graph, h->node, "pads", pads, 2 * c->rank));
    assert_true(oct_node_set_int(h->graph, h->node, "group", c->naive.groups));
    assert_true(oct_node_set_int(h->graph, h->node, "channels_last", c->channels_last));
    if (c->relu) {
        h->node->activation = (OctActivation){OCT_ACTIVATION_CLIP, 0.0f, 6.0f};
    }
}

static void check(const Case *c, OctetThreadPool *pool) {
    const NaiveConv *naive = &c->naive;
    size_t x_count = (size_t)(naive->batch * naive->in_channels * naive_area(naive->in));
    size_t y_count = (size_t)(naive->batch * naive->out_channels * naive_area(naive->out));
    size_t w_count = (size_t)(naive->in_channels * naive->out_channels / naive->groups *
                              naive_area(naive->kernel));
    float *x = op_random_floats(x_count), *w = op_random_floats(w_count);
    float *b = op_random_floats((size_t)naive->out_channels);
    double *xd = to_double(x, x_count), *wd = to_double(w, w_count);
    double *bd = to_double(b, (size_t)naive->out_channels);
    double *yd = malloc((y_count + 1) * sizeof *yd);
    naive_conv(naive, xd, wd, c->bias ? bd : NULL, yd);
    float *expected = malloc((y_count + 1) * sizeof *expected), *last = NULL;
    for (size_t i = 0; i < y_count; i++) {
        expected[i] = (float)(c->relu ? fmin(fmax(yd[i], 0.0), 6.0) : yd[i]);
    }
    if (c->channels_last) {
        last = malloc((x_count + y_count + 1) * sizeof *last);
        naive_to_last(4, naive->batch, naive->in_channels, naive_area(naive->in), x, last);
        memcpy(x, last, x_count * 4);
        naive_to_last(4, naive->batch, naive->out_channels, naive_area(naive->out), expected, last);
        memcpy(expected, last, y_count * 4);
    }
    OpHarness h;
    op_begin(&h, "", naive->transposed ? "ConvTranspose" : "Conv", 11, 1);
    h.pool = pool;
    set_attributes(&h, c);
    OctetShape xs = image_shape(c, naive->in_channels, naive->in, c->channels_last);
    OctetShape ys = image_shape(c, naive->out_channels, naive->out, c->channels_last);
    OctetShape ws = image_shape(c, 0, naive->kernel, false);
    ws.dims[0] = naive->transposed ? naive->in_channels : naive->out_channels;
    ws.dims[1] = (naive->transposed ? naive->out_channels : naive->in_channels) / naive->groups;
    op_input(&h, OCTET_F32, &xs, x);
    (c->constant ? op_constant : op_input)(&h, OCTET_F32, &ws, w);
    if (c->bias) {
        (c->constant ? op_constant : op_input)(&h, OCTET_F32, SHAPE(naive->out_channels), b);
    }
    op_run_ok(&h);
    op_expect_f32(&h, 0, &ys, expected, 2e-5f);
    op_end(&h);
    free(x);
    free(w);
    free(b);
    free(xd);
    free(wd);
    free(bd);
    free(yd);
    free(expected);
    free(last);
}

static Case random_case(bool transposed) {
    Case c = {.rank = op_random_int(1, 3),
              .bias = op_random_int(0, 1),
              .constant = op_random_int(0, 3) > 0,
              .channels_last = op_random_int(0, 1),
              .relu = op_random_int(0, 3) == 0};
    NaiveConv *n = &c.naive;
    n->transposed = transposed;
    n->batch = op_random_int(1, 3);
    n->groups = op_random_int(0, 2) ? 1 : op_random_int(2, 6);
    int64_t ig = op_random_int(1, 9), og = op_random_int(1, 9);
    if (op_random_int(0, 4) == 0) { /* depthwise */
        n->groups = op_random_int(2, 40);
        ig = og = 1;
    }
    n->in_channels = ig * n->groups;
    n->out_channels = og * n->groups;
    for (int i = 0; i < 3; i++) {
        bool used = i >= 3 - c.rank;
        n->kernel[i] = used ? op_random_int(1, 4) : 1;
        n->stride[i] = used ? op_random_int(1, 3) : 1;
        n->dilation[i] = used ? op_random_int(1, 3) : 1;
        n->pad[i] = used ? op_random_int(0, 3) : 0;
        c.pad_end[i] = used ? op_random_int(0, 3) : 0;
        int64_t extent = (n->kernel[i] - 1) * n->dilation[i] + 1;
        n->in[i] = used ? op_random_int(1, 8) : 1;
        if (transposed) {
            n->out[i] = (n->in[i] - 1) * n->stride[i] + extent - n->pad[i] - c.pad_end[i];
            while (n->out[i] < 1) {
                n->out[i] += n->stride[i];
                n->in[i]++;
            }
        } else {
            while (n->in[i] + n->pad[i] + c.pad_end[i] < extent) {
                n->in[i]++;
            }
            n->out[i] = (n->in[i] + n->pad[i] + c.pad_end[i] - extent) / n->stride[i] + 1;
        }
    }
    return c;
}

static void test_conv_random(void **state) {
    for (int i = 0; i < 300; i++) {
        Case c = random_case(false);
        check(&c, *state);
    }
}

static void test_conv_transpose_random(void **state) {
    for (int i = 0; i < 300; i++) {
        Case c = random_case(true);
        check(&c, *state);
    }
}

/* Sums of 1, over what auto_pad leaves of the input. */
static void run_auto_pad(const char *auto_pad, int64_t stride, const OctetShape *out,
                         const float *expected) {
    float x[5] = {1, 1, 1, 1, 1}, w[2] = {1, 10};
    OpHarness h;
    op_begin(&h, "", "Conv", 11, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 5), x);
    op_constant(&h, OCTET_F32, SHAPE(1, 1, 2), w);
    assert_true(oct_node_set_string(h.graph, h.node, "auto_pad", auto_pad));
    assert_true(oct_node_set_ints(h.graph, h.node, "strides", &stride, 1));
    op_run_ok(&h);
    op_expect_f32(&h, 0, out, expected, 0.0f);
    op_end(&h);
}

static void test_auto_pad(void **state) {
    (void)state;
    run_auto_pad("VALID", 1, SHAPE(1, 1, 4), (float[]){11, 11, 11, 11});
    run_auto_pad("SAME_UPPER", 1, SHAPE(1, 1, 5), (float[]){11, 11, 11, 11, 1});
    run_auto_pad("SAME_LOWER", 1, SHAPE(1, 1, 5), (float[]){10, 11, 11, 11, 11});
    run_auto_pad("SAME_UPPER", 2, SHAPE(1, 1, 3), (float[]){11, 11, 1});
    run_auto_pad("NOTSET", 3, SHAPE(1, 1, 2), (float[]){11, 11});
}

/* ONNX's example of ConvTranspose with output_shape (convtranspose_output_shape). */
static void test_transpose_output_shape(void **state) {
    (void)state;
    float x[3] = {1, 2, 3}, w[3] = {1, 1, 1};
    int64_t stride = 3, shape = 10;
    OpHarness h;
    op_begin(&h, "", "ConvTranspose", 11, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 3), x);
    op_constant(&h, OCTET_F32, SHAPE(1, 1, 3), w);
    assert_true(oct_node_set_ints(h.graph, h.node, "strides", &stride, 1));
    assert_true(oct_node_set_ints(h.graph, h.node, "output_shape", &shape, 1));
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1, 1, 10), (float[]){1, 1, 1, 2, 2, 2, 3, 3, 3, 0}, 0.0f);
    op_end(&h);
    int64_t padding = 1;
    op_begin(&h, "", "ConvTranspose", 11, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 3), x);
    op_constant(&h, OCTET_F32, SHAPE(1, 1, 3), w);
    assert_true(oct_node_set_ints(h.graph, h.node, "strides", &stride, 1));
    assert_true(oct_node_set_ints(h.graph, h.node, "output_padding", &padding, 1));
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1, 1, 10), (float[]){1, 1, 1, 2, 2, 2, 3, 3, 3, 0}, 0.0f);
    op_end(&h);
}

/* The odd place of the padding that follows from a size is at the front, but for SAME_UPPER. */
static void test_transpose_odd_padding(void **state) {
    (void)state;
    static const char *const modes[] = {"NOTSET", "SAME_UPPER", "SAME_LOWER"};
    static const float full[9] = {1, 2, 3, 2, 4, 6, 3, 6, 9};
    float x[3] = {1, 2, 3}, w[3] = {1, 2, 3};
    int64_t stride = 3, shape = 8;
    for (int i = 0; i < 3; i++) {
        OpHarness h;
        op_begin(&h, "", "ConvTranspose", 11, 1);
        op_input(&h, OCTET_F32, SHAPE(1, 1, 3), x);
        op_constant(&h, OCTET_F32, SHAPE(1, 1, 3), w);
        assert_true(oct_node_set_ints(h.graph, h.node, "strides", &stride, 1));
        assert_true(oct_node_set_ints(h.graph, h.node, "output_shape", &shape, 1));
        assert_true(oct_node_set_string(h.graph, h.node, "auto_pad", modes[i]));
        op_run_ok(&h);
        op_expect_f32(&h, 0, SHAPE(1, 1, 8), i == 1 ? full : full + 1, 0.0f);
        op_end(&h);
    }
}

static void test_fused_conv(void **state) {
    (void)state;
    float x[3] = {1, -2, 3}, w[1] = {2}, b[1] = {0.5f}, z[3] = {-10, 1, 1};
    OpHarness h;
    op_begin(&h, "com.microsoft", "FusedConv", 1, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 3), x);
    op_constant(&h, OCTET_F32, SHAPE(1, 1, 1), w);
    op_constant(&h, OCTET_F32, SHAPE(1), b);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 3), z);
    assert_true(oct_node_set_string(h.graph, h.node, "activation", "Relu"));
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1, 1, 3), (float[]){0, 0, 7.5f}, 0.0f);
    op_end(&h);
    float slope = 0.5f;
    op_begin(&h, "com.microsoft", "FusedConv", 1, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 3), x);
    op_constant(&h, OCTET_F32, SHAPE(1, 1, 1), w);
    assert_true(oct_node_set_string(h.graph, h.node, "activation", "LeakyRelu"));
    assert_true(oct_node_set_floats(h.graph, h.node, "activation_params", &slope, 1));
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1, 1, 3), (float[]){2, -2, 6}, 0.0f);
    op_end(&h);
}

/* DeformConv by hand: with a mask and bias, and with two offset groups. */
static void test_deform_conv(void **state) {
    float x[9], w[4] = {1, 1, 1, 1}, offset[32] = {0}, mask[16], bias = 1;
    for (int i = 0; i < 9; i++) {
        x[i] = (float)i;
    }
    for (int i = 0; i < 16; i++) {
        mask[i] = 1;
    }
    offset[0 * 4 + 0] = 0.5f;  /* tap 0 moves half a row down at output 0 */
    offset[5 * 4 + 1] = -0.1f; /* tap 2 moves left at output 1 */
    mask[2 * 4 + 3] = 0.2f;    /* tap 2 counts less at output 3 */
    OpHarness h;
    op_begin(&h, "", "DeformConv", 19, 1);
    h.pool = *state;
    op_input(&h, OCTET_F32, SHAPE(1, 1, 3, 3), x);
    op_constant(&h, OCTET_F32, SHAPE(1, 1, 2, 2), w);
    op_input(&h, OCTET_F32, SHAPE(1, 8, 2, 2), offset);
    op_constant(&h, OCTET_F32, SHAPE(1), &bias);
    op_input(&h, OCTET_F32, SHAPE(1, 4, 2, 2), mask);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1, 1, 2, 2),
                  (float[]){8 + 1.5f + 1, 12 - 0.1f + 1, 20 + 1, 24 - 0.8f * 7 + 1}, 1e-6f);
    op_end(&h);
    float two[18], zero[64] = {0}, weights[8] = {1, 1, 1, 1, 1, 1, 1, 1};
    for (int i = 0; i < 18; i++) {
        two[i] = (float)(i % 9);
    }
    zero[0 * 4 + 0] = 0.5f;
    zero[13 * 4 + 1] = -0.1f; /* the second group's tap 2 */
    op_begin(&h, "", "DeformConv", 19, 1);
    assert_true(oct_node_set_int(h.graph, h.node, "offset_group", 2));
    op_input(&h, OCTET_F32, SHAPE(1, 2, 3, 3), two);
    op_constant(&h, OCTET_F32, SHAPE(1, 2, 2, 2), weights);
    op_input(&h, OCTET_F32, SHAPE(1, 16, 2, 2), zero);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1, 1, 2, 2), (float[]){16 + 1.5f, 24 - 0.1f, 40, 48}, 1e-6f);
    op_end(&h);
}

static void expect_error(const OctetShape *x, const OctetShape *w, int64_t group,
                         OctetStatus status) {
    static const float data[512];
    OpHarness h;
    op_begin(&h, "", "Conv", 11, 1);
    op_input(&h, OCTET_F32, x, data);
    op_constant(&h, OCTET_F32, w, data);
    assert_true(oct_node_set_int(h.graph, h.node, "group", group));
    assert_int_equal(op_run(&h), status);
    assert_true(h.diagnostic.message[0] != '\0');
    op_end(&h);
}

static void test_errors(void **state) {
    (void)state;
    expect_error(SHAPE(1, 3, 5), SHAPE(2, 2, 3), 1, OCTET_ERROR_SHAPE);
    expect_error(SHAPE(1, 3, 5), SHAPE(2, 3, 6), 1, OCTET_ERROR_SHAPE);
    expect_error(SHAPE(1, 4, 5), SHAPE(3, 2, 3), 2, OCTET_ERROR_SHAPE);
    expect_error(SHAPE(1, 4, 5), SHAPE(3, 4, 3), 0, OCTET_ERROR_FORMAT);
    expect_error(SHAPE(1, 4, 5), SHAPE(4, 4, 3, 3), 1, OCTET_ERROR_SHAPE);
    expect_error(SHAPE(1, 1, 2, 2, 2, 2), SHAPE(1, 1, 1, 1, 1, 1), 1, OCTET_ERROR_SHAPE);
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
        cmocka_unit_test(test_conv_random),
        cmocka_unit_test(test_conv_transpose_random),
        cmocka_unit_test(test_auto_pad),
        cmocka_unit_test(test_transpose_output_shape),
        cmocka_unit_test(test_transpose_odd_padding),
        cmocka_unit_test(test_fused_conv),
        cmocka_unit_test(test_deform_conv),
        cmocka_unit_test(test_errors),
    };
    return cmocka_run_group_tests(tests, start_pool, stop_pool);
}
