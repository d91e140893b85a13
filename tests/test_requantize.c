/* The requantization modes against PyTorch's engines and against exact integer arithmetic that is
 * written a second time in Python (scripts/golden_requantize.py). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "golden.h"
#include "quant/requantize.h"
#include "quant/requantize_pairs.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_CHANNELS = 64, MAX_ROWS = 64 };

typedef struct Layer {
    int32_t mode, outputs, rows, zero_point, relu;
    float input_scale, output_scale, unused;
} Layer;

/* What oneDNN makes of an accumulator: fbgemm's formula with another order of operations and the
 * zero point added before rounding, which differs from it at halves. */
static uint8_t by_onednn(const Layer *layer, int32_t accumulator, float scale, float bias) {
    float unit = layer->input_scale * scale;
    float multiplier =
        (1.0F / layer->output_scale) / ((1.0F / layer->input_scale) * (1.0F / scale));
    float value = rintf(((float)accumulator + bias / unit) * multiplier + (float)layer->zero_point);
    float low = layer->relu ? (float)layer->zero_point : 0.0F;
    return (uint8_t)fminf(fmaxf(value, low), 255.0F);
}

static void bytes_equal_qnnpack_and_onednn(void **state) {
    (void)state;
    static float scales[MAX_CHANNELS], bias[MAX_CHANNELS];
    static int32_t accumulators[MAX_CHANNELS * MAX_ROWS];
    static uint8_t expected[MAX_CHANNELS * MAX_ROWS], found[MAX_CHANNELS * MAX_ROWS];
    FILE *file = open_golden("requantize.bin");
    Layer layer;
    int64_t bytes[2] = {0}, different[2] = {0};
    while (fread(&layer, sizeof layer, 1, file) == 1) {
        OctRequantizeChannel channels[MAX_CHANNELS];
        size_t outputs = layer.outputs, count = outputs * layer.rows;
        OctetRequantize mode = (OctetRequantize)layer.mode;
        assert_int_equal(fread(scales, sizeof *scales, outputs, file), outputs);
        assert_int_equal(fread(bias, sizeof *bias, outputs, file), outputs);
        assert_int_equal(fread(accumulators, sizeof *accumulators, count, file), count);
        assert_int_equal(fread(expected, 1, count, file), count);
        for (size_t c = 0; c < outputs; c++) {
            OctRequantizeInput input = {.input_scale = layer.input_scale,
                                        .weight_scale = scales[c],
                                        .output_scale = layer.output_scale,
                                        .has_float_bias = true,
                                        .bias = bias[c]};
            assert_int_equal(oct_requantize_prepare(mode, &input, &channels[c], NULL), OCTET_OK);
        }
        OctRequantizeOutput output = {.zero_point = layer.zero_point,
                                      .minimum = layer.relu ? layer.zero_point : 0,
                                      .maximum = 255};
        oct_requantize_rows(mode, accumulators, layer.rows, layer.outputs, channels, &output,
                            OCTET_U8, found);
        for (size_t i = 0; i < count; i++) {
            different[mode == OCTET_REQUANTIZE_FBGEMM] += found[i] != expected[i];
            if (mode == OCTET_REQUANTIZE_FBGEMM) {
                size_t c = i % outputs;
                assert_int_equal(by_onednn(&layer, accumulators[i], scales[c], bias[c]),
                                 expected[i]);
            }
        }
        bytes[mode == OCTET_REQUANTIZE_FBGEMM] += count;
    }
    fclose(file);
    print_message("qnnpack: %" PRId64 " of %" PRId64 " differ; onednn: %" PRId64 " of %" PRId64
                  "\n",
                  different[0], bytes[0], different[1], bytes[1]);
    assert_true(bytes[0] > 15000 && bytes[1] > 15000);
    assert_int_equal(different[0], 0);
    if (!getenv("OCTET_GOLDEN")) {
        assert_int_equal(different[1], 0); /* other seeds may have halves */
    }
}

static uint64_t random_state;

static uint32_t next_random(void) {
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    return (uint32_t)((random_state * UINT64_C(2685821657736338717)) >> 32);
}

static int64_t half_away(int64_t numerator, int64_t denominator) {
    int64_t magnitude = (2 * llabs(numerator) + denominator) / (2 * denominator);
    return numerator >= 0 ? magnitude : -magnitude;
}

static const int32_t extremes[] = {
    0, 1, -1, 2, -2, 1 << 30, -(1 << 30), INT32_MAX, INT32_MIN, INT32_MIN + 1, (1 << 30) - 1};
static const int32_t mantissas[] = {1 << 30, (1 << 30) + 1, INT32_MAX, 0x5A827999};

/* FNV-1a over the products of the same pairs as in the script. */
static uint64_t hash_products(int32_t (*multiply)(int32_t, OctetFixedPoint), int count) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t e = 0; e < sizeof extremes / sizeof extremes[0]; e++) {
        for (size_t m = 0; m < 4; m++) {
            for (int32_t shift = -31; shift < 31; shift++) {
                OctetFixedPoint fixed = {.mantissa = mantissas[m], .shift = shift};
                hash = (hash ^ (uint32_t)multiply(extremes[e], fixed)) * UINT64_C(1099511628211);
            }
        }
    }
    random_state = UINT64_C(88172645463325252);
    for (int i = 0; i < count; i++) {
        int64_t x = (int64_t)next_random() - (INT64_C(1) << 31);
        x = half_away(x, INT64_C(1) << (next_random() % 31));
        int32_t mantissa = (1 << 30) + (int32_t)(next_random() % (1U << 30));
        OctetFixedPoint fixed = {.mantissa = mantissa, .shift = (int32_t)(next_random() % 62) - 31};
        hash = (hash ^ (uint32_t)multiply((int32_t)x, fixed)) * UINT64_C(1099511628211);
    }
    return hash;
}

static void fixed_point_products_equal_python_integers(void **state) {
    (void)state;
    FILE *file = open_golden("tflite.txt");
    char line[128], name[32];
    int count, cases = 0;
    uint64_t expected;
    assert_non_null(file);
    while (fgets(line, sizeof line, file)) {
        if (line[0] == '#') {
            continue;
        }
        assert_int_equal(sscanf(line, "%31s %d %" SCNx64, name, &count, &expected), 3);
        assert_true(count >= 1000000);
        bool two = strcmp(name, "two-roundings") == 0;
        uint64_t found =
            hash_products(two ? oct_fixed_point_multiply : oct_fixed_point_multiply_single, count);
        assert_true(found == expected);
        cases++;
    }
    fclose(file);
    assert_int_equal(cases, 2);
}

static float float_of(const char *hex, char **end) {
    uint32_t bits = (uint32_t)strtoul(hex, end, 16);
    float value;
    memcpy(&value, &bits, sizeof value);
    return value;
}

static void tflite_pairs_equal_python_integers(void **state) {
    (void)state;
    static uint8_t table[OCT_PAIRS];
    FILE *file = open_golden("tflite_pairs.txt");
    char line[256], op[8], name[32], scales[64];
    uint64_t expected;
    int cases = 0;
    while (fgets(line, sizeof line, file)) {
        OctPairGrids grids = {.maximum = 255};
        OctetRequantize mode;
        char *at = scales;
        if (line[0] == '#') {
            continue;
        }
        assert_int_equal(sscanf(line, "%7s %31s %63s %d,%d,%d %" SCNx64, op, name, scales,
                                &grids.a_zero_point, &grids.b_zero_point, &grids.y_zero_point,
                                &expected),
                         7);
        grids.a_scale = float_of(at, &at);
        grids.b_scale = float_of(at + 1, &at);
        grids.y_scale = float_of(at + 1, &at);
        assert_true(octet_requantize_parse(name, &mode));
        OctetStatus status = strcmp(op, "add") == 0
                                 ? oct_requantize_add_pairs(mode, &grids, false, table, NULL)
                                 : oct_requantize_multiply_pairs(mode, &grids, table, NULL);
        assert_int_equal(status, OCTET_OK);
        uint64_t hash = UINT64_C(14695981039346656037);
        for (int i = 0; i < OCT_PAIRS; i++) {
            hash = (hash ^ table[i]) * UINT64_C(1099511628211);
        }
        assert_true(hash == expected);
        cases++;
    }
    fclose(file);
    assert_int_equal(cases, 12);
}

/* A positive float of any exponent. */
static float random_scale(void) {
    uint32_t bits = next_random() % 0x7f800000;
    float scale;
    bits = bits ? bits : 1;
    memcpy(&scale, &bits, sizeof scale);
    return scale;
}

static void integer_scales_equal_double(void **state) {
    (void)state;
    int usable = 0;
    random_state = 7;
    for (int i = 0; i < 300000; i++) {
        float sx = random_scale(), sw = random_scale(), sy = random_scale();
        if (i % 2) { /* half of them of ordinary size */
            sx = ldexpf(frexpf(sx, &(int){0}), (int)(next_random() % 20) - 15);
            sw = ldexpf(frexpf(sw, &(int){0}), (int)(next_random() % 20) - 18);
            sy = ldexpf(frexpf(sy, &(int){0}), (int)(next_random() % 20) - 15);
        }
        OctetFixedPoint with_double, with_integers;
        double multiplier = (double)sx * sw / sy;
        OctetStatus first = octet_fixed_point(multiplier, &with_double, NULL);
        OctetStatus second = octet_fixed_point_from_scales(sx, sw, sy, &with_integers, NULL);
        assert_int_equal(first, second);
        if (first == OCTET_OK) {
            assert_int_equal(with_double.mantissa, with_integers.mantissa);
            assert_int_equal(with_double.shift, with_integers.shift);
            usable += with_double.mantissa > 0;
        }
    }
    assert_true(usable > 100000);
}

static void fixed_point_of_known_numbers(void **state) {
    (void)state;
    static const struct {
        double multiplier;
        OctetFixedPoint fixed;
    } cases[] = {
        {0, {0, 0}},
        {1, {1 << 30, 1}},
        {0.5, {1 << 30, 0}},
        {0.75, {0x60000000, 0}},
        {1.0 - 0x1p-53, {1 << 30, 1}}, /* rounds up to the next power of two */
        {0x1p-32, {1 << 30, -31}},
        {0x1p-33, {0, 0}},
        {0x1.8p29, {0x60000000, 30}},
    };
    OctetFixedPoint fixed;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(octet_fixed_point(cases[i].multiplier, &fixed, NULL), OCTET_OK);
        assert_int_equal(fixed.mantissa, cases[i].fixed.mantissa);
        assert_int_equal(fixed.shift, cases[i].fixed.shift);
    }
    assert_int_equal(octet_fixed_point(0x1p30, &fixed, NULL), OCTET_ERROR_NUMERIC);
    assert_int_equal(octet_fixed_point(-1, &fixed, NULL), OCTET_ERROR_NUMERIC);
    assert_int_equal(octet_fixed_point(NAN, &fixed, NULL), OCTET_ERROR_NUMERIC);
    assert_int_equal(octet_fixed_point(INFINITY, &fixed, NULL), OCTET_ERROR_NUMERIC);
}

static void biases_by_mode(void **state) {
    (void)state;
    /* exactly half a step: to even in onnx and qnnpack, away from zero in tflite */
    const OctetRequantize modes[] = {OCTET_REQUANTIZE_ONNX, OCTET_REQUANTIZE_QNNPACK,
                                     OCTET_REQUANTIZE_TFLITE, OCTET_REQUANTIZE_TFLITE_SINGLE};
    for (int m = 0; m < 4; m++) {
        bool away = m >= 2;
        assert_int_equal(oct_bias_integer(modes[m], 0.625F, 0.5F, 0.5F), away ? 3 : 2);
        assert_int_equal(oct_bias_integer(modes[m], -0.625F, 0.5F, 0.5F), away ? -3 : -2);
        assert_int_equal(oct_bias_integer(modes[m], 1e30F, 0.5F, 0.5F), INT32_MAX);
        assert_int_equal(oct_bias_integer(modes[m], -1e30F, 0.5F, 0.5F),
                         away ? -INT32_MAX : INT32_MIN);
    }
    /* the seed's example: 0.5 with an input scale of 1/255 and a weight scale of 2^-23 */
    float sx = 1.0F / 255.0F, sw = FLT_EPSILON;
    assert_int_equal(oct_bias_integer(OCTET_REQUANTIZE_QNNPACK, 0.5F, sx, sw), 1069547456);
    assert_int_equal(oct_bias_integer(OCTET_REQUANTIZE_ONNX, 0.5F, sx, sw), 1069547457);
}

static void saturating_outputs(void **state) {
    (void)state;
    const OctRequantizeOutput output = {.zero_point = -3, .minimum = -128, .maximum = 127};
    OctRequantizeInput input = {.input_scale = 1.0F, .weight_scale = 1.0F, .output_scale = 1e-6F};
    OctRequantizeChannel channel;
    for (int mode = 0; mode <= OCTET_REQUANTIZE_TFLITE_SINGLE; mode++) {
        assert_int_equal(oct_requantize_prepare((OctetRequantize)mode, &input, &channel, NULL),
                         OCTET_OK);
        assert_int_equal(oct_requantize((OctetRequantize)mode, INT32_MAX, &channel, &output), 127);
        assert_int_equal(oct_requantize((OctetRequantize)mode, INT32_MIN, &channel, &output), -128);
        assert_int_equal(oct_requantize((OctetRequantize)mode, 0, &channel, &output), -3);
    }
}

static void unusable_parameters_are_refused(void **state) {
    (void)state;
    OctRequantizeInput input = {.input_scale = 1.0F,
                                .weight_scale = 1.0F,
                                .output_scale = 1.0F,
                                .has_float_bias = true,
                                .bias = NAN};
    OctRequantizeChannel channel;
    for (int mode = 0; mode <= OCTET_REQUANTIZE_TFLITE_SINGLE; mode++) {
        input.bias = NAN;
        input.input_scale = 1.0F;
        assert_int_equal(oct_requantize_prepare((OctetRequantize)mode, &input, &channel, NULL),
                         OCTET_ERROR_NUMERIC);
        input.bias = 0.0F;
        input.input_scale = FLT_MAX;
        input.output_scale = 1e-10F;
        assert_int_equal(oct_requantize_prepare((OctetRequantize)mode, &input, &channel, NULL),
                         OCTET_ERROR_NUMERIC);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_equal_qnnpack_and_onednn),
        cmocka_unit_test(fixed_point_products_equal_python_integers),
        cmocka_unit_test(tflite_pairs_equal_python_integers),
        cmocka_unit_test(integer_scales_equal_double),
        cmocka_unit_test(fixed_point_of_known_numbers),
        cmocka_unit_test(biases_by_mode),
        cmocka_unit_test(saturating_outputs),
        cmocka_unit_test(unusable_parameters_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
