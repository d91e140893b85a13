#include "kernels/x86/f32_simd_avx2.h"

#define BUNDLE oct_f32_depthwise_avx2
#define BUNDLE_NAME "f32 depthwise 8x8 avx2"
#define BUNDLE_CPU OCTET_CPU_AVX2
#include "kernels/x86/f32_depthwise_template.h"
