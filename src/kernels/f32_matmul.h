/* Matrix products: output[m][n] = clamp(bias[n] + sum over k of A[m][k] * B[k][n] + residual). */
#ifndef OCT_KERNELS_F32_MATMUL_H
#define OCT_KERNELS_F32_MATMUL_H

#include "base/blocks.h"
#include "kernels/f32_gemm.h"

/* B packed once, for weights. Immutable after its creation, so sessions may share it. */
typedef struct OctF32Gemm OctF32Gemm;

typedef struct OctF32GemmSpec {
    size_t k, n;
    const float *b;
    size_t b_stride;   /* elements between rows of b as it lies in memory */
    bool b_transposed; /* b is [n][k] instead of [k][n] */
    const float *bias; /* n values or NULL */
    OctBlocks *blocks; /* where packed weights take their memory from; NULL: they own it */
} OctF32GemmSpec;

/* Copies b and the bias. Free with oct_f32_gemm_free. */
OctetStatus oct_f32_gemm_create(const OctF32GemmSpec *spec, OctetCpu cpu, OctF32Gemm **gemm,
                                OctetDiagnostic *diagnostic);
void oct_f32_gemm_free(OctF32Gemm *gemm);
size_t oct_f32_gemm_bytes(const OctF32Gemm *gemm);
const char *oct_f32_gemm_kernel_name(const OctF32Gemm *gemm);

typedef struct OctF32GemmCall {
    size_t m;
    const float *a;
    size_t a_stride;       /* elements between rows, at least k */
    const float *residual; /* NULL, or [m][n] with output's stride */
    float *output;
    size_t output_stride; /* at least n */
    float minimum, maximum;
} OctF32GemmCall;

void oct_f32_gemm_run(const OctF32Gemm *gemm, const OctF32GemmCall *call, OctetThreadPool *pool);

/* Products of two activations: B is packed into `workspace` on every call. */
bool oct_f32_matmul_workspace_bytes(OctetCpu cpu, size_t k, size_t n, size_t *bytes);
/* `workspace` is aligned to 64 bytes. spec and call as above. */
void oct_f32_matmul_run(OctetCpu cpu, const OctF32GemmSpec *spec, const OctF32GemmCall *call,
                        void *workspace, OctetThreadPool *pool);

#endif
