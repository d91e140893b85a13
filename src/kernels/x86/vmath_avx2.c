#include "kernels/x86/f32_simd_avx2.h"

#include "kernels/f32_isa.h"

#define BUNDLE oct_vmath_avx2
#define BUNDLE_NAME "vmath avx2"
#define BUNDLE_CPU OCTET_CPU_AVX2
#include "kernels/vmath_template.h"
