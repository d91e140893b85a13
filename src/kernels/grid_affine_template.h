/* The kernel of grid_affine.h, compiled once an ISA level: a loop that compilers make vectors of.
 * BLOCK channels at a time go through a buffer on the stack: compilers need not fear that y and
 * the parameters are the same memory. */
#include "kernels/grid_affine.h"

#include <math.h>
#include <string.h>

enum { GRID_AFFINE_BLOCK = 32 };

static inline float grid_affine_level(const OctGridAffine *affine, size_t c, float real) {
    real = fmaf(real, affine->multiply[c], affine->shift[c]);
    float low = affine->minimum > real ? affine->minimum : real;
    real = affine->maximum < low ? affine->maximum : low;
    float level = rintf(real / affine->output_scale) + affine->output_zero;
    level = level == level ? level : affine->output_zero;
    level = level < 0.0f ? 0.0f : level;
    return level > 255.0f ? 255.0f : level;
}

static inline float grid_affine_real(const OctGridAffine *affine, size_t c, uint8_t x) {
    return ((float)x - affine->zero[c]) * affine->scale[c];
}

static inline float grid_affine_same(const OctGridAffine *affine, size_t c, float x) {
    (void)affine;
    (void)c;
    return x;
}

#define GRID_AFFINE_RUN(name, type, real)                                                          \
    static void name(const OctGridAffine *given, const type *x, size_t x_stride, uint8_t *y,       \
                     size_t y_stride, size_t pixels, size_t channels) {                            \
        const OctGridAffine affine = *given;                                                       \
        for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride) {                        \
            size_t c = 0;                                                                          \
            for (; c + GRID_AFFINE_BLOCK <= channels; c += GRID_AFFINE_BLOCK) {                    \
                uint8_t block[GRID_AFFINE_BLOCK];                                                  \
                for (size_t i = 0; i < GRID_AFFINE_BLOCK; i++) {                                   \
                    float value = real(&affine, c + i, x[c + i]);                                  \
                    block[i] = (uint8_t)(int32_t)grid_affine_level(&affine, c + i, value);         \
                }                                                                                  \
                memcpy(y + c, block, sizeof block);                                                \
            }                                                                                      \
            for (; c < channels; c++) {                                                            \
                float value = real(&affine, c, x[c]);                                              \
                y[c] = (uint8_t)(int32_t)grid_affine_level(&affine, c, value);                     \
            }                                                                                      \
        }                                                                                          \
    }
GRID_AFFINE_RUN(grid_affine_run, uint8_t, grid_affine_real)
GRID_AFFINE_RUN(grid_affine_run_real, float, grid_affine_same)

static inline uint8_t grid_line_one(const OctGridLine *line, size_t c, uint8_t x) {
    float level = fmaf((float)x, line->multiply[c], line->shift[c]);
    level = level > line->minimum ? level : line->minimum; /* NaN: minimum */
    level = level < line->maximum ? level : line->maximum;
    return (uint8_t)(int32_t)rintf(level);
}

static inline void grid_line_run(const OctGridLine *given, const uint8_t *x, size_t x_stride,
                                 uint8_t *y, size_t y_stride, size_t pixels, size_t channels) {
    const OctGridLine line = *given;
    for (size_t p = 0; p < pixels; p++, x += x_stride, y += y_stride) {
        size_t c = 0;
        for (; c + GRID_AFFINE_BLOCK <= channels; c += GRID_AFFINE_BLOCK) {
            uint8_t block[GRID_AFFINE_BLOCK];
            for (size_t i = 0; i < GRID_AFFINE_BLOCK; i++) {
                block[i] = grid_line_one(&line, c + i, x[c + i]);
            }
            memcpy(y + c, block, sizeof block);
        }
        for (; c < channels; c++) {
            y[c] = grid_line_one(&line, c, x[c]);
        }
    }
}
