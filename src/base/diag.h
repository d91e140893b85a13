/* Failing with a reason, and log lines. */
#ifndef OCT_BASE_DIAG_H
#define OCT_BASE_DIAG_H

#include "octet/status.h"

/* Records the first failure in `diagnostic` (may be NULL) and returns `status`, so that a function
 * can end with `return oct_fail(...)`. Control characters in the text are escaped. */
OctetStatus oct_fail(OctetDiagnostic *diagnostic, OctetStatus status, const char *format, ...)
    OCTET_PRINTF(3, 4);
/* Same with the name of the node that it is about (may be NULL). */
OctetStatus oct_fail_node(OctetDiagnostic *diagnostic, OctetStatus status, const char *node,
                          const char *format, ...) OCTET_PRINTF(4, 5);
OctetStatus oct_fail_memory(OctetDiagnostic *diagnostic);
/* Adds the file's name to a recorded failure that has none. Returns `status` unchanged. */
OctetStatus oct_fail_in_file(OctetDiagnostic *diagnostic, OctetStatus status, const char *file);
/* Likewise the node's name. */
OctetStatus oct_fail_in_node(OctetDiagnostic *diagnostic, OctetStatus status, const char *node);

/* Copies text to buffer with control characters and invalid bytes written as \xNN. */
void oct_escape(char *buffer, size_t size, const char *text);

void oct_log(OctetLogLevel level, const char *format, ...) OCTET_PRINTF(2, 3);

/* Returns from the calling function when an expression of type OctetStatus is not OCTET_OK. */
#define OCT_TRY(expression)                                                                        \
    do {                                                                                           \
        OctetStatus oct_try_status = (expression);                                                 \
        if (oct_try_status != OCTET_OK) {                                                          \
            return oct_try_status;                                                                 \
        }                                                                                          \
    } while (0)

#endif
