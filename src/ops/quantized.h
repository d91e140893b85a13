/* Constants as operators need them, and the arithmetic around quantized nodes. */
#ifndef OCT_OPS_QUANTIZED_H
#define OCT_OPS_QUANTIZED_H

#include "octet/quant.h"
#include "ops/ops.h"

static inline bool oct_is_constant(const OctValue *value) {
    return value && value->constant;
}

/* The real numbers of a constant: its own data or, if it is quantized, a dequantized copy. */
typedef struct OctConstantF32 {
    const float *data; /* NULL for no value */
    OctetTensor *copy;
} OctConstantF32;

/* value may be NULL. Close after success. */
OctetStatus oct_constant_f32_open(const OctValue *value, OctConstantF32 *constant,
                                  OctetDiagnostic *diagnostic);
void oct_constant_f32_close(OctConstantF32 *constant);

/* True for a value of u8 integers with one scale: what int8 kernels take and give. */
bool oct_is_u8(const OctValue *value);

/* How a tensor's elements stand for real numbers: f32 as they are, u8 as (q - zero_point) * scale.
 */
typedef struct OctElement {
    bool quantized;
    float scale;
    uint8_t zero_point;
    size_t size; /* bytes */
} OctElement;
/* OCTET_ERROR_UNSUPPORTED for other types. */
OctetStatus oct_element_of(const OctPrepare *prepare, const OctValue *value, OctElement *element);

/* data[i] = table[data[i]] */
void oct_table_apply(OctetCpu cpu, const uint8_t *table, uint8_t *data, size_t count,
                     OctetThreadPool *pool);
/* The integers between which an activation keeps a result on this u8 grid. */
void oct_activation_u8(const OctActivation *activation, const OctetQParams *qparams,
                       uint8_t *minimum, uint8_t *maximum);

#endif
