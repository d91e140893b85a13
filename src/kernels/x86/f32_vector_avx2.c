#include "kernels/x86/f32_simd_avx2.h"

#include "kernels/f32_isa.h"

#define BUNDLE oct_f32_vector_avx2
#define BUNDLE_NAME "f32 vector avx2"
#define BUNDLE_CPU OCTET_CPU_AVX2
#include "kernels/f32_vector_template.h"
