#include "engine/limits.h"
#include "base/diag.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static const uint64_t default_iterations = 10000000;
static const double default_seconds = 600;
static const uint64_t least_default_memory = (uint64_t)256 << 20;
/* Twice what the fastest cores that we know do. */
static const double most_macs_per_second = 1e12;

/* A number in a file of the system; UINT64_MAX if there is none ("max"). */
static uint64_t read_number(const char *path) {
    unsigned long long number;
    FILE *file = fopen(path, "re");
    if (!file) {
        return UINT64_MAX;
    }
    bool read = fscanf(file, "%llu", &number) == 1;
    fclose(file);
    return read ? number : UINT64_MAX;
}

static uint64_t default_memory(void) {
    static const char *const container[] = {
        "/sys/fs/cgroup/memory.max",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes",
    };
    long pages = sysconf(_SC_PHYS_PAGES);
    long page = sysconf(_SC_PAGESIZE);
    uint64_t bytes = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 0;
    for (size_t i = 0; i < sizeof container / sizeof *container; i++) {
        uint64_t limit = read_number(container[i]);
        bytes = limit < bytes ? limit : bytes;
    }
    return bytes / 2 > least_default_memory ? bytes / 2 : least_default_memory;
}

void oct_limits_complete(OctetLimits *limits) {
    if (limits->max_memory_bytes == 0) {
        limits->max_memory_bytes = default_memory();
    }
    if (limits->max_iterations == 0) {
        limits->max_iterations = default_iterations;
    }
    if (!(limits->max_seconds > 0)) {
        limits->max_seconds = default_seconds;
    }
}

void oct_watch_start(OctWatch *watch, const OctetLimits *limits) {
    watch->limits = limits;
    watch->iterations_left = limits->max_iterations;
    oct_patience_begin(&watch->patience, limits->canceled, limits->canceled_user,
                       limits->max_seconds);
}

OctetStatus oct_watch_iterate(OctWatch *watch, OctetDiagnostic *diagnostic) {
    if (watch->iterations_left == 0) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                        "the loops of a run make more than %" PRIu64
                        " iterations; raise max_iterations (--max-iterations) if that is meant",
                        watch->limits->max_iterations);
    }
    watch->iterations_left--;
    return oct_go_on(diagnostic);
}

OctetStatus oct_limits_check_work(const OctetLimits *limits, double macs, size_t threads,
                                  OctetDiagnostic *diagnostic) {
    double seconds = macs / (most_macs_per_second * (double)threads);
    return seconds > limits->max_seconds
               ? oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                          "it wants %.3g multiply-accumulates, which take at least %.3g seconds, "
                          "more than the limit of %g; raise max_seconds (--max-seconds) if that is "
                          "meant",
                          macs, seconds, limits->max_seconds)
               : OCTET_OK;
}

OctetStatus oct_limits_check_memory(const OctetLimits *limits, uint64_t used, uint64_t bytes,
                                    const char *what, OctetDiagnostic *diagnostic) {
    uint64_t limit = limits->max_memory_bytes;
    if (used <= limit && bytes <= limit - used) {
        return OCTET_OK;
    }
    return oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                    "%s takes %" PRIu64 " bytes beside %" PRIu64
                    " that are in use, more than the limit of %" PRIu64
                    "; raise max_memory_bytes (--max-memory) if that is meant",
                    what, bytes, used, limit);
}
