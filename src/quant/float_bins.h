/* A histogram that needs no range beforehand: a value's bin is the upper 17 bits of its float32, so
 * bins are a 1/256 of their octave wide at any magnitude. Counts of equal data are equal whatever
 * the order, and histograms add up. */
#ifndef OCT_QUANT_FLOAT_BINS_H
#define OCT_QUANT_FLOAT_BINS_H

#include "octet/quant.h"

enum { OCT_FLOAT_BIN_PAGES = 512, OCT_FLOAT_BIN_PAGE = 256 };

/* One page for each sign and exponent, made when a value falls into it. Zero-initialize. */
typedef struct OctFloatBins {
    int64_t *pages[OCT_FLOAT_BIN_PAGES];
} OctFloatBins;

void oct_float_bins_clear(OctFloatBins *bins);
/* Counts finite values, skipping others. False when out of memory. */
bool oct_float_bins_add(OctFloatBins *bins, const float *values, int64_t count);
/* Adds to the bin of an index in [0, 2^17). False when out of memory. */
bool oct_float_bins_add_count(OctFloatBins *bins, int32_t index, int64_t count);
bool oct_float_bins_merge(OctFloatBins *bins, const OctFloatBins *other);

/* A bin as an interval of values, low <= high. Bin 0 holds zeros: [0, 0]. */
typedef struct OctFloatBin {
    double low, high;
    int64_t count;
} OctFloatBin;
/* The bins that hold something, in ascending order of value; free with oct_free. The outermost ends
 * are cut to [minimum, maximum]. NULL when out of memory; *count 0 if empty. */
OctFloatBin *oct_float_bins_list(const OctFloatBins *bins, float minimum, float maximum,
                                 int64_t *count);

/* The range that keeps `percentile` per cent: for symmetric schemes of |x|; else half of the rest
 * is cut on each side. False when out of memory. */
bool oct_float_bins_percentile(const OctFloatBins *bins, double percentile, bool symmetric,
                               float minimum, float maximum, float *new_minimum,
                               float *new_maximum);
/* The range whose quantization by `spec` has the least squared error. */
OctetStatus oct_float_bins_mse(const OctFloatBins *bins, const OctetQSpec *spec, float minimum,
                               float maximum, float *new_minimum, float *new_maximum,
                               OctetDiagnostic *diagnostic);

#endif
