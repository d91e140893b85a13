/* Quantized operators in the very float arithmetic of PyTorch's kernels, where a network of one
 * node would round otherwise. Inputs are quantized tensors that were checked, unless said. */
#ifndef OCT_FUNCTIONAL_ROUNDING_H
#define OCT_FUNCTIONAL_ROUNDING_H

#include "octet/functional.h"

typedef enum OctUnaryRule { OCT_RULE_LEAKY_RELU, OCT_RULE_ELU, OCT_RULE_HARDSWISH } OctUnaryRule;

/* number: slope or alpha. Checks the input. */
OctetStatus oct_quantized_unary(OctUnaryRule rule, const OctetTensor *input, float number,
                                const OctetQOutput *output, OctetTensor **result,
                                OctetDiagnostic *diagnostic);
/* Adds `steps`, less than 2^32, to every integer without its zero point and brings the sums to
 * another scale. */
OctetStatus oct_quantized_shift(const OctetTensor *input, int64_t steps, float scale,
                                int32_t zero_point, OctetTensor **result,
                                OctetDiagnostic *diagnostic);
/* Arrays of input->shape.dims[1]; scale and shift may be NULL. */
OctetStatus oct_quantized_batch_norm(const OctetTensor *input, const float *scale,
                                     const float *shift, const float *mean, const float *variance,
                                     float eps, const OctetQOutput *output, OctetTensor **result,
                                     OctetDiagnostic *diagnostic);
/* Of rank 4. */
OctetStatus oct_quantized_bilinear(const OctetTensor *input, const int64_t *sizes,
                                   bool align_corners, OctetTensor **result,
                                   OctetDiagnostic *diagnostic);
/* Of rank 3 to 5; sizes of 1 and more, and no spatial dimension of 0. Output i averages over inputs
 * from floor(i * in / out) to ceil((i + 1) * in / out). */
OctetStatus oct_quantized_adaptive_pool(const OctetTensor *input, const int64_t *size,
                                        OctetTensor **result, OctetDiagnostic *diagnostic);

/* An empty tensor of like's type on a grid that is checked. */
OctetStatus oct_result_create(const OctetTensor *like, const OctetShape *shape, float scale,
                              int32_t zero_point, OctetTensor **result,
                              OctetDiagnostic *diagnostic);

#endif
