/* What the user sees: errors, warnings, progress, numbers, JSON. */
#ifndef OCTET_TOOLS_REPORT_H
#define OCTET_TOOLS_REPORT_H

#include "octet/octet.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { EXIT_ERROR = 1 };

/* Routes the library's log lines and the signals of this process. */
void report_start(const char *command);
void report_set_quiet(bool quiet);

void report_set_json(bool json);

/* For OctetLoadOptions: keeps what is wrong with a model's nodes, for report_failure to list, or
 * for a command that shows the model nevertheless. */
void report_findings(const OctetFinding *findings, size_t count, uint64_t left_out, void *user);
/* What was kept: as lines that begin with `indent`, and as a JSON array. */
void findings_print(FILE *stream, const char *indent);
json_t *json_findings(void);
size_t findings_count(void);
void findings_forget(void);

/* Prints the diagnostic as "octet COMMAND: file: node: message" and returns the exit code. With
 * --json an object with "error", "status" and "findings" goes to standard output, too, if a model's
 * nodes are at fault. */
int report_failure(const OctetDiagnostic *diagnostic);
/* The same for a text of one's own. */
int report_error(const char *format, ...) __attribute__((format(printf, 1, 2)));
void report_warning(const char *format, ...) __attribute__((format(printf, 1, 2)));
_Noreturn void die_out_of_memory(void);
void *checked_calloc(size_t count, size_t size); /* never NULL */
char *checked_strdup(const char *text);

/* True after Ctrl-C or a request to end; a second Ctrl-C ends at once. */
bool interrupted(void);
/* 128 + the signal's number. */
int interrupted_exit_code(void);
/* OCTET_ERROR_CANCELED with its text if interrupted, else OCTET_OK. */
OctetStatus check_interrupt(OctetDiagnostic *diagnostic);

/* A line on standard error that is drawn over, with rate and remaining time; nothing unless that
 * is a terminal. */
void progress_start(const char *label, int64_t total);
void progress_step(int64_t done);
void progress_end(void);

double seconds_now(void); /* monotonic */
uint64_t peak_rss_bytes(void);
uint64_t file_bytes(const char *path); /* 0 if it can't be told */
/* "1.2 MB"; "3.4 s"; each returns its buffer. */
char *format_bytes(uint64_t bytes, char *buffer, size_t size);
char *format_seconds(double seconds, char *buffer, size_t size);
/* "12.3", and "inf" where two signals are equal. */
char *format_decibels(double decibels, char *buffer, size_t size);

/* A number, or null for NaN and infinities, which JSON lacks. */
json_t *json_number(double value);
json_t *json_text(const char *text); /* invalid UTF-8 is replaced; NULL gives null */
json_t *json_shape(const OctetGraph *graph, const OctetShape *shape);
/* Adds a member; the value's reference is taken. */
void json_add(json_t *object, const char *key, json_t *value);
void json_push(json_t *array, json_t *value);
json_t *json_new_object(void);
json_t *json_new_array(void);
/* Prints it on standard output with a newline, and frees it. */
void json_print(json_t *object);
/* The same with all digits of a double. */
void json_print_exact(json_t *object);

/* Flushes standard output; an exit code other than 0 if it could not be written. */
int report_finish(int code);

#endif
