/* Running the built command in tests, in a folder of its own. */
#ifndef OCTET_TESTS_CLI_H
#define OCTET_TESTS_CLI_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <fcntl.h>
#include <jansson.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char cli_folder[] = "/tmp/octet-cli-XXXXXX";

/* What the last command printed. */
static char cli_out[1 << 20], cli_err[1 << 16];

/* The path of a file in the folder; four may be in use at once. */
static const char *cli_path(const char *name) {
    static char paths[4][320];
    static int next;
    next = (next + 1) % 4;
    snprintf(paths[next], sizeof paths[next], "%s/%s", cli_folder, name);
    return paths[next];
}

static bool cli_read_path(const char *path, char *text, size_t size) {
    FILE *file = fopen(path, "rb");
    size_t length = file ? fread(text, 1, size - 1, file) : 0;
    text[length] = '\0';
    if (file) {
        fclose(file);
    }
    return file != NULL;
}

static void cli_read(const char *name, char *text, size_t size) {
    assert_true(cli_read_path(cli_path(name), text, size));
}

/* Starts the command with its output in files; `line` is split at spaces. */
static pid_t cli_start(const char *line) {
    char words[4096];
    char *arguments[64] = {OCTET_BINARY_DIR "/octet"};
    int count = 1;
    snprintf(words, sizeof words, "%s", line);
    for (char *word = strtok(words, " "); word && count < 63; word = strtok(NULL, " ")) {
        arguments[count++] = word;
    }
    const char *out = cli_path("stdout.txt");
    const char *err = cli_path("stderr.txt");
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        signal(SIGINT, SIG_DFL); /* what runs in the background may have it ignored */
        int out_file = open(out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        int err_file = open(err, O_WRONLY | O_CREAT | O_TRUNC, 0600);
        dup2(out_file, STDOUT_FILENO);
        dup2(err_file, STDERR_FILENO);
        execv(arguments[0], arguments);
        _exit(127);
    }
    return child;
}

static int cli_wait(pid_t child) {
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    cli_read("stdout.txt", cli_out, sizeof cli_out);
    cli_read("stderr.txt", cli_err, sizeof cli_err);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

/* Waits until the child has caught Ctrl-C for itself and then worked for a while by its own clock,
 * so that it is in the middle of what takes long; not if it has ended. */
__attribute__((unused)) static void cli_wait_until_busy(pid_t child) {
    const long busy = sysconf(_SC_CLK_TCK) / 10;
    const struct timespec pause = {.tv_nsec = 2000000};
    for (;;) {
        char path[64], text[4096];
        unsigned long long caught = 0;
        long used = 0;
        siginfo_t info = {0};
        snprintf(path, sizeof path, "/proc/%d/status", (int)child);
        const char *line = cli_read_path(path, text, sizeof text) ? strstr(text, "SigCgt:") : NULL;
        if (line) {
            caught = strtoull(line + 7, NULL, 16);
        }
        snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
        line = cli_read_path(path, text, sizeof text) ? strrchr(text, ')') : NULL;
        if (line) {
            (void)sscanf(line, ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %ld", &used);
        }
        if ((caught >> (SIGINT - 1) & 1 && used >= busy) ||
            waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
            info.si_pid == child) {
            return;
        }
        nanosleep(&pause, NULL);
    }
}

/* Runs "octet" with a formatted line of arguments and returns the exit code. */
static int cli(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int cli(const char *format, ...) {
    char line[4096];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof line, format, arguments);
    va_end(arguments);
    return cli_wait(cli_start(line));
}

/* The last command's output as JSON, for json_decref. */
__attribute__((unused)) static json_t *cli_json(void) {
    json_error_t error;
    json_t *object = json_loads(cli_out, 0, &error);
    if (!object) {
        fail_msg("no JSON (%s): %s", error.text, cli_out);
    }
    return object;
}

__attribute__((unused)) static double cli_number(const json_t *object, const char *key) {
    const json_t *value = json_object_get(object, key);
    assert_true(json_is_number(value));
    return json_number_value(value);
}

/* One line on standard error, nothing on standard output. */
__attribute__((unused)) static void cli_assert_one_line(const char *part) {
    assert_string_equal(cli_out, "");
    const char *end = strchr(cli_err, '\n');
    assert_non_null(end);
    assert_string_equal(end, "\n");
    if (!strstr(cli_err, part)) {
        fail_msg("'%s' is not in: %s", part, cli_err);
    }
}

/* Files in the folder whose name contains `part`. */
__attribute__((unused)) static int cli_count(const char *part) {
    DIR *stream = opendir(cli_folder);
    int count = 0;
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        count += strstr(entry->d_name, part) != NULL;
    }
    closedir(stream);
    return count;
}

static int cli_make_folder(void **state) {
    (void)state;
    return mkdtemp(cli_folder) ? 0 : -1;
}

static int cli_remove_folder(void **state) {
    char command[400];
    (void)state;
    snprintf(command, sizeof command, "rm -r '%s'", cli_folder);
    return system(command);
}

#endif
