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

/* Decodes a JPEG or a PNG, told apart by the first bytes; 1 or 3 channels as the file has them. */
OctetStatus oct_image_decode(const uint8_t *data, size_t bytes, OctImage *image,
                             OctetDiagnostic *diagnostic);
OctetStatus oct_jpeg_decode(const uint8_t *data, size_t bytes, OctImage *image,
                            OctetDiagnostic *diagnostic);
OctetStatus oct_png_decode(const uint8_t *data, size_t bytes, OctImage *image,
                           OctetDiagnostic *diagnostic);
bool oct_is_jpeg(const uint8_t *data, size_t bytes);
bool oct_is_png(const uint8_t *data, size_t bytes);

/* To gray or to RGB, as Pillow's convert("L") and convert("RGB"). In place. */
OctetStatus oct_image_set_channels(OctImage *image, int32_t channels, OctetDiagnostic *diagnostic);

/* Resamples to width x height by a triangle filter that grows with the reduction (antialiased),
 * as Pillow's resize(size, BILINEAR): 22-bit fixed-point coefficients, first along rows, then along
 * columns, each pass rounded to 8 bits. The same bytes as Pillow's. In place. */
OctetStatus oct_image_resize(OctImage *image, int32_t width, int32_t height,
                             OctetDiagnostic *diagnostic);
/* The same as resizing and oct_image_center_crop, without computing what is cut off. */
OctetStatus oct_image_resize_and_crop(OctImage *image, int32_t width, int32_t height, int32_t crop,
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
