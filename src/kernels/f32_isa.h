/* What the levels offer to the ladders of the f32 families. */
#ifndef OCT_KERNELS_F32_ISA_H
#define OCT_KERNELS_F32_ISA_H

#include "kernels/f32_depthwise.h"
#include "kernels/f32_gemm.h"
#include "kernels/f32_rows.h"
#include "kernels/f32_vector.h"
#include "kernels/vmath.h"

/* A box of taps in a channels-last image; step in floats, axes depth, height, width. */
typedef struct OctF32PoolBox {
    const float *data;
    size_t count[3], step[3];
} OctF32PoolBox;

typedef struct OctF32PoolBundle {
    const char *name;
    OctetCpu cpu;
    void (*maximum)(const OctF32PoolBox *box, size_t channels, float *output);
    void (*average)(const OctF32PoolBox *box, size_t channels, float divisor, float *output);
    /* of `pixels` pixels, `stride` floats apart */
    void (*column_average)(const float *input, size_t pixels, size_t stride, size_t channels,
                           float *output);
} OctF32PoolBundle;

#define OCT_F32_LEVEL(level)                                                                       \
    extern const OctF32GemmBundle oct_f32_gemm_##level;                                            \
    extern const OctF32DepthwiseBundle oct_f32_depthwise_##level;                                  \
    extern const OctF32VectorBundle oct_f32_vector_##level;                                        \
    extern const OctF32RowsBundle oct_f32_rows_##level;                                            \
    extern const OctF32PoolBundle oct_f32_pool_##level;                                            \
    extern const OctVmathBundle oct_vmath_##level;

OCT_F32_LEVEL(portable)
#if defined(__x86_64__)
OCT_F32_LEVEL(avx2)
OCT_F32_LEVEL(avx512vnni)
#elif defined(__aarch64__)
OCT_F32_LEVEL(neon)
#endif

#endif
