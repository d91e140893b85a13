/* Deterministic f32 math: the same bits on every ISA level and platform (NaN results are the one
 * quiet NaN 0x7fc00000). No libm transcendental is used. Error bounds in units in the last place
 * against the exact value; subnormal results included unless said otherwise. In place allowed. */
#ifndef OCT_KERNELS_VMATH_H
#define OCT_KERNELS_VMATH_H

#include "kernels/f32_vector.h"

typedef struct OctVmathBundle {
    const char *name;
    OctetCpu cpu;
    OctF32UnaryKernel exp;       /* <= 2 ulp */
    OctF32UnaryKernel log;       /* <= 2 ulp; log(0) = -inf, negative: NaN */
    OctF32UnaryKernel tanh;      /* <= 2 ulp */
    OctF32UnaryKernel sigmoid;   /* 1 / (1 + exp(-x)), <= 2 ulp */
    OctF32UnaryKernel erf;       /* <= 2 ulp */
    OctF32UnaryKernel gelu;      /* x * (0.5 * (1 + erf(x / sqrt(2)))) */
    OctF32UnaryKernel gelu_tanh; /* ONNX Gelu, approximate="tanh" */
    OctF32UnaryKernel softplus;  /* log(1 + exp(x)), <= 2 ulp */
    OctF32UnaryKernel softsign;  /* x / (1 + |x|), <= 2 ulp */
    OctF32UnaryKernel mish;      /* x * tanh(softplus(x)), <= 4.5 ulp */
    OctF32UnaryKernel sin, cos;  /* <= 2 ulp over all finite inputs */
    OctF32BinaryKernel pow;      /* <= 4 ulp; special cases as C's pow */
    /* x < 0 ? alpha * (exp(x) - 1) : x */
    void (*elu)(const float *input, float *output, size_t count, float alpha);
} OctVmathBundle;

const OctVmathBundle *oct_vmath_select(OctetCpu cpu);

#endif
