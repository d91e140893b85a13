#include "functional/call.h"

#include "base/diag.h"

#include <math.h>
#include <string.h>

typedef struct ConvKind {
    int32_t spatial;
    bool transposed, relu;
} ConvKind;

static OctetStatus convolve(ConvKind kind, const OctetTensor *input, const OctetTensor *weight,
                            const float *bias, const OctetConvOptions *options,
                            const OctetQOutput *output, OctetTensor **result,
                            OctetDiagnostic *diagnostic) {
    OctetConvOptions defaults = {0};
    int64_t strides[3];
    int64_t dilations[3];
    int64_t pads[6];
    OctCall call;
    options = options ? options : &defaults;
    *result = NULL;
    if (!input || !weight || input->shape.rank != kind.spatial + 2 ||
        weight->shape.rank != kind.spatial + 2) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "input and weight of a %dd convolution have %d dimensions",
                        (int)kind.spatial, (int)kind.spatial + 2);
    }
    int64_t groups = options->groups ? options->groups : 1;
    for (int32_t i = 0; i < kind.spatial; i++) {
        strides[i] = options->stride[i] ? options->stride[i] : 1;
        dilations[i] = options->dilation[i] ? options->dilation[i] : 1;
        pads[i] = options->padding[i];
        pads[i + kind.spatial] = options->padding[i];
    }
    int64_t channels = kind.transposed ? weight->shape.dims[1] * groups : weight->shape.dims[0];
    oct_call_begin(&call, diagnostic);
    oct_call_data(&call, input);
    oct_call_constant(&call, weight);
    if (bias) {
        oct_call_floats(&call, &(OctetShape){1, {channels}}, bias);
    }
    oct_call_node(&call, kind.transposed ? "ConvTranspose" : "Conv");
    oct_call_set_ints(&call, "strides", strides, kind.spatial);
    oct_call_set_ints(&call, "dilations", dilations, kind.spatial);
    oct_call_set_ints(&call, "pads", pads, 2 * kind.spatial);
    oct_call_set_int(&call, "group", groups);
    if (kind.relu) {
        oct_call_set_clip(&call, 0, INFINITY);
    }
    return oct_call_end(&call, input->dtype, output, result);
}

#define DEFINE_CONV(name, spatial, transposed, relu)                                               \
    OctetStatus octet_quantized_##name(const OctetTensor *input, const OctetTensor *weight,        \
                                       const float *bias, const OctetConvOptions *options,         \
                                       const OctetQOutput *output, OctetTensor **result,           \
                                       OctetDiagnostic *diagnostic) {                              \
        return convolve((ConvKind){spatial, transposed, relu}, input, weight, bias, options,       \
                        output, result, diagnostic);                                               \
    }
DEFINE_CONV(conv1d, 1, false, false)
DEFINE_CONV(conv2d, 2, false, false)
DEFINE_CONV(conv3d, 3, false, false)
DEFINE_CONV(conv1d_relu, 1, false, true)
DEFINE_CONV(conv2d_relu, 2, false, true)
DEFINE_CONV(conv3d_relu, 3, false, true)
DEFINE_CONV(conv_transpose1d, 1, true, false)
DEFINE_CONV(conv_transpose2d, 2, true, false)
DEFINE_CONV(conv_transpose3d, 3, true, false)

static OctetStatus multiply(const OctetTensor *input, const OctetTensor *weight, const float *bias,
                            bool relu, const OctetQOutput *output, OctetTensor **result,
                            OctetDiagnostic *diagnostic) {
    OctCall call;
    *result = NULL;
    if (!input || !weight || input->shape.rank != 2 || weight->shape.rank != 2) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "linear takes two matrices");
    }
    oct_call_begin(&call, diagnostic);
    oct_call_data(&call, input);
    oct_call_constant(&call, weight);
    if (bias) {
        oct_call_floats(&call, &(OctetShape){1, {weight->shape.dims[0]}}, bias);
    }
    oct_call_node(&call, "Gemm");
    oct_call_set_int(&call, "transB", 1);
    if (relu) {
        oct_call_set_clip(&call, 0, INFINITY);
    }
    return oct_call_end(&call, input->dtype, output, result);
}

OctetStatus octet_quantized_linear(const OctetTensor *input, const OctetTensor *weight,
                                   const float *bias, const OctetQOutput *output,
                                   OctetTensor **result, OctetDiagnostic *diagnostic) {
    return multiply(input, weight, bias, false, output, result, diagnostic);
}

OctetStatus octet_quantized_linear_relu(const OctetTensor *input, const OctetTensor *weight,
                                        const float *bias, const OctetQOutput *output,
                                        OctetTensor **result, OctetDiagnostic *diagnostic) {
    return multiply(input, weight, bias, true, output, result, diagnostic);
}

static OctetStatus combine(const char *op_type, const OctetTensor *a, const OctetTensor *b,
                           bool relu, const OctetQOutput *output, OctetTensor **result,
                           OctetDiagnostic *diagnostic) {
    OctCall call;
    oct_call_begin(&call, diagnostic);
    oct_call_data(&call, a);
    oct_call_data(&call, b);
    oct_call_node(&call, op_type);
    if (relu) {
        oct_call_set_clip(&call, 0, INFINITY);
    }
    return oct_call_end(&call, a ? a->dtype : OCTET_U8, output, result);
}

#define DEFINE_BINARY(name, op_type, relu)                                                         \
    OctetStatus octet_quantized_##name(const OctetTensor *a, const OctetTensor *b,                 \
                                       const OctetQOutput *output, OctetTensor **result,           \
                                       OctetDiagnostic *diagnostic) {                              \
        return combine(op_type, a, b, relu, output, result, diagnostic);                           \
    }
DEFINE_BINARY(add, "Add", false)
DEFINE_BINARY(add_relu, "Add", true)
DEFINE_BINARY(mul, "Mul", false)
DEFINE_BINARY(mul_relu, "Mul", true)
DEFINE_BINARY(matmul, "MatMul", false)

OctetStatus octet_quantized_cat(const OctetTensor *const *tensors, size_t count, int32_t axis,
                                const OctetQOutput *output, OctetTensor **result,
                                OctetDiagnostic *diagnostic) {
    OctCall call;
    *result = NULL;
    if (count == 0) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "cat takes at least one tensor");
    }
    oct_call_begin(&call, diagnostic);
    for (size_t i = 0; i < count; i++) {
        oct_call_data(&call, tensors[i]);
    }
    oct_call_node(&call, "Concat");
    oct_call_set_int(&call, "axis", axis);
    return oct_call_end(&call, tensors[0] ? tensors[0]->dtype : OCTET_U8, output, result);
}
