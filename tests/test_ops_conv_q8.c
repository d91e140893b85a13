/* Int8 Conv and ConvTranspose against exact integers, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "conv_naive.h"
#include "kernels/q8_epilogue.h"
#include "op_harness.h"
#include "op_random.h"
#include "quant/requantize.h"

enum BiasKind { BIAS_NONE, BIAS_S32, BIAS_FLOAT };

typedef struct Case {
    NaiveConv naive;
    int rank; /* spatial */
    enum BiasKind bias;
    bool channels_last, relu, table, residual, float_output, u8_weights, per_channel;
    OctetRequantize mode;
    int64_t pad_end[3];
    float x_scale, y_scale, residual_scale;
    int32_t x_zero, y_zero, residual_zero;
} Case;

/* What one case computes with. */
typedef struct Data {
    size_t x_count, w_count, y_count, channels, w_channels;
    uint8_t *x, *w, *residual, table[256];
    float *scales;
    int32_t *zeros, *bias;
    float *float_bias;
} Data;

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

static Data make_data(const Case *c) {
    const NaiveConv *n = &c->naive;
    Data d = {.x_count = (size_t)(n->batch * n->in_channels * naive_area(n->in)),
              .y_count = (size_t)(n->batch * n->out_channels * naive_area(n->out)),
              .w_count =
                  (size_t)(n->in_channels * n->out_channels / n->groups * naive_area(n->kernel)),
              .channels = (size_t)n->out_channels};
    d.w_channels = d.channels / (n->transposed ? (size_t)n->groups : 1);
    d.x = op_random_bytes(d.x_count);
    d.w = op_random_bytes(d.w_count);
    d.residual = op_random_bytes(d.y_count);
    d.scales = calloc(d.channels + 1, sizeof *d.scales);
    d.zeros = calloc(d.channels + 1, sizeof *d.zeros);
    d.bias = calloc(d.channels + 1, sizeof *d.bias);
    d.float_bias = op_random_floats(d.channels);
    for (int i = 0; i < 256; i++) {
        d.table[i] = (uint8_t)op_random();
    }
    bool zeros = op_random_int(0, 3) == 0;
    for (size_t i = 0; i < d.w_channels; i++) {
        size_t from = c->per_channel ? i : 0;
        d.scales[i] = from == i ? (float)op_random_int(1, 1000) * 1e-4f : d.scales[0];
        d.zeros[i] = from == i && zeros ? op_random_int(-3, 3) : d.zeros[from];
        d.zeros[i] += c->u8_weights && from == i ? 128 : 0;
    }
    for (size_t i = 0; i < d.channels; i++) {
        d.bias[i] = op_random_int(-50000, 50000);
    }
    return d;
}

static void free_data(Data *d) {
    free(d->x);
    free(d->w);
    free(d->residual);
    free(d->scales);
    free(d->zeros);
    free(d->bias);
    free(d->float_bias);
}

/* The exact sums, bias included. */
static double *exact_sums(const Case *c, const Data *d) {
    const NaiveConv *n = &c->naive;
    double *x = malloc((d->x_count + 1) * sizeof *x), *w = malloc((d->w_count + 1) * sizeof *w);
    double *bias = calloc(d->channels + 1, sizeof *bias);
    double *sums = malloc((d->y_count + 1) * sizeof *sums);
    size_t taps = (size_t)naive_area(n->kernel);
    for (size_t i = 0; i < d->x_count; i++) {
        x[i] = (double)d->x[i] - c->x_zero;
    }
    for (size_t i = 0; i < d->w_count; i++) {
        size_t channel = n->transposed ? i / taps % d->w_channels : i / (d->w_count / d->channels);
        w[i] = (double)(c->u8_weights ? d->w[i] : (int8_t)d->w[i]) - d->zeros[channel];
    }
    /* by_reference and expect_one add a float bias themselves */
    bool later = c->mode != OCTET_REQUANTIZE_ONNX || c->float_output;
    for (size_t o = 0; o < d->channels; o++) {
        double scale = (double)c->x_scale * (double)d->scales[o % d->w_channels];
        bias[o] = c->bias == BIAS_S32               ? d->bias[o]
                  : c->bias == BIAS_FLOAT && !later ? rint((double)d->float_bias[o] / scale)
                                                    : 0.0;
    }
    naive_conv(n, x, w, bias, sums);
    free(x);
    free(w);
    free(bias);
    return sums;
}

static uint8_t clamp_u8(float value) {
    return (uint8_t)fminf(fmaxf(value, 0.0f), 255.0f);
}

/* The arithmetic of the other runtimes is quant/requantize.h's. */
static uint8_t by_reference(const Case *c, const Data *d, int32_t sum, size_t channel) {
    OctRequantizeInput input = {.input_scale = c->x_scale,
                                .weight_scale = d->scales[channel % d->w_channels],
                                .output_scale = c->y_scale,
                                .has_float_bias = c->bias == BIAS_FLOAT,
                                .bias = d->float_bias[channel]};
    OctRequantizeOutput output = {.zero_point = c->y_zero, .minimum = 0, .maximum = 255};
    OctRequantizeChannel parameters;
    assert_int_equal(oct_requantize_prepare(c->mode, &input, &parameters, NULL), OCTET_OK);
    return (uint8_t)oct_requantize(c->mode, sum, &parameters, &output);
}

/* One output, by the definitions of numerics.md. */
static void expect_one(const Case *c, const Data *d, double sum, size_t channel, uint8_t residual,
                       void *y, size_t i) {
    float product = c->x_scale * d->scales[channel % d->w_channels];
    if (c->float_output) {
        float value = (float)(int32_t)sum * product;
        value += c->bias == BIAS_FLOAT ? d->float_bias[channel] : 0.0f;
        ((float *)y)[i] = c->relu ? fminf(fmaxf(value, 0.0f), 6.0f) : value;
        return;
    }
    float level = rintf((float)(int32_t)sum * (product / c->y_scale)) + (float)c->y_zero;
    uint8_t q = c->mode == OCTET_REQUANTIZE_ONNX ? clamp_u8(level)
                                                 : by_reference(c, d, (int32_t)sum, channel);
    if (c->relu) {
        uint8_t low = clamp_u8((float)c->y_zero);
        uint8_t high = clamp_u8(rintf(6.0f / c->y_scale) + (float)c->y_zero);
        q = q < low ? low : q > high ? high : q;
    }
    q = c->table ? d->table[q] : q;
    if (c->residual) {
        OctQ8Add add = oct_q8_add_params(c->y_scale, c->y_zero, c->residual_scale, c->residual_zero,
                                         c->y_scale, c->y_zero);
        q = oct_q8_add_one(&add, q, residual);
    }
    ((uint8_t *)y)[i] = q;
}

static void *expected_output(const Case *c, const Data *d) {
    double *sums = exact_sums(c, d);
    size_t area = (size_t)naive_area(c->naive.out), size = c->float_output ? 4 : 1;
    char *y = calloc(d->y_count + 1, size);
    for (size_t i = 0; i < d->y_count; i++) {
        assert_true(fabs(sums[i]) < 0x1p31);
        expect_one(c, d, sums[i], i / area % d->channels, d->residual[i], y, i);
    }
    free(sums);
    return y;
}

static void to_last(const Case *c, size_t size, int64_t channels, const int64_t *sizes,
                    size_t count, void *data) {
    char *copy = malloc(count * size + 1);
    if (c->channels_last) {
        naive_to_last(size, c->naive.batch, channels, naive_area(sizes), data, copy);
        memcpy(data, copy, count * size);
    }
    free(copy);
}

static void add_weights(OpHarness *h, const Case *c, const Data *d) {
    const NaiveConv *n = &c->naive;
    OctetShape shape = image_shape(c, 0, n->kernel, false);
    shape.dims[0] = n->transposed ? n->in_channels : n->out_channels;
    shape.dims[1] = (n->transposed ? n->out_channels : n->in_channels) / n->groups;
    OctetDType dtype = c->u8_weights ? OCTET_U8 : OCTET_S8;
    OctValue *w = op_constant(h, dtype, &shape, d->w);
    w->dtype = OCTET_F32;
    OctetQParams qparams = {.dtype = dtype,
                            .axis = c->per_channel ? (n->transposed ? 1 : 0) : -1,
                            .count = c->per_channel ? (int64_t)d->w_channels : 1,
                            .scale = d->scales,
                            .zero_point = d->zeros};
    assert_true(oct_graph_set_qparams(h->graph, w, &qparams));
}

static void add_bias(OpHarness *h, const Case *c, const Data *d) {
    const OctetShape *shape = SHAPE((int64_t)d->channels);
    if (c->bias == BIAS_NONE) {
        op_absent(h);
    } else if (c->bias == BIAS_FLOAT) {
        op_constant(h, OCTET_F32, shape, d->float_bias);
    } else {
        OctValue *bias = op_constant(h, OCTET_S32, shape, d->bias);
        float *scales = calloc(d->channels, sizeof *scales);
        int32_t *zeros = calloc(d->channels, sizeof *zeros);
        for (size_t i = 0; i < d->channels; i++) {
            scales[i] = c->x_scale * d->scales[i % d->w_channels];
        }
        OctetQParams qparams = {.dtype = OCTET_S32,
                                .axis = 0,
                                .count = (int64_t)d->channels,
                                .scale = scales,
                                .zero_point = zeros};
        bias->dtype = OCTET_F32;
        assert_true(oct_graph_set_qparams(h->graph, bias, &qparams));
        free(scales);
        free(zeros);
    }
}

static void check(Case *c, OctetThreadPool *pool) {
    const NaiveConv *n = &c->naive;
    Data d = make_data(c);
    void *y = expected_output(c, &d);
    size_t size = c->float_output ? 4 : 1;
    to_last(c, size, n->out_channels, n->out, d.y_count, y);
    to_last(c, 1, n->out_channels, n->out, d.y_count, d.residual);
    to_last(c, 1, n->in_channels, n->in, d.x_count, d.x);
    OctetShape xs = image_shape(c, n->in_channels, n->in, c->channels_last);
    OctetShape ys = image_shape(c, n->out_channels, n->out, c->channels_last);
    OctFusion fusion = {.grid = {.axis = -1}, .table_grid = {.axis = -1}};
    OpHarness h;
    op_begin(&h, "", n->transposed ? "ConvTranspose" : "Conv", 11, 1);
    h.pool = pool;
    h.requantize = c->mode;
    set_attributes(&h, c);
    op_input_q(&h, OCTET_U8, &xs, d.x, c->x_scale, c->x_zero);
    add_weights(&h, c, &d);
    add_bias(&h, c, &d);
    if (c->residual) {
        /* the operator accepts a fourth input only because the engine gives it one */
        op_input_q(&h, OCTET_U8, &ys, d.residual, c->residual_scale, c->residual_zero);
    }
    fusion.table = c->table ? d.table : NULL;
    fusion.has_residual = c->residual;
    h.node->fusion = c->table || c->residual ? &fusion : NULL;
    if (!c->float_output) {
        op_quantize(&h, h.node->outputs[0], OCTET_U8, c->y_scale, c->y_zero);
    }
    if (c->residual) {
        /* resolved without the residual, as the engine resolves before it fuses */
        OctValue *residual = h.node->inputs[3];
        h.node->input_count = 3;
        assert_int_equal(op_infer(&h), OCTET_OK);
        h.node->input_count = 4;
        h.node->inputs[3] = residual;
        assert_int_equal(op_run_resolved(&h), OCTET_OK);
    } else {
        op_run_ok(&h);
    }
    op_expect(&h, 0, c->float_output ? OCTET_F32 : OCTET_U8, &ys, y);
    op_end(&h);
    free(y);
    free_data(&d);
}

static Case random_case(bool transposed) {
    Case c = {.rank = op_random_int(0, 4) ? op_random_int(1, 2) : 3,
              .bias = (enum BiasKind)op_random_int(0, 2),
              .channels_last = op_random_int(0, 1),
              .relu = op_random_int(0, 2) == 0,
              .table = op_random_int(0, 4) == 0,
              .residual = op_random_int(0, 4) == 0,
              .float_output = op_random_int(0, 4) == 0,
              .u8_weights = op_random_int(0, 2) == 0,
              .per_channel = op_random_int(0, 1),
              .x_scale = (float)op_random_int(1, 100) * 1e-3f,
              .y_scale = (float)op_random_int(1, 100) * 1e-2f,
              .residual_scale = (float)op_random_int(1, 100) * 1e-2f,
              .x_zero = op_random_int(0, 255),
              .y_zero = op_random_int(0, 255),
              .residual_zero = op_random_int(0, 255)};
    NaiveConv *n = &c.naive;
    if (c.float_output) {
        c.table = c.residual = false;
    }
    n->transposed = transposed;
    n->batch = op_random_int(1, 3);
    n->groups = op_random_int(0, 2) ? 1 : op_random_int(2, 6);
    int64_t ig = op_random_int(1, 20), og = op_random_int(1, 20);
    if (op_random_int(0, 4) == 0) { /* depthwise */
        n->groups = op_random_int(2, 70);
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
    for (int i = 0; i < 400; i++) {
        Case c = random_case(false);
        check(&c, *state);
    }
}

static void test_conv_transpose_random(void **state) {
    for (int i = 0; i < 200; i++) {
        Case c = random_case(true);
        check(&c, *state);
    }
}

/* Kernels as large as their strides: every input pixel makes a block of the output. */
static void test_conv_transpose_blocks(void **state) {
    for (int i = 0; i < 150; i++) {
        Case c = random_case(true);
        NaiveConv *n = &c.naive;
        n->in_channels /= n->groups;
        n->out_channels /= n->groups;
        n->groups = 1;
        for (int axis = 0; axis < 3; axis++) {
            n->stride[axis] = n->kernel[axis];
            n->dilation[axis] = 1;
            n->pad[axis] = c.pad_end[axis] = 0;
            n->in[axis] = axis == 2 && i % 10 == 0 ? 130 : n->in[axis];
            n->out[axis] = n->in[axis] * n->kernel[axis];
        }
        check(&c, *state);
    }
}

static void test_other_runtimes(void **state) {
    static const OctetRequantize modes[] = {OCTET_REQUANTIZE_FBGEMM, OCTET_REQUANTIZE_QNNPACK,
                                            OCTET_REQUANTIZE_TFLITE,
                                            OCTET_REQUANTIZE_TFLITE_SINGLE};
    for (int i = 0; i < 200; i++) {
        Case c = random_case(i % 5 == 0);
        c.mode = modes[i % 4];
        c.float_output = false; /* nothing is requantized then */
        check(&c, *state);
    }
}

/* A window too large for the kernels' list of pointers. */
static void test_huge_window(void **state) {
    Case c = random_case(false);
    c.rank = 2;
    c.naive = (NaiveConv){.batch = 1,
                          .in_channels = 3,
                          .out_channels = 5,
                          .groups = 1,
                          .in = {1, 50, 70},
                          .out = {1, 6, 9},
                          .kernel = {1, 45, 62},
                          .stride = {1, 1, 1},
                          .dilation = {1, 1, 1},
                          .pad = {0}};
    memset(c.pad_end, 0, sizeof c.pad_end);
    check(&c, *state);
}

static OctetStatus run_one(float w_scale, int32_t bias_value, float bias_scale, OpHarness *h) {
    uint8_t x = 200;
    int8_t w = 100;
    float y_scale = 1.0f;
    op_begin(h, "", "Conv", 11, 1);
    op_input_q(h, OCTET_U8, SHAPE(1, 1, 1, 1), &x, 0.5f, 100);
    OctValue *weights = op_constant(h, OCTET_S8, SHAPE(1, 1, 1, 1), &w);
    weights->dtype = OCTET_F32;
    op_quantize(h, weights, OCTET_S8, w_scale, 0);
    OctValue *bias = op_constant(h, OCTET_S32, SHAPE(1), &bias_value);
    bias->dtype = OCTET_F32;
    op_quantize(h, bias, OCTET_S32, bias_scale, 0);
    op_quantize(h, h->node->outputs[0], OCTET_U8, y_scale, 0);
    return op_run(h);
}

/* A stored bias of another scale than sx * sw is rescaled, and what does not fit is refused. */
static void test_bias_scale(void **state) {
    (void)state;
    OpHarness h;
    assert_int_equal(run_one(0.01f, 7, 1.0f, &h), OCTET_OK); /* 50 * 1 + 7 */
    op_expect(&h, 0, OCTET_U8, SHAPE(1, 1, 1, 1), (uint8_t[]){57});
    op_end(&h);
    assert_int_equal(run_one(1e-9f, 7, 1.0f, &h), OCTET_ERROR_NUMERIC);
    assert_string_equal(h.diagnostic.node, "node");
    op_end(&h);
    /* fits alone, but not with the products */
    assert_int_equal(run_one(1.0f, INT32_MAX, 0.5f, &h), OCTET_ERROR_NUMERIC);
    assert_string_equal(h.diagnostic.node, "node");
    op_end(&h);
}

/* Scales along the input channels fit no kernel; table and residual follow all the same. */
static void test_fusion_through_float(void **state) {
    (void)state;
    uint8_t x[2] = {10, 20}, table[256], residual = 7;
    int8_t w[2] = {3, -4};
    float scales[2] = {1.0f, 0.5f};
    int32_t zeros[2] = {0, 0};
    OctetQParams qparams = {
        .dtype = OCTET_S8, .axis = 1, .count = 2, .scale = scales, .zero_point = zeros};
    for (int i = 0; i < 256; i++) {
        table[i] = (uint8_t)(255 - i);
    }
    OctFusion fusion = {
        .grid = {.axis = -1}, .table_grid = {.axis = -1}, .table = table, .has_residual = true};
    OpHarness h;
    op_begin(&h, "", "Conv", 11, 1);
    op_input_q(&h, OCTET_U8, SHAPE(1, 2, 1, 1), x, 1.0f, 0);
    OctValue *weights = op_constant(&h, OCTET_S8, SHAPE(1, 2, 1, 1), w);
    weights->dtype = OCTET_F32;
    assert_true(oct_graph_set_qparams(h.graph, weights, &qparams));
    op_absent(&h);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, 1.0f, 100);
    assert_int_equal(op_infer(&h), OCTET_OK);
    op_input_q(&h, OCTET_U8, SHAPE(1, 1, 1, 1), &residual, 1.0f, 0);
    h.node->fusion = &fusion;
    assert_int_equal(op_run_resolved(&h), OCTET_OK);
    /* 10 * 3 - 20 * 2 = -10, stored as 90; 255 - 90 = 165 is 65; 65 + 7 = 72 */
    op_expect(&h, 0, OCTET_U8, SHAPE(1, 1, 1, 1), (uint8_t[]){172});
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
        cmocka_unit_test(test_conv_random),           cmocka_unit_test(test_conv_transpose_random),
        cmocka_unit_test(test_conv_transpose_blocks), cmocka_unit_test(test_other_runtimes),
        cmocka_unit_test(test_huge_window),           cmocka_unit_test(test_bias_scale),
        cmocka_unit_test(test_fusion_through_float)};
    return cmocka_run_group_tests(tests, start_pool, stop_pool);
}
