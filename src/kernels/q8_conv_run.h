/* Int8 convolution, matrix product and fully connected layers for operators: create validates,
 * picks the kernels and packs (once, shared between sessions and threads); setup binds a shape
 * (a plain struct); run only runs and allocates nothing.
 *
 * Layout: activations are u8 and channels-last; a 1-D convolution has height 1; a matrix product
 * A[m][k] x B[k][n] is a 1x1 convolution of batch 1, height 1, width m, in_channels k and
 * out_channels n. All strides between pixels are in elements, so that an input may be a slice of
 * the channels of a wider tensor, and an output a slice of a concatenation.
 *
 * The sum: acc = sum((x - input_zero_point) * (w - weight_zero_point[c])) + bias[c], exactly;
 * padding counts as the zero point. create refuses weights with which an accumulator could leave
 * int32. Groups: any; in_channels / groups each. Depthwise (groups == in_channels ==
 * out_channels) has kernels of its own.
 *
 * Input rows must be readable a little behind their end: 64 bytes behind the tensor, as
 * oct_aligned_alloc gives. */
#ifndef OCT_KERNELS_Q8_CONV_RUN_H
#define OCT_KERNELS_Q8_CONV_RUN_H

#include "base/blocks.h"
#include "kernels/q8_epilogue.h"
#include "kernels/q8_order.h"
#include "octet/status.h"

typedef struct OctQ8ConvParams {
    size_t in_channels, out_channels, groups;
    size_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
    size_t pad_top, pad_left, pad_bottom, pad_right;
    const int8_t *weights; /* [out_channels][kernel_h][kernel_w][in_channels / groups]; not kept */
    bool weights_oihw;     /* they are [out_channels][in_channels / groups][kernel_h][kernel_w] */
    /* For a 1x1 convolution of one group without weight zero points: the distances between output
     * channels and between input channels, if they aren't in_channels and 1; 0 for that. And what
     * every weight is xored with: 0x80 takes 128 off u8. */
    size_t weight_strides[2];
    uint8_t weight_flip;
    const int32_t *bias; /* [out_channels], at scale sx * sw[c], or NULL; not kept */
    uint8_t input_zero_point;
    const int32_t *weight_zero_points; /* NULL: 0; not kept. A nonzero one that takes
                                          w - zero_point out of s8 doubles the work. */
    size_t weight_zero_point_count;    /* 1 or out_channels */
    /* [out_channels]: (sx * sw[c]) / sy for u8 output, sx * sw[c] for f32, NULL for s32; finite.
     * Not kept. */
    const float *multipliers;
    OctQ8Epilogue epilogue; /* copied; its tables must outlive the object */
    OctBlocks *blocks;      /* for the packed weights; must outlive the object. NULL is fine */
} OctQ8ConvParams;

/* params as a 1x1 convolution with everything neutral: groups 1, kernel, stride, dilation 1,
 * no padding. The caller fills in the channels and the data. */
OctQ8ConvParams oct_q8_conv_params(size_t in_channels, size_t out_channels);

typedef struct OctQ8Conv OctQ8Conv;

/* Fails with INVALID_ARGUMENT (sizes of 0, groups that don't divide, zero points out of range),
 * NUMERIC (an accumulator could overflow, a multiplier is not finite), UNSUPPORTED (more than
 * 4096 taps) or OUT_OF_MEMORY. `cpu` is a level, normally octet_get_cpu(). */
OctetStatus oct_q8_conv_create(const OctQ8ConvParams *params, OctetCpu cpu, OctQ8Conv **conv,
                               OctetDiagnostic *diagnostic);
void oct_q8_conv_free(OctQ8Conv *conv); /* NULL is fine */
/* The name of the kernel that was chosen, such as "q8_conv avx512vnni"; static. */
const char *oct_q8_conv_kernel_name(const OctQ8Conv *conv);
/* Bytes that the packed weights take. */
size_t oct_q8_conv_packed_bytes(const OctQ8Conv *conv);

typedef struct OctQ8ConvSetup {
    size_t batch, in_h, in_w, out_h, out_w;
    size_t input_stride;      /* between pixels; at least in_channels */
    size_t output_stride;     /* at least out_channels */
    size_t residual_stride;   /* used if the epilogue adds */
    size_t workspace_bytes;   /* what run needs; 0 is possible */
    size_t macs;              /* multiplications of one run, padding included */
    size_t units, unit_block; /* of the driver: pieces of whole blocks of pixels */
    OctQ8Order order;         /* in which units take pixels */
    OctQ8Epilogue epilogue;   /* what create was given, or oct_q8_conv_use_epilogue */
} OctQ8ConvSetup;

/* Strides of 0 mean the number of channels. Fails with SHAPE where the padded input is smaller
 * than the kernel, and with LIMIT on sizes that overflow. */
OctetStatus oct_q8_conv_setup(const OctQ8Conv *conv, size_t batch, size_t in_h, size_t in_w,
                              size_t input_stride, size_t output_stride, size_t residual_stride,
                              OctQ8ConvSetup *setup, OctetDiagnostic *diagnostic);

/* Replaces what create was given by another epilogue that ends in `kind`, so that packed weights
 * can be shared whatever comes after them. Multipliers must have been given to create if the kind
 * needs them. */
void oct_q8_conv_use_epilogue(const OctQ8Conv *conv, const OctQ8Epilogue *epilogue,
                              OctQ8OutputKind kind, OctQ8ConvSetup *setup);

/* input: [batch][in_h][in_w] pixels; output: [batch][out_h][out_w] pixels of u8, s32 or f32;
 * residual (u8, shaped like the output) may be the output itself unless the convolution is
 * depthwise. workspace: workspace_bytes, aligned to 64, NULL if 0. pool may be NULL. */
void oct_q8_conv_run(const OctQ8Conv *conv, const OctQ8ConvSetup *setup, const uint8_t *input,
                     void *output, const uint8_t *residual, void *workspace, OctetThreadPool *pool);

/* A matrix product of two activations, C[m][n] = A[m][k] x B, both u8 with zero points; B is
 * given as b[k * stride_k + n * stride_n] and packed at run time. multiplier is the one factor
 * for all (as in conv's multipliers; ignored for s32). The result's row stride is output_stride. */
typedef struct OctQ8Matmul {
    size_t m, n, k;
    const uint8_t *a;
    size_t a_stride; /* between rows; rows readable to k rounded up to 4 */
    uint8_t a_zero_point;
    const uint8_t *b;
    size_t b_stride_k, b_stride_n;
    uint8_t b_zero_point;
    float multiplier;
    OctQ8Epilogue epilogue; /* without add */
    void *output;
    size_t output_stride;
} OctQ8Matmul;

/* 0 if the sizes overflow, or if k is so long that an accumulator could (k >= 33025). */
size_t oct_q8_matmul_workspace(OctetCpu cpu, size_t m, size_t n, size_t k);
/* workspace: that many bytes, aligned to 64. */
void oct_q8_matmul_run(OctetCpu cpu, const OctQ8Matmul *matmul, void *workspace,
                       OctetThreadPool *pool);

/* How many tasks share the channels of a unit of `macs` multiplications in `panels` panels: the
 * `wanted` number, or more where one task alone would keep the caller waiting who asks to stop. */
static inline size_t oct_q8_splits(size_t wanted, size_t macs, size_t panels) {
    const size_t long_task = (size_t)1 << 28; /* a millisecond; ordinary layers have less */
    size_t least = macs / long_task + 1;
    size_t splits = wanted > least ? wanted : least;
    return splits < panels ? splits : panels;
}

#endif
