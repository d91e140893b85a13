/* The loops behind QuantizeLinear and DequantizeLinear. */
#ifndef OCT_OPS_QUANTIZE_H
#define OCT_OPS_QUANTIZE_H

#include "ops/quantized.h"

/* Integers or 8-bit floats over a tensor seen as [outer][axis][inner]; element (o, a, i) has
 * parameter o * outer_stride + a / block * axis_stride + i * inner_stride: one form for per tensor,
 * per axis and by blocks. */
typedef struct OctGrid {
    OctetDType dtype;
    size_t outer, axis, inner;
    size_t block;           /* elements along the axis that share parameters */
    size_t outer_stride;    /* parameters between two o's; 0: the same for all */
    size_t axis_stride;     /* parameters between two blocks */
    size_t inner_stride;    /* 1 if every i has its own, else 0 */
    size_t parameter_count; /* that scale must hold */
    bool overflows;         /* 8-bit floats: not saturating */
} OctGrid;

/* The grid of a tensor with scales of shape `scales`: one number; one an index of `axis`; or with
 * block_size > 0 one a block along axis. OCTET_ERROR_SHAPE where they don't fit. */
OctetStatus oct_grid_make(const OctNode *node, OctetDType dtype, const OctetShape *shape,
                          int64_t axis, int64_t block_size, const OctetShape *scales, OctGrid *grid,
                          OctetDiagnostic *diagnostic);
/* The grid of a value that has qparams. */
OctetStatus oct_grid_of_value(const OctNode *node, const OctValue *value, OctGrid *grid,
                              OctetDiagnostic *diagnostic);

/* zero_point may be NULL: 0, as it is for 8-bit floats. Elements are taken by their storage type.
 */
void oct_grid_quantize(const OctGrid *grid, OctetCpu cpu, const float *scale,
                       const int32_t *zero_point, const float *x, void *y, OctetThreadPool *pool);
void oct_grid_dequantize(const OctGrid *grid, OctetCpu cpu, const float *scale,
                         const int32_t *zero_point, const void *x, float *y, OctetThreadPool *pool);

/* The types that a grid may have: 4-, 8- and 16-bit integers, s32, and 8-bit floats. */
bool oct_grid_dtype(OctetDType dtype);

#endif
