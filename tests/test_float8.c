/* 8-bit floats: their codes, rounding, and the operators and files that hold them. */
#include "onnx_models.h"

#include "base/float8.h"
#include "octet/data.h"
#include "octet/session.h"
#include "op_harness.h"

#include <math.h>
#include <unistd.h>

typedef struct Kind {
    OctetDType dtype;
    int exponent_bits, bias;
    double largest;
    bool zeros_only; /* FNUZ: one zero, one NaN, no infinities */
    bool infinities;
} Kind;

static const Kind kinds[] = {{OCTET_F8E4M3FN, 4, 7, 448, false, false},
                             {OCTET_F8E4M3FNUZ, 4, 8, 240, true, false},
                             {OCTET_F8E5M2, 5, 15, 57344, false, true},
                             {OCTET_F8E5M2FNUZ, 5, 16, 57344, true, false}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

/* What the bits say before anything is reserved. */
static double plain_value(const Kind *kind, int magnitude) {
    double fractions = pow(2, 7 - kind->exponent_bits);
    double exponent = floor(magnitude / fractions), fraction = magnitude / fractions - exponent;
    return exponent == 0 ? fraction * pow(2, 1 - kind->bias)
                         : (1 + fraction) * pow(2, exponent - kind->bias);
}

static double value_of(const Kind *kind, int code) {
    double value = plain_value(kind, code & 0x7f);
    if (kind->zeros_only && code == 0x80) {
        return NAN;
    }
    if (value > kind->largest) {
        value = kind->infinities && (code & 3) == 0 ? INFINITY : NAN;
    }
    return code & 0x80 ? -value : value;
}

static void test_decode(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        int nans = 0;
        for (int code = 0; code < 256; code++) {
            double expected = value_of(&kinds[k], code);
            float got = oct_float8_decode(kinds[k].dtype, (uint8_t)code);
            nans += isnan(got);
            if (!(isnan(expected) && isnan(got)) &&
                ((double)got != expected || !signbit(got) != !signbit(expected))) {
                fail_msg("%s %02x: %g, expected %g", octet_dtype_name(kinds[k].dtype), code,
                         (double)got, expected);
            }
        }
        assert_int_equal(nans, kinds[k].zeros_only ? 1 : kinds[k].infinities ? 6 : 2);
    }
}

/* The nearest of all values, the even code of two that are as near; the first value that is too
 * large takes part. */
static int nearest(const Kind *kind, double x, bool saturate) {
    int sign = signbit(x) ? 0x80 : 0, most = 0, best = 0;
    while (plain_value(kind, most + 1) <= kind->largest) {
        most++;
    }
    if (isnan(x)) {
        return kind->zeros_only ? 0x80 : sign | 0x7f;
    }
    for (int code = 1; code <= most + 1; code++) {
        double here = fabs(plain_value(kind, code) - fabs(x));
        double before = fabs(plain_value(kind, best) - fabs(x));
        if (here < before || (here == before && code % 2 == 0) ||
            fabs(x) > plain_value(kind, most + 1)) {
            best = code;
        }
    }
    if (best > most && saturate) {
        best = most;
    } else if (best > most) {
        return kind->zeros_only ? 0x80 : kind->infinities ? sign | 0x7c : sign | 0x7f;
    }
    return kind->zeros_only && best == 0 ? 0 : sign | best;
}

static void expect_encoded(const Kind *kind, double x) {
    for (int saturate = 0; saturate < 2; saturate++) {
        int expected = nearest(kind, x, saturate);
        int got = oct_float8_encode(kind->dtype, x, saturate);
        if (got != expected) {
            fail_msg("%s of %.17g (saturate %d): %02x, expected %02x",
                     octet_dtype_name(kind->dtype), x, saturate, got, expected);
        }
    }
}

static void expect_both_signs(const Kind *kind, double x) {
    expect_encoded(kind, x);
    expect_encoded(kind, -x);
}

static void test_encode(void **state) {
    (void)state;
    uint32_t bits = 1;
    for (size_t k = 0; k < KINDS; k++) {
        const double special[] = {0,     NAN,   INFINITY, 1e300, 5e-324, 1e-40, (double)3.4e38f,
                                  65536, 61440, 480,      464,   248,    1e6};
        for (size_t i = 0; i < sizeof special / sizeof special[0]; i++) {
            expect_both_signs(&kinds[k], special[i]);
        }
        for (int code = 0; code < 127; code++) { /* values, midpoints and what is next to them */
            double low = plain_value(&kinds[k], code), high = plain_value(&kinds[k], code + 1);
            const double at[] = {low, (low + high) / 2};
            for (int i = 0; i < 2; i++) {
                expect_both_signs(&kinds[k], at[i]);
                expect_both_signs(&kinds[k], nextafter(at[i], 1e9));
                expect_both_signs(&kinds[k], fmax(nextafter(at[i], -1), 0));
                expect_both_signs(&kinds[k], (double)nextafterf((float)at[i], 1e9f));
            }
            assert_int_equal(oct_float8_encode(kinds[k].dtype, value_of(&kinds[k], code), true),
                             isnan(value_of(&kinds[k], code))   ? 0x7f
                             : isinf(value_of(&kinds[k], code)) ? 0x7b
                                                                : code);
        }
        for (int i = 0; i < 20000; i++) {
            bits = bits * 1664525u + 1013904223u;
            float any, near_one = ldexpf((float)(bits >> 8), -24 + i % 40 - 20);
            memcpy(&any, &bits, sizeof any);
            expect_encoded(&kinds[k], (double)any);
            expect_both_signs(&kinds[k], (double)near_one);
        }
    }
}

/* A double just above a midpoint would fall onto it in f32, and then to the even neighbor. */
static void test_convert(void **state) {
    (void)state;
    const double reals[] = {1.0625 + 1e-12, 1.0625, 1e9};
    const int64_t wholes[] = {17, -1000, INT64_MAX};
    const uint64_t unsigned_wholes[] = {UINT64_MAX, 3, 0};
    const uint8_t from_reals[] = {0x39, 0x38, 0x7e}, from_wholes[] = {0x58, 0xfe, 0x7e};
    const uint8_t from_unsigned[] = {0x7e, 0x44, 0};
    uint8_t got[3];
    int32_t back[3];
    bool truth[3];
    assert_int_equal(oct_convert(OCTET_F8E4M3FN, got, OCTET_F64, reals, 3, NULL), OCTET_OK);
    assert_memory_equal(got, from_reals, 3);
    assert_int_equal(oct_convert(OCTET_F8E4M3FN, got, OCTET_U64, unsigned_wholes, 3, NULL),
                     OCTET_OK);
    assert_memory_equal(got, from_unsigned, 3);
    assert_int_equal(oct_convert(OCTET_F8E4M3FN, got, OCTET_S64, wholes, 3, NULL), OCTET_OK);
    assert_memory_equal(got, from_wholes, 3);
    assert_int_equal(oct_convert(OCTET_S32, back, OCTET_F8E4M3FN, got, 3, NULL), OCTET_OK);
    assert_int_equal(back[0], 16);
    assert_int_equal(back[1], -448);
    assert_int_equal(oct_convert(OCTET_BOOL, truth, OCTET_F8E4M3FN, from_unsigned, 3, NULL),
                     OCTET_OK);
    assert_true(truth[0] && truth[1] && !truth[2]);
    assert_int_equal(octet_dtype_size(OCTET_F8E5M2FNUZ), 1);
    assert_string_equal(octet_dtype_name(OCTET_F8E4M3FN), "f8e4m3fn");
}

/* ---- operators ---- */

static void expect_reals(const OpHarness *h, const float *expected, int count) {
    const float *got = h->outputs[0].data;
    for (int i = 0; i < count; i++) {
        assert_true(got[i] == expected[i] || (isnan(got[i]) && isnan(expected[i])));
    }
}

static void check_cast(const Kind *kind, const char *op, bool saturate) {
    float x[8] = {1.06f, -0.0f, 1e6f, -1e6f, INFINITY, NAN, -3e-4f, 465.0f}, real[8];
    uint8_t codes[8], one = 0;
    for (int i = 0; i < 8; i++) {
        codes[i] = (uint8_t)nearest(kind, (double)x[i], saturate);
        real[i] = (float)value_of(kind, codes[i]);
    }
    OpHarness h;
    op_begin(&h, "", op, 19, 1);
    op_input(&h, OCTET_F32, SHAPE(8), x);
    if (strcmp(op, "CastLike") == 0) {
        op_input(&h, kind->dtype, SCALAR, &one);
    }
    assert_true(oct_node_set_int(h.graph, h.node, "to", kind->dtype));
    assert_true(oct_node_set_int(h.graph, h.node, "saturate", saturate));
    op_run_ok(&h);
    op_expect(&h, 0, kind->dtype, SHAPE(8), codes);
    op_end(&h);
    op_begin(&h, "", "Cast", 19, 1);
    op_input(&h, kind->dtype, SHAPE(8), codes);
    assert_true(oct_node_set_int(h.graph, h.node, "to", OCTET_F32));
    op_run_ok(&h);
    expect_reals(&h, real, 8);
    op_end(&h);
}

static void test_cast(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        for (int saturate = 0; saturate < 2; saturate++) {
            check_cast(&kinds[k], "Cast", saturate);
            check_cast(&kinds[k], "CastLike", saturate);
        }
    }
}

/* 4 x 6: one scale for all, one a row, one for three elements of a row. */
static void check_linear(const Kind *kind, int scales, bool saturate, bool has_zero) {
    float x[24], scale[8], real[24];
    uint8_t codes[24], zeros[8] = {0};
    OctetShape shape = {.rank = scales == 1 ? 0 : scales == 4 ? 1 : 2, .dims = {4, 2}};
    for (int i = 0; i < 24; i++) {
        x[i] = (float)(i * i * i % 101 - 50) * (i == 7 ? 1e5f : 0.7f);
        scale[i % 8] = 0.11f * (float)(i % 8 + 1);
    }
    for (int i = 0; i < 24; i++) {
        float s = scale[i * scales / 24];
        codes[i] = (uint8_t)nearest(kind, (double)(x[i] / s), saturate);
        real[i] = (float)value_of(kind, codes[i]) * s;
    }
    OpHarness h;
    for (int back = 0; back < 2; back++) {
        op_begin(&h, "", back ? "DequantizeLinear" : "QuantizeLinear", 21, 1);
        assert_true(oct_node_set_int(h.graph, h.node, "axis", scales == 4 ? 0 : 1));
        assert_true(oct_node_set_int(h.graph, h.node, "block_size", scales == 8 ? 3 : 0));
        assert_true(oct_node_set_int(h.graph, h.node, "saturate", saturate));
        if (!has_zero && !back) {
            assert_true(oct_node_set_int(h.graph, h.node, "output_dtype", kind->dtype));
        }
        op_input(&h, back ? kind->dtype : OCTET_F32, SHAPE(4, 6), back ? (void *)codes : x);
        op_input(&h, OCTET_F32, &shape, scale);
        if (has_zero) {
            op_input(&h, kind->dtype, &shape, zeros);
        }
        op_run_ok(&h);
        if (back) {
            expect_reals(&h, real, 24);
        } else {
            op_expect(&h, 0, kind->dtype, SHAPE(4, 6), codes);
        }
        op_end(&h);
    }
}

static void test_linear(void **state) {
    (void)state;
    for (size_t k = 0; k < KINDS; k++) {
        for (int scales = 1; scales <= 8; scales = scales == 1 ? 4 : scales * 2) {
            check_linear(&kinds[k], scales, true, true);
            check_linear(&kinds[k], scales, false, false);
        }
    }
}

static void expect_zero_point(OctetDType x, OctetDType zero, uint8_t code, bool constant,
                              OctetStatus status) {
    OpHarness h;
    const uint8_t codes[2] = {1, 2};
    const float scale = 1;
    op_begin(&h, "", "DequantizeLinear", 19, 1);
    op_input(&h, x, SHAPE(2), codes);
    op_input(&h, OCTET_F32, SCALAR, &scale);
    if (constant) {
        op_constant(&h, zero, SCALAR, &code);
    } else {
        op_input(&h, zero, SCALAR, &code);
    }
    assert_int_equal(op_run(&h), status);
    op_end(&h);
}

static void test_zero_points(void **state) {
    (void)state;
    for (int constant = 0; constant < 2; constant++) {
        OctetStatus no = OCTET_ERROR_UNSUPPORTED;
        expect_zero_point(OCTET_F8E5M2, OCTET_F8E5M2, 0, constant, OCTET_OK);
        expect_zero_point(OCTET_F8E5M2, OCTET_F8E5M2, 0x80, constant, OCTET_OK);
        expect_zero_point(OCTET_F8E5M2, OCTET_F8E5M2, 1, constant, no);
        expect_zero_point(OCTET_F8E5M2FNUZ, OCTET_F8E5M2FNUZ, 0x80, constant, no);
        expect_zero_point(OCTET_F8E5M2, OCTET_F8E4M3FN, 0, constant, no);
        expect_zero_point(OCTET_F8E5M2, OCTET_U8, 0, constant, no);
        expect_zero_point(OCTET_U8, OCTET_F8E5M2, 0, constant, no);
    }
}

static void test_moved(void **state) {
    (void)state;
    const uint8_t codes[6] = {0x7f, 0x80, 1, 0xff, 0x38, 0x7c};
    const uint8_t turned[6] = {0x7f, 0xff, 0x80, 0x38, 1, 0x7c};
    const uint8_t padded[8] = {0x40, 0x7f, 0x80, 1, 0xff, 0x38, 0x7c, 0};
    const int64_t pads[2] = {1, 0}, shape[2] = {3, 2};
    OpHarness h;
    op_begin(&h, "", "Transpose", 21, 1);
    op_input(&h, OCTET_F8E5M2, SHAPE(2, 3), codes);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F8E5M2, SHAPE(3, 2), turned);
    op_end(&h);
    op_begin(&h, "", "Reshape", 21, 1);
    op_input(&h, OCTET_F8E4M3FNUZ, SHAPE(2, 3), codes);
    op_constant(&h, OCTET_S64, SHAPE(2), shape);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F8E4M3FNUZ, SHAPE(3, 2), codes);
    op_end(&h);
    op_begin(&h, "", "Pad", 21, 1);
    op_input(&h, OCTET_F8E4M3FN, SHAPE(6), codes);
    op_constant(&h, OCTET_S64, SHAPE(2), pads);
    op_constant(&h, OCTET_F8E4M3FN, SCALAR, padded);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F8E4M3FN, SHAPE(7), padded);
    op_end(&h);
}

/* Whatever computes denies them, by the type of a constant, an input or what another node makes. */
static void test_denied(void **state) {
    (void)state;
    static const char *const operators[] = {"Add",   "MatMul",  "Relu",   "Conv", "Concat",
                                            "Equal", "Softmax", "Gather", "Max",  "ReduceMax"};
    static const char *const inputs[] = {"w w", "x w", "c w"};
    const uint8_t zeros[4] = {0};
    for (size_t i = 0; i < sizeof operators / sizeof operators[0]; i++) {
        for (int k = 0; k < 3; k++) {
            Onnx__ModelProto *model = new_model(21);
            add_input(model->graph, "x", OCTET_F8E4M3FN, "1,1,2,2");
            add_tensor(model->graph, "w", OCTET_F8E4M3FN, "1,1,2,2", zeros, 4);
            add_tensor(model->graph, "f", OCTET_F32, "", zeros, 4);
            add_node(model->graph, "CastLike", "f x", "c");
            bool one = strcmp(operators[i], "Relu") == 0 || strcmp(operators[i], "Softmax") == 0 ||
                       strcmp(operators[i], "ReduceMax") == 0;
            char first[2] = {inputs[k][0], 0};
            Onnx__NodeProto *node =
                add_node(model->graph, operators[i], one ? first : inputs[k], "y");
            node->name = (char *)"culprit";
            add_output(model->graph, "y", OCTET_F8E4M3FN, NULL);
            OctetGraph *graph;
            OctetDiagnostic diagnostic;
            assert_int_equal(try_load(model, false, &graph, &diagnostic), OCTET_ERROR_UNSUPPORTED);
            assert_string_equal(diagnostic.node, "culprit");
            assert_non_null(strstr(diagnostic.message, "has no f8e4m3fn form"));
            empty_pool();
        }
    }
}

/* ---- files ---- */

static Onnx__GraphProto *branch(const char *op_type, const char *input, OctetDType dtype) {
    Onnx__GraphProto *graph = new_graph_proto();
    graph->name = (char *)op_type;
    add_node(graph, op_type, input, "b");
    add_output(graph, "b", dtype, NULL);
    return graph;
}

/* Weights in both ways of writing them, a branch that gives 8-bit floats, and a graph input and
 * output of them. */
static Onnx__ModelProto *model_of(OctetDType dtype) {
    Onnx__ModelProto *model = new_model(21);
    Onnx__GraphProto *g = model->graph;
    const uint8_t weights[4] = {0x38, 0xb9, 0x21, 0x44};
    add_input(g, "x", OCTET_F32, "2,2");
    add_input(g, "e", dtype, "2,2");
    add_input(g, "yes", OCTET_BOOL, "");
    add_scalar_f32(g, "s", 0.25f);
    add_tensor(g, "z", dtype, "", (uint8_t[]){0}, 1);
    add_tensor(g, "w", dtype, "2,2", weights, 4);
    Onnx__TensorProto *ints = add_tensor(g, "v", dtype, "2,2", weights, 4);
    ints->has_raw_data = 0;
    for (size_t i = 0; i < 4; i++) {
        APPEND(ints->n_int32_data, ints->int32_data, (int32_t)weights[i]);
    }
    add_node(g, "DequantizeLinear", "w s z", "wf");
    add_node(g, "DequantizeLinear", "v s", "vf");
    add_node(g, "MatMul", "x wf", "m");
    add_node(g, "Add", "m vf", "a");
    add_int(add_node(g, "QuantizeLinear", "a s z", "q"), "saturate", 0);
    Onnx__NodeProto *choice = add_node(g, "If", "yes", "i");
    add_graph(choice, "then_branch", branch("Transpose", "q", dtype));
    add_graph(choice, "else_branch", branch("Identity", "e", dtype));
    add_node(g, "DequantizeLinear", "i s z", "y");
    add_output(g, "q", dtype, "2,2");
    add_output(g, "y", OCTET_F32, "2,2");
    return model;
}

static void run_model(const OctetGraph *graph, OctetDType dtype, bool yes, uint8_t *q, float *y) {
    float x[4] = {0.5f, -3, 1e6f, 0.1f};
    uint8_t e[4] = {0x30, 0x31, 0xb2, 0x03};
    const OctetShape square = {.rank = 2, .dims = {2, 2}}, scalar = {.rank = 0};
    OctetTensor *inputs[3];
    const OctetTensor *outputs[2];
    OctetSession *session;
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_tensor_wrap(OCTET_F32, &square, x, sizeof x, &inputs[0], NULL), 0);
    assert_int_equal(octet_tensor_wrap(dtype, &square, e, sizeof e, &inputs[1], NULL), 0);
    assert_int_equal(octet_tensor_wrap(OCTET_BOOL, &scalar, &yes, 1, &inputs[2], NULL), 0);
    OctetStatus status = octet_session_create(graph, NULL, &session, &diagnostic);
    if (status == OCTET_OK) {
        status = octet_session_run(session, (const OctetTensor *const *)inputs, 3, outputs, 2,
                                   &diagnostic);
    }
    if (status != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    assert_int_equal(outputs[0]->dtype, dtype);
    memcpy(q, outputs[0]->data, 4);
    memcpy(y, outputs[1]->data, 16);
    octet_session_free(session);
    for (int i = 0; i < 3; i++) {
        octet_tensor_free(inputs[i]);
    }
}

static void expect_results(const Kind *kind, const uint8_t *q, const float *y, bool yes) {
    const float x[4] = {0.5f, -3, 1e6f, 0.1f};
    const uint8_t weights[4] = {0x38, 0xb9, 0x21, 0x44}, e[4] = {0x30, 0x31, 0xb2, 0x03};
    float w[4];
    for (int i = 0; i < 4; i++) {
        w[i] = (float)value_of(kind, weights[i]) * 0.25f;
    }
    for (int i = 0; i < 4; i++) {
        float sum = fmaf(x[i / 2 * 2 + 1], w[2 + i % 2], x[i / 2 * 2] * w[i % 2]) + w[i];
        assert_int_equal(q[i], nearest(kind, (double)(sum / 0.25f), false));
        int from = yes ? q[i % 2 * 2 + i / 2] : e[i];
        float real = (float)value_of(kind, from) * 0.25f;
        assert_true(y[i] == real || (isnan(y[i]) && isnan(real)));
    }
}

static void test_files(void **state) {
    (void)state;
    char path[] = "/tmp/octet_float8_XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    for (size_t k = 0; k < KINDS; k++) {
        OctetDType dtype = kinds[k].dtype;
        OctetGraph *graph = load_model(model_of(dtype)), *again;
        OctetDiagnostic diagnostic = {0};
        assert_int_equal(octet_model_save(graph, path, NULL, &diagnostic), OCTET_OK);
        assert_int_equal(octet_model_load(path, NULL, &again, &diagnostic), OCTET_OK);
        assert_int_equal(octet_value_dtype(octet_graph_input_at(again, 1)), dtype);
        assert_int_equal(octet_value_dtype(octet_graph_output_at(again, 0)), dtype);
        for (int yes = 0; yes < 2; yes++) {
            uint8_t q[2][4];
            float y[2][4];
            run_model(graph, dtype, yes, q[0], y[0]);
            run_model(again, dtype, yes, q[1], y[1]);
            assert_memory_equal(q[0], q[1], sizeof q[0]);
            assert_memory_equal(y[0], y[1], sizeof y[0]);
            expect_results(&kinds[k], q[0], y[0], yes);
        }
        octet_graph_free(graph);
        octet_graph_free(again);
        empty_pool();
    }
    unlink(path);
}

/* NumPy has no such types: f32 is written, and read and rounded for an input. */
static void test_arrays(void **state) {
    (void)state;
    char path[] = "/tmp/octet_float8_XXXXXX";
    const OctetShape shape = {.rank = 2, .dims = {1, 3}};
    const OctetDataInput input = {.name = "x", .dtype = OCTET_F8E5M2, .shape = shape};
    const OctetPreprocess nothing = {0};
    uint8_t codes[3] = {0x3c, 0xc1, 0x7b};
    float reals[3] = {1.05f, -2.6f, 1e9f};
    OctetTensor *tensor, *array;
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    assert_int_equal(octet_tensor_wrap(OCTET_F8E5M2, &shape, codes, 3, &tensor, NULL), OCTET_OK);
    assert_int_equal(octet_npy_write(path, tensor, NULL), OCTET_OK);
    octet_tensor_free(tensor);
    assert_int_equal(octet_npy_read(path, &array, NULL), OCTET_OK);
    assert_int_equal(array->dtype, OCTET_F32);
    const float expected[3] = {1, -2.5f, 57344};
    assert_memory_equal(array->data, expected, sizeof expected);
    memcpy(array->data, reals, sizeof reals);
    assert_int_equal(octet_array_prepare(&array, &nothing, &input, NULL), OCTET_OK);
    assert_int_equal(array->dtype, OCTET_F8E5M2);
    assert_memory_equal(array->data, codes, 3);
    octet_tensor_free(array);
    unlink(path);
}

/* A graph of an older opset that holds them is written at the first one that knows them. */
static void test_raised(void **state) {
    (void)state;
    char path[] = "/tmp/octet_float8_XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    Onnx__ModelProto *model = new_model(15);
    add_input(model->graph, "x", OCTET_F32, "2");
    add_int(add_node(model->graph, "Cast", "x", "y"), "to", OCTET_F8E5M2);
    add_output(model->graph, "y", OCTET_F8E5M2, "2");
    OctetGraph *graph = load_model(model), *again;
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_model_save(graph, path, NULL, &diagnostic), OCTET_OK);
    assert_int_equal(octet_model_load(path, NULL, &again, &diagnostic), OCTET_OK);
    assert_int_equal(oct_graph_opset(again, ""), 19);
    octet_graph_free(graph);
    octet_graph_free(again);
    unlink(path);
    empty_pool();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decode),  cmocka_unit_test(test_encode),
        cmocka_unit_test(test_convert), cmocka_unit_test(test_cast),
        cmocka_unit_test(test_linear),  cmocka_unit_test(test_zero_points),
        cmocka_unit_test(test_moved),   cmocka_unit_test(test_denied),
        cmocka_unit_test(test_files),   cmocka_unit_test(test_arrays),
        cmocka_unit_test(test_raised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
