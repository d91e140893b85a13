#include "base/diag.h"

#include <stdio.h>
#include <string.h>

const char *octet_status_name(OctetStatus status) {
    switch (status) {
    case OCTET_OK:
        return "ok";
    case OCTET_ERROR_INVALID_ARGUMENT:
        return "invalid argument";
    case OCTET_ERROR_OUT_OF_MEMORY:
        return "out of memory";
    case OCTET_ERROR_IO:
        return "input/output error";
    case OCTET_ERROR_FORMAT:
        return "malformed file";
    case OCTET_ERROR_UNSUPPORTED:
        return "unsupported";
    case OCTET_ERROR_SHAPE:
        return "shape or type mismatch";
    case OCTET_ERROR_STATE:
        return "call out of order";
    case OCTET_ERROR_LIMIT:
        return "limit reached";
    case OCTET_ERROR_CANCELED:
        return "canceled";
    case OCTET_ERROR_NUMERIC:
        return "value out of range";
    case OCTET_ERROR_INTERNAL:
        return "internal error";
    }
    return "unknown status";
}

void oct_escape(char *buffer, size_t size, const char *text) {
    size_t used = 0;
    if (size == 0) {
        return;
    }
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        bool plain = *c >= 0x20 && *c != 0x7f;
        size_t needed = plain ? 1 : 4;
        if (used + needed + 1 > size) {
            break;
        }
        if (plain) {
            buffer[used++] = (char)*c;
        } else {
            snprintf(buffer + used, 5, "\\x%02x", *c);
            used += 4;
        }
    }
    buffer[used] = '\0';
}

static void record(OctetDiagnostic *diagnostic, OctetStatus status, const char *node,
                   const char *format, va_list arguments) {
    if (!diagnostic || diagnostic->status != OCTET_OK) {
        return;
    }
    char text[sizeof diagnostic->message];
    vsnprintf(text, sizeof text, format, arguments);
    diagnostic->status = status;
    oct_escape(diagnostic->message, sizeof diagnostic->message, text);
    if (node) {
        oct_escape(diagnostic->node, sizeof diagnostic->node, node);
    }
}

OctetStatus oct_fail(OctetDiagnostic *diagnostic, OctetStatus status, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    record(diagnostic, status, NULL, format, arguments);
    va_end(arguments);
    return status;
}

OctetStatus oct_fail_node(OctetDiagnostic *diagnostic, OctetStatus status, const char *node,
                          const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    record(diagnostic, status, node, format, arguments);
    va_end(arguments);
    return status;
}

OctetStatus oct_fail_memory(OctetDiagnostic *diagnostic) {
    return oct_fail(diagnostic, OCTET_ERROR_OUT_OF_MEMORY, "out of memory");
}

OctetStatus oct_fail_in_file(OctetDiagnostic *diagnostic, OctetStatus status, const char *file) {
    if (status != OCTET_OK && diagnostic && file && diagnostic->file[0] == '\0') {
        oct_escape(diagnostic->file, sizeof diagnostic->file, file);
    }
    return status;
}

OctetStatus oct_fail_in_node(OctetDiagnostic *diagnostic, OctetStatus status, const char *node) {
    if (status != OCTET_OK && diagnostic && node && diagnostic->node[0] == '\0') {
        oct_escape(diagnostic->node, sizeof diagnostic->node, node);
    }
    return status;
}

int octet_diagnostic_format(const OctetDiagnostic *diagnostic, char *buffer, size_t size) {
    const char *message =
        diagnostic->message[0] ? diagnostic->message : octet_status_name(diagnostic->status);
    const char *node = diagnostic->node;
    const char *file = diagnostic->file;
    return snprintf(buffer, size, "%s%s%s%s%s%s", file, file[0] ? ": " : "", node[0] ? "node " : "",
                    node, node[0] ? ": " : "", message);
}

#ifndef OCTET_BASE_COPY
static OctetLogCallback log_callback;
static void *log_user;
static OctetLogLevel log_level = OCTET_LOG_WARNING;

void octet_set_log_callback(OctetLogCallback callback, void *user, OctetLogLevel level) {
    log_callback = callback;
    log_user = user;
    log_level = callback ? level : OCTET_LOG_WARNING;
}

void octet_log(OctetLogLevel level, const char *message) {
    char line[1200];
    if (level < log_level) {
        return;
    }
    oct_escape(line, sizeof line, message);
    if (log_callback) {
        log_callback(level, line, log_user);
    } else {
        fprintf(stderr, "octet: %s%s\n", level == OCTET_LOG_WARNING ? "warning: " : "", line);
    }
}
#endif

void oct_log(OctetLogLevel level, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    octet_log(level, text);
}
