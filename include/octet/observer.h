/* Observers: what is remembered of a tensor's values while samples run, and the quantization
 * parameters that follow from it. */
#ifndef OCTET_OBSERVER_H
#define OCTET_OBSERVER_H

#include "octet/quant.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum OctetObserverType {
    OCTET_OBSERVER_MINMAX = 0,
    OCTET_OBSERVER_MOVING_AVERAGE_MINMAX = 1, /* depends on batches and order; can't be merged */
    OCTET_OBSERVER_PER_CHANNEL_MINMAX = 2,
    OCTET_OBSERVER_MOVING_AVERAGE_PER_CHANNEL_MINMAX = 3, /* likewise */
    OCTET_OBSERVER_HISTOGRAM = 4, /* PyTorch's L2 search over one histogram; two passes */
    /* PyTorch's one-pass HistogramObserver, whose histogram grows with the range: depends on
     * batches and order; can't be merged */
    OCTET_OBSERVER_TORCH_HISTOGRAM = 5,
    OCTET_OBSERVER_PERCENTILE = 6,    /* the range that holds `percentile` percent of the values */
    OCTET_OBSERVER_ENTROPY = 7,       /* least Kullback-Leibler divergence; two passes */
    OCTET_OBSERVER_MSE = 8,           /* the range of least squared error */
    OCTET_OBSERVER_FIXED_QPARAMS = 9, /* options.scale and options.zero_point, whatever is seen */
    OCTET_OBSERVER_PLACEHOLDER = 10,  /* carries its options, computes nothing */
    OCTET_OBSERVER_RECORDING = 11,    /* keeps a copy of everything: for debugging */
    OCTET_OBSERVER_NOOP = 12,         /* the tensor stays in float */
    OCTET_OBSERVER_REUSE_INPUT = 13   /* the output takes its input's parameters */
} OctetObserverType;

/* "minmax", "moving-average", "per-channel-minmax", "moving-average-per-channel", "histogram",
 * "torch-histogram", "percentile", "entropy", "mse", "fixed-qparams", "placeholder", "recording",
 * "noop", "reuse-input". */
OCTET_API const char *octet_observer_type_name(OctetObserverType type);
OCTET_API bool octet_observer_type_parse(const char *name, OctetObserverType *type);

/* Start from octet_observer_options and change what differs. */
typedef struct OctetObserverOptions {
    OctetObserverType type;
    OctetQSpec spec; /* dtype, scheme, integer range, eps */
    int32_t axis;    /* of the channels when the scheme is per channel; negative from the end */
    float averaging_constant; /* 0.01 */
    int32_t bins;             /* of histograms: 2048 */
    int32_t upsample_rate;    /* torch-histogram: 128 */
    double percentile;        /* 99.99: per cent of the values that stay inside */
    float scale;              /* fixed-qparams */
    int32_t zero_point;       /* fixed-qparams */
} OctetObserverOptions;

/* The defaults of an observer: quint8, per_tensor_affine (per_channel_affine along axis 0 for the
 * per-channel types), PyTorch's symmetry, full range, eps 2^-23. */
OCTET_API OctetObserverOptions octet_observer_options(OctetObserverType type);
/* Checks a set of options: scheme fits type, ranges, bins in [2, 2^20], constants in range. */
OCTET_API OctetStatus octet_observer_options_check(const OctetObserverOptions *options,
                                                   OctetDiagnostic *diagnostic);
OCTET_API bool octet_observer_options_equal(const OctetObserverOptions *a,
                                            const OctetObserverOptions *b);

/* Holds state of a size that does not depend on how much is observed (recording excepted). Not
 * synchronized: threads use an observer each and merge them. Except where said at its type, what
 * it finds does not depend on how the data is cut into batches, on their order or on threads. */
typedef struct OctetObserver OctetObserver;

OCTET_API OctetStatus octet_observer_create(const OctetObserverOptions *options,
                                            OctetObserver **observer, OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_observer_clone(const OctetObserver *observer, OctetObserver **clone,
                                           OctetDiagnostic *diagnostic);
OCTET_API void octet_observer_free(OctetObserver *observer);
OCTET_API const OctetObserverOptions *octet_observer_get_options(const OctetObserver *observer);

/* Takes one batch of row-major float32 data. NaN and infinities are counted and left out. A
 * per-channel observer learns its number of channels from the first batch; another number later
 * is an error (SHAPE). An empty batch changes nothing. */
OCTET_API OctetStatus octet_observer_observe(OctetObserver *observer, const float *data,
                                             const OctetShape *shape, OctetDiagnostic *diagnostic);

/* How often the data must be gone through (1 or 2; 0 if it needs none), which pass it is in
 * (from 0), and the step to the next. In a pass that another pass precedes, values outside the
 * range seen before count at its ends. */
OCTET_API int32_t octet_observer_passes(const OctetObserver *observer);
OCTET_API int32_t octet_observer_pass(const OctetObserver *observer);
OCTET_API OctetStatus octet_observer_next_pass(OctetObserver *observer,
                                               OctetDiagnostic *diagnostic);

/* The parameters that follow from what was observed; the caller frees them with
 * octet_qparams_clear. Nothing observed: scale 1, zero point 0 and a warning. Errors: STATE before
 * the last pass, and for types that compute nothing (placeholder, recording, noop, reuse-input);
 * UNSUPPORTED for float_qparams, whose zero points are no integers. */
OCTET_API OctetStatus octet_observer_calculate_qparams(const OctetObserver *observer,
                                                       OctetQParams *qparams,
                                                       OctetDiagnostic *diagnostic);
/* For per_channel_affine_float_qparams: *scale and *zero_point, *count floats each, are freed by
 * the caller with octet_floats_free. */
OCTET_API OctetStatus octet_observer_calculate_float_qparams(const OctetObserver *observer,
                                                             float **scale, float **zero_point,
                                                             int64_t *count,
                                                             OctetDiagnostic *diagnostic);
OCTET_API void octet_floats_free(float *values);

/* Runs all passes over one tensor and gives the parameters: what weights need. */
OCTET_API OctetStatus octet_observe_tensor(const OctetObserverOptions *options, const float *data,
                                           const OctetShape *shape, OctetQParams *qparams,
                                           OctetDiagnostic *diagnostic);

/* What was seen. */
typedef struct OctetObserverStats {
    int64_t channels;     /* 1 per tensor; 0 before the first batch of a per-channel observer */
    const float *minimum; /* of each channel, infinities if nothing was seen; owned by the */
    const float *maximum; /* observer, valid until the next call that changes it */
    int64_t batches;      /* of the current pass, as the next ones */
    int64_t values;       /* finite ones */
    int64_t nan;
    int64_t infinite;
    int32_t bins;             /* 0 without a histogram of equal bins between minimum and maximum */
    const int64_t *histogram; /* channels * bins counts; NULL before the second pass */
} OctetObserverStats;
OCTET_API void octet_observer_stats(const OctetObserver *observer, OctetObserverStats *stats);

/* The range that the parameters are computed from, after the observer's search; arrays of
 * stats.channels floats of the caller. */
OCTET_API OctetStatus octet_observer_range(const OctetObserver *observer, float *minimum,
                                           float *maximum, OctetDiagnostic *diagnostic);

/* What a recording observer kept: batch i of `batches` as a tensor that the observer owns. */
OCTET_API OctetStatus octet_observer_recorded(const OctetObserver *observer, int64_t index,
                                              const OctetTensor **tensor,
                                              OctetDiagnostic *diagnostic);

/* Adds what `other` saw, as if this observer had seen it too. Both need equal options and be in the
 * same pass; in a second pass also equal ranges: merge after the first pass, go to the next, clone
 * for each shard, merge again. Errors: STATE, and UNSUPPORTED for types that depend on order. */
OCTET_API OctetStatus octet_observer_merge(OctetObserver *observer, const OctetObserver *other,
                                           OctetDiagnostic *diagnostic);

/* The whole state with its options as bytes that are the same on every machine; free them with
 * octet_bytes_free. Reading checks everything: the bytes may come from an untrusted file. */
OCTET_API OctetStatus octet_observer_serialize(const OctetObserver *observer, uint8_t **bytes,
                                               size_t *size, OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_observer_deserialize(const uint8_t *bytes, size_t size,
                                                 OctetObserver **observer,
                                                 OctetDiagnostic *diagnostic);
OCTET_API void octet_bytes_free(uint8_t *bytes);

#ifdef __cplusplus
}
#endif
#endif
