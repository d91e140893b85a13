/* Pools: what the shape rules and the float and integer implementations share. */
#ifndef OCT_OPS_POOL_H
#define OCT_OPS_POOL_H

#include "ops/layout.h"
#include "ops/ops.h"

typedef enum OctPoolKind { OCT_POOL_MAX, OCT_POOL_AVERAGE, OCT_POOL_LP } OctPoolKind;

typedef struct OctPool {
    OctPoolKind kind;
    bool global;            /* one output a channel, over any number of axes */
    bool count_include_pad; /* average */
    int64_t p;              /* LP */
    bool column_major;      /* of max's indices */
    bool channels_last;
    OctWindow window; /* pads explicit; not for global pools */
    OctImageShape input, output;
} OctPool;

/* Kind and attributes from the node's operator. */
void oct_pool_attributes(const OctNode *node, OctPool *pool);
/* The whole description from a node with concrete shapes. */
OctetStatus oct_pool_of(const OctNode *node, OctPool *pool, OctetDiagnostic *diagnostic);

/* The taps of one output along one axis: input indices first + i * step, i in [0, count), all
 * inside the input; `padded` counts those inside input plus padding as well. */
typedef struct OctTaps {
    int64_t first, count, padded;
} OctTaps;
OctTaps oct_pool_taps(const OctPool *pool, int32_t axis, int64_t output);

OctetStatus oct_pool_prepare_f32(const OctPrepare *prepare, OctPreparedOp *prepared);
/* Element by element: indices, Lp norms, plain integers. */
OctetStatus oct_pool_prepare_generic(const OctPrepare *prepare, OctPreparedOp *prepared);
/* u8 in, u8 out. */
OctetStatus oct_pool_prepare_q8(const OctPrepare *prepare, OctPreparedOp *prepared);

#endif
