#include "data/filter.h"

#include "base/diag.h"
#include "base/mem.h"

#include <math.h>

enum { PRECISION_BITS = 32 - 8 - 2 };

void oct_filter_free(OctFilter *filter) {
    oct_free(filter->first);
    oct_free(filter->count);
    oct_free(filter->weights);
    *filter = (OctFilter){0};
}

static double triangle(double x) {
    double distance = fabs(x);
    return distance < 1.0 ? 1.0 - distance : 0.0;
}

OctetStatus oct_filter_create(int32_t from, int32_t to, int32_t start, int32_t length,
                              OctFilter *filter, OctetDiagnostic *diagnostic) {
    double scale = (double)from / to;
    double stretch = scale < 1.0 ? 1.0 : scale;
    double support = stretch;
    int32_t taps = (int32_t)ceil(support) * 2 + 1;
    double *exact = oct_calloc((size_t)taps, sizeof(double));
    *filter = (OctFilter){.length = length, .taps = taps};
    filter->first = oct_calloc((size_t)length, sizeof(int32_t));
    filter->count = oct_calloc((size_t)length, sizeof(int32_t));
    size_t weights;
    filter->weights = oct_mul_size((size_t)length, (size_t)taps, &weights)
                          ? oct_calloc(weights, sizeof(int32_t))
                          : NULL;
    if (!exact || !filter->first || !filter->count || !filter->weights) {
        oct_free(exact);
        oct_filter_free(filter);
        return oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < length; i++) {
        double center = (start + i + 0.5) * scale;
        double inverse = 1.0 / stretch;
        double sum = 0.0;
        int32_t first = (int32_t)(center - support + 0.5);
        int32_t last = (int32_t)(center + support + 0.5);
        first = first < 0 ? 0 : first;
        last = last > from ? from : last;
        int32_t count = last - first;
        for (int32_t k = 0; k < count; k++) {
            exact[k] = triangle((k + first - center + 0.5) * inverse);
            sum += exact[k];
        }
        for (int32_t k = 0; k < count; k++) {
            double weight = sum != 0.0 ? exact[k] / sum : exact[k];
            filter->weights[(size_t)i * (size_t)taps + (size_t)k] =
                (int32_t)(0.5 + weight * (1 << PRECISION_BITS));
        }
        filter->first[i] = first;
        filter->count[i] = count;
    }
    oct_free(exact);
    return OCTET_OK;
}

static uint8_t clip(int32_t sum) {
    int32_t value = sum >> PRECISION_BITS;
    if (value < 0) {
        return 0;
    }
    return (uint8_t)(value > 255 ? 255 : value);
}

static void filter_rgb(const OctFilter *filter, const uint8_t *from, uint8_t *to) {
    for (int32_t x = 0; x < filter->length; x++, to += 3) {
        const int32_t *weights = filter->weights + (size_t)x * (size_t)filter->taps;
        const uint8_t *in = from + (size_t)filter->first[x] * 3;
        int32_t red = 1 << (PRECISION_BITS - 1), green = red, blue = red;
        for (int32_t k = 0; k < filter->count[x]; k++, in += 3) {
            red += in[0] * weights[k];
            green += in[1] * weights[k];
            blue += in[2] * weights[k];
        }
        to[0] = clip(red);
        to[1] = clip(green);
        to[2] = clip(blue);
    }
}

static void filter_gray(const OctFilter *filter, const uint8_t *from, uint8_t *to) {
    for (int32_t x = 0; x < filter->length; x++) {
        const int32_t *weights = filter->weights + (size_t)x * (size_t)filter->taps;
        const uint8_t *in = from + filter->first[x];
        int32_t sum = 1 << (PRECISION_BITS - 1);
        for (int32_t k = 0; k < filter->count[x]; k++) {
            sum += in[k] * weights[k];
        }
        to[x] = clip(sum);
    }
}

void oct_filter_row(const OctFilter *filter, int32_t channels, const uint8_t *from, uint8_t *to) {
    if (channels == 3) {
        filter_rgb(filter, from, to);
    } else {
        filter_gray(filter, from, to);
    }
}

void oct_filter_column(const OctFilter *filter, int32_t y, size_t bytes, const uint8_t *from,
                       uint8_t *to, int32_t *sums) {
    const int32_t *weights = filter->weights + (size_t)y * (size_t)filter->taps;
    for (size_t i = 0; i < bytes; i++) {
        sums[i] = 1 << (PRECISION_BITS - 1);
    }
    for (int32_t k = 0; k < filter->count[y]; k++) {
        const uint8_t *in = from + (size_t)(filter->first[y] + k) * bytes;
        for (size_t i = 0; i < bytes; i++) {
            sums[i] += in[i] * weights[k];
        }
    }
    for (size_t i = 0; i < bytes; i++) {
        to[i] = clip(sums[i]);
    }
}
