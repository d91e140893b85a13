/* What the files of the reduction family share. */
#ifndef OCT_OPS_REDUCE_H
#define OCT_OPS_REDUCE_H

#include "kernels/f32_rows.h"
#include "kernels/f32_vector.h"
#include "kernels/q8_vector.h"
#include "kernels/vmath.h"
#include "ops/ops.h"

typedef enum OctReduction {
    OCT_REDUCE_SUM,
    OCT_REDUCE_MEAN,
    OCT_REDUCE_MAX,
    OCT_REDUCE_MIN,
    OCT_REDUCE_PROD,
    OCT_REDUCE_L1,
    OCT_REDUCE_L2,
    OCT_REDUCE_SUM_SQUARE,
    OCT_REDUCE_LOG_SUM,
    OCT_REDUCE_LOG_SUM_EXP
} OctReduction;

/* The input as [outer][count][inner], of which the middle axis goes away. If the reduced axes do
 * not lie together, the input is transposed first, and inner is 1. */
typedef struct OctReduceForm {
    int64_t outer, count, inner;
    bool transposes;
    int32_t rank; /* of the transposition, axes joined where possible */
    int64_t dims[OCTET_MAX_RANK];
    int32_t order[OCTET_MAX_RANK];
} OctReduceForm;

typedef struct OctReduce {
    const OctNode *node;
    OctReduction reduction;
    bool open; /* axes are read when running */
    OctReduceForm form;
    const OctF32RowsBundle *rows;
    const OctF32VectorBundle *vector;
    const OctVmathBundle *math;
    const OctQ8VectorOps *q8;
    OctQ8Average average; /* of a quantized mean */
    OctetCpu cpu;
} OctReduce;

/* Reduces data that is laid out as the form says (transposed already). */
void oct_reduce_f32(const OctReduce *reduce, const float *input, float *output,
                    OctetThreadPool *pool);
/* On integers of `dtype`, in 64 bits, wrapped; sums of squares and L1 included. */
void oct_reduce_int(const OctReduce *reduce, OctetDType dtype, const void *input, void *output);
/* The mean of u8; `sums` holds inner integers. */
void oct_reduce_mean_u8(const OctReduce *reduce, const uint8_t *input, uint8_t *output,
                        int32_t *sums);

#endif
