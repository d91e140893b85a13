/* Status codes, diagnostics, logging, allocation and threads: what every other part builds on. */
#ifndef OCTET_STATUS_H
#define OCTET_STATUS_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#if defined(OCTET_BUILDING) && defined(__GNUC__)
#define OCTET_API __attribute__((visibility("default")))
#else
#define OCTET_API
#endif

#if defined(__GNUC__)
#define OCTET_PRINTF(format_index, first_argument)                                                 \
    __attribute__((format(printf, format_index, first_argument)))
#define OCTET_MUST_CHECK __attribute__((warn_unused_result))
#else
#define OCTET_PRINTF(format_index, first_argument)
#define OCTET_MUST_CHECK
#endif

/* What went wrong, by kind. The text that goes with it is in an OctetDiagnostic. */
typedef enum OctetStatus {
    OCTET_OK = 0,
    OCTET_ERROR_INVALID_ARGUMENT = 1, /* the caller passed something that can't be right */
    OCTET_ERROR_OUT_OF_MEMORY = 2,
    OCTET_ERROR_IO = 3,          /* a file can't be opened, read, written or renamed */
    OCTET_ERROR_FORMAT = 4,      /* a file's content is malformed */
    OCTET_ERROR_UNSUPPORTED = 5, /* well-formed, but Octet has no implementation for it */
    OCTET_ERROR_SHAPE = 6,       /* shapes or types do not fit each other */
    OCTET_ERROR_STATE = 7,       /* a call out of order, such as calibrating after converting */
    OCTET_ERROR_LIMIT = 8,       /* a limit on memory, nodes, depth or time was reached */
    OCTET_ERROR_CANCELED = 9,    /* the caller asked to stop */
    OCTET_ERROR_NUMERIC = 10,    /* a value that no integer can carry, such as a NaN bias */
    OCTET_ERROR_INTERNAL = 11    /* a defect in Octet */
} OctetStatus;

/* Text for a failed call. Zero-initialize it, pass it as the last argument; NULL is accepted
 * everywhere. The first failure is kept. Strings are terminated and have control characters
 * escaped. Nothing in it needs to be freed. */
typedef struct OctetDiagnostic {
    OctetStatus status;
    char file[256];
    char node[192];
    char message[1024];
} OctetDiagnostic;

/* A short English name of a status, never NULL. */
OCTET_API const char *octet_status_name(OctetStatus status);

/* Writes "file: node: message" (parts that are empty left out) to buffer, always terminated.
 * Returns the length that the whole text has, as snprintf does. */
OCTET_API int octet_diagnostic_format(const OctetDiagnostic *diagnostic, char *buffer, size_t size);

typedef enum OctetLogLevel {
    OCTET_LOG_DEBUG = 0,
    OCTET_LOG_INFO = 1,
    OCTET_LOG_WARNING = 2,
    OCTET_LOG_ERROR = 3
} OctetLogLevel;

/* Called with one line, without a newline, from any thread; must not call into Octet. */
typedef void (*OctetLogCallback)(OctetLogLevel level, const char *message, void *user);

/* Routes log lines of at least `level` to `callback`; NULL restores the default, which writes
 * warnings and errors to standard error. Not synchronized: call before other threads run. */
OCTET_API void octet_set_log_callback(OctetLogCallback callback, void *user, OctetLogLevel level);

/* Replaces the allocator of the whole library. Call before any other function; both must be
 * thread-safe. reallocate(NULL, n, user) allocates, release(NULL, user) does nothing. Memory
 * needs the alignment of max_align_t. Passing NULL for both restores the C library's. */
typedef void *(*OctetReallocate)(void *pointer, size_t size, void *user);
typedef void (*OctetRelease)(void *pointer, void *user);
OCTET_API void octet_set_allocator(OctetReallocate reallocate, OctetRelease release, void *user);

/* The allocator and the log in use, for libraries that hand memory to this one (octet_data). */
OCTET_API void *octet_reallocate(void *pointer, size_t size); /* NULL on failure */
OCTET_API void octet_release(void *pointer);
OCTET_API void octet_log(OctetLogLevel level, const char *message);

/* The CPU level that kernels are chosen for. The levels of one architecture are ordered. */
typedef enum OctetCpu {
    OCTET_CPU_PORTABLE = 0,
    OCTET_CPU_AVX2 = 1,
    OCTET_CPU_AVX2_VNNI = 2,
    OCTET_CPU_AVX512_VNNI = 3,
    OCTET_CPU_NEON = 16,
    OCTET_CPU_NEON_DOT = 17
} OctetCpu;

/* The level in use: the best that this machine has, lowered by the environment variable OCTET_CPU
 * (portable, avx2, avx2-vnni, avx512-vnni, neon, neon-dot) or by octet_set_cpu. */
OCTET_API OctetCpu octet_get_cpu(void);
/* Lowers the level for everything prepared afterwards. A level that the machine lacks is refused
 * with OCTET_ERROR_UNSUPPORTED. */
OCTET_API OctetStatus octet_set_cpu(OctetCpu cpu);
OCTET_API const char *octet_cpu_name(OctetCpu cpu);
/* Reads a level's name; false if it is not one. */
OCTET_API bool octet_cpu_parse(const char *name, OctetCpu *cpu);

/* A pool of threads that sessions share. Several sessions may run on one pool at the same time: a
 * loop that comes while another one has the threads is run by its caller alone. */
typedef struct OctetThreadPool OctetThreadPool;

/* Runs work(user, i) for i in [0, count), in any order and on any thread, and returns when all
 * have returned. */
typedef void (*OctetParallelWork)(void *user, size_t index);
typedef void (*OctetParallelFor)(void *pool, OctetParallelWork work, void *user, size_t count);

/* Makes a pool of `threads` threads, the caller's included; 0 means one a core. Free it with
 * octet_thread_pool_free after all sessions that use it. */
OCTET_API OctetStatus octet_thread_pool_create(size_t threads, OctetThreadPool **pool,
                                               OctetDiagnostic *diagnostic);
/* Wraps the caller's own threads. `pool` is passed to every call of parallel_for. */
OCTET_API OctetStatus octet_thread_pool_wrap(OctetParallelFor parallel_for, void *pool,
                                             size_t threads, OctetThreadPool **wrapped,
                                             OctetDiagnostic *diagnostic);
OCTET_API size_t octet_thread_pool_size(const OctetThreadPool *pool);
OCTET_API void octet_thread_pool_free(OctetThreadPool *pool);

/* "MAJOR.MINOR.PATCH" of the library, never NULL. */
OCTET_API const char *octet_version(void);

#ifdef __cplusplus
}
#endif
#endif
