/* The range of least squared error. Values are taken as spread evenly over their bins, which are so
 * narrow that this hardly matters; the error of each bin is then an exact integral. */
#include "base/diag.h"
#include "base/mem.h"
#include "quant/float_bins.h"

#include <math.h>

/* Adding and subtracting 1.5 * 2^52 rounds |t| <= 2^51 to a whole number, without a call. */
static const double rounder = 6755399441055744.0;

/* The integral from 0 to t of (u - round(u))^2, in units of the quantization step. */
static inline double rounding_integral(double t) {
    double whole = (t + rounder) - rounder, rest = t - whole;
    return (whole + 4.0 * rest * rest * rest) / 12.0;
}

static inline double cube(double x) {
    return x * x * x;
}

static inline double least(double a, double b) {
    return a < b ? a : b;
}

static inline double greatest(double a, double b) {
    return a > b ? a : b;
}

/* A bin in steps of the full range, so that no square overflows; `weight` is its count over its
 * width, or its count if it is a point. */
typedef struct Cell {
    double low, high, weight;
} Cell;

typedef struct Mse {
    Cell *cells;
    int64_t count;
    const OctetQSpec *spec;
    int32_t quant_min, quant_max;
    double step;
} Mse;

static double square_of_point(double value, double first, double last, double scale) {
    double inside = least(greatest(value, first), last), steps = inside / scale;
    double rest = (steps - ((steps + rounder) - rounder)) * scale;
    return (value - inside + rest) * (value - inside + rest);
}

/* The error of all values when the range is [minimum, maximum]: rounding inside what the integers
 * reach, [first, last], clipping outside. */
static double range_error(const Mse *mse, float minimum, float maximum) {
    float scale;
    int32_t zero_point;
    if (octet_choose_qparams(mse->spec, minimum, maximum, &scale, &zero_point, NULL) != OCTET_OK) {
        return INFINITY;
    }
    const double unit = (double)scale / mse->step, inverse = 1.0 / unit, unit_cubed = cube(unit);
    const double first = (mse->quant_min - (double)zero_point) * unit;
    const double last = (mse->quant_max - (double)zero_point) * unit;
    double error = 0;
    for (int64_t i = 0; i < mse->count; i++) {
        const double low = mse->cells[i].low, high = mse->cells[i].high;
        if (low == high) {
            error += mse->cells[i].weight * square_of_point(low, first, last, unit);
            continue;
        }
        double inside = rounding_integral(least(greatest(high, first), last) * inverse) -
                        rounding_integral(least(greatest(low, first), last) * inverse);
        double outside = cube(greatest(first - low, 0)) - cube(greatest(first - high, 0)) +
                         cube(greatest(high - last, 0)) - cube(greatest(low - last, 0));
        error += mse->cells[i].weight * (inside * unit_cubed + outside * (1.0 / 3.0));
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
    if (octet_qscheme_is_symmetric(spec->qscheme)) {
        maximum = fmaxf(-minimum, maximum);
        minimum = -maximum;
    }
    mse.step = ((double)maximum - minimum) / ((double)mse.quant_max - mse.quant_min);
    OctFloatBin *list = oct_float_bins_list(bins, minimum, maximum, &mse.count);
    mse.cells = oct_calloc((size_t)mse.count, sizeof *mse.cells);
    if (!list || !mse.cells) {
        oct_free(list);
        oct_free(mse.cells);
        return oct_fail_memory(diagnostic);
    }
    for (int64_t i = 0; i < mse.count; i++) {
        Cell *cell = &mse.cells[i];
        cell->low = list[i].low / mse.step;
        cell->high = greatest(list[i].high / mse.step, cell->low);
        double width = cell->high - cell->low;
        cell->weight = (double)list[i].count / (width > 0 ? width : 1.0);
    }
    Range best;
    search(&mse, minimum, maximum, &best);
    *new_minimum = best.minimum;
    *new_maximum = best.maximum;
    oct_free(list);
    oct_free(mse.cells);
    return OCTET_OK;
}
