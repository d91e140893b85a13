/* The range that keeps a given share of the values. */
#include "base/mem.h"
#include "quant/float_bins.h"

#include <math.h>

/* The value below which `rank` counts lie, walking the bins upward (step 1) or downward (-1): the
 * far end of the bin that reaches the rank, so that at least that many are kept. */
static double value_at_rank(const OctFloatBin *list, int64_t count, int64_t rank, int step) {
    int64_t seen = 0, i = step > 0 ? 0 : count - 1;
    for (; i >= 0 && i < count; i += step) {
        seen += list[i].count;
        if (seen >= rank) {
            break;
        }
    }
    i = i < 0 ? 0 : i >= count ? count - 1 : i;
    return step > 0 ? list[i].high : list[i].low;
}

/* How many of `total` values a share of per cent is, rounded up, at least 1. */
static int64_t rank_of(double percent, int64_t total) {
    double rank = ceil(percent * (double)total / 100.0);
    return rank < 1 ? 1 : rank > (double)total ? total : (int64_t)rank;
}

static double magnitude_at_rank(const OctFloatBin *list, int64_t count, int64_t rank) {
    int64_t low = 0, high = count - 1, total = 0;
    for (int64_t i = 0; i < count; i++) {
        total += list[i].count;
    }
    /* takes the outermost bin off the side that reaches further, until too few would be left */
    while (low < high) {
        bool left = -list[low].low > list[high].high;
        int64_t outermost = list[left ? low : high].count;
        if (total - outermost < rank) {
            break;
        }
        total -= outermost;
        low += left;
        high -= !left;
    }
    return fmax(-list[low].low, list[high].high);
}

bool oct_float_bins_percentile(const OctFloatBins *bins, double percentile, bool symmetric,
                               float minimum, float maximum, float *new_minimum,
                               float *new_maximum) {
    int64_t count, total = 0;
    *new_minimum = minimum;
    *new_maximum = maximum;
    OctFloatBin *list = oct_float_bins_list(bins, minimum, maximum, &count);
    if (!list) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        total += list[i].count;
    }
    if (count > 0 && symmetric) {
        double largest = magnitude_at_rank(list, count, rank_of(percentile, total));
        *new_minimum = fmaxf((float)-largest, minimum);
        *new_maximum = fminf((float)largest, maximum);
    } else if (count > 0) {
        int64_t rank = rank_of(50.0 + percentile / 2, total);
        *new_minimum = fmaxf((float)value_at_rank(list, count, rank, -1), minimum);
        *new_maximum = fminf((float)value_at_rank(list, count, rank, 1), maximum);
    }
    oct_free(list);
    return true;
}
