/* Functions of one number, shared by the files of the unary family. */
#ifndef OCT_OPS_UNARY_H
#define OCT_OPS_UNARY_H

#include "kernels/f32_vector.h"
#include "kernels/vmath.h"
#include "ops/ops.h"

typedef struct OctUnary OctUnary;
/* May work in place. */
typedef void (*OctUnaryF32)(const OctUnary *unary, const float *input, float *output, size_t count);
typedef int64_t (*OctUnaryInt)(const OctUnary *unary, int64_t x);

/* One function with its parameters, ready to run. */
struct OctUnary {
    const OctF32VectorBundle *vector;
    const OctVmathBundle *math;
    OctUnaryF32 f32; /* NULL: not defined on floats */
    OctUnaryInt integer;
    float alpha, beta, gamma;
    int64_t low, high; /* of Clip on integers */
    OctActivation activation;
};

/* What a node computes: kernels of a level, and parameters from its attributes (Clip's bounds
 * from constant inputs too; open bounds are read when running). */
OctetStatus oct_unary_of(const OctNode *node, OctetCpu cpu, OctUnary *unary,
                         OctetDiagnostic *diagnostic);
/* The same for a function by the name that recurrent operators use, which adds Affine and
 * ScaledTanh; alpha and beta NULL: the defaults. False if there is none of that name,
 * whatever its letters' case. */
bool oct_unary_by_name(const char *name, OctetCpu cpu, const float *alpha, const float *beta,
                       OctUnary *unary);

#endif
