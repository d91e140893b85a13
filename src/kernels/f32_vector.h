/* Elementwise f32 over contiguous arrays. Every function may work in place and gives the same bits
 * at every level, NaN payloads excepted. */
#ifndef OCT_KERNELS_F32_VECTOR_H
#define OCT_KERNELS_F32_VECTOR_H

#include "octet/status.h"

typedef enum OctF32Binary {
    OCT_F32_ADD,
    OCT_F32_SUB,
    OCT_F32_MUL,
    OCT_F32_DIV,
    OCT_F32_MIN, /* b < a or b is NaN ? b : a; a NaN a stays */
    OCT_F32_MAX,
    OCT_F32_BINARY_COUNT
} OctF32Binary;

/* Forms: both vectors, right operand one value, left operand one value. */
typedef void (*OctF32BinaryKernel)(const float *a, const float *b, float *output, size_t count);
typedef void (*OctF32UnaryKernel)(const float *input, float *output, size_t count);

typedef struct OctF32VectorBundle {
    const char *name;
    OctetCpu cpu;
    OctF32BinaryKernel vector_vector[OCT_F32_BINARY_COUNT];
    OctF32BinaryKernel vector_scalar[OCT_F32_BINARY_COUNT]; /* b points to one value */
    OctF32BinaryKernel scalar_vector[OCT_F32_BINARY_COUNT]; /* a points to one value */
    OctF32UnaryKernel negate, absolute, square_root, reciprocal, floor, ceil, round_even;
    OctF32UnaryKernel relu; /* NaN stays, -0 stays */
    void (*clamp)(const float *input, float *output, size_t count, float minimum, float maximum);
    /* x < 0 ? x * slope : x */
    void (*leaky_relu)(const float *input, float *output, size_t count, float slope);
    /* clamp(fma(x, alpha, beta), 0, 1), ONNX HardSigmoid; hard_swish multiplies it by x */
    void (*hard_sigmoid)(const float *input, float *output, size_t count, float alpha, float beta);
    void (*hard_swish)(const float *input, float *output, size_t count, float alpha, float beta);
    /* output[i] = fma(input[i], scale[i], shift[i]): batch normalization of a channels-last row */
    void (*scale_shift)(const float *input, const float *scale, const float *shift, float *output,
                        size_t count);
} OctF32VectorBundle;

const OctF32VectorBundle *oct_f32_vector_select(OctetCpu cpu);

/* output = a OP b with ONNX broadcasting (the shapes aligned at the right; each of rank <= 8).
 * `output_dims` is the broadcast shape. In place where an operand has the output's shape. */
void oct_f32_broadcast(const OctF32VectorBundle *bundle, OctF32Binary op, int32_t a_rank,
                       const int64_t *a_dims, const float *a, int32_t b_rank, const int64_t *b_dims,
                       const float *b, int32_t output_rank, const int64_t *output_dims,
                       float *output, OctetThreadPool *pool);

/* Runs a unary kernel over `count` elements, split among threads. */
void oct_f32_map(OctF32UnaryKernel kernel, const float *input, float *output, size_t count,
                 OctetThreadPool *pool);

#endif
