/* Integer convolutions over three axes: each tap of the kernel adds its product to whole rows. */
#include "ops/conv_integer.h"

/* The outputs [first, last) along one axis whose input lies inside for this tap. */
typedef struct Span {
    int64_t first, last, start; /* start: the input of `first` */
} Span;

static Span inside(const OctWindow *window, int32_t axis, int64_t tap, int64_t input,
                   int64_t output) {
    int64_t stride = window->stride[axis];
    int64_t shift = tap * window->dilation[axis] - window->pad_begin[axis];
    int64_t first = shift < 0 ? (-shift + stride - 1) / stride : 0;
    int64_t last = input > shift ? (input - shift - 1) / stride + 1 : 0;
    last = last < output ? last : output;
    return (Span){first, last, first * stride + shift};
}

/* One tap of one input channel. */
static void add_tap(const OctDirectConv *conv, const int64_t *tap, const uint8_t *x,
                    uint32_t weight, uint32_t *sums) {
    const OctConvGeometry *geometry = conv->geometry;
    const OctWindow *window = &geometry->window;
    const int64_t *in = geometry->input.spatial;
    const int64_t *out = geometry->output.spatial;
    uint8_t flip = conv->x_signed ? 0x80 : 0;
    uint32_t zero = (uint32_t)(conv->x_zero + (conv->x_signed ? 128 : 0));
    Span d = inside(window, 0, tap[0], in[0], out[0]);
    Span h = inside(window, 1, tap[1], in[1], out[1]);
    Span w = inside(window, 2, tap[2], in[2], out[2]);
    for (int64_t i = d.first; i < d.last; i++) {
        int64_t x_d = d.start + (i - d.first) * window->stride[0];
        for (int64_t j = h.first; j < h.last; j++) {
            int64_t x_h = h.start + (j - h.first) * window->stride[1];
            const uint8_t *from = x + (x_d * in[1] + x_h) * in[2] + w.start;
            uint32_t *to = sums + (i * out[1] + j) * out[2] + w.first;
            for (int64_t k = 0; k < w.last - w.first; k++) {
                uint32_t value = (uint8_t)(from[k * window->stride[2]] ^ flip);
                to[k] += (value - zero) * weight;
            }
        }
    }
}

/* One output channel of one sample. */
static void direct_task(void *user, size_t task) {
    const OctDirectConv *conv = user;
    const OctConvGeometry *geometry = conv->geometry;
    const int64_t *kernel = geometry->window.kernel;
    int64_t channels = geometry->output.channels;
    int64_t batch = (int64_t)task / channels;
    int64_t o = (int64_t)task % channels;
    int64_t each = geometry->input.channels / geometry->groups;
    int64_t first = o / (channels / geometry->groups) * each;
    int64_t area = oct_image_shape_area(&geometry->input);
    int64_t count = oct_image_shape_area(&geometry->output);
    uint32_t *sums = (uint32_t *)conv->sums + (int64_t)task * count;
    const uint8_t *w = conv->w + o * each * oct_conv_taps(geometry);
    for (int64_t i = 0; i < count; i++) {
        sums[i] = conv->bias ? (uint32_t)conv->bias[o] : 0;
    }
    for (int64_t c = 0; c < each; c++) {
        const uint8_t *x = conv->x + (batch * geometry->input.channels + first + c) * area;
        int64_t tap[3];
        for (tap[0] = 0; tap[0] < kernel[0]; tap[0]++) {
            for (tap[1] = 0; tap[1] < kernel[1]; tap[1]++) {
                for (tap[2] = 0; tap[2] < kernel[2]; tap[2]++, w++) {
                    int32_t weight = conv->w_signed ? (int8_t)*w : *w;
                    add_tap(conv, tap, x, (uint32_t)(weight - conv->w_zeros[o]), sums);
                }
            }
        }
    }
}

void oct_conv_integer_direct(const OctDirectConv *conv, OctetThreadPool *pool) {
    size_t tasks = (size_t)(conv->geometry->output.batch * conv->geometry->output.channels);
    oct_parallel_for(pool, direct_task, (void *)(uintptr_t)conv, tasks);
}
