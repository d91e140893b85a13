#include "quant/requantize.h"
#include "base/diag.h"

#include <math.h>

static int32_t saturate(double value) {
    return (int32_t)fmin(fmax(value, INT32_MIN), INT32_MAX);
}

OctetQuantizeRule oct_requantize_quantize_rule(OctetRequantize mode) {
    bool torch = mode == OCTET_REQUANTIZE_QNNPACK || mode == OCTET_REQUANTIZE_FBGEMM;
    return torch ? OCTET_QUANTIZE_RECIPROCAL : OCTET_QUANTIZE_DIVIDE;
}

int32_t oct_bias_integer(OctetRequantize mode, float bias, float input_scale, float weight_scale) {
    float scale = input_scale * weight_scale, inverse = 1.0F / scale;
    if (bias == 0.0F) {
        return 0; /* the inverse of a product that underflows is infinite */
    }
    switch (mode) {
    case OCTET_REQUANTIZE_QNNPACK:
        return saturate((double)rintf(bias * inverse));
    case OCTET_REQUANTIZE_TFLITE:
    case OCTET_REQUANTIZE_TFLITE_SINGLE:
        return saturate(fmax((double)roundf(bias * inverse), -INT32_MAX));
    default:
        return saturate(rint((double)bias / ((double)input_scale * (double)weight_scale)));
    }
}

/* The float that onnx, fbgemm and qnnpack multiply by. */
static float multiplier_of(OctetRequantize mode, const OctRequantizeInput *input) {
    if (mode == OCTET_REQUANTIZE_QNNPACK) {
        return (input->weight_scale * input->input_scale) * (1.0F / input->output_scale);
    }
    return (input->input_scale * input->weight_scale) / input->output_scale;
}

OctetStatus oct_requantize_prepare(OctetRequantize mode, const OctRequantizeInput *input,
                                   OctRequantizeChannel *channel, OctetDiagnostic *diagnostic) {
    *channel = (OctRequantizeChannel){.bias_integer = input->bias_integer};
    if (input->has_float_bias && !isfinite(input->bias)) {
        return oct_fail(diagnostic, OCTET_ERROR_NUMERIC, "a bias is %g", (double)input->bias);
    }
    channel->multiplier = multiplier_of(mode, input);
    if (mode == OCTET_REQUANTIZE_TFLITE || mode == OCTET_REQUANTIZE_TFLITE_SINGLE) {
        OCT_TRY(octet_fixed_point_from_scales(input->input_scale, input->weight_scale,
                                              input->output_scale, &channel->fixed, diagnostic));
    } else if (!(channel->multiplier > 0) || isinf(channel->multiplier)) {
        return oct_fail(
            diagnostic, OCTET_ERROR_NUMERIC, "the scales %g * %g / %g give no usable multiplier",
            (double)input->input_scale, (double)input->weight_scale, (double)input->output_scale);
    }
    if (!input->has_float_bias) {
        channel->bias = (float)input->bias_integer;
        return OCTET_OK;
    }
    if (mode != OCTET_REQUANTIZE_ONNX) {
        channel->bias_integer =
            oct_bias_integer(mode, input->bias, input->input_scale, input->weight_scale);
    }
    channel->bias = input->bias / (input->input_scale * input->weight_scale);
    return OCTET_OK;
}

/* RNE of steps, + zero point, clamped; float32 steps beyond int32 saturate. */
static int32_t finish(float steps, const OctRequantizeOutput *output) {
    float low = (float)((int64_t)output->minimum - output->zero_point);
    float high = (float)((int64_t)output->maximum - output->zero_point);
    steps = steps < low ? low : steps;
    steps = steps > high ? high : steps;
    return (int32_t)rintf(steps) + output->zero_point;
}

int32_t oct_requantize(OctetRequantize mode, int32_t accumulator,
                       const OctRequantizeChannel *channel, const OctRequantizeOutput *output) {
    if (mode == OCTET_REQUANTIZE_FBGEMM) {
        return finish(((float)accumulator + channel->bias) * channel->multiplier, output);
    }
    int32_t sum = (int32_t)((uint32_t)accumulator + (uint32_t)channel->bias_integer);
    if (mode == OCTET_REQUANTIZE_ONNX || mode == OCTET_REQUANTIZE_QNNPACK) {
        return finish((float)sum * channel->multiplier, output);
    }
    int64_t steps = mode == OCTET_REQUANTIZE_TFLITE
                        ? oct_fixed_point_multiply(sum, channel->fixed)
                        : oct_fixed_point_multiply_single(sum, channel->fixed);
    steps += output->zero_point;
    steps = steps < output->minimum ? output->minimum : steps;
    return (int32_t)(steps > output->maximum ? output->maximum : steps);
}

void oct_requantize_rows(OctetRequantize mode, const int32_t *accumulators, int64_t rows,
                         int64_t channels, const OctRequantizeChannel *parameters,
                         const OctRequantizeOutput *output, OctetDType dtype, void *result) {
    uint8_t *bytes = result;
    for (int64_t r = 0; r < rows; r++) {
        for (int64_t c = 0; c < channels; c++) {
            int64_t i = r * channels + c;
            int32_t q = oct_requantize(mode, accumulators[i], &parameters[c], output);
            bytes[i] = dtype == OCTET_S8 ? (uint8_t)(int8_t)q : (uint8_t)q;
        }
    }
}
