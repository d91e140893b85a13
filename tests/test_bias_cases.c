/* Biases that do not fit, from float model to output, through a file, in every mode. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ir/graph.h"
#include "mode_formulas.h"
#include "octet/octet.h"

#define OK(call)                                                                                   \
    do {                                                                                           \
        OctetDiagnostic diagnostic = {0};                                                          \
        if ((call) != OCTET_OK) {                                                                  \
            fail_msg("%s: %s: %s", #call, diagnostic.node, diagnostic.message);                    \
        }                                                                                          \
    } while (0)

enum { INPUTS = 3, OUTPUTS = 4, SIZE = 4, MODES = OCTET_REQUANTIZE_TFLITE_SINGLE + 1 };

static char path[] = "/tmp/octet-bias-XXXXXX";

/* A convolution without padding over SIZE x SIZE, one tap. */
static OctetGraph *make(const float *weight, const float *bias) {
    OctetGraph *graph = octet_graph_create();
    OctetShape shape = {4, {1, INPUTS, SIZE, SIZE}};
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    OctetConvOptions options = {.out_channels = OUTPUTS, .kernel = {1, 1}};
    octet_graph_output(graph, octet_graph_conv(graph, "conv", x, &options, weight, bias), "y");
    OK(octet_graph_finish(graph, &diagnostic));
    return graph;
}

static OctetTensor *input(float low, float high) {
    OctetTensor *x;
    OctetShape shape = {4, {1, INPUTS, SIZE, SIZE}};
    OK(octet_tensor_create(OCTET_F32, &shape, &x, &diagnostic));
    int64_t count = (int64_t)(x->bytes / sizeof(float));
    for (int64_t i = 0; i < count; i++) {
        ((float *)x->data)[i] = low + (high - low) * (float)i / (float)(count - 1);
    }
    return x;
}

/* Quantizes with weights by PyTorch's per-channel scheme. `input_scale` > 0 fixes the grid of the
 * input. */
static OctetGraph *quantize_with(const OctetGraph *graph, const OctetTensor *x, float input_scale,
                                 const OctetConvertOptions *options, size_t *repairs) {
    OctetQConfig qconfig = octet_qconfig_default();
    OctetQConfigMapping *mapping;
    OctetPrepared *prepared;
    OctetGraph *quantized;
    OctetConvertReport report;
    qconfig.activation = octet_observer_options(OCTET_OBSERVER_MINMAX);
    if (input_scale > 0) {
        qconfig.activation = octet_observer_options(OCTET_OBSERVER_FIXED_QPARAMS);
        qconfig.activation.scale = input_scale;
        qconfig.activation.zero_point = 100;
    }
    OK(octet_qconfig_mapping_create(&mapping, &diagnostic));
    OK(octet_qconfig_mapping_set_global(mapping, &qconfig, &diagnostic));
    OK(octet_prepare(graph, mapping, NULL, &prepared, &diagnostic));
    OK(octet_calibrate(prepared, (const OctetTensor *[]){x}, 1, &diagnostic));
    OK(octet_convert(prepared, options, &quantized, &report, &diagnostic));
    *repairs = report.repair_count;
    octet_prepared_free(prepared);
    octet_qconfig_mapping_free(mapping);
    return quantized;
}

static OctetGraph *quantize(const OctetGraph *graph, const OctetTensor *x, float input_scale,
                            OctetBiasPolicy policy, size_t *repairs) {
    const OctetConvertOptions options = {.bias = policy};
    return quantize_with(graph, x, input_scale, &options, repairs);
}

static OctetGraph *through_file(const OctetGraph *graph, OctetModelFormat format) {
    OctetGraph *loaded;
    OctetSaveOptions options = {.format = format};
    OK(octet_model_save(graph, path, &options, &diagnostic));
    OK(octet_model_load(path, NULL, &loaded, &diagnostic));
    OK(octet_fuse(loaded, &diagnostic));
    return loaded;
}

/* Runs into a buffer; as the output's integers if it has any. */
static size_t run(const OctetGraph *graph, const OctetTensor *x, OctetRequantize mode,
                  bool integers, void *result, size_t size) {
    OctetSession *session;
    const OctetTensor *y;
    OctetSessionOptions options = {.requantize = mode, .int8_outputs = integers};
    OK(octet_session_create(graph, &options, &session, &diagnostic));
    OK(octet_session_run(session, &x, 1, &y, 1, &diagnostic));
    assert_true(y->bytes <= size);
    size_t bytes = y->bytes;
    memcpy(result, y->data, bytes);
    octet_session_free(session);
    return bytes;
}

/* What the formulas make of the file's own integers and biases. */
static uint8_t formula_byte(const OctetGraph *graph, OctetRequantize mode, const uint8_t *x,
                            int channel, int pixel) {
    const OctetNode *conv = octet_graph_find_node(graph, "conv");
    const OctetTensor *weight = octet_value_tensor(octet_node_input(conv, 1));
    const OctetTensor *bias = octet_value_tensor(octet_node_input(conv, 2));
    const OctetQParams *in = octet_value_qparams(octet_node_input(conv, 0));
    const OctetQParams *out = octet_value_qparams(octet_node_output(conv, 0));
    const ModeChannel numbers = {
        .sx = in->scale[0],
        .sw = weight->qparams.scale[channel],
        .sy = out->scale[0],
        .zy = out->zero_point[0],
        .integer_bias = bias->dtype == OCTET_S32,
        .stored = bias->dtype == OCTET_S32 ? ((const int32_t *)bias->data)[channel] : 0,
        .bias = bias->dtype == OCTET_S32 ? 0 : ((const float *)bias->data)[channel]};
    int32_t accumulator = 0;
    for (int i = 0; i < INPUTS; i++) {
        accumulator += (x[i * SIZE * SIZE + pixel] - in->zero_point[0]) *
                       ((const int8_t *)weight->data)[channel * INPUTS + i];
    }
    return mode_byte(&numbers, mode, accumulator);
}

/* The input's integers: PyTorch's modes multiply by 1 / scale, the others divide. */
static void quantize_input(const OctetGraph *graph, const OctetTensor *x, OctetRequantize mode,
                           uint8_t *bytes) {
    bool torch = mode == OCTET_REQUANTIZE_QNNPACK || mode == OCTET_REQUANTIZE_FBGEMM;
    const OctetNode *conv = octet_graph_find_node(graph, "conv");
    OctetTensor *quantized;
    OK(octet_quantize(x, octet_value_qparams(octet_node_input(conv, 0)),
                      torch ? OCTET_QUANTIZE_RECIPROCAL : OCTET_QUANTIZE_DIVIDE, &quantized, NULL,
                      &diagnostic));
    memcpy(bytes, quantized->data, quantized->bytes);
    octet_tensor_free(quantized);
}

/* In every mode the network gives the formulas' bytes on its own integers, and these stand for the
 * float network's numbers: off by one step of the output at most, plus `slack` for what the grids
 * of input and weights lose. */
static void check_modes(const OctetGraph *graph, const OctetGraph *quantized, const OctetTensor *x,
                        double slack) {
    float real[OUTPUTS * SIZE * SIZE];
    uint8_t inputs[INPUTS * SIZE * SIZE], bytes[OUTPUTS * SIZE * SIZE];
    const OctetNode *conv = octet_graph_find_node(quantized, "conv");
    const OctetQParams *y = octet_value_qparams(octet_node_output(conv, 0));
    assert_non_null(y);
    run(graph, x, OCTET_REQUANTIZE_ONNX, false, real, sizeof real);
    for (int m = 0; m < MODES; m++) {
        OctetRequantize mode = (OctetRequantize)m;
        quantize_input(quantized, x, mode, inputs);
        assert_int_equal(run(quantized, x, mode, true, bytes, sizeof bytes), sizeof bytes);
        for (int i = 0; i < (int)sizeof bytes; i++) {
            uint8_t expected =
                formula_byte(quantized, mode, inputs, i / (SIZE * SIZE), i % (SIZE * SIZE));
            double value = ((double)bytes[i] - y->zero_point[0]) * (double)y->scale[0];
            double off = fabs(value - (double)real[i]);
            if (bytes[i] != expected || !(off <= (double)y->scale[0] + slack)) {
                fail_msg("%s, output %d: %d (%g), expected %d (%g)", octet_requantize_name(mode), i,
                         bytes[i], value, expected, (double)real[i]);
            }
        }
    }
}

/* Input scale 0.5, weight scale 7.843e-10, bias [5, -4.5]. */
static void onnxruntime_22020_in_every_mode(void **state) {
    (void)state;
    float weight[OUTPUTS * INPUTS], bias[OUTPUTS] = {5, -4.5f, 5, -4.5f};
    for (int i = 0; i < OUTPUTS * INPUTS; i++) {
        weight[i] = 7.843e-10f * 127 * (i % 2 ? -1.0f : 1.0f);
    }
    OctetGraph *graph = make(weight, bias);
    OctetTensor *x = input(-50, 77.5f);
    size_t repairs;
    OctetGraph *quantized = quantize(graph, x, 0.5f, OCTET_BIAS_REPAIR, &repairs);
    assert_int_equal(repairs, OUTPUTS);
    OctetGraph *loaded = through_file(quantized, OCTET_FORMAT_QDQ);
    check_modes(graph, loaded, x, 0);
    octet_graph_free(loaded);
    loaded = through_file(quantized, OCTET_FORMAT_QOPERATOR);
    check_modes(graph, loaded, x, 0);
    octet_graph_free(loaded);
    octet_graph_free(quantized);
    octet_tensor_free(x);
    octet_graph_free(graph);
}

/* One channel of zeros, one of nearly nothing, one ordinary, one huge: each with its bias. The
 * grid of the output is the huge channel's, so the others are seen one at a time. */
static void each_kind_of_channel(void **state) {
    (void)state;
    static const struct {
        float weight, bias, slack;
        bool repaired;
    } cases[] = {
        {0, 0.5f, 0, false},      {0, 1.5f, 0, false},     {0, 100, 0, false},
        {0, 1e6f, 0, false},      {0, -1e6f, 0, false},    {1e-40f, 3, 0, false},
        {-1e-45f, 3, 0, false},   {1e-8f, 1000, 0, true},  {0.5f, 1, 0.02f, false},
        {1e30f, 1, 3e28f, false}, {3e5f, -2, 1e4f, false}, {0.1f, 1e7f, 0.1f, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        float weight[OUTPUTS * INPUTS] = {0}, bias[OUTPUTS] = {0};
        for (int k = 0; k < INPUTS; k++) {
            weight[INPUTS + k] = cases[i].weight * (k % 2 ? -1.0f : 1.0f);
        }
        bias[1] = cases[i].bias;
        OctetGraph *graph = make(weight, bias);
        OctetTensor *x = input(-1, 1);
        size_t repairs;
        OctetGraph *quantized = quantize(graph, x, 0, OCTET_BIAS_REPAIR, &repairs);
        if (cases[i].repaired != (repairs > 0)) {
            fail_msg("case %zu: %zu repairs", i, repairs);
        }
        OctetGraph *loaded = through_file(quantized, OCTET_FORMAT_QDQ);
        check_modes(graph, loaded, x, (double)cases[i].slack);
        octet_graph_free(loaded);
        octet_graph_free(quantized);
        octet_tensor_free(x);
        octet_graph_free(graph);
    }
}

/* Replaces the stored bias: integers and a scale that is `factor` times the product. */
static void store_bias(OctetGraph *graph, const int32_t *integers, float factor) {
    OctetNode *conv = oct_graph_find_node(graph, "conv");
    OctetTensor *tensor;
    OctetQParams qparams;
    OK(octet_tensor_create(OCTET_S32, &(OctetShape){1, {OUTPUTS}}, &tensor, &diagnostic));
    OK(octet_qparams_create(OCTET_S32, 0, OUTPUTS, &qparams, &diagnostic));
    memcpy(tensor->data, integers, tensor->bytes);
    for (int c = 0; c < OUTPUTS; c++) {
        qparams.scale[c] =
            conv->inputs[0]->qparams.scale[0] * conv->inputs[1]->qparams.scale[c] * factor;
    }
    OK(octet_tensor_set_qparams(tensor, &qparams, &diagnostic));
    octet_qparams_clear(&qparams);
    conv->inputs[2] = oct_graph_add_constant(graph, "stored", tensor);
    assert_non_null(conv->inputs[2]);
}

/* Other tools store biases at scales of their own. */
static void a_bias_of_another_scale_is_rescaled(void **state) {
    (void)state;
    static const int32_t quarters[OUTPUTS] = {25, -1000, 0, 7};
    static const int32_t whole[OUTPUTS] = {100, -4000, 0, 28};
    float weight[OUTPUTS * INPUTS], bias[OUTPUTS] = {1, 1, 1, 1};
    for (int i = 0; i < OUTPUTS * INPUTS; i++) {
        weight[i] = (float)(i % 7 - 3) * 0.1f;
    }
    OctetGraph *graph = make(weight, bias);
    OctetTensor *x = input(-1, 1);
    size_t repairs;
    OctetGraph *plain = quantize(graph, x, 0, OCTET_BIAS_REPAIR, &repairs);
    OctetGraph *other = quantize(graph, x, 0, OCTET_BIAS_REPAIR, &repairs);
    store_bias(plain, whole, 1);
    store_bias(other, quarters, 4);
    OctetGraph *loaded = through_file(other, OCTET_FORMAT_QDQ);
    for (int mode = 0; mode < MODES; mode++) {
        uint8_t expected[256], result[256];
        size_t bytes = run(plain, x, (OctetRequantize)mode, true, expected, sizeof expected);
        assert_int_equal(run(loaded, x, (OctetRequantize)mode, true, result, sizeof result), bytes);
        assert_memory_equal(result, expected, bytes);
    }
    octet_graph_free(loaded);
    octet_graph_free(other);
    octet_graph_free(plain);
    octet_tensor_free(x);
    octet_graph_free(graph);
}

/* What no int32 can hold at the product of the scales is refused with the node's name. */
static void a_bias_that_cannot_be_rescaled_is_refused(void **state) {
    (void)state;
    static const int32_t integers[OUTPUTS] = {1 << 20, 0, 0, 0};
    float weight[OUTPUTS * INPUTS], bias[OUTPUTS] = {1, 1, 1, 1};
    for (int i = 0; i < OUTPUTS * INPUTS; i++) {
        weight[i] = (float)(i % 7 - 3) * 0.1f;
    }
    OctetGraph *graph = make(weight, bias);
    OctetTensor *x = input(-1, 1);
    size_t repairs;
    OctetGraph *other = quantize(graph, x, 0, OCTET_BIAS_REPAIR, &repairs);
    store_bias(other, integers, 4096);
    OctetGraph *loaded = through_file(other, OCTET_FORMAT_QDQ);
    OctetSession *session = NULL;
    OctetDiagnostic diagnostic = {0};
    const OctetTensor *y;
    OctetStatus status = octet_session_create(loaded, NULL, &session, &diagnostic);
    if (status == OCTET_OK) {
        status = octet_session_run(session, (const OctetTensor *[]){x}, 1, &y, 1, &diagnostic);
    }
    assert_int_equal(status, OCTET_ERROR_NUMERIC);
    assert_string_equal(diagnostic.node, "conv");
    octet_session_free(session);
    octet_graph_free(loaded);
    octet_graph_free(other);
    octet_tensor_free(x);
    octet_graph_free(graph);
}

/* What convert did is told of the file. */
static void repairs_are_kept_with_the_model(void **state) {
    (void)state;
    static const OctetBiasPolicy policies[] = {OCTET_BIAS_REPAIR, OCTET_BIAS_KEEP};
    float weight[OUTPUTS * INPUTS], bias[OUTPUTS] = {0, 1000, -1000, 0};
    for (int i = 0; i < OUTPUTS * INPUTS; i++) {
        weight[i] = 1e-8f;
    }
    OctetGraph *graph = make(weight, bias);
    OctetTensor *x = input(-1, 1);
    for (int p = 0; p < 2; p++) {
        size_t count;
        OctetBiasRepair *repairs;
        OctetGraph *quantized = quantize(graph, x, 0, policies[p], &count);
        assert_int_equal(count, 2);
        OctetGraph *loaded = through_file(quantized, OCTET_FORMAT_QDQ);
        OK(octet_graph_repairs(loaded, &repairs, &count, &diagnostic));
        assert_int_equal(count, 2);
        const OctetNode *conv = octet_graph_find_node(loaded, "conv");
        const OctetQParams *w = octet_value_qparams(octet_node_input(conv, 1));
        const int32_t *stored = octet_value_tensor(octet_node_input(conv, 2))->data;
        for (int i = 0; i < 2; i++) {
            assert_string_equal(repairs[i].node, "conv");
            assert_int_equal(repairs[i].channel, i + 1);
            assert_true(repairs[i].bias == bias[i + 1]);
            assert_true(repairs[i].scale_after == w->scale[i + 1]);
            assert_true((repairs[i].scale_after > repairs[i].scale_before) == (p == 0));
            assert_true(fabs(repairs[i].bias_before) > 0x1p31);
            assert_int_equal(repairs[i].bias_after, stored[i + 1]);
        }
        octet_repairs_free(repairs);
        octet_graph_free(loaded);
        octet_graph_free(quantized);
    }
    octet_tensor_free(x);
    octet_graph_free(graph);
}

static void damaged_notes_are_left_out(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetBiasRepair *repairs;
    size_t count;
    OK(octet_graph_repairs(graph, &repairs, &count, &diagnostic));
    assert_int_equal(count, 0);
    assert_int_equal(octet_graph_set_metadata(graph, "octet.repairs",
                                              "x\n1 2 3\n-1 1 1 1 1 1 a\n0 1 1 1 1 1e300 a\n"
                                              "0 1 1 1 1 1 \n7 0.5 1 2 3 4 a b\n0 1 1 1 1 nan c"),
                     OCTET_OK);
    OK(octet_graph_repairs(graph, &repairs, &count, &diagnostic));
    assert_int_equal(count, 1);
    assert_int_equal(repairs[0].channel, 7);
    assert_true(repairs[0].bias == 0.5f && repairs[0].scale_after == 2);
    assert_string_equal(repairs[0].node, "a b");
    octet_repairs_free(repairs);
    octet_graph_free(graph);
}

static int make_file(void **state) {
    (void)state;
    int file = mkstemp(path);
    return file < 0 ? -1 : close(file);
}

static int remove_file(void **state) {
    (void)state;
    return unlink(path);
}

static void float_biases_stay_in_the_file(void **state) {
    (void)state;
    float weight[OUTPUTS * INPUTS], bias[OUTPUTS];
    const OctetConvertOptions options = {.float_bias = true};
    int differ = 0;
    for (int round = 0; round < 200; round++) {
        uint8_t bytes[INPUTS * SIZE * SIZE], y[OUTPUTS * SIZE * SIZE], rounded[sizeof y];
        size_t repairs;
        for (int i = 0; i < OUTPUTS * INPUTS; i++) {
            weight[i] = (float)(rand() % 2001 - 1000) / 700;
        }
        for (int i = 0; i < OUTPUTS; i++) {
            bias[i] = (float)(rand() % 2001 - 1000) / 3000;
        }
        for (size_t i = 0; i < sizeof bytes; i++) {
            bytes[i] = (uint8_t)rand();
        }
        OctetGraph *graph = make(weight, bias);
        OctetTensor *range = input(-1, 1), *x;
        OctetGraph *quantized = quantize_with(graph, range, 0, &options, &repairs);
        OctetGraph *loaded = through_file(quantized, OCTET_FORMAT_QDQ);
        assert_int_equal(
            octet_value_dtype(octet_node_input(octet_graph_find_node(loaded, "conv"), 2)),
            OCTET_F32);
        OK(octet_tensor_wrap(OCTET_U8, &range->shape, bytes, sizeof bytes, &x, &diagnostic));
        assert_int_equal(run(loaded, x, OCTET_REQUANTIZE_FBGEMM, true, y, sizeof y), sizeof y);
        for (int i = 0; i < (int)sizeof y; i++) {
            assert_int_equal(y[i], formula_byte(loaded, OCTET_REQUANTIZE_FBGEMM, bytes,
                                                i / (SIZE * SIZE), i % (SIZE * SIZE)));
        }
        OctetGraph *integers = quantize(graph, range, 0, OCTET_BIAS_REPAIR, &repairs);
        run(integers, x, OCTET_REQUANTIZE_FBGEMM, true, rounded, sizeof rounded);
        for (size_t i = 0; i < sizeof y; i++) {
            differ += y[i] != rounded[i];
        }
        octet_graph_free(integers);
        octet_graph_free(loaded);
        octet_graph_free(quantized);
        octet_tensor_free(x);
        octet_tensor_free(range);
        octet_graph_free(graph);
    }
    assert_true(differ > 0); /* what a rounded bias costs, and why the float one is kept */
}

/* A float output takes a float bias as it is: nothing is rounded to the product of the scales,
 * which is 0.25 here, and a bias that no int32 holds does no harm. */
static void float_biases_before_float_outputs(void **state) {
    (void)state;
    static const float bias[OUTPUTS] = {0.1f, -0.07f, 1e12f, 0.249f};
    const OctetConvertOptions options = {.bias = OCTET_BIAS_KEEP, .float_bias = true};
    float weight[OUTPUTS * INPUTS], y[OUTPUTS * SIZE * SIZE];
    uint8_t bytes[INPUTS * SIZE * SIZE];
    for (int i = 0; i < OUTPUTS * INPUTS; i++) {
        weight[i] = (float)(i % 9 - 4) * 32;
    }
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = (uint8_t)(i * 37);
    }
    OctetGraph *graph = make(weight, bias);
    OctetTensor *range = input(-1, 1), *x;
    size_t repairs;
    OctetGraph *quantized = quantize_with(graph, range, 0.25f, &options, &repairs);
    OctetNode *conv = oct_graph_find_node(quantized, "conv");
    conv->outputs[0]->qparams = (OctetQParams){.dtype = OCTET_DTYPE_NONE};
    const OctetTensor *real_bias = octet_value_tensor(octet_node_input(conv, 2));
    memcpy(real_bias->data, bias, sizeof bias);
    OK(octet_tensor_wrap(OCTET_U8, &range->shape, bytes, sizeof bytes, &x, &diagnostic));
    const OctetQParams *in = octet_value_qparams(octet_graph_input_at(quantized, 0));
    const OctetTensor *weights = octet_value_tensor(octet_node_input(conv, 1));
    for (int mode = 0; mode < MODES; mode++) {
        assert_int_equal(run(quantized, x, (OctetRequantize)mode, false, y, sizeof y), sizeof y);
        for (int i = 0; i < OUTPUTS * SIZE * SIZE; i++) {
            int channel = i / (SIZE * SIZE), place = i % (SIZE * SIZE);
            int32_t sum = 0;
            for (int k = 0; k < INPUTS; k++) {
                sum += (bytes[k * SIZE * SIZE + place] - in->zero_point[0]) *
                       ((const int8_t *)weights->data)[channel * INPUTS + k];
            }
            float product = in->scale[0] * weights->qparams.scale[channel];
            float expected = (float)sum * product + bias[channel];
            if (y[i] != expected) {
                fail_msg("mode %d, output %d: %.9g, expected %.9g", mode, i, (double)y[i],
                         (double)expected);
            }
        }
    }
    octet_graph_free(quantized);
    octet_tensor_free(x);
    octet_tensor_free(range);
    octet_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(onnxruntime_22020_in_every_mode),
        cmocka_unit_test(each_kind_of_channel),
        cmocka_unit_test(a_bias_of_another_scale_is_rescaled),
        cmocka_unit_test(a_bias_that_cannot_be_rescaled_is_refused),
        cmocka_unit_test(repairs_are_kept_with_the_model),
        cmocka_unit_test(damaged_notes_are_left_out),
        cmocka_unit_test(float_biases_stay_in_the_file),
        cmocka_unit_test(float_biases_before_float_outputs),
    };
    return cmocka_run_group_tests(tests, make_file, remove_file);
}
