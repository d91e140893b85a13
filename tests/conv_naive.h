/* Convolutions by definition, in double: what the tests of operators compare with. */
#ifndef OCTET_TESTS_CONV_NAIVE_H
#define OCTET_TESTS_CONV_NAIVE_H

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* N, C, spatial layout; unused leading axes are 1. */
typedef struct NaiveConv {
    bool transposed;
    int64_t batch, in_channels, out_channels, groups;
    int64_t in[3], out[3], kernel[3], stride[3], dilation[3], pad[3];
} NaiveConv;

static inline int64_t naive_area(const int64_t *sizes) {
    return sizes[0] * sizes[1] * sizes[2];
}

/* y += the contributions of one (input pixel, output pixel, tap) for all channels. */
static inline void naive_tap(const NaiveConv *c, const double *x, const double *w, double *y,
                             int64_t n, int64_t in, int64_t out, int64_t tap) {
    int64_t ig = c->in_channels / c->groups, og = c->out_channels / c->groups;
    int64_t taps = naive_area(c->kernel);
    for (int64_t g = 0; g < c->groups; g++) {
        for (int64_t o = 0; o < og; o++) {
            for (int64_t i = 0; i < ig; i++) {
                int64_t weight = c->transposed ? ((g * ig + i) * og + o) * taps + tap
                                               : ((g * og + o) * ig + i) * taps + tap;
                y[(n * c->out_channels + g * og + o) * naive_area(c->out) + out] +=
                    x[(n * c->in_channels + g * ig + i) * naive_area(c->in) + in] * w[weight];
            }
        }
    }
}

/* Fills y (bias included; NULL for none). Padding adds nothing: subtract zero points first. */
static inline void naive_conv(const NaiveConv *c, const double *x, const double *w,
                              const double *bias, double *y) {
    const int64_t *many = c->transposed ? c->in : c->out, *other = c->transposed ? c->out : c->in;
    for (int64_t n = 0; n < c->batch; n++) {
        for (int64_t o = 0; o < c->out_channels; o++) {
            for (int64_t i = 0; i < naive_area(c->out); i++) {
                y[(n * c->out_channels + o) * naive_area(c->out) + i] = bias ? bias[o] : 0.0;
            }
        }
        for (int64_t p = 0; p < naive_area(many); p++) {
            for (int64_t t = 0; t < naive_area(c->kernel); t++) {
                int64_t position[3] = {p / (many[1] * many[2]), p / many[2] % many[1], p % many[2]};
                int64_t tap[3] = {t / (c->kernel[1] * c->kernel[2]),
                                  t / c->kernel[2] % c->kernel[1], t % c->kernel[2]};
                int64_t q = 0;
                bool inside = true;
                for (int i = 0; i < 3; i++) {
                    int64_t at = position[i] * c->stride[i] + tap[i] * c->dilation[i] - c->pad[i];
                    inside = inside && at >= 0 && at < other[i];
                    q = q * other[i] + at;
                }
                if (inside) {
                    naive_tap(c, x, w, y, n, c->transposed ? p : q, c->transposed ? q : p, t);
                }
            }
        }
    }
}

/* N, C, area to N, area, C. */
static inline void naive_to_last(size_t size, int64_t batch, int64_t channels, int64_t area,
                                 const void *x, void *y) {
    for (int64_t n = 0; n < batch; n++) {
        for (int64_t c = 0; c < channels; c++) {
            for (int64_t p = 0; p < area; p++) {
                memcpy((char *)y + (size_t)((n * area + p) * channels + c) * size,
                       (const char *)x + (size_t)((n * channels + c) * area + p) * size, size);
            }
        }
    }
}

#endif
