/* From int32 accumulators to 8-bit outputs, in the arithmetic of four runtimes. Scalar references:
 * the kernels' epilogues must give the same bits. Formulas and sources: docs/numerics.md. */
#ifndef OCT_QUANT_REQUANTIZE_H
#define OCT_QUANT_REQUANTIZE_H

#include "octet/quant.h"

/* What one output channel needs, made once when a layer is prepared. */
typedef struct OctRequantizeChannel {
    float multiplier;      /* onnx, fbgemm, qnnpack */
    float bias;            /* fbgemm: b / (sx * sw), added to float(acc) */
    int32_t bias_integer;  /* the others: added to acc */
    OctetFixedPoint fixed; /* tflite */
} OctRequantizeChannel;

/* Parameters of one channel. `bias` is the float bias; `bias_integer` the stored int32 one, used by
 * `onnx` and, when the float one is not known (has_float_bias false), by all modes. */
typedef struct OctRequantizeInput {
    float input_scale, weight_scale, output_scale;
    bool has_float_bias;
    float bias;
    int32_t bias_integer;
} OctRequantizeInput;
/* Errors: NUMERIC for a NaN bias or a multiplier that is 0, infinite or (tflite) above 2^30. */
OctetStatus oct_requantize_prepare(OctetRequantize mode, const OctRequantizeInput *input,
                                   OctRequantizeChannel *channel, OctetDiagnostic *diagnostic);

/* The output's integers: zero point and the range to clamp to, an activation's clamp included. */
typedef struct OctRequantizeOutput {
    int32_t zero_point;
    int32_t minimum, maximum;
} OctRequantizeOutput;

/* One accumulator (zero-point corrections folded in, bias not) to one output integer. The sum with
 * the integer bias must fit int32: oct_bias_quantize proves it. */
int32_t oct_requantize(OctetRequantize mode, int32_t accumulator,
                       const OctRequantizeChannel *channel, const OctRequantizeOutput *output);

/* rows x channels accumulators, channels last, to u8 or s8 outputs. */
void oct_requantize_rows(OctetRequantize mode, const int32_t *accumulators, int64_t rows,
                         int64_t channels, const OctRequantizeChannel *parameters,
                         const OctRequantizeOutput *output, OctetDType dtype, void *result);

/* TensorFlow Lite's MultiplyByQuantizedMultiplier: (x * mantissa) * 2^(shift - 31) in integers,
 * with two roundings as gemmlowp defines them (doubling high multiply, ties upward; then right
 * shift, ties away from zero) or one (ties upward). A left shift that would overflow saturates. */
int32_t oct_fixed_point_multiply(int32_t x, OctetFixedPoint multiplier);
int32_t oct_fixed_point_multiply_single(int32_t x, OctetFixedPoint multiplier);

/* How the mode's runtime makes integers of floats: PyTorch's by the reciprocal of the scale. It
 * shows in the largest weight, which its symmetric scales put at +-127.5 steps. */
OctetQuantizeRule oct_requantize_quantize_rule(OctetRequantize mode);

/* The int32 bias of each mode from the float one: onnx RNE(b / (sx * sw)) in double; qnnpack
 * RNE(b * (1 / (sx * sw))) in float32; tflite round half away of b / (sx * sw) in double, clamped
 * to
 * +-INT32_MAX. Saturates; NaN is the caller's error. */
int32_t oct_bias_integer(OctetRequantize mode, float bias, float input_scale, float weight_scale);

#endif
