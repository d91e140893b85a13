/* Tables of 256 entries: any function of one 8-bit tensor, computed once when prepared. Tables are
 * indexed by, and hold, the bytes as stored (u8, or the bit pattern of s8). */
#ifndef OCT_OPS_TABLE_U8_H
#define OCT_OPS_TABLE_U8_H

#include "ops/ops.h"

/* f over `count` floats; in place allowed. */
typedef void (*OctTableFunction)(const void *context, const float *input, float *output,
                                 size_t count);

bool oct_table_same_grid(const OctValue *a, const OctValue *b);
/* clamp(RNE(x / scale) + zero_point) on the grid of an output; NaN gives the zero point. */
int32_t oct_table_quantize(const OctetQParams *grid, float x);
/* table[q] = quantize(f(dequantize(q))), then clamped by `activation` (may be NULL) on the real
 * side. function NULL: the identity, which is requantization. The values' storage must be u8 or
 * s8, else OCTET_ERROR_UNSUPPORTED. */
OctetStatus oct_table_build(const OctPrepare *prepare, const OctValue *input,
                            const OctValue *output, OctTableFunction function, const void *context,
                            const OctActivation *activation, uint8_t *table);
OctetStatus oct_table_requantize(const OctPrepare *prepare, const OctValue *input,
                                 const OctValue *output, uint8_t *table);
/* A prepared operator that looks every element of input `input` up in a table built as above for
 * output 0 with the node's activation. */
OctetStatus oct_table_prepare(const OctPrepare *prepare, int32_t input, OctTableFunction function,
                              const void *context, OctPreparedOp *prepared);
/* Likewise with a finished table, which is copied. */
OctetStatus oct_table_prepare_bytes(const OctPrepare *prepare, int32_t input, const uint8_t *table,
                                    OctPreparedOp *prepared);
/* The table of an operator that was prepared by one of the two, NULL for any other: what lets the
 * engine fuse the lookup into the node before. */
const uint8_t *oct_table_of(const OctPreparedOp *prepared);
/* True if node's first input and output are quantized to 8 bits. */
bool oct_table_possible(const OctNode *node);

#endif
