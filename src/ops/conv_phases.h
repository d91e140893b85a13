/* Convolutions as matrix products: which inputs make which outputs. A convolution is one product of
 * gathered inputs and weights; a transposed one is a product for each remainder of the output
 * position by the stride, with the taps that reach it. */
#ifndef OCT_OPS_CONV_PHASES_H
#define OCT_OPS_CONV_PHASES_H

#include "ops/conv.h"

/* One product. Output j of an axis is at origin + j * step; its tap t reads the input at
 * j * stride + offset[t]. Unused leading axes have size 1. */
typedef struct OctConvPhase {
    int64_t count[3], origin[3], step[3], stride[3];
    size_t taps;
    int64_t (*offsets)[3]; /* one a tap; far outside for the tap of a phase that has none */
    size_t *kernel_taps;   /* which tap of the kernel it is */
    bool empty_taps;       /* no tap reaches these outputs: only the bias does */
} OctConvPhase;

/* Free with oct_conv_phases_free, after a failure too. */
OctetStatus oct_conv_phases_make(const OctNode *node, const OctConvGeometry *geometry,
                                 OctConvPhase **phases, size_t *phase_count,
                                 OctetDiagnostic *diagnostic);
void oct_conv_phases_free(OctConvPhase *phases, size_t count);

#endif
