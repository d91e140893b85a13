/* octet quantize, killed at many moments: what is at the output's place is whole, or what was there
 * before. */
#include "cli.h"

#include <dirent.h>
#include <signal.h>
#include <time.h>

#include "octet/data.h"
#include "octet/octet.h"

enum { INPUTS = 64, HIDDEN = 2048, OUTPUTS = 512, SAMPLES = 16, KILLS = 32 };

static char old_text[] = "what was there before";

static void write_model(void) {
    static float first[HIDDEN * INPUTS], second[OUTPUTS * HIDDEN];
    OctetGraph *graph = octet_graph_create();
    OctetShape shape = {.rank = 2, .dims = {-1, INPUTS}};
    for (size_t i = 0; i < sizeof first / sizeof *first; i++) {
        first[i] = (float)((int)(i * 7 % 11) - 5) * 0.05f;
    }
    for (size_t i = 0; i < sizeof second / sizeof *second; i++) {
        second[i] = (float)((int)(i * 5 % 13) - 6) * 0.02f;
    }
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    OctetValue *a = octet_graph_linear(graph, "a", x, INPUTS, HIDDEN, first, NULL);
    OctetValue *r = octet_graph_relu(graph, "r", a);
    octet_graph_output(graph, octet_graph_linear(graph, "b", r, HIDDEN, OUTPUTS, second, NULL),
                       "y");
    assert_int_equal(octet_graph_finish(graph, NULL), OCTET_OK);
    assert_int_equal(octet_model_save(graph, cli_path("float.onnx"), NULL, NULL), OCTET_OK);
    octet_graph_free(graph);
}

static void write_samples(void) {
    OctetTensor *samples;
    OctetShape shape = {.rank = 2, .dims = {SAMPLES, INPUTS}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &samples, NULL), OCTET_OK);
    for (size_t i = 0; i < samples->bytes / sizeof(float); i++) {
        ((float *)samples->data)[i] = (float)(i % 19) * 0.1f - 0.9f;
    }
    assert_int_equal(octet_npy_write(cli_path("samples.npy"), samples, NULL), OCTET_OK);
    octet_tensor_free(samples);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

static void pause_for(double seconds) {
    struct timespec time = {.tv_sec = (time_t)seconds,
                            .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    nanosleep(&time, NULL);
}

static const char *line(const char *output) {
    static char text[1024];
    snprintf(text, sizeof text, "quantize %s --calib %s --output %s", cli_path("float.onnx"),
             cli_path("samples.npy"), cli_path(output));
    return text;
}

static char *read_whole(const char *name, size_t *size) {
    FILE *file = fopen(cli_path(name), "rb");
    if (!file) {
        return NULL;
    }
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    char *data = malloc(*size + 1);
    assert_int_equal(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

static bool has_ended(pid_t child) {
    siginfo_t info = {0};
    assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT), 0);
    return info.si_pid == child;
}

/* Whether the child has a file open that is in the folder, but has no name in it (yet). */
static bool writes_unnamed(pid_t child) {
    char path[64], target[512];
    snprintf(path, sizeof path, "/proc/%d/fd", (int)child);
    DIR *stream = opendir(path);
    bool found = false;
    for (struct dirent *entry; stream && !found && (entry = readdir(stream)) != NULL;) {
        snprintf(path, sizeof path, "/proc/%d/fd/%.20s", (int)child, entry->d_name);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length > 0 ? length : 0] = 0;
        found = strncmp(target, cli_folder, strlen(cli_folder)) == 0 && strstr(target, "(deleted)");
    }
    if (stream) {
        closedir(stream);
    }
    return found;
}

/* Half of the kills come at any moment, the others soon after the output is opened. */
static void kill_at_random(pid_t child, double usual, int i, int *seen) {
    double share = (double)(rand() % 1000) / 1000;
    if (i % 2) {
        pause_for(usual * share);
    } else {
        double deadline = now() + 20 * usual + 5;
        while (cli_count(".tmp") == 0 && !has_ended(child) && now() < deadline) {
            if (writes_unnamed(child)) {
                *seen += 1;
                break;
            }
            pause_for(0.0001);
        }
        pause_for(0.004 * share);
    }
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, NULL, 0), child);
}

/* Where files have no name until they are whole, what is left beside the output is a whole one: it
 * died between giving it a name and renaming it. */
static void check_left(const char *expected, size_t whole_size) {
    DIR *stream = opendir(cli_folder);
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        size_t size = 0;
        if (strstr(entry->d_name, ".tmp")) {
            char *found = read_whole(entry->d_name, &size);
            assert_non_null(found);
            assert_int_equal(size, whole_size);
            assert_memory_equal(found, expected, size);
            free(found);
        }
    }
    closedir(stream);
}

static void remove_halves(void) {
    char command[400];
    snprintf(command, sizeof command, "rm -f '%s'/*.tmp", cli_folder);
    assert_int_equal(system(command), 0);
}

static void test_killed(void **state) {
    (void)state;
    size_t whole_size = 0, size = 0;
    int none = 0, whole = 0, before = 0, halves = 0, seen = 0;
    write_model();
    write_samples();
    double started = now();
    assert_int_equal(cli("%s", line("whole.onnx")), 0);
    double usual = now() - started;
    char *expected = read_whole("whole.onnx", &whole_size);
    assert_non_null(expected);
    for (int i = 0; i < KILLS; i++) {
        bool existed = i / 2 % 2 != 0;
        unlink(cli_path("out.onnx"));
        if (existed) {
            FILE *file = fopen(cli_path("out.onnx"), "w");
            assert_non_null(file);
            fputs(old_text, file);
            assert_int_equal(fclose(file), 0);
        }
        kill_at_random(cli_start(line("out.onnx")), usual, i, &seen);
        char *found = read_whole("out.onnx", &size);
        if (found && size == whole_size && memcmp(found, expected, size) == 0) {
            whole++;
        } else if (existed) {
            assert_non_null(found);
            assert_int_equal(size, strlen(old_text));
            assert_memory_equal(found, old_text, size);
            before++;
        } else {
            assert_null(found);
            none++;
        }
        halves += cli_count(".tmp") > 0;
        if (seen > 0) {
            check_left(expected, whole_size);
        }
        remove_halves();
        free(found);
    }
    print_message("%d kills: %d times nothing, %d times the old file, %d times the whole new one; "
                  "%d came while or after it was written; %d left a file beside\n",
                  KILLS, none, before, whole, seen, halves);
    assert_true(none + before > 0);
    free(expected);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_killed)};
    return cmocka_run_group_tests(tests, cli_make_folder, cli_remove_folder);
}
