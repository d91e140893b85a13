#include "kernels/arm/f32_simd_neon.h"

#include "kernels/f32_isa.h"

#define BUNDLE oct_f32_pool_neon
#define BUNDLE_NAME "f32 pool neon"
#define BUNDLE_CPU OCTET_CPU_NEON
#include "kernels/f32_pool_template.h"
