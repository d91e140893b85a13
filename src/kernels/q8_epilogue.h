/* What happens to an int32 accumulator of an int8 kernel before it is stored, and the scalar
 * definitions that every ISA reproduces bit for bit. */
#ifndef OCT_KERNELS_Q8_EPILOGUE_H
#define OCT_KERNELS_Q8_EPILOGUE_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* u8 + u8 -> u8 as ONNX Runtime's QLinearAdd computes it on x86 (MLAS, qladd_avx2.cpp):
 *   ratio_a = scale_a / scale_y, ratio_b = scale_b / scale_y                       (float32)
 *   fixed   = float(zero_y) - (ratio_a * zero_a + ratio_b * zero_b)                (float32)
 *   y = clamp(RNE(fma(a, ratio_a, fma(b, ratio_b, fixed))), minimum, maximum)
 * minimum/maximum are 0/255 or narrower where an activation is fused. */
typedef struct OctQ8Add {
    float ratio_a, ratio_b, fixed;
    uint8_t minimum, maximum;
} OctQ8Add;

/* Fills in an addition with the full range [0, 255]. Scales are positive and finite. */
OctQ8Add oct_q8_add_params(float scale_a, int32_t zero_a, float scale_b, int32_t zero_b,
                           float scale_y, int32_t zero_y);

typedef enum OctQ8OutputKind {
    OCT_Q8_OUT_U8 = 0, /* requantized, mode `onnx`, with everything below */
    OCT_Q8_OUT_S32 =
        1,             /* the raw accumulators, bias included; for the other requantization modes */
    OCT_Q8_OUT_F32 = 2 /* float(acc) * multiplier[channel], with multiplier = scale_x * scale_w */
} OctQ8OutputKind;

/* u8 output, in this order:
 *   q = clamp(RNE(float(acc) * multiplier[channel]) + zero_point, minimum, maximum)
 *   q = table[q]                                              if table
 *   q = add(q, residual), residual add(residual, q) if residual_is_a;  if has_add: two roundings,
 *       exactly what a separate oct_q8_add would give
 *   q = add_table[q]                                          if add_table
 * The multipliers (float32, positive or negative, finite) are packed beside the weights. */
typedef struct OctQ8Epilogue {
    OctQ8OutputKind kind;
    uint8_t zero_point, minimum, maximum;
    bool has_add;
    bool residual_is_a;
    OctQ8Add add;
    /* What oct_q8_epilogue_is_bounded says; saves clamps. false is always right. */
    bool bounded;
    const uint8_t *table;     /* 256 entries, or NULL; must outlive the users of this struct */
    const uint8_t *add_table; /* likewise */
} OctQ8Epilogue;

/* Whether no product of an accumulator with one of the multipliers, and no sum of the addition,
 * can reach 2^31, so that conversions to int32 and saturating packs need no clamp before. */
bool oct_q8_epilogue_is_bounded(const OctQ8Epilogue *epilogue, const float *multipliers,
                                size_t count);

/* The u8 output `zero_point` of the full range without table or add. */
static inline OctQ8Epilogue oct_q8_epilogue_u8(uint8_t zero_point) {
    return (OctQ8Epilogue){.kind = OCT_Q8_OUT_U8, .zero_point = zero_point, .maximum = 255};
}

/* Written so that NaN gives `low`, as maxps does. low and high are whole numbers. */
static inline float oct_q8_clampf(float value, float low, float high) {
    value = value > low ? value : low;
    return value < high ? value : high;
}

static inline uint8_t oct_q8_requantize(int32_t acc, float multiplier, uint8_t zero_point,
                                        uint8_t minimum, uint8_t maximum) {
    float value = oct_q8_clampf((float)acc * multiplier, (float)(minimum - zero_point),
                                (float)(maximum - zero_point));
    return (uint8_t)(lrintf(value) + zero_point);
}

static inline uint8_t oct_q8_add_one(const OctQ8Add *add, uint8_t a, uint8_t b) {
    float sum = fmaf((float)a, add->ratio_a, fmaf((float)b, add->ratio_b, add->fixed));
    return (uint8_t)lrintf(oct_q8_clampf(sum, (float)add->minimum, (float)add->maximum));
}

/* One output of kind u8; residual is read only if the epilogue has an addition. */
static inline uint8_t oct_q8_finish_u8(const OctQ8Epilogue *epilogue, int32_t acc, float multiplier,
                                       const uint8_t *residual) {
    uint8_t q = oct_q8_requantize(acc, multiplier, epilogue->zero_point, epilogue->minimum,
                                  epilogue->maximum);
    if (epilogue->table) {
        q = epilogue->table[q];
    }
    if (epilogue->has_add) {
        q = epilogue->residual_is_a ? oct_q8_add_one(&epilogue->add, *residual, q)
                                    : oct_q8_add_one(&epilogue->add, q, *residual);
        if (epilogue->add_table) {
            q = epilogue->add_table[q];
        }
    }
    return q;
}

#endif
