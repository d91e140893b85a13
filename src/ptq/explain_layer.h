/* What explaining a layer and explaining one of its outputs share. */
#ifndef OCT_PTQ_EXPLAIN_LAYER_H
#define OCT_PTQ_EXPLAIN_LAYER_H

#include "ir/graph.h"
#include "octet/explain.h"
#include "quant/bias.h"
#include "quant/requantize.h"

/* A layer while it is explained. */
typedef struct OctExplained {
    const OctNode *node;
    const OctValue *input, *weight, *bias, *output, *original_bias;
    OctWeightLayout layout;
    OctetRequantize mode;
    OctAccumulatorBound *sums; /* of each channel's negative and positive weights */
    int64_t channels;
} OctExplained;

/* Close after success and failure. */
OctetStatus oct_explained_open(const OctNode *node, const OctNode *original, OctetRequantize mode,
                               OctExplained *layer, OctetDiagnostic *diagnostic);
void oct_explained_close(OctExplained *layer);

/* Fills all about channel e->channel but the example, and what the mode computes it with. */
OctetStatus oct_explain_channel(const OctExplained *layer, OctetChannelExplanation *e,
                                OctRequantizeChannel *parameters, OctetDiagnostic *diagnostic);
/* From a sum of products (without the bias) to the byte: fills the example's numbers. */
void oct_explain_sum(const OctExplained *layer, const OctRequantizeChannel *parameters,
                     int64_t accumulator, OctetChannelExplanation *e);

#endif
