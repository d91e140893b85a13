/* Minimum and maximum of many values: the loops that calibration spends its time in. */
#include "base/mem.h"
#include "quant/observer_state.h"

#include <math.h>
#include <string.h>

enum { LANES = 4, CHAINS = 4, STEP = LANES * CHAINS, CHUNK = 4096, SHORT_RUN = 32 };

/* Four floats at once, which every 64-bit target has; C has no minimum that compilers would dare to
 * vectorize by themselves. */
typedef float Floats __attribute__((vector_size(LANES * sizeof(float))));
typedef int32_t Mask __attribute__((vector_size(LANES * sizeof(int32_t))));

static inline Floats pick(Mask mask, Floats a, Floats b) {
    return (Floats)(((Mask)a & mask) | ((Mask)b & ~mask));
}

static inline Floats load(const float *values) {
    Floats loaded;
    memcpy(&loaded, values, sizeof loaded);
    return loaded;
}

/* One value after the other, for runs that hold something that is not finite. */
static void scan_slowly(const float *values, int64_t count, float *minimum, float *maximum,
                        OctScan *scan) {
    for (int64_t i = 0; i < count; i++) {
        float value = values[i];
        if (isfinite(value)) {
            *minimum = value < *minimum ? value : *minimum;
            *maximum = value > *maximum ? value : *maximum;
        } else if (isnan(value)) {
            scan->nan++;
        } else {
            scan->infinite++;
        }
    }
}

/* The range of one chunk; false if a value may be infinite or NaN, which shows in the sum. */
static bool scan_chunk(const float *values, int64_t count, float *minimum, float *maximum) {
    Floats low[CHAINS], high[CHAINS], sum = {0};
    float least = *minimum, greatest = *maximum, rest = 0;
    for (int k = 0; k < CHAINS; k++) {
        low[k] = (Floats){least, least, least, least};
        high[k] = (Floats){greatest, greatest, greatest, greatest};
    }
    int64_t i = 0;
    for (; i + STEP <= count; i += STEP) {
        for (int k = 0; k < CHAINS; k++) {
            Floats value = load(values + i + k * LANES);
            low[k] = pick(value < low[k], value, low[k]);
            high[k] = pick(value > high[k], value, high[k]);
            sum += value;
        }
    }
    for (; i < count; i++) {
        least = values[i] < least ? values[i] : least;
        greatest = values[i] > greatest ? values[i] : greatest;
        rest += values[i];
    }
    for (int k = 0; k < CHAINS; k++) {
        for (int v = 0; v < LANES; v++) {
            least = low[k][v] < least ? low[k][v] : least;
            greatest = high[k][v] > greatest ? high[k][v] : greatest;
        }
    }
    if (!isfinite(sum[0]) || !isfinite(sum[1]) || !isfinite(sum[2]) || !isfinite(sum[3]) ||
        !isfinite(rest)) {
        return false;
    }
    *minimum = least;
    *maximum = greatest;
    return true;
}

static void scan_run(const float *values, int64_t count, float *minimum, float *maximum,
                     OctScan *scan) {
    for (int64_t first = 0; first < count; first += CHUNK) {
        int64_t length = count - first < CHUNK ? count - first : CHUNK;
        if (!scan_chunk(values + first, length, minimum, maximum)) {
            scan_slowly(values + first, length, minimum, maximum, scan);
        }
    }
}

/* False if a value may be infinite or NaN. */
static bool row_is_finite(const float *row, int64_t width) {
    Floats sum = {0};
    float rest = 0;
    int64_t i = 0;
    for (; i + LANES <= width; i += LANES) {
        sum += load(row + i);
    }
    for (; i < width; i++) {
        rest += row[i];
    }
    return isfinite(sum[0]) && isfinite(sum[1]) && isfinite(sum[2]) && isfinite(sum[3]) &&
           isfinite(rest);
}

static void scan_row(const float *restrict row, int64_t width, float *restrict low,
                     float *restrict high) {
    for (int64_t i = 0; i < width; i++) {
        float value = row[i];
        low[i] = value < low[i] ? value : low[i];
        high[i] = value > high[i] ? value : high[i];
    }
}

/* Channels with few neighboring values, as in channels-last data: whole rows at a time. */
static bool scan_rows(const OctChannelView *view, float *minimum, float *maximum, OctScan *scan) {
    int64_t width = view->channels * view->inner;
    float *low = oct_calloc((size_t)width, 2 * sizeof *low);
    if (!low) {
        return false;
    }
    float *high = low + width;
    for (int64_t i = 0; i < width; i++) {
        low[i] = minimum[i / view->inner];
        high[i] = maximum[i / view->inner];
    }
    for (int64_t o = 0; o < view->outer; o++) {
        const float *row = view->data + o * width;
        if (row_is_finite(row, width)) {
            scan_row(row, width, low, high);
            continue;
        }
        for (int64_t i = 0; i < width; i++) {
            scan_slowly(row + i, 1, low + i, high + i, scan);
        }
    }
    for (int64_t i = 0; i < width; i++) {
        int64_t channel = i / view->inner;
        minimum[channel] = low[i] < minimum[channel] ? low[i] : minimum[channel];
        maximum[channel] = high[i] > maximum[channel] ? high[i] : maximum[channel];
    }
    oct_free(low);
    return true;
}

bool oct_scan_channels(const OctChannelView *view, float *minimum, float *maximum, OctScan *scan) {
    if (view->channels == 1) {
        scan_run(view->data, view->outer * view->inner, minimum, maximum, scan);
    } else if (view->inner < SHORT_RUN && view->outer > 1) {
        if (!scan_rows(view, minimum, maximum, scan)) {
            return false;
        }
    } else {
        for (int64_t o = 0; o < view->outer; o++) {
            for (int64_t c = 0; c < view->channels; c++) {
                scan_run(view->data + (o * view->channels + c) * view->inner, view->inner,
                         minimum + c, maximum + c, scan);
            }
        }
    }
    for (int64_t c = 0; c < view->channels; c++) {
        minimum[c] += 0.0F; /* -0 and 0 are one value, whichever came first */
        maximum[c] += 0.0F;
    }
    return true;
}
