#include "kernels/peak.h"

#include "base/cpu.h"
#include "base/mem.h"

#include <string.h>
#include <time.h>

enum { TRIES = 9, ROUNDS = 100000 };

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Makes the compiler believe that somebody reads it. */
static void keep(const void *data) {
    __asm__ volatile("" ::"r"(data) : "memory");
}

/* Runs a loop of ROUNDS rounds and says how many multiply-accumulates one round is. */
typedef double (*PeakLoop)(void);

static double fastest(PeakLoop loop) {
    double best = 0;
    for (int i = 0; i < TRIES; i++) {
        double start = seconds();
        double macs = loop() * ROUNDS;
        double speed = macs / (seconds() - start);
        best = speed > best ? speed : best;
    }
    return best;
}

#if defined(__x86_64__)
/* Twelve independent sums hide the latency of every CPU that has the instruction. */
#define X86_CLOBBERS                                                                               \
    "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10",       \
        "xmm11", "xmm12"
#define X86_SUM(op, r, n) op " %%" r "0, %%" r "0, %%" r #n "\n"
#define X86_SUMS(op, r)                                                                            \
    X86_SUM(op, r, 1)                                                                              \
    X86_SUM(op, r, 2)                                                                              \
    X86_SUM(op, r, 3)                                                                              \
    X86_SUM(op, r, 4)                                                                              \
    X86_SUM(op, r, 5)                                                                              \
    X86_SUM(op, r, 6)                                                                              \
    X86_SUM(op, r, 7)                                                                              \
    X86_SUM(op, r, 8)                                                                              \
    X86_SUM(op, r, 9) X86_SUM(op, r, 10) X86_SUM(op, r, 11) X86_SUM(op, r, 12)
#define X86_LOOP(name, op, r, macs)                                                                \
    static double name(void) {                                                                     \
        __asm__ volatile("vpxor %%xmm0, %%xmm0, %%xmm0" ::: "xmm0");                               \
        for (int i = 0; i < ROUNDS; i++) {                                                         \
            __asm__ volatile(X86_SUMS(op, r)::: X86_CLOBBERS);                                     \
        }                                                                                          \
        return 12.0 * (macs);                                                                      \
    }
X86_LOOP(int8_avx512, "vpdpbusd", "zmm", 64)
X86_LOOP(int8_avxvnni, "%{vex%} vpdpbusd", "ymm", 32)
X86_LOOP(f32_avx512, "vfmadd231ps", "zmm", 16)
X86_LOOP(f32_avx2, "vfmadd231ps", "ymm", 8)

/* Without VNNI 32 products take vpmaddubsw, vpmaddwd and vpaddd. */
#define X86_TRIPLE(a, b)                                                                           \
    "vpmaddubsw %%ymm0, %%ymm0, %%ymm" #a "\n vpmaddwd %%ymm0, %%ymm" #a ", %%ymm" #a              \
    "\n vpaddd %%ymm" #a ", %%ymm" #b ", %%ymm" #b "\n"
static double int8_avx2(void) {
    __asm__ volatile("vpxor %%xmm0, %%xmm0, %%xmm0" ::: "xmm0");
    for (int i = 0; i < ROUNDS; i++) {
        __asm__ volatile(X86_TRIPLE(1, 7) X86_TRIPLE(2, 8) X86_TRIPLE(3, 9) X86_TRIPLE(4, 10)
                             X86_TRIPLE(5, 11) X86_TRIPLE(6, 12)::
                                 : X86_CLOBBERS);
    }
    return 6.0 * 32;
}
#elif defined(__aarch64__)
#define ARM_CLOBBERS "v0", "v1", "v2", "v3", "v4", "v5", "v6", "v7", "v8", "v9", "v10", "v11", "v12"
#define ARM_FOUR(op, a, b, c, d) op(a) op(b) op(c) op(d)
#define ARM_LOOP(name, op, macs)                                                                   \
    static double name(void) {                                                                     \
        __asm__ volatile("movi v0.16b, #0" ::: "v0");                                              \
        for (int i = 0; i < ROUNDS; i++) {                                                         \
            __asm__ volatile(ARM_FOUR(op, "1", "2", "3", "4") ARM_FOUR(op, "5", "6", "7", "8")     \
                                 ARM_FOUR(op, "9", "10", "11", "12")::                             \
                                     : ARM_CLOBBERS);                                              \
        }                                                                                          \
        return 12.0 * (macs);                                                                      \
    }
#define ARM_DOT(n) ".arch armv8.2-a+dotprod\n udot v" n ".4s, v0.16b, v0.16b\n"
#define ARM_MLAL(n) "umlal v" n ".8h, v0.8b, v0.8b\n"
#define ARM_FMLA(n) "fmla v" n ".4s, v0.4s, v0.4s\n"
ARM_LOOP(int8_dot, ARM_DOT, 16)
ARM_LOOP(int8_neon, ARM_MLAL, 8)
ARM_LOOP(f32_neon, ARM_FMLA, 4)
#endif

/* What a compiler makes of plain C. */
static double int8_portable(void) {
    uint8_t a[64];
    int8_t b[64];
    memset(a, 3, sizeof a);
    memset(b, 5, sizeof b);
    int32_t sums[16] = {0};
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < 64; k++) {
            sums[k & 15] += a[k] * b[k];
        }
        a[i & 63] ^= 1;
    }
    keep(sums);
    return 64;
}

static double f32_portable(void) {
    float sums[16] = {0};
    float a[16];
    for (int k = 0; k < 16; k++) {
        a[k] = 0.5f;
    }
    for (int i = 0; i < ROUNDS; i++) {
        for (int k = 0; k < 16; k++) {
            sums[k] = sums[k] * 0.5f + a[k];
        }
    }
    keep(sums);
    return 16;
}

double oct_peak_int8(OctetCpu cpu) {
    switch (cpu) {
#if defined(__x86_64__)
    case OCTET_CPU_AVX512_VNNI:
        return fastest(int8_avx512);
    case OCTET_CPU_AVX2_VNNI:
        /* this level may be in use on a CPU that has only the EVEX form; its kernels can't be */
        return fastest(oct_cpu_best() == OCTET_CPU_AVX2_VNNI ? int8_avxvnni : int8_avx2);
    case OCTET_CPU_AVX2:
        return fastest(int8_avx2);
#elif defined(__aarch64__)
    case OCTET_CPU_NEON_DOT:
        return fastest(int8_dot);
    case OCTET_CPU_NEON:
        return fastest(int8_neon);
#endif
    default:
        return fastest(int8_portable);
    }
}

double oct_peak_f32(OctetCpu cpu) {
    switch (cpu) {
#if defined(__x86_64__)
    case OCTET_CPU_AVX512_VNNI:
        return fastest(f32_avx512);
    case OCTET_CPU_AVX2_VNNI:
    case OCTET_CPU_AVX2:
        return fastest(f32_avx2);
#elif defined(__aarch64__)
    case OCTET_CPU_NEON_DOT:
    case OCTET_CPU_NEON:
        return fastest(f32_neon);
#endif
    default:
        return fastest(f32_portable);
    }
}

double oct_peak_bandwidth(void) {
    /* more than any cache of a server core holds */
    const size_t bytes = (size_t)128 << 20;
    uint64_t *data = oct_aligned_alloc(bytes);
    double best = 0;
    if (!data) {
        return 0;
    }
    memset(data, 1, bytes);
    for (int i = 0; i < 3; i++) {
        double start = seconds();
        uint64_t sums[8] = {0};
        for (size_t k = 0; k < bytes / sizeof *data; k += 8) {
            for (size_t j = 0; j < 8; j++) {
                sums[j] += data[k + j];
            }
        }
        keep(sums);
        double speed = (double)bytes / (seconds() - start);
        best = speed > best ? speed : best;
    }
    oct_aligned_free(data);
    return best;
}
