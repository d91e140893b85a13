/* Minimum and maximum of many values: the loops that calibration spends its time in. */
#include "base/mem.h"
#include "quant/observer_state.h"

#include <math.h>

enum { LANES = 16, CHUNK = 4096, SHORT_RUN = 32 };

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

/* The range of one chunk; false if a value is not finite (0 * x is then not 0). */
static bool scan_chunk(const float *values, int64_t count, float *minimum, float *maximum) {
    float low[LANES], high[LANES], zero[LANES];
    for (int k = 0; k < LANES; k++) {
        low[k] = *minimum;
        high[k] = *maximum;
        zero[k] = 0.0F;
    }
    int64_t i = 0;
    for (; i + LANES <= count; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            float value = values[i + k];
            low[k] = value < low[k] ? value : low[k];
            high[k] = value > high[k] ? value : high[k];
            zero[k] += value * 0.0F;
        }
    }
    for (; i < count; i++) {
        low[0] = values[i] < low[0] ? values[i] : low[0];
        high[0] = values[i] > high[0] ? values[i] : high[0];
        zero[0] += values[i] * 0.0F;
    }
    for (int k = 1; k < LANES; k++) {
        low[0] = low[k] < low[0] ? low[k] : low[0];
        high[0] = high[k] > high[0] ? high[k] : high[0];
        zero[0] += zero[k];
    }
    if (zero[0] != 0.0F) {
        return false;
    }
    *minimum = low[0];
    *maximum = high[0];
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

/* One row of `width` values into `width` ranges; false if a value is not finite. */
static bool row_is_finite(const float *restrict row, int64_t width) {
    float zero[LANES] = {0};
    int64_t i = 0;
    for (; i + LANES <= width; i += LANES) {
        for (int k = 0; k < LANES; k++) {
            zero[k] += row[i + k] * 0.0F;
        }
    }
    for (; i < width; i++) {
        zero[0] += row[i] * 0.0F;
    }
    for (int k = 1; k < LANES; k++) {
        zero[0] += zero[k];
    }
    return zero[0] == 0.0F;
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
