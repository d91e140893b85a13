/* Where a sliding window reads and writes: the indirection of convolution and pooling, computed a
 * tile at a time instead of being stored. Images are channels-last with up to three spatial axes
 * (depth, height, width). */
#ifndef OCT_KERNELS_F32_WINDOW_H
#define OCT_KERNELS_F32_WINDOW_H

#include "octet/status.h"

/* Output j in [0, count) and tap t in [0, taps) read input index j * stride + origin + t * step,
 * where inside [0, input); output j lies at index output_origin + j * output_step. */
typedef struct OctF32WindowAxis {
    int64_t input, count, stride, origin, step, taps;
    int64_t output_origin, output_step, output;
} OctF32WindowAxis;

typedef struct OctF32Window {
    OctF32WindowAxis axis[3];
    size_t input_pixel; /* floats between two neighboring input pixels */
    size_t output_pixel;
    size_t channels; /* floats read at a pixel */
    bool linear;     /* one tap, and pixel i reads input pixel i and is output pixel i */
} OctF32Window;

/* Sets `linear` from the axes. */
void oct_f32_window_finish(OctF32Window *window);

size_t oct_f32_window_pixels(const OctF32Window *window);
size_t oct_f32_window_taps(const OctF32Window *window);

/* `count` pixels of the output from some pixel on, in order of depth, height, width. */
typedef struct OctF32WindowTile {
    int64_t start[3][16]; /* input index of tap 0, an axis and a pixel */
    int64_t base[16];     /* element offset in the input of tap 0, where that is inside */
    size_t count;
    bool inside; /* every tap of every pixel lies in the input */
    bool joined; /* taps along the width are contiguous in memory and inside for every pixel */
    size_t taps; /* number of pointers a pixel: along the width one if joined */
} OctF32WindowTile;

/* Prepares a tile of at most 16 pixels and writes their element offsets in the output. */
void oct_f32_window_tile(const OctF32Window *window, size_t first, size_t count, bool may_join,
                         OctF32WindowTile *tile, size_t *offsets);
/* Writes rows[(tap - first_tap) * mr + pixel] for taps [first_tap, first_tap + tap_count). Taps
 * outside the input point to `zero`, which holds channels * width taps zeros. */
void oct_f32_window_rows(const OctF32Window *window, const OctF32WindowTile *tile,
                         const float *input, const float *zero, size_t mr, size_t first_tap,
                         size_t tap_count, const float **rows);

#endif
