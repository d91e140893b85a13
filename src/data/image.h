/* Decoded images, and their resampling. */
#ifndef OCT_DATA_IMAGE_H
#define OCT_DATA_IMAGE_H

#include "octet/data.h"

/* 8 bits a channel, rows from the top, channels interleaved, nothing between rows. */
typedef struct OctImage {
    int32_t width;
    int32_t height;
    int32_t channels; /* 1: gray, 3: RGB */
    uint8_t *pixels;
} OctImage;

/* Zeroed pixels; refuses more than OCTET_MAX_PIXELS. Free with oct_image_free. */
OctetStatus oct_image_create(int64_t width, int64_t height, int32_t channels, OctImage *image,
                             OctetDiagnostic *diagnostic);
void oct_image_free(OctImage *image);

/* The limits that oct_image_create keeps. */
OctetStatus oct_image_check_size(int64_t width, int64_t height, OctetDiagnostic *diagnostic);

/* Decodes a JPEG or a PNG, told apart by the first bytes, with what the planner (rows.h; may be
 * NULL) wants done to the rows; else 1 or 3 channels as the file has them. */
struct OctRowPlanner;
OctetStatus oct_image_decode(const uint8_t *data, size_t bytes, const struct OctRowPlanner *planner,
                             OctImage *image, OctetDiagnostic *diagnostic);
OctetStatus oct_jpeg_decode(const uint8_t *data, size_t bytes, const struct OctRowPlanner *planner,
                            OctImage *image, OctetDiagnostic *diagnostic);
OctetStatus oct_png_decode(const uint8_t *data, size_t bytes, const struct OctRowPlanner *planner,
                           OctImage *image, OctetDiagnostic *diagnostic);
/* Whether the file's first bytes are those of one; an error if it can't be read. */
OctetStatus oct_image_probe(const char *path, bool *image, OctetDiagnostic *diagnostic);
bool oct_is_jpeg(const uint8_t *data, size_t bytes);
bool oct_is_png(const uint8_t *data, size_t bytes);

/* Resamples to width x height as Pillow's resize(size, BILINEAR): first along rows, then along
 * columns (filter.h). The same bytes as Pillow's. In place. */
OctetStatus oct_image_resize(OctImage *image, int32_t width, int32_t height,
                             OctetDiagnostic *diagnostic);
/* The second half alone, and of it only the rows [first, first + count). */
OctetStatus oct_image_resize_columns(OctImage *image, int32_t height, int32_t first, int32_t count,
                                     OctetDiagnostic *diagnostic);
/* Crops the middle: offsets rounded down, an image that is too small padded with zeros. In place.
 */
OctetStatus oct_image_center_crop(OctImage *image, int32_t width, int32_t height,
                                  OctetDiagnostic *diagnostic);
/* The size that a short side of `short_side` pixels leads to, the long one rounded to nearest (a
 * half to even). False if it is too large. */
bool oct_image_short_side_size(int32_t width, int32_t height, int32_t short_side,
                               int32_t *new_width, int32_t *new_height);

#endif
