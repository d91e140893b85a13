#include "ptq/explain_layer.h"

#include "base/diag.h"
#include "base/mem.h"
#include "ptq/prepared.h"
#include "quant/quantize_values.h"

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

OctetStatus oct_explained_open(const OctNode *node, const OctNode *original, OctetRequantize mode,
                               OctExplained *layer, OctetDiagnostic *diagnostic) {
    const OctValue *input = oct_node_input(node, 0), *weight = oct_node_input(node, 1);
    if (!input || !weight || !octet_node_explainable(node)) {
        return oct_fail_node(diagnostic, OCTET_ERROR_UNSUPPORTED, node->name,
                             "only int8 layers with constant weights have a bias to explain");
    }
    int64_t low, high;
    *layer = (OctExplained){.node = node,
                            .input = input,
                            .weight = weight,
                            .bias = oct_node_input(node, 2),
                            .output = node->outputs[0],
                            .original_bias = original ? oct_node_input(original, 2) : NULL,
                            .mode = mode};
    octet_dtype_range(input->qparams.dtype, &low, &high);
    layer->layout = (OctWeightLayout){.shape = weight->shape,
                                      .axis = oct_weight_axis(node),
                                      .groups = 1,
                                      .input_zero_point = input->qparams.zero_point[0],
                                      .input_min = (int32_t)low,
                                      .input_max = (int32_t)high};
    if (strcmp(node->op_type, "ConvTranspose") == 0) {
        layer->layout.groups = oct_node_int(node, "group", 1);
    }
    OCT_TRY(oct_weight_channels(&layer->layout, &layer->channels, diagnostic));
    OCT_TRY(octet_qparams_check(&weight->qparams, &weight->shape, diagnostic));
    if (layer->channels == 0) {
        return oct_fail_node(diagnostic, OCTET_ERROR_SHAPE, node->name, "a layer without outputs");
    }
    layer->sums = oct_calloc((size_t)layer->channels, sizeof *layer->sums);
    if (!layer->sums) {
        return oct_fail_memory(diagnostic);
    }
    OctWeightLayout unit = layer->layout; /* over inputs in [0, 1] the bounds are the sums */
    unit.input_zero_point = unit.input_min = 0;
    unit.input_max = 1;
    return oct_accumulator_bounds(&unit, oct_value_tensor(layer->weight)->data,
                                  &layer->weight->qparams, layer->sums, diagnostic);
}

void oct_explained_close(OctExplained *layer) {
    oct_free(layer->sums);
    layer->sums = NULL;
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
static OctetStatus explain_bias(const OctExplained *layer, OctetChannelExplanation *e,
                                OctRequantizeChannel *parameters, OctetDiagnostic *diagnostic) {
    double real = 0, stored = 0, scale = 0, original = 0, none[2];
    bool integer = layer->bias && oct_value_tensor(layer->bias) &&
                   oct_value_tensor(layer->bias)->dtype == OCTET_S32;
    e->has_bias = read_bias(layer->bias, layer->channels, e->channel, &real, &stored, &scale);
    if (integer && isnan(real)) {
        real = stored * e->bias_scale;
    }
    e->bias_stays_real = e->has_bias && layer->mode == OCTET_REQUANTIZE_FBGEMM;
    OctRequantizeInput input = {.input_scale = e->input_scale,
                                .weight_scale = e->weight_scale,
                                .output_scale = e->output_scale > 0 ? e->output_scale : 1.0F,
                                .has_float_bias = e->has_bias && (!integer || e->bias_stays_real),
                                .bias = (float)real};
    if (integer) {
        int32_t given = (int32_t)fmin(fmax(stored, INT32_MIN), INT32_MAX);
        (void)oct_bias_stored(given, scale, e->input_scale, e->weight_scale, &input.bias_integer);
        input.bias = oct_bias_real(given, scale, e->input_scale, e->weight_scale);
        if (input.bias_integer == given) {
            real = given * e->bias_scale; /* the stored scale is this product, rounded to a float */
        }
    } else if (e->has_bias) {
        input.bias_integer =
            oct_bias_integer(layer->mode, input.bias, e->input_scale, e->weight_scale);
    }
    OCT_TRY(oct_fail_in_node(diagnostic,
                             oct_requantize_prepare(layer->mode, &input, parameters, diagnostic),
                             layer->node->name));
    e->bias_known = e->has_bias && !integer;
    if (e->has_bias && read_bias(layer->original_bias, layer->channels, e->channel, &original,
                                 &none[0], &none[1])) {
        e->bias_known = true;
        real = original;
    }
    e->bias = real;
    e->bias_exact = real / e->bias_scale;
    e->bias_stored = integer;
    e->bias_integer = integer ? input.bias_integer : parameters->bias_integer;
    e->bias_added = e->bias_stays_real ? (double)parameters->bias : (double)e->bias_integer;
    e->bias_by_rule =
        e->has_bias ? oct_bias_integer(layer->mode, (float)real, e->input_scale, e->weight_scale)
                    : 0;
    bool rounded = e->has_bias && (integer || !e->bias_stays_real);
    e->bias_error = rounded ? e->bias_added * e->bias_scale - real : 0.0;
    e->bias_error_limit = rounded ? e->bias_scale / 2 : 0.0;
    return OCTET_OK;
}

static void explain_weights(const OctExplained *layer, OctetChannelExplanation *e) {
    const OctWeightLayout *layout = &layer->layout;
    const int64_t negative = layer->sums[e->channel].minimum;
    const int64_t positive = layer->sums[e->channel].maximum;
    const int64_t low = (int64_t)layout->input_min - layout->input_zero_point;
    const int64_t high = (int64_t)layout->input_max - layout->input_zero_point;
    int64_t count = 0;
    (void)octet_shape_count(&layout->shape, &count); /* checked with the channels */
    e->weight_count = count / layer->channels;
    e->weight_sum = negative + positive;
    e->stored_weight_sum = e->weight_sum + e->weight_count * e->weight_zero_point;
    e->zero_point_correction = -(int64_t)layout->input_zero_point * e->weight_sum;
    e->accumulator_minimum = positive * low + negative * high;
    e->accumulator_maximum = positive * high + negative * low;
    double bias = e->bias_stays_real ? 0.0 : (double)e->bias_integer;
    e->int32_share = fmax(fabs((double)e->accumulator_minimum + bias),
                          fabs((double)e->accumulator_maximum + bias)) /
                     0x1p31;
}

/* The bytes' range with the activation's bounds on the output's grid. */
static void explain_output(const OctExplained *layer, OctetChannelExplanation *e) {
    const OctActivation *activation = &layer->node->activation;
    if (!is_eight_bits(layer->output)) {
        return;
    }
    const OctetQParams *grid = &layer->output->qparams;
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

void oct_explain_sum(const OctExplained *layer, const OctRequantizeChannel *parameters,
                     int64_t accumulator, OctetChannelExplanation *e) {
    e->example_accumulator = accumulator;
    e->example_sum = accumulator + e->bias_integer;
    e->example_exact = (double)accumulator * e->bias_scale + e->bias;
    double factor = (double)e->multiplier;
    if (layer->mode == OCTET_REQUANTIZE_TFLITE || layer->mode == OCTET_REQUANTIZE_TFLITE_SINGLE) {
        factor = ldexp((double)e->fixed.mantissa, e->fixed.shift - 31);
    }
    e->example_steps = ((double)accumulator + e->bias_added) * factor;
    if (e->output_scale > 0 && accumulator >= INT32_MIN && accumulator <= INT32_MAX) {
        const OctRequantizeOutput output = {.zero_point = e->output_zero_point,
                                            .minimum = e->output_minimum,
                                            .maximum = e->output_maximum};
        e->example_output = oct_requantize(layer->mode, (int32_t)accumulator, parameters, &output);
    }
}

/* All inputs being the integer nearest to 1.0, or the greatest there is. */
static void work_example(const OctExplained *layer, const OctRequantizeChannel *parameters,
                         OctetChannelExplanation *e) {
    const OctetQParams *grid = &layer->input->qparams;
    OctQuantizeTarget target = oct_quantize_target(grid->dtype, grid->scale[0], grid->zero_point[0],
                                                   OCTET_QUANTIZE_DIVIDE);
    e->example_input = (int32_t)oct_quantize_one(1.0F, &target);
    int64_t accumulator = ((int64_t)e->example_input - e->input_zero_point) * e->weight_sum;
    oct_explain_sum(layer, parameters, accumulator, e);
}

OctetStatus oct_explain_channel(const OctExplained *layer, OctetChannelExplanation *e,
                                OctRequantizeChannel *parameters, OctetDiagnostic *diagnostic) {
    const OctetQParams *weight = &layer->weight->qparams;
    const int64_t length = layer->layout.shape.dims[layer->layout.axis];
    const int64_t index = weight->axis < 0 ? 0 : e->channel % length;
    e->input_scale = layer->input->qparams.scale[0];
    e->input_zero_point = layer->input->qparams.zero_point[0];
    e->weight_scale = weight->scale[index];
    e->weight_zero_point = weight->zero_point[index];
    e->bias_scale = (double)e->input_scale * (double)e->weight_scale;
    explain_output(layer, e);
    OCT_TRY(explain_bias(layer, e, parameters, diagnostic));
    explain_weights(layer, e);
    if (e->output_scale > 0) {
        e->exact_multiplier = e->bias_scale / (double)e->output_scale;
        e->multiplier = parameters->multiplier;
        if (octet_fixed_point_from_scales(e->input_scale, e->weight_scale, e->output_scale,
                                          &e->fixed, NULL) != OCTET_OK) {
            e->fixed = (OctetFixedPoint){0};
        }
    }
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
    OctExplained layer = {0};
    *explanation =
        (OctetLayerExplanation){.name = node->name, .op_type = node->op_type, .mode = mode};
    OctetStatus status = oct_explained_open(node, original, mode, &layer, diagnostic);
    if (status == OCTET_OK) {
        explanation->channels = oct_calloc((size_t)layer.channels, sizeof *explanation->channels);
        status = explanation->channels ? OCTET_OK : oct_fail_memory(diagnostic);
    }
    for (int64_t c = 0; status == OCTET_OK && c < layer.channels; c++) {
        OctetChannelExplanation *channel = &explanation->channels[c];
        channel->channel = c;
        OctRequantizeChannel parameters;
        status = oct_explain_channel(&layer, channel, &parameters, diagnostic);
        if (status == OCTET_OK) {
            work_example(&layer, &parameters, channel);
        }
        const OctetChannelExplanation *worst = &explanation->channels[explanation->worst_bias];
        const OctetChannelExplanation *tightest = &explanation->channels[explanation->tightest];
        explanation->worst_bias = badness(channel) > badness(worst) ? c : explanation->worst_bias;
        explanation->tightest =
            channel->int32_share > tightest->int32_share ? c : explanation->tightest;
    }
    explanation->channel_count = layer.channels;
    oct_explained_close(&layer);
    if (status != OCTET_OK) {
        octet_explanation_clear(explanation);
    }
    return status;
}

void octet_explanation_clear(OctetLayerExplanation *explanation) {
    oct_free(explanation->channels);
    *explanation = (OctetLayerExplanation){0};
}
