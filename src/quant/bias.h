/* Weights and bias of a layer as integers, with a proof that its int32 accumulator can't overflow.
 */
#ifndef OCT_QUANT_BIAS_H
#define OCT_QUANT_BIAS_H

#include "octet/observer.h"

/* A layer as it is in float. The weights seen from the output channel: `channels` rows along
 * `axis`, every row multiplied with inputs of the same quantization. */
typedef struct OctBiasLayer {
    const char *name;    /* for messages; may be NULL */
    const float *weight; /* row-major, shape weight_shape */
    OctetShape weight_shape;
    int32_t axis;      /* of the output channels in the weight: 0 Conv, 1 ConvTranspose */
    int64_t groups;    /* 1, but for ConvTranspose whose axis 1 repeats for each group */
    const float *bias; /* one per output channel, or NULL */
    float input_scale;
    int32_t input_zero_point;
    int32_t input_min, input_max; /* integers that the input can take */
} OctBiasLayer;

/* One bias that did not fit, or that was saturated. */
typedef struct OctBiasRepair {
    int64_t channel;
    float old_scale, new_scale; /* of the channel's weights; equal under OCTET_BIAS_KEEP */
    float bias;
    double bias_before; /* b / (sx * sw), what the integer had to be */
    int32_t bias_after; /* what it is */
} OctBiasRepair;

typedef struct OctBiasResult {
    OctetQParams qparams;                       /* of the weights, repaired */
    void *weight;                               /* integers of type qparams.dtype, same shape */
    int32_t *bias;                              /* one per output channel; NULL without a bias */
    int64_t *accumulator_min, *accumulator_max; /* bounds per output channel, bias included, of
                                                   sum (x - zx) (w - zw) + bias and its prefixes */
    int64_t channels;                           /* output channels */
    OctBiasRepair *repairs;
    int64_t repair_count;
    bool leave_float; /* OCTET_BIAS_FLOAT and something did not fit */
} OctBiasResult;

/* Quantizes weights (with `qparams`, by division, RNE) and bias (scale sx * sw[c], zero point 0,
 * RNE of b / (sx * sw) in double). Where |bias| and the worst accumulator of the actual integer
 * weights exceed int32, acts by `policy`. Errors: NUMERIC for a NaN or infinite bias or weight,
 * and if no scale can make a bias fit. Free the result with oct_bias_clear. */
OctetStatus oct_bias_quantize(const OctBiasLayer *layer, const OctetQParams *qparams,
                              OctetBiasPolicy policy, OctBiasResult *result,
                              OctetDiagnostic *diagnostic);
void oct_bias_clear(OctBiasResult *result);

/* Bounds of the accumulator of one channel: the least and greatest value that any partial sum of
 * (x - zx) * (w[i] - zw), and of the raw x * w[i], can take over x in [input_min, input_max], from
 * the sums of the positive and the negative integer weights. */
typedef struct OctAccumulatorBound {
    int64_t minimum, maximum;
} OctAccumulatorBound;
OctAccumulatorBound oct_accumulator_bound(int64_t positive_sum, int64_t negative_sum,
                                          int32_t input_zero_point, int32_t input_min,
                                          int32_t input_max);

/* A stored int32 bias brought to another scale: RNE(q * from / to), saturated; false if it was
 * saturated. */
bool oct_bias_rescale(int32_t stored, double from_scale, double to_scale, int32_t *rescaled);

#endif
