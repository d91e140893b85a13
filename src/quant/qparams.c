#include "quant/qparams.h"
#include "base/diag.h"
#include "base/mem.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

/* 2^-23, torch.finfo(torch.float32).eps */
static const float default_eps = FLT_EPSILON;

static bool holds_quantized(OctetDType dtype) {
    return octet_qdtype_name(dtype)[0] == 'q';
}

static bool is_signed(OctetDType dtype) {
    return dtype == OCTET_S8 || dtype == OCTET_S16 || dtype == OCTET_S32 || dtype == OCTET_S4;
}

/* Python's a // 2. */
static int32_t floor_half(int32_t a) {
    return a >= 0 ? a / 2 : -(int32_t)((-(int64_t)a + 1) / 2);
}

OctetStatus octet_qspec_range(const OctetQSpec *spec, int32_t *quant_min, int32_t *quant_max,
                              OctetDiagnostic *diagnostic) {
    int64_t low, high;
    *quant_min = *quant_max = 0;
    if (!holds_quantized(spec->dtype)) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "%s is not a type to quantize to; use u8, s8, u16, s16 or s32",
                        octet_dtype_name(spec->dtype));
    }
    octet_dtype_range(spec->dtype, &low, &high);
    if (spec->custom_range) {
        if (spec->quant_min > 0 || spec->quant_max < 0 || spec->quant_min == spec->quant_max) {
            return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                            "the integer range [%" PRId32 ", %" PRId32
                            "] must include 0 and more than one integer",
                            spec->quant_min, spec->quant_max);
        }
        if (spec->quant_min < low || spec->quant_max > high) {
            return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                            "the integer range [%" PRId32 ", %" PRId32 "] does not fit %s",
                            spec->quant_min, spec->quant_max, octet_dtype_name(spec->dtype));
        }
        low = spec->quant_min;
        high = spec->quant_max;
    }
    bool reduce = spec->reduce_range && spec->dtype != OCTET_S32;
    if (reduce && octet_qscheme_is_symmetric(spec->qscheme) && !is_signed(spec->dtype)) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "a symmetric scheme of an unsigned type can't be reduced");
    }
    *quant_min = (int32_t)low;
    *quant_max = (int32_t)high;
    if (spec->reduce_range && (reduce || spec->custom_range)) {
        *quant_min = floor_half(*quant_min);
        *quant_max = floor_half(*quant_max);
    }
    return OCTET_OK;
}

/* Keeps a scale usable: an overflow becomes the greatest float, a denormal the least normal. */
static float normal_scale(float scale) {
    return fminf(fmaxf(scale, FLT_MIN), FLT_MAX);
}

/* The zero point of symmetric schemes: what real 0 is stored as. */
static int32_t symmetric_zero_point(const OctetQSpec *spec, int32_t quant_min, int32_t quant_max) {
    if (is_signed(spec->dtype)) {
        return 0;
    }
    if (spec->custom_range) {
        return (int32_t)(((int64_t)quant_min + quant_max) / 2);
    }
    return (int32_t)(((int64_t)quant_max + 1) / 2);
}

static float symmetric_scale(const OctetQSpec *spec, float largest, int32_t quant_min,
                             int32_t quant_max, float eps) {
    if (spec->symmetry == OCTET_SYMMETRY_PYTORCH) {
        float half = (float)(((double)quant_max - quant_min) / 2);
        return normal_scale(fmaxf(largest / half, eps));
    }
    int32_t middle = symmetric_zero_point(spec, quant_min, quant_max);
    int64_t below = (int64_t)middle - quant_min, above = (int64_t)quant_max - middle;
    float scale = largest / (float)(below < above ? below : above);
    return scale < FLT_MIN ? 1.0F : scale;
}

/* The scale itself, or the least power of two that is not below it. */
static float rounded_scale(const OctetQSpec *spec, float scale) {
    int exponent;
    float mantissa = frexpf(scale, &exponent); /* in [0.5, 1) */
    bool exact = mantissa == 0.5F || exponent > FLT_MAX_EXP - 1;
    return spec->power_of_two && !exact ? ldexpf(1.0F, exponent) : scale;
}

static OctetStatus check_range(float minimum, float maximum, OctetDiagnostic *diagnostic) {
    if (!isfinite(minimum) || !isfinite(maximum)) {
        return oct_fail(diagnostic, OCTET_ERROR_NUMERIC,
                        "a range from %g to %g has no quantization parameters", (double)minimum,
                        (double)maximum);
    }
    return OCTET_OK;
}

OctetStatus octet_choose_qparams(const OctetQSpec *spec, float minimum, float maximum, float *scale,
                                 int32_t *zero_point, OctetDiagnostic *diagnostic) {
    int32_t quant_min, quant_max;
    OCT_TRY(octet_qspec_range(spec, &quant_min, &quant_max, diagnostic));
    if (spec->qscheme == OCTET_PER_CHANNEL_AFFINE_FLOAT_QPARAMS) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "float_qparams have no integer zero point");
    }
    if (minimum > maximum) {
        oct_log(OCTET_LOG_WARNING, "nothing was observed: scale 1, zero point 0");
        *scale = 1.0F;
        *zero_point = 0;
        return OCTET_OK;
    }
    OCT_TRY(check_range(minimum, maximum, diagnostic));
    float eps = spec->eps > 0 ? spec->eps : default_eps;
    float low = fminf(minimum, 0.0F), high = fmaxf(maximum, 0.0F);
    if (octet_qscheme_is_symmetric(spec->qscheme)) {
        *scale = rounded_scale(spec,
                               symmetric_scale(spec, fmaxf(-low, high), quant_min, quant_max, eps));
        *zero_point = symmetric_zero_point(spec, quant_min, quant_max);
        return OCTET_OK;
    }
    float steps = (float)((double)quant_max - quant_min);
    float span = high - low;
    *scale = rounded_scale(
        spec, normal_scale(fmaxf(isinf(span) ? high / steps - low / steps : span / steps, eps)));
    double zero = (double)quant_min - (double)rintf(low / *scale);
    *zero_point = (int32_t)fmin(fmax(zero, quant_min), quant_max);
    return OCTET_OK;
}

OctetStatus octet_choose_float_qparams(const OctetQSpec *spec, float minimum, float maximum,
                                       float *scale, float *zero_point,
                                       OctetDiagnostic *diagnostic) {
    int32_t quant_min, quant_max;
    OCT_TRY(octet_qspec_range(spec, &quant_min, &quant_max, diagnostic));
    if (minimum > maximum) {
        oct_log(OCTET_LOG_WARNING, "nothing was observed: scale 1, zero point 0");
        *scale = 1.0F;
        *zero_point = 0.0F;
        return OCTET_OK;
    }
    OCT_TRY(check_range(minimum, maximum, diagnostic));
    float eps = spec->eps > 0 ? spec->eps : default_eps;
    float steps = (float)((double)quant_max - quant_min);
    float span = maximum - minimum;
    *scale = isinf(span) ? maximum / steps - minimum / steps : span / steps;
    *scale = *scale > eps ? *scale : 1.0F;
    *zero_point = -minimum / *scale;
    return OCTET_OK;
}

OctetStatus octet_qparams_create(OctetDType dtype, int32_t axis, int64_t count,
                                 OctetQParams *qparams, OctetDiagnostic *diagnostic) {
    *qparams = (OctetQParams){.axis = -1};
    if (count < 1 || (axis < 0 && count != 1)) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "%" PRId64 " quantization parameters along axis %" PRId32, count, axis);
    }
    float *scale = oct_calloc((size_t)count, sizeof *scale);
    int32_t *zero_point = oct_calloc((size_t)count, sizeof *zero_point);
    if (!scale || !zero_point) {
        oct_free(scale);
        oct_free(zero_point);
        return oct_fail_memory(diagnostic);
    }
    for (int64_t i = 0; i < count; i++) {
        scale[i] = 1.0F;
    }
    *qparams = (OctetQParams){
        .dtype = dtype, .axis = axis, .count = count, .scale = scale, .zero_point = zero_point};
    return OCTET_OK;
}

OctetStatus octet_qparams_copy(const OctetQParams *qparams, OctetQParams *copy,
                               OctetDiagnostic *diagnostic) {
    if (qparams->dtype == OCTET_DTYPE_NONE) {
        *copy = (OctetQParams){.axis = -1};
        return OCTET_OK;
    }
    OCT_TRY(octet_qparams_create(qparams->dtype, qparams->axis, qparams->count, copy, diagnostic));
    copy->block_size = qparams->block_size;
    memcpy(copy->scale, qparams->scale, (size_t)qparams->count * sizeof *copy->scale);
    memcpy(copy->zero_point, qparams->zero_point,
           (size_t)qparams->count * sizeof *copy->zero_point);
    return OCTET_OK;
}

void octet_qparams_clear(OctetQParams *qparams) {
    if (qparams) {
        oct_free(qparams->scale);
        oct_free(qparams->zero_point);
        *qparams = (OctetQParams){.axis = -1};
    }
}

bool octet_qparams_equal(const OctetQParams *a, const OctetQParams *b) {
    if (a->dtype == OCTET_DTYPE_NONE || b->dtype == OCTET_DTYPE_NONE) {
        return a->dtype == b->dtype;
    }
    return a->dtype == b->dtype && a->axis == b->axis && a->block_size == b->block_size &&
           a->count == b->count &&
           memcmp(a->scale, b->scale, (size_t)a->count * sizeof *a->scale) == 0 &&
           memcmp(a->zero_point, b->zero_point, (size_t)a->count * sizeof *a->zero_point) == 0;
}

/* The number of parameters that a shape needs; -1 if axis or blocks do not fit it. */
static int64_t needed_count(const OctetQParams *qparams, const OctetShape *shape) {
    if (qparams->axis < 0) {
        return qparams->block_size == 0 ? 1 : -1;
    }
    if (qparams->axis >= shape->rank || qparams->block_size < 0) {
        return -1;
    }
    int64_t length = shape->dims[qparams->axis];
    if (qparams->block_size == 0) {
        return length;
    }
    OctetShape blocks = *shape;
    blocks.dims[qparams->axis] =
        length / qparams->block_size + (length % qparams->block_size != 0 ? 1 : 0);
    int64_t count;
    return octet_shape_count(&blocks, &count) ? count : -1;
}

/* These loops have no branches, and results as wide as the numbers, so that they are vectorized: a
 * model has tens of thousands of scales. */

bool oct_scales_are_finite(const float *scale, int64_t count) {
    int32_t all = 1;
    for (int64_t i = 0; i < count; i++) {
        all &= (scale[i] >= 0) & (scale[i] <= FLT_MAX);
    }
    return all != 0;
}

bool oct_scales_have_zero(const float *scale, int64_t count) {
    int32_t any = 0;
    for (int64_t i = 0; i < count; i++) {
        any |= scale[i] == 0;
    }
    return any != 0;
}

bool oct_qparams_are_legal(const OctetQParams *qparams) {
    int64_t low, high;
    int32_t all = 1;
    octet_dtype_range(qparams->dtype, &low, &high);
    const int32_t lowest = (int32_t)low, highest = (int32_t)high;
    for (int64_t i = 0; i < qparams->count; i++) {
        all &= (qparams->scale[i] > 0) & (qparams->scale[i] <= FLT_MAX) &
               (qparams->zero_point[i] >= lowest) & (qparams->zero_point[i] <= highest);
    }
    return all != 0;
}

OctetStatus octet_qparams_check(const OctetQParams *qparams, const OctetShape *shape,
                                OctetDiagnostic *diagnostic) {
    char text[128];
    int64_t low, high;
    if (!holds_quantized(qparams->dtype)) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "%s is not a quantized type",
                        octet_dtype_name(qparams->dtype));
    }
    int64_t needed = needed_count(qparams, shape);
    if (needed < 0 || needed != qparams->count || qparams->count < 1 || !qparams->scale ||
        !qparams->zero_point) {
        octet_shape_format(shape, text, sizeof text);
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "%" PRId64 " scales along axis %" PRId32 " (blocks of %" PRId64
                        ") do not fit the shape %s",
                        qparams->count, qparams->axis, qparams->block_size, text);
    }
    if (oct_qparams_are_legal(qparams)) {
        return OCTET_OK;
    }
    octet_dtype_range(qparams->dtype, &low, &high);
    for (int64_t i = 0; i < qparams->count; i++) {
        if (!(qparams->scale[i] > 0) || isinf(qparams->scale[i])) {
            return oct_fail(diagnostic, OCTET_ERROR_NUMERIC,
                            "scale %" PRId64 " is %g; it must be positive and finite", i,
                            (double)qparams->scale[i]);
        }
        if (qparams->zero_point[i] < low || qparams->zero_point[i] > high) {
            return oct_fail(diagnostic, OCTET_ERROR_NUMERIC,
                            "zero point %" PRId64 " is %" PRId32 ", outside the range of %s", i,
                            qparams->zero_point[i], octet_dtype_name(qparams->dtype));
        }
    }
    return OCTET_OK;
}
