/* Weights and bias of a layer as integers, with a proof that its int32 accumulator can't overflow.
 */
#ifndef OCT_QUANT_BIAS_H
#define OCT_QUANT_BIAS_H

#include "octet/quant.h"

/* The integer weights of a layer, seen from its output channels: the accumulator of a channel is
 * sum (x - zx) * (w - zw) over its weights. Output channel g * dims[axis] + m uses index m along
 * `axis` of the g-th of `groups` equal parts of the dimensions before it. */
typedef struct OctWeightLayout {
    OctetShape shape;
    int32_t axis;   /* of the output channels: 0 Conv, 1 ConvTranspose, the last for MatMul */
    int64_t groups; /* 1, but for a ConvTranspose in groups */
    int32_t input_zero_point;
    int32_t input_min, input_max; /* the integers that the input can take */
} OctWeightLayout;

/* The least and greatest value that any partial sum of an accumulator can take, whatever the input:
 * P * (x_min - zx) + N * (x_max - zx) and P * (x_max - zx) + N * (x_min - zx), where P and N are
 * the sums of the channel's positive and negative w - zw. Padding counts as zx. */
typedef struct OctAccumulatorBound {
    int64_t minimum, maximum;
} OctAccumulatorBound;

/* Output channels of a layout, and a check that it is one. */
OctetStatus oct_weight_channels(const OctWeightLayout *layout, int64_t *channels,
                                OctetDiagnostic *diagnostic);
/* The bound of output channel group * dims[axis] + index, from s8 or u8 weights that were checked.
 */
OctAccumulatorBound oct_channel_bound(const OctWeightLayout *layout, const void *weight,
                                      const OctetQParams *qparams, int64_t group, int64_t index);
/* Bounds of all output channels (an array of the caller). */
OctetStatus oct_accumulator_bounds(const OctWeightLayout *layout, const void *weight,
                                   const OctetQParams *qparams, OctAccumulatorBound *bounds,
                                   OctetDiagnostic *diagnostic);
/* True if an accumulator with this bound and bias stays in int32. */
bool oct_bias_fits(OctAccumulatorBound bound, int64_t bias);
/* The same for a float bias that is given as b / (sx * sw): with a margin for the different
 * roundings by which the four modes make an integer of it. */
bool oct_bias_fits_all_modes(OctAccumulatorBound bound, double bias);

/* A layer as it is in float. */
typedef struct OctBiasLayer {
    const char *name;    /* of the node, for messages; may be NULL */
    const float *weight; /* row-major, of layout.shape */
    OctWeightLayout layout;
    const float *bias; /* one per output channel, or NULL */
    float input_scale;
    OctetRequantize mode; /* whose rules make integers of weights and biases */
    bool power_of_two;    /* scales are powers of two and must stay so */
} OctBiasLayer;

/* One bias that did not fit. */
typedef struct OctBiasRepair {
    int64_t channel;            /* of the output */
    float old_scale, new_scale; /* of its weights; equal under OCTET_BIAS_KEEP */
    float bias;
    double bias_before; /* b / (sx * sw), what the integer had to be */
    int32_t bias_after; /* what it is */
} OctBiasRepair;

typedef struct OctBiasResult {
    OctetQParams qparams;        /* of the weights, repaired */
    void *weight;                /* integers of type qparams.dtype, in layout.shape */
    int64_t channels;            /* output channels */
    int32_t *bias;               /* one per output channel; NULL without a bias */
    OctAccumulatorBound *bounds; /* of the accumulators without bias, one per output channel */
    OctBiasRepair *repairs;
    int32_t repair_count, repair_capacity;
    bool leave_float; /* OCTET_BIAS_FLOAT and something did not fit */
} OctBiasResult;

/* Quantizes weights (s8 or u8, per tensor or along layout.axis; by the mode's rule) and bias (scale
 * sx * sw[c], zero point 0, by oct_bias_integer). Where the bias and the worst
 * accumulator of the actual integer weights exceed int32, acts by `policy`: repair takes the least
 * float32 scale that fits and quantizes the channel's weights with it; keep saturates the bias.
 * Under repair, a channel of zeros whose scale is so coarse that the bias would lose bits gets a
 * finer one. Errors, naming the node: NUMERIC for a bias or weight that is not finite and for a
 * bias that no scale makes fit. Free the result with oct_bias_clear. */
OctetStatus oct_bias_quantize(const OctBiasLayer *layer, const OctetQParams *qparams,
                              OctetBiasPolicy policy, OctBiasResult *result,
                              OctetDiagnostic *diagnostic);
void oct_bias_clear(OctBiasResult *result);

/* A stored int32 bias brought to another scale: RNE(stored * from / to); false, and the nearest
 * int32, if that does not fit. */
bool oct_bias_rescale(int32_t stored, double from_scale, double to_scale, int32_t *rescaled);

/* The integer at scale sx * sw of a bias that is stored at `scale` (0: at that product). A scale
 * that is the product, rounded to a float or not, leaves it as it is. False as above. */
bool oct_bias_stored(int32_t stored, double scale, float input_scale, float weight_scale,
                     int32_t *integer);
/* The float32 that a bias stored at `scale` (0: at fl(sx * sw)) stands for: fl(fl(stored) * scale).
 */
float oct_bias_real(int32_t stored, double scale, float input_scale, float weight_scale);

#endif
