/* Powers of two by halving; other lengths as a convolution of a power of two, after Bluestein ("A
 * linear filtering approach to the computation of discrete Fourier transform", 1970): with
 * jk = (j^2 + k^2 - (k - j)^2) / 2, the transform is a product with a chirp, a convolution with the
 * chirp's conjugate, and a product again. All in double and in one order. */
#include "base/patience.h"
#include "kernels/vmath_rare.h"
#include "ops/signal.h"

#include <string.h>

/* Shorter lengths than this take less time by the definition. */
enum { SHORT = 24 };

static bool is_power_of_two(int64_t n) {
    return (n & (n - 1)) == 0;
}

static bool is_short(int64_t n) {
    return n < SHORT && !is_power_of_two(n);
}

/* The length that is halved: n, or what holds a convolution of n with n. */
static int64_t padded_length(int64_t n) {
    int64_t padded = 1;
    while (padded < 2 * n - 1) {
        padded *= 2;
    }
    return is_power_of_two(n) || is_short(n) ? n : padded;
}

size_t oct_fourier_bytes(int64_t n) {
    size_t padded = (size_t)padded_length(n);
    return (3 * padded + (padded == (size_t)n ? 0 : padded + (size_t)n)) * sizeof(OctComplex);
}

double oct_fourier_macs(int64_t n) {
    double padded = (double)padded_length(n);
    double passes = 0;
    for (int64_t left = padded_length(n); left > 1; left /= 2) {
        passes++;
    }
    double once = is_short(n) ? 4 * padded * padded : 2 * padded * passes;
    return padded == (double)n ? once : 2 * once + 12 * padded;
}

static OctComplex multiply(OctComplex a, OctComplex b) {
    return (OctComplex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
}

static OctComplex conjugate(OctComplex a) {
    return (OctComplex){a.re, -a.im};
}

static void by_definition(int64_t n, const OctComplex *turns, OctComplex *line, OctComplex *other) {
    for (int64_t k = 0; k < n; k++) {
        OctComplex sum = {0, 0};
        int64_t turn = 0;
        for (int64_t i = 0; i < n; i++) {
            OctComplex part = multiply(line[i], turns[turn]);
            sum.re += part.re;
            sum.im += part.im;
            turn += k;
            turn -= turn >= n ? n : 0;
        }
        other[k] = sum;
    }
    memcpy(line, other, (size_t)n * sizeof *line);
}

/* Stockham's order: every pass writes sorted results, so that no reversal of bits is needed. */
static void by_halving(int64_t n, const OctComplex *turns, OctComplex *line, OctComplex *other) {
    OctComplex *from = line;
    OctComplex *to = other;
    size_t stint = 0;
    for (int64_t half = n / 2, stride = 1; half >= 1; half /= 2, stride *= 2) {
        if (oct_is_over_after(&stint, (size_t)n)) {
            return;
        }
        for (int64_t p = 0; p < half; p++) {
            OctComplex turn = turns[p * stride];
            for (int64_t q = 0; q < stride; q++) {
                OctComplex a = from[q + stride * p];
                OctComplex b = from[q + stride * (p + half)];
                OctComplex difference = {a.re - b.re, a.im - b.im};
                to[q + stride * 2 * p] = (OctComplex){a.re + b.re, a.im + b.im};
                to[q + stride * (2 * p + 1)] = multiply(difference, turn);
            }
        }
        OctComplex *swap = from;
        from = to;
        to = swap;
    }
    if (from != line) {
        memcpy(line, from, (size_t)n * sizeof *line);
    }
}

static void by_convolution(const OctFourier *fourier) {
    int64_t n = fourier->n;
    int64_t padded = fourier->padded;
    OctComplex *line = fourier->line;
    double scale = 1.0 / (double)padded; /* a power of two */
    for (int64_t k = 0; k < n; k++) {
        line[k] = multiply(line[k], fourier->chirp[k]);
    }
    memset(line + n, 0, (size_t)(padded - n) * sizeof *line);
    by_halving(padded, fourier->turns, line, fourier->other);
    /* backwards is forwards between two conjugations */
    for (int64_t k = 0; k < padded; k++) {
        line[k] = conjugate(multiply(line[k], fourier->filter[k]));
    }
    by_halving(padded, fourier->turns, line, fourier->other);
    for (int64_t k = 0; k < n; k++) {
        OctComplex sum = {line[k].re * scale, -line[k].im * scale};
        line[k] = multiply(sum, fourier->chirp[k]);
    }
}

/* chirp[k] = exp(-pi i k^2 / n), and the transform of its conjugate around 0. */
static void make_chirp(OctFourier *fourier, bool inverse) {
    int64_t n = fourier->n;
    int64_t padded = fourier->padded;
    OctComplex *filter = fourier->filter;
    memset(filter, 0, (size_t)padded * sizeof *filter);
    for (int64_t k = 0; k < n; k++) {
        int64_t turn = k * k % (2 * n);
        OctComplex *chirp = &fourier->chirp[k];
        oct_vmath_turn(inverse ? turn : -turn, 2 * n, &chirp->re, &chirp->im);
        filter[k] = conjugate(*chirp);
        filter[k ? padded - k : 0] = filter[k];
    }
    by_halving(padded, fourier->turns, filter, fourier->other);
}

void oct_fourier_open(OctFourier *fourier, int64_t n, bool inverse, void *workspace) {
    int64_t padded = padded_length(n);
    bool convolves = padded != n;
    OctComplex *numbers = workspace;
    *fourier = (OctFourier){.n = n,
                            .padded = padded,
                            .line = numbers,
                            .other = numbers + padded,
                            .turns = numbers + 2 * padded,
                            .filter = numbers + 3 * padded,
                            .chirp = numbers + 4 * padded};
    size_t stint = 0;
    for (int64_t k = 0; k < padded && !oct_is_over_after(&stint, 100); k++) {
        OctComplex *turn = &fourier->turns[k];
        oct_vmath_turn(inverse && !convolves ? k : -k, padded, &turn->re, &turn->im);
    }
    if (convolves) {
        make_chirp(fourier, inverse);
    }
}

void oct_fourier_run(const OctFourier *fourier) {
    if (fourier->padded != fourier->n) {
        by_convolution(fourier);
    } else if (is_short(fourier->n)) {
        by_definition(fourier->n, fourier->turns, fourier->line, fourier->other);
    } else {
        by_halving(fourier->n, fourier->turns, fourier->line, fourier->other);
    }
}
