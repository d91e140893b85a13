/* What the ISA folders offer to the ladders of the f32 families. */
#ifndef OCT_KERNELS_F32_ISA_H
#define OCT_KERNELS_F32_ISA_H

#include "kernels/f32_depthwise.h"
#include "kernels/f32_gemm.h"

#if defined(__x86_64__)
extern const OctF32GemmBundle oct_f32_gemm_avx2;
extern const OctF32GemmBundle oct_f32_gemm_avx512vnni;
extern const OctF32DepthwiseBundle oct_f32_depthwise_avx2;
extern const OctF32DepthwiseBundle oct_f32_depthwise_avx512vnni;
#elif defined(__aarch64__)
extern const OctF32GemmBundle oct_f32_gemm_neon;
extern const OctF32DepthwiseBundle oct_f32_depthwise_neon;
#endif

#endif
