/* Antialiased resampling of one axis, as Pillow's bilinear resize has it (libImaging/Resample.c): a
 * triangle that grows with the reduction, 22-bit fixed-point weights, sums rounded to 8 bits. */
#ifndef OCT_DATA_FILTER_H
#define OCT_DATA_FILTER_H

#include "octet/status.h"

/* For every output pixel: the input pixels [first, first + count) and their weights. */
typedef struct OctFilter {
    int32_t length; /* output pixels */
    int32_t taps;   /* weights kept for each */
    int32_t *first;
    int32_t *count;
    int32_t *weights;
} OctFilter;

/* Of an axis that goes from `from` to `to` pixels, the output pixels [start, start + length). */
OctetStatus oct_filter_create(int32_t from, int32_t to, int32_t start, int32_t length,
                              OctFilter *filter, OctetDiagnostic *diagnostic);
void oct_filter_free(OctFilter *filter); /* zeroed ones are fine */
/* One row of interleaved pixels. */
void oct_filter_row(const OctFilter *filter, int32_t channels, const uint8_t *from, uint8_t *to);
/* One output row from rows of `bytes` bytes; `sums` has room for `bytes` numbers. */
void oct_filter_column(const OctFilter *filter, int32_t y, size_t bytes, const uint8_t *from,
                       uint8_t *to, int32_t *sums);

#endif
