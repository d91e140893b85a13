/* Reductions over contiguous rows. A sum over a row has a fixed order whatever the ISA: 16 partial
 * sums, lane j taking elements j, j + 16, ... in order from 0 on (a short last group adds only its
 * own lanes), combined as lane j + lane j+8, then j+4, j+2, j+1. */
#ifndef OCT_KERNELS_F32_ROWS_H
#define OCT_KERNELS_F32_ROWS_H

#include "octet/status.h"

typedef struct OctF32RowsBundle {
    const char *name;
    OctetCpu cpu;
    float (*sum)(const float *row, size_t count);
    float (*sum_of_squares)(const float *row, size_t count); /* fma(x, x, lane) */
    float (*maximum)(const float *row, size_t count);        /* NaN wins; -INFINITY if empty */
    float (*minimum)(const float *row, size_t count);
    /* e = exp(x - maximum), output = e * (1 / sum(e)) */
    void (*softmax)(const float *row, float *output, size_t count);
    /* (x - maximum) - log(sum(exp(x - maximum))) */
    void (*log_softmax)(const float *row, float *output, size_t count);
    /* mean = sum / count; variance = sum((x - mean)^2) / count;
     * output = fma((x - mean) * (1 / sqrt(variance + epsilon)), scale, shift).
     * scale and shift have `count` values, or are NULL. mean and inverse (1/sqrt) are written
     * where not NULL. */
    void (*layer_norm)(const float *row, const float *scale, const float *shift, float epsilon,
                       float *output, size_t count, float *mean, float *inverse);
    /* total[i] += row[i] */
    void (*accumulate)(const float *row, float *total, size_t count);
} OctF32RowsBundle;

const OctF32RowsBundle *oct_f32_rows_select(OctetCpu cpu);

/* Softmax over the last axis of [rows][count], split among threads. */
void oct_f32_softmax_run(const OctF32RowsBundle *bundle, bool logarithm, const float *input,
                         float *output, size_t rows, size_t count, OctetThreadPool *pool);

#endif
