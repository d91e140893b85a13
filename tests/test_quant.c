/* Quantization parameters, the quantizing rules, names and qconfigs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "octet/qconfig.h"
#include "quant/quantize_values.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void chosen(const OctetQSpec *spec, float low, float high, float scale, int32_t zero_point) {
    float found;
    int32_t zero;
    assert_int_equal(octet_choose_qparams(spec, low, high, &found, &zero, NULL), OCTET_OK);
    assert_memory_equal(&found, &scale, sizeof scale);
    assert_int_equal(zero, zero_point);
}

static void symmetric_scales_by_both_conventions(void **state) {
    (void)state;
    OctetQSpec spec = {.dtype = OCTET_S8, .qscheme = OCTET_PER_TENSOR_SYMMETRIC};
    chosen(&spec, -2.0F, 1.0F, 2.0F / 127.5F, 0);
    spec.reduce_range = true;
    chosen(&spec, -2.0F, 1.0F, 2.0F / 63.5F, 0);
    spec.reduce_range = false;
    spec.symmetry = OCTET_SYMMETRY_ABSMAX;
    chosen(&spec, -2.0F, 1.0F, 2.0F / 127.0F, 0);
    chosen(&spec, 0.0F, 0.0F, 1.0F, 0);
    chosen(&spec, 0.0F, 1e-39F, 1.0F, 0);
    spec.dtype = OCTET_U8;
    chosen(&spec, -2.0F, 1.0F, 2.0F / 127.0F, 128);
    spec.dtype = OCTET_S16;
    chosen(&spec, -2.0F, 1.0F, 2.0F / 32767.0F, 0);
    spec.dtype = OCTET_S4;
    chosen(&spec, -2.0F, 1.0F, 2.0F / 7.0F, 0);
    spec = (OctetQSpec){.dtype = OCTET_U8, .qscheme = OCTET_PER_TENSOR_SYMMETRIC};
    chosen(&spec, -2.0F, 1.0F, 2.0F / 127.5F, 128);
    chosen(&spec, 0.0F, 0.0F, FLT_EPSILON, 128);
}

static void affine_ranges_hold_zero(void **state) {
    (void)state;
    OctetQSpec spec = {.dtype = OCTET_U8, .qscheme = OCTET_PER_TENSOR_AFFINE};
    chosen(&spec, 1.0F, 2.0F, 2.0F / 255.0F, 0);
    chosen(&spec, -2.0F, -1.0F, 2.0F / 255.0F, 255);
    chosen(&spec, -1.0F, 1.0F, 2.0F / 255.0F, 127); /* -1 / scale is above -127.5 */
    chosen(&spec, 0.0F, 0.0F, FLT_EPSILON, 0);
    spec.dtype = OCTET_S32;
    chosen(&spec, -1e6F, 0.0F, 1e6F / 4294967296.0F, INT32_MAX); /* torch wraps here */
    spec.dtype = OCTET_U8;
    /* a span above the greatest float still has a finite scale */
    chosen(&spec, -FLT_MAX, FLT_MAX, FLT_MAX / 255.0F + FLT_MAX / 255.0F, 128);
    float scale;
    int32_t zero;
    assert_int_equal(octet_choose_qparams(&spec, NAN, 1.0F, &scale, &zero, NULL),
                     OCTET_ERROR_NUMERIC);
    assert_int_equal(octet_choose_qparams(&spec, 0, INFINITY, &scale, &zero, NULL),
                     OCTET_ERROR_NUMERIC);
}

static void odd_values_quantize_to_something(void **state) {
    (void)state;
    const float values[] = {NAN, INFINITY, -INFINITY, FLT_MAX, -FLT_MAX, 0.0F, -0.0F, 1e-40F};
    const OctetDType dtypes[] = {OCTET_U8, OCTET_S8, OCTET_U16, OCTET_S16, OCTET_S32};
    const OctetShape shape = {.rank = 1, .dims = {8}};
    OctetTensor *real, *quantized;
    assert_int_equal(
        octet_tensor_wrap(OCTET_F32, &shape, (void *)values, sizeof values, &real, NULL), OCTET_OK);
    for (int d = 0; d < 5; d++) {
        for (int rule = 0; rule < 2; rule++) {
            int64_t low, high;
            float scale = 0.5F;
            int32_t zero_point = 5;
            OctetQuantizeCounts counts;
            OctetQParams qparams = {.dtype = dtypes[d],
                                    .axis = -1,
                                    .count = 1,
                                    .scale = &scale,
                                    .zero_point = &zero_point};
            octet_dtype_range(dtypes[d], &low, &high);
            const int64_t expected[] = {5, high, low, high, low, 5, 5, 5};
            assert_int_equal(
                octet_quantize(real, &qparams, (OctetQuantizeRule)rule, &quantized, &counts, NULL),
                OCTET_OK);
            assert_int_equal(counts.nan, 1);
            assert_int_equal(counts.infinite, 2);
            OctetTensor *wide;
            assert_int_equal(octet_tensor_cast(quantized, OCTET_S64, &wide, NULL), OCTET_OK);
            assert_memory_equal(wide->data, expected, sizeof expected);
            octet_tensor_free(wide);
            octet_tensor_free(quantized);
        }
    }
    octet_tensor_free(real);
}

/* The vectorizable loops against the definition of one value, halves and ends included. */
static void loops_equal_the_definition(void **state) {
    (void)state;
    enum { COUNT = 4099 };
    static float values[COUNT];
    const OctetDType dtypes[] = {OCTET_U8, OCTET_S8, OCTET_U16, OCTET_S16, OCTET_S32};
    srand(3);
    for (int d = 0; d < 5; d++) {
        for (int round = 0; round < 40; round++) {
            static uint32_t storage[COUNT];
            int64_t low, high;
            octet_dtype_range(dtypes[d], &low, &high);
            float scale = ldexpf(1.0F + (float)(rand() % 1000) / 1000, rand() % 40 - 20);
            int64_t limit = high > 40000 ? 1000 : high;
            int32_t zero_point = (int32_t)(rand() % (limit + 1));
            for (int i = 0; i < COUNT; i++) {
                float steps = (float)(rand() % 200000 - 100000) / 2;
                values[i] = steps * scale * (i % 3 ? 1 : 0.003F) * (i % 7 ? 1 : 1e6F);
            }
            OctQuantizeTarget target =
                oct_quantize_target(dtypes[d], scale, zero_point, (OctetQuantizeRule)(round % 2));
            oct_quantize_values(values, COUNT, &target, storage);
            for (int i = 0; i < COUNT; i++) {
                int64_t found = dtypes[d] == OCTET_U8    ? ((uint8_t *)storage)[i]
                                : dtypes[d] == OCTET_S8  ? ((int8_t *)storage)[i]
                                : dtypes[d] == OCTET_U16 ? ((uint16_t *)storage)[i]
                                : dtypes[d] == OCTET_S16 ? ((int16_t *)storage)[i]
                                                         : ((int32_t *)storage)[i];
                assert_int_equal(found, oct_quantize_one(values[i], &target));
            }
        }
    }
}

/* Opset 21: one scale for each block of 3 along axis 1 of 2 x 7 x 2. */
static void blocks_have_their_own_scales(void **state) {
    (void)state;
    enum { BLOCKS = 2 * 3 * 2 };
    float values[2 * 7 * 2], scales[BLOCKS];
    int32_t zero_points[BLOCKS];
    const OctetShape shape = {.rank = 3, .dims = {2, 7, 2}};
    for (int i = 0; i < BLOCKS; i++) {
        scales[i] = (float)(i + 1);
        zero_points[i] = i;
    }
    for (int i = 0; i < 28; i++) {
        values[i] = 12.0F;
    }
    OctetQParams qparams = {.dtype = OCTET_S8,
                            .axis = 1,
                            .block_size = 3,
                            .count = BLOCKS,
                            .scale = scales,
                            .zero_point = zero_points};
    OctetTensor *real, *quantized, *back;
    assert_int_equal(octet_tensor_wrap(OCTET_F32, &shape, values, sizeof values, &real, NULL),
                     OCTET_OK);
    assert_int_equal(octet_quantize(real, &qparams, OCTET_QUANTIZE_DIVIDE, &quantized, NULL, NULL),
                     OCTET_OK);
    assert_int_equal(octet_dequantize(quantized, &back, NULL), OCTET_OK);
    for (int o = 0; o < 2; o++) {
        for (int a = 0; a < 7; a++) {
            for (int i = 0; i < 2; i++) {
                int block = (o * 3 + a / 3) * 2 + i, at = (o * 7 + a) * 2 + i;
                int steps = (int)rintf(12.0F / scales[block]);
                assert_int_equal(((int8_t *)quantized->data)[at], steps + zero_points[block]);
                assert_true(((float *)back->data)[at] == (float)steps * scales[block]);
            }
        }
    }
    octet_tensor_free(quantized);
    octet_tensor_free(back);
    qparams.count = BLOCKS - 1;
    assert_int_equal(octet_quantize(real, &qparams, OCTET_QUANTIZE_DIVIDE, &quantized, NULL, NULL),
                     OCTET_ERROR_SHAPE);
    octet_tensor_free(real);
}

static void parameters_that_do_not_fit_are_refused(void **state) {
    (void)state;
    const OctetShape shape = {.rank = 2, .dims = {3, 4}};
    float scales[] = {1, 1, 1};
    int32_t zero_points[] = {0, 0, 0};
    OctetQParams good = {
        .dtype = OCTET_U8, .axis = 0, .count = 3, .scale = scales, .zero_point = zero_points};
    assert_int_equal(octet_qparams_check(&good, &shape, NULL), OCTET_OK);
    OctetQParams bad = good;
    bad.axis = 1;
    assert_int_equal(octet_qparams_check(&bad, &shape, NULL), OCTET_ERROR_SHAPE);
    bad.axis = 2;
    assert_int_equal(octet_qparams_check(&bad, &shape, NULL), OCTET_ERROR_SHAPE);
    bad.axis = -1;
    assert_int_equal(octet_qparams_check(&bad, &shape, NULL), OCTET_ERROR_SHAPE);
    bad = good;
    bad.dtype = OCTET_F32;
    assert_int_equal(octet_qparams_check(&bad, &shape, NULL), OCTET_ERROR_INVALID_ARGUMENT);
    const float odd[] = {0, -1, NAN, INFINITY};
    for (int i = 0; i < 4; i++) {
        scales[1] = odd[i];
        assert_int_equal(octet_qparams_check(&good, &shape, NULL), OCTET_ERROR_NUMERIC);
    }
    scales[1] = 1;
    zero_points[2] = 256;
    assert_int_equal(octet_qparams_check(&good, &shape, NULL), OCTET_ERROR_NUMERIC);
}

static void names_go_both_ways(void **state) {
    (void)state;
    for (int i = 0; i <= OCTET_PER_CHANNEL_AFFINE_FLOAT_QPARAMS; i++) {
        OctetQScheme scheme;
        assert_true(octet_qscheme_parse(octet_qscheme_name((OctetQScheme)i), &scheme));
        assert_int_equal(scheme, i);
    }
    for (int i = 0; i <= OCTET_OBSERVER_REUSE_INPUT; i++) {
        OctetObserverType type;
        assert_true(
            octet_observer_type_parse(octet_observer_type_name((OctetObserverType)i), &type));
        assert_int_equal(type, i);
    }
    for (int i = 0; i <= OCTET_REQUANTIZE_TFLITE_SINGLE; i++) {
        OctetRequantize mode;
        assert_true(octet_requantize_parse(octet_requantize_name((OctetRequantize)i), &mode));
        assert_int_equal(mode, i);
    }
    for (int i = 0; i <= OCTET_BIAS_FLOAT; i++) {
        OctetBiasPolicy policy;
        assert_true(octet_bias_policy_parse(octet_bias_policy_name((OctetBiasPolicy)i), &policy));
        assert_int_equal(policy, i);
    }
    OctetDType dtype;
    assert_true(octet_qdtype_parse("quint8", &dtype) && dtype == OCTET_U8);
    assert_true(octet_qdtype_parse("s8", &dtype) && dtype == OCTET_S8);
    assert_false(octet_qdtype_parse("f32", &dtype));
    OctetObserverType type;
    assert_false(octet_observer_type_parse("min", &type));
    assert_string_equal(octet_observer_type_name((OctetObserverType)99), "?");
}

static void named_qconfigs(void **state) {
    (void)state;
    OctetQConfig qconfig, other;
    for (int i = 0; octet_qconfig_name(i); i++) {
        assert_int_equal(octet_qconfig_by_name(octet_qconfig_name(i), &qconfig, NULL), OCTET_OK);
        assert_int_equal(octet_qconfig_check(&qconfig, NULL), OCTET_OK);
    }
    assert_int_equal(octet_qconfig_by_name("qnnpack", &qconfig, NULL), OCTET_OK);
    assert_int_equal(qconfig.activation.type, OCTET_OBSERVER_HISTOGRAM);
    assert_int_equal(qconfig.requantize, OCTET_REQUANTIZE_QNNPACK);
    assert_false(qconfig.activation.spec.reduce_range);
    assert_int_equal(qconfig.weight.spec.qscheme, OCTET_PER_TENSOR_SYMMETRIC);
    assert_int_equal(octet_qconfig_by_name("x86", &qconfig, NULL), OCTET_OK);
    assert_true(qconfig.activation.spec.reduce_range);
    assert_int_equal(qconfig.weight.spec.qscheme, OCTET_PER_CHANNEL_SYMMETRIC);
    assert_int_equal(octet_qconfig_by_name("default_symmetric_qnnpack_qconfig", &qconfig, NULL),
                     OCTET_OK);
    assert_int_equal(qconfig.activation.spec.dtype, OCTET_S8);
    assert_true(qconfig.weight.spec.eps == 0x1p-12F && qconfig.weight.spec.quant_min == -127);
    assert_int_equal(octet_qconfig_by_name("default_qconfig", &qconfig, NULL), OCTET_OK);
    assert_int_equal(octet_qconfig_by_name("default", &other, NULL), OCTET_OK);
    assert_int_equal(qconfig.activation.spec.quant_max, 127);
    assert_true(octet_observer_options_equal(&qconfig.activation, &other.activation));
    assert_int_equal(octet_qconfig_by_name("default_per_channel_qconfig", &qconfig, NULL),
                     OCTET_OK);
    assert_int_equal(qconfig.weight.type, OCTET_OBSERVER_PER_CHANNEL_MINMAX);
    assert_int_equal(octet_qconfig_by_name("qnn", &qconfig, NULL), OCTET_ERROR_INVALID_ARGUMENT);
    qconfig = octet_qconfig_default();
    assert_int_equal(qconfig.requantize, OCTET_REQUANTIZE_ONNX);
    assert_int_equal(qconfig.weight.spec.symmetry, OCTET_SYMMETRY_ABSMAX);
    assert_false(octet_qconfig_none().quantize);
}

static void globs(void **state) {
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"a*", "abc", true},
        {"*c", "abc", true},
        {"*b*", "abc", true},
        {"*b", "abc", false},
        {"a?c", "abc", true},
        {"a?c", "ac", false},
        {"[ab]x", "bx", true},
        {"[!ab]x", "bx", false},
        {"[a-c]x", "bx", true},
        {"[a-c]x", "dx", false},
        {"[]]x", "]x", true},
        {"[ab", "[ab", true},
        {"a\\*", "a*", true},
        {"a\\*", "ab", false},
        {"*a*b*c", "xaxbxc", true},
        {"*a*b*c", "xaxbx", false},
        {"/layer?/*Conv", "/layer3/0/Conv", true},
        {"**", "x", true},
        {"a**b", "ab", true},
        {"[a-]x", "-x", true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(octet_glob_match(cases[i].pattern, cases[i].text), cases[i].matches);
    }
    /* a pattern of many stars takes no exponential time */
    char text[4001], pattern[81];
    memset(text, 'a', 4000);
    text[4000] = '\0';
    for (int i = 0; i < 80; i += 2) {
        memcpy(pattern + i, "*a", 2);
    }
    pattern[79] = 'b';
    pattern[80] = '\0';
    assert_false(octet_glob_match(pattern, text));
}

static OctetQConfig with_bins(int32_t bins) {
    OctetQConfig qconfig = octet_qconfig_default();
    qconfig.activation.bins = bins;
    return qconfig;
}

static void the_most_particular_rule_wins(void **state) {
    (void)state;
    OctetQConfigMapping *mapping;
    OctetQConfig global = with_bins(10), type = with_bins(20), pattern = with_bins(30),
                 second = with_bins(35), name = with_bins(40), replaced = with_bins(50);
    assert_int_equal(octet_qconfig_mapping_create(&mapping, NULL), OCTET_OK);
    assert_int_equal(octet_qconfig_mapping_find(mapping, "conv1", "Conv")->activation.bins, 2048);
    assert_int_equal(octet_qconfig_mapping_set_global(mapping, &global, NULL), OCTET_OK);
    assert_int_equal(octet_qconfig_mapping_set_type(mapping, "Conv", &type, NULL), OCTET_OK);
    assert_int_equal(octet_qconfig_mapping_set_pattern(mapping, "block*", &pattern, NULL),
                     OCTET_OK);
    assert_int_equal(octet_qconfig_mapping_set_pattern(mapping, "block1*", &second, NULL),
                     OCTET_OK);
    assert_int_equal(octet_qconfig_mapping_set_name(mapping, "block1/conv", &name, NULL), OCTET_OK);
#define BINS(node, op) octet_qconfig_mapping_find(mapping, node, op)->activation.bins
    assert_int_equal(BINS("block1/conv", "Conv"), 40);
    assert_int_equal(BINS("block1/gemm", "Gemm"), 30); /* the first pattern that matches */
    assert_int_equal(BINS("head", "Conv"), 20);
    assert_int_equal(BINS(NULL, "Conv"), 20);
    assert_int_equal(BINS("head", "Gemm"), 10);
    assert_int_equal(octet_qconfig_mapping_set_name(mapping, "block1/conv", &replaced, NULL),
                     OCTET_OK);
    assert_int_equal(BINS("block1/conv", "Conv"), 50);
#undef BINS
    OctetQConfig bad = with_bins(0);
    assert_int_equal(octet_qconfig_mapping_set_global(mapping, &bad, NULL),
                     OCTET_ERROR_INVALID_ARGUMENT);
    octet_qconfig_mapping_free(mapping);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(symmetric_scales_by_both_conventions),
        cmocka_unit_test(affine_ranges_hold_zero),
        cmocka_unit_test(odd_values_quantize_to_something),
        cmocka_unit_test(loops_equal_the_definition),
        cmocka_unit_test(blocks_have_their_own_scales),
        cmocka_unit_test(parameters_that_do_not_fit_are_refused),
        cmocka_unit_test(names_go_both_ways),
        cmocka_unit_test(named_qconfigs),
        cmocka_unit_test(globs),
        cmocka_unit_test(the_most_particular_rule_wins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
