/* The loop around the f32 kernels: splits the outputs into tiles and the tiles among threads. */
#ifndef OCT_KERNELS_F32_DRIVER_H
#define OCT_KERNELS_F32_DRIVER_H

#include "kernels/f32_depthwise.h"
#include "kernels/f32_gemm.h"
#include "kernels/f32_window.h"

/* Every image of the batch, group after group, with one window. */
typedef struct OctF32Job {
    const OctF32GemmBundle *gemm;
    const OctF32DepthwiseBundle *depthwise; /* NULL, or used instead of gemm; groups is 1 */
    OctF32Window window;
    size_t batch, groups;
    size_t columns;      /* output channels of a group */
    const float *packed; /* group after group */
    size_t group_floats;
    size_t input_image, output_image; /* floats between two images */
    const float *input;
    const float *zero; /* as oct_f32_window_rows wants it; not for depthwise */
    const float *residual;
    float *output;
    float minimum, maximum;
} OctF32Job;

/* Runs a job whose `depthwise` is NULL. */
void oct_f32_job_run(const OctF32Job *job, OctetThreadPool *pool);

#endif
