/* What f32_conv.c makes and f32_conv_run.c runs. */
#ifndef OCT_KERNELS_F32_CONV_PRIVATE_H
#define OCT_KERNELS_F32_CONV_PRIVATE_H

#include "kernels/f32_conv_run.h"
#include "kernels/f32_depthwise.h"

/* A transposed convolution is one ordinary convolution for each residue of the output index
 * (plus pad_begin) by the stride: along an axis the taps first, first + step, ... reach it. An
 * ordinary convolution has one phase with all taps. */
typedef struct OctF32ConvPhase {
    size_t residue[3];
    size_t first[3], step[3], taps[3];
    OctBlock packed; /* of floats */
} OctF32ConvPhase;

struct OctF32Conv {
    OctF32ConvSpec spec; /* weights and bias not kept */
    const OctF32GemmBundle *gemm;
    const OctF32DepthwiseBundle *depthwise; /* NULL: gemm is used */
    size_t phase_count;
    OctF32ConvPhase *phases;
    float *zero; /* input channels of a group * width of the kernel */
    size_t bytes;
};

#endif
