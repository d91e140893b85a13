#include "functional/call.h"
#include "functional/rounding.h"

#include "base/diag.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

/* Clamping on a grid is clamping integers: quantize the bounds, as PyTorch's qclamp does. */
OctetStatus octet_quantized_clamp(const OctetTensor *input, float minimum, float maximum,
                                  OctetTensor **result, OctetDiagnostic *diagnostic) {
    OctCall call;
    oct_call_begin(&call, diagnostic);
    oct_call_data(&call, input);
    oct_call_floats(&call, &(OctetShape){0, {0}}, &minimum);
    oct_call_floats(&call, &(OctetShape){0, {0}}, &maximum);
    oct_call_node(&call, "Clip");
    return oct_call_end_like(&call, input, result);
}

OctetStatus octet_quantized_hardtanh(const OctetTensor *input, float minimum, float maximum,
                                     OctetTensor **result, OctetDiagnostic *diagnostic) {
    return octet_quantized_clamp(input, minimum, maximum, result, diagnostic);
}

OctetStatus octet_quantized_relu6(const OctetTensor *input, OctetTensor **result,
                                  OctetDiagnostic *diagnostic) {
    return octet_quantized_clamp(input, 0, 6, result, diagnostic);
}

OctetStatus octet_quantized_relu(const OctetTensor *input, OctetTensor **result,
                                 OctetDiagnostic *diagnostic) {
    OctCall call;
    oct_call_begin(&call, diagnostic);
    oct_call_data(&call, input);
    oct_call_node(&call, "Relu");
    return oct_call_end_like(&call, input, result);
}

OctetStatus octet_quantized_leaky_relu(const OctetTensor *input, float slope,
                                       const OctetQOutput *output, OctetTensor **result,
                                       OctetDiagnostic *diagnostic) {
    return oct_quantized_unary(OCT_RULE_LEAKY_RELU, input, slope, output, result, diagnostic);
}

OctetStatus octet_quantized_elu(const OctetTensor *input, float alpha, const OctetQOutput *output,
                                OctetTensor **result, OctetDiagnostic *diagnostic) {
    return oct_quantized_unary(OCT_RULE_ELU, input, alpha, output, result, diagnostic);
}

OctetStatus octet_quantized_hardswish(const OctetTensor *input, const OctetQOutput *output,
                                      OctetTensor **result, OctetDiagnostic *diagnostic) {
    return oct_quantized_unary(OCT_RULE_HARDSWISH, input, 0, output, result, diagnostic);
}

OctetStatus octet_quantized_prelu(const OctetTensor *input, const float *slope, int64_t slopes,
                                  const OctetQOutput *output, OctetTensor **result,
                                  OctetDiagnostic *diagnostic) {
    OctCall call;
    OctetShape shape = {1, {slopes}};
    if (input && slopes > 1 && input->shape.rank > 2) {
        /* one a channel: broadcast over what stands behind axis 1 */
        shape = (OctetShape){input->shape.rank - 1, {slopes}};
        for (int32_t i = 1; i < shape.rank; i++) {
            shape.dims[i] = 1;
        }
    }
    oct_call_begin(&call, diagnostic);
    oct_call_data(&call, input);
    oct_call_floats(&call, &shape, slope);
    oct_call_node(&call, "PRelu");
    return oct_call_end(&call, input ? input->dtype : OCTET_U8, output, result);
}

/* Outputs between 0 and 1, or -1 and 1, have one grid for all: PyTorch's fixed parameters, for s8
 * with the zero point moved by 128. */
static OctetStatus fixed(const char *op_type, float scale, int32_t zero_point,
                         const OctetTensor *input, int32_t axis, OctetTensor **result,
                         OctetDiagnostic *diagnostic) {
    OctCall call;
    bool is_signed = input && input->dtype == OCTET_S8;
    OctetQOutput output = {.scale = scale, .zero_point = is_signed ? zero_point - 128 : zero_point};
    oct_call_begin(&call, diagnostic);
    oct_call_data(&call, input);
    oct_call_node(&call, op_type);
    if (strcmp(op_type, "HardSigmoid") == 0) {
        oct_call_set_float(&call, "alpha", 1.0f / 6.0f);
    }
    if (strcmp(op_type, "Softmax") == 0) {
        oct_call_set_int(&call, "axis", axis);
    }
    return oct_call_end(&call, input ? input->dtype : OCTET_U8, &output, result);
}

OctetStatus octet_quantized_sigmoid(const OctetTensor *input, OctetTensor **result,
                                    OctetDiagnostic *diagnostic) {
    return fixed("Sigmoid", 1.0f / 256, 0, input, 0, result, diagnostic);
}

OctetStatus octet_quantized_hardsigmoid(const OctetTensor *input, OctetTensor **result,
                                        OctetDiagnostic *diagnostic) {
    return fixed("HardSigmoid", 1.0f / 256, 0, input, 0, result, diagnostic);
}

OctetStatus octet_quantized_tanh(const OctetTensor *input, OctetTensor **result,
                                 OctetDiagnostic *diagnostic) {
    return fixed("Tanh", 2.0f / 256, 128, input, 0, result, diagnostic);
}

OctetStatus octet_quantized_softmax(const OctetTensor *input, int32_t axis, OctetTensor **result,
                                    OctetDiagnostic *diagnostic) {
    return fixed("Softmax", 1.0f / 256, 0, input, axis, result, diagnostic);
}

/* The input's integers under another scale and zero point. */
static OctetStatus on_grid(const OctetTensor *input, float scale, int32_t zero_point,
                           OctetTensor **result, OctetDiagnostic *diagnostic) {
    OctetQParams grid = {
        .dtype = input->dtype, .axis = -1, .count = 1, .scale = &scale, .zero_point = &zero_point};
    OCT_TRY(octet_qparams_check(&grid, &input->shape, diagnostic));
    OCT_TRY(octet_tensor_copy(input, result, diagnostic));
    OctetStatus status = octet_tensor_set_qparams(*result, &grid, diagnostic);
    if (status != OCTET_OK) {
        octet_tensor_free(*result);
        *result = NULL;
    }
    return status;
}

/* ATen/native/quantized/cpu/qadd.cpp, _add_scalar_out: where the zero point can move by the number,
 * it moves; else the grid is stretched to hold the new range. */
OctetStatus octet_quantized_add_scalar(const OctetTensor *input, double number,
                                       OctetTensor **result, OctetDiagnostic *diagnostic) {
    int64_t lowest;
    int64_t highest;
    *result = NULL;
    OCT_TRY(oct_check_quantized(input, diagnostic));
    if (!isfinite(number)) {
        return oct_fail(diagnostic, OCTET_ERROR_NUMERIC, "the number to add is not finite");
    }
    octet_dtype_range(input->dtype, &lowest, &highest);
    double s = (double)input->qparams.scale[0];
    int64_t z = input->qparams.zero_point[0];
    double steps = nearbyint(number / s);
    double moved = (double)z - steps;
    if (moved >= (double)lowest && moved <= (double)highest) {
        return on_grid(input, (float)s, (int32_t)moved, result, diagnostic);
    }
    bool below = moved < (double)lowest;
    double span = (double)(highest - lowest);
    double stretch = below ? ((double)highest - moved) / span : (moved - (double)lowest) / span;
    if (fabs(steps) > INT32_MAX) {
        return oct_fail(diagnostic, OCTET_ERROR_NUMERIC,
                        "%g is more than 2^31 steps of the tensor's scale", number);
    }
    return oct_quantized_shift(input, (int64_t)steps, (float)(stretch * s),
                               (int32_t)(below ? lowest : highest), result, diagnostic);
}

/* ATen/native/quantized/cpu/qmul.cpp, _mul_scalar_out: the scale is multiplied; a negative number
 * also mirrors the integers. */
OctetStatus octet_quantized_mul_scalar(const OctetTensor *input, double number,
                                       OctetTensor **result, OctetDiagnostic *diagnostic) {
    int64_t lowest;
    int64_t highest;
    *result = NULL;
    OCT_TRY(oct_check_quantized(input, diagnostic));
    if (!isfinite(number)) {
        return oct_fail(diagnostic, OCTET_ERROR_NUMERIC, "the factor is not finite");
    }
    octet_dtype_range(input->dtype, &lowest, &highest);
    int32_t ends = (int32_t)(lowest + highest);
    int32_t z = input->qparams.zero_point[0];
    float scale = number == 0 ? 1 : (float)((double)input->qparams.scale[0] * fabs(number));
    int32_t zero_point = number > 0 ? z : number < 0 ? ends - z : 0;
    OCT_TRY(on_grid(input, scale, zero_point, result, diagnostic));
    uint8_t *bytes = (*result)->data;
    if (number == 0) {
        memset(bytes, 0, (*result)->bytes);
    }
    /* for u8 and s8 alike, lowest + highest - q is all bits turned */
    for (size_t i = 0; number < 0 && i < (*result)->bytes; i++) {
        bytes[i] = (uint8_t)~bytes[i];
    }
    return OCTET_OK;
}
