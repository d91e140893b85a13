#include "kernels/q8_max_pool.h"

enum { MAX_TAPS = 64 };

bool oct_q8_max_pool_fits(const OctQ8MaxPool *pool) {
    if (pool->kernel_h > MAX_TAPS || pool->kernel_w > MAX_TAPS ||
        pool->kernel_h * pool->kernel_w > MAX_TAPS || pool->pad_top >= pool->kernel_h ||
        pool->pad_left >= pool->kernel_w || pool->out_h == 0 || pool->out_w == 0 ||
        pool->in_h == 0 || pool->in_w == 0) {
        return false;
    }
    /* the last window starts inside the image */
    return (pool->out_h - 1) * pool->stride_h < pool->in_h + pool->pad_top &&
           (pool->out_w - 1) * pool->stride_w < pool->in_w + pool->pad_left;
}

/* A tap outside the image gives way to the nearest inside, which is in the same window. */
static size_t nearest(size_t position, size_t pad, size_t size) {
    size_t inside = position < pad ? 0 : position - pad;
    return inside < size ? inside : size - 1;
}

void oct_q8_max_pool_row(const OctQ8VectorOps *ops, const OctQ8MaxPool *pool, const uint8_t *x,
                         size_t row, uint8_t *y) {
    const uint8_t *lines[MAX_TAPS], *taps[MAX_TAPS];
    size_t channels = pool->channels, count = pool->kernel_h * pool->kernel_w;
    for (size_t r = 0; r < pool->kernel_h; r++) {
        size_t line = nearest(row * pool->stride_h + r, pool->pad_top, pool->in_h);
        lines[r] = x + line * pool->in_w * channels;
    }
    for (size_t p = 0; p < pool->out_w; p++) {
        size_t first = p * pool->stride_w;
        /* between two windows inside the image, pointers just move on */
        bool moves = first >= pool->pad_left + pool->stride_w &&
                     first - pool->pad_left + pool->kernel_w <= pool->in_w;
        for (size_t i = 0; moves && i < count; i++) {
            taps[i] += pool->stride_w * channels;
        }
        for (size_t t = 0; !moves && t < pool->kernel_w; t++) {
            size_t column = nearest(first + t, pool->pad_left, pool->in_w);
            for (size_t r = 0; r < pool->kernel_h; r++) {
                taps[r * pool->kernel_w + t] = lines[r] + column * channels;
            }
        }
        ops->max_rows(taps, count, y + p * channels, channels);
    }
}
