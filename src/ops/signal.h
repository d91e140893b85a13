/* The discrete Fourier transform of one line. */
#ifndef OCT_OPS_SIGNAL_H
#define OCT_OPS_SIGNAL_H

#include "octet/status.h"

/* A complex number: real part, imaginary part. */
typedef struct OctComplex {
    double re, im;
} OctComplex;

/* turns[k] = exp(-2 pi i k / n), or its conjugate for the inverse. */
void oct_fourier_turns(int64_t n, bool inverse, OctComplex *turns);
/* Transforms `line` (n numbers) in place, in double; `other` holds n numbers. Powers of two by
 * halving, other lengths by the definition. The inverse is not divided by n. */
void oct_fourier(int64_t n, const OctComplex *turns, OctComplex *line, OctComplex *other);

#endif
