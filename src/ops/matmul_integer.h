/* The right side of products of integers, packed: see matmul_integer.c. */
#ifndef OCT_OPS_MATMUL_INTEGER_H
#define OCT_OPS_MATMUL_INTEGER_H

#include "kernels/q8_conv_run.h"
#include "ops/gemm.h"

/* One B, packed. */
typedef struct OctPackedB {
    OctQ8Conv *conv;
    int32_t *column_sums;
} OctPackedB;

/* Packs all matrices of B, which is u8 or s8 and not transposed. `zeros` has one number or n; data
 * NULL stands for 0. OCTET_ERROR_NUMERIC if the sums could leave int32. */
OctetStatus oct_packed_b_make(const OctNode *node, const OctProduct *product, OctetCpu cpu,
                              const OctView *b, const OctView *zeros, OctPackedB **packed,
                              OctetDiagnostic *diagnostic);
void oct_packed_b_free(OctPackedB *packed, int64_t count); /* NULL is fine */

#endif
