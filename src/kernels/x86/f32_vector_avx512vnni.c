#include "kernels/x86/f32_simd_avx512.h"

#include "kernels/f32_isa.h"

#define BUNDLE oct_f32_vector_avx512vnni
#define BUNDLE_NAME "f32 vector avx512"
#define BUNDLE_CPU OCTET_CPU_AVX512_VNNI
#include "kernels/f32_vector_template.h"
