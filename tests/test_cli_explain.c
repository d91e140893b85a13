/* octet explain: its worked example is what a session computes, in every mode; the question that
 * Octet began with; tables, JSON, errors. */
#include "cli.h"

#include "octet/data.h"
#include "octet/octet.h"

#include <float.h>
#include <math.h>

enum { INPUTS = 3, OUTPUTS = 6, SIZE = 5 };

static void check(OctetStatus status, const OctetDiagnostic *diagnostic) {
    if (status != OCTET_OK) {
        fail_msg("%s: %s", diagnostic->node, diagnostic->message);
    }
}

static float random_float(void) {
    return (float)(rand() % 2001 - 1000) / 1000;
}

/* A convolution of `inputs` channels, 3 x 3, over SIZE x SIZE, with a ReLU if asked. */
static OctetGraph *make_float(int64_t inputs, int64_t outputs, const float *weight,
                              const float *bias, bool relu) {
    OctetDiagnostic diagnostic = {0};
    OctetGraph *graph = octet_graph_create();
    OctetShape shape = {.rank = 4, .dims = {1, inputs, SIZE, SIZE}};
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    OctetConvOptions options = {.out_channels = outputs, .kernel = {3, 3}};
    OctetValue *y = octet_graph_conv(graph, "conv", x, &options, weight, bias);
    y = relu ? octet_graph_relu(graph, "relu", y) : y;
    octet_graph_output(graph, y, "y");
    check(octet_graph_finish(graph, &diagnostic), &diagnostic);
    check(octet_fuse(graph, &diagnostic), &diagnostic);
    return graph;
}

/* Quantizes after calibration with `count` values that are repeated over the input. */
static OctetGraph *make_int8(const OctetGraph *graph, OctetQScheme weights, const float *values,
                             int count) {
    OctetDiagnostic diagnostic = {0};
    OctetQConfig qconfig = octet_qconfig_default();
    OctetQConfigMapping *mapping;
    OctetPrepared *prepared;
    OctetGraph *quantized;
    OctetTensor *x;
    qconfig.weight.type = octet_qscheme_is_per_channel(weights) ? OCTET_OBSERVER_PER_CHANNEL_MINMAX
                                                                : OCTET_OBSERVER_MINMAX;
    qconfig.weight.spec.qscheme = weights;
    qconfig.weight.spec.symmetry = OCTET_SYMMETRY_PYTORCH;
    check(octet_qconfig_mapping_create(&mapping, &diagnostic), &diagnostic);
    check(octet_qconfig_mapping_set_global(mapping, &qconfig, &diagnostic), &diagnostic);
    const OctetPrepareOptions options = {.quantize_outputs = true};
    check(octet_prepare(graph, mapping, &options, &prepared, &diagnostic), &diagnostic);
    OctetShape shape = octet_value_shape(octet_graph_input_at(graph, 0));
    check(octet_tensor_create(OCTET_F32, &shape, &x, &diagnostic), &diagnostic);
    for (size_t i = 0; i < x->bytes / sizeof(float); i++) {
        ((float *)x->data)[i] = values[i % (size_t)count];
    }
    check(octet_calibrate(prepared, (const OctetTensor *[]){x}, 1, &diagnostic), &diagnostic);
    check(octet_convert(prepared, NULL, &quantized, NULL, &diagnostic), &diagnostic);
    octet_tensor_free(x);
    octet_prepared_free(prepared);
    octet_qconfig_mapping_free(mapping);
    return quantized;
}

/* Runs the network on inputs that are all the example's, and compares every channel's byte. */
static void example_is_what_a_session_computes(const OctetGraph *graph, OctetRequantize mode) {
    OctetDiagnostic diagnostic = {0};
    OctetLayerExplanation layer;
    OctetSession *session;
    const OctetTensor *y;
    const OctetNode *node = octet_graph_find_node(graph, "conv");
    check(octet_explain_layer(node, NULL, mode, &layer, &diagnostic), &diagnostic);
    const OctetSessionOptions options = {.requantize = mode, .int8_outputs = true};
    check(octet_session_create(graph, &options, &session, &diagnostic), &diagnostic);
    OctetShape shape = octet_value_shape(octet_graph_input_at(graph, 0));
    OctetTensor *x;
    check(octet_tensor_create(OCTET_F32, &shape, &x, &diagnostic), &diagnostic);
    const OctetChannelExplanation *e = layer.channels;
    for (size_t i = 0; i < x->bytes / sizeof(float); i++) {
        ((float *)x->data)[i] = (float)(e->example_input - e->input_zero_point) * e->input_scale;
    }
    check(octet_session_run(session, (const OctetTensor *[]){x}, 1, &y, 1, &diagnostic),
          &diagnostic);
    int64_t area = (SIZE - 2) * (SIZE - 2);
    assert_int_equal(y->bytes, layer.channel_count * area);
    for (int64_t c = 0; c < layer.channel_count; c++) {
        assert_int_equal(((const uint8_t *)y->data)[c * area], layer.channels[c].example_output);
    }
    octet_tensor_free(x);
    octet_session_free(session);
    octet_explanation_clear(&layer);
}

static void examples_are_what_sessions_compute(void **state) {
    (void)state;
    srand(4);
    for (int round = 0; round < 24; round++) {
        float weight[OUTPUTS * INPUTS * 9], bias[OUTPUTS], values[50];
        for (size_t i = 0; i < sizeof weight / sizeof *weight; i++) {
            weight[i] = random_float();
        }
        for (int i = 0; i < OUTPUTS; i++) {
            bias[i] = random_float() * 3;
        }
        for (int i = 0; i < 50; i++) {
            values[i] = random_float() * (float)(1 + round % 3) + (float)(round % 2);
        }
        OctetGraph *real = make_float(INPUTS, OUTPUTS, weight, round % 4 ? bias : NULL, round % 3);
        OctetGraph *graph = make_int8(real, (OctetQScheme)(round % 4), values, 50);
        for (int mode = 0; mode <= OCTET_REQUANTIZE_TFLITE_SINGLE; mode++) {
            example_is_what_a_session_computes(graph, (OctetRequantize)mode);
        }
        octet_graph_free(graph);
        octet_graph_free(real);
    }
}

/* Zero weights, bias `bias`, ones: the question's model, as an int8 file. */
static void write_question(float bias_value) {
    static const float weight[2 * 5 * 9];
    const float bias[] = {bias_value, bias_value}, one = 1;
    OctetDiagnostic diagnostic = {0};
    OctetGraph *real = make_float(5, 2, weight, bias, false);
    OctetGraph *graph = make_int8(real, OCTET_PER_CHANNEL_AFFINE, &one, 1);
    check(octet_model_save(real, cli_path("float.onnx"), NULL, &diagnostic), &diagnostic);
    check(octet_model_save(graph, cli_path("int8.onnx"), NULL, &diagnostic), &diagnostic);
    octet_graph_free(graph);
    octet_graph_free(real);
}

static void the_question_is_answered(void **state) {
    (void)state;
    write_question(0.5F);
    assert_int_equal(
        cli("explain %s --node conv --channel 0 --mode qnnpack", cli_path("int8.onnx")), 0);
    static const char *const parts[] = {"input scale * weight scale",
                                        "The file has it as the int32\n     1069547457\n",
                                        "(qnnpack itself takes bias * (1 / unit) in float32",
                                        "even: 1069547456)",
                                        "49.8% of int32's range",
                                        "can't overflow",
                                        "all inputs of the window are 255, which is 1",
                                        "kept in [0, 255]: 255",
                                        "= 0.5"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!strstr(cli_out, parts[i])) {
            fail_msg("\"%s\" is not in:\n%s", parts[i], cli_out);
        }
    }
    assert_int_equal(cli("explain %s --node conv --channel 1 --against %s --json",
                         cli_path("int8.onnx"), cli_path("float.onnx")),
                     0);
    json_t *object = cli_json();
    const json_t *layer = json_array_get(json_object_get(object, "layers"), 0);
    const json_t *channel = json_array_get(json_object_get(layer, "channels"), 0);
    assert_int_equal(json_array_size(json_object_get(layer, "channels")), 1);
    assert_true(cli_number(channel, "bias") == 0.5);
    assert_true(cli_number(channel, "bias_integer") == 1069547457);
    assert_true(cli_number(channel, "zero_point_correction_input") +
                    cli_number(channel, "zero_point_correction_both") ==
                cli_number(channel, "zero_point_correction"));
    assert_true(cli_number(channel, "input_scale") == (double)(1.0F / 255));
    assert_true(cli_number(channel, "weight_scale") == (double)FLT_EPSILON);
    assert_true(cli_number(channel, "weight_zero_point") == -128);
    assert_true(cli_number(channel, "output_scale") == 0.0019607844296842813);
    assert_true(cli_number(channel, "bias_error") ==
                cli_number(channel, "bias_integer") * cli_number(channel, "bias_scale") - 0.5);
    assert_true(cli_number(json_object_get(channel, "example"), "output") == 255);
    json_decref(object);
}

/* Biases that would not fit beside a scale of 2^-23 were repaired, and are explained as they are.
 */
static void larger_biases_fit_after_repair(void **state) {
    (void)state;
    const float biases[] = {1.5F, 100.0F, 1e6F};
    for (int i = 0; i < 3; i++) {
        write_question(biases[i]);
        assert_int_equal(cli("explain %s --json", cli_path("int8.onnx")), 0);
        json_t *object = cli_json();
        const json_t *layer = json_array_get(json_object_get(object, "layers"), 0);
        const json_t *channel = json_array_get(json_object_get(layer, "channels"), 0);
        assert_true(cli_number(channel, "int32_share") < 1);
        assert_true(cli_number(channel, "bias_integer") ==
                    rint((double)biases[i] / (cli_number(channel, "input_scale") *
                                              cli_number(channel, "weight_scale"))));
        assert_true(cli_number(json_object_get(channel, "example"), "output") == 255);
        json_t *repairs = json_object_get(object, "repairs");
        assert_int_equal(json_array_size(repairs), 2);
        const json_t *repair = json_array_get(repairs, 1);
        assert_true(cli_number(repair, "channel") == 1);
        assert_true(cli_number(repair, "bias") == (double)biases[i]);
        assert_true(cli_number(repair, "scale_before") == (double)FLT_EPSILON);
        assert_true(cli_number(repair, "scale_after") == cli_number(channel, "weight_scale"));
        assert_true(cli_number(repair, "bias_after") == cli_number(channel, "bias_integer"));
        json_decref(object);
        assert_int_equal(cli("explain %s --node conv --channel 1", cli_path("int8.onnx")), 0);
        assert_non_null(strstr(cli_out, "\nconv, channel 1: the bias "));
        assert_null(strstr(cli_out, "\nconv, channel 0: the bias "));
        assert_non_null(strstr(cli_out, "The weight scale was raised from 1.1920929e-07 to "));
    }
}

static void the_table_lists_layers(void **state) {
    (void)state;
    write_question(0.5F);
    assert_int_equal(cli("explain %s", cli_path("int8.onnx")), 0);
    assert_non_null(strstr(cli_out, "conv"));
    assert_non_null(strstr(cli_out, "--against"));
    assert_int_equal(cli("explain %s --against %s", cli_path("int8.onnx"), cli_path("float.onnx")),
                     0);
    assert_null(strstr(cli_out, "<="));
}

static void a_real_input_is_worked_out(void **state) {
    (void)state;
    write_question(0.5F);
    OctetTensor *x;
    const OctetShape shape = {4, {1, 5, SIZE, SIZE}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &x, NULL), OCTET_OK);
    for (size_t i = 0; i < x->bytes / sizeof(float); i++) {
        ((float *)x->data)[i] = 1;
    }
    assert_int_equal(octet_npy_write(cli_path("x.npy"), x, NULL), OCTET_OK);
    octet_tensor_free(x);
    assert_int_equal(
        cli("explain %s --node conv --input %s --at 2,1", cli_path("int8.onnx"), cli_path("x.npy")),
        0);
    static const char *const parts[] = {
        "output [0, 0, 2, 1] of this input, a window of 45 products",
        "x =   255   255",
        "w =  -128  -128",
        "sum of x * w = -1468800",
        "-128 times the sum of x, 11475, is taken off: 1468800",
        "sum          0",
        "kept in [0, 255]: 255"};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        if (!strstr(cli_out, parts[i])) {
            fail_msg("\"%s\" is not in:\n%s", parts[i], cli_out);
        }
    }
    assert_int_equal(cli("explain %s --node conv --channel 1 --input %s --json",
                         cli_path("int8.onnx"), cli_path("x.npy")),
                     0);
    json_t *object = cli_json();
    const json_t *output = json_object_get(object, "output");
    assert_int_equal(json_array_size(json_object_get(output, "inputs")), 45);
    const json_t *channel = json_object_get(output, "channel");
    assert_true(cli_number(json_object_get(channel, "example"), "output") == 255);
    json_decref(object);
    assert_int_equal(
        cli("explain %s --node conv --input %s --at 3,1", cli_path("int8.onnx"), cli_path("x.npy")),
        1);
    cli_assert_one_line("no such output");
    assert_int_equal(
        cli("explain %s --node conv --input %s --at 1", cli_path("int8.onnx"), cli_path("x.npy")),
        1);
    cli_assert_one_line("Y,X");
    assert_int_equal(cli("explain %s --input %s", cli_path("int8.onnx"), cli_path("x.npy")), 2);
    assert_int_equal(cli("explain %s --node conv --at 1,1", cli_path("int8.onnx")), 2);
}

static void wrong_uses_are_said(void **state) {
    (void)state;
    write_question(0.5F);
    assert_int_equal(cli("explain %s", cli_path("float.onnx")), 1);
    cli_assert_one_line("no int8 layers");
    assert_int_equal(cli("explain %s --node none", cli_path("int8.onnx")), 1);
    cli_assert_one_line("no such node");
    assert_int_equal(cli("explain %s --node conv --channel 2", cli_path("int8.onnx")), 1);
    cli_assert_one_line("0 to 1");
    assert_int_equal(cli("explain %s --channel 1", cli_path("int8.onnx")), 2);
    assert_int_equal(cli("explain %s --node conv --channel -1", cli_path("int8.onnx")), 2);
    assert_int_equal(cli("explain %s --mode float", cli_path("int8.onnx")), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(examples_are_what_sessions_compute),
        cmocka_unit_test(the_question_is_answered),
        cmocka_unit_test(larger_biases_fit_after_repair),
        cmocka_unit_test(the_table_lists_layers),
        cmocka_unit_test(a_real_input_is_worked_out),
        cmocka_unit_test(wrong_uses_are_said),
    };
    return cmocka_run_group_tests(tests, cli_make_folder, cli_remove_folder);
}
