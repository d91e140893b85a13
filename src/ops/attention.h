/* What attention.c and attention_past.c share: scaled dot-product attention of com.microsoft. */
#ifndef OCT_OPS_ATTENTION_H
#define OCT_OPS_ATTENTION_H

#include "ops/ops.h"

typedef struct OctAttention {
    OctetCpu cpu;
    bool projects; /* Attention: Q, K, V are products of the input and the weights */
    bool causal;
    bool cached; /* keys and values are gathered behind a past, or for a present */
    size_t batch, heads, queries;
    size_t past, fresh, keys;           /* keys = past + fresh */
    size_t input_size, qk_size, v_size; /* of a whole row: all heads */
    float scale, filter;
    int32_t mask, addend;      /* inputs, -1 for none */
    int64_t addend_strides[2]; /* of batch and head, in elements */
    size_t projection_offset, score_offset, pack_offset, cache_offset; /* in the workspace */
} OctAttention;

/* Q, K or V: rows in memory, strides in floats. */
typedef struct OctAttentionSide {
    const float *data;
    size_t stride; /* of rows */
    size_t batch_stride, head_stride;
} OctAttentionSide;

/* ---- attention_past.c ---- */
/* Reads the past's length and checks its shape; sets past, keys and cached. */
OctetStatus oct_attention_bind_past(const OctPrepare *prepare, OctAttention *attention);
/* Puts the past and the new rows of K and V one behind the other, in the present where the node has
 * one, and lets sides[1] and sides[2] be those. */
void oct_attention_gather(const OctAttention *attention, const OctRun *run,
                          OctAttentionSide *sides);
/* Shapes of the present. */
void oct_attention_infer_present(const OctNode *node);

#endif
