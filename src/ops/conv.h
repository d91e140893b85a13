/* Conv, ConvTranspose and their relatives: what the shape rules and the float and integer
 * implementations share. */
#ifndef OCT_OPS_CONV_H
#define OCT_OPS_CONV_H

#include "kernels/q8_conv_run.h"
#include "ops/layout.h"
#include "ops/ops.h"

/* Sizes of a convolution whose shapes are all known. */
typedef struct OctConvGeometry {
    OctWindow window; /* pads explicit */
    OctImageShape input, output;
    int64_t groups;
    bool transposed, channels_last;
} OctConvGeometry;

/* Output shape (in the node's layout) from the shapes of X and W, as far as it can be known; fills
 * `geometry` if not NULL and all is known (then *complete is true). */
OctetStatus oct_conv_shape(const OctNode *node, bool transposed, const OctetShape *x,
                           const OctetShape *w, OctetShape *y, OctConvGeometry *geometry,
                           bool *complete, OctetDiagnostic *diagnostic);
/* The geometry of a node whose inputs 0 and 1 are X and W with concrete shapes. */
OctetStatus oct_conv_geometry(const OctNode *node, OctConvGeometry *geometry,
                              OctetDiagnostic *diagnostic);
/* Multiply-accumulates of one run; padding counts. */
double oct_conv_macs(const OctConvGeometry *geometry);
/* Taps of the kernel: the product of its sizes. */
int64_t oct_conv_taps(const OctConvGeometry *geometry);

/* Groups, kernel, strides, dilations and pads for the int8 driver; one or two axes. */
void oct_conv_q8_window(const OctConvGeometry *geometry, OctQ8ConvParams *params);

OctetStatus oct_conv_prepare_f32(const OctPrepare *prepare, OctPreparedOp *prepared);
/* Whether the node, computed in int8 from bytes to bytes, can write its pixels further apart than
 * its channels are many: attribute "output_stride", channels-last only. */
bool oct_conv_writes_slices(const OctNode *node);
/* Whether a Conv adds a fused residual, its last input, in such a way that its output may take the
 * residual's memory. */
bool oct_conv_adds_in_place(const OctNode *node);
/* The same of a node that oct_conv_prepare_q8 computes. */
bool oct_conv_q8_adds_in_place(const OctNode *node);
/* For nodes with u8 input and constant quantized weights. */
OctetStatus oct_conv_prepare_q8(const OctPrepare *prepare, OctPreparedOp *prepared);
/* The same for what the kernels' driver has not: three axes, transposition, huge windows. */
OctetStatus oct_conv_prepare_q8_gather(const OctPrepare *prepare, OctPreparedOp *prepared);
/* Transposed convolutions whose kernel is their stride: every input pixel makes a block of its own
 * in the output. */
bool oct_conv_makes_blocks(const OctConvGeometry *geometry);
OctetStatus oct_conv_prepare_q8_blocks(const OctPrepare *prepare, OctPreparedOp *prepared);

#endif
