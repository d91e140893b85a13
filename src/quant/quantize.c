#include "base/diag.h"
#include "base/mem.h"
#include "quant/quantize_values.h"

#include <inttypes.h>

/* A tensor seen from its parameters: outer x axis x inner elements, `per_axis` parameters along the
 * axis (1 per tensor), each for `block` indices of it. */
typedef struct Layout {
    int64_t outer, axis, inner, block, per_axis;
    bool blocked;
} Layout;

static Layout layout_of(const OctetQParams *qparams, const OctetShape *shape) {
    Layout layout = {.outer = 1, .axis = 1, .inner = 1, .block = 1, .per_axis = 1};
    for (int32_t i = 0; i < shape->rank; i++) {
        if (i < qparams->axis) {
            layout.outer *= shape->dims[i];
        } else if (i == qparams->axis) {
            layout.axis = shape->dims[i];
        } else {
            layout.inner *= shape->dims[i];
        }
    }
    if (qparams->axis >= 0) {
        layout.blocked = qparams->block_size > 0;
        layout.block = layout.blocked ? qparams->block_size : 1;
        layout.per_axis = layout.axis / layout.block + (layout.axis % layout.block != 0 ? 1 : 0);
    }
    return layout;
}

/* Called for every run of elements with one parameter. */
typedef void (*RunWork)(void *user, int64_t first, int64_t count, int64_t parameter);

static void for_each_run(const OctetQParams *qparams, const OctetShape *shape, RunWork work,
                         void *user) {
    Layout layout = layout_of(qparams, shape);
    for (int64_t o = 0; o < layout.outer; o++) {
        for (int64_t a = 0; a < layout.axis; a++) {
            int64_t first = (o * layout.axis + a) * layout.inner;
            if (!layout.blocked) {
                work(user, first, layout.inner, layout.per_axis == 1 ? 0 : a);
                continue;
            }
            int64_t parameter = (o * layout.per_axis + a / layout.block) * layout.inner;
            for (int64_t i = 0; i < layout.inner; i++) {
                work(user, first + i, 1, parameter + i);
            }
        }
    }
}

typedef struct QuantizeRuns {
    const float *real;
    char *integers;
    size_t element;
    const OctetQParams *qparams;
    OctetQuantizeRule rule;
} QuantizeRuns;

static void quantize_run(void *user, int64_t first, int64_t count, int64_t parameter) {
    const QuantizeRuns *runs = user;
    const OctetQParams *qparams = runs->qparams;
    OctQuantizeTarget target = oct_quantize_target(qparams->dtype, qparams->scale[parameter],
                                                   qparams->zero_point[parameter], runs->rule);
    oct_quantize_values(runs->real + first, count, &target,
                        runs->integers + (size_t)first * runs->element);
}

static void count_values(const float *values, int64_t count, OctetQuantizeCounts *counts) {
    counts->nan = 0;
    counts->infinite = 0;
    for (int64_t i = 0; i < count; i++) {
        float zero = values[i] - values[i]; /* NaN for what is not finite */
        bool is_nan = values[i] != values[i];
        counts->nan += is_nan;
        counts->infinite += !is_nan && zero != zero;
    }
}

static OctetStatus check_type(const OctetTensor *tensor, OctetDType dtype, const char *what,
                              OctetDiagnostic *diagnostic) {
    if (tensor->dtype != dtype) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "%s needs a tensor of %s, not %s",
                        what, octet_dtype_name(dtype), octet_dtype_name(tensor->dtype));
    }
    return OCTET_OK;
}

OctetStatus octet_quantize(const OctetTensor *real, const OctetQParams *qparams,
                           OctetQuantizeRule rule, OctetTensor **quantized,
                           OctetQuantizeCounts *counts, OctetDiagnostic *diagnostic) {
    *quantized = NULL;
    OCT_TRY(check_type(real, OCTET_F32, "quantizing", diagnostic));
    OCT_TRY(octet_qparams_check(qparams, &real->shape, diagnostic));
    OctetTensor *made;
    OCT_TRY(octet_tensor_create(qparams->dtype, &real->shape, &made, diagnostic));
    OctetStatus status = octet_tensor_set_qparams(made, qparams, diagnostic);
    if (status != OCTET_OK) {
        octet_tensor_free(made);
        return status;
    }
    QuantizeRuns runs = {.real = real->data,
                         .integers = made->data,
                         .element = octet_dtype_size(qparams->dtype),
                         .qparams = qparams,
                         .rule = rule};
    for_each_run(qparams, &real->shape, quantize_run, &runs);
    if (counts) {
        count_values(real->data, (int64_t)(real->bytes / sizeof(float)), counts);
    }
    *quantized = made;
    return OCTET_OK;
}

OctetStatus octet_quantize_per_tensor(const OctetTensor *real, float scale, int32_t zero_point,
                                      OctetDType dtype, OctetTensor **quantized,
                                      OctetDiagnostic *diagnostic) {
    OctetQParams qparams = {
        .dtype = dtype, .axis = -1, .count = 1, .scale = &scale, .zero_point = &zero_point};
    return octet_quantize(real, &qparams, OCTET_QUANTIZE_RECIPROCAL, quantized, NULL, diagnostic);
}

OctetStatus octet_quantize_per_channel(const OctetTensor *real, const float *scales,
                                       const int32_t *zero_points, int32_t axis, OctetDType dtype,
                                       OctetTensor **quantized, OctetDiagnostic *diagnostic) {
    *quantized = NULL;
    int32_t from_start = axis < 0 ? axis + real->shape.rank : axis;
    if (from_start < 0 || from_start >= real->shape.rank) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "a tensor of rank %" PRId32 " has no axis %" PRId32, real->shape.rank,
                        axis);
    }
    OctetQParams qparams = {.dtype = dtype,
                            .axis = from_start,
                            .count = real->shape.dims[from_start],
                            .scale = (float *)scales, /* only read */
                            .zero_point = (int32_t *)zero_points};
    return octet_quantize(real, &qparams, OCTET_QUANTIZE_RECIPROCAL, quantized, NULL, diagnostic);
}

typedef struct DequantizeRuns {
    const char *integers;
    size_t element;
    const OctetQParams *qparams;
    float *real;
} DequantizeRuns;

static void dequantize_run(void *user, int64_t first, int64_t count, int64_t parameter) {
    const DequantizeRuns *runs = user;
    oct_dequantize_values(runs->integers + (size_t)first * runs->element, runs->qparams->dtype,
                          count, runs->qparams->scale[parameter],
                          runs->qparams->zero_point[parameter], runs->real + first);
}

OctetStatus octet_dequantize(const OctetTensor *quantized, OctetTensor **real,
                             OctetDiagnostic *diagnostic) {
    const OctetQParams *qparams = &quantized->qparams;
    *real = NULL;
    OCT_TRY(octet_qparams_check(qparams, &quantized->shape, diagnostic));
    OCT_TRY(check_type(quantized, qparams->dtype, "dequantizing", diagnostic));
    OCT_TRY(octet_tensor_create(OCTET_F32, &quantized->shape, real, diagnostic));
    DequantizeRuns runs = {.integers = quantized->data,
                           .element = octet_dtype_size(qparams->dtype),
                           .qparams = qparams,
                           .real = (*real)->data};
    for_each_run(qparams, &quantized->shape, dequantize_run, &runs);
    return OCTET_OK;
}

OctetStatus octet_int_repr(const OctetTensor *quantized, OctetTensor **integers,
                           OctetDiagnostic *diagnostic) {
    *integers = NULL;
    if (quantized->qparams.dtype == OCTET_DTYPE_NONE) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "int_repr needs a quantized tensor");
    }
    OctetTensor plain = *quantized;
    plain.qparams = (OctetQParams){.axis = -1};
    return octet_tensor_copy(&plain, integers, diagnostic);
}

OctetStatus octet_fake_quantize(const OctetTensor *real, const OctetQParams *qparams,
                                OctetQuantizeRule rule, OctetTensor **result,
                                OctetDiagnostic *diagnostic) {
    OctetTensor *quantized;
    *result = NULL;
    OCT_TRY(octet_quantize(real, qparams, rule, &quantized, NULL, diagnostic));
    OctetStatus status = octet_dequantize(quantized, result, diagnostic);
    octet_tensor_free(quantized);
    return status;
}
