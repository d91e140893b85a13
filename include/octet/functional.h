/* Quantized operators on single tensors, as torch.nn.quantized.functional and torch.ops.quantized
 * have them for inference: integers in, integers out, no network to build. The words are PyTorch's,
 * the arithmetic is the engine's, in the requantization mode of the caller's choice.
 *
 * Every function takes tensors with quantization parameters (octet_quantize_per_tensor, ...) and
 * gives a new one that the caller frees; inputs are unchanged. Data is NCHW (NCW, NCDHW), batch
 * first. Errors: SHAPE for shapes that don't fit, INVALID_ARGUMENT for tensors that are not
 * quantized, UNSUPPORTED, NUMERIC, OUT_OF_MEMORY. */
#ifndef OCTET_FUNCTIONAL_H
#define OCTET_FUNCTIONAL_H

#include "octet/graph.h"
#include "octet/quant.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The grid of a result and how it is reached. The result's type is the input's. */
typedef struct OctetQOutput {
    float scale;
    int32_t zero_point;
    OctetRequantize requantize;
    OctetThreadPool *pool; /* NULL: one thread */
} OctetQOutput;

/* ---- layers: weight s8 (or u8), per tensor or per channel, any zero points; bias f32 or NULL ----
 * options->out_channels and options->kernel are read from the weight. */
#define OCTET_DECLARE_CONV(name)                                                                   \
    OCTET_API OctetStatus octet_quantized_##name(                                                  \
        const OctetTensor *input, const OctetTensor *weight, const float *bias,                    \
        const OctetConvOptions *options, const OctetQOutput *output, OctetTensor **result,         \
        OctetDiagnostic *diagnostic)
OCTET_DECLARE_CONV(conv1d);
OCTET_DECLARE_CONV(conv2d);
OCTET_DECLARE_CONV(conv3d);
OCTET_DECLARE_CONV(conv1d_relu);
OCTET_DECLARE_CONV(conv2d_relu);
OCTET_DECLARE_CONV(conv3d_relu);
/* weight: in_channels x out_channels/groups x kernel; output_padding is 0 */
OCTET_DECLARE_CONV(conv_transpose1d);
OCTET_DECLARE_CONV(conv_transpose2d);
OCTET_DECLARE_CONV(conv_transpose3d);
#undef OCTET_DECLARE_CONV

/* input: N x in_features; weight: out_features x in_features */
OCTET_API OctetStatus octet_quantized_linear(const OctetTensor *input, const OctetTensor *weight,
                                             const float *bias, const OctetQOutput *output,
                                             OctetTensor **result, OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_linear_relu(const OctetTensor *input,
                                                  const OctetTensor *weight, const float *bias,
                                                  const OctetQOutput *output, OctetTensor **result,
                                                  OctetDiagnostic *diagnostic);

/* ---- two tensors; shapes broadcast ---- */
#define OCTET_DECLARE_BINARY(name)                                                                 \
    OCTET_API OctetStatus octet_quantized_##name(const OctetTensor *a, const OctetTensor *b,       \
                                                 const OctetQOutput *output, OctetTensor **result, \
                                                 OctetDiagnostic *diagnostic)
OCTET_DECLARE_BINARY(add);
OCTET_DECLARE_BINARY(add_relu);
OCTET_DECLARE_BINARY(mul);
OCTET_DECLARE_BINARY(mul_relu);
OCTET_DECLARE_BINARY(matmul);
#undef OCTET_DECLARE_BINARY
OCTET_API OctetStatus octet_quantized_cat(const OctetTensor *const *tensors, size_t count,
                                          int32_t axis, const OctetQOutput *output,
                                          OctetTensor **result, OctetDiagnostic *diagnostic);

/* ---- a number: the grid moves rather than the integers, as PyTorch does it ---- */
OCTET_API OctetStatus octet_quantized_add_scalar(const OctetTensor *input, double number,
                                                 OctetTensor **result, OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_mul_scalar(const OctetTensor *input, double number,
                                                 OctetTensor **result, OctetDiagnostic *diagnostic);

/* ---- one tensor, on its own grid ---- */
OCTET_API OctetStatus octet_quantized_relu(const OctetTensor *input, OctetTensor **result,
                                           OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_relu6(const OctetTensor *input, OctetTensor **result,
                                            OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_clamp(const OctetTensor *input, float minimum, float maximum,
                                            OctetTensor **result, OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_hardtanh(const OctetTensor *input, float minimum,
                                               float maximum, OctetTensor **result,
                                               OctetDiagnostic *diagnostic);

/* ---- one tensor, to a grid of the caller's ---- */
OCTET_API OctetStatus octet_quantized_leaky_relu(const OctetTensor *input, float slope,
                                                 const OctetQOutput *output, OctetTensor **result,
                                                 OctetDiagnostic *diagnostic);
/* slope: f32, one number or one a channel (axis 1) */
OCTET_API OctetStatus octet_quantized_prelu(const OctetTensor *input, const float *slope,
                                            int64_t slopes, const OctetQOutput *output,
                                            OctetTensor **result, OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_elu(const OctetTensor *input, float alpha,
                                          const OctetQOutput *output, OctetTensor **result,
                                          OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_hardswish(const OctetTensor *input,
                                                const OctetQOutput *output, OctetTensor **result,
                                                OctetDiagnostic *diagnostic);
/* ---- one tensor, to the grid that PyTorch fixes: 1/256 from 0; tanh 2/256 around 0 ---- */
OCTET_API OctetStatus octet_quantized_sigmoid(const OctetTensor *input, OctetTensor **result,
                                              OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_hardsigmoid(const OctetTensor *input, OctetTensor **result,
                                                  OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_tanh(const OctetTensor *input, OctetTensor **result,
                                           OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_softmax(const OctetTensor *input, int32_t axis,
                                              OctetTensor **result, OctetDiagnostic *diagnostic);

/* ---- pooling and moving, on the input's grid ---- */
typedef struct OctetPoolOptions {
    int64_t kernel[3];
    int64_t stride[3];   /* 0: the kernel */
    int64_t padding[3];  /* on both sides */
    int64_t dilation[3]; /* max_pool; 0 counts as 1 */
    bool ceil_mode;
    bool count_include_pad; /* avg_pool */
} OctetPoolOptions;
OCTET_API OctetStatus octet_quantized_max_pool(const OctetTensor *input,
                                               const OctetPoolOptions *options,
                                               OctetTensor **result, OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_avg_pool(const OctetTensor *input,
                                               const OctetPoolOptions *options,
                                               OctetTensor **result, OctetDiagnostic *diagnostic);
/* size: one number for each spatial dimension */
OCTET_API OctetStatus octet_quantized_adaptive_avg_pool(const OctetTensor *input,
                                                        const int64_t *size, OctetTensor **result,
                                                        OctetDiagnostic *diagnostic);
/* Over `count` axes, kept with size 1 if `keep`. */
OCTET_API OctetStatus octet_quantized_mean(const OctetTensor *input, const int64_t *axes,
                                           size_t count, bool keep, OctetTensor **result,
                                           OctetDiagnostic *diagnostic);
/* mode: "nearest" or "bilinear"; sizes: of the spatial dimensions. */
OCTET_API OctetStatus octet_quantized_interpolate(const OctetTensor *input, const int64_t *sizes,
                                                  const char *mode, bool align_corners,
                                                  OctetTensor **result,
                                                  OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_pixel_shuffle(const OctetTensor *input, int64_t factor,
                                                    OctetTensor **result,
                                                    OctetDiagnostic *diagnostic);
/* pads: begin and end of each dimension, from the first; filled with `value`, rounded to the grid
 */
OCTET_API OctetStatus octet_quantized_pad(const OctetTensor *input, const int64_t *begin,
                                          const int64_t *end, float value, OctetTensor **result,
                                          OctetDiagnostic *diagnostic);

/* ---- normalization; parameters f32, one a channel (batch, instance, group) or over the normalized
 * dimensions (layer); scale and shift may be NULL but for batch_norm ---- */
OCTET_API OctetStatus octet_quantized_batch_norm(const OctetTensor *input, const float *scale,
                                                 const float *shift, const float *mean,
                                                 const float *variance, float eps,
                                                 const OctetQOutput *output, OctetTensor **result,
                                                 OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_layer_norm(const OctetTensor *input, int32_t axis,
                                                 const float *scale, const float *shift, float eps,
                                                 const OctetQOutput *output, OctetTensor **result,
                                                 OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_group_norm(const OctetTensor *input, int64_t groups,
                                                 const float *scale, const float *shift, float eps,
                                                 const OctetQOutput *output, OctetTensor **result,
                                                 OctetDiagnostic *diagnostic);
OCTET_API OctetStatus octet_quantized_instance_norm(const OctetTensor *input, const float *scale,
                                                    const float *shift, float eps,
                                                    const OctetQOutput *output,
                                                    OctetTensor **result,
                                                    OctetDiagnostic *diagnostic);

#ifdef __cplusplus
}
#endif
#endif
