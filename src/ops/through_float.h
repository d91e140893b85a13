/* Quantized nodes that no integer kernel fits: dequantize, compute in float, quantize. What the
 * grids mean, exactly; only slower. */
#ifndef OCT_OPS_THROUGH_FLOAT_H
#define OCT_OPS_THROUGH_FLOAT_H

#include "ops/ops.h"

/* Prepares the node with `prepare_float`, which must not look at the grids of its inputs and
 * outputs other than through constants nor keep prepare->node, and puts conversions around it; a
 * fusion follows as separate steps. */
OctetStatus oct_prepare_through_float(const OctPrepare *prepare, OctPreparedOp *prepared,
                                      OctetStatus (*prepare_float)(const OctPrepare *,
                                                                   OctPreparedOp *));

#endif
