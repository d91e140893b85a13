#include "base/diag.h"
#include "base/mem.h"
#include "quant/observer_state.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <string.h>

static bool is_per_channel(const OctetObserver *observer) {
    return octet_qscheme_is_per_channel(observer->options.spec.qscheme);
}

static bool is_moving_average(OctetObserverType type) {
    return type == OCTET_OBSERVER_MOVING_AVERAGE_MINMAX ||
           type == OCTET_OBSERVER_MOVING_AVERAGE_PER_CHANNEL_MINMAX;
}

static bool has_float_bins(OctetObserverType type) {
    return type == OCTET_OBSERVER_PERCENTILE || type == OCTET_OBSERVER_MSE;
}

int32_t oct_observer_passes_of(OctetObserverType type) {
    switch (type) {
    case OCTET_OBSERVER_HISTOGRAM:
    case OCTET_OBSERVER_ENTROPY:
        return 2;
    case OCTET_OBSERVER_FIXED_QPARAMS:
    case OCTET_OBSERVER_PLACEHOLDER:
    case OCTET_OBSERVER_NOOP:
    case OCTET_OBSERVER_REUSE_INPUT:
        return 0;
    default:
        return 1;
    }
}

bool oct_observer_is_mergeable(OctetObserverType type) {
    return !is_moving_average(type) && type != OCTET_OBSERVER_TORCH_HISTOGRAM;
}

OctetStatus oct_observer_reserve(OctetObserver *observer, int64_t channels,
                                 OctetDiagnostic *diagnostic) {
    size_t number = (size_t)channels;
    observer->minimum = oct_calloc(number, sizeof *observer->minimum);
    observer->maximum = oct_calloc(number, sizeof *observer->maximum);
    if (has_float_bins(observer->options.type)) {
        observer->float_bins = oct_calloc(number, sizeof *observer->float_bins);
    }
    if (observer->options.type == OCTET_OBSERVER_TORCH_HISTOGRAM) {
        observer->torch_histogram =
            oct_calloc((size_t)observer->options.bins, sizeof *observer->torch_histogram);
    }
    if (!observer->minimum || !observer->maximum ||
        (has_float_bins(observer->options.type) && !observer->float_bins) ||
        (observer->options.type == OCTET_OBSERVER_TORCH_HISTOGRAM && !observer->torch_histogram)) {
        oct_free(observer->minimum);
        oct_free(observer->maximum);
        oct_free(observer->float_bins);
        oct_free(observer->torch_histogram);
        observer->minimum = observer->maximum = observer->torch_histogram = NULL;
        observer->float_bins = NULL;
        return oct_fail_memory(diagnostic);
    }
    for (int64_t c = 0; c < channels; c++) {
        observer->minimum[c] = INFINITY;
        observer->maximum[c] = -INFINITY;
    }
    observer->channels = channels;
    return OCTET_OK;
}

OctetStatus octet_observer_create(const OctetObserverOptions *options, OctetObserver **observer,
                                  OctetDiagnostic *diagnostic) {
    *observer = NULL;
    OCT_TRY(octet_observer_options_check(options, diagnostic));
    OctetObserver *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->options = *options;
    made->axis = -1;
    if (!is_per_channel(made)) {
        OctetStatus status = oct_observer_reserve(made, 1, diagnostic);
        if (status != OCTET_OK) {
            octet_observer_free(made);
            return status;
        }
    }
    *observer = made;
    return OCTET_OK;
}

void octet_observer_free(OctetObserver *observer) {
    if (!observer) {
        return;
    }
    for (int64_t c = 0; observer->float_bins && c < observer->channels; c++) {
        oct_float_bins_clear(&observer->float_bins[c]);
    }
    for (int32_t i = 0; i < observer->recorded_count; i++) {
        octet_tensor_free(observer->recorded[i]);
    }
    oct_free(observer->recorded);
    oct_free(observer->float_bins);
    oct_free(observer->torch_histogram);
    oct_free(observer->histogram);
    oct_free(observer->minimum);
    oct_free(observer->maximum);
    oct_free(observer);
}

const OctetObserverOptions *octet_observer_get_options(const OctetObserver *observer) {
    return &observer->options;
}

int32_t octet_observer_passes(const OctetObserver *observer) {
    return oct_observer_passes_of(observer->options.type);
}

int32_t octet_observer_pass(const OctetObserver *observer) {
    return observer->pass;
}

OctetStatus octet_observer_next_pass(OctetObserver *observer, OctetDiagnostic *diagnostic) {
    if (observer->pass + 1 >= octet_observer_passes(observer)) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE, "the %s observer has no pass %" PRId32,
                        octet_observer_type_name(observer->options.type), observer->pass + 1);
    }
    size_t counts;
    if (!oct_mul_size((size_t)observer->channels, (size_t)observer->options.bins, &counts)) {
        return oct_fail_memory(diagnostic);
    }
    observer->histogram = oct_calloc(counts, sizeof *observer->histogram);
    if (!observer->histogram) {
        return oct_fail_memory(diagnostic);
    }
    observer->pass++;
    observer->batches = observer->values = observer->nan = observer->infinite = 0;
    return OCTET_OK;
}

/* Sees the data as outer x channels x inner, making room at a per-channel observer's first batch.
 */
static OctetStatus view_of(OctetObserver *observer, const float *data, const OctetShape *shape,
                           int64_t count, OctChannelView *view, OctetDiagnostic *diagnostic) {
    *view = (OctChannelView){.data = data, .outer = 1, .channels = 1, .inner = count};
    if (!is_per_channel(observer)) {
        return OCTET_OK;
    }
    int32_t axis = observer->options.axis;
    axis += axis < 0 ? shape->rank : 0;
    if (axis < 0 || axis >= shape->rank) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "a tensor of rank %" PRId32 " has no axis %" PRId32 " to observe along",
                        shape->rank, observer->options.axis);
    }
    view->channels = shape->dims[axis];
    for (int32_t i = 0; i < axis; i++) {
        view->outer *= shape->dims[i];
    }
    view->inner = count / view->outer / view->channels;
    if (observer->channels == 0) {
        observer->axis = axis;
        return oct_observer_reserve(observer, view->channels, diagnostic);
    }
    if (observer->channels != view->channels) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "%" PRId64 " channels after batches with %" PRId64, view->channels,
                        observer->channels);
    }
    return OCTET_OK;
}

/* m + c * (current - m) in float32, as torch does it; the first batch is taken as it is. */
static float averaged(float mean, float current, float constant) {
    float next = mean + constant * (current - mean);
    return isinf(mean) ? current : fminf(fmaxf(next, -FLT_MAX), FLT_MAX);
}

/* The batch's own range, then the moving average; or, for torch-histogram, its histogram. */
static OctetStatus observe_in_order(OctetObserver *observer, const OctChannelView *view,
                                    OctScan *scan, OctetDiagnostic *diagnostic) {
    float *low = oct_calloc((size_t)view->channels, 2 * sizeof *low);
    if (!low) {
        return oct_fail_memory(diagnostic);
    }
    float *high = low + view->channels;
    OctetStatus status = OCTET_OK;
    for (int64_t c = 0; c < view->channels; c++) {
        low[c] = INFINITY;
        high[c] = -INFINITY;
    }
    if (!oct_scan_channels(view, low, high, scan)) {
        status = oct_fail_memory(diagnostic);
        goto done;
    }
    for (int64_t c = 0; c < view->channels; c++) {
        if (low[c] > high[c]) {
            continue;
        }
        if (observer->options.type == OCTET_OBSERVER_TORCH_HISTOGRAM) {
            status = oct_torch_histogram_observe(observer, view->data, view->inner, low[c], high[c],
                                                 diagnostic);
        } else {
            const float constant = observer->options.averaging_constant;
            observer->minimum[c] = averaged(observer->minimum[c], low[c], constant);
            observer->maximum[c] = averaged(observer->maximum[c], high[c], constant);
        }
    }
done:
    oct_free(low);
    return status;
}

static OctetStatus observe_range(OctetObserver *observer, const OctChannelView *view, OctScan *scan,
                                 OctetDiagnostic *diagnostic) {
    if (!oct_scan_channels(view, observer->minimum, observer->maximum, scan)) {
        return oct_fail_memory(diagnostic);
    }
    for (int64_t o = 0; observer->float_bins && o < view->outer; o++) {
        for (int64_t c = 0; c < view->channels; c++) {
            const float *run = view->data + (o * view->channels + c) * view->inner;
            if (!oct_float_bins_add(&observer->float_bins[c], run, view->inner)) {
                return oct_fail_memory(diagnostic);
            }
        }
    }
    return OCTET_OK;
}

static OctetStatus record(OctetObserver *observer, const float *data, const OctetShape *shape,
                          OctetDiagnostic *diagnostic) {
    OctetTensor *copy;
    if (!oct_grow(&observer->recorded, &observer->recorded_capacity, observer->recorded_count + 1,
                  sizeof(OctetTensor *))) {
        return oct_fail_memory(diagnostic);
    }
    OCT_TRY(octet_tensor_create(OCTET_F32, shape, &copy, diagnostic));
    memcpy(copy->data, data, copy->bytes);
    observer->recorded[observer->recorded_count++] = copy;
    return OCTET_OK;
}

static void warn_once(OctetObserver *observer, const OctScan *scan) {
    if (!observer->warned && (scan->nan > 0 || scan->infinite > 0)) {
        observer->warned = true;
        oct_log(OCTET_LOG_WARNING,
                "%" PRId64 " NaN and %" PRId64 " infinite values are left out of an observer",
                scan->nan, scan->infinite);
    }
}

OctetStatus octet_observer_observe(OctetObserver *observer, const float *data,
                                   const OctetShape *shape, OctetDiagnostic *diagnostic) {
    int64_t count;
    OctChannelView view;
    OctScan scan = {0};
    if (!octet_shape_count(shape, &count)) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "a batch needs a shape that is known");
    }
    if (count == 0 || octet_observer_passes(observer) == 0) {
        return OCTET_OK;
    }
    OCT_TRY(view_of(observer, data, shape, count, &view, diagnostic));
    OctetObserverType type = observer->options.type;
    if (observer->pass > 0) {
        OCT_TRY(oct_histogram_add(&view, observer->minimum, observer->maximum,
                                  observer->options.bins, observer->histogram, &scan, diagnostic));
    } else if (type == OCTET_OBSERVER_TORCH_HISTOGRAM || is_moving_average(type)) {
        OCT_TRY(observe_in_order(observer, &view, &scan, diagnostic));
    } else {
        if (type == OCTET_OBSERVER_RECORDING) {
            OCT_TRY(record(observer, data, shape, diagnostic));
        }
        OCT_TRY(observe_range(observer, &view, &scan, diagnostic));
    }
    observer->batches++;
    observer->values += count - scan.nan - scan.infinite;
    observer->nan += scan.nan;
    observer->infinite += scan.infinite;
    warn_once(observer, &scan);
    return OCTET_OK;
}

void octet_observer_stats(const OctetObserver *observer, OctetObserverStats *stats) {
    *stats = (OctetObserverStats){.channels = observer->channels,
                                  .minimum = observer->minimum,
                                  .maximum = observer->maximum,
                                  .batches = observer->batches,
                                  .values = observer->values,
                                  .nan = observer->nan,
                                  .infinite = observer->infinite,
                                  .bins = observer->histogram ? observer->options.bins : 0,
                                  .histogram = observer->histogram};
}

OctetStatus octet_observer_recorded(const OctetObserver *observer, int64_t index,
                                    const OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    if (index < 0 || index >= observer->recorded_count) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "there is no recorded batch %" PRId64 " of %" PRId32, index,
                        observer->recorded_count);
    }
    *tensor = observer->recorded[index];
    return OCTET_OK;
}
