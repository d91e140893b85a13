/* Copying the windows of convolutions over few channels: a row of a window is so few bytes that
 * rounding each of them up to whole steps of the kernel, or beginning anew with each, would cost
 * more than the copy. */
#ifndef OCT_KERNELS_Q8_CONV_WINDOWS_H
#define OCT_KERNELS_Q8_CONV_WINDOWS_H

#include <string.h>

#include "kernels/q8_conv_plan.h"

/* The bytes of windows that a unit of work copies at a time, beside which the weights of a panel
 * fit the first-level cache; the longest row of a window that is copied. */
enum { OCT_Q8_WINDOW_BYTES = 8192, OCT_Q8_WINDOW_ROW = 64, OCT_Q8_WINDOW_CHUNK = 16 };

/* Whether a window of kernel_h rows of row_bytes is better copied. */
static inline bool oct_q8_copies_windows(size_t kernel_h, size_t row_bytes) {
    size_t steps = (row_bytes + 3) / 4 * kernel_h, joined = (row_bytes * kernel_h + 3) / 4;
    return row_bytes <= OCT_Q8_WINDOW_ROW && kernel_h * row_bytes <= OCT_Q8_WINDOW_BYTES / 8 &&
           (joined < steps || row_bytes <= OCT_Q8_WINDOW_CHUNK);
}

/* Copies in whole chunks: what a chunk writes behind its row, the next row overwrites. */
static inline void oct_q8_copy_windows(uint8_t *to, size_t to_stride, const uint8_t *from,
                                       size_t from_step, size_t row_stride, size_t count,
                                       size_t rows, size_t row_bytes, size_t chunks) {
    for (size_t x = 0; x < count; x++) {
        uint8_t *row = to + x * to_stride;
        const uint8_t *source = from + x * from_step;
        for (size_t r = 0; r < rows; r++) {
            for (size_t i = 0; i < chunks; i++) {
                memcpy(row + i * OCT_Q8_WINDOW_CHUNK, source + i * OCT_Q8_WINDOW_CHUNK,
                       OCT_Q8_WINDOW_CHUNK);
            }
            row += row_bytes;
            source += row_stride;
        }
    }
}

/* Windows [x, x + count) of a line, the first beginning at `from`, the next ones from_step bytes
 * further; their rows are row_stride apart. Window x goes to to + x * to_stride, its rows following
 * each other. Reads and writes up to 15 bytes behind the last rows. */
static inline void oct_q8_gather_windows(uint8_t *to, size_t to_stride, const uint8_t *from,
                                         size_t from_step, size_t row_stride, size_t count,
                                         size_t rows, size_t row_bytes) {
    if (row_bytes <= OCT_Q8_WINDOW_CHUNK) {
        oct_q8_copy_windows(to, to_stride, from, from_step, row_stride, count, rows, row_bytes, 1);
    } else if (row_bytes <= (size_t)2 * OCT_Q8_WINDOW_CHUNK) {
        oct_q8_copy_windows(to, to_stride, from, from_step, row_stride, count, rows, row_bytes, 2);
    } else {
        oct_q8_copy_windows(to, to_stride, from, from_step, row_stride, count, rows, row_bytes,
                            (row_bytes + OCT_Q8_WINDOW_CHUNK - 1) / OCT_Q8_WINDOW_CHUNK);
    }
}

#endif
