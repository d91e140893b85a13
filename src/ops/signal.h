/* The discrete Fourier transform of one line. */
#ifndef OCT_OPS_SIGNAL_H
#define OCT_OPS_SIGNAL_H

#include "octet/status.h"

/* A complex number: real part, imaginary part. */
typedef struct OctComplex {
    double re, im;
} OctComplex;

/* A transform of n numbers in O(n log n), in a workspace of oct_fourier_bytes. */
typedef struct OctFourier {
    int64_t n;
    int64_t padded; /* the power of two that is halved; n itself if it is one, or short */
    OctComplex *line, *other, *turns;
    OctComplex *filter, *chirp; /* only where padded is not n */
} OctFourier;

/* n is positive. */
size_t oct_fourier_bytes(int64_t n);
/* Multiply-accumulates of one transform, about. */
double oct_fourier_macs(int64_t n);
void oct_fourier_open(OctFourier *fourier, int64_t n, bool inverse, void *workspace);
/* Transforms fourier->line[0, n) in place; the numbers behind it are overwritten. In double, and
 * with the same bits everywhere. The inverse is not divided by n. */
void oct_fourier_run(const OctFourier *fourier);

#endif
