/* From one 8-bit grid to another through a scale and a shift a channel: what is left of
 * Dequantize, BatchNormalization, an activation and Quantize in a row. */
#ifndef OCT_KERNELS_GRID_AFFINE_H
#define OCT_KERNELS_GRID_AFFINE_H

#include "octet/status.h"

/* Arrays have one entry a channel. */
typedef struct OctGridAffine {
    const float *zero, *scale;     /* of the input's grid */
    const float *multiply, *shift; /* of the normalization */
    float minimum, maximum;        /* of the activation; -INFINITY, INFINITY: none */
    float output_scale, output_zero;
} OctGridAffine;

/* y = quantize(clamp(fma((x - zero) * scale, multiply, shift))), every step with the rounding that
 * the operators have by themselves: the product and the fma once each, then division by
 * output_scale, round half to even, + output_zero, clamp to 0..255; NaN gives output_zero. x and y
 * are `pixels` rows of `channels` bytes, x_stride and y_stride apart. */
typedef void (*OctGridAffineKernel)(const OctGridAffine *affine, const uint8_t *x, size_t x_stride,
                                    uint8_t *y, size_t y_stride, size_t pixels, size_t channels);

/* The same from real numbers: zero and scale are not looked at. Strides are in elements. */
typedef void (*OctGridAffineRealKernel)(const OctGridAffine *affine, const float *x,
                                        size_t x_stride, uint8_t *y, size_t y_stride, size_t pixels,
                                        size_t channels);

/* y = clamp(round half to even(fma(x, multiply, shift)), minimum, maximum): all of the above in one
 * step, for bytes. Where it gives the same byte for each of the 256 that a channel can hold, it may
 * take its place. */
typedef struct OctGridLine {
    const float *multiply, *shift; /* one a channel */
    float minimum, maximum;        /* integers from 0 to 255 */
} OctGridLine;
typedef void (*OctGridLineKernel)(const OctGridLine *line, const uint8_t *x, size_t x_stride,
                                  uint8_t *y, size_t y_stride, size_t pixels, size_t channels);

typedef struct OctGridAffineBundle {
    const char *name;
    OctetCpu cpu;
    OctGridAffineKernel run;
    OctGridAffineRealKernel run_real;
    OctGridLineKernel run_line;
} OctGridAffineBundle;

/* The best one at a level; never NULL. */
const OctGridAffineBundle *oct_grid_affine_select(OctetCpu cpu);

#endif
