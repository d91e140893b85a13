/* Convolutions of bytes over three axes, for conv_integer.c. */
#ifndef OCT_OPS_CONV_INTEGER_H
#define OCT_OPS_CONV_INTEGER_H

#include "ops/conv.h"

/* Tensors as ONNX lays them out; bytes of either sign, each with its zero points. */
typedef struct OctDirectConv {
    const OctConvGeometry *geometry; /* of three axes */
    const uint8_t *x, *w;
    bool x_signed, w_signed;
    int32_t x_zero;
    const int32_t *w_zeros; /* one an output channel */
    const int32_t *bias;    /* likewise; NULL for none */
    int32_t *sums;          /* of the output's shape; wrapping around as int32 does */
} OctDirectConv;

void oct_conv_integer_direct(const OctDirectConv *conv, OctetThreadPool *pool);

#endif
