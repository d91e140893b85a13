/* What hardware asks of a quantized model (options of octet quantize), and octet inspect --plan. */
#include "cli.h"

#include "octet/octet.h"

#include <math.h>

#define DEMO OCTET_SOURCE_DIR "/examples/demo/"

/* Quantizes the demo with these options, evaluates it, and returns what inspect says of it. */
static json_t *quantized(const char *options) {
    if (cli("quantize " DEMO "digits.onnx --calib " DEMO "calibration.npy --preprocess unit "
            "--output %s --quiet %s",
            cli_path("q.onnx"), options) != 0) {
        fail_msg("%s", cli_err);
    }
    assert_int_equal(cli("eval %s --data " DEMO "test.npy --labels " DEMO "labels.txt --json",
                         cli_path("q.onnx")),
                     0);
    json_t *eval = cli_json();
    assert_true(cli_number(eval, "top1") > 0.95);
    json_decref(eval);
    assert_int_equal(cli("inspect %s --json", cli_path("q.onnx")), 0);
    return cli_json();
}

/* Parameters of a node's value: its k-th input, or its output for -1; NULL for none. */
static const json_t *qparams_of(const json_t *node, int k) {
    const json_t *value = k < 0 ? json_array_get(json_object_get(node, "outputs"), 0)
                                : json_array_get(json_object_get(node, "inputs"), (size_t)k);
    const json_t *qparams = json_object_get(value, "qparams");
    return json_is_object(qparams) ? qparams : NULL;
}

typedef bool (*Accept)(const json_t *qparams, bool weight);

/* Every activation and every weight of a layer is what `accept` wants. */
static void expect_all(json_t *object, Accept accept) {
    const json_t *nodes = json_object_get(object, "nodes");
    int seen = 0;
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i);
        const json_t *output = qparams_of(node, -1), *weight = qparams_of(node, 1);
        bool layer = strcmp(json_string_value(json_object_get(node, "op_type")), "Conv") == 0;
        if (output) {
            assert_true(accept(output, false));
        }
        if (layer) {
            assert_non_null(weight);
            assert_true(accept(weight, true));
            seen++;
        }
    }
    assert_true(seen >= 5);
    json_decref(object);
}

static bool has_type(const json_t *qparams, const char *type) {
    return strcmp(json_string_value(json_object_get(qparams, "dtype")), type) == 0;
}

static bool has_zero_point(const json_t *qparams, int zero_point) {
    const json_t *zeros = json_object_get(qparams, "zero_point");
    for (size_t i = 0; i < json_array_size(zeros); i++) {
        if (json_integer_value(json_array_get(zeros, i)) != zero_point) {
            return false;
        }
    }
    return true;
}

static bool signed_symmetric(const json_t *qparams, bool weight) {
    (void)weight;
    return has_type(qparams, "s8") && has_zero_point(qparams, 0);
}

static bool unsigned_symmetric(const json_t *qparams, bool weight) {
    return weight || (has_type(qparams, "u8") && has_zero_point(qparams, 128));
}

static bool power_of_two(const json_t *qparams, bool weight) {
    const json_t *scales = json_object_get(qparams, "scale");
    (void)weight;
    for (size_t i = 0; i < json_array_size(scales); i++) {
        int exponent;
        if (frexp(json_number_value(json_array_get(scales, i)), &exponent) != 0.5) {
            return false;
        }
    }
    return json_array_size(scales) > 0;
}

static bool one_scale(const json_t *qparams, bool weight) {
    (void)weight;
    return json_array_size(json_object_get(qparams, "scale")) == 1;
}

static void grids_are_as_asked(void **state) {
    (void)state;
    expect_all(quantized("--activation-type s8 --symmetric"), signed_symmetric);
    expect_all(quantized("--symmetric"), unsigned_symmetric);
    expect_all(quantized("--power-of-two"), power_of_two);
    expect_all(quantized("--power-of-two --symmetric --activation-type s8 --format qoperator"),
               power_of_two);
    expect_all(quantized("--per-tensor"), one_scale);
}

/* Whatever the activations inside are, in both formats. */
static void borders_have_the_type_that_was_asked_for(void **state) {
    (void)state;
    static const char *const types[] = {"u8", "s8"}, *const names[] = {"uint8", "int8"};
    for (int i = 0; i < 8; i++) {
        char options[96];
        snprintf(options, sizeof options, "--io %s --activation-type %s --format %s", names[i & 1],
                 types[i / 2 & 1], i & 4 ? "qoperator" : "qdq");
        json_t *object = quantized(options);
        const json_t *input = json_array_get(json_object_get(object, "inputs"), 0);
        const json_t *output = json_array_get(json_object_get(object, "outputs"), 0);
        assert_string_equal(json_string_value(json_object_get(input, "dtype")), types[i & 1]);
        assert_string_equal(json_string_value(json_object_get(output, "dtype")), types[i & 1]);
        json_decref(object);
    }
}

/* Also where float layers are first and last. */
static void borders_of_float_layers_are_integers(void **state) {
    (void)state;
    json_t *object = quantized("--io int8 --skip-type Conv");
    const json_t *input = json_array_get(json_object_get(object, "inputs"), 0);
    assert_string_equal(json_string_value(json_object_get(input, "dtype")), "s8");
    json_decref(object);
}

/* One layer's output has 16 bits, the others 8; the file says so, and gives the same again. */
static void a_layer_can_have_16_bits(void **state) {
    (void)state;
    json_t *object = quantized("--int16 /3/3.0/Conv");
    const json_t *nodes = json_object_get(object, "nodes");
    int wide = 0, narrow = 0;
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i);
        const json_t *output = qparams_of(node, -1);
        bool named = strcmp(json_string_value(json_object_get(node, "name")), "/3/3.0/Conv") == 0;
        if (named) {
            assert_non_null(output);
            assert_true(has_type(output, "s16") && has_zero_point(output, 0));
        }
        wide += output && has_type(output, "s16");
        narrow += output && has_type(output, "u8");
    }
    assert_int_equal(wide, 1);
    assert_true(narrow >= 8);
    json_decref(object);
    assert_int_equal(cli("quantize " DEMO "digits.onnx --calib " DEMO "calibration.npy --output %s "
                         "--int16 nowhere",
                         cli_path("never.onnx")),
                     1);
    cli_assert_one_line("--int16 nowhere: the model has no such node");
}

/* By com.microsoft's nodes the opset stays where 8 bits have it, and the numbers are the same. */
static void wide_grids_in_either_domain(void **state) {
    (void)state;
    static const char *const domains[] = {"onnx", "com.microsoft"};
    char data[2][16];
    for (int i = 0; i < 2; i++) {
        char options[96];
        snprintf(options, sizeof options, "--int16 /3/3.0/Conv --int16-domain %s", domains[i]);
        json_decref(quantized(options));
        snprintf(data[i], sizeof data[i], "%d.npy", i);
        assert_int_equal(cli("run %s --input " DEMO "test.npy --output %s", cli_path("q.onnx"),
                             cli_path(data[i])),
                         0);
        char command[600];
        snprintf(command, sizeof command, "grep -q com.microsoft %s", cli_path("q.onnx"));
        assert_int_equal(system(command) == 0, i);
    }
    char command[1200];
    snprintf(command, sizeof command, "cmp %s %s", cli_path(data[0]), cli_path(data[1]));
    assert_int_equal(system(command), 0);
}

static void float_biases_are_kept(void **state) {
    (void)state;
    json_t *object = quantized("--bias-type float32");
    const json_t *nodes = json_object_get(object, "nodes");
    int biases = 0;
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        const json_t *node = json_array_get(nodes, i);
        const json_t *bias = json_array_get(json_object_get(node, "inputs"), 2);
        if (strcmp(json_string_value(json_object_get(node, "op_type")), "Conv") == 0 && bias) {
            assert_string_equal(json_string_value(json_object_get(bias, "dtype")), "f32");
            assert_null(qparams_of(node, 2));
            biases++;
        }
    }
    assert_true(biases >= 5);
    json_decref(object);
    assert_int_equal(cli("quantize " DEMO "digits.onnx --calib " DEMO "calibration.npy --output %s "
                         "--bias-type float32 --format qoperator",
                         cli_path("never.onnx")),
                     2);
}

/* ---- octet inspect --plan ---- */

static void the_plan_is_what_quantize_does(void **state) {
    (void)state;
    assert_int_equal(cli("inspect " DEMO "digits.onnx --plan --skip /6/* --json"), 0);
    json_t *object = cli_json();
    const json_t *plan = json_object_get(object, "plan");
    assert_int_equal(cli("quantize " DEMO "digits.onnx --calib " DEMO "calibration.npy "
                         "--preprocess unit --skip /6/* --output %s --json",
                         cli_path("q.onnx")),
                     0);
    json_t *made = cli_json();
    const json_t *left = json_object_get(made, "float_nodes");
    size_t int8 = 0, real = 0;
    for (size_t i = 0; i < json_array_size(plan); i++) {
        const json_t *node = json_array_get(plan, i);
        bool is_int8 = json_is_true(json_object_get(node, "int8"));
        bool computes = json_is_true(json_object_get(node, "computes"));
        int8 += is_int8;
        real += computes && !is_int8;
        assert_int_equal(computes && !is_int8, json_is_string(json_object_get(node, "reason")));
    }
    assert_true(int8 >= 8 && real >= 2);
    assert_int_equal(int8, json_integer_value(json_object_get(made, "quantized_nodes")));
    assert_int_equal(real, json_array_size(left));
    json_decref(made);
    json_decref(object);
}

static void the_plan_of_a_quantized_model_names_kernels(void **state) {
    (void)state;
    json_decref(quantized(""));
    assert_int_equal(cli("inspect %s --plan --json", cli_path("q.onnx")), 0);
    json_t *object = cli_json();
    const json_t *plan = json_object_get(object, "plan");
    assert_true(json_is_true(json_object_get(object, "quantized")));
    assert_true(json_array_size(plan) >= 8);
    for (size_t i = 0; i < json_array_size(plan); i++) {
        const json_t *kernel = json_object_get(json_array_get(plan, i), "kernel");
        assert_true(strlen(json_string_value(kernel)) > 0);
    }
    json_decref(object);
    assert_int_equal(cli("inspect %s --plan --qconfig qnpack", cli_path("q.onnx")), 2);
    cli_assert_one_line("octet inspect: --qconfig can't be 'qnpack'; did you mean 'qnnpack'?");
    assert_int_equal(cli("inspect %s --plan --skip a", cli_path("q.onnx")), 2);
    cli_assert_one_line("--skip is for float models; this one is quantized");
    assert_int_equal(cli("inspect " DEMO "digits.onnx --plan --shape 1x1x8x8"), 2);
    cli_assert_one_line("--shape is for quantized models; this one is float");
    assert_int_equal(cli("inspect %s --plan", cli_path("q.onnx")), 0);
    assert_non_null(strstr(cli_out, "steps run in int8 (100.0% of the multiply-accumulates)"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(grids_are_as_asked),
        cmocka_unit_test(borders_have_the_type_that_was_asked_for),
        cmocka_unit_test(borders_of_float_layers_are_integers),
        cmocka_unit_test(a_layer_can_have_16_bits),
        cmocka_unit_test(wide_grids_in_either_domain),
        cmocka_unit_test(float_biases_are_kept),
        cmocka_unit_test(the_plan_is_what_quantize_does),
        cmocka_unit_test(the_plan_of_a_quantized_model_names_kernels),
    };
    return cmocka_run_group_tests(tests, cli_make_folder, cli_remove_folder);
}
