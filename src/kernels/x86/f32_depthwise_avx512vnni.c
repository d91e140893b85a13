#include "kernels/x86/f32_simd_avx512.h"

#define BUNDLE oct_f32_depthwise_avx512vnni
#define BUNDLE_NAME "f32 depthwise 8x16 avx512"
#define BUNDLE_CPU OCTET_CPU_AVX512_VNNI
#include "kernels/x86/f32_depthwise_template.h"
