/* Pillow's antialiased resampling (libImaging/Resample.c), and what surrounds it. */
#include "data/image.h"

#include "base/diag.h"
#include "base/mem.h"

#include <limits.h>
#include <math.h>
#include <string.h>

enum { PRECISION_BITS = 32 - 8 - 2 };

/* For every output pixel of one axis: the input pixels [first, first + count) and their weights. */
typedef struct Filter {
    int32_t taps; /* weights kept for each output pixel */
    int32_t *first;
    int32_t *count;
    int32_t *weights;
} Filter;

static void filter_free(Filter *filter) {
    oct_free(filter->first);
    oct_free(filter->count);
    oct_free(filter->weights);
}

static double triangle(double x) {
    double distance = fabs(x);
    return distance < 1.0 ? 1.0 - distance : 0.0;
}

/* Of the `to` output pixels, those in [start, start + length). */
static OctetStatus filter_create(int32_t from, int32_t to, int32_t start, int32_t length,
                                 Filter *filter, OctetDiagnostic *diagnostic) {
    double scale = (double)from / to;
    double stretch = scale < 1.0 ? 1.0 : scale;
    double support = stretch;
    int32_t taps = (int32_t)ceil(support) * 2 + 1;
    double *exact = oct_calloc((size_t)taps, sizeof(double));
    filter->taps = taps;
    filter->first = oct_calloc((size_t)length, sizeof(int32_t));
    filter->count = oct_calloc((size_t)length, sizeof(int32_t));
    size_t weights;
    filter->weights = oct_mul_size((size_t)length, (size_t)taps, &weights)
                          ? oct_calloc(weights, sizeof(int32_t))
                          : NULL;
    if (!exact || !filter->first || !filter->count || !filter->weights) {
        oct_free(exact);
        filter_free(filter);
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

static void resample_rows_3(const OctImage *from, OctImage *to, const Filter *filter) {
    for (int32_t y = 0; y < to->height; y++) {
        const uint8_t *row = from->pixels + (size_t)y * (size_t)from->width * 3;
        uint8_t *out = to->pixels + (size_t)y * (size_t)to->width * 3;
        for (int32_t x = 0; x < to->width; x++, out += 3) {
            const int32_t *weights = filter->weights + (size_t)x * (size_t)filter->taps;
            const uint8_t *in = row + (size_t)filter->first[x] * 3;
            int32_t red = 1 << (PRECISION_BITS - 1), green = red, blue = red;
            for (int32_t k = 0; k < filter->count[x]; k++, in += 3) {
                red += in[0] * weights[k];
                green += in[1] * weights[k];
                blue += in[2] * weights[k];
            }
            out[0] = clip(red);
            out[1] = clip(green);
            out[2] = clip(blue);
        }
    }
}

static void resample_rows_1(const OctImage *from, OctImage *to, const Filter *filter) {
    for (int32_t y = 0; y < to->height; y++) {
        const uint8_t *row = from->pixels + (size_t)y * (size_t)from->width;
        uint8_t *out = to->pixels + (size_t)y * (size_t)to->width;
        for (int32_t x = 0; x < to->width; x++) {
            const int32_t *weights = filter->weights + (size_t)x * (size_t)filter->taps;
            const uint8_t *in = row + filter->first[x];
            int32_t sum = 1 << (PRECISION_BITS - 1);
            for (int32_t k = 0; k < filter->count[x]; k++) {
                sum += in[k] * weights[k];
            }
            out[x] = clip(sum);
        }
    }
}

static OctetStatus resample_columns(const OctImage *from, OctImage *to, const Filter *filter,
                                    OctetDiagnostic *diagnostic) {
    size_t row = (size_t)from->width * (size_t)from->channels;
    int32_t *sums = oct_calloc(row, sizeof(int32_t));
    if (!sums) {
        return oct_fail_memory(diagnostic);
    }
    for (int32_t y = 0; y < to->height; y++) {
        const int32_t *weights = filter->weights + (size_t)y * (size_t)filter->taps;
        for (size_t i = 0; i < row; i++) {
            sums[i] = 1 << (PRECISION_BITS - 1);
        }
        for (int32_t k = 0; k < filter->count[y]; k++) {
            const uint8_t *in = from->pixels + (size_t)(filter->first[y] + k) * row;
            for (size_t i = 0; i < row; i++) {
                sums[i] += in[i] * weights[k];
            }
        }
        uint8_t *out = to->pixels + (size_t)y * row;
        for (size_t i = 0; i < row; i++) {
            out[i] = clip(sums[i]);
        }
    }
    oct_free(sums);
    return OCTET_OK;
}

/* Resamples one axis to `length` pixels and makes only [first, first + count) of them. */
static OctetStatus resize_axis(OctImage *image, bool columns, int32_t length, int32_t first,
                               int32_t count, OctetDiagnostic *diagnostic) {
    OctImage made;
    Filter filter;
    int32_t width = columns ? image->width : count;
    int32_t height = columns ? count : image->height;
    OCT_TRY(oct_image_create(width, height, image->channels, &made, diagnostic));
    OctetStatus status = filter_create(columns ? image->height : image->width, length, first, count,
                                       &filter, diagnostic);
    if (status != OCTET_OK) {
        oct_image_free(&made);
        return status;
    }
    if (columns) {
        status = resample_columns(image, &made, &filter, diagnostic);
    } else if (image->channels == 3) {
        resample_rows_3(image, &made, &filter);
    } else {
        resample_rows_1(image, &made, &filter);
    }
    filter_free(&filter);
    if (status != OCTET_OK) {
        oct_image_free(&made);
        return status;
    }
    oct_image_free(image);
    *image = made;
    return OCTET_OK;
}

OctetStatus oct_image_resize(OctImage *image, int32_t width, int32_t height,
                             OctetDiagnostic *diagnostic) {
    if (width != image->width) {
        OCT_TRY(resize_axis(image, false, width, 0, width, diagnostic));
    }
    if (height != image->height) {
        OCT_TRY(resize_axis(image, true, height, 0, height, diagnostic));
    }
    return OCTET_OK;
}

OctetStatus oct_image_resize_and_crop(OctImage *image, int32_t width, int32_t height, int32_t crop,
                                      OctetDiagnostic *diagnostic) {
    /* an axis that is resampled is cropped on the way: what is cut off is not computed */
    if (width != image->width && width > crop) {
        int32_t left = (width - crop) / 2;
        OCT_TRY(resize_axis(image, false, width, left, crop, diagnostic));
        width = crop;
    }
    if (height != image->height && height > crop) {
        int32_t top = (height - crop) / 2;
        if (width != image->width) {
            OCT_TRY(resize_axis(image, false, width, 0, width, diagnostic));
        }
        OCT_TRY(resize_axis(image, true, height, top, crop, diagnostic));
        height = crop;
    }
    OCT_TRY(oct_image_resize(image, width, height, diagnostic));
    return oct_image_center_crop(image, crop, crop, diagnostic);
}

OctetStatus oct_image_center_crop(OctImage *image, int32_t width, int32_t height,
                                  OctetDiagnostic *diagnostic) {
    if (image->width == width && image->height == height) {
        return OCTET_OK;
    }
    /* where the window starts in the image; negative: in the padding */
    int32_t left = (image->width - width) / 2;
    int32_t top = (image->height - height) / 2;
    OctImage made;
    OCT_TRY(oct_image_create(width, height, image->channels, &made, diagnostic));
    int32_t to_x = left < 0 ? -left : 0;
    int32_t from_x = left < 0 ? 0 : left;
    int32_t columns = image->width - from_x < width - to_x ? image->width - from_x : width - to_x;
    for (int32_t y = 0; y < height; y++) {
        int32_t from_y = y + top;
        if (from_y < 0 || from_y >= image->height) {
            continue;
        }
        size_t channels = (size_t)image->channels;
        memcpy(made.pixels + ((size_t)y * (size_t)width + (size_t)to_x) * channels,
               image->pixels + ((size_t)from_y * (size_t)image->width + (size_t)from_x) * channels,
               (size_t)columns * channels);
    }
    oct_image_free(image);
    *image = made;
    return OCTET_OK;
}

bool oct_image_short_side_size(int32_t width, int32_t height, int32_t short_side,
                               int32_t *new_width, int32_t *new_height) {
    int32_t shorter = width <= height ? width : height;
    int32_t longer = width <= height ? height : width;
    double scaled = nearbyint((double)((int64_t)short_side * longer) / shorter);
    if (scaled > OCTET_MAX_PIXELS) {
        return false;
    }
    *new_width = width <= height ? short_side : (int32_t)scaled;
    *new_height = width <= height ? (int32_t)scaled : short_side;
    return true;
}
