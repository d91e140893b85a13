/* The range of least squared error. Values are taken as spread evenly over their bins, which are so
 * narrow that this hardly matters; the error of each bin is then an exact integral. */
#include "base/diag.h"
#include "base/mem.h"
#include "quant/float_bins.h"

#include <math.h>

/* The integral from 0 to t of (u - round(u))^2, in units of the quantization step. */
static double rounding_integral(double t) {
    double whole = floor(t + 0.5), rest = t - whole;
    return (whole + 4.0 * rest * rest * rest) / 12.0;
}

static double cube(double x) {
    return x * x * x;
}

typedef struct Mse {
    const OctFloatBin *list;
    int64_t count;
    const OctetQSpec *spec;
    int32_t quant_min, quant_max;
    double step; /* all errors are counted in steps of the full range, so that none overflows */
} Mse;

/* The mean squared error over [low, high] when values beyond [first, last] are clipped. */
static double bin_error(double low, double high, double first, double last, double scale) {
    double middle_low = fmin(fmax(low, first), last), middle_high = fmin(fmax(high, first), last);
    if (high <= low) {
        double clipped = low - middle_low;
        double steps = middle_low / scale, rest = (steps - nearbyint(steps)) * scale;
        return (clipped + rest) * (clipped + rest);
    }
    double error =
        (rounding_integral(middle_high / scale) - rounding_integral(middle_low / scale)) *
        cube(scale);
    error += low < first ? (cube(first - low) - cube(fmax(first - high, 0))) / 3.0 : 0.0;
    error += high > last ? (cube(high - last) - cube(fmax(low - last, 0))) / 3.0 : 0.0;
    return error / (high - low);
}

/* The error of all values when the range is [minimum, maximum]. */
static double range_error(const Mse *mse, float minimum, float maximum) {
    float scale;
    int32_t zero_point;
    if (octet_choose_qparams(mse->spec, minimum, maximum, &scale, &zero_point, NULL) != OCTET_OK) {
        return INFINITY;
    }
    double unit = (double)scale / mse->step;
    double first = (mse->quant_min - (double)zero_point) * unit;
    double last = (mse->quant_max - (double)zero_point) * unit;
    double error = 0;
    for (int64_t i = 0; i < mse->count; i++) {
        error += (double)mse->list[i].count * bin_error(mse->list[i].low / mse->step,
                                                        mse->list[i].high / mse->step, first, last,
                                                        unit);
    }
    return error;
}

enum { COARSE = 64, FINE = 8 };

typedef struct Range {
    float minimum, maximum;
    double error;
} Range;

/* Tries the range with its lower, upper or both ends scaled by `ratio` of the full one. */
static void try_ratio(const Mse *mse, const Range *full, double ratio, bool lower, bool upper,
                      Range *best) {
    Range range = *best;
    if (lower) {
        range.minimum = (float)(full->minimum * ratio);
    }
    if (upper) {
        range.maximum = (float)(full->maximum * ratio);
    }
    range.error = range_error(mse, range.minimum, range.maximum);
    if (range.error < best->error) {
        *best = range;
    }
}

/* Scales one end, or both, by sixty-fourths, then by steps an eighth of that around the best. */
static void search_end(const Mse *mse, const Range *full, bool lower, bool upper, Range *best) {
    for (int i = COARSE; i >= 4; i--) {
        try_ratio(mse, full, (double)i / COARSE, lower, upper, best);
    }
    double center =
        upper ? (double)best->maximum / full->maximum : (double)best->minimum / full->minimum;
    for (int i = -FINE + 1; i < FINE; i++) {
        double ratio = center + (double)i / (COARSE * FINE);
        if (ratio <= 1.0 && ratio > 0.0) {
            try_ratio(mse, full, ratio, lower, upper, best);
        }
    }
}

static void search(const Mse *mse, float minimum, float maximum, Range *best) {
    const Range full = {.minimum = minimum, .maximum = maximum};
    *best = full;
    best->error = range_error(mse, minimum, maximum);
    if (octet_qscheme_is_symmetric(mse->spec->qscheme)) {
        search_end(mse, &full, minimum != 0, maximum != 0, best);
        return;
    }
    for (int round = 0; round < 2; round++) {
        if (maximum > 0) {
            search_end(mse, &full, false, true, best);
        }
        if (minimum < 0) {
            search_end(mse, &full, true, false, best);
        }
    }
}

OctetStatus oct_float_bins_mse(const OctFloatBins *bins, const OctetQSpec *spec, float minimum,
                               float maximum, float *new_minimum, float *new_maximum,
                               OctetDiagnostic *diagnostic) {
    *new_minimum = minimum = fminf(minimum, 0.0F);
    *new_maximum = maximum = fmaxf(maximum, 0.0F);
    if (minimum == maximum) {
        return OCTET_OK;
    }
    Mse mse = {.spec = spec};
    OCT_TRY(octet_qspec_range(spec, &mse.quant_min, &mse.quant_max, diagnostic));
    OctFloatBin *list = oct_float_bins_list(bins, minimum, maximum, &mse.count);
    if (!list) {
        return oct_fail_memory(diagnostic);
    }
    if (octet_qscheme_is_symmetric(spec->qscheme)) {
        maximum = fmaxf(-minimum, maximum);
        minimum = -maximum;
    }
    mse.list = list;
    mse.step = ((double)maximum - minimum) / ((double)mse.quant_max - mse.quant_min);
    Range best;
    search(&mse, minimum, maximum, &best);
    *new_minimum = best.minimum;
    *new_maximum = best.maximum;
    oct_free(list);
    return OCTET_OK;
}
