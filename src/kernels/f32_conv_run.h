/* Convolution and transposed convolution in f32, channels-last: [batch][depth][height][width][C].
 * 1-D and 2-D images have depth (and height) 1. Chooses depthwise or matrix kernels itself.
 *
 * Numerics: f32_gemm.h; k runs over kernel depth, height, width, then input channel of the group,
 * padding counting as zeros. A transposed convolution sums, for each output, the taps that reach
 * it, in the same order. */
#ifndef OCT_KERNELS_F32_CONV_RUN_H
#define OCT_KERNELS_F32_CONV_RUN_H

#include "base/blocks.h"
#include "kernels/f32_gemm.h"

typedef enum OctF32WeightLayout {
    OCT_F32_WEIGHTS_OIHW, /* [output][input per group][depth][height][width]: ONNX Conv */
    OCT_F32_WEIGHTS_OHWI, /* [output][depth][height][width][input per group] */
    OCT_F32_WEIGHTS_IOHW  /* [input][output per group][depth][height][width]: ONNX ConvTranspose */
} OctF32WeightLayout;

/* Arrays are depth, height, width; unused leading axes are 1. */
typedef struct OctF32ConvSpec {
    bool transposed;
    size_t input_channels, output_channels, groups;
    size_t kernel[3], stride[3], dilation[3];
    OctF32WeightLayout layout;
    const float *weights;
    const float *bias; /* output_channels values or NULL */
    OctBlocks *blocks; /* where packed weights take their memory from; NULL: they own it */
} OctF32ConvSpec;

/* Packed weights and chosen kernels. Immutable after its creation, so sessions may share it. */
typedef struct OctF32Conv OctF32Conv;

/* Copies weights and bias. Free with oct_f32_conv_free. */
OctetStatus oct_f32_conv_create(const OctF32ConvSpec *spec, OctetCpu cpu, OctF32Conv **conv,
                                OctetDiagnostic *diagnostic);
void oct_f32_conv_free(OctF32Conv *conv);
size_t oct_f32_conv_bytes(const OctF32Conv *conv);
const char *oct_f32_conv_kernel_name(const OctF32Conv *conv);

/* The sizes of one call. The caller computes `output` (its shape inference has it already);
 * anything beyond the input is padding. For a transposed convolution pad_begin is what is cut off
 * at the start of each axis. */
typedef struct OctF32ConvShape {
    size_t batch;
    size_t input[3], output[3];
    int64_t pad_begin[3];
} OctF32ConvShape;

/* Refuses sizes whose products overflow. */
OctetStatus oct_f32_conv_setup(const OctF32Conv *conv, const OctF32ConvShape *shape,
                               OctetDiagnostic *diagnostic);

typedef struct OctF32ConvCall {
    const float *input;
    const float *residual;  /* NULL, or of the output's shape; may be the output itself */
    float *output;          /* not the input */
    float minimum, maximum; /* -INFINITY, INFINITY: no clamp */
} OctF32ConvCall;

/* Allocates nothing. `shape` has passed setup. */
void oct_f32_conv_run(const OctF32Conv *conv, const OctF32ConvShape *shape,
                      const OctF32ConvCall *call, OctetThreadPool *pool);

#endif
