/* How a layer's bias and accumulators become bytes, number by number. */
#ifndef OCTET_EXPLAIN_H
#define OCTET_EXPLAIN_H

#include "octet/graph.h"
#include "octet/quant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One output channel. Real numbers that the arithmetic rounds are given unrounded, in double. */
typedef struct OctetChannelExplanation {
    int64_t channel;
    float input_scale, weight_scale, output_scale; /* output_scale 0: the output stays in float */
    int32_t input_zero_point, weight_zero_point, output_zero_point;
    int32_t output_minimum, output_maximum; /* the bytes' range, an activation's bounds included */

    bool has_bias;
    bool bias_known;         /* the float bias is: from the graph, or from the original node */
    double bias;             /* in float; if not known, what the stored integer stands for */
    double bias_scale;       /* input_scale * weight_scale */
    double bias_exact;       /* bias / bias_scale, what the integer should be */
    bool bias_stays_real;    /* fbgemm: the float bias, or what a stored integer stands for */
    bool bias_stored;        /* the graph has the integer, whatever rule it was made by */
    int32_t bias_integer;    /* what is added to the accumulator, in fbgemm only stored */
    double bias_added;       /* the same; in fbgemm fl(bias / fl(input_scale * weight_scale)) */
    int32_t bias_by_rule;    /* what the mode makes of `bias` */
    double bias_error;       /* what is added less bias, in real units */
    double bias_error_limit; /* half a unit of the accumulator: the greatest error of rounding */

    int64_t weight_count, weight_sum; /* of w - weight_zero_point */
    int64_t stored_weight_sum;        /* of w */
    /* -input_zero_point * weight_sum, folded into the bias: -input_zero_point * stored_weight_sum
     * for the input's zero point, and weight_count * input_zero_point * weight_zero_point for that
     * of the weights. What else the weights' zero point takes, -weight_zero_point times the sum of
     * the stored inputs, differs for every output. */
    int64_t zero_point_correction;
    int64_t accumulator_minimum, accumulator_maximum; /* for any input, the bias left out */
    double int32_share; /* the largest accumulator with its bias, as a part of 2^31 */

    double exact_multiplier; /* input_scale * weight_scale / output_scale */
    float multiplier;        /* what the mode multiplies by, in float32 */
    OctetFixedPoint fixed;   /* the same for integer-only targets; 0 if it can't be */

    /* One output, all inputs being the integer nearest to 1.0 (or the greatest there is). */
    int32_t example_input;
    int64_t example_accumulator; /* sum of (x - zero point) * (w - zero point) */
    int64_t example_sum;         /* with the integer bias */
    double example_steps;        /* times the multiplier, before rounding */
    int32_t example_output;      /* the byte */
    double example_exact;        /* what float arithmetic gives on the same real numbers */
} OctetChannelExplanation;

typedef struct OctetLayerExplanation {
    const char *name, *op_type; /* belong to the graph */
    OctetRequantize mode;
    int64_t channel_count;
    OctetChannelExplanation *channels;
    int64_t worst_bias; /* the channel whose bias errs (or can err) by most output steps */
    int64_t tightest;   /* the channel that uses most of int32 */
} OctetLayerExplanation;

/* True for a Conv, ConvTranspose, Gemm or MatMul whose input and constant weights are 8-bit. */
OCTET_API bool octet_node_explainable(const OctetNode *node);

/* Explains all output channels of a layer in the arithmetic of `mode`. `original` may be the same
 * layer of the float network, whose bias then says how far the integer is off; NULL if there is
 * none. Free with octet_explanation_clear. Errors: UNSUPPORTED for other nodes, NUMERIC for a bias
 * or scales that the mode can't work with. */
OCTET_API OctetStatus octet_explain_layer(const OctetNode *node, const OctetNode *original,
                                          OctetRequantize mode, OctetLayerExplanation *explanation,
                                          OctetDiagnostic *diagnostic);
/* One output worked out from the integers that went into it. */
typedef struct OctetPixelExplanation {
    OctetChannelExplanation channel; /* the example is this output */
    int32_t rank;
    int64_t position[OCTET_MAX_RANK]; /* in the output */
    int64_t count;                    /* products; those with the padding, all 0, are left out */
    int32_t *inputs, *weights;        /* stored integers */
    /* accumulator = product_sum - input_zero_point * weight_sum - weight_zero_point * input_sum
     *               + count * input_zero_point * weight_zero_point */
    int64_t product_sum, input_sum, weight_sum;
} OctetPixelExplanation;

/* Explains output `channel` at `position` (an index of the output, whose channel is not looked at;
 * NULL: the middle of the first sample) for `input`: the layer's whole input, as integers (dtype
 * u8 or s8) or as f32, which is quantized. Free with octet_pixel_clear. Errors: as above, and
 * INVALID_ARGUMENT for a channel or position outside, SHAPE for an input that does not fit. */
OCTET_API OctetStatus octet_explain_pixel(const OctetNode *node, const OctetNode *original,
                                          OctetRequantize mode, const OctetTensor *input,
                                          int64_t channel, const int64_t *position,
                                          OctetPixelExplanation *explanation,
                                          OctetDiagnostic *diagnostic);
OCTET_API void octet_pixel_clear(OctetPixelExplanation *explanation);

OCTET_API void octet_explanation_clear(OctetLayerExplanation *explanation);

#ifdef __cplusplus
}
#endif
#endif
