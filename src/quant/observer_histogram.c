/* Histograms of equal bins over a range that is known beforehand. */
#include "base/diag.h"
#include "base/mem.h"
#include "quant/observer_state.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { CHUNK = 1024 };

/* (x - minimum) * bins / (maximum - minimum) in float32, unless that overflows. */
static bool fits_float(float minimum, float maximum, int32_t bins) {
    return isfinite((maximum - minimum) * (float)bins);
}

int32_t oct_histogram_bin(float value, float minimum, float maximum, int32_t bins) {
    double position;
    if (fits_float(minimum, maximum, bins)) {
        position = (double)((value - minimum) * (float)bins / (maximum - minimum));
    } else {
        position = ((double)value - minimum) * bins / ((double)maximum - minimum);
    }
    return position < bins - 1 ? (position > 0 ? (int32_t)position : 0) : bins - 1;
}

/* The bins of a chunk; a value that is not finite gets bin `bins`, which is thrown away. */
static void bins_of(const float *restrict values, int64_t count, float minimum, float maximum,
                    int32_t bins, int32_t *restrict index) {
    const float number = (float)bins, range = maximum - minimum, last = (float)(bins - 1);
    for (int64_t i = 0; i < count; i++) {
        float position = (values[i] - minimum) * number / range;
        float inside = position > 0.0F ? position : 0.0F;
        inside = inside < last ? inside : last;
        bool finite = values[i] - values[i] == 0.0F;
        index[i] = finite ? (int32_t)inside : bins;
    }
}

static void count_odd(const float *values, int64_t count, OctScan *scan) {
    for (int64_t i = 0; i < count; i++) {
        if (!isfinite(values[i])) {
            if (isnan(values[i])) {
                scan->nan++;
            } else {
                scan->infinite++;
            }
        }
    }
}

/* Neighboring values often share a bin, so two halves are counted apart: an increment then needn't
 * wait for the one before. */
static void add_run(const float *values, int64_t count, float minimum, float maximum, int32_t bins,
                    int64_t *scratch, int64_t *histogram, OctScan *scan) {
    int32_t index[CHUNK];
    int64_t *even = scratch, *odd = scratch + bins + 1;
    memset(scratch, 0, 2 * ((size_t)bins + 1) * sizeof *scratch);
    for (int64_t first = 0; first < count; first += CHUNK) {
        int64_t length = count - first < CHUNK ? count - first : CHUNK;
        bins_of(values + first, length, minimum, maximum, bins, index);
        int64_t before = even[bins] + odd[bins], i = 0;
        for (; i + 1 < length; i += 2) {
            even[index[i]]++;
            odd[index[i + 1]]++;
        }
        if (i < length) {
            even[index[i]]++;
        }
        if (even[bins] + odd[bins] != before) {
            count_odd(values + first, length, scan);
        }
    }
    for (int32_t b = 0; b < bins; b++) {
        histogram[b] += even[b] + odd[b];
    }
}

/* Short runs, and ranges whose arithmetic needs double. */
static void add_singly(const float *values, int64_t count, float minimum, float maximum,
                       int32_t bins, int64_t *histogram, OctScan *scan) {
    for (int64_t i = 0; i < count; i++) {
        if (isfinite(values[i])) {
            int32_t bin =
                minimum < maximum ? oct_histogram_bin(values[i], minimum, maximum, bins) : bins / 2;
            histogram[bin]++;
        }
    }
    count_odd(values, count, scan);
}

OctetStatus oct_histogram_add(const OctChannelView *view, const float *minimum,
                              const float *maximum, int32_t bins, int64_t *histogram, OctScan *scan,
                              OctetDiagnostic *diagnostic) {
    OctChannelView runs = *view;
    if (runs.channels == 1) {
        runs.inner *= runs.outer;
        runs.outer = 1;
    }
    int64_t *scratch = NULL;
    bool longer = runs.inner >= bins;
    if (longer) {
        scratch = oct_calloc((size_t)bins + 1, 2 * sizeof *scratch);
        if (!scratch) {
            return oct_fail_memory(diagnostic);
        }
    }
    for (int64_t o = 0; o < runs.outer; o++) {
        for (int64_t c = 0; c < runs.channels; c++) {
            const float *values = runs.data + (o * runs.channels + c) * runs.inner;
            int64_t *counts = histogram + c * bins;
            if (longer && minimum[c] < maximum[c] && fits_float(minimum[c], maximum[c], bins)) {
                add_run(values, runs.inner, minimum[c], maximum[c], bins, scratch, counts, scan);
            } else {
                add_singly(values, runs.inner, minimum[c], maximum[c], bins, counts, scan);
            }
        }
    }
    oct_free(scratch);
    return OCTET_OK;
}
