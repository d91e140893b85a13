/* Every shared model cut off at many places and with single bytes flipped, all the way: read, fuse,
 * plan, run. An error or a result each time, never a crash, a hang or a gigabyte. By default a
 * sample of the places; OCTET_HOSTILE=full takes 200 cuts and 1000 flips of each. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "octet/octet.h"

enum { MAX_MODELS = 32 };
static char names[MAX_MODELS][256];
static int name_count;

static int compare_names(const void *a, const void *b) {
    return strcmp(a, b);
}

static const char *folder(void) {
    static char path[512];
    const char *shared = getenv("OCTET_SHARED");
    snprintf(path, sizeof path, "%s/models", shared ? shared : OCTET_SOURCE_DIR "/../shared");
    return path;
}

static int find_models(void **state) {
    (void)state;
    DIR *stream = opendir(folder());
    for (struct dirent *entry; stream && (entry = readdir(stream)) != NULL;) {
        if (strstr(entry->d_name, ".onnx") && name_count < MAX_MODELS) {
            snprintf(names[name_count++], sizeof names[0], "%s", entry->d_name);
        }
    }
    if (stream) {
        closedir(stream);
    }
    qsort(names, (size_t)name_count, sizeof names[0], compare_names);
    return 0;
}

static bool full(void) {
    const char *wish = getenv("OCTET_HOSTILE");
    return wish && strcmp(wish, "full") == 0;
}

static unsigned char *read_file(const char *name, size_t *size) {
    char path[1024];
    snprintf(path, sizeof path, "%.512s/%.255s", folder(), name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    *size = (size_t)ftell(file);
    rewind(file);
    unsigned char *data = malloc(*size);
    assert_int_equal(fread(data, 1, *size, file), *size);
    fclose(file);
    return data;
}

static void silent(OctetLogLevel level, const char *message, void *user) {
    (void)level;
    (void)message;
    (void)user;
}

/* Runs on zeros; open dimensions count as 1. */
static OctetStatus run_graph(const OctetGraph *graph, OctetDiagnostic *diagnostic) {
    OctetSession *session = NULL;
    OctetSessionOptions options = {.limits.max_memory_bytes = 256u << 20};
    size_t inputs = octet_graph_input_count(graph);
    size_t outputs = octet_graph_output_count(graph);
    OctetTensor **tensors = calloc(inputs + 1, sizeof *tensors);
    const OctetTensor **results = calloc(outputs + 1, sizeof *results);
    OctetStatus status = octet_session_create(graph, &options, &session, diagnostic);
    for (size_t i = 0; i < inputs && status == OCTET_OK; i++) {
        const OctetValue *value = octet_graph_input_at(graph, i);
        OctetShape shape = octet_value_shape(value);
        int64_t count = 1;
        for (int32_t k = 0; k < shape.rank; k++) {
            shape.dims[k] = shape.dims[k] < 0 ? 1 : shape.dims[k];
        }
        if (shape.rank < 0 || !octet_shape_count(&shape, &count) || count > 1 << 22) {
            status = OCTET_ERROR_LIMIT; /* what a caller would not even try */
        } else {
            status = octet_tensor_create(octet_value_dtype(value), &shape, &tensors[i], diagnostic);
        }
    }
    if (status == OCTET_OK) {
        status = octet_session_run(session, (const OctetTensor *const *)tensors, inputs, results,
                                   outputs, diagnostic);
    }
    for (size_t i = 0; i < inputs; i++) {
        octet_tensor_free(tensors[i]);
    }
    octet_session_free(session);
    free(tensors);
    free(results);
    return status;
}

static void take(const unsigned char *data, size_t size, int *results) {
    OctetGraph *graph = NULL;
    OctetDiagnostic diagnostic = {0};
    OctetStatus status =
        octet_model_load_memory(data, size, "hostile.onnx", NULL, &graph, &diagnostic);
    if (status == OCTET_OK) {
        status = octet_fuse(graph, &diagnostic);
    }
    if (status == OCTET_OK) {
        status = run_graph(graph, &diagnostic);
    }
    assert_int_not_equal(status, OCTET_ERROR_INTERNAL);
    *results += status == OCTET_OK;
    octet_graph_free(graph);
}

static void damaged_models_give_errors_or_results(void **state) {
    (void)state;
    size_t cuts = full() ? 200 : 10;
    size_t flips = full() ? 1000 : 40;
    if (name_count == 0) {
        print_message("skipped: no models in %s\n", folder());
        skip();
    }
    for (int m = 0; m < name_count; m++) {
        size_t size;
        unsigned char *data = read_file(names[m], &size);
        int results = 0;
        uint32_t random = 12345;
        time_t start = time(NULL);
        for (size_t i = 0; i < cuts; i++) {
            size_t cut = size * i / cuts;
            unsigned char *copy = malloc(cut + 1); /* so that a sanitizer sees the end */
            memcpy(copy, data, cut);
            take(copy, cut, &results);
            free(copy);
        }
        for (size_t i = 0; i < flips; i++) {
            random = random * 1664525u + 1013904223u;
            /* half of them near the ends, where the structure is, the rest anywhere */
            size_t place = (random >> 4) % size;
            if (i % 2) {
                size_t near = place % 4096 % size;
                place = i % 4 == 1 ? near : size - 1 - near;
            }
            unsigned char old = data[place];
            data[place] = (unsigned char)(old ^ (1u << (random % 8)));
            take(data, size, &results);
            data[place] = old;
        }
        free(data);
        if (full()) {
            print_message("%s: %d results, %d errors, %ld s\n", names[m], results,
                          (int)(cuts + flips) - results, (long)(time(NULL) - start));
        }
        assert_true(results > 0);
    }
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(usage.ru_maxrss < 1000 * 1000);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damaged_models_give_errors_or_results),
    };
    octet_set_log_callback(silent, NULL, OCTET_LOG_ERROR);
    return cmocka_run_group_tests(tests, find_models, NULL);
}
