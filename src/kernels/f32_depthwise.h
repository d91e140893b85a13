/* The f32 depthwise family: every channel has its own filter. Same numerics as f32_gemm.h, but taps
 * that lie in the padding are left out of the chain. */
#ifndef OCT_KERNELS_F32_DEPTHWISE_H
#define OCT_KERNELS_F32_DEPTHWISE_H

#include "kernels/f32_gemm.h"

/* Larger filters take the matrix kernels. */
enum { OCT_F32_DEPTHWISE_MAX_TAPS = 96 };

/* row_count neighboring pixels of a line x `channels` channels. */
typedef struct OctF32DepthwiseTile {
    const float *input;         /* what offset 0 and the first pixel read */
    size_t input_step;          /* elements from what a pixel reads to what the next one does */
    size_t taps;                /* taps to take, in this order */
    const int64_t *tap_offsets; /* elements, where each reads */
    const size_t *tap_indices;  /* which of the filter's taps each is */
    const float *weights; /* packed: blocks of cr channels, each [cr] biases, [taps][cr] weights */
    size_t block_floats;  /* between two blocks: cr * (1 + taps of the filter) */
    float *output;
    const float *residual; /* same geometry as output, or NULL */
    size_t output_step;    /* elements between two pixels of the output */
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

struct OctF32Job;
/* Runs a job (f32_driver.h) whose `depthwise` is set. */
void oct_f32_depthwise_run(const struct OctF32Job *job, OctetThreadPool *pool);

#endif
