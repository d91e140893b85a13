#include "kernels/arm/f32_simd_neon.h"

#include "kernels/f32_isa.h"

#define BUNDLE oct_vmath_neon
#define BUNDLE_NAME "vmath neon"
#define BUNDLE_CPU OCTET_CPU_NEON
#include "kernels/vmath_template.h"
