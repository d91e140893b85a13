/* Integer biases: where they do not fit, how they are repaired, and that the bound that decides is
 * the true one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "quant/bias.h"
#include "quant/requantize.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* A layer of `channels` x `inputs` weights over u8 inputs of a zero point. */
static OctBiasLayer dense(const float *weight, int64_t channels, int64_t inputs, const float *bias,
                          float input_scale, int32_t zero_point) {
    return (OctBiasLayer){.name = "layer",
                          .weight = weight,
                          .layout = {.shape = {.rank = 2, .dims = {channels, inputs}},
                                     .groups = 1,
                                     .input_zero_point = zero_point,
                                     .input_max = 255},
                          .bias = bias,
                          .input_scale = input_scale};
}

static OctetQParams per_channel(int64_t count, const float *scales) {
    OctetQParams qparams;
    assert_int_equal(octet_qparams_create(OCTET_S8, 0, count, &qparams, NULL), OCTET_OK);
    memcpy(qparams.scale, scales, count * sizeof *scales);
    return qparams;
}

/* The integer of a float bias at the scale that its channel has now. */
static int32_t rounded(const OctBiasLayer *layer, const OctBiasResult *result, int64_t channel,
                       float bias) {
    int64_t index = result->qparams.axis < 0 ? 0 : channel;
    return (int32_t)rint((double)bias /
                         ((double)layer->input_scale * (double)result->qparams.scale[index]));
}

static void nothing_is_repaired_where_all_fits(void **state) {
    (void)state;
    const float weight[] = {1.0F, -0.5F, 0.25F, 0.1F}, bias[] = {0.75F, -2.0F};
    const float scales[] = {1.0F / 127, 0.25F / 127};
    OctetQParams qparams = per_channel(2, scales);
    OctBiasLayer layer = dense(weight, 2, 2, bias, 0.02F, 128);
    OctBiasResult result;
    for (int policy = 0; policy <= OCTET_BIAS_FLOAT; policy++) {
        assert_int_equal(
            oct_bias_quantize(&layer, &qparams, (OctetBiasPolicy)policy, &result, NULL), OCTET_OK);
        const int8_t *w = result.weight;
        assert_int_equal(w[0], 127);
        assert_int_equal(w[1], -64); /* 63.5 to even */
        assert_int_equal(w[2], 127);
        assert_int_equal(w[3], 51);
        assert_int_equal(result.bias[0], lrint(0.75 / ((double)0.02F * scales[0])));
        assert_int_equal(result.bias[1], lrint(-2.0 / ((double)0.02F * scales[1])));
        assert_int_equal(result.bounds[0].maximum, 127 * 127 + 64 * 128);
        assert_int_equal(result.bounds[0].minimum, -127 * 128 - 64 * 127);
        assert_int_equal(result.repair_count, 0);
        assert_false(result.leave_float);
        oct_bias_clear(&result);
    }
    octet_qparams_clear(&qparams);
}

/* onnxruntime pull request 22020: input scale 0.5, weight scale 7.843e-10, bias [5, -4.5]. */
static void onnxruntime_22020(void **state) {
    (void)state;
    const float weight[] = {1e-7F, -1e-7F, 5e-8F, 1e-7F}, bias[] = {5.0F, -4.5F};
    const float scales[] = {7.843e-10F, 7.843e-10F};
    OctetQParams qparams = per_channel(2, scales);
    OctBiasLayer layer = dense(weight, 2, 2, bias, 0.5F, 0);
    OctBiasResult result;
    assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_REPAIR, &result, NULL),
                     OCTET_OK);
    assert_int_equal(result.repair_count, 2);
    for (int c = 0; c < 2; c++) {
        const OctBiasRepair *repair = &result.repairs[c];
        assert_int_equal(repair->channel, c);
        assert_true(repair->old_scale == scales[c]);
        assert_true(repair->new_scale == result.qparams.scale[c]);
        assert_true(repair->bias == bias[c]);
        assert_true(fabs(repair->bias_before) > 1e10);
        assert_int_equal(repair->bias_after, result.bias[c]);
        assert_int_equal(result.bias[c], rounded(&layer, &result, c, bias[c]));
        /* the least scale that fits: the one below it does not */
        double below = bias[c] / (0.5 * (double)nextafterf(repair->new_scale, 0));
        assert_true(
            oct_bias_fits_all_modes(result.bounds[c], bias[c] / (0.5 * (double)repair->new_scale)));
        assert_false(oct_bias_fits_all_modes(result.bounds[c], below));
        /* every mode's own integer fits too */
        for (int mode = 0; mode <= OCTET_REQUANTIZE_TFLITE_SINGLE; mode++) {
            int64_t integer =
                oct_bias_integer((OctetRequantize)mode, bias[c], 0.5F, repair->new_scale);
            assert_true(oct_bias_fits(result.bounds[c], integer));
            assert_true(llabs(integer) < INT32_MAX);
        }
    }
    oct_bias_clear(&result);

    assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_KEEP, &result, NULL), OCTET_OK);
    assert_int_equal(result.repair_count, 2);
    assert_int_equal(result.bias[0], INT32_MAX);
    assert_int_equal(result.bias[1], INT32_MIN);
    assert_true(result.repairs[0].new_scale == result.repairs[0].old_scale);
    oct_bias_clear(&result);

    assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_FLOAT, &result, NULL),
                     OCTET_OK);
    assert_true(result.leave_float);
    oct_bias_clear(&result);
    octet_qparams_clear(&qparams);
}

/* Weights of zeros and a scale of 2^-23, as PyTorch gives them, with ever larger biases. */
static void the_question_with_larger_biases(void **state) {
    (void)state;
    const float weight[45 * 2] = {0}, scales[] = {FLT_EPSILON, FLT_EPSILON};
    const float biases[] = {0.5F, 1.5F, 100.0F, 1e6F, -1e6F};
    OctetQParams qparams = per_channel(2, scales);
    qparams.zero_point[0] = qparams.zero_point[1] = -128;
    for (size_t i = 0; i < sizeof biases / sizeof biases[0]; i++) {
        const float bias[] = {biases[i], biases[i]};
        OctBiasLayer layer = dense(weight, 2, 45, bias, 1.0F / 255, 0);
        OctBiasResult result;
        assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_REPAIR, &result, NULL),
                         OCTET_OK);
        assert_int_equal(result.repair_count, i == 0 ? 0 : 2);
        if (i == 0) {
            assert_int_equal(result.bias[0], 1069547457);
        }
        assert_int_equal(((int8_t *)result.weight)[7], -128);
        assert_int_equal(result.bias[1], rounded(&layer, &result, 1, biases[i]));
        oct_bias_clear(&result);
    }
    octet_qparams_clear(&qparams);
}

/* The question's bias of 0.5: each runtime's own integer. */
static void the_rule_of_the_runtime(void **state) {
    (void)state;
    const float weight[45] = {0}, scales[] = {FLT_EPSILON}, bias[] = {0.5F};
    OctetQParams qparams = per_channel(1, scales);
    OctBiasLayer layer = dense(weight, 1, 45, bias, 1.0F / 255, 0);
    const int32_t expected[] = {1069547457, 1069547457, 1069547456, 1069547456, 1069547456};
    for (int mode = 0; mode <= OCTET_REQUANTIZE_TFLITE_SINGLE; mode++) {
        OctBiasResult result;
        layer.mode = (OctetRequantize)mode;
        assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_REPAIR, &result, NULL),
                         OCTET_OK);
        assert_int_equal(result.bias[0], expected[mode]);
        oct_bias_clear(&result);
    }
    octet_qparams_clear(&qparams);
}

/* PyTorch's symmetric scales put the largest weight at 127.5 steps: whether it becomes 127 or 128
 * (which is clamped) and -127 or -128 depends on dividing or multiplying by the reciprocal. */
static void largest_weights_by_the_rule_of_the_runtime(void **state) {
    (void)state;
    int different = 0;
    srand(9);
    for (int i = 0; i < 500; i++) {
        const float weight[] = {-(1.0F + (float)(rand() % 10000) / 7777)};
        const float scales[] = {-weight[0] / 127.5F};
        OctetQParams qparams = per_channel(1, scales);
        OctBiasLayer layer = dense(weight, 1, 1, NULL, 0.1F, 0);
        int8_t found[2];
        for (int torch = 0; torch < 2; torch++) {
            OctBiasResult result;
            layer.mode = torch ? OCTET_REQUANTIZE_QNNPACK : OCTET_REQUANTIZE_ONNX;
            assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_KEEP, &result, NULL),
                             OCTET_OK);
            found[torch] = ((int8_t *)result.weight)[0];
            oct_bias_clear(&result);
        }
        assert_int_equal(found[0], (int)rintf(weight[0] / scales[0]));
        assert_int_equal(found[1], (int)rintf(weight[0] * (1.0F / scales[0])));
        different += found[0] != found[1];
        octet_qparams_clear(&qparams);
    }
    assert_true(different > 10);
}

static void empty_channels_keep_their_bias_exact(void **state) {
    (void)state;
    const float weight[6] = {0, 0, 0, 1, 2, 3}, bias[] = {0.3F, 0.3F};
    const float scales[] = {1.0F, 3.0F / 127};
    OctetQParams qparams = per_channel(2, scales);
    OctBiasLayer layer = dense(weight, 2, 3, bias, 0.1F, 10);
    OctBiasResult result;
    assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_REPAIR, &result, NULL),
                     OCTET_OK);
    assert_int_equal(result.repair_count, 0);
    assert_true(result.qparams.scale[0] < 1e-6F);
    assert_int_equal(result.bias[0], rounded(&layer, &result, 0, 0.3F));
    assert_true(result.qparams.scale[1] == scales[1]);
    oct_bias_clear(&result);
    /* under keep, other tools' numbers: 0.3 is 3 steps of 0.1 */
    assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_KEEP, &result, NULL), OCTET_OK);
    assert_int_equal(result.bias[0], 3);
    oct_bias_clear(&result);
    octet_qparams_clear(&qparams);
}

static void extreme_weights(void **state) {
    (void)state;
    const float weight[] = {1e-42F, -1e-42F, 1e38F, -3e38F}, bias[] = {1.0F, 1.0F};
    const float scales[] = {FLT_MIN, 3e38F / 127};
    OctetQParams qparams = per_channel(2, scales);
    OctBiasLayer layer = dense(weight, 2, 2, bias, 0.01F, 0);
    OctBiasResult result;
    assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_REPAIR, &result, NULL),
                     OCTET_OK);
    assert_int_equal(result.repair_count, 1);
    assert_int_equal(((int8_t *)result.weight)[0], 0);
    assert_int_equal(((int8_t *)result.weight)[3], -127);
    assert_int_equal(result.bias[0], rounded(&layer, &result, 0, 1));
    assert_int_equal(result.bias[1], 0);
    oct_bias_clear(&result);
    octet_qparams_clear(&qparams);
}

static void values_that_are_not_finite_name_the_node(void **state) {
    (void)state;
    float weight[] = {1, 2}, bias[] = {NAN};
    const float scales[] = {0.1F};
    OctetQParams qparams = per_channel(1, scales);
    OctBiasLayer layer = dense(weight, 1, 2, bias, 0.1F, 0);
    OctBiasResult result;
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_REPAIR, &result, &diagnostic),
                     OCTET_ERROR_NUMERIC);
    assert_string_equal(diagnostic.node, "layer");
    bias[0] = 0;
    weight[1] = INFINITY;
    assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_REPAIR, &result, NULL),
                     OCTET_ERROR_NUMERIC);
    octet_qparams_clear(&qparams);
}

/* A bias so large that no weight scale below FLT_MAX carries it. */
static void hopeless_biases_are_refused(void **state) {
    (void)state;
    const float weight[] = {1, 2}, bias[] = {3e38F}, scales[] = {0.1F};
    OctetQParams qparams = per_channel(1, scales);
    OctBiasLayer layer = dense(weight, 1, 2, bias, 1e-38F, 0);
    OctBiasResult result;
    assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_REPAIR, &result, NULL),
                     OCTET_ERROR_NUMERIC);
    octet_qparams_clear(&qparams);
}

/* One scale for the whole tensor: one channel that does not fit raises it for all. */
static void per_tensor_scales(void **state) {
    (void)state;
    const float weight[] = {1e-6F, -1e-6F, 5e-7F, 0}, bias[] = {0.0F, 30.0F};
    OctetQParams qparams;
    assert_int_equal(octet_qparams_create(OCTET_S8, -1, 1, &qparams, NULL), OCTET_OK);
    qparams.scale[0] = 1e-6F / 127;
    OctBiasLayer layer = dense(weight, 2, 2, bias, 0.1F, 0);
    OctBiasResult result;
    assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_REPAIR, &result, NULL),
                     OCTET_OK);
    assert_int_equal(result.repair_count, 1);
    assert_int_equal(result.repairs[0].channel, 1);
    assert_true(result.qparams.scale[0] > qparams.scale[0]);
    assert_int_equal(result.bias[1], rounded(&layer, &result, 1, 30));
    oct_bias_clear(&result);
    octet_qparams_clear(&qparams);
}

/* 2^17 inputs of the largest products overflow int32 without any bias. */
static void accumulators_that_overflow_alone(void **state) {
    (void)state;
    const int64_t inputs = 1 << 17;
    float *weight = malloc(inputs * sizeof *weight);
    for (int64_t i = 0; i < inputs; i++) {
        weight[i] = 1.0F;
    }
    const float scales[] = {1.0F / 127};
    OctetQParams qparams = per_channel(1, scales);
    OctBiasLayer layer = dense(weight, 1, inputs, NULL, 0.1F, 0);
    OctBiasResult result;
    assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_REPAIR, &result, NULL),
                     OCTET_OK);
    assert_int_equal(result.repair_count, 1);
    assert_null(result.bias);
    assert_int_equal(((int8_t *)result.weight)[0], 64); /* 64 * 255 * 2^17 < 2^31 <= 65 * ... */
    assert_true(result.bounds[0].maximum < INT32_MAX);
    oct_bias_clear(&result);
    octet_qparams_clear(&qparams);
    free(weight);
}

/* ConvTranspose in groups: weights [inputs, outputs / groups, kernel], one scale for each second
 * index, shared by the groups. */
static void transposed_convolution_in_groups(void **state) {
    (void)state;
    enum { INPUTS = 4, OUTPUTS = 3, KERNEL = 2, GROUPS = 2 };
    float weight[INPUTS * OUTPUTS * KERNEL], bias[OUTPUTS * GROUPS];
    float scales[OUTPUTS] = {0.01F, 0.02F, 1e-9F};
    for (int i = 0; i < INPUTS * OUTPUTS * KERNEL; i++) {
        weight[i] = (float)(i % 7 - 3) * scales[i / KERNEL % OUTPUTS] * 20;
    }
    for (int c = 0; c < OUTPUTS * GROUPS; c++) {
        bias[c] = (float)c;
    }
    OctBiasLayer layer = {.weight = weight,
                          .layout = {.shape = {.rank = 3, .dims = {INPUTS, OUTPUTS, KERNEL}},
                                     .axis = 1,
                                     .groups = GROUPS,
                                     .input_max = 255},
                          .bias = bias,
                          .input_scale = 0.5F};
    OctetQParams qparams;
    assert_int_equal(octet_qparams_create(OCTET_S8, 1, OUTPUTS, &qparams, NULL), OCTET_OK);
    memcpy(qparams.scale, scales, sizeof scales);
    OctBiasResult result;
    assert_int_equal(oct_bias_quantize(&layer, &qparams, OCTET_BIAS_REPAIR, &result, NULL),
                     OCTET_OK);
    assert_int_equal(result.channels, OUTPUTS * GROUPS);
    assert_int_equal(result.repair_count, 2); /* index 2 in both groups: channels 2 and 5 */
    assert_int_equal(result.repairs[0].channel, 2);
    assert_int_equal(result.repairs[1].channel, 5);
    for (int c = 0; c < OUTPUTS * GROUPS; c++) {
        double scale = (double)result.qparams.scale[c % OUTPUTS] * 0.5;
        assert_int_equal(result.bias[c], (int32_t)rint((double)bias[c] / scale));
        /* the bound, summed here by hand */
        int64_t low = 0, high = 0;
        for (int i = c / OUTPUTS * 2; i < c / OUTPUTS * 2 + 2; i++) {
            for (int k = 0; k < KERNEL; k++) {
                int w = ((int8_t *)result.weight)[(i * OUTPUTS + c % OUTPUTS) * KERNEL + k];
                low += w < 0 ? w * 255 : 0;
                high += w > 0 ? w * 255 : 0;
            }
        }
        assert_int_equal(result.bounds[c].minimum, low);
        assert_int_equal(result.bounds[c].maximum, high);
    }
    oct_bias_clear(&result);
    octet_qparams_clear(&qparams);
}

/* The bound is reached, and never passed, by the inputs that the weights call for. */
static void bounds_are_the_true_extremes(void **state) {
    (void)state;
    srand(5);
    for (int round = 0; round < 200; round++) {
        uint8_t weight[12];
        int32_t weight_zero = rand() % 256, input_zero = rand() % 256;
        float scale = 1;
        OctetQParams qparams = {
            .dtype = OCTET_U8, .axis = -1, .count = 1, .scale = &scale, .zero_point = &weight_zero};
        OctWeightLayout layout = {.shape = {.rank = 2, .dims = {1, 12}},
                                  .groups = 1,
                                  .input_zero_point = input_zero,
                                  .input_max = 255};
        int64_t low = 0, high = 0;
        for (int i = 0; i < 12; i++) {
            weight[i] = (uint8_t)(rand() % 256);
            int64_t at_zero = -(int64_t)input_zero * (weight[i] - weight_zero);
            int64_t at_end = (255 - (int64_t)input_zero) * (weight[i] - weight_zero);
            low += at_zero < at_end ? at_zero : at_end;
            high += at_zero > at_end ? at_zero : at_end;
        }
        OctAccumulatorBound bound;
        assert_int_equal(oct_accumulator_bounds(&layout, weight, &qparams, &bound, NULL), OCTET_OK);
        assert_int_equal(bound.minimum, low);
        assert_int_equal(bound.maximum, high);
    }
    OctAccumulatorBound bound = {.minimum = -100, .maximum = 50};
    assert_true(oct_bias_fits(bound, INT32_MAX - 50));
    assert_false(oct_bias_fits(bound, INT32_MAX - 49));
    assert_true(oct_bias_fits(bound, (int64_t)INT32_MIN + 100));
    assert_false(oct_bias_fits(bound, (int64_t)INT32_MIN + 99));
}

static void rescaling_a_stored_bias(void **state) {
    (void)state;
    int32_t rescaled;
    assert_true(oct_bias_rescale(1000, 0.5, 0.25, &rescaled));
    assert_int_equal(rescaled, 2000);
    assert_true(oct_bias_rescale(-5, 0.5, 1.0, &rescaled));
    assert_int_equal(rescaled, -2); /* -2.5 to even */
    assert_true(oct_bias_rescale(INT32_MIN, 1.0, 1.0, &rescaled));
    assert_int_equal(rescaled, INT32_MIN);
    assert_false(oct_bias_rescale(INT32_MAX, 1.0, 0.5, &rescaled));
    assert_int_equal(rescaled, INT32_MAX);
    assert_false(oct_bias_rescale(INT32_MIN, 1.0, 0.5, &rescaled));
    assert_int_equal(rescaled, INT32_MIN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_repaired_where_all_fits),
        cmocka_unit_test(onnxruntime_22020),
        cmocka_unit_test(the_question_with_larger_biases),
        cmocka_unit_test(the_rule_of_the_runtime),
        cmocka_unit_test(largest_weights_by_the_rule_of_the_runtime),
        cmocka_unit_test(empty_channels_keep_their_bias_exact),
        cmocka_unit_test(extreme_weights),
        cmocka_unit_test(values_that_are_not_finite_name_the_node),
        cmocka_unit_test(hopeless_biases_are_refused),
        cmocka_unit_test(per_tensor_scales),
        cmocka_unit_test(accumulators_that_overflow_alone),
        cmocka_unit_test(transposed_convolution_in_groups),
        cmocka_unit_test(bounds_are_the_true_extremes),
        cmocka_unit_test(rescaling_a_stored_bias),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
