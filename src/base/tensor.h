/* Sizes of tensors, and conversion between element types. */
#ifndef OCT_BASE_TENSOR_H
#define OCT_BASE_TENSOR_H

#include "base/mapping.h"
#include "octet/tensor.h"

/* The bytes that a tensor takes, checked: unknown dimensions, overflow and strings are errors. */
OctetStatus oct_tensor_bytes(OctetDType dtype, const OctetShape *shape, size_t *bytes,
                             OctetDiagnostic *diagnostic);

/* The type that values of a file's type are held and computed in: f32 for every float type. */
OctetDType oct_dtype_computed(OctetDType dtype);

/* Converts `count` elements as ONNX's Cast does: float to integer truncates toward zero and
 * saturates (NaN gives 0), to bool is "not 0", integer to integer wraps, 8-bit floats saturate. */
OctetStatus oct_convert(OctetDType to, void *destination, OctetDType from, const void *source,
                        int64_t count, OctetDiagnostic *diagnostic);

/* A tensor over bytes of a mapping, to which it keeps a reference; bytes must match shape. The data
 * is read-only, whatever its type says. */
OctetStatus oct_tensor_map(OctetDType dtype, const OctetShape *shape, OctMapping *mapping,
                           const void *data, OctetTensor **tensor, OctetDiagnostic *diagnostic);
/* A tensor of the same shape and data without qparams: over the same mapping if there is one, else
 * a copy. */
OctetStatus oct_tensor_share(const OctetTensor *tensor, OctetTensor **shared,
                             OctetDiagnostic *diagnostic);

float oct_f16_to_f32(uint16_t bits);
uint16_t oct_f32_to_f16(float value); /* round half to even */
float oct_bf16_to_f32(uint16_t bits);
uint16_t oct_f32_to_bf16(float value); /* round half to even */

#endif
