/* PyTorch's one-pass HistogramObserver: one histogram whose range grows with the data, old weights
 * being spread over the new bins. It depends on batches and their order; the arithmetic follows
 * torch 1.13 with the fix of pytorch pull request 90355 (ranges of float, not truncated). */
#include "base/diag.h"
#include "base/mem.h"
#include "quant/observer_state.h"

#include <math.h>
#include <string.h>

/* torch.histc, all values being inside the range; an empty one becomes one of width 2. */
static OctetStatus count_batch(float *histogram, int32_t bins, const float *data, int64_t count,
                               float minimum, float maximum, OctetDiagnostic *diagnostic) {
    if (minimum == maximum) {
        minimum -= 1.0F;
        maximum += 1.0F;
    }
    int64_t *counts = oct_calloc((size_t)bins, sizeof *counts);
    if (!counts) {
        return oct_fail_memory(diagnostic);
    }
    OctScan scan = {0};
    OctChannelView view = {.data = data, .outer = 1, .channels = 1, .inner = count};
    OctetStatus status =
        oct_histogram_add(&view, &minimum, &maximum, bins, counts, &scan, diagnostic);
    for (int32_t b = 0; b < bins; b++) {
        histogram[b] = (float)counts[b];
    }
    oct_free(counts);
    return status;
}

/* The grid that old and new bins share (_adjust_min_max). */
typedef struct Grid {
    float maximum;
    double downsample_rate, start;
} Grid;

static Grid common_grid(const OctetObserver *observer, float minimum, float maximum) {
    const float bins = (float)observer->options.bins;
    float width = (observer->maximum[0] - observer->minimum[0]) /
                  (float)((int64_t)observer->options.bins * observer->options.upsample_rate);
    float rate = ceilf((maximum - minimum) / (bins * width));
    float excess = rate * (bins * width) - (maximum - minimum);
    return (Grid){.maximum = maximum + excess,
                  .downsample_rate = (double)rate,
                  .start = (double)rintf((observer->minimum[0] - minimum) / width)};
}

/* Spreads the old weights over the new bins (_combine_histograms): the differences of their running
 * sum, in double, taken at the ends of the new bins. */
static void spread(const float *old, int32_t bins, int32_t upsample_rate, const Grid *grid,
                   double *integral) {
    double sum = 0;
    int64_t next = 0, position = (int64_t)grid->start;
    const int64_t rate = (int64_t)grid->downsample_rate;
    for (int32_t b = 0; b < bins; b++) {
        for (int32_t u = 0; u < upsample_rate; u++, position++) {
            while (next < bins && position >= (next + 1) * rate) {
                integral[next++] = sum;
            }
            sum += (double)old[b];
        }
    }
    while (next < bins) {
        integral[next++] = sum;
    }
}

static OctetStatus grow(OctetObserver *observer, float minimum, float maximum, const float *data,
                        int64_t count, OctetDiagnostic *diagnostic) {
    const int32_t bins = observer->options.bins;
    Grid grid = common_grid(observer, minimum, maximum);
    if (!(grid.downsample_rate < 0x1p40) || !(grid.start < 0x1p60) || !isfinite(grid.maximum)) {
        return oct_fail(diagnostic, OCTET_ERROR_NUMERIC,
                        "torch-histogram can't grow its range from [%g, %g] to [%g, %g]; use the "
                        "two-pass histogram observer",
                        (double)observer->minimum[0], (double)observer->maximum[0], (double)minimum,
                        (double)maximum);
    }
    float *combined = oct_calloc((size_t)bins, sizeof *combined);
    double *integral = oct_calloc((size_t)bins, sizeof *integral);
    float *old = observer->torch_histogram;
    const int32_t upsample_rate = observer->options.upsample_rate;
    OctetStatus status = OCTET_OK;
    if (!combined || !integral) {
        status = oct_fail_memory(diagnostic);
        goto done;
    }
    status = count_batch(combined, bins, data, count, minimum, grid.maximum, diagnostic);
    if (status != OCTET_OK) {
        goto done;
    }
    if (minimum == observer->minimum[0] && grid.maximum == observer->maximum[0]) {
        for (int32_t b = 0; b < bins; b++) {
            combined[b] += old[b];
        }
    } else {
        spread(old, bins, upsample_rate, &grid, integral);
        float before = 0; /* torch keeps the shifted sums in float32 */
        for (int32_t b = 0; b < bins; b++) {
            combined[b] += (float)((integral[b] - (double)before) / upsample_rate);
            before = (float)integral[b];
        }
    }
    memcpy(old, combined, (size_t)bins * sizeof *old);
    observer->minimum[0] = minimum;
    observer->maximum[0] = grid.maximum;
done:
    oct_free(combined);
    oct_free(integral);
    return status;
}

OctetStatus oct_torch_histogram_observe(OctetObserver *observer, const float *data, int64_t count,
                                        float minimum, float maximum, OctetDiagnostic *diagnostic) {
    const int32_t bins = observer->options.bins;
    /* like torch, starts over as long as the range is empty */
    if (observer->minimum[0] >= observer->maximum[0]) {
        OCT_TRY(count_batch(observer->torch_histogram, bins, data, count, minimum, maximum,
                            diagnostic));
        observer->minimum[0] = minimum;
        observer->maximum[0] = maximum;
        return OCTET_OK;
    }
    minimum = fminf(minimum, observer->minimum[0]);
    maximum = fmaxf(maximum, observer->maximum[0]);
    return grow(observer, minimum, maximum, data, count, diagnostic);
}
