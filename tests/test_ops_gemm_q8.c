/* Int8 Gemm and MatMul, MatMulInteger and its relatives, against exact integers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_harness.h"
#include "op_random.h"

typedef struct Case {
    int64_t batch, m, k, n;
    bool trans_a, trans_b, gemm; /* else MatMul */
    bool constant_b, per_channel, u8_b, bias, float_output, relu;
    float x_scale, y_scale;
    int32_t x_zero, y_zero;
} Case;

static void expect_one(const Case *c, int64_t sum, float b_scale, void *y, int64_t i) {
    float product = c->x_scale * b_scale;
    if (c->float_output) {
        float value = (float)sum * product;
        ((float *)y)[i] = c->relu && value < 0.0f ? 0.0f : value;
        return;
    }
    float level = rintf((float)sum * (product / c->y_scale)) + (float)c->y_zero;
    float low = c->relu ? (float)c->y_zero : 0.0f;
    ((uint8_t *)y)[i] = (uint8_t)fminf(fmaxf(level, low), 255.0f);
}

static void check(const Case *c, OctetThreadPool *pool) {
    size_t a_count = (size_t)(c->batch * c->m * c->k), b_count = (size_t)(c->k * c->n);
    uint8_t *a = op_random_bytes(a_count), *b = op_random_bytes(b_count);
    float *scales = calloc((size_t)c->n, sizeof *scales);
    int32_t *zeros = calloc((size_t)c->n, sizeof *zeros);
    int32_t *bias = calloc((size_t)c->n, sizeof *bias);
    void *y = calloc((size_t)(c->batch * c->m * c->n), 4);
    for (int64_t j = 0; j < c->n; j++) {
        scales[j] = c->per_channel || j == 0 ? (float)op_random_int(1, 999) * 1e-4f : scales[0];
        zeros[j] = c->per_channel || j == 0 ? op_random_int(-2, 2) + (c->u8_b ? 128 : 0) : zeros[0];
        bias[j] = c->bias ? op_random_int(-9999, 9999) : 0;
    }
    for (int64_t i = 0; i < c->batch * c->m * c->n; i++) {
        int64_t row = i / c->n, column = i % c->n, sum = bias[column];
        for (int64_t p = 0; p < c->k; p++) {
            int32_t av = a[c->trans_a ? p * c->m + row : row * c->k + p];
            uint8_t raw = b[c->trans_b ? column * c->k + p : p * c->n + column];
            int32_t bv = c->u8_b ? raw : (int8_t)raw;
            sum += (av - c->x_zero) * (bv - zeros[column]);
        }
        expect_one(c, sum, scales[column], y, i);
    }
    OctetDType dtype = c->u8_b ? OCTET_U8 : OCTET_S8;
    OctetQParams qparams = {.dtype = dtype,
                            .axis = c->per_channel ? (c->trans_b ? 0 : 1) : -1,
                            .count = c->per_channel ? c->n : 1,
                            .scale = scales,
                            .zero_point = zeros};
    OpHarness h;
    op_begin(&h, "", c->gemm ? "Gemm" : "MatMul", 13, 1);
    h.pool = pool;
    assert_true(oct_node_set_int(h.graph, h.node, "transA", c->trans_a));
    assert_true(oct_node_set_int(h.graph, h.node, "transB", c->trans_b));
    if (c->relu) {
        h.node->activation = (OctActivation){OCT_ACTIVATION_CLIP, 0.0f, INFINITY};
    }
    const OctetShape *as = !c->gemm     ? SHAPE(c->batch, c->m, c->k)
                           : c->trans_a ? SHAPE(c->k, c->m)
                                        : SHAPE(c->m, c->k);
    const OctetShape *ys = c->gemm ? SHAPE(c->m, c->n) : SHAPE(c->batch, c->m, c->n);
    op_input_q(&h, OCTET_U8, as, a, c->x_scale, c->x_zero);
    const OctetShape *bs = c->trans_b ? SHAPE(c->n, c->k) : SHAPE(c->k, c->n);
    OctValue *bv = (c->constant_b ? op_constant : op_input)(&h, dtype, bs, b);
    bv->dtype = OCTET_F32;
    assert_true(oct_graph_set_qparams(h.graph, bv, &qparams));
    if (c->bias) {
        op_constant(&h, OCTET_S32, SHAPE(c->n), bias);
        h.node->inputs[2]->dtype = OCTET_S32; /* integers at the scale of the products */
    }
    if (!c->float_output) {
        op_quantize(&h, h.node->outputs[0], OCTET_U8, c->y_scale, c->y_zero);
    }
    op_run_ok(&h);
    op_expect(&h, 0, c->float_output ? OCTET_F32 : OCTET_U8, ys, y);
    op_end(&h);
    free(a);
    free(b);
    free(scales);
    free(zeros);
    free(bias);
    free(y);
}

static void test_random(void **state) {
    for (int i = 0; i < 400; i++) {
        Case c = {.batch = 1,
                  .m = op_random_int(1, 20),
                  .k = op_random_int(1, 100),
                  .n = op_random_int(1, 70),
                  .gemm = op_random_int(0, 1),
                  .constant_b = op_random_int(0, 2) > 0,
                  .per_channel = op_random_int(0, 1),
                  .u8_b = op_random_int(0, 1),
                  .float_output = op_random_int(0, 3) == 0,
                  .relu = op_random_int(0, 3) == 0,
                  .x_scale = (float)op_random_int(1, 100) * 1e-3f,
                  .y_scale = (float)op_random_int(1, 100) * 1e-1f,
                  .x_zero = op_random_int(0, 255),
                  .y_zero = op_random_int(0, 255)};
        if (!c.constant_b) { /* two activations are u8 with one scale each */
            c.per_channel = false;
            c.u8_b = true;
        }
        if (c.gemm) {
            c.trans_a = op_random_int(0, 1);
            c.trans_b = op_random_int(0, 1);
            c.bias = c.constant_b && op_random_int(0, 1);
        } else {
            c.batch = op_random_int(1, 3);
        }
        check(&c, *state);
    }
}

/* What no integer kernel fits means the same: alpha scales the product. */
static void test_alpha_through_float(void **state) {
    (void)state;
    uint8_t a[2] = {10, 20};
    int8_t b[2] = {3, -4};
    OpHarness h;
    op_begin(&h, "", "Gemm", 13, 1);
    assert_true(oct_node_set_float(h.graph, h.node, "alpha", 0.5f));
    op_input_q(&h, OCTET_U8, SHAPE(1, 2), a, 0.5f, 0);
    OctValue *weights = op_constant(&h, OCTET_S8, SHAPE(2, 1), b);
    weights->dtype = OCTET_F32;
    op_quantize(&h, weights, OCTET_S8, 1.0f, 0);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.25f, 200);
    op_run_ok(&h);
    /* (5 * 3 - 10 * 4) / 2 = -12.5, 50 steps below 0 */
    op_expect(&h, 0, OCTET_U8, SHAPE(1, 1), (uint8_t[]){150});
    op_end(&h);
}

/* A K that an int32 can't be proved to hold is refused. */
static void test_overflow_is_refused(void **state) {
    (void)state;
    int64_t k = 70000;
    uint8_t *a = calloc((size_t)k, 1);
    int8_t *b = malloc((size_t)k);
    memset(b, -128, (size_t)k);
    OpHarness h;
    op_begin(&h, "", "MatMul", 13, 1);
    op_input_q(&h, OCTET_U8, SHAPE(1, k), a, 1.0f, 0);
    OctValue *weights = op_constant(&h, OCTET_S8, SHAPE(k, 1), b);
    weights->dtype = OCTET_F32;
    op_quantize(&h, weights, OCTET_S8, 1.0f, 0);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, 1.0f, 0);
    assert_int_equal(op_run(&h), OCTET_ERROR_NUMERIC);
    assert_string_equal(h.diagnostic.node, "node");
    op_end(&h);
    free(a);
    free(b);
}

static void check_integer(OctetDType a_type, OctetDType b_type, bool constant_b, bool per_row,
                          bool per_column, OctetThreadPool *pool) {
    int64_t m = op_random_int(1, 12), k = op_random_int(1, 60), n = op_random_int(1, 40), batch = 2;
    uint8_t *a = op_random_bytes((size_t)(batch * m * k)), *b = op_random_bytes((size_t)(k * n));
    uint8_t *za = op_random_bytes((size_t)m), *zb = op_random_bytes((size_t)n);
    int32_t *y = calloc((size_t)(batch * m * n), sizeof *y);
    for (int64_t i = 0; i < batch * m * n; i++) {
        int64_t row = i / n, column = i % n;
        uint8_t zero_a = za[per_row ? row % m : 0], zero_b = zb[per_column ? column : 0];
        for (int64_t p = 0; p < k; p++) {
            uint8_t av = a[row * k + p], bv = b[p * n + column];
            int32_t left = a_type == OCTET_U8 ? av - zero_a : (int8_t)av - (int8_t)zero_a;
            int32_t right = b_type == OCTET_U8 ? bv - zero_b : (int8_t)bv - (int8_t)zero_b;
            y[i] += left * right;
        }
    }
    OpHarness h;
    op_begin(&h, "", "MatMulInteger", 10, 1);
    h.pool = pool;
    op_input(&h, a_type, SHAPE(batch, m, k), a);
    (constant_b ? op_constant : op_input)(&h, b_type, SHAPE(k, n), b);
    op_input(&h, a_type, per_row ? SHAPE(m) : SCALAR, za);
    (constant_b ? op_constant : op_input)(&h, b_type, per_column ? SHAPE(n) : SCALAR, zb);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S32, SHAPE(batch, m, n), y);
    op_end(&h);
    free(a);
    free(b);
    free(za);
    free(zb);
    free(y);
}

static void test_matmul_integer(void **state) {
    static const OctetDType types[] = {OCTET_U8, OCTET_S8};
    for (int i = 0; i < 64; i++) {
        check_integer(types[i & 1], types[i >> 1 & 1], i >> 2 & 1, i >> 3 & 1, i >> 4 & 1, *state);
    }
}

static void test_integer_to_float(void **state) {
    (void)state;
    uint8_t a[2] = {3, 5}, a_zero = 1;
    int8_t b[4] = {1, 2, 3, 4};
    float a_scale = 0.5f, b_scale[2] = {1.0f, 2.0f}, bias[2] = {0.25f, -1.0f};
    OpHarness h;
    op_begin(&h, "com.microsoft", "MatMulIntegerToFloat", 1, 1);
    op_input(&h, OCTET_U8, SHAPE(1, 2), a);
    op_constant(&h, OCTET_S8, SHAPE(2, 2), b);
    op_input(&h, OCTET_F32, SCALAR, &a_scale);
    op_constant(&h, OCTET_F32, SHAPE(2), b_scale);
    op_input(&h, OCTET_U8, SCALAR, &a_zero);
    op_absent(&h);
    op_constant(&h, OCTET_F32, SHAPE(2), bias);
    op_run_ok(&h);
    /* 2 * 1 + 4 * 3 = 14, 2 * 2 + 4 * 4 = 20 */
    op_expect_f32(&h, 0, SHAPE(1, 2), (float[]){7.25f, 19.0f}, 0.0f);
    op_end(&h);
}

static void test_dynamic_quantize_matmul(void **state) {
    (void)state;
    float a[3] = {0.0f, 255.0f, 51.0f}, b_scale = 2.0f;
    int8_t b[3] = {1, 1, -1};
    OpHarness h;
    op_begin(&h, "com.microsoft", "DynamicQuantizeMatMul", 1, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 3), a);
    op_constant(&h, OCTET_S8, SHAPE(3, 1), b);
    op_constant(&h, OCTET_F32, SCALAR, &b_scale);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1, 1), (float[]){408.0f}, 0.0f);
    op_end(&h);
}

static void test_conv_integer(void **state) {
    (void)state;
    /* ONNX's own example: test_convinteger_with_padding, and the same as s8 */
    uint8_t x[9] = {2, 3, 4, 5, 6, 7, 8, 9, 10}, x_zero = 1, w[4] = {1, 1, 1, 1};
    int64_t pads[4] = {1, 1, 1, 1};
    const int32_t expected[16] = {1, 3, 5, 3, 5, 12, 16, 9, 11, 24, 28, 15, 7, 15, 17, 9};
    for (int signed_x = 0; signed_x < 2; signed_x++) {
        OctetDType type = signed_x ? OCTET_S8 : OCTET_U8;
        OpHarness h;
        op_begin(&h, "", "ConvInteger", 10, 1);
        op_input(&h, type, SHAPE(1, 1, 3, 3), x);
        op_input(&h, OCTET_U8, SHAPE(1, 1, 2, 2), w);
        op_input(&h, type, SCALAR, &x_zero);
        assert_true(oct_node_set_ints(h.graph, h.node, "pads", pads, 4));
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_S32, SHAPE(1, 1, 4, 4), expected);
        op_end(&h);
    }
}

/* Three axes, two groups, uneven strides, dilations and pads, in all four pairs of signs, beside
 * the sum as it is written down. */
static void test_conv_integer_3d(void **state) {
    (void)state;
    enum { IN = 4, OUT = 6, EACH = 2, D = 4, H = 5, W = 6, KD = 2, KH = 1, KW = 3 };
    enum { OD = 4, OH = 3, OW = 4 };
    uint8_t x[IN * D * H * W], w[OUT * EACH * KD * KH * KW], w_zero[OUT];
    int64_t pads[6] = {1, 0, 2, 1, 1, 0}, strides[3] = {1, 2, 1}, dilations[3] = {2, 1, 2};
    for (size_t i = 0; i < sizeof x; i++) {
        x[i] = (uint8_t)(i * 97 % 256);
    }
    for (size_t i = 0; i < sizeof w; i++) {
        w[i] = (uint8_t)(i * 61 % 251);
    }
    for (size_t i = 0; i < OUT; i++) {
        w_zero[i] = (uint8_t)(i * 50);
    }
    for (int signs = 0; signs < 4; signs++) {
        bool x_signed = signs & 1, w_signed = signs & 2;
        const uint8_t x_zero = 200;
        static int32_t expected[OUT * OD * OH * OW];
        for (int o = 0; o < OUT; o++) {
            for (int i = 0; i < OD * OH * OW; i++) {
                int64_t sum = 0;
                for (int t = 0; t < EACH * KD * KH * KW; t++) {
                    int c = o / 3 * EACH + t / (KD * KH * KW);
                    int d = i / (OH * OW) - 1 + t / (KH * KW) % KD * 2;
                    int h = i / OW % OH * 2 + t / KW % KH;
                    int v = i % OW - 2 + t % KW * 2;
                    if (d < 0 || d >= D || h < 0 || h >= H || v < 0 || v >= W) {
                        continue;
                    }
                    uint8_t a = x[((c * D + d) * H + h) * W + v];
                    uint8_t b = w[o * EACH * KD * KH * KW + t];
                    sum += (x_signed ? (int8_t)a - (int8_t)x_zero : a - x_zero) *
                           (w_signed ? (int8_t)b - (int8_t)w_zero[o] : b - w_zero[o]);
                }
                expected[o * OD * OH * OW + i] = (int32_t)sum;
            }
        }
        OpHarness h;
        op_begin(&h, "", "ConvInteger", 10, 1);
        op_input(&h, x_signed ? OCTET_S8 : OCTET_U8, SHAPE(1, IN, D, H, W), x);
        op_input(&h, w_signed ? OCTET_S8 : OCTET_U8, SHAPE(OUT, EACH, KD, KH, KW), w);
        op_input(&h, x_signed ? OCTET_S8 : OCTET_U8, SCALAR, &x_zero);
        op_input(&h, w_signed ? OCTET_S8 : OCTET_U8, SHAPE(OUT), w_zero);
        assert_true(oct_node_set_ints(h.graph, h.node, "pads", pads, 6));
        assert_true(oct_node_set_ints(h.graph, h.node, "strides", strides, 3));
        assert_true(oct_node_set_ints(h.graph, h.node, "dilations", dilations, 3));
        assert_true(oct_node_set_int(h.graph, h.node, "group", 2));
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_S32, SHAPE(1, OUT, OD, OH, OW), expected);
        op_end(&h);
    }
}

/* ONNX's example, all grids being operands. */
static void test_qlinear_matmul(void **state) {
    (void)state;
    const uint8_t a[8] = {208, 236, 0, 238, 3, 214, 255, 29};
    const uint8_t b[12] = {152, 51, 244, 60, 26, 255, 0, 127, 246, 127, 254, 247};
    const float scales[3] = {0.0066f, 0.00705f, 0.0107f};
    const uint8_t zeros[3] = {113, 114, 118};
    OpHarness h;
    op_begin(&h, "", "QLinearMatMul", 10, 1);
    op_input(&h, OCTET_U8, SHAPE(2, 4), a);
    op_input(&h, OCTET_F32, SHAPE(1), &scales[0]);
    op_input(&h, OCTET_U8, SHAPE(1), &zeros[0]);
    op_input(&h, OCTET_U8, SHAPE(4, 3), b);
    op_input(&h, OCTET_F32, SHAPE(1), &scales[1]);
    op_input(&h, OCTET_U8, SHAPE(1), &zeros[1]);
    op_input(&h, OCTET_F32, SHAPE(1), &scales[2]);
    op_input(&h, OCTET_U8, SHAPE(1), &zeros[2]);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_U8, SHAPE(2, 3), (uint8_t[]){168, 115, 255, 1, 66, 151});
    op_end(&h);
}

/* (0, 5) * 0.5 + 0.5 on a grid of tenths. */
static void test_qlinear_conv(void **state) {
    (void)state;
    const uint8_t x[2] = {10, 20}, zeros[2] = {10, 1}, w = 3;
    const float x_scale = 0.5f, w_scale = 0.25f, y_scale = 0.1f;
    const int32_t bias = 4;
    for (int i = 0; i < 4; i++) {
        bool is_signed = i & 1, three = i & 2; /* over one axis, over three */
        OctetDType type = is_signed ? OCTET_S8 : OCTET_U8;
        const uint8_t y_zero = is_signed ? (uint8_t)-28 : 100;
        OpHarness h;
        op_begin(&h, "", "QLinearConv", 10, 1);
        op_input(&h, type, three ? SHAPE(1, 1, 2, 1, 1) : SHAPE(1, 1, 2), x);
        op_input(&h, OCTET_F32, SCALAR, &x_scale);
        op_input(&h, type, SCALAR, &zeros[0]);
        op_input(&h, type, three ? SHAPE(1, 1, 1, 1, 1) : SHAPE(1, 1, 1), &w);
        op_input(&h, OCTET_F32, SHAPE(1), &w_scale);
        op_input(&h, type, SHAPE(1), &zeros[1]);
        op_input(&h, OCTET_F32, SCALAR, &y_scale);
        op_input(&h, type, SCALAR, &y_zero);
        op_input(&h, OCTET_S32, SHAPE(1), &bias);
        op_run_ok(&h);
        op_expect(&h, 0, type, three ? SHAPE(1, 1, 2, 1, 1) : SHAPE(1, 1, 2),
                  is_signed ? (uint8_t[]){(uint8_t)-23, 2} : (uint8_t[]){105, 130});
        op_end(&h);
    }
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
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_random),
                                       cmocka_unit_test(test_alpha_through_float),
                                       cmocka_unit_test(test_overflow_is_refused),
                                       cmocka_unit_test(test_matmul_integer),
                                       cmocka_unit_test(test_integer_to_float),
                                       cmocka_unit_test(test_dynamic_quantize_matmul),
                                       cmocka_unit_test(test_conv_integer),
                                       cmocka_unit_test(test_conv_integer_3d),
                                       cmocka_unit_test(test_qlinear_matmul),
                                       cmocka_unit_test(test_qlinear_conv)};
    return cmocka_run_group_tests(tests, start_pool, stop_pool);
}
