/* The discrete Fourier transform of one line, and what the operators on signals share. */
#ifndef OCT_OPS_SIGNAL_H
#define OCT_OPS_SIGNAL_H

#include "ops/ops.h"

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

/* Lengths above this are refused: a transform holds a line up to eight times over. */
#define OCT_SIGNAL_LONGEST ((int64_t)1 << 22)
OctetStatus oct_signal_check_length(const OctNode *node, int64_t length,
                                    OctetDiagnostic *diagnostic);

/* A scalar integer input as far as it is known; OCT_DIM_UNKNOWN if it is not, `fallback` if it is
 * left out. */
OctetStatus oct_signal_scalar(const OctNode *node, int32_t input, int64_t fallback, int64_t *value,
                              OctetDiagnostic *diagnostic);
/* The same while the node runs. */
OctetStatus oct_signal_scalar_now(const OctNode *node, const OctRun *run, int32_t input,
                                  int64_t fallback, int64_t *value);

#endif
