/* The x86 levels of the int8 kernels. */
#ifndef OCT_KERNELS_Q8_X86_H
#define OCT_KERNELS_Q8_X86_H

#include "kernels/q8_conv.h"
#include "kernels/q8_vector.h"

extern const OctQ8ConvBundle oct_q8_conv_avx2;
extern const OctQ8ConvBundle oct_q8_conv_pairs_avx2;
extern const OctQ8ConvBundle oct_q8_conv_avxvnni;
extern const OctQ8ConvBundle oct_q8_conv_avx512vnni;
extern const OctQ8DepthwiseBundle oct_q8_depthwise_avx2;
extern const OctQ8DepthwiseBundle oct_q8_depthwise_avxvnni;
extern const OctQ8DepthwiseBundle oct_q8_depthwise_avx512vnni;

extern const OctQ8VectorOps oct_q8_vector_avx2;
extern const OctQ8VectorOps oct_q8_vector_avx512vnni;

/* The entries of oct_q8_vector_avx2, for levels that replace only some of them. */
void oct_q8_lookup_avx2(const uint8_t *table, const uint8_t *x, uint8_t *y, size_t count);
void oct_q8_add_avx2(const OctQ8Add *params, const uint8_t *a, const uint8_t *b, uint8_t *y,
                     size_t count);
void oct_q8_add_scalar_avx2(const OctQ8Add *params, const uint8_t *a, uint8_t b, bool scalar_is_a,
                            uint8_t *y, size_t count);
void oct_q8_mul_avx2(const OctQ8Mul *params, const uint8_t *a, const uint8_t *b, uint8_t *y,
                     size_t count);
void oct_q8_mul_scalar_avx2(const OctQ8Mul *params, const uint8_t *a, uint8_t b, uint8_t *y,
                            size_t count);
void oct_q8_quantize_avx2(const float *x, float scale, uint8_t zero_point, uint8_t *y,
                          size_t count);
void oct_q8_dequantize_avx2(const uint8_t *x, float scale, uint8_t zero_point, float *y,
                            size_t count);
void oct_q8_max_rows_avx2(const uint8_t *const *rows, size_t count, uint8_t *y, size_t channels);
void oct_q8_sum_rows_avx2(const uint8_t *x, size_t stride, size_t count, int32_t *sums,
                          size_t channels);
void oct_q8_sum_pointers_avx2(const uint8_t *const *pointers, size_t count, int32_t *sums,
                              size_t channels);
void oct_q8_average_avx2(const OctQ8Average *params, const int32_t *sums, uint8_t *y,
                         size_t channels);
int32_t oct_q8_sum_avx2(const uint8_t *x, size_t count);
void oct_q8_flip_avx2(const uint8_t *x, uint8_t *y, size_t count);
void oct_q8_quantize_planes_avx2(const float *x, size_t x_stride, float scale, uint8_t zero_point,
                                 uint8_t *y, size_t y_stride, size_t channels, size_t pixels);

#endif
