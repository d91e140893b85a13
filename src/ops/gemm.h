/* Gemm, MatMul and their relatives: what the shape rules and the float and integer
 * implementations share. */
#ifndef OCT_OPS_GEMM_H
#define OCT_OPS_GEMM_H

#include "ops/layout.h"
#include "ops/ops.h"

/* output[b] = A[a_matrix(b)] x B[b_matrix(b)] for b in [0, batch), the batch dimensions broadcast
 * like numpy's. Matrices are m x k and k x n after transposition. */
typedef struct OctProduct {
    bool a_transposed, b_transposed;
    int64_t m, k, n;
    int32_t batch_rank;
    int64_t batch;
    int64_t batch_dims[OCTET_MAX_RANK];
    /* in matrices; 0 along broadcast dimensions */
    int64_t a_strides[OCTET_MAX_RANK], b_strides[OCTET_MAX_RANK];
    int64_t a_count, b_count; /* matrices in A and B */
} OctProduct;

/* The product's output shape as far as it can be known; fills `product` (may be NULL) and sets
 * *complete if all sizes are. */
OctetStatus oct_product_shape(const OctNode *node, const OctetShape *a, const OctetShape *b,
                              OctetShape *y, OctProduct *product, bool *complete,
                              OctetDiagnostic *diagnostic);
/* Of a node whose inputs 0 and 1 are A and B with concrete shapes. */
OctetStatus oct_product_of(const OctNode *node, OctProduct *product, OctetDiagnostic *diagnostic);
/* Which matrices of A and B make output `index`. */
void oct_product_matrices(const OctProduct *product, int64_t index, int64_t *a, int64_t *b);
/* Folds the batch into m where A is not transposed and all share one B: one matrix product. */
void oct_product_collapse(OctProduct *product);
double oct_product_macs(const OctProduct *product);

OctetStatus oct_gemm_prepare_f32(const OctPrepare *prepare, OctPreparedOp *prepared);
OctetStatus oct_gemm_prepare_integer(const OctPrepare *prepare, OctPreparedOp *prepared);
/* For nodes with u8 input A and B either constant and quantized or u8 too. */
OctetStatus oct_gemm_prepare_q8(const OctPrepare *prepare, OctPreparedOp *prepared);

#endif
