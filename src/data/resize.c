/* Whole images resized and cropped. */
#include "data/image.h"

#include "base/diag.h"
#include "base/mem.h"
#include "data/filter.h"

#include <math.h>
#include <string.h>

static OctetStatus resize_rows(OctImage *image, int32_t width, OctetDiagnostic *diagnostic) {
    OctImage made;
    OctFilter filter;
    OCT_TRY(oct_image_create(width, image->height, image->channels, &made, diagnostic));
    OctetStatus status = oct_filter_create(image->width, width, 0, width, &filter, diagnostic);
    if (status != OCTET_OK) {
        oct_image_free(&made);
        return status;
    }
    size_t from = (size_t)image->width * (size_t)image->channels;
    size_t to = (size_t)width * (size_t)image->channels;
    for (size_t y = 0; y < (size_t)image->height; y++) {
        oct_filter_row(&filter, image->channels, image->pixels + y * from, made.pixels + y * to);
    }
    oct_filter_free(&filter);
    oct_image_free(image);
    *image = made;
    return OCTET_OK;
}

OctetStatus oct_image_resize_columns(OctImage *image, int32_t height, int32_t first, int32_t count,
                                     OctetDiagnostic *diagnostic) {
    OctImage made;
    OctFilter filter = {0};
    OCT_TRY(oct_image_create(image->width, count, image->channels, &made, diagnostic));
    size_t row = (size_t)image->width * (size_t)image->channels;
    int32_t *sums = oct_calloc(row, sizeof(int32_t));
    OctetStatus status =
        sums ? oct_filter_create(image->height, height, first, count, &filter, diagnostic)
             : oct_fail_memory(diagnostic);
    for (int32_t y = 0; status == OCTET_OK && y < count; y++) {
        oct_filter_column(&filter, y, row, image->pixels, made.pixels + (size_t)y * row, sums);
    }
    oct_filter_free(&filter);
    oct_free(sums);
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
        OCT_TRY(resize_rows(image, width, diagnostic));
    }
    if (height != image->height) {
        OCT_TRY(oct_image_resize_columns(image, height, 0, height, diagnostic));
    }
    return OCTET_OK;
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
