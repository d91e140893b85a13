/* Sum, difference and product of two u8 tensors in the arithmetic of the modes that are not `onnx`
 * (whose kernels have their own), as a table over all pairs: these modes are for looking, not for
 * speed.
 */
#ifndef OCT_QUANT_REQUANTIZE_PAIRS_H
#define OCT_QUANT_REQUANTIZE_PAIRS_H

#include "octet/quant.h"

enum { OCT_PAIRS = 256 * 256 };

/* The grids of a, b and the output y; minimum and maximum clamp y, an activation's bounds too. */
typedef struct OctPairGrids {
    float a_scale, b_scale, y_scale;
    int32_t a_zero_point, b_zero_point, y_zero_point;
    int32_t minimum, maximum;
} OctPairGrids;

/* table[256 * a + b]; `minus` gives a - b. Formulas and sources: docs/numerics.md. Errors: NUMERIC
 * for scales so far apart that tflite's fixed point can't hold their ratio. */
OctetStatus oct_requantize_add_pairs(OctetRequantize mode, const OctPairGrids *grids, bool minus,
                                     uint8_t table[OCT_PAIRS], OctetDiagnostic *diagnostic);
OctetStatus oct_requantize_multiply_pairs(OctetRequantize mode, const OctPairGrids *grids,
                                          uint8_t table[OCT_PAIRS], OctetDiagnostic *diagnostic);

/* What average pooling multiplies a window's exact sum with, zero points taken off: onnx and
 * qnnpack sx / (sy * count), the others (sx / sy) / count, in float32. */
float oct_requantize_average(OctetRequantize mode, float x_scale, float y_scale, int64_t count);

#endif
