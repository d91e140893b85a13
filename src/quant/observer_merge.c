/* Merging and cloning observers. */
#include "base/diag.h"
#include "base/mem.h"
#include "quant/observer_state.h"

#include <string.h>

static OctetStatus check_mergeable(const OctetObserver *observer, const OctetObserver *other,
                                   OctetDiagnostic *diagnostic) {
    const char *name = octet_observer_type_name(observer->options.type);
    if (!octet_observer_options_equal(&observer->options, &other->options)) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE,
                        "observers with different options can't be merged");
    }
    if (!oct_observer_is_mergeable(observer->options.type)) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "the %s observer depends on the order of batches and can't be merged; use "
                        "%s",
                        name,
                        observer->options.type == OCTET_OBSERVER_TORCH_HISTOGRAM ? "histogram"
                                                                                 : "minmax");
    }
    if (observer->pass != other->pass) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE,
                        "observers in different passes can't be merged");
    }
    if (observer->channels != 0 && other->channels != 0 &&
        (observer->channels != other->channels || observer->axis != other->axis)) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "observers of different numbers of channels can't be merged");
    }
    size_t bytes = (size_t)other->channels * sizeof(float);
    if (observer->pass > 0 && (observer->channels != other->channels ||
                               memcmp(observer->minimum, other->minimum, bytes) != 0 ||
                               memcmp(observer->maximum, other->maximum, bytes) != 0)) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE,
                        "in a second pass, observers can be merged only if they have one range: "
                        "merge after the first pass, then clone");
    }
    return OCTET_OK;
}

/* Copies the recorded batches behind those that are there. */
static OctetStatus merge_recorded(OctetObserver *observer, const OctetObserver *other,
                                  OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < other->recorded_count; i++) {
        if (!oct_grow(&observer->recorded, &observer->recorded_capacity,
                      observer->recorded_count + 1, sizeof(OctetTensor *))) {
            return oct_fail_memory(diagnostic);
        }
        OCT_TRY(octet_tensor_copy(other->recorded[i], &observer->recorded[observer->recorded_count],
                                  diagnostic));
        observer->recorded_count++;
    }
    return OCTET_OK;
}

/* What both merging and cloning do once the observers are known to fit. */
static OctetStatus add_state(OctetObserver *observer, const OctetObserver *other,
                             OctetDiagnostic *diagnostic) {
    if (observer->channels == 0 && other->channels > 0) {
        OCT_TRY(oct_observer_reserve(observer, other->channels, diagnostic));
        observer->axis = other->axis;
    }
    for (int64_t c = 0; c < other->channels; c++) {
        float low = other->minimum[c], high = other->maximum[c];
        observer->minimum[c] = low < observer->minimum[c] ? low : observer->minimum[c];
        observer->maximum[c] = high > observer->maximum[c] ? high : observer->maximum[c];
        if (other->float_bins &&
            !oct_float_bins_merge(&observer->float_bins[c], &other->float_bins[c])) {
            return oct_fail_memory(diagnostic);
        }
    }
    for (int64_t i = 0;
         observer->histogram && other->histogram && i < other->channels * other->options.bins;
         i++) {
        observer->histogram[i] += other->histogram[i];
    }
    OCT_TRY(merge_recorded(observer, other, diagnostic));
    observer->batches += other->batches;
    observer->values += other->values;
    observer->nan += other->nan;
    observer->infinite += other->infinite;
    observer->warned = observer->warned || other->warned;
    return OCTET_OK;
}

OctetStatus octet_observer_merge(OctetObserver *observer, const OctetObserver *other,
                                 OctetDiagnostic *diagnostic) {
    OCT_TRY(check_mergeable(observer, other, diagnostic));
    return add_state(observer, other, diagnostic);
}

OctetStatus octet_observer_clone(const OctetObserver *observer, OctetObserver **clone,
                                 OctetDiagnostic *diagnostic) {
    OctetObserver *made;
    *clone = NULL;
    OCT_TRY(octet_observer_create(&observer->options, &made, diagnostic));
    OctetStatus status = OCTET_OK;
    if (observer->histogram) {
        size_t counts = (size_t)observer->channels * (size_t)observer->options.bins;
        made->histogram = oct_calloc(counts, sizeof *made->histogram);
        status = made->histogram ? OCTET_OK : oct_fail_memory(diagnostic);
    }
    if (status == OCTET_OK) {
        made->pass = observer->pass;
        status = add_state(made, observer, diagnostic);
    }
    if (status == OCTET_OK && observer->torch_histogram) {
        memcpy(made->torch_histogram, observer->torch_histogram,
               (size_t)observer->options.bins * sizeof *made->torch_histogram);
    }
    if (status != OCTET_OK) {
        octet_observer_free(made);
        return status;
    }
    *clone = made;
    return OCTET_OK;
}
