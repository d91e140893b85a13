/* Filling in pointers to input pixels for the int8 convolution driver. */
#ifndef OCT_KERNELS_Q8_CONV_POINTERS_H
#define OCT_KERNELS_Q8_CONV_POINTERS_H

#include "kernels/q8_conv_plan.h"

/* pointers[x] for x in [0, count): the pixel at input column first + x * step of `row` (a row of
 * `width` pixels, `stride` bytes apart), or `zero` outside. row NULL: all zero. */
static inline void oct_q8_fill_row(const uint8_t **pointers, size_t count, const uint8_t *row,
                                   ptrdiff_t first, size_t step, size_t width, size_t stride,
                                   const uint8_t *zero) {
    size_t x = 0;
    if (row) {
        size_t skip = first < 0 ? ((size_t)-first + step - 1) / step : 0;
        for (; x < count && x < skip; x++) {
            pointers[x] = zero;
        }
        ptrdiff_t left = (ptrdiff_t)width - (first + (ptrdiff_t)(x * step));
        size_t inside = left > 0 ? ((size_t)left + step - 1) / step : 0;
        size_t end = inside < count - x ? x + inside : count;
        const uint8_t *pixel = row + (first + (ptrdiff_t)(x * step)) * (ptrdiff_t)stride;
        for (; x < end; x++) {
            pointers[x] = pixel;
            pixel += step * stride;
        }
    }
    for (; x < count; x++) {
        pointers[x] = zero;
    }
}

#endif
