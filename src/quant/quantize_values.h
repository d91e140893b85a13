/* Loops that quantize and dequantize runs of values with one scale and zero point. */
#ifndef OCT_QUANT_QUANTIZE_VALUES_H
#define OCT_QUANT_QUANTIZE_VALUES_H

#include "octet/quant.h"

/* Where the integers go and how they are clamped. The range must fit dtype and hold zero_point. */
typedef struct OctQuantizeTarget {
    OctetDType dtype;
    float scale;
    int32_t zero_point;
    int64_t minimum, maximum;
    OctetQuantizeRule rule;
} OctQuantizeTarget;

/* The target of a type's full range. */
OctQuantizeTarget oct_quantize_target(OctetDType dtype, float scale, int32_t zero_point,
                                      OctetQuantizeRule rule);
/* One value: the definition that the loops below keep to. */
int64_t oct_quantize_one(float value, const OctQuantizeTarget *target);
/* `count` values to `quantized`, an array of target->dtype. */
void oct_quantize_values(const float *values, int64_t count, const OctQuantizeTarget *target,
                         void *quantized);
void oct_dequantize_values(const void *quantized, OctetDType dtype, int64_t count, float scale,
                           int32_t zero_point, float *values);

#endif
