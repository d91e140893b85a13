/* From what was observed to quantization parameters. */
#include "base/diag.h"
#include "base/mem.h"
#include "quant/observer_state.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static OctetStatus check_ready(const OctetObserver *observer, OctetDiagnostic *diagnostic) {
    const char *name = octet_observer_type_name(observer->options.type);
    int32_t passes = octet_observer_passes(observer);
    if (passes == 0 || observer->options.type == OCTET_OBSERVER_RECORDING) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE, "the %s observer computes no parameters",
                        name);
    }
    if (observer->pass + 1 < passes) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE,
                        "the %s observer goes through the data %" PRId32
                        " times: call octet_observer_next_pass and observe again",
                        name, passes);
    }
    if (observer->pass > 0 && observer->batches == 0 && observer->minimum &&
        observer->minimum[0] <= observer->maximum[0]) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE,
                        "the %s observer saw no data in its last pass", name);
    }
    return OCTET_OK;
}

/* The L2 search over integer counts. */
static OctetStatus search_counts(const OctetObserverOptions *options, double levels,
                                 const int64_t *counts, float minimum, float maximum,
                                 float *new_minimum, float *new_maximum,
                                 OctetDiagnostic *diagnostic) {
    float *histogram = oct_calloc((size_t)options->bins, sizeof *histogram);
    if (!histogram) {
        return oct_fail_memory(diagnostic);
    }
    for (int32_t b = 0; b < options->bins; b++) {
        histogram[b] = (float)counts[b];
    }
    OctetStatus status = oct_search_l2(histogram, options->bins, levels, minimum, maximum,
                                       new_minimum, new_maximum, diagnostic);
    oct_free(histogram);
    return status;
}

/* The range of one channel after the type's own search. */
static OctetStatus channel_range(const OctetObserver *observer, int64_t channel, float *minimum,
                                 float *maximum, OctetDiagnostic *diagnostic) {
    const OctetObserverOptions *options = &observer->options;
    float low = observer->minimum[channel], high = observer->maximum[channel];
    *minimum = low;
    *maximum = high;
    if (low > high) {
        return OCTET_OK;
    }
    int64_t lowest, highest;
    octet_dtype_range(options->spec.dtype, &lowest, &highest);
    const double levels = (double)(highest - lowest + 1);
    switch (options->type) {
    case OCTET_OBSERVER_HISTOGRAM:
        return search_counts(options, levels, observer->histogram + channel * options->bins, low,
                             high, minimum, maximum, diagnostic);
    case OCTET_OBSERVER_TORCH_HISTOGRAM:
        return oct_search_l2(observer->torch_histogram, options->bins, levels, low, high, minimum,
                             maximum, diagnostic);
    case OCTET_OBSERVER_ENTROPY:
        return oct_search_entropy(observer->histogram + channel * options->bins, options->bins,
                                  &options->spec, low, high, minimum, maximum, diagnostic);
    case OCTET_OBSERVER_PERCENTILE:
        if (!oct_float_bins_percentile(&observer->float_bins[channel], options->percentile,
                                       octet_qscheme_is_symmetric(options->spec.qscheme), low, high,
                                       minimum, maximum)) {
            return oct_fail_memory(diagnostic);
        }
        return OCTET_OK;
    case OCTET_OBSERVER_MSE:
        return oct_float_bins_mse(&observer->float_bins[channel], &options->spec, low, high,
                                  minimum, maximum, diagnostic);
    default:
        return OCTET_OK;
    }
}

OctetStatus octet_observer_range(const OctetObserver *observer, float *minimum, float *maximum,
                                 OctetDiagnostic *diagnostic) {
    OCT_TRY(check_ready(observer, diagnostic));
    for (int64_t c = 0; c < observer->channels; c++) {
        OCT_TRY(channel_range(observer, c, &minimum[c], &maximum[c], diagnostic));
    }
    return OCTET_OK;
}

static OctetStatus fixed_qparams(const OctetObserver *observer, OctetQParams *qparams,
                                 OctetDiagnostic *diagnostic) {
    OCT_TRY(octet_qparams_create(observer->options.spec.dtype, -1, 1, qparams, diagnostic));
    qparams->scale[0] = observer->options.scale;
    qparams->zero_point[0] = observer->options.zero_point;
    return OCTET_OK;
}

OctetStatus octet_observer_calculate_qparams(const OctetObserver *observer, OctetQParams *qparams,
                                             OctetDiagnostic *diagnostic) {
    const OctetQSpec *spec = &observer->options.spec;
    *qparams = (OctetQParams){.axis = -1};
    if (observer->options.type == OCTET_OBSERVER_FIXED_QPARAMS) {
        return fixed_qparams(observer, qparams, diagnostic);
    }
    OCT_TRY(check_ready(observer, diagnostic));
    bool per_channel = octet_qscheme_is_per_channel(spec->qscheme) && observer->channels > 0;
    OctetQParams made;
    OCT_TRY(octet_qparams_create(spec->dtype, per_channel ? observer->axis : -1,
                                 per_channel ? observer->channels : 1, &made, diagnostic));
    OctetStatus status = OCTET_OK;
    for (int64_t c = 0; status == OCTET_OK && c < made.count; c++) {
        float low = INFINITY, high = -INFINITY;
        if (observer->channels > 0) {
            status = channel_range(observer, c, &low, &high, diagnostic);
        }
        if (status == OCTET_OK) {
            status = octet_choose_qparams(spec, low, high, &made.scale[c], &made.zero_point[c],
                                          diagnostic);
        }
    }
    if (status != OCTET_OK) {
        octet_qparams_clear(&made);
        return status;
    }
    *qparams = made;
    return OCTET_OK;
}

OctetStatus octet_observer_calculate_float_qparams(const OctetObserver *observer, float **scale,
                                                   float **zero_point, int64_t *count,
                                                   OctetDiagnostic *diagnostic) {
    OCT_TRY(check_ready(observer, diagnostic));
    *count = observer->channels > 0 ? observer->channels : 1;
    *scale = oct_calloc((size_t)*count, sizeof **scale);
    *zero_point = oct_calloc((size_t)*count, sizeof **zero_point);
    OctetStatus status = *scale && *zero_point ? OCTET_OK : oct_fail_memory(diagnostic);
    for (int64_t c = 0; status == OCTET_OK && c < *count; c++) {
        bool seen = observer->channels > 0;
        status = octet_choose_float_qparams(
            &observer->options.spec, seen ? observer->minimum[c] : INFINITY,
            seen ? observer->maximum[c] : -INFINITY, *scale + c, *zero_point + c, diagnostic);
    }
    if (status != OCTET_OK) {
        oct_free(*scale);
        oct_free(*zero_point);
        *scale = *zero_point = NULL;
    }
    return status;
}

void octet_floats_free(float *values) {
    oct_free(values);
}

/* Runs all passes of a fresh observer over one tensor. */
static OctetStatus observe_whole(const OctetObserverOptions *options, const float *data,
                                 const OctetShape *shape, OctetQParams *qparams,
                                 OctetDiagnostic *diagnostic) {
    OctetObserver *observer;
    OCT_TRY(octet_observer_create(options, &observer, diagnostic));
    OctetStatus status = octet_observer_observe(observer, data, shape, diagnostic);
    while (status == OCTET_OK && observer->pass + 1 < octet_observer_passes(observer)) {
        status = octet_observer_next_pass(observer, diagnostic);
        if (status == OCTET_OK) {
            status = octet_observer_observe(observer, data, shape, diagnostic);
        }
    }
    if (status == OCTET_OK) {
        status = octet_observer_calculate_qparams(observer, qparams, diagnostic);
    }
    octet_observer_free(observer);
    return status;
}

/* Histograms of all channels at once could take much memory, so each channel is copied out and
 * observed alone. */
static OctetStatus observe_channels(const OctetObserverOptions *options, int32_t axis,
                                    const float *data, const OctetShape *shape,
                                    OctetQParams *qparams, OctetDiagnostic *diagnostic) {
    OctetObserverOptions alone = *options;
    alone.spec.qscheme = octet_qscheme_is_symmetric(options->spec.qscheme)
                             ? OCTET_PER_TENSOR_SYMMETRIC
                             : OCTET_PER_TENSOR_AFFINE;
    int64_t outer = 1, inner = 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        outer *= i < axis ? shape->dims[i] : 1;
        inner *= i > axis ? shape->dims[i] : 1;
    }
    const int64_t channels = shape->dims[axis];
    const OctetShape one = {.rank = 1, .dims = {outer * inner}};
    float *values = oct_calloc((size_t)(outer * inner), sizeof *values);
    if (!values) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status =
        octet_qparams_create(options->spec.dtype, axis, channels, qparams, diagnostic);
    for (int64_t c = 0; status == OCTET_OK && c < channels; c++) {
        OctetQParams found;
        for (int64_t o = 0; o < outer; o++) {
            memcpy(values + o * inner, data + (o * channels + c) * inner,
                   (size_t)inner * sizeof *values);
        }
        status = observe_whole(&alone, values, &one, &found, diagnostic);
        if (status == OCTET_OK) {
            qparams->scale[c] = found.scale[0];
            qparams->zero_point[c] = found.zero_point[0];
            octet_qparams_clear(&found);
        }
    }
    oct_free(values);
    if (status != OCTET_OK) {
        octet_qparams_clear(qparams);
    }
    return status;
}

OctetStatus octet_observe_tensor(const OctetObserverOptions *options, const float *data,
                                 const OctetShape *shape, OctetQParams *qparams,
                                 OctetDiagnostic *diagnostic) {
    int64_t count;
    *qparams = (OctetQParams){.axis = -1};
    OCT_TRY(octet_observer_options_check(options, diagnostic));
    int32_t axis = options->axis + (options->axis < 0 ? shape->rank : 0);
    bool has_histogram = options->type != OCTET_OBSERVER_PER_CHANNEL_MINMAX &&
                         options->type != OCTET_OBSERVER_MOVING_AVERAGE_PER_CHANNEL_MINMAX;
    if (octet_qscheme_is_per_channel(options->spec.qscheme) && has_histogram && axis >= 0 &&
        axis < shape->rank && octet_shape_count(shape, &count) && count > 0 &&
        oct_observer_passes_of(options->type) > 0) {
        return observe_channels(options, axis, data, shape, qparams, diagnostic);
    }
    return observe_whole(options, data, shape, qparams, diagnostic);
}
