#include "base/diag.h"
#include "octet/observer.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>

enum { MAX_BINS = 1 << 20, MAX_UPSAMPLE = 1 << 16 };

static bool is_per_channel_type(OctetObserverType type) {
    return type == OCTET_OBSERVER_PER_CHANNEL_MINMAX ||
           type == OCTET_OBSERVER_MOVING_AVERAGE_PER_CHANNEL_MINMAX;
}

OctetObserverOptions octet_observer_options(OctetObserverType type) {
    return (OctetObserverOptions){
        .type = type,
        .spec = {.dtype = OCTET_U8,
                 .qscheme =
                     is_per_channel_type(type) ? OCTET_PER_CHANNEL_AFFINE : OCTET_PER_TENSOR_AFFINE,
                 .eps = FLT_EPSILON},
        .averaging_constant = 0.01F,
        .bins = 2048,
        .upsample_rate = 128,
        .percentile = 99.99,
        .scale = 1.0F,
    };
}

/* Which schemes a type knows: like PyTorch's, but that histograms are kept per channel too. */
static OctetStatus check_scheme(const OctetObserverOptions *options, OctetDiagnostic *diagnostic) {
    OctetQScheme scheme = options->spec.qscheme;
    bool per_channel = octet_qscheme_is_per_channel(scheme), fits = true;
    switch (options->type) {
    case OCTET_OBSERVER_PER_CHANNEL_MINMAX:
    case OCTET_OBSERVER_MOVING_AVERAGE_PER_CHANNEL_MINMAX:
        fits = per_channel;
        break;
    case OCTET_OBSERVER_MINMAX:
    case OCTET_OBSERVER_MOVING_AVERAGE_MINMAX:
    case OCTET_OBSERVER_TORCH_HISTOGRAM:
    case OCTET_OBSERVER_FIXED_QPARAMS:
        fits = !per_channel;
        break;
    case OCTET_OBSERVER_HISTOGRAM:
    case OCTET_OBSERVER_PERCENTILE:
    case OCTET_OBSERVER_ENTROPY:
    case OCTET_OBSERVER_MSE:
        fits = scheme != OCTET_PER_CHANNEL_AFFINE_FLOAT_QPARAMS;
        break;
    default:
        break;
    }
    if (!fits) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "the %s observer has no scheme %s", octet_observer_type_name(options->type),
                        octet_qscheme_name(scheme));
    }
    return OCTET_OK;
}

static OctetStatus check_constants(const OctetObserverOptions *options,
                                   OctetDiagnostic *diagnostic) {
    if (!(options->spec.eps >= 0) || isinf(options->spec.eps)) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "eps is %g; it must be 0 or a positive number", (double)options->spec.eps);
    }
    if (!(options->averaging_constant >= 0) || options->averaging_constant > 1) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "the averaging constant is %g; it must be in [0, 1]",
                        (double)options->averaging_constant);
    }
    if (options->bins < 2 || options->bins > MAX_BINS) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "%" PRId32 " bins; their number must be in [2, %d]", options->bins,
                        MAX_BINS);
    }
    if (options->upsample_rate < 1 || options->upsample_rate > MAX_UPSAMPLE) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "the upsample rate is %" PRId32 "; it must be in [1, %d]",
                        options->upsample_rate, MAX_UPSAMPLE);
    }
    if (!(options->percentile > 0) || options->percentile > 100) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "the percentile is %g; it must be in (0, 100]", options->percentile);
    }
    return OCTET_OK;
}

static OctetStatus check_fixed(const OctetObserverOptions *options, OctetDiagnostic *diagnostic) {
    int64_t low, high;
    if (!(options->scale > 0) || isinf(options->scale)) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "the fixed scale is %g; it must be positive and finite",
                        (double)options->scale);
    }
    octet_dtype_range(options->spec.dtype, &low, &high);
    if (options->zero_point < low || options->zero_point > high) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "the fixed zero point %" PRId32 " does not fit %s", options->zero_point,
                        octet_dtype_name(options->spec.dtype));
    }
    return OCTET_OK;
}

OctetStatus octet_observer_options_check(const OctetObserverOptions *options,
                                         OctetDiagnostic *diagnostic) {
    int32_t quant_min, quant_max;
    if ((int)options->type < 0 || options->type > OCTET_OBSERVER_REUSE_INPUT) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "there is no observer type %d",
                        (int)options->type);
    }
    if ((int)options->spec.qscheme < 0 ||
        options->spec.qscheme > OCTET_PER_CHANNEL_AFFINE_FLOAT_QPARAMS ||
        (int)options->spec.symmetry < 0 || options->spec.symmetry > OCTET_SYMMETRY_ABSMAX) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "there is no quantization scheme %d with symmetry %d",
                        (int)options->spec.qscheme, (int)options->spec.symmetry);
    }
    OCT_TRY(check_scheme(options, diagnostic));
    OCT_TRY(check_constants(options, diagnostic));
    if (options->type != OCTET_OBSERVER_PLACEHOLDER && options->type != OCTET_OBSERVER_NOOP &&
        options->type != OCTET_OBSERVER_REUSE_INPUT) {
        OCT_TRY(octet_qspec_range(&options->spec, &quant_min, &quant_max, diagnostic));
    }
    if (options->type == OCTET_OBSERVER_FIXED_QPARAMS) {
        OCT_TRY(check_fixed(options, diagnostic));
    }
    return OCTET_OK;
}

static bool specs_equal(const OctetQSpec *a, const OctetQSpec *b) {
    bool ranges =
        !a->custom_range || (a->quant_min == b->quant_min && a->quant_max == b->quant_max);
    return a->dtype == b->dtype && a->qscheme == b->qscheme && a->symmetry == b->symmetry &&
           a->reduce_range == b->reduce_range && a->power_of_two == b->power_of_two &&
           a->custom_range == b->custom_range && ranges && a->eps == b->eps;
}

bool octet_observer_options_equal(const OctetObserverOptions *a, const OctetObserverOptions *b) {
    return a->type == b->type && specs_equal(&a->spec, &b->spec) && a->axis == b->axis &&
           a->averaging_constant == b->averaging_constant && a->bins == b->bins &&
           a->upsample_rate == b->upsample_rate && a->percentile == b->percentile &&
           a->scale == b->scale && a->zero_point == b->zero_point;
}
