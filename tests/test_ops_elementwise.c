/* Elementwise operators: functions of one and of two tensors, on floats, integers, bools, bytes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_harness.h"

/* ---- functions of one tensor ---- */

typedef double (*Reference)(double x);

static double relu(double x) {
    return x > 0 ? x : 0;
}
static double leaky(double x) {
    return x < 0 ? 0.01f * x : x;
}
static double elu(double x) {
    return x < 0 ? exp(x) - 1 : x;
}
static double selu(double x) {
    return 1.0507009873554805 * (x < 0 ? 1.6732632423543772 * (exp(x) - 1) : x);
}
static double sigmoid(double x) {
    return 1 / (1 + exp(-x));
}
static double hard_sigmoid(double x) {
    return fmin(fmax(0.2 * x + 0.5, 0), 1);
}
static double hard_swish(double x) {
    return x * fmin(fmax(x / 6 + 0.5, 0), 1);
}
static double sign(double x) {
    return (x > 0) - (x < 0);
}
static double softplus(double x) {
    return log1p(exp(x));
}
static double softsign(double x) {
    return x / (1 + fabs(x));
}
static double mish(double x) {
    return x * tanh(softplus(x));
}
static double gelu(double x) {
    return 0.5 * x * (1 + erf(x / sqrt(2)));
}
static double quick_gelu(double x) {
    return x / (1 + exp(-1.702 * x));
}
static double reciprocal(double x) {
    return 1 / x;
}
static double thresholded(double x) {
    return x > 1 ? x : 0;
}
static double shrink(double x) {
    return x < -0.5 || x > 0.5 ? x : 0;
}
static double same_below_0(double x) { /* Celu with alpha 1 */
    return x < 0 ? exp(x) - 1 : x;
}

static const struct {
    const char *domain, *name;
    int opset;
    Reference reference;
    float low, high; /* of the inputs */
} functions[] = {
    {"", "Relu", 14, relu, -5, 5},
    {"", "LeakyRelu", 16, leaky, -5, 5},
    {"", "Elu", 6, elu, -5, 5},
    {"", "Selu", 6, selu, -5, 5},
    {"", "Celu", 12, same_below_0, -5, 5},
    {"", "Sigmoid", 13, sigmoid, -20, 20},
    {"", "HardSigmoid", 6, hard_sigmoid, -5, 5},
    {"", "HardSwish", 14, hard_swish, -5, 5},
    {"", "Tanh", 13, tanh, -10, 10},
    {"", "Exp", 13, exp, -20, 20},
    {"", "Log", 13, log, 0.001f, 100},
    {"", "Sqrt", 13, sqrt, 0, 100},
    {"", "Reciprocal", 13, reciprocal, 0.5f, 100},
    {"", "Abs", 13, fabs, -5, 5},
    {"", "Floor", 13, floor, -5, 5},
    {"", "Ceil", 13, ceil, -5, 5},
    {"", "Round", 11, rint, -5, 5},
    {"", "Sign", 13, sign, -5, 5},
    {"", "Erf", 13, erf, -5, 5},
    {"", "Sin", 7, sin, -10, 10},
    {"", "Cos", 7, cos, -10, 10},
    {"", "Tan", 7, tan, -1.5f, 1.5f},
    {"", "Asin", 7, asin, -1, 1},
    {"", "Acos", 7, acos, -1, 1},
    {"", "Atan", 7, atan, -20, 20},
    {"", "Sinh", 9, sinh, -10, 10},
    {"", "Cosh", 9, cosh, -10, 10},
    {"", "Asinh", 9, asinh, -50, 50},
    {"", "Acosh", 9, acosh, 1, 50},
    {"", "Atanh", 9, atanh, -0.999f, 0.999f},
    {"", "Softplus", 1, softplus, -20, 20},
    {"", "Softsign", 1, softsign, -20, 20},
    {"", "Mish", 18, mish, -10, 10},
    {"", "Gelu", 20, gelu, -5, 5},
    {"com.microsoft", "Gelu", 1, gelu, -5, 5},
    {"com.microsoft", "QuickGelu", 1, quick_gelu, -5, 5},
    {"", "ThresholdedRelu", 10, thresholded, -5, 5},
    {"", "Shrink", 9, shrink, -5, 5},
};

static void functions_match_libm(void **state) {
    (void)state;
    enum { N = 1001 };
    float data[N];
    float expected[N];
    for (size_t f = 0; f < sizeof functions / sizeof functions[0]; f++) {
        for (int i = 0; i < N; i++) {
            data[i] =
                functions[f].low + (functions[f].high - functions[f].low) * (float)i / (N - 1);
            data[i] = fminf(data[i], functions[f].high);
            expected[i] = (float)functions[f].reference((double)data[i]);
        }
        OpHarness h;
        op_begin(&h, functions[f].domain, functions[f].name, functions[f].opset, 1);
        op_input(&h, OCTET_F32, SHAPE(7, 11, 13), data);
        op_run_ok(&h);
        const float *got = h.outputs[0].data;
        for (int i = 0; i < N; i++) {
            float error = fabsf(got[i] - expected[i]);
            if (!(error <= 1e-6f * fmaxf(0.1f, fabsf(expected[i])))) {
                fail_msg("%s(%.9g) is %.9g, not %.9g", functions[f].name, (double)data[i],
                         (double)got[i], (double)expected[i]);
            }
        }
        op_end(&h);
    }
}

/* Every function of one tensor has the same table at every level, and it is what dequantizing,
 * computing and quantizing gives. */
static void bytes_are_looked_up(void **state) {
    (void)state;
    uint8_t data[256];
    for (int i = 0; i < 256; i++) {
        data[i] = (uint8_t)i;
    }
    for (size_t f = 0; f < sizeof functions / sizeof functions[0]; f++) {
        float scale = (functions[f].high - functions[f].low) / 255.0f;
        int32_t zero = (int32_t)rintf(-functions[f].low / scale);
        zero = zero < 0 ? 0 : zero;
        OpHarness h;
        op_begin(&h, functions[f].domain, functions[f].name, functions[f].opset, 1);
        op_input_q(&h, OCTET_U8, SHAPE(256), data, scale, zero);
        op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.05f, 100);
        op_run_ok(&h);
        assert_string_equal(h.prepared.kernel, "q8_lookup");
        const uint8_t *got = h.outputs[0].data;
        for (int i = 0; i < 256; i++) {
            double x = (double)((float)(i - zero) * scale);
            double y = functions[f].reference(x);
            double q = isnan(y) ? 100 : fmin(fmax(rint(y / 0.05f) + 100, 0), 255);
            assert_true(fabs(got[i] - q) <= 1);
        }
        op_end(&h);
    }
}

static void clip_takes_bounds_in_every_form(void **state) {
    (void)state;
    const float data[] = {-3, -1, 0, 2, 9, NAN};
    const float low = -1;
    const float high = 2;
    const float expected[] = {-1, -1, 0, 2, 2, NAN};
    for (int form = 0; form < 3; form++) {
        OpHarness h;
        op_begin(&h, "", "Clip", form == 0 ? 6 : 13, 1);
        op_input(&h, OCTET_F32, SHAPE(6), data);
        if (form == 0) {
            oct_node_set_float(h.graph, h.node, "min", low);
            oct_node_set_float(h.graph, h.node, "max", high);
        } else if (form == 1) {
            op_constant(&h, OCTET_F32, SCALAR, &low);
            op_constant(&h, OCTET_F32, SCALAR, &high);
        } else {
            op_input(&h, OCTET_F32, SCALAR, &low);
            op_input(&h, OCTET_F32, SCALAR, &high);
        }
        op_run_ok(&h);
        op_expect_f32(&h, 0, SHAPE(6), expected, 0);
        op_end(&h);
    }
    const int8_t bytes[] = {-100, 0, 100};
    const int8_t top = 50;
    const int8_t clipped[] = {-100, 0, 50};
    OpHarness h;
    op_begin(&h, "", "Clip", 12, 1);
    op_input(&h, OCTET_S8, SHAPE(3), bytes);
    op_absent(&h);
    op_constant(&h, OCTET_S8, SCALAR, &top);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S8, SHAPE(3), clipped);
    op_end(&h);
}

static void integers_have_their_functions(void **state) {
    (void)state;
    const int32_t data[] = {-5, 0, 7, INT32_MIN};
    const int32_t negated[] = {5, 0, -7, INT32_MIN};
    const int32_t positive[] = {0, 0, 7, 0};
    const int32_t inverted[] = {4, -1, -8, INT32_MAX};
    const struct {
        const char *name;
        const int32_t *expected;
    } cases[] = {{"Neg", negated}, {"Relu", positive}, {"BitwiseNot", inverted}};
    for (size_t i = 0; i < 3; i++) {
        OpHarness h;
        op_begin(&h, "", cases[i].name, 18, 1);
        op_input(&h, OCTET_S32, SHAPE(4), data);
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_S32, SHAPE(4), cases[i].expected);
        op_end(&h);
    }
    OpHarness h;
    op_begin(&h, "", "Exp", 13, 1);
    op_input(&h, OCTET_S32, SHAPE(4), data);
    assert_int_equal(op_run(&h), OCTET_ERROR_UNSUPPORTED);
    op_end(&h);
}

static void predicates_give_bools(void **state) {
    (void)state;
    const float data[] = {1, NAN, INFINITY, -INFINITY};
    const uint8_t nan[] = {0, 1, 0, 0};
    const uint8_t negative[] = {0, 0, 0, 1};
    const uint8_t inverted[] = {1, 0, 1, 1};
    OpHarness h;
    op_begin(&h, "", "IsNaN", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(4), data);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_BOOL, SHAPE(4), nan);
    op_end(&h);
    op_begin(&h, "", "IsInf", 10, 1);
    op_input(&h, OCTET_F32, SHAPE(4), data);
    oct_node_set_int(h.graph, h.node, "detect_positive", 0);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_BOOL, SHAPE(4), negative);
    op_end(&h);
    op_begin(&h, "", "Not", 1, 1);
    op_input(&h, OCTET_BOOL, SHAPE(4), nan);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_BOOL, SHAPE(4), inverted);
    op_end(&h);
}

static void cast_converts(void **state) {
    (void)state;
    const float data[] = {-1.7f, 2.5f, 300, NAN};
    const int64_t ints[] = {-1, 2, 300, 0};
    const uint8_t bytes[] = {0, 2, 255, 0};
    const uint8_t bools[] = {1, 1, 1, 1};
    const struct {
        OctetDType to;
        const void *expected;
    } cases[] = {{OCTET_S64, ints}, {OCTET_U8, bytes}, {OCTET_BOOL, bools}};
    for (size_t i = 0; i < 3; i++) {
        OpHarness h;
        op_begin(&h, "", "Cast", 13, 1);
        op_input(&h, OCTET_F32, SHAPE(4), data);
        oct_node_set_int(h.graph, h.node, "to", cases[i].to);
        op_run_ok(&h);
        op_expect(&h, 0, cases[i].to, SHAPE(4), cases[i].expected);
        op_end(&h);
    }
    const float fine[] = {1.0001f, 70000};
    const float coarse[] = {1, INFINITY};
    OpHarness h;
    op_begin(&h, "", "Cast", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2), fine);
    oct_node_set_int(h.graph, h.node, "to", OCTET_F16);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2), coarse);
    op_end(&h);
    op_begin(&h, "", "CastLike", 15, 1);
    op_input(&h, OCTET_F32, SHAPE(4), data);
    op_input(&h, OCTET_S64, SHAPE(1), ints);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S64, SHAPE(4), ints);
    op_end(&h);
    op_begin(&h, "", "Cast", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(4), data);
    oct_node_set_int(h.graph, h.node, "to", OCTET_STRING);
    assert_int_equal(op_run(&h), OCTET_ERROR_UNSUPPORTED);
    op_end(&h);
}

/* ---- functions of two tensors ---- */

static void floats(const char *name, int opset, const float *expected) {
    const float a[] = {1, -2, 3, -4, 5, 6};
    const float b[] = {2, 3, -1};
    OpHarness h;
    op_begin(&h, "", name, opset, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3), a);
    op_input(&h, OCTET_F32, SHAPE(3), b);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(2, 3), expected, 1e-6f);
    op_end(&h);
}

static void floats_broadcast(void **state) {
    (void)state;
    floats("Add", 14, (const float[]){3, 1, 2, -2, 8, 5});
    floats("Sub", 14, (const float[]){-1, -5, 4, -6, 2, 7});
    floats("Mul", 14, (const float[]){2, -6, -3, -8, 15, -6});
    floats("Div", 14, (const float[]){0.5f, -2.0f / 3, -3, -2, 5.0f / 3, -6});
    floats("Min", 13, (const float[]){1, -2, -1, -4, 3, -1});
    floats("Max", 13, (const float[]){2, 3, 3, 2, 5, 6});
    floats("Sum", 13, (const float[]){3, 1, 2, -2, 8, 5});
    floats("Mean", 13, (const float[]){1.5f, 0.5f, 1, -1, 4, 2.5f});
    floats("Pow", 13, (const float[]){1, -8, 1.0f / 3, 16, 125, 1.0f / 6});
    floats("PRelu", 9, (const float[]){1, -6, 3, -8, 5, 6});
    const float a[] = {5.5f, -5.5f};
    const float b[] = {3, 3};
    const float rest[] = {2.5f, -2.5f};
    OpHarness h;
    op_begin(&h, "", "Mod", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2), a);
    op_input(&h, OCTET_F32, SHAPE(2), b);
    oct_node_set_int(h.graph, h.node, "fmod", 1);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2), rest);
    op_end(&h);
}

static void both_operands_widen_and_empty_stays_empty(void **state) {
    (void)state;
    const float a[] = {1, 2};
    const float b[] = {10, 20, 30};
    const float expected[] = {11, 21, 31, 12, 22, 32};
    OpHarness h;
    op_begin(&h, "", "Add", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 1), a);
    op_input(&h, OCTET_F32, SHAPE(1, 3), b);
    h.node->activation = (OctActivation){OCT_ACTIVATION_CLIP, 12, 31};
    op_run_ok(&h);
    const float clipped[] = {12, 21, 31, 12, 22, 31};
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 3), clipped);
    op_end(&h);
    op_begin(&h, "", "Add", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 1), a);
    op_input(&h, OCTET_F32, SHAPE(1, 3), b);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 3), expected);
    op_end(&h);
    op_begin(&h, "", "Less", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 0), a);
    op_input(&h, OCTET_F32, SHAPE(1), b);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_BOOL, SHAPE(2, 0), NULL);
    op_end(&h);
    op_begin(&h, "", "Mul", 13, 1);
    op_input(&h, OCTET_F32, SCALAR, a);
    op_input(&h, OCTET_F32, SCALAR, b);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SCALAR, b);
    op_end(&h);
    op_begin(&h, "", "Add", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2), a);
    op_input(&h, OCTET_F32, SHAPE(3), b);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

static void variadic_functions_take_any_number(void **state) {
    (void)state;
    const float a[] = {1, 5, 3};
    const float b[] = {4};
    const float c[] = {2, 9, 0};
    const float largest[] = {4, 9, 4};
    const float mean[] = {7.0f / 3, 6, 7.0f / 3};
    OpHarness h;
    op_begin(&h, "", "Max", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(3), a);
    op_input(&h, OCTET_F32, SHAPE(1), b);
    op_input(&h, OCTET_F32, SHAPE(3), c);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(3), largest);
    op_end(&h);
    op_begin(&h, "", "Mean", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(1), b);
    op_input(&h, OCTET_F32, SHAPE(3), a);
    op_input(&h, OCTET_F32, SHAPE(3), c);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(3), mean, 1e-6f);
    op_end(&h);
    op_begin(&h, "", "Sum", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(3), a);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(3), a);
    op_end(&h);
    const int32_t x[] = {7, -7, 1};
    const int32_t smallest[] = {4, -7, 1};
    const int32_t four = 4;
    op_begin(&h, "", "Min", 13, 1);
    op_input(&h, OCTET_S32, SHAPE(3), x);
    op_input(&h, OCTET_S32, SCALAR, &four);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S32, SHAPE(3), smallest);
    op_end(&h);
}

static void integer_pair(const char *name, bool fmod, const int64_t *expected) {
    const int64_t a[] = {7, -7, INT64_MIN, 5};
    const int64_t b[] = {3, 3, -1, 0};
    OpHarness h;
    op_begin(&h, "", name, 18, 1);
    op_input(&h, OCTET_S64, SHAPE(4), a);
    op_input(&h, OCTET_S64, SHAPE(4), b);
    if (fmod) {
        oct_node_set_int(h.graph, h.node, "fmod", 1);
    }
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S64, SHAPE(4), expected);
    op_end(&h);
}

static void integers_wrap_and_never_trap(void **state) {
    (void)state;
    integer_pair("Add", false, (const int64_t[]){10, -4, INT64_MAX, 5});
    integer_pair("Mul", false, (const int64_t[]){21, -21, INT64_MIN, 0});
    integer_pair("Div", false, (const int64_t[]){2, -2, INT64_MIN, 0});
    integer_pair("Mod", false, (const int64_t[]){1, 2, 0, 0});
    integer_pair("Mod", true, (const int64_t[]){1, -1, 0, 0});
    integer_pair("Pow", false, (const int64_t[]){343, -343, 0, 1});
    integer_pair("BitwiseAnd", false, (const int64_t[]){3, 1, INT64_MIN, 0});
    const uint8_t a[] = {1, 200, 128};
    const uint8_t b[] = {1, 1, 9};
    const uint8_t left[] = {2, 144, 0};
    const uint8_t right[] = {0, 100, 0};
    for (int i = 0; i < 2; i++) {
        OpHarness h;
        op_begin(&h, "", "BitShift", 11, 1);
        op_input(&h, OCTET_U8, SHAPE(3), a);
        op_input(&h, OCTET_U8, SHAPE(3), b);
        oct_node_set_string(h.graph, h.node, "direction", i ? "RIGHT" : "LEFT");
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_U8, SHAPE(3), i ? right : left);
        op_end(&h);
    }
}

static void comparisons_give_bools(void **state) {
    (void)state;
    const uint64_t a[] = {1, UINT64_MAX, 5};
    const uint64_t b[] = {2, 1, 5};
    const float x[] = {1, NAN, 5};
    const float y[] = {2, NAN, 5};
    const struct {
        const char *name;
        uint8_t u64[3], f32[3];
    } cases[] = {{"Equal", {0, 0, 1}, {0, 0, 1}},
                 {"Less", {1, 0, 0}, {1, 0, 0}},
                 {"LessOrEqual", {1, 0, 1}, {1, 0, 1}},
                 {"Greater", {0, 1, 0}, {0, 0, 0}},
                 {"GreaterOrEqual", {0, 1, 1}, {0, 0, 1}}};
    for (size_t i = 0; i < 5; i++) {
        OpHarness h;
        op_begin(&h, "", cases[i].name, 16, 1);
        op_input(&h, OCTET_U64, SHAPE(3), a);
        op_input(&h, OCTET_U64, SHAPE(3), b);
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_BOOL, SHAPE(3), cases[i].u64);
        op_end(&h);
        op_begin(&h, "", cases[i].name, 16, 1);
        op_input(&h, OCTET_F32, SHAPE(3), x);
        op_input(&h, OCTET_F32, SHAPE(3), y);
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_BOOL, SHAPE(3), cases[i].f32);
        op_end(&h);
    }
    const uint8_t p[] = {0, 0, 1, 1};
    const uint8_t q[] = {0, 1, 0, 1};
    const uint8_t exclusive[] = {0, 1, 1, 0};
    OpHarness h;
    op_begin(&h, "", "Xor", 7, 1);
    op_input(&h, OCTET_BOOL, SHAPE(4), p);
    op_input(&h, OCTET_BOOL, SHAPE(4), q);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_BOOL, SHAPE(4), exclusive);
    op_end(&h);
}

/* ---- two tensors of bytes ---- */

static void byte_pair(const char *name, const OctetShape *a_shape, const OctetShape *b_shape,
                      bool constant, double (*reference)(double, double)) {
    uint8_t a[24];
    uint8_t b[24];
    for (int i = 0; i < 24; i++) {
        a[i] = (uint8_t)(i * 11);
        b[i] = (uint8_t)(255 - i * 7);
    }
    OpHarness h;
    op_begin(&h, "", name, 14, 1);
    op_input_q(&h, OCTET_U8, a_shape, a, 0.02f, 100);
    if (constant) {
        OctValue *value = op_constant(&h, OCTET_U8, b_shape, b);
        value->dtype = OCTET_F32;
        op_quantize(&h, value, OCTET_U8, 0.03f, 120);
    } else {
        op_input_q(&h, OCTET_U8, b_shape, b, 0.03f, 120);
    }
    op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.05f, 110);
    h.node->activation = (OctActivation){OCT_ACTIVATION_CLIP, -1, 3};
    op_run_ok(&h);
    const uint8_t *got = h.outputs[0].data;
    int64_t b_count = 0;
    octet_shape_count(b_shape, &b_count);
    for (int i = 0; i < 24; i++) {
        /* b repeats along the first axis, or is one value */
        double y = reference((a[i] - 100) * 0.02, (b[i % b_count] - 120) * 0.03);
        double q = rint(fmin(fmax(y, -1), 3) / 0.05) + 110;
        assert_true(fabs(got[i] - q) <= 1);
    }
    op_end(&h);
}

static double add(double a, double b) {
    return a + b;
}
static double sub(double a, double b) {
    return a - b;
}
static double mul(double a, double b) {
    return a * b;
}

static void bytes_are_added_and_multiplied(void **state) {
    (void)state;
    for (int constant = 0; constant < 2; constant++) {
        byte_pair("Add", SHAPE(2, 12), SHAPE(2, 12), constant, add);
        byte_pair("Add", SHAPE(2, 12), SHAPE(12), constant, add);
        byte_pair("Add", SHAPE(2, 12), SHAPE(1), constant, add);
        byte_pair("Sub", SHAPE(2, 12), SHAPE(2, 12), constant, sub);
        byte_pair("Sub", SHAPE(2, 12), SCALAR, constant, sub);
        byte_pair("Mul", SHAPE(2, 12), SHAPE(2, 12), constant, mul);
        byte_pair("Mul", SHAPE(2, 12), SHAPE(1, 1), constant, mul);
        byte_pair("Mul", SHAPE(2, 3, 4), SHAPE(3, 4), constant, mul);
    }
}

/* The left operand repeats within rows: 2x3x4 of which a is 2x3x1. */
static void bytes_with_a_repeated_left_operand(void **state) {
    (void)state;
    const uint8_t a[] = {0, 50, 100, 150, 200, 250};
    uint8_t b[24];
    for (int i = 0; i < 24; i++) {
        b[i] = (uint8_t)(i * 10);
    }
    for (int k = 0; k < 3; k++) {
        const char *const names[] = {"Add", "Sub", "Mul"};
        double (*const references[])(double, double) = {add, sub, mul};
        OpHarness h;
        op_begin(&h, "", names[k], 14, 1);
        op_input_q(&h, OCTET_U8, SHAPE(2, 3, 1), a, 0.02f, 100);
        op_input_q(&h, OCTET_U8, SHAPE(2, 3, 4), b, 0.03f, 7);
        op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.1f, 128);
        op_run_ok(&h);
        const uint8_t *got = h.outputs[0].data;
        for (int i = 0; i < 24; i++) {
            double y = references[k]((a[i / 4] - 100) * 0.02, (b[i] - 7) * 0.03);
            double q = fmin(fmax(rint(y / 0.1) + 128, 0), 255);
            assert_true(fabs(got[i] - q) <= 1);
        }
        op_end(&h);
    }
}

static void bytes_with_a_constant_number_are_looked_up(void **state) {
    (void)state;
    const uint8_t data[] = {0, 100, 150, 255};
    const float two = 2;
    const float slope = 0.5f;
    const uint8_t halved[] = {50, 100, 125, 178};
    const uint8_t leaky_bytes[] = {50, 100, 150, 255};
    OpHarness h;
    op_begin(&h, "", "Div", 14, 1);
    op_input_q(&h, OCTET_U8, SHAPE(4), data, 0.1f, 100);
    op_constant(&h, OCTET_F32, SCALAR, &two);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.1f, 100);
    op_run_ok(&h);
    assert_string_equal(h.prepared.kernel, "q8_lookup");
    op_expect(&h, 0, OCTET_U8, SHAPE(4), halved);
    op_end(&h);
    op_begin(&h, "", "PRelu", 16, 1);
    op_input_q(&h, OCTET_U8, SHAPE(4), data, 0.1f, 100);
    op_constant(&h, OCTET_F32, SHAPE(1), &slope);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.1f, 100);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_U8, SHAPE(4), leaky_bytes);
    op_end(&h);
}

/* Operands in float beside bytes: computed on real numbers, rounded once. */
static void bytes_with_a_float_operand(void **state) {
    (void)state;
    const uint8_t data[] = {0, 50, 100, 150, 200, 250};
    const float constants[] = {1, -2, 0.5f};
    const char *const names[] = {"Add", "Div", "PRelu", "Pow"};
    for (int k = 0; k < 4; k++) {
        OpHarness h;
        op_begin(&h, "", names[k], 14, 1);
        op_input_q(&h, OCTET_U8, SHAPE(2, 3), data, 0.02f, 100);
        op_constant(&h, OCTET_F32, SHAPE(3), constants);
        op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.05f, 128);
        op_run_ok(&h);
        const uint8_t *got = h.outputs[0].data;
        for (int i = 0; i < 6; i++) {
            double x = (data[i] - 100) * (double)0.02f;
            double c = (double)constants[i % 3];
            double y = k == 0 ? x + c : k == 1 ? x / c : k == 2 ? (x < 0 ? x * c : x) : pow(x, c);
            double q = isnan(y) ? 128 : fmin(fmax(rint(y / 0.05) + 128, 0), 255);
            assert_true(fabs(got[i] - q) <= 1);
        }
        op_end(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_match_libm),
        cmocka_unit_test(bytes_are_looked_up),
        cmocka_unit_test(clip_takes_bounds_in_every_form),
        cmocka_unit_test(integers_have_their_functions),
        cmocka_unit_test(predicates_give_bools),
        cmocka_unit_test(cast_converts),
        cmocka_unit_test(floats_broadcast),
        cmocka_unit_test(both_operands_widen_and_empty_stays_empty),
        cmocka_unit_test(variadic_functions_take_any_number),
        cmocka_unit_test(integers_wrap_and_never_trap),
        cmocka_unit_test(comparisons_give_bools),
        cmocka_unit_test(bytes_are_added_and_multiplied),
        cmocka_unit_test(bytes_with_a_repeated_left_operand),
        cmocka_unit_test(bytes_with_a_constant_number_are_looked_up),
        cmocka_unit_test(bytes_with_a_float_operand),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
