/* Max pooling of u8 images, channels last, a row of outputs at a time. */
#ifndef OCT_KERNELS_Q8_MAX_POOL_H
#define OCT_KERNELS_Q8_MAX_POOL_H

#include "kernels/q8_vector.h"

typedef struct OctQ8MaxPool {
    size_t channels, in_h, in_w, out_h, out_w;
    size_t kernel_h, kernel_w, stride_h, stride_w, pad_top, pad_left; /* dilation 1 */
} OctQ8MaxPool;

/* Whether the function below can do it: every window has a pixel inside the image, and its sizes
 * are moderate. */
bool oct_q8_max_pool_fits(const OctQ8MaxPool *pool);

/* Output row `row` of one image x to y, out_w pixels of `channels`. Padding does not count. */
void oct_q8_max_pool_row(const OctQ8VectorOps *ops, const OctQ8MaxPool *pool, const uint8_t *x,
                         size_t row, uint8_t *y);

#endif
