#include "kernels/vmath_rare.h"
#include "ops/signal.h"

#include <string.h>

void oct_fourier_turns(int64_t n, bool inverse, OctComplex *turns) {
    for (int64_t k = 0; k < n; k++) {
        oct_vmath_turn(inverse ? k : -k, n, &turns[k].re, &turns[k].im);
    }
}

static OctComplex multiply(OctComplex a, OctComplex b) {
    return (OctComplex){a.re * b.re - a.im * b.im, a.re * b.im + a.im * b.re};
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
    for (int64_t half = n / 2, stride = 1; half >= 1; half /= 2, stride *= 2) {
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

void oct_fourier(int64_t n, const OctComplex *turns, OctComplex *line, OctComplex *other) {
    if (n > 0 && (n & (n - 1)) == 0) {
        by_halving(n, turns, line, other);
    } else {
        by_definition(n, turns, line, other);
    }
}
