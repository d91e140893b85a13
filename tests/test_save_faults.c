/* Models that replace older ones, alone or with a data file: a failure of any call that changes
 * files, and death before any of them, leave a whole model or none, with and without files that
 * have no name until they are whole. The calls of libc are replaced here. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ir/graph.h"
#include "octet/octet.h"

static struct {
    bool on;
    long countdown; /* calls until the fault */
    int error;      /* what the fault is: an errno, or -1 for death */
} fault;
static bool only_named; /* as on a file system that has no other files */
static bool has_unnamed;

/* True if this call is to fail. */
static bool strikes(void) {
    if (!fault.on || fault.countdown-- > 0) {
        return false;
    }
    if (fault.error < 0) {
        kill(getpid(), SIGKILL);
    }
    errno = fault.error;
    return true;
}

ssize_t write(int descriptor, const void *data, size_t bytes) {
    if (descriptor > 2 && strikes()) {
        return -1;
    }
    return syscall(SYS_write, descriptor, data, bytes);
}

int open(const char *path, int flags, ...) {
    va_list rest;
    va_start(rest, flags);
    mode_t mode = (flags & (O_CREAT | O_TMPFILE)) ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if ((flags & O_TMPFILE) == O_TMPFILE && only_named) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return (int)syscall(SYS_openat, -100, path, flags, mode); /* -100: AT_FDCWD */
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    if (strikes()) {
        return -1;
    }
    return (int)syscall(SYS_linkat, from_folder, from, to_folder, to, flags);
}

int fsync(int descriptor) {
    if (strikes()) {
        return -1;
    }
    return (int)syscall(SYS_fsync, descriptor);
}

int rename(const char *from, const char *to) {
    if (strikes()) {
        return -1;
    }
    return (int)syscall(SYS_renameat2, -100, from, -100, to, 0);
}

/* Only death strikes here: what can't be removed is none of the library's faults. */
int unlink(const char *path) {
    if (fault.error < 0 && strikes()) {
        return -1;
    }
    return (int)syscall(SYS_unlinkat, -100, path, 0);
}

static char folder[] = "/tmp/octet-faults-XXXXXX";

static const char *path_of(const char *name) {
    static char paths[4][320];
    static int next;
    char *path = paths[next++ % 4];
    snprintf(path, sizeof paths[0], "%s/%s", folder, name);
    return path;
}

static int set_up(void **state) {
    (void)state;
    if (!mkdtemp(folder)) {
        return -1;
    }
    int descriptor = open(folder, O_TMPFILE | O_WRONLY, 0600);
    has_unnamed = descriptor >= 0;
    return has_unnamed ? close(descriptor) : 0;
}

static int files(const char *part, bool remove) {
    DIR *stream = opendir(folder);
    int count = 0;
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        if (entry->d_name[0] != '.' && strstr(entry->d_name, part)) {
            count++;
            if (remove) {
                unlink(path_of(entry->d_name));
            }
        }
    }
    closedir(stream);
    return count;
}

static int tear_down(void **state) {
    (void)state;
    fault.on = false;
    files("", true);
    return rmdir(folder);
}

/* A dense layer whose weights (`first` and so on) need several writes. */
static OctetGraph *network(float first) {
    enum { WIDTH = 160 };
    static float weight[WIDTH * WIDTH];
    for (size_t i = 0; i < sizeof weight / sizeof *weight; i++) {
        weight[i] = first + (float)(i % 31);
    }
    OctetGraph *graph = octet_graph_create();
    OctetShape shape = {.rank = 2, .dims = {-1, WIDTH}};
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    OctetValue *y = octet_graph_linear(graph, "layer", x, WIDTH, WIDTH, weight, NULL);
    octet_graph_output(graph, y, "y");
    assert_int_equal(octet_graph_finish(graph, NULL), OCTET_OK);
    return graph;
}

static void start(long countdown, int error) {
    fault.countdown = countdown;
    fault.error = error;
    fault.on = true;
}

static OctetStatus save(const OctetGraph *graph, bool external, OctetDiagnostic *diagnostic) {
    OctetSaveOptions options = {.external_data = external};
    memset(diagnostic, 0, sizeof *diagnostic);
    OctetStatus status = octet_model_save(graph, path_of("a.onnx"), &options, diagnostic);
    fault.on = false;
    return status;
}

static float first_weight(void) {
    OctetGraph *graph;
    OctetDiagnostic diagnostic = {0};
    OctetLoadOptions options = {.copy_file = true};
    if (octet_model_load(path_of("a.onnx"), &options, &graph, &diagnostic) != OCTET_OK) {
        fail_msg("%s", diagnostic.message);
    }
    const OctetTensor *tensor =
        oct_value_tensor(octet_node_input(octet_graph_find_node(graph, "layer"), 1));
    float first = ((const float *)tensor->data)[0];
    octet_graph_free(graph);
    return first;
}

/* Each write, each synchronization and each renaming fails once, over an older file. */
static void full_disks(bool external) {
    OctetDiagnostic diagnostic;
    OctetGraph *old = network(1);
    OctetGraph *new = network(2);
    OctetStatus status = OCTET_ERROR_IO;
    int failures = 0;
    for (long n = 0; status != OCTET_OK; n++) {
        files("", true);
        assert_int_equal(save(old, external, &diagnostic), OCTET_OK);
        start(n, n % 2 ? ENOSPC : EIO);
        status = save(new, external, &diagnostic);
        assert_int_equal(files(".tmp", false), 0);
        if (status != OCTET_OK) {
            failures++;
            assert_int_equal(status, OCTET_ERROR_IO);
            assert_non_null(strstr(diagnostic.message, strerror(n % 2 ? ENOSPC : EIO)));
            assert_non_null(strstr(diagnostic.file, "a.onnx"));
        }
        /* the old pair may be gone once the new one is wholly on the disk */
        if (access(path_of("a.onnx"), F_OK) == 0) {
            assert_true(first_weight() == (status == OCTET_OK ? 2 : 1));
        } else {
            assert_true(external && status != OCTET_OK);
        }
    }
    assert_true(failures >= (external ? 6 : 4));
    octet_graph_free(old);
    octet_graph_free(new);
}

static void every_write_fails(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) {
        only_named = i & 2;
        full_disks(i & 1);
    }
}

/* Killed before any of the calls that change files. */
static void deaths(bool external, bool replace) {
    OctetDiagnostic diagnostic;
    OctetGraph *old = network(1);
    OctetGraph *new = network(2);
    int kills = 0, whole = 0, left = 0;
    for (long n = 0; whole == 0 || kills == 0; n++) {
        int ended;
        files("", true);
        if (replace) {
            assert_int_equal(save(old, external, &diagnostic), OCTET_OK);
        }
        pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            start(n, -1);
            _exit(save(new, external, &diagnostic) == OCTET_OK ? 0 : 1);
        }
        assert_int_equal(waitpid(child, &ended, 0), child);
        bool lived = WIFEXITED(ended) && WEXITSTATUS(ended) == 0;
        assert_true(lived || (WIFSIGNALED(ended) && WTERMSIG(ended) == SIGKILL));
        whole += lived;
        kills += !lived;
        if (access(path_of("a.onnx"), F_OK) == 0) {
            float first = first_weight();
            assert_true(lived ? first == 2 : (replace && first == 1) || first == 2);
        } else {
            assert_true(!lived && (!replace || external));
        }
        left += files(".tmp", false);
    }
    /* without names nothing is left, but before the renaming of what replaces an older file */
    assert_true(only_named ? left > 0 : left <= (replace ? 1 : 0) || !has_unnamed);
    assert_true(kills >= 4);
    octet_graph_free(old);
    octet_graph_free(new);
}

static void death_leaves_none_or_all(void **state) {
    (void)state;
    for (int i = 0; i < 8; i++) {
        only_named = i & 4;
        deaths(i & 1, i & 2);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_write_fails),
        cmocka_unit_test(death_leaves_none_or_all),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
