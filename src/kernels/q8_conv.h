/* The kernel family behind int8 convolution, matrix product and fully connected layers:
 * u8 activations, s8 weights, int32 accumulators. A bundle is replaced as a whole, so that a
 * packing can never meet the wrong kernel. Operators use q8_conv_run.h, which drives it. */
#ifndef OCT_KERNELS_Q8_CONV_H
#define OCT_KERNELS_Q8_CONV_H

#include "kernels/q8_epilogue.h"
#include "octet/status.h"

/* One call computes `pixels` output pixels by `channels` output channels.
 * An activation row is k bytes; it must be readable up to k rounded up to a multiple of 4 (the
 * bytes behind k do not matter). Nothing outside the outputs asked for is written. */
typedef struct OctQ8ConvArgs {
    size_t pixels;
    size_t taps, k; /* k bytes at each of `taps` rows */
    /* The row of tap t for pixel p is pointers[t * pointer_stride + p] + pointer_offset; if
     * pointers is NULL it is input + p * input_stride, and taps is 1. */
    const uint8_t *const *pointers;
    size_t pointer_stride;
    size_t pointer_offset; /* added to every pointer: the first channel of a group */
    /* A row whose products are all 0, or NULL: a kernel may leave out the tap of a tile all of
     * whose pointers are this one. */
    const uint8_t *padding;
    const uint8_t *input;
    size_t input_stride;
    const void *packed;
    size_t first_channel; /* a multiple of the bundle's nr */
    size_t channels;      /* up to the end of the packed channels, or a multiple of nr */
    /* u8, s32 or f32 as the epilogue says: pixel 0, first_channel; stride in elements between
     * pixels. */
    void *output;
    size_t output_stride;
    const uint8_t *residual; /* laid out like the output; read only if the epilogue adds */
    size_t residual_stride;
    const int32_t *row_bias; /* one summand a pixel, or NULL */
    const OctQ8Epilogue *epilogue;
} OctQ8ConvArgs;

/* Whether the tap with these pointers, one a pixel of a tile of `rows`, can be left out. */
static inline bool oct_q8_is_padding(const OctQ8ConvArgs *args, const uint8_t *const *pointers,
                                     size_t rows) {
    bool padding = pointers[0] == args->padding;
    for (size_t r = 1; r < rows && padding; r++) {
        padding = pointers[r] == args->padding;
    }
    return padding;
}

/* What a packing function reads. Element (channel n, tap t, position i) of the weights is
 * weights[n * channel_stride + t * tap_stride + i * k_stride] ^ flip, so that a transposed matrix
 * or one of u8 (flip 0x80 subtracts 128) is packed without a copy. */
typedef struct OctQ8PackSource {
    const int8_t *weights;
    size_t channel_stride, tap_stride, k_stride;
    uint8_t flip;
    size_t channels, taps, k;
    const int32_t *bias;      /* or NULL; already holds whatever the zero points ask for */
    const float *multipliers; /* one a channel, or NULL */
    /* If not 0, the kernel's accumulator starts at bias[n] - input_zero_point * sum(weights of n),
     * with the sum taken while packing. */
    int32_t input_zero_point;
} OctQ8PackSource;

typedef struct OctQ8ConvBundle {
    const char *name;
    OctetCpu cpu;
    uint32_t nr;        /* channels of a panel */
    uint32_t narrowest; /* channels that the narrowest panel takes as long as fewer; 0: no matter */
    uint32_t pixel_block; /* chunks of a multiple of so many pixels have no ragged tiles */
    /* Pixels of the tiles that compute so many channels, or a multiple of them. NULL: the kernel
     * never leaves out padding. */
    size_t (*padding_tile)(size_t channels);
    size_t (*packed_bytes)(size_t channels, size_t taps, size_t k); /* 0 on overflow */
    /* `packed` is aligned to 64 bytes. */
    void (*pack)(const OctQ8PackSource *source, void *packed);
    void (*kernel)(const OctQ8ConvArgs *args);
    /* A faster bundle for weights that pass oct_q8_pairs_fit, or NULL. */
    const struct OctQ8ConvBundle *for_small_pairs;
} OctQ8ConvBundle;

/* Whether no sum of two neighboring products, at positions 2i and 2i + 1 of a tap, can leave 16
 * bits, whatever the activations: for each of them in every channel, the positive weights sum to at
 * most 128 and the negative ones to at least -128 (255 * 128 < 2^15). */
bool oct_q8_pairs_fit(const OctQ8PackSource *source);

/* The best bundle of `cpu` (a level, see octet_get_cpu). */
const OctQ8ConvBundle *oct_q8_conv_select(OctetCpu cpu);

/* Depthwise: one call computes `pixels` neighboring outputs of one output row, all channels. */
typedef struct OctQ8DepthwiseArgs {
    size_t pixels;
    size_t kernel_h, kernel_w, channels;
    /* The input pixel (`channels` bytes, none behind is read) that output p multiplies with the
     * tap at kernel row r and column t is
     * pointers[r * row_stride + p * stride_w + t * dilation_w]. */
    const uint8_t *const *pointers;
    size_t row_stride;
    size_t stride_w, dilation_w;
    const void *packed;
    void *output;
    size_t output_stride;
    const uint8_t *residual;
    size_t residual_stride;
    const OctQ8Epilogue *epilogue;
} OctQ8DepthwiseArgs;

/* Element (channel c, tap t) is weights[c * channel_stride + t * tap_stride]. */
typedef struct OctQ8DepthwiseSource {
    const int8_t *weights;
    size_t channel_stride, tap_stride;
    size_t channels, kernel_h, kernel_w;
    const int32_t *bias; /* as above */
    const float *multipliers;
    int32_t input_zero_point;
} OctQ8DepthwiseSource;

typedef struct OctQ8DepthwiseBundle {
    const char *name;
    OctetCpu cpu;
    size_t (*packed_bytes)(size_t channels, size_t kernel_h, size_t kernel_w); /* 0 on overflow */
    void (*pack)(const OctQ8DepthwiseSource *source, void *packed);
    void (*kernel)(const OctQ8DepthwiseArgs *args);
} OctQ8DepthwiseBundle;

const OctQ8DepthwiseBundle *oct_q8_depthwise_select(OctetCpu cpu);

#endif
