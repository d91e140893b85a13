/* The range whose quantized distribution tells least from the distribution itself, by
 * Kullback-Leibler divergence (Migacz, "8-bit inference with TensorRT", 2017). */
#include "base/diag.h"
#include "base/mem.h"
#include "quant/observer_state.h"

#include <math.h>
#include <string.h>

/* The natural logarithm of a positive normal number, from operations that give the same bits
 * everywhere: ln m = 2 atanh((m - 1) / (m + 1)) by its series, m in [sqrt(1/2), sqrt(2)). */
static double logarithm(double x) {
    int exponent;
    double m = frexp(x, &exponent);
    if (m < 0.70710678118654752) {
        m *= 2;
        exponent--;
    }
    double t = (m - 1) / (m + 1), square = t * t, sum = 0;
    for (int k = 21; k >= 1; k -= 2) {
        sum = sum * square + 1.0 / k;
    }
    return 2 * t * sum + exponent * 0.69314718055994531;
}

/* Divergence of q from p over the bins [first, last): p is the histogram with everything outside
 * added to its outermost bins, q what is left when those are merged into `levels` levels, each
 * spread evenly over its bins that hold something. */
static double divergence(const int64_t *histogram, int32_t bins, int32_t first, int32_t last,
                         int32_t levels) {
    int64_t below = 0, above = 0, inside = 0;
    for (int32_t b = 0; b < bins; b++) {
        below += b < first ? histogram[b] : 0;
        above += b >= last ? histogram[b] : 0;
        inside += b >= first && b < last ? histogram[b] : 0;
    }
    if (inside == 0) {
        return INFINITY;
    }
    const double p_sum = (double)(below + inside + above), q_sum = (double)inside;
    const int32_t width = last - first;
    double sum = 0;
    for (int32_t level = 0; level < levels; level++) {
        int32_t from = first + (int32_t)((int64_t)width * level / levels);
        int32_t to = first + (int32_t)((int64_t)width * (level + 1) / levels);
        int64_t merged = 0, occupied = 0;
        for (int32_t b = from; b < to; b++) {
            merged += histogram[b];
            occupied += histogram[b] > 0;
        }
        for (int32_t b = from; b < to; b++) {
            int64_t count = histogram[b] + (b == first ? below : 0) + (b == last - 1 ? above : 0);
            if (count == 0) {
                continue;
            }
            /* a bin that only clipped values fill has nothing in q; it is given a trace */
            double q = histogram[b] > 0 ? (double)merged / (double)occupied / q_sum : 1e-4 / q_sum;
            double p = (double)count / p_sum;
            sum += p * logarithm(p / q);
        }
    }
    return sum;
}

/* The counts with the bin that holds 0 brought down to its greater neighbor. Rectifiers make it a
 * spike that any merging would smear, although 0 itself is always exact. */
static void flatten_zero(int64_t *histogram, int32_t bins, int32_t zero) {
    int64_t below = zero > 0 ? histogram[zero - 1] : 0;
    int64_t above = zero + 1 < bins ? histogram[zero + 1] : 0;
    int64_t neighbor = below > above ? below : above;
    histogram[zero] = histogram[zero] < neighbor ? histogram[zero] : neighbor;
}

typedef struct Best {
    double divergence;
    int32_t first, last;
} Best;

/* Ranges grow from the bin that holds 0 by the same number of bins on both sides, until the data's
 * ends; a one-sided range grows on one side. */
static Best search(const int64_t *histogram, int32_t bins, int32_t zero, int32_t levels) {
    const int32_t stride = bins / 512 > 1 ? bins / 512 : 1;
    Best best = {.divergence = INFINITY, .last = bins};
    for (int32_t reach = stride; reach <= bins + stride; reach += stride) {
        int32_t first = zero - reach > 0 ? zero - reach : 0;
        int32_t last = zero + reach < bins ? zero + reach : bins;
        if (last - first < levels) {
            continue;
        }
        double value = divergence(histogram, bins, first, last, levels);
        if (value < best.divergence) {
            best = (Best){.divergence = value, .first = first, .last = last};
        }
        if (first == 0 && last == bins) {
            break;
        }
    }
    return best;
}

OctetStatus oct_search_entropy(const int64_t *histogram, int32_t bins, const OctetQSpec *spec,
                               float minimum, float maximum, float *new_minimum, float *new_maximum,
                               OctetDiagnostic *diagnostic) {
    int32_t quant_min, quant_max;
    OCT_TRY(octet_qspec_range(spec, &quant_min, &quant_max, diagnostic));
    *new_minimum = minimum;
    *new_maximum = maximum;
    int64_t levels = (int64_t)quant_max - quant_min + 1;
    levels = levels < bins / 2 ? levels : bins / 2;
    if (minimum >= maximum) {
        return OCTET_OK;
    }
    int64_t *counts = oct_calloc((size_t)bins, sizeof *counts);
    if (!counts) {
        return oct_fail_memory(diagnostic);
    }
    memcpy(counts, histogram, (size_t)bins * sizeof *counts);
    int32_t zero = oct_histogram_bin(fminf(fmaxf(0.0F, minimum), maximum), minimum, maximum, bins);
    if (minimum <= 0 && maximum >= 0) {
        flatten_zero(counts, bins, zero);
    }
    Best best = search(counts, bins, zero, (int32_t)levels);
    oct_free(counts);
    double width = ((double)maximum - minimum) / bins;
    *new_minimum = best.first == 0 ? minimum : (float)(minimum + best.first * width);
    *new_maximum = best.last == bins ? maximum : (float)(minimum + best.last * width);
    return OCTET_OK;
}
