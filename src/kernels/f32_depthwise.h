/* The f32 depthwise family: every channel has its own filter. Same numerics as f32_gemm.h. */
#ifndef OCT_KERNELS_F32_DEPTHWISE_H
#define OCT_KERNELS_F32_DEPTHWISE_H

#include "kernels/f32_gemm.h"

/* Larger filters take the matrix kernels. */
enum { OCT_F32_DEPTHWISE_MAX_TAPS = 96 };

/* row_count pixels x `channels` channels. */
typedef struct OctF32DepthwiseTile {
    const float *const *rows; /* [taps][mr] pointers to `channels` floats */
    /* NULL, or: rows has only mr pointers, and tap t is tap_offsets[t] elements from them */
    const int64_t *tap_offsets;
    size_t taps;
    const float *weights; /* packed: blocks of cr channels, each [cr] biases, [taps][cr] weights */
    float *output;
    const float *residual; /* same geometry as output, or NULL */
    const size_t *offsets; /* element offset of each pixel in output and residual */
    size_t row_count;      /* 1..mr */
    size_t channels;
    float minimum, maximum;
} OctF32DepthwiseTile;

typedef struct OctF32DepthwiseBundle {
    const char *name;
    OctetCpu cpu;
    size_t mr, cr;
    void (*kernel)(const OctF32DepthwiseTile *tile);
} OctF32DepthwiseBundle;

const OctF32DepthwiseBundle *oct_f32_depthwise_select(OctetCpu cpu);

bool oct_f32_depthwise_packed_floats(const OctF32DepthwiseBundle *bundle, size_t taps,
                                     size_t channels, size_t *floats);
/* Filter weight (tap, channel) is at data[tap * tap_stride + channel * column_stride]; depth is
 * 1, columns are the channels. */
void oct_f32_depthwise_pack(const OctF32DepthwiseBundle *bundle, const OctF32MatrixView *filters,
                            const float *bias, float *packed);

#endif
