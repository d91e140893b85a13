/* ONNX test data: a folder with input_0.pb, input_1.pb, ... is one sample. */
#include "data/dataset.h"

#include "base/diag.h"
#include "base/mem.h"
#include "octet/model.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct TestData {
    OctFileNames folders; /* none: the data set's folder itself is the only sample */
} TestData;

/* The number at the end of a name such as "input_12.pb"; -1 if the name is another one. */
static long number_of(const char *name, const char *prefix, const char *suffix) {
    size_t length = strlen(prefix);
    if (strncmp(name, prefix, length) != 0 || name[length] < '0' || name[length] > '9') {
        return -1;
    }
    char *end;
    errno = 0;
    long number = strtol(name + length, &end, 10);
    return errno == 0 && strcmp(end, suffix) == 0 ? number : -1;
}

static long set_number(const char *name) {
    return number_of(name, "test_data_set_", "");
}

static bool is_set_name(const char *name) {
    return set_number(name) >= 0;
}

bool oct_is_test_data_name(const char *name) {
    return is_set_name(name) || number_of(name, "input_", ".pb") >= 0;
}

static int by_number(const void *left, const void *right) {
    long a = set_number(*(char *const *)left);
    long b = set_number(*(char *const *)right);
    return (a > b) - (a < b);
}

static OctetStatus read_one(const OctetDataset *dataset, const char *folder, int32_t input,
                            OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    char name[32];
    snprintf(name, sizeof name, "input_%d.pb", input);
    char *path = oct_path_join(folder, name);
    if (!path) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status = octet_tensor_load_pb(path, tensor, diagnostic);
    if (status == OCTET_OK) {
        status =
            octet_array_prepare(tensor, &dataset->preprocess, &dataset->inputs[input], diagnostic);
    }
    oct_fail_in_file(diagnostic, status, path);
    oct_free(path);
    return status;
}

static OctetStatus read_test_data(const OctetDataset *dataset, int64_t index, OctetTensor **tensors,
                                  OctetDiagnostic *diagnostic) {
    const TestData *state = dataset->state;
    char *folder = state->folders.count > 0
                       ? oct_path_join(dataset->path, state->folders.items[index])
                       : oct_strdup(dataset->path);
    OctetStatus status = folder ? OCTET_OK : oct_fail_memory(diagnostic);
    for (int32_t i = 0; status == OCTET_OK && i < dataset->input_count; i++) {
        status = read_one(dataset, folder, i, &tensors[i], diagnostic);
    }
    oct_free(folder);
    return status;
}

static const char *test_data_name(const OctetDataset *dataset, int64_t index) {
    const TestData *state = dataset->state;
    return state->folders.count > 0 ? state->folders.items[index] : NULL;
}

static void release_test_data(void *state) {
    TestData *data = state;
    oct_file_names_free(&data->folders);
    oct_free(data);
}

static const OctDatasetKind test_data_kind = {
    .read = read_test_data, .sample_name = test_data_name, .release = release_test_data};

OctetStatus oct_dataset_open_test_data(OctetDataset *dataset, OctFileNames *names,
                                       OctetDiagnostic *diagnostic) {
    TestData *state = oct_calloc(1, sizeof(*state));
    if (!state) {
        oct_file_names_free(names);
        return oct_fail_memory(diagnostic);
    }
    oct_file_names_filter(names, is_set_name);
    state->folders = *names;
    *names = (OctFileNames){0};
    dataset->kind = &test_data_kind;
    dataset->state = state;
    dataset->count = state->folders.count > 0 ? state->folders.count : 1;
    if (state->folders.count > 0) {
        qsort(state->folders.items, (size_t)state->folders.count, sizeof(*state->folders.items),
              by_number);
    }
    return OCTET_OK;
}
