/* What a run may take: memory, iterations, time, and the caller's patience. */
#ifndef OCT_ENGINE_LIMITS_H
#define OCT_ENGINE_LIMITS_H

#include "base/patience.h"
#include "octet/session.h"

/* Puts the defaults where a limit is 0. */
void oct_limits_complete(OctetLimits *limits);

/* A run against its limits. */
typedef struct OctWatch {
    const OctetLimits *limits;
    OctPatience patience;
    uint64_t iterations_left;
} OctWatch;

/* Begins patience for this thread, to be ended with oct_patience_end. `limits` are complete and
 * outlive the watch. */
void oct_watch_start(OctWatch *watch, const OctetLimits *limits);
/* oct_go_on for one more iteration of a loop, and OCTET_ERROR_LIMIT if there were too many. */
OctetStatus oct_watch_iterate(OctWatch *watch, OctetDiagnostic *diagnostic);
/* OCTET_ERROR_LIMIT if no machine could do that many multiply-accumulates in time. */
OctetStatus oct_limits_check_work(const OctetLimits *limits, double macs, size_t threads,
                                  OctetDiagnostic *diagnostic);
/* OCTET_ERROR_LIMIT for `bytes` more than the `used` ones. `what` wants them: "its output". */
OctetStatus oct_limits_check_memory(const OctetLimits *limits, uint64_t used, uint64_t bytes,
                                    const char *what, OctetDiagnostic *diagnostic);

#endif
