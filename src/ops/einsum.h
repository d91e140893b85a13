/* Einsum's equation, and its form as a product of matrices. */
#ifndef OCT_OPS_EINSUM_H
#define OCT_OPS_EINSUM_H

#include "ops/ops.h"

enum {
    OCT_EINSUM_OPERANDS = 8,
    OCT_EINSUM_LABELS = 24,
    OCT_EINSUM_ELLIPSIS =
        128 /* labels from here on are the axes of the ellipsis, counted from its end */
};

/* Labels of one operand's axes, or of the output's. */
typedef struct OctEinsumTerm {
    int32_t count;
    uint8_t labels[OCT_EINSUM_LABELS];
    int32_t ellipsis; /* where it stands among the labels; -1: nowhere */
} OctEinsumTerm;

typedef struct OctEinsumEquation {
    int32_t operands;
    OctEinsumTerm terms[OCT_EINSUM_OPERANDS];
    OctEinsumTerm output;
    bool explicit_output;
} OctEinsumEquation;

/* Two operands as batches of matrices A[m][k] and B[k][n], after a permutation of their axes each,
 * with another one of the result. Same bits as the loops of einsum.c. */
typedef struct OctEinsumMatmul {
    bool fits;
    int64_t batch, m, n, k;
    int32_t ranks[3];                /* of A, B and the result */
    int64_t dims[3][OCTET_MAX_RANK]; /* before the permutation */
    int32_t order[3][OCTET_MAX_RANK];
    bool moves[3];     /* the permutation does something */
    size_t offsets[4]; /* in the workspace: A, B, result, the product's own */
    size_t workspace_bytes;
    OctetCpu cpu;
} OctEinsumMatmul;

/* Every axis has its label, dims gives their sizes. Leaves `fits` false where the loops are needed:
 * for other than two operands, repeated labels, broadcasting, sums over one operand alone. */
void oct_einsum_matmul_plan(const OctNode *node, const OctEinsumEquation *equation,
                            const int64_t *dims, OctetCpu cpu, OctEinsumMatmul *matmul);
void oct_einsum_matmul_run(const OctEinsumMatmul *matmul, const float *a, const float *b,
                           float *output, void *workspace, OctetThreadPool *pool);

#endif
