#include "kernels/arm/f32_simd_neon.h"

#include "kernels/f32_isa.h"

#define BUNDLE oct_f32_vector_neon
#define BUNDLE_NAME "f32 vector neon"
#define BUNDLE_CPU OCTET_CPU_NEON
#include "kernels/f32_vector_template.h"
