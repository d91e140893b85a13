#include "base/patience.h"

#include "base/diag.h"

#include <time.h>

static const double default_seconds = 600;
static const double most_seconds = 1e9; /* 30 years: what a clock of nanoseconds holds */

static _Thread_local OctPatience *current;

/* Ticks every few milliseconds, and costs a quarter of the exact one. */
static int64_t coarse_now(void) {
    struct timespec time;
#ifdef CLOCK_MONOTONIC_COARSE
    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
#else
    clock_gettime(CLOCK_MONOTONIC, &time);
#endif
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

void oct_patience_begin(OctPatience *patience, bool (*canceled)(void *user), void *user,
                        double seconds) {
    seconds = seconds > 0 ? seconds : default_seconds;
    double held = seconds < most_seconds ? seconds : most_seconds;
    *patience = (OctPatience){.canceled = canceled,
                              .canceled_user = user,
                              .seconds = seconds,
                              .deadline = coarse_now() + (int64_t)(held * 1e9),
                              .owner = pthread_self(),
                              .outer = current};
    atomic_init(&patience->over, OCTET_OK);
    current = patience;
}

void oct_patience_end(OctPatience *patience) {
    current = patience->outer;
}

OctPatience *oct_patience_of_thread(void) {
    return current;
}

OctPatience *oct_patience_lend(OctPatience *patience) {
    OctPatience *own = current;
    current = patience;
    return own;
}

static int noted(const OctPatience *patience) {
    return atomic_load_explicit(&patience->over, memory_order_relaxed);
}

static bool ask(OctPatience *patience) {
    if (noted(patience) != OCTET_OK) {
        return true;
    }
    int over = OCTET_OK;
    if (patience->canceled && pthread_equal(patience->owner, pthread_self()) &&
        patience->canceled(patience->canceled_user)) {
        over = OCTET_ERROR_CANCELED;
    } else if (coarse_now() > patience->deadline) {
        over = OCTET_ERROR_LIMIT;
    }
    if (over != OCTET_OK) {
        atomic_store_explicit(&patience->over, over, memory_order_relaxed);
    }
    return over != OCTET_OK;
}

bool oct_is_over(void) {
    for (OctPatience *patience = current; patience; patience = patience->outer) {
        if (ask(patience)) {
            return true;
        }
    }
    return false;
}

bool oct_is_noted_over(void) {
    for (const OctPatience *patience = current; patience; patience = patience->outer) {
        if (noted(patience) != OCTET_OK) {
            return true;
        }
    }
    return false;
}

OctetStatus oct_noted_go_on(OctetDiagnostic *diagnostic) {
    for (const OctPatience *patience = current; patience; patience = patience->outer) {
        int over = noted(patience);
        if (over == OCTET_ERROR_CANCELED) {
            return oct_fail(diagnostic, OCTET_ERROR_CANCELED, "the work was interrupted");
        }
        if (over != OCTET_OK) {
            return oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                            "it takes longer than the limit of %g seconds; raise max_seconds "
                            "(--max-seconds) if that is meant",
                            patience->seconds);
        }
    }
    return OCTET_OK;
}

OctetStatus oct_go_on(OctetDiagnostic *diagnostic) {
    return oct_is_over() ? oct_noted_go_on(diagnostic) : OCTET_OK;
}
