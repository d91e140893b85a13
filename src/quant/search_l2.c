/* PyTorch's search for the range with the least L2 error, from a histogram. Every operation is done
 * in the precision and the order that torch 1.13 does it in on a CPU with AVX2, sums included, so
 * that the same bins are chosen. */
#include "base/diag.h"
#include "base/mem.h"
#include "quant/observer_state.h"

#include <math.h>

enum { LANES = 8, ROWS = 4, LEVELS = 4 };

static int ceil_log2(int64_t value) {
    int power = 0;
    while (((int64_t)1 << power) < value) {
        power++;
    }
    return power;
}

/* torch.sum of contiguous float32: ROWS x lanes partial sums, cascaded over LEVELS, then added to
 * `first` in order. `width` is the number of lanes, 8 or 1. */
static float cascade(const float *values, int64_t vectors, int width, float first) {
    float sum[LEVELS][ROWS][LANES] = {{{0}}};
    int64_t size = vectors / ROWS;
    int power = ceil_log2(size) / LEVELS;
    power = power > 4 ? power : 4;
    const int64_t step = (int64_t)1 << power, mask = step - 1;
    int64_t i = 0;
    while (i + step <= size) {
        for (int64_t j = 0; j < step; j++, i++) {
            for (int k = 0; k < ROWS; k++) {
                for (int v = 0; v < width; v++) {
                    sum[0][k][v] += values[(i * ROWS + k) * width + v];
                }
            }
        }
        for (int level = 1; level < LEVELS; level++) {
            for (int k = 0; k < ROWS; k++) {
                for (int v = 0; v < width; v++) {
                    sum[level][k][v] += sum[level - 1][k][v];
                    sum[level - 1][k][v] = 0;
                }
            }
            if ((i & (mask << (level * power))) != 0) {
                break;
            }
        }
    }
    for (; i < size; i++) {
        for (int k = 0; k < ROWS; k++) {
            for (int v = 0; v < width; v++) {
                sum[0][k][v] += values[(i * ROWS + k) * width + v];
            }
        }
    }
    for (int level = 1; level < LEVELS; level++) {
        for (int k = 0; k < ROWS; k++) {
            for (int v = 0; v < width; v++) {
                sum[0][k][v] += sum[level][k][v];
            }
        }
    }
    for (int64_t rest = size * ROWS; rest < vectors; rest++) {
        for (int v = 0; v < width; v++) {
            sum[0][0][v] += values[rest * width + v];
        }
    }
    for (int k = 1; k < ROWS; k++) {
        for (int v = 0; v < width; v++) {
            sum[0][0][v] += sum[0][k][v];
        }
    }
    float total = first;
    for (int v = 0; v < width; v++) {
        total += sum[0][0][v];
    }
    return total;
}

static float torch_sum(const float *values, int64_t count) {
    if (count < LANES) {
        return cascade(values, count, 1, 0.0F);
    }
    int64_t vectors = count / LANES;
    float rest = 0;
    for (int64_t i = vectors * LANES; i < count; i++) {
        rest += values[i];
    }
    return cascade(values, vectors, LANES, rest);
}

typedef struct Search {
    const float *histogram;
    int32_t bins;
    double levels;
    float minimum, maximum;
    float *cumulative, *norm;
} Search;

/* torch.div(a, b, rounding_mode="floor") clamped to [0, levels - 1]; double holds the quotient of
 * two floats exactly enough to take its floor. */
static float destination_bin(float position, float width, double levels) {
    double bin = floor((double)position / (double)width);
    bin = bin < levels - 1 ? bin : levels - 1;
    return bin > 0 ? (float)bin : 0.0F;
}

static float cube_difference(float begin, float end) {
    return (end * end * end - begin * begin * begin) / 3.0F;
}

/* _compute_quantization_error: values in a source bin are taken as spread evenly over it, and err
 * by their distance from the center of their destination bin. */
static float quantization_error(const Search *search, int32_t start_bin, int32_t end_bin) {
    double bin_width = ((double)search->maximum - search->minimum) / search->bins;
    double exact_width = bin_width * (end_bin - start_bin + 1) / search->levels;
    if (exact_width == 0.0) {
        return 0.0F;
    }
    const float source = (float)bin_width, width = (float)exact_width;
    const float half = (float)(exact_width / 2);
    const float whole = cube_difference(-half, half);
    for (int32_t i = 0; i < search->bins; i++) {
        float begin = (float)(i - start_bin) * source;
        float end = begin + source;
        float first = destination_bin(begin, width, search->levels);
        float last = destination_bin(end, width, search->levels);
        float density = search->histogram[i] / source;
        float first_center = (first + 0.5F) * width;
        float last_center = last * width + half;
        float norm = density * cube_difference(begin - first_center, half);
        norm += (last - first - 1.0F) * (density * whole);
        norm += density * cube_difference(-half, end - last_center);
        search->norm[i] = norm;
    }
    return torch_sum(search->norm, search->bins);
}

/* Narrows [start, end] in steps of quantiles as long as the error falls. */
static void narrow(const Search *search, float total, int32_t *start_bin, int32_t *end_bin) {
    const double step = 1e-5;
    double alpha = 0.0, beta = 1.0;
    float least = INFINITY;
    int32_t start = 0, end = search->bins - 1;
    while (alpha < beta) {
        double next_alpha = alpha + step, next_beta = beta - step;
        const float low = (float)(next_alpha * (double)total);
        const float high = (float)(next_beta * (double)total);
        int32_t left = start, right = end;
        while (left < end && search->cumulative[left] < low) {
            left++;
        }
        while (right > start && search->cumulative[right] > high) {
            right--;
        }
        int32_t next_start = start, next_end = end;
        if (left - start > end - right) {
            next_start = left;
            alpha = next_alpha;
        } else {
            next_end = right;
            beta = next_beta;
        }
        if (next_start == start && next_end == end) {
            continue;
        }
        float error = quantization_error(search, next_start, next_end);
        if (error > least) {
            break;
        }
        least = error;
        start = next_start;
        end = next_end;
    }
    *start_bin = start;
    *end_bin = end;
}

OctetStatus oct_search_l2(const float *histogram, int32_t bins, double levels, float minimum,
                          float maximum, float *new_minimum, float *new_maximum,
                          OctetDiagnostic *diagnostic) {
    float *scratch = oct_calloc((size_t)bins, 2 * sizeof *scratch);
    if (!scratch) {
        return oct_fail_memory(diagnostic);
    }
    Search search = {.histogram = histogram,
                     .bins = bins,
                     .levels = levels,
                     .minimum = minimum,
                     .maximum = maximum,
                     .cumulative = scratch,
                     .norm = scratch + bins};
    double sum = 0; /* torch.cumsum adds in double and rounds each sum */
    for (int32_t i = 0; i < bins; i++) {
        sum += (double)histogram[i];
        search.cumulative[i] = (float)sum;
    }
    int32_t start, end;
    narrow(&search, torch_sum(histogram, bins), &start, &end);
    float bin_width = (maximum - minimum) / (float)bins;
    *new_minimum = minimum + bin_width * (float)start;
    *new_maximum = minimum + bin_width * (float)(end + 1);
    oct_free(scratch);
    return OCTET_OK;
}
