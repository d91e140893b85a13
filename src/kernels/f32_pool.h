/* Pooling in f32, channels-last. */
#ifndef OCT_KERNELS_F32_POOL_H
#define OCT_KERNELS_F32_POOL_H

#include "octet/status.h"

typedef enum OctF32PoolKind {
    OCT_F32_POOL_MAX,
    OCT_F32_POOL_AVERAGE,           /* divides by the number of taps inside the input */
    OCT_F32_POOL_AVERAGE_WITH_PADS, /* divides by the taps inside input plus padding */
} OctF32PoolKind;

/* Arrays are depth, height, width; unused leading axes are 1 (pads 0). The window may reach
 * beyond input + pad_end (ceil mode); such taps never count. */
typedef struct OctF32Pool {
    OctF32PoolKind kind;
    size_t batch, channels;
    size_t input[3], output[3], kernel[3], stride[3], dilation[3];
    int64_t pad_begin[3], pad_end[3];
} OctF32Pool;

/* Max: of the taps inside the input, -INFINITY if there is none; NaN
 * wins. Average: the sum from 0 on of the taps inside, in order of depth, height, width, divided
 * once by the count (as f32); 0 where nothing counts. */
void oct_f32_pool_run(const OctF32Pool *pool, OctetCpu cpu, const float *input, float *output,
                      OctetThreadPool *threads);

/* output[b][c] = sum over p of input[b][p][c] / pixels. Pixels are summed in order within rows of
 * 64 pixels, the sums of rows in order. Also what ReduceMean over the spatial axes does. */
void oct_f32_global_average(size_t batch, size_t pixels, size_t channels, OctetCpu cpu,
                            const float *input, float *output, OctetThreadPool *threads);

#endif
