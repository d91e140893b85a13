#include "functional/call.h"
#include "functional/rounding.h"

#include "base/diag.h"
#include "base/mem.h"

#include <math.h>
#include <string.h>

static OctetStatus pool(const char *op_type, const OctetTensor *input,
                        const OctetPoolOptions *options, OctetTensor **result,
                        OctetDiagnostic *diagnostic) {
    int64_t strides[3] = {0};
    int64_t dilations[3] = {0};
    int64_t pads[6] = {0};
    OctCall call;
    int32_t spatial = input ? input->shape.rank - 2 : 0;
    bool average = strcmp(op_type, "AveragePool") == 0;
    *result = NULL;
    if (spatial < 1 || spatial > 3) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "pooling takes 3 to 5 dimensions");
    }
    for (int32_t i = 0; i < spatial; i++) {
        strides[i] = options->stride[i] ? options->stride[i] : options->kernel[i];
        dilations[i] = options->dilation[i] ? options->dilation[i] : 1;
        pads[i] = options->padding[i];
        pads[i + spatial] = options->padding[i];
    }
    oct_call_begin(&call, diagnostic);
    oct_call_data(&call, input);
    oct_call_node(&call, op_type);
    oct_call_set_ints(&call, "kernel_shape", options->kernel, spatial);
    oct_call_set_ints(&call, "strides", strides, spatial);
    oct_call_set_ints(&call, "pads", pads, 2 * spatial);
    oct_call_set_int(&call, "ceil_mode", options->ceil_mode);
    if (average) {
        oct_call_set_int(&call, "count_include_pad", options->count_include_pad);
    } else {
        oct_call_set_ints(&call, "dilations", dilations, spatial);
    }
    return oct_call_end_like(&call, input, result);
}

OctetStatus octet_quantized_max_pool(const OctetTensor *input, const OctetPoolOptions *options,
                                     OctetTensor **result, OctetDiagnostic *diagnostic) {
    return pool("MaxPool", input, options, result, diagnostic);
}

OctetStatus octet_quantized_avg_pool(const OctetTensor *input, const OctetPoolOptions *options,
                                     OctetTensor **result, OctetDiagnostic *diagnostic) {
    return pool("AveragePool", input, options, result, diagnostic);
}

OctetStatus octet_quantized_adaptive_avg_pool(const OctetTensor *input, const int64_t *size,
                                              OctetTensor **result, OctetDiagnostic *diagnostic) {
    *result = NULL;
    OCT_TRY(oct_check_quantized(input, diagnostic));
    int32_t spatial = input->shape.rank - 2;
    if (spatial < 1 || spatial > 3) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "pooling takes 3 to 5 dimensions");
    }
    OctetPoolOptions options = {0};
    bool even = true;
    for (int32_t i = 0; i < spatial; i++) {
        int64_t length = input->shape.dims[i + 2];
        if (size[i] < 1 || length < 1) {
            return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                            "adaptive_avg_pool needs sizes of 1 and more");
        }
        options.kernel[i] = length / size[i];
        even = even && length % size[i] == 0;
    }
    /* as PyTorch does: qnnpack's average pooling where that can do it */
    return even ? octet_quantized_avg_pool(input, &options, result, diagnostic)
                : oct_quantized_adaptive_pool(input, size, result, diagnostic);
}

OctetStatus octet_quantized_mean(const OctetTensor *input, const int64_t *axes, size_t count,
                                 bool keep, OctetTensor **result, OctetDiagnostic *diagnostic) {
    OctCall call;
    *result = NULL;
    if (count == 0 || count > OCTET_MAX_RANK) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "mean takes 1 to 8 axes");
    }
    oct_call_begin(&call, diagnostic);
    oct_call_data(&call, input);
    oct_call_node(&call, "ReduceMean");
    oct_call_set_ints(&call, "axes", axes, (int32_t)count);
    oct_call_set_int(&call, "keepdims", keep);
    return oct_call_end_like(&call, input, result);
}

OctetStatus octet_quantized_interpolate(const OctetTensor *input, const int64_t *sizes,
                                        const char *mode, bool align_corners, OctetTensor **result,
                                        OctetDiagnostic *diagnostic) {
    OctCall call;
    int64_t all[OCTET_MAX_RANK];
    bool nearest = strcmp(mode, "nearest") == 0;
    *result = NULL;
    if (!nearest && strcmp(mode, "bilinear") != 0) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "interpolate has the modes nearest and bilinear, not '%s'", mode);
    }
    if (!input || input->shape.rank < 3) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "interpolate takes 3 dimensions or more");
    }
    if (!nearest && input->shape.rank == 4) {
        OCT_TRY(oct_check_quantized(input, diagnostic));
        return oct_quantized_bilinear(input, sizes, align_corners, result, diagnostic);
    }
    for (int32_t i = 0; i < input->shape.rank; i++) {
        all[i] = i < 2 ? input->shape.dims[i] : sizes[i - 2];
    }
    oct_call_begin(&call, diagnostic);
    oct_call_data(&call, input);
    oct_call_absent(&call); /* roi */
    oct_call_absent(&call); /* scales */
    oct_call_ints(&call, all, input->shape.rank);
    oct_call_node(&call, "Resize");
    oct_call_set_string(&call, "mode", nearest ? "nearest" : "linear");
    oct_call_set_string(&call, "coordinate_transformation_mode",
                        nearest         ? "asymmetric"
                        : align_corners ? "align_corners"
                                        : "half_pixel");
    if (nearest) {
        oct_call_set_string(&call, "nearest_mode", "floor");
    }
    return oct_call_end_like(&call, input, result);
}

OctetStatus octet_quantized_pixel_shuffle(const OctetTensor *input, int64_t factor,
                                          OctetTensor **result, OctetDiagnostic *diagnostic) {
    OctCall call;
    oct_call_begin(&call, diagnostic);
    oct_call_data(&call, input);
    oct_call_node(&call, "DepthToSpace");
    oct_call_set_int(&call, "blocksize", factor);
    oct_call_set_string(&call, "mode", "CRD");
    return oct_call_end_like(&call, input, result);
}

OctetStatus octet_quantized_pad(const OctetTensor *input, const int64_t *begin, const int64_t *end,
                                float value, OctetTensor **result, OctetDiagnostic *diagnostic) {
    OctCall call;
    int64_t pads[2 * OCTET_MAX_RANK];
    int32_t rank = input && input->shape.rank > 0 ? input->shape.rank : 0;
    for (int32_t i = 0; i < rank; i++) {
        pads[i] = begin[i];
        pads[i + rank] = end[i];
    }
    oct_call_begin(&call, diagnostic);
    oct_call_data(&call, input);
    oct_call_ints(&call, pads, 2 * rank);
    oct_call_floats(&call, &(OctetShape){0, {0}}, &value);
    oct_call_node(&call, "Pad");
    return oct_call_end_like(&call, input, result);
}

/* `count` copies of a number, or the caller's numbers. The caller frees. */
static float *parameters(const float *given, int64_t count, float fallback) {
    float *all =
        count > 0 && count < PTRDIFF_MAX / 8 ? oct_calloc((size_t)count, sizeof *all) : NULL;
    for (int64_t i = 0; all && i < count; i++) {
        all[i] = given ? given[i] : fallback;
    }
    return all;
}

typedef struct Norm {
    const char *op_type;
    OctetShape shape; /* of the parameters */
    int64_t count;
    const float *scale, *shift, *mean, *variance;
    const char *attribute; /* besides epsilon; NULL for none */
    int64_t number;
    float eps;
} Norm;

static OctetStatus normalize(const Norm *norm, const OctetTensor *input, const OctetQOutput *output,
                             OctetTensor **result, OctetDiagnostic *diagnostic) {
    OctCall call;
    float *scale = parameters(norm->scale, norm->count, 1);
    float *shift = parameters(norm->shift, norm->count, 0);
    OctetStatus status = OCTET_ERROR_OUT_OF_MEMORY;
    *result = NULL;
    if (scale && shift) {
        oct_call_begin(&call, diagnostic);
        oct_call_data(&call, input);
        oct_call_floats(&call, &norm->shape, scale);
        oct_call_floats(&call, &norm->shape, shift);
        if (norm->mean) {
            oct_call_floats(&call, &norm->shape, norm->mean);
            oct_call_floats(&call, &norm->shape, norm->variance);
        }
        oct_call_node(&call, norm->op_type);
        oct_call_set_float(&call, "epsilon", norm->eps);
        if (norm->attribute) {
            oct_call_set_int(&call, norm->attribute, norm->number);
        }
        status = oct_call_end(&call, input->dtype, output, result);
    } else {
        oct_fail_memory(diagnostic);
    }
    oct_free(scale);
    oct_free(shift);
    return status;
}

static OctetStatus check_channels(const OctetTensor *input, OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_check_quantized(input, diagnostic));
    if (input->shape.rank < 2 || input->shape.dims[1] < 1) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "the input has no channels");
    }
    return OCTET_OK;
}

OctetStatus octet_quantized_batch_norm(const OctetTensor *input, const float *scale,
                                       const float *shift, const float *mean, const float *variance,
                                       float eps, const OctetQOutput *output, OctetTensor **result,
                                       OctetDiagnostic *diagnostic) {
    *result = NULL;
    OCT_TRY(check_channels(input, diagnostic));
    if (!mean || !variance) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "batch_norm needs mean and variance");
    }
    return oct_quantized_batch_norm(input, scale, shift, mean, variance, eps, output, result,
                                    diagnostic);
}

OctetStatus octet_quantized_instance_norm(const OctetTensor *input, const float *scale,
                                          const float *shift, float eps, const OctetQOutput *output,
                                          OctetTensor **result, OctetDiagnostic *diagnostic) {
    *result = NULL;
    OCT_TRY(check_channels(input, diagnostic));
    int64_t channels = input->shape.dims[1];
    Norm norm = {
        "InstanceNormalization", {1, {channels}}, channels, scale, shift, NULL, NULL, NULL, 0, eps};
    return normalize(&norm, input, output, result, diagnostic);
}

OctetStatus octet_quantized_layer_norm(const OctetTensor *input, int32_t axis, const float *scale,
                                       const float *shift, float eps, const OctetQOutput *output,
                                       OctetTensor **result, OctetDiagnostic *diagnostic) {
    OctetShape shape = {0, {0}};
    int64_t count;
    *result = NULL;
    OCT_TRY(oct_check_quantized(input, diagnostic));
    int32_t first = axis < 0 ? axis + input->shape.rank : axis;
    if (first < 0 || first >= input->shape.rank) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "layer_norm: axis %d is not there",
                        (int)axis);
    }
    for (int32_t i = first; i < input->shape.rank; i++) {
        shape.dims[shape.rank++] = input->shape.dims[i];
    }
    if (!octet_shape_count(&shape, &count) || count < 1) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "layer_norm over nothing");
    }
    Norm norm = {"LayerNormalization", shape, count, scale, shift, NULL, NULL, "axis", first, eps};
    return normalize(&norm, input, output, result, diagnostic);
}

/* Groups of channels are the instances of a tensor with `groups` channels; scale and shift, which
 * are one a channel, follow in float, before the one rounding. */
OctetStatus octet_quantized_group_norm(const OctetTensor *input, int64_t groups, const float *scale,
                                       const float *shift, float eps, const OctetQOutput *output,
                                       OctetTensor **result, OctetDiagnostic *diagnostic) {
    OctetTensor *real = NULL;
    *result = NULL;
    OCT_TRY(check_channels(input, diagnostic));
    int64_t channels = input->shape.dims[1];
    int64_t total;
    if (groups < 1 || channels % groups != 0 || !octet_shape_count(&input->shape, &total)) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "%lld channels can't form %lld groups",
                        (long long)channels, (long long)groups);
    }
    OCT_TRY(octet_dequantize(input, &real, diagnostic));
    int64_t batch = input->shape.dims[0];
    int64_t inner = total ? total / (batch * channels) : 0;
    int64_t count = channels / groups * inner;
    for (int64_t g = 0; g < batch * groups && count > 0; g++) {
        float *x = (float *)real->data + g * count;
        double sum = 0;
        double squares = 0;
        for (int64_t i = 0; i < count; i++) {
            sum += (double)x[i];
        }
        double mean = sum / (double)count;
        for (int64_t i = 0; i < count; i++) {
            squares += ((double)x[i] - mean) * ((double)x[i] - mean);
        }
        double factor = 1 / sqrt(squares / (double)count + (double)eps);
        for (int64_t i = 0; i < count; i++) {
            int64_t c = g % groups * (channels / groups) + i / inner;
            double y = ((double)x[i] - mean) * factor;
            x[i] = (float)(y * (double)(scale ? scale[c] : 1) + (double)(shift ? shift[c] : 0));
        }
    }
    float out_scale = output->scale;
    int32_t zero_point = output->zero_point;
    OctetQParams grid = {.dtype = input->dtype,
                         .axis = -1,
                         .count = 1,
                         .scale = &out_scale,
                         .zero_point = &zero_point};
    OctetStatus status = octet_qparams_check(&grid, &real->shape, diagnostic);
    if (status == OCTET_OK) {
        status = octet_quantize(real, &grid, OCTET_QUANTIZE_DIVIDE, result, NULL, diagnostic);
    }
    octet_tensor_free(real);
    return status;
}
