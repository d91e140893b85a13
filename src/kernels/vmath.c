#include "kernels/f32_simd_portable.h"

#include "base/cpu.h"
#include "kernels/f32_isa.h"

#define BUNDLE oct_vmath_portable
#define BUNDLE_NAME "vmath portable"
#define BUNDLE_CPU OCTET_CPU_PORTABLE
#include "kernels/vmath_template.h"

const OctVmathBundle *oct_vmath_select(OctetCpu cpu) {
#if defined(__x86_64__)
    if (oct_cpu_has(cpu, OCTET_CPU_AVX512_VNNI)) {
        return &oct_vmath_avx512vnni;
    }
    if (oct_cpu_has(cpu, OCTET_CPU_AVX2)) {
        return &oct_vmath_avx2;
    }
#elif defined(__aarch64__)
    if (oct_cpu_has(cpu, OCTET_CPU_NEON)) {
        return &oct_vmath_neon;
    }
#endif
    (void)cpu;
    return &oct_vmath_portable;
}
