/* A harness to compare kernels of every CPU level with their reference, bit for bit: buffers
 * between guard pages, reproducible random and extreme data, the levels this machine has.
 * Header only; include it after cmocka's headers. */
#ifndef OCT_TESTS_CHECKASM_H
#define OCT_TESTS_CHECKASM_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#include "base/cpu.h"
#include "octet/status.h"

/* ---- CPU levels ---- */

/* Writes the levels of this machine, portable first, and returns how many (at most 6). */
static inline size_t check_levels(OctetCpu levels[6]) {
    static const OctetCpu all[] = {OCTET_CPU_PORTABLE,    OCTET_CPU_AVX2, OCTET_CPU_AVX2_VNNI,
                                   OCTET_CPU_AVX512_VNNI, OCTET_CPU_NEON, OCTET_CPU_NEON_DOT};
    size_t count = 0;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        if (oct_cpu_has(oct_cpu_best(), all[i])) {
            levels[count++] = all[i];
        }
    }
    return count;
}

/* ---- random data ---- */

typedef struct CheckRandom {
    uint64_t state;
} CheckRandom;

/* OCTET_SEED, if set, varies every sequence. */
static inline CheckRandom check_random(uint64_t seed) {
    const char *text = getenv("OCTET_SEED");
    uint64_t extra = text ? strtoull(text, NULL, 10) : 0;
    return (CheckRandom){.state = (seed + 1) * 0x9E3779B97F4A7C15u + extra * 0xD1B54A32D192ED03u};
}

static inline uint64_t check_next(CheckRandom *random) {
    uint64_t z = random->state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
}

/* In [low, high]. */
static inline int64_t check_range(CheckRandom *random, int64_t low, int64_t high) {
    return low + (int64_t)(check_next(random) % (uint64_t)(high - low + 1));
}

static inline float check_float(CheckRandom *random, float low, float high) {
    return low + (high - low) * (float)((double)(check_next(random) >> 11) * 0x1p-53);
}

/* Kinds of bytes: each brings out another kind of mistake (saturation, sign, carry). */
enum { CHECK_BYTES_RANDOM, CHECK_BYTES_LOW, CHECK_BYTES_HIGH, CHECK_BYTES_EXTREMES, CHECK_BYTES };

static inline void check_bytes(CheckRandom *random, int kind, void *data, size_t count) {
    static const uint8_t extremes[] = {0, 255, 127, 128};
    uint8_t *bytes = data;
    for (size_t i = 0; i < count; i++) {
        uint8_t any = (uint8_t)check_next(random);
        bytes[i] = kind == CHECK_BYTES_LOW        ? 0x80 /* -128 as s8, 128 as u8 */
                   : kind == CHECK_BYTES_HIGH     ? (i % 7 ? 0xFF : 0x7F)
                   : kind == CHECK_BYTES_EXTREMES ? extremes[any & 3]
                                                  : any;
    }
}

/* Kinds of floats. */
enum { CHECK_FLOATS_NORMAL, CHECK_FLOATS_WIDE, CHECK_FLOATS_SPECIAL, CHECK_FLOATS };

static inline void check_floats(CheckRandom *random, int kind, float *data, size_t count) {
    static const float special[] = {0.0f,     -0.0f,     1.0f,      -1.0f,     0.5f,     -0.5f,
                                    1.5f,     2.5f,      0x1p-126f, 0x1p-149f, 3.0e38f,  -3.0e38f,
                                    INFINITY, -INFINITY, NAN,       0x1p31f,   -0x1p31f, 0x1p23f};
    for (size_t i = 0; i < count; i++) {
        float value = check_float(random, -4.0f, 4.0f);
        if (kind == CHECK_FLOATS_WIDE) {
            value = ldexpf(value, (int)check_range(random, -30, 30));
        } else if (kind == CHECK_FLOATS_SPECIAL && (check_next(random) & 3) == 0) {
            value = special[check_next(random) % (sizeof special / sizeof special[0])];
        }
        data[i] = value;
    }
}

/* ---- guarded buffers ---- */

/* A buffer whose end (or start) touches a page that can't be accessed; the slack on the other
 * side is filled with a pattern that is checked. */
typedef struct CheckBuffer {
    uint8_t *data;
    size_t size;
    uint8_t *mapping, *pages;
    size_t mapping_size, pages_size;
} CheckBuffer;

enum { CHECK_GUARD_END, CHECK_GUARD_START };
enum { CHECK_CANARY = 0xA5 };

/* Filled with the pattern 0xA5. */
static inline CheckBuffer check_buffer(size_t size, int side) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    CheckBuffer buffer = {.size = size};
    buffer.pages_size = (size + page - 1) / page * page + (size == 0 ? page : 0);
    buffer.mapping_size = buffer.pages_size + 2 * page;
    void *mapping = mmap(NULL, buffer.mapping_size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED) {
        fail_msg("mmap of %zu bytes failed", buffer.mapping_size);
    }
    buffer.mapping = mapping;
    buffer.pages = buffer.mapping + page;
    if (mprotect(buffer.pages, buffer.pages_size, PROT_READ | PROT_WRITE) != 0) {
        fail_msg("mprotect failed");
    }
    memset(buffer.pages, CHECK_CANARY, buffer.pages_size);
    buffer.data = side == CHECK_GUARD_END ? buffer.pages + buffer.pages_size - size : buffer.pages;
    return buffer;
}

static inline bool check_guard_intact(const CheckBuffer *buffer) {
    const uint8_t *end = buffer->pages + buffer->pages_size;
    for (const uint8_t *p = buffer->pages; p < buffer->data; p++) {
        if (*p != CHECK_CANARY) {
            return false;
        }
    }
    for (const uint8_t *p = buffer->data + buffer->size; p < end; p++) {
        if (*p != CHECK_CANARY) {
            return false;
        }
    }
    return true;
}

/* Checks the slack and unmaps. */
static inline void check_buffer_free(CheckBuffer *buffer) {
    bool intact = check_guard_intact(buffer);
    munmap(buffer->mapping, buffer->mapping_size);
    buffer->data = NULL;
    if (!intact) {
        fail_msg("bytes outside a buffer of %zu bytes were written", buffer->size);
    }
}

/* ---- comparing ---- */

/* Fails with the first difference; `what` names kernel, level and shape. */
static inline void check_same_bytes(const void *got, const void *expected, size_t count,
                                    const char *what) {
    const uint8_t *a = got, *b = expected;
    for (size_t i = 0; i < count; i++) {
        if (a[i] != b[i]) {
            fail_msg("%s: byte %zu of %zu is %d, should be %d", what, i, count, a[i], b[i]);
        }
    }
}

/* NaNs are equal to each other; otherwise the bits must be. */
static inline void check_same_floats(const float *got, const float *expected, size_t count,
                                     const char *what) {
    for (size_t i = 0; i < count; i++) {
        if (memcmp(got + i, expected + i, sizeof(float)) != 0 &&
            !(isnan(got[i]) && isnan(expected[i]))) {
            fail_msg("%s: element %zu of %zu is %a, should be %a", what, i, count, (double)got[i],
                     (double)expected[i]);
        }
    }
}

/* ---- timing ---- */

/* Timings are printed only when OCTET_CHECKASM_BENCH is set. */
static inline bool check_bench_wanted(void) {
    return getenv("OCTET_CHECKASM_BENCH") != NULL;
}

static inline double check_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

#endif
