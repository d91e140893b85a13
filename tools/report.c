#include "report.h"

#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static const char *command_name;
static bool is_quiet, is_json;
static volatile sig_atomic_t caught_signal;

static struct {
    const char *label;
    int64_t total;
    double started, drawn;
    bool visible; /* a line stands on the terminal */
    bool active;
} progress;

static void clear_line(void) {
    if (progress.visible) {
        fputs("\r\033[K", stderr);
        progress.visible = false;
    }
}

static void on_signal(int number) {
    if (caught_signal) {
        _exit(128 + number);
    }
    caught_signal = number;
}

static void on_log(OctetLogLevel level, const char *message, void *user) {
    (void)user;
    if (level == OCTET_LOG_WARNING && is_quiet) {
        return;
    }
    clear_line();
    fprintf(stderr, "octet %s: %s%s\n", command_name, level == OCTET_LOG_WARNING ? "warning: " : "",
            message);
}

void report_start(const char *command) {
    command_name = command;
    octet_set_log_callback(on_log, NULL, OCTET_LOG_WARNING);
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    /* a limit on the size of files then is an error of the write like a full disk */
    signal(SIGXFSZ, SIG_IGN);
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        struct sigaction before;
        /* a job that was started to ignore them, as nohup does, keeps ignoring them */
        if (sigaction(signals[i], NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
            sigaction(signals[i], &action, NULL);
        }
    }
}

void report_set_quiet(bool quiet) {
    is_quiet = quiet;
}

void report_set_json(bool json) {
    is_json = json;
}

static void print_failure_json(const char *text, OctetStatus status) {
    json_t *object = json_new_object();
    json_add(object, "error", json_text(text));
    json_add(object, "status", json_text(octet_status_name(status)));
    json_add(object, "findings", json_findings());
    json_print(object);
}

int report_failure(const OctetDiagnostic *diagnostic) {
    char text[1600];
    progress_end();
    if (diagnostic->status == OCTET_ERROR_CANCELED && caught_signal) {
        fprintf(stderr, "octet %s: interrupted; nothing was written\n", command_name);
        return interrupted_exit_code();
    }
    octet_diagnostic_format(diagnostic, text, sizeof text);
    if (is_json && findings_count() > 0) {
        print_failure_json(text, diagnostic->status);
    }
    if (findings_count() > 1) {
        fprintf(stderr, "octet %s: %s%sthese nodes can't be run:\n", command_name, diagnostic->file,
                diagnostic->file[0] ? ": " : "");
        findings_print(stderr, "  ");
    } else {
        fprintf(stderr, "octet %s: %s\n", command_name, text);
    }
    return EXIT_ERROR;
}

int report_error(const char *format, ...) {
    va_list arguments;
    progress_end();
    fprintf(stderr, "octet %s: ", command_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return EXIT_ERROR;
}

void report_warning(const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    on_log(OCTET_LOG_WARNING, text, NULL);
}

_Noreturn void die_out_of_memory(void) {
    fputs("octet: out of memory\n", stderr);
    exit(EXIT_ERROR);
}

void *checked_calloc(size_t count, size_t size) {
    void *memory = calloc(count ? count : 1, size ? size : 1);
    if (!memory) {
        die_out_of_memory();
    }
    return memory;
}

char *checked_strdup(const char *text) {
    char *copy = strdup(text);
    if (!copy) {
        die_out_of_memory();
    }
    return copy;
}

bool interrupted(void) {
    return caught_signal != 0;
}

int interrupted_exit_code(void) {
    return 128 + caught_signal;
}

OctetStatus check_interrupt(OctetDiagnostic *diagnostic) {
    if (!caught_signal) {
        return OCTET_OK;
    }
    if (diagnostic->status == OCTET_OK) {
        diagnostic->status = OCTET_ERROR_CANCELED;
    }
    return OCTET_ERROR_CANCELED;
}

double seconds_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

void progress_start(const char *label, int64_t total) {
    progress.label = label;
    progress.total = total;
    progress.started = seconds_now();
    progress.drawn = 0;
    progress.active = !is_quiet && isatty(STDERR_FILENO);
}

void progress_step(int64_t done) {
    double now = seconds_now();
    if (!progress.active || now - progress.drawn < 0.1) {
        return;
    }
    progress.drawn = now;
    double elapsed = now - progress.started;
    fprintf(stderr, "\r\033[K%s %lld/%lld", progress.label, (long long)done,
            (long long)progress.total);
    if (done > 0 && elapsed > 0) {
        double rate = (double)done / elapsed;
        char left[32];
        format_seconds((double)(progress.total - done) / rate, left, sizeof left);
        fprintf(stderr, "  %.3g/s  %s left", rate, left);
    }
    fflush(stderr);
    progress.visible = true;
}

void progress_end(void) {
    clear_line();
    progress.active = false;
}

/* The kernel's getrusage also counts what the process was before exec; this doesn't. */
uint64_t peak_rss_bytes(void) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long kilobytes = 0;
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "VmHWM: %llu", &kilobytes) == 1) {
            break;
        }
    }
    if (file) {
        fclose(file);
    }
    return (uint64_t)kilobytes * 1024;
}

uint64_t file_bytes(const char *path) {
    struct stat info;
    return stat(path, &info) == 0 ? (uint64_t)info.st_size : 0;
}

char *format_bytes(uint64_t bytes, char *buffer, size_t size) {
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    double value = (double)bytes;
    size_t unit = 0;
    while (value >= 999.5 && unit < 4) {
        value /= 1000;
        unit++;
    }
    snprintf(buffer, size, unit == 0 ? "%.0f %s" : "%.3g %s", value, units[unit]);
    return buffer;
}

char *format_seconds(double seconds, char *buffer, size_t size) {
    if (seconds < 0.0995) {
        snprintf(buffer, size, "%.3g ms", seconds * 1e3);
    } else if (seconds < 99.5) {
        snprintf(buffer, size, "%.3g s", seconds);
    } else {
        long whole = seconds < 1e9 ? lround(seconds) : 999999999;
        snprintf(buffer, size, "%ld:%02ld:%02ld", whole / 3600, whole / 60 % 60, whole % 60);
    }
    return buffer;
}

char *format_decibels(double decibels, char *buffer, size_t size) {
    snprintf(buffer, size, isinf(decibels) ? "%.0f" : "%.1f", decibels);
    return buffer;
}

json_t *json_number(double value) {
    json_t *made = isfinite(value) ? json_real(value) : json_null();
    if (!made) {
        die_out_of_memory();
    }
    return made;
}

json_t *json_text(const char *text) {
    if (!text) {
        return json_null();
    }
    json_t *made = json_string(text);
    if (made) {
        return made;
    }
    /* not UTF-8: names in model files may be anything */
    char *plain = checked_strdup(text);
    for (char *c = plain; *c; c++) {
        if ((unsigned char)*c >= 0x80) {
            *c = '?';
        }
    }
    made = json_string(plain);
    free(plain);
    if (!made) {
        die_out_of_memory();
    }
    return made;
}

json_t *json_shape(const OctetGraph *graph, const OctetShape *shape) {
    if (shape->rank < 0) {
        return json_null();
    }
    json_t *array = json_new_array();
    for (int32_t d = 0; d < shape->rank; d++) {
        json_push(array, shape->dims[d] >= 0
                             ? json_integer(shape->dims[d])
                             : json_text(octet_graph_dim_name(graph, shape->dims[d])));
    }
    return array;
}

void json_add(json_t *object, const char *key, json_t *value) {
    if (!value || json_object_set_new(object, key, value) != 0) {
        die_out_of_memory();
    }
}

void json_push(json_t *array, json_t *value) {
    if (!value || json_array_append_new(array, value) != 0) {
        die_out_of_memory();
    }
}

json_t *json_new_object(void) {
    json_t *object = json_object();
    if (!object) {
        die_out_of_memory();
    }
    return object;
}

json_t *json_new_array(void) {
    json_t *array = json_array();
    if (!array) {
        die_out_of_memory();
    }
    return array;
}

static void json_print_digits(json_t *object, size_t digits) {
    if (json_dumpf(object, stdout, JSON_INDENT(2) | JSON_REAL_PRECISION(digits)) != 0) {
        die_out_of_memory();
    }
    putchar('\n');
    json_decref(object);
}

void json_print(json_t *object) {
    json_print_digits(object, 9); /* bring every float back */
}

void json_print_exact(json_t *object) {
    json_print_digits(object, 17);
}

int report_finish(int code) {
    progress_end();
    if (fflush(stdout) != 0 || ferror(stdout)) {
        return report_error("can't write to standard output: %s", strerror(errno));
    }
    return code;
}
