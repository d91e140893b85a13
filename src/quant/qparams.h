/* Quantization parameters, inside. */
#ifndef OCT_QUANT_QPARAMS_H
#define OCT_QUANT_QPARAMS_H

#include "octet/quant.h"

/* Whether all scales are finite and none is negative; whether any is 0. */
bool oct_scales_are_finite(const float *scale, int64_t count);
bool oct_scales_have_zero(const float *scale, int64_t count);
/* Whether all scales are positive and finite and all zero points in the range of the type. */
bool oct_qparams_are_legal(const OctetQParams *qparams);

#endif
