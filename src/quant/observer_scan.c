/* Minimum and maximum of many values: the loops that calibration spends its time in. */
#include "base/mem.h"
#include "quant/observer_state.h"

#include <math.h>
#include <string.h>

enum { CHAINS = 4, CHUNK = 4096, SHORT_RUN = 32 };

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

typedef bool (*ScanChunk)(const float *values, int64_t count, float *minimum, float *maximum);

#define NAME scan_chunk_4
#define LANES 4
#define TARGET
#define FLOATS Floats4
#define MASK Mask4
#include "quant/observer_scan_template.h"

#if defined(__x86_64__)
#define NAME scan_chunk_8
#define LANES 8
#define TARGET __attribute__((target("avx2")))
#define FLOATS Floats8
#define MASK Mask8
#include "quant/observer_scan_template.h"

#define NAME scan_chunk_16
#define LANES 16
#define TARGET __attribute__((target("avx512f,avx512dq")))
#define FLOATS Floats16
#define MASK Mask16
#include "quant/observer_scan_template.h"
#endif

static ScanChunk select_scan(void) {
#if defined(__x86_64__)
    OctetCpu cpu = octet_get_cpu();
    if (cpu >= OCTET_CPU_AVX2) {
        return cpu >= OCTET_CPU_AVX512_VNNI ? scan_chunk_16 : scan_chunk_8;
    }
#endif
    return scan_chunk_4;
}

static void scan_run(const float *values, int64_t count, float *minimum, float *maximum,
                     OctScan *scan) {
    ScanChunk scan_chunk = select_scan();
    for (int64_t first = 0; first < count; first += CHUNK) {
        int64_t length = count - first < CHUNK ? count - first : CHUNK;
        if (!scan_chunk(values + first, length, minimum, maximum)) {
            scan_slowly(values + first, length, minimum, maximum, scan);
        }
    }
}

/* False if a value may be infinite or NaN. */
static bool row_is_finite(const float *row, int64_t width) {
    Floats4 sums = {0};
    float rest = 0;
    int64_t i = 0;
    for (; i + 4 <= width; i += 4) {
        Floats4 values;
        memcpy(&values, row + i, sizeof values);
        sums += values;
    }
    for (; i < width; i++) {
        rest += row[i];
    }
    return isfinite(sums[0] + sums[1] + sums[2] + sums[3] + rest);
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
