/* The inside of an observer, shared by the files that implement the types. */
#ifndef OCT_QUANT_OBSERVER_STATE_H
#define OCT_QUANT_OBSERVER_STATE_H

#include "octet/observer.h"
#include "quant/float_bins.h"

struct OctetObserver {
    OctetObserverOptions options;
    int32_t pass;
    bool warned;      /* of values that are not finite */
    int64_t channels; /* 0: a per-channel observer that has seen nothing */
    int32_t axis;     /* of the channels, from the start; -1 per tensor */
    float *minimum, *maximum;
    int64_t batches, values, nan, infinite;
    int64_t *histogram;     /* histogram, entropy: channels * bins counts, from pass 1 on */
    float *torch_histogram; /* torch-histogram: bins weights, fractional once the range has grown */
    OctFloatBins *float_bins; /* percentile, mse: one for each channel */
    OctetTensor **recorded;   /* recording */
    int32_t recorded_count, recorded_capacity;
};

/* Values seen as outer x channels x inner. */
typedef struct OctChannelView {
    const float *data;
    int64_t outer, channels, inner;
} OctChannelView;

/* Gives a fresh observer room for its channels. */
OctetStatus oct_observer_reserve(OctetObserver *observer, int64_t channels,
                                 OctetDiagnostic *diagnostic);
/* How many times the type goes through the data. */
int32_t oct_observer_passes_of(OctetObserverType type);
bool oct_observer_is_mergeable(OctetObserverType type);

/* What a scan finds; start from oct_scan_start. Values that are not finite are only counted. */
typedef struct OctScan {
    int64_t nan, infinite;
} OctScan;
/* Widens minimum[c] and maximum[c] by the finite values of each channel. False if out of memory. */
bool oct_scan_channels(const OctChannelView *view, float *minimum, float *maximum, OctScan *scan);

/* The bin of a value in [minimum, maximum], minimum < maximum: as torch.histc computes it,
 * trunc((x - minimum) * bins / (maximum - minimum)) in float32. */
int32_t oct_histogram_bin(float value, float minimum, float maximum, int32_t bins);
/* Adds the view's finite values to histogram[channels * bins]; values outside count at the ends. */
OctetStatus oct_histogram_add(const OctChannelView *view, const float *minimum,
                              const float *maximum, int32_t bins, int64_t *histogram, OctScan *scan,
                              OctetDiagnostic *diagnostic);

/* PyTorch's L2 search (HistogramObserver._non_linear_param_search): the range that loses least.
 * levels: number of destination bins, 2^bits of the type. Scratch of 2 * bins floats inside. */
OctetStatus oct_search_l2(const float *histogram, int32_t bins, double levels, float minimum,
                          float maximum, float *new_minimum, float *new_maximum,
                          OctetDiagnostic *diagnostic);
/* Least Kullback-Leibler divergence between the values and their quantization. */
OctetStatus oct_search_entropy(const int64_t *histogram, int32_t bins, const OctetQSpec *spec,
                               float minimum, float maximum, float *new_minimum, float *new_maximum,
                               OctetDiagnostic *diagnostic);

/* torch-histogram: one batch whose finite values span [minimum, maximum]. */
OctetStatus oct_torch_histogram_observe(OctetObserver *observer, const float *data, int64_t count,
                                        float minimum, float maximum, OctetDiagnostic *diagnostic);

#endif
