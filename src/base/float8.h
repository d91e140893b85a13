/* The four 8-bit floats of ONNX: sign, exponent, mantissa. E4M3FN has no infinities, the FNUZ ones
 * neither infinities nor -0; those are held here as their codes. Source: ONNX's Float stored in 8
 * bits, and the tables of its Cast. */
#ifndef OCT_BASE_FLOAT8_H
#define OCT_BASE_FLOAT8_H

#include "octet/tensor.h"

bool oct_dtype_is_float8(OctetDType dtype);

/* Exact. */
float oct_float8_decode(OctetDType dtype, uint8_t code);

/* Rounds once, half to even. What is then beyond the largest number, infinities among it, becomes
 * the largest number; or without `saturate` infinite where there are infinities, else NaN. */
uint8_t oct_float8_encode(OctetDType dtype, double value, bool saturate);

/* Converts `count` numbers of any type to an 8-bit float; the same type is copied. */
OctetStatus oct_convert_to_float8(OctetDType to, void *destination, OctetDType from,
                                  const void *source, int64_t count, bool saturate,
                                  OctetDiagnostic *diagnostic);

#endif
