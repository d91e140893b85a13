/* The portable elementwise int8 kernels. */
#ifndef OCT_KERNELS_Q8_VECTOR_C_H
#define OCT_KERNELS_Q8_VECTOR_C_H

#include "kernels/q8_vector.h"

extern const OctQ8VectorOps oct_q8_vector_c;

/* The scalar definitions, which vector kernels use for ragged ends. */
static inline uint8_t oct_q8_quantize_one(float x, float scale, uint8_t zero_point) {
    float value = x / scale;
    value = value == value ? value : 0.0f;
    value = oct_q8_clampf(value, (float)(0 - zero_point), (float)(255 - zero_point));
    return (uint8_t)(lrintf(value) + zero_point);
}

static inline uint8_t oct_q8_average_one(const OctQ8Average *average, int32_t sum) {
    return oct_q8_requantize(sum + average->bias, average->multiplier, average->zero_point,
                             average->minimum, average->maximum);
}

#endif
