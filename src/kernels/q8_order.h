/* The order in which an int8 convolution computes its output pixels. Row by row is right where
 * every product counts. Where the image is small beside its padding, a good part of the products
 * are with padding; a kernel leaves them out for a tile all of whose pixels have their padding at
 * the same tap. So the pixels along each border come first, side by side, then the others. */
#ifndef OCT_KERNELS_Q8_ORDER_H
#define OCT_KERNELS_Q8_ORDER_H

#include <stddef.h>

/* Part of the output, the same one of all images: those of the first image, row by row, then those
 * of the second, and so on. */
typedef struct OctQ8Rectangle {
    size_t first; /* place in the order of its first pixel */
    size_t x, y, width, height;
} OctQ8Rectangle;

typedef struct OctQ8Order {
    size_t count;
    OctQ8Rectangle rectangles[9];
} OctQ8Order;

/* Outputs whose windows reach over a border of the input, in rows and columns. */
typedef struct OctQ8Borders {
    size_t top, bottom, left, right;
} OctQ8Borders;

/* Row by row. */
void oct_q8_order_rows(OctQ8Order *order, size_t height, size_t width);
/* Along the borders first, in runs of whole tiles of `tile` pixels; row by row if borders are too
 * few pixels to matter, or overlap. */
void oct_q8_order_borders(OctQ8Order *order, size_t batch, size_t height, size_t width,
                          OctQ8Borders borders, size_t tile);

/* Neighbors in a row of an image. */
typedef struct OctQ8PixelRun {
    size_t image, y, x, count;
} OctQ8PixelRun;

/* The pixels from place `index` of the order on, at most `limit`. */
static inline OctQ8PixelRun oct_q8_order_run(const OctQ8Order *order, size_t index, size_t limit) {
    size_t r = 0;
    while (r + 1 < order->count && order->rectangles[r + 1].first <= index) {
        r++;
    }
    const OctQ8Rectangle *rectangle = &order->rectangles[r];
    size_t at = index - rectangle->first, row = at / rectangle->width;
    size_t column = at % rectangle->width, left = rectangle->width - column;
    return (OctQ8PixelRun){
        .image = row / rectangle->height,
        .y = rectangle->y + row % rectangle->height,
        .x = rectangle->x + column,
        .count = left < limit ? left : limit,
    };
}

#endif
