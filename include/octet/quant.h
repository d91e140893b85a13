/* The arithmetic of quantization: parameters from ranges, quantize, dequantize, printing,
 * fixed-point multipliers. The formulas and their sources are in docs/numerics.md. */
#ifndef OCTET_QUANT_H
#define OCTET_QUANT_H

#include "octet/tensor.h"

#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* PyTorch's quantization schemes. */
typedef enum OctetQScheme {
    OCTET_PER_TENSOR_AFFINE = 0,
    OCTET_PER_TENSOR_SYMMETRIC = 1,
    OCTET_PER_CHANNEL_AFFINE = 2,
    OCTET_PER_CHANNEL_SYMMETRIC = 3,
    OCTET_PER_CHANNEL_AFFINE_FLOAT_QPARAMS = 4 /* the zero point is a float */
} OctetQScheme;

/* "per_tensor_affine" and so on, never NULL. */
OCTET_API const char *octet_qscheme_name(OctetQScheme qscheme);
OCTET_API bool octet_qscheme_parse(const char *name, OctetQScheme *qscheme);
OCTET_API bool octet_qscheme_is_per_channel(OctetQScheme qscheme);
OCTET_API bool octet_qscheme_is_symmetric(OctetQScheme qscheme);

/* PyTorch's names of the quantized types: "qint8", "quint8", "qint32" ("quint16", "qint16" by
 * analogy). "?" for a type that is not quantized. octet_qdtype_parse also reads "s8", "u8", ... */
OCTET_API const char *octet_qdtype_name(OctetDType dtype);
OCTET_API bool octet_qdtype_parse(const char *name, OctetDType *dtype);

/* How a symmetric scale follows from a = max(-min, max). They differ by half a step in 127. */
typedef enum OctetSymmetry {
    /* PyTorch: s = max(a / ((quant_max - quant_min) / 2), eps); 127.5 for the full s8 range. */
    OCTET_SYMMETRY_PYTORCH = 0,
    /* ONNX Runtime, TensorFlow Lite, ncnn: s = a / min(-quant_min, quant_max), so absmax / 127 for
     * s8; 1 where that is below the smallest normal float. For unsigned types the middle of the
     * range takes the place of 0. */
    OCTET_SYMMETRY_ABSMAX = 1
} OctetSymmetry;

/* What the integers are to be. Zero-initialize, then set dtype and qscheme. */
typedef struct OctetQSpec {
    OctetDType dtype; /* u8, s8, u16, s16, s32, u4, s4 */
    OctetQScheme qscheme;
    OctetSymmetry symmetry;
    bool reduce_range; /* PyTorch's 7 bits: [0,127] and [-64,63]; halves a custom range */
    bool custom_range; /* quant_min and quant_max are set; they must include 0 */
    int32_t quant_min, quant_max;
    float eps; /* least scale of PyTorch's formulas; 0 means 2^-23 */
    /* Scales are raised to the next power of two, for hardware that shifts instead of multiplying;
     * the range is held, zero points follow the scale. */
    bool power_of_two;
} OctetQSpec;

/* The integer range that a spec works with, after custom and reduced ranges. Errors:
 * INVALID_ARGUMENT for a range that is empty, leaves out 0 or does not fit the type. */
OCTET_API OctetStatus octet_qspec_range(const OctetQSpec *spec, int32_t *quant_min,
                                        int32_t *quant_max, OctetDiagnostic *diagnostic);

/* Scale and zero point for values in [minimum, maximum], as PyTorch's observers compute them, all
 * in float32 (UniformQuantizationObserverBase._calculate_qparams). minimum > maximum means that
 * nothing was observed: scale 1, zero point 0 and a warning. NaN and infinite ends are errors
 * (NUMERIC). The scale is always positive, finite and normal; the zero point is in the range. */
OCTET_API OctetStatus octet_choose_qparams(const OctetQSpec *spec, float minimum, float maximum,
                                           float *scale, int32_t *zero_point,
                                           OctetDiagnostic *diagnostic);
/* The same for per_channel_affine_float_qparams: zero_point = -minimum / scale. */
OCTET_API OctetStatus octet_choose_float_qparams(const OctetQSpec *spec, float minimum,
                                                 float maximum, float *scale, float *zero_point,
                                                 OctetDiagnostic *diagnostic);

/* Gives qparams room for `count` scales (1) and zero points (0); axis -1 with count 1 is per
 * tensor. Free with octet_qparams_clear. */
OCTET_API OctetStatus octet_qparams_create(OctetDType dtype, int32_t axis, int64_t count,
                                           OctetQParams *qparams, OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_qparams_copy(const OctetQParams *qparams, OctetQParams *copy,
                                         OctetDiagnostic *diagnostic);
/* Frees the arrays and leaves "not quantized". NULL and zeroed qparams are fine. */
OCTET_API void octet_qparams_clear(OctetQParams *qparams);
OCTET_API bool octet_qparams_equal(const OctetQParams *a, const OctetQParams *b);
/* Checks against a shape: type, axis, count, positive finite scales, zero points in the type's
 * range. */
OCTET_API OctetStatus octet_qparams_check(const OctetQParams *qparams, const OctetShape *shape,
                                          OctetDiagnostic *diagnostic);

/* q = clamp(round_half_even(t) + zero_point). NaN becomes the zero point, infinities saturate. */
typedef enum OctetQuantizeRule {
    /* t = x / scale: ONNX's QuantizeLinear. The library's own rule, used in graphs and engine. */
    OCTET_QUANTIZE_DIVIDE = 0,
    /* t = x * (1 / scale), both in float32: PyTorch's quantize_per_tensor and _per_channel. (For
     * qint32 PyTorch adds the zero point in float32, and so does this rule.) */
    OCTET_QUANTIZE_RECIPROCAL = 1
} OctetQuantizeRule;

/* How many values were not numbers. */
typedef struct OctetQuantizeCounts {
    int64_t nan;
    int64_t infinite;
} OctetQuantizeCounts;

/* Quantizes an f32 tensor (per tensor, per channel along any axis, or by blocks) to integers of
 * type qparams->dtype, which the result carries as its own. counts may be NULL. */
OCTET_API OctetStatus octet_quantize(const OctetTensor *real, const OctetQParams *qparams,
                                     OctetQuantizeRule rule, OctetTensor **quantized,
                                     OctetQuantizeCounts *counts, OctetDiagnostic *diagnostic);
/* PyTorch's torch.quantize_per_tensor: OCTET_QUANTIZE_RECIPROCAL. */
OCTET_API OctetStatus octet_quantize_per_tensor(const OctetTensor *real, float scale,
                                                int32_t zero_point, OctetDType dtype,
                                                OctetTensor **quantized,
                                                OctetDiagnostic *diagnostic);
/* PyTorch's torch.quantize_per_channel; scales and zero_points have one entry for each index along
 * axis (a negative axis counts from the end). */
OCTET_API OctetStatus octet_quantize_per_channel(const OctetTensor *real, const float *scales,
                                                 const int32_t *zero_points, int32_t axis,
                                                 OctetDType dtype, OctetTensor **quantized,
                                                 OctetDiagnostic *diagnostic);
/* x = (q - zero_point) * scale in float32, the difference in exact integers. */
OCTET_API OctetStatus octet_dequantize(const OctetTensor *quantized, OctetTensor **real,
                                       OctetDiagnostic *diagnostic);
/* The integers alone, as a tensor without quantization parameters. */
OCTET_API OctetStatus octet_int_repr(const OctetTensor *quantized, OctetTensor **integers,
                                     OctetDiagnostic *diagnostic);
/* Quantize and dequantize, to see what is lost. */
OCTET_API OctetStatus octet_fake_quantize(const OctetTensor *real, const OctetQParams *qparams,
                                          OctetQuantizeRule rule, OctetTensor **result,
                                          OctetDiagnostic *diagnostic);

/* Writes a tensor as Python prints PyTorch's: values (dequantized if quantized, shortened above
 * 1000 elements), then size, dtype, quantization_scheme, scale, zero_point and axis where they
 * apply. Returns a string that is freed with octet_string_free. */
OCTET_API OctetStatus octet_tensor_format(const OctetTensor *tensor, char **text,
                                          OctetDiagnostic *diagnostic);
/* The same to a stream, with a newline. */
OCTET_API OctetStatus octet_tensor_print(const OctetTensor *tensor, FILE *stream,
                                         OctetDiagnostic *diagnostic);
OCTET_API void octet_string_free(char *text);

/* How int32 accumulators become 8-bit outputs, and how the bias enters: see docs/numerics.md. */
typedef enum OctetRequantize {
    OCTET_REQUANTIZE_ONNX = 0,    /* int32 bias; one float32 multiply by sx * sw / sy */
    OCTET_REQUANTIZE_FBGEMM = 1,  /* the bias stays float: (acc + b / (sx * sw)) * (sx * sw / sy) */
    OCTET_REQUANTIZE_QNNPACK = 2, /* int32 bias by b * (1 / (sx * sw)); (sw * sx) * (1 / sy) */
    OCTET_REQUANTIZE_TFLITE = 3,  /* Q31 mantissa and shift, two roundings; integers only */
    OCTET_REQUANTIZE_TFLITE_SINGLE = 4 /* the same with one rounding */
} OctetRequantize;
/* "onnx", "fbgemm", "qnnpack", "tflite", "tflite-single". */
OCTET_API const char *octet_requantize_name(OctetRequantize mode);
OCTET_API bool octet_requantize_parse(const char *name, OctetRequantize *mode);

/* A positive real as mantissa * 2^(shift - 31), mantissa in [2^30, 2^31) or 0: TensorFlow Lite's
 * QuantizeMultiplier (mantissa rounded half away from zero; 0 when below 2^-32). */
typedef struct OctetFixedPoint {
    int32_t mantissa;
    int32_t shift;
} OctetFixedPoint;
/* Errors: NUMERIC for negative, NaN, infinite; shifts above 30 are refused. */
OCTET_API OctetStatus octet_fixed_point(double multiplier, OctetFixedPoint *fixed,
                                        OctetDiagnostic *diagnostic);
/* octet_fixed_point of the double input_scale * weight_scale / output_scale, computed with integers
 * alone from the scales' bits, to the same mantissa and shift. */
OCTET_API OctetStatus octet_fixed_point_from_scales(float input_scale, float weight_scale,
                                                    float output_scale, OctetFixedPoint *fixed,
                                                    OctetDiagnostic *diagnostic);

/* What to do with a bias that its int32 can't hold together with the worst accumulator. */
typedef enum OctetBiasPolicy {
    OCTET_BIAS_REPAIR = 0, /* raise that channel's weight scale to the least one that fits */
    OCTET_BIAS_KEEP = 1,   /* saturate, as other tools do, and say so */
    OCTET_BIAS_FLOAT = 2   /* leave the layer's bias (and the layer) in float */
} OctetBiasPolicy;
/* "repair", "keep", "float". */
OCTET_API const char *octet_bias_policy_name(OctetBiasPolicy policy);
OCTET_API bool octet_bias_policy_parse(const char *name, OctetBiasPolicy *policy);

#ifdef __cplusplus
}
#endif
#endif
