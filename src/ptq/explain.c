#include "octet/explain.h"

#include "base/diag.h"
#include "base/mem.h"
#include "ir/graph.h"
#include "ptq/prepared.h"
#include "quant/bias.h"
#include "quant/quantize_values.h"
#include "quant/requantize.h"

#include <math.h>
#include <string.h>

static bool is_eight_bits(const OctValue *value) {
    return value && oct_value_quantized(value) &&
           (value->qparams.dtype == OCTET_U8 || value->qparams.dtype == OCTET_S8);
}

bool octet_node_explainable(const OctetNode *node) {
    static const char *const layers[] = {"Conv", "ConvTranspose", "Gemm", "MatMul"};
    bool layer = false;
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        layer = layer || strcmp(node->op_type, layers[i]) == 0;
    }
    const OctValue *weight = layer ? oct_node_input(node, 1) : NULL;
    return is_eight_bits(weight) && weight->constant && oct_weight_axis(node) >= 0 &&
           weight->qparams.block_size == 0 && is_eight_bits(oct_node_input(node, 0)) &&
           oct_node_input(node, 0)->qparams.count == 1;
}

/* A layer while it is explained. */
typedef struct Subject {
    const OctetNode *node;
    const OctValue *input, *weight, *bias, *output, *original_bias;
    OctWeightLayout layout;
    OctetRequantize mode;
    OctAccumulatorBound *sums; /* of each channel's negative and positive weights */
    int64_t channels;
} Subject;

static OctetStatus open_subject(const OctetNode *node, const OctetNode *original,
                                OctetRequantize mode, Subject *subject,
                                OctetDiagnostic *diagnostic) {
    const OctValue *input = oct_node_input(node, 0), *weight = oct_node_input(node, 1);
    if (!input || !weight || !octet_node_explainable(node)) {
        return oct_fail_node(diagnostic, OCTET_ERROR_UNSUPPORTED, node->name,
                             "only int8 layers with constant weights have a bias to explain");
    }
    int64_t low, high;
    *subject = (Subject){.node = node,
                         .input = input,
                         .weight = weight,
                         .bias = oct_node_input(node, 2),
                         .output = node->outputs[0],
                         .original_bias = original ? oct_node_input(original, 2) : NULL,
                         .mode = mode};
    octet_dtype_range(input->qparams.dtype, &low, &high);
    subject->layout = (OctWeightLayout){.shape = weight->shape,
                                        .axis = oct_weight_axis(node),
                                        .groups = 1,
                                        .input_zero_point = input->qparams.zero_point[0],
                                        .input_min = (int32_t)low,
                                        .input_max = (int32_t)high};
    if (strcmp(node->op_type, "ConvTranspose") == 0) {
        subject->layout.groups = oct_node_int(node, "group", 1);
    }
    OCT_TRY(oct_weight_channels(&subject->layout, &subject->channels, diagnostic));
    OCT_TRY(octet_qparams_check(&weight->qparams, &weight->shape, diagnostic));
    if (subject->channels == 0) {
        return oct_fail_node(diagnostic, OCTET_ERROR_SHAPE, node->name, "a layer without outputs");
    }
    subject->sums = oct_calloc((size_t)subject->channels, sizeof *subject->sums);
    if (!subject->sums) {
        return oct_fail_memory(diagnostic);
    }
    OctWeightLayout unit = subject->layout; /* over inputs in [0, 1] the bounds are the sums */
    unit.input_zero_point = unit.input_min = 0;
    unit.input_max = 1;
    return oct_accumulator_bounds(&unit, oct_value_tensor(subject->weight)->data,
                                  &subject->weight->qparams, subject->sums, diagnostic);
}

/* A constant bias as a number of each channel; false if there is none or it has another shape. */
static bool read_bias(const OctValue *value, int64_t channels, int64_t channel, double *real,
                      double *stored, double *scale) {
    const OctetTensor *tensor = value ? oct_value_tensor(value) : NULL;
    int64_t count;
    if (!tensor || !octet_shape_count(&tensor->shape, &count) || count != channels) {
        return false;
    }
    if (tensor->dtype == OCTET_F32) {
        *real = (double)((const float *)tensor->data)[channel];
        return true;
    }
    const OctetQParams *qparams = &value->qparams;
    if (tensor->dtype != OCTET_S32) {
        return false;
    }
    int64_t index = qparams->count == channels ? channel : 0;
    bool scaled = oct_value_quantized(value) && qparams->count > 0;
    *scale = scaled ? (double)qparams->scale[index] : 0.0;
    *stored = (double)((const int32_t *)tensor->data)[channel] -
              (scaled ? (double)qparams->zero_point[index] : 0.0);
    *real = scaled ? *stored * (double)qparams->scale[index] : NAN;
    return true;
}

/* Everything about the bias of one channel, and what the mode computes with. */
static OctetStatus explain_bias(const Subject *subject, OctetChannelExplanation *e,
                                OctRequantizeChannel *parameters, OctetDiagnostic *diagnostic) {
    double real = 0, stored = 0, scale = 0, original = 0, none[2];
    bool integer = subject->bias && oct_value_tensor(subject->bias) &&
                   oct_value_tensor(subject->bias)->dtype == OCTET_S32;
    e->has_bias = read_bias(subject->bias, subject->channels, e->channel, &real, &stored, &scale);
    if (integer && isnan(real)) {
        real = stored * e->bias_scale;
    }
    OctRequantizeInput input = {.input_scale = e->input_scale,
                                .weight_scale = e->weight_scale,
                                .output_scale = e->output_scale > 0 ? e->output_scale : 1.0F,
                                .has_float_bias = e->has_bias && !integer,
                                .bias = (float)real};
    if (integer) {
        int32_t given = (int32_t)fmin(fmax(stored, INT32_MIN), INT32_MAX);
        (void)oct_bias_stored(given, scale, e->input_scale, e->weight_scale, &input.bias_integer);
        if (input.bias_integer == given) {
            real = given * e->bias_scale; /* the stored scale is this product, rounded to a float */
        }
    } else if (e->has_bias) {
        input.bias_integer =
            oct_bias_integer(subject->mode, input.bias, e->input_scale, e->weight_scale);
    }
    OCT_TRY(oct_fail_in_node(diagnostic,
                             oct_requantize_prepare(subject->mode, &input, parameters, diagnostic),
                             subject->node->name));
    e->bias_known = e->has_bias && !integer;
    if (e->has_bias && read_bias(subject->original_bias, subject->channels, e->channel, &original,
                                 &none[0], &none[1])) {
        e->bias_known = true;
        real = original;
    }
    e->bias = real;
    e->bias_exact = real / e->bias_scale;
    e->bias_stays_real = e->has_bias && !integer && subject->mode == OCTET_REQUANTIZE_FBGEMM;
    e->bias_stored = integer;
    e->bias_integer = parameters->bias_integer;
    e->bias_by_rule =
        e->has_bias ? oct_bias_integer(subject->mode, (float)real, e->input_scale, e->weight_scale)
                    : 0;
    e->bias_error =
        e->bias_stays_real || !e->has_bias ? 0.0 : e->bias_integer * e->bias_scale - real;
    e->bias_error_limit = e->has_bias && !e->bias_stays_real ? e->bias_scale / 2 : 0.0;
    return OCTET_OK;
}

static void explain_weights(const Subject *subject, OctetChannelExplanation *e) {
    const OctWeightLayout *layout = &subject->layout;
    const int64_t negative = subject->sums[e->channel].minimum;
    const int64_t positive = subject->sums[e->channel].maximum;
    const int64_t low = (int64_t)layout->input_min - layout->input_zero_point;
    const int64_t high = (int64_t)layout->input_max - layout->input_zero_point;
    int64_t count = 0;
    (void)octet_shape_count(&layout->shape, &count); /* checked with the channels */
    e->weight_count = count / subject->channels;
    e->weight_sum = negative + positive;
    e->zero_point_correction = -(int64_t)layout->input_zero_point * e->weight_sum;
    e->accumulator_minimum = positive * low + negative * high;
    e->accumulator_maximum = positive * high + negative * low;
    double bias = e->bias_stays_real ? 0.0 : (double)e->bias_integer;
    e->int32_share = fmax(fabs((double)e->accumulator_minimum + bias),
                          fabs((double)e->accumulator_maximum + bias)) /
                     0x1p31;
}

/* The bytes' range with the activation's bounds on the output's grid. */
static void explain_output(const Subject *subject, OctetChannelExplanation *e) {
    const OctActivation *activation = &subject->node->activation;
    if (!is_eight_bits(subject->output)) {
        return;
    }
    const OctetQParams *grid = &subject->output->qparams;
    OctQuantizeTarget target = oct_quantize_target(grid->dtype, grid->scale[0], grid->zero_point[0],
                                                   OCTET_QUANTIZE_DIVIDE);
    e->output_scale = grid->scale[0];
    e->output_zero_point = grid->zero_point[0];
    e->output_minimum = (int32_t)target.minimum;
    e->output_maximum = (int32_t)target.maximum;
    if (activation->kind == OCT_ACTIVATION_CLIP) {
        e->output_minimum = (int32_t)oct_quantize_one(activation->minimum, &target);
        e->output_maximum = (int32_t)oct_quantize_one(activation->maximum, &target);
    }
}

static void work_example(const Subject *subject, const OctRequantizeChannel *parameters,
                         OctetChannelExplanation *e) {
    const OctetQParams *grid = &subject->input->qparams;
    OctQuantizeTarget target = oct_quantize_target(grid->dtype, grid->scale[0], grid->zero_point[0],
                                                   OCTET_QUANTIZE_DIVIDE);
    e->example_input = (int32_t)oct_quantize_one(1.0F, &target);
    e->example_accumulator = ((int64_t)e->example_input - e->input_zero_point) * e->weight_sum;
    e->example_sum = e->example_accumulator + e->bias_integer;
    e->example_exact = (double)e->example_accumulator * e->bias_scale + e->bias;
    double factor = (double)e->multiplier;
    if (subject->mode == OCTET_REQUANTIZE_TFLITE ||
        subject->mode == OCTET_REQUANTIZE_TFLITE_SINGLE) {
        factor = ldexp((double)e->fixed.mantissa, e->fixed.shift - 31);
    }
    e->example_steps = e->bias_stays_real
                           ? ((double)e->example_accumulator + e->bias_exact) * factor
                           : (double)e->example_sum * factor;
    if (e->output_scale > 0 && e->example_accumulator >= INT32_MIN &&
        e->example_accumulator <= INT32_MAX) {
        const OctRequantizeOutput output = {.zero_point = e->output_zero_point,
                                            .minimum = e->output_minimum,
                                            .maximum = e->output_maximum};
        e->example_output =
            oct_requantize(subject->mode, (int32_t)e->example_accumulator, parameters, &output);
    }
}

static OctetStatus explain_channel(const Subject *subject, OctetChannelExplanation *e,
                                   OctetDiagnostic *diagnostic) {
    const OctetQParams *weight = &subject->weight->qparams;
    const int64_t length = subject->layout.shape.dims[subject->layout.axis];
    const int64_t index = weight->axis < 0 ? 0 : e->channel % length;
    OctRequantizeChannel parameters;
    e->input_scale = subject->input->qparams.scale[0];
    e->input_zero_point = subject->input->qparams.zero_point[0];
    e->weight_scale = weight->scale[index];
    e->weight_zero_point = weight->zero_point[index];
    e->bias_scale = (double)e->input_scale * (double)e->weight_scale;
    explain_output(subject, e);
    OCT_TRY(explain_bias(subject, e, &parameters, diagnostic));
    explain_weights(subject, e);
    if (e->output_scale > 0) {
        e->exact_multiplier = e->bias_scale / (double)e->output_scale;
        e->multiplier = parameters.multiplier;
        if (octet_fixed_point_from_scales(e->input_scale, e->weight_scale, e->output_scale,
                                          &e->fixed, NULL) != OCTET_OK) {
            e->fixed = (OctetFixedPoint){0};
        }
    }
    work_example(subject, &parameters, e);
    return OCTET_OK;
}

/* By how much a bias errs, or can err: what layers and channels are ranked by. */
static double badness(const OctetChannelExplanation *e) {
    double error = e->bias_known ? fabs(e->bias_error) : e->bias_error_limit;
    return e->output_scale > 0 ? error / (double)e->output_scale : error;
}

OctetStatus octet_explain_layer(const OctetNode *node, const OctetNode *original,
                                OctetRequantize mode, OctetLayerExplanation *explanation,
                                OctetDiagnostic *diagnostic) {
    Subject subject = {0};
    *explanation =
        (OctetLayerExplanation){.name = node->name, .op_type = node->op_type, .mode = mode};
    OctetStatus status = open_subject(node, original, mode, &subject, diagnostic);
    if (status == OCTET_OK) {
        explanation->channels = oct_calloc((size_t)subject.channels, sizeof *explanation->channels);
        status = explanation->channels ? OCTET_OK : oct_fail_memory(diagnostic);
    }
    for (int64_t c = 0; status == OCTET_OK && c < subject.channels; c++) {
        OctetChannelExplanation *channel = &explanation->channels[c];
        channel->channel = c;
        status = explain_channel(&subject, channel, diagnostic);
        const OctetChannelExplanation *worst = &explanation->channels[explanation->worst_bias];
        const OctetChannelExplanation *tightest = &explanation->channels[explanation->tightest];
        explanation->worst_bias = badness(channel) > badness(worst) ? c : explanation->worst_bias;
        explanation->tightest =
            channel->int32_share > tightest->int32_share ? c : explanation->tightest;
    }
    explanation->channel_count = subject.channels;
    oct_free(subject.sums);
    if (status != OCTET_OK) {
        octet_explanation_clear(explanation);
    }
    return status;
}

void octet_explanation_clear(OctetLayerExplanation *explanation) {
    oct_free(explanation->channels);
    *explanation = (OctetLayerExplanation){0};
}
