/* How long a call may take, and whether its caller still wants it: known to everything that the
 * call does on its thread and in the parallel loops that it starts, so that any loop can ask.
 *
 * Whoever finds that time is up, or that the caller asked to stop, notes it; from then on parallel
 * loops leave out the tasks that have not begun, loops that ask leave off, and what they made is
 * worth nothing. So a function whose result outlives the call asks oct_go_on at its end. */
#ifndef OCT_BASE_PATIENCE_H
#define OCT_BASE_PATIENCE_H

#include "octet/status.h"

#include <pthread.h>
#include <stdatomic.h>

typedef struct OctPatience {
    bool (*canceled)(void *user); /* asked on the owner's thread only; NULL: never */
    void *canceled_user;
    double seconds;
    int64_t deadline; /* nanoseconds of the monotonic clock */
    pthread_t owner;
    struct OctPatience *outer; /* of the call that this call is part of; it counts as well */
    atomic_int over;           /* OCTET_OK, or the status of the failure */
} OctPatience;

/* From now on this thread's work has that much patience. `seconds` 0: the default, 600. */
void oct_patience_begin(OctPatience *patience, bool (*canceled)(void *user), void *user,
                        double seconds);
void oct_patience_end(OctPatience *patience);

/* True if what this thread does is to end: a few nanoseconds. */
bool oct_is_over(void);
/* Whether somebody noted that already. */
bool oct_is_noted_over(void);
/* OCTET_ERROR_CANCELED or OCTET_ERROR_LIMIT if what this thread does is to end. */
OctetStatus oct_go_on(OctetDiagnostic *diagnostic);
/* The same if it was noted already. */
OctetStatus oct_noted_go_on(OctetDiagnostic *diagnostic);

/* For loops whose steps are short: asks each time that steps of about 100 microseconds in all have
 * come together. A unit of work is a nanosecond or less. */
enum { OCT_STINT = 100000 };
static inline bool oct_is_over_after(size_t *stint, size_t work) {
    *stint += work;
    if (*stint < OCT_STINT) {
        return false;
    }
    bool over = oct_is_over();
    *stint = over ? OCT_STINT : 0; /* once it is over, loops around this one hear it at once */
    return over;
}

/* For threads that work for another one: its patience in place of their own, which is returned. */
OctPatience *oct_patience_of_thread(void);
OctPatience *oct_patience_lend(OctPatience *patience);

#endif
