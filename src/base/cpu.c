#include "base/cpu.h"
#include "base/diag.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif
#include <cpuinfo.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    OctetCpu cpu;
    const char *name;
} cpu_names[] = {
    {OCTET_CPU_PORTABLE, "portable"},   {OCTET_CPU_AVX2, "avx2"},
    {OCTET_CPU_AVX2_VNNI, "avx2-vnni"}, {OCTET_CPU_AVX512_VNNI, "avx512-vnni"},
    {OCTET_CPU_NEON, "neon"},           {OCTET_CPU_NEON_DOT, "neon-dot"},
};
enum { CPU_COUNT = sizeof cpu_names / sizeof cpu_names[0] };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static OctetCpu best_cpu;
static atomic_int current_cpu;
static bool has_avx_vnni; /* cpuid takes microseconds where a hypervisor answers it */
static size_t l1_bytes = 32 * 1024;
static size_t l2_bytes = 512 * 1024;

const char *octet_cpu_name(OctetCpu cpu) {
    for (size_t i = 0; i < CPU_COUNT; i++) {
        if (cpu_names[i].cpu == cpu) {
            return cpu_names[i].name;
        }
    }
    return "unknown";
}

bool octet_cpu_parse(const char *name, OctetCpu *cpu) {
    for (size_t i = 0; i < CPU_COUNT; i++) {
        if (strcmp(cpu_names[i].name, name) == 0) {
            *cpu = cpu_names[i].cpu;
            return true;
        }
    }
    return false;
}

/* AVX2 with VNNI is the one level that does not follow from a higher one: there are CPUs with
 * AVX-512 VNNI that lack its VEX form. */
static bool detect_avx_vnni(void) {
#if defined(__x86_64__)
    unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
    return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) != 0 && (eax >> 4 & 1) != 0;
#else
    return false;
#endif
}

bool oct_cpu_has(OctetCpu current, OctetCpu level) {
    if (level == OCTET_CPU_PORTABLE) {
        return true;
    }
    if (level == OCTET_CPU_AVX2_VNNI && !has_avx_vnni) {
        return false;
    }
    return (current >= OCTET_CPU_NEON) == (level >= OCTET_CPU_NEON) && level <= current;
}

static OctetCpu detect(void) {
#if defined(__x86_64__)
    bool avx2 = cpuinfo_has_x86_avx2() && cpuinfo_has_x86_fma3();
    __builtin_cpu_init();
    if (avx2 && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vnni")) {
        return OCTET_CPU_AVX512_VNNI;
    }
    if (avx2 && has_avx_vnni) {
        return OCTET_CPU_AVX2_VNNI;
    }
    return avx2 ? OCTET_CPU_AVX2 : OCTET_CPU_PORTABLE;
#elif defined(__aarch64__)
    return cpuinfo_has_arm_neon_dot() ? OCTET_CPU_NEON_DOT : OCTET_CPU_NEON;
#else
    return OCTET_CPU_PORTABLE;
#endif
}

static void initialize(void) {
    has_avx_vnni = detect_avx_vnni();
    if (cpuinfo_initialize()) {
        best_cpu = detect();
        const struct cpuinfo_cache *l1 = cpuinfo_get_l1d_caches();
        const struct cpuinfo_cache *l2 = cpuinfo_get_l2_caches();
        l1_bytes = l1 && l1->size ? l1->size : l1_bytes;
        l2_bytes = l2 && l2->size ? l2->size : l2_bytes;
    }
    OctetCpu level = best_cpu;
    const char *wish = getenv("OCTET_CPU");
    if (wish && *wish) {
        OctetCpu parsed;
        if (!octet_cpu_parse(wish, &parsed)) {
            oct_log(OCTET_LOG_WARNING,
                    "OCTET_CPU=%s is not a level; it can be portable, avx2, avx2-vnni, "
                    "avx512-vnni, neon or neon-dot",
                    wish);
        } else if (!oct_cpu_has(best_cpu, parsed)) {
            oct_log(OCTET_LOG_WARNING, "OCTET_CPU=%s: this machine has only %s", wish,
                    octet_cpu_name(best_cpu));
        } else {
            level = parsed;
        }
    }
    atomic_store(&current_cpu, (int)level);
}

OctetCpu octet_get_cpu(void) {
    pthread_once(&once, initialize);
    return (OctetCpu)atomic_load(&current_cpu);
}

OctetStatus octet_set_cpu(OctetCpu cpu) {
    pthread_once(&once, initialize);
    if (!oct_cpu_has(best_cpu, cpu)) {
        return OCTET_ERROR_UNSUPPORTED;
    }
    atomic_store(&current_cpu, (int)cpu);
    return OCTET_OK;
}

OctetCpu oct_cpu_best(void) {
    pthread_once(&once, initialize);
    return best_cpu;
}

size_t oct_cpu_l1_bytes(void) {
    pthread_once(&once, initialize);
    return l1_bytes;
}

size_t oct_cpu_l2_bytes(void) {
    pthread_once(&once, initialize);
    return l2_bytes;
}
