/* Arrays whose first axis counts the samples: .npy, .npz, a folder of .npy. */
#include "data/dataset.h"

#include "base/diag.h"
#include "base/mem.h"
#include "data/npy.h"

#include <stdio.h>
#include <string.h>

typedef struct Arrays {
    OctZip *zip;     /* NULL unless .npz */
    OctNpy **arrays; /* one an input, in the inputs' order */
    int32_t count;
} Arrays;

static OctetStatus read_arrays(const OctetDataset *dataset, int64_t index, OctetTensor **tensors,
                               OctetDiagnostic *diagnostic) {
    const Arrays *state = dataset->state;
    for (int32_t i = 0; i < state->count; i++) {
        OCT_TRY(oct_npy_read_rows(state->arrays[i], index, 1, &tensors[i], diagnostic));
        OctetStatus status =
            octet_array_prepare(&tensors[i], &dataset->preprocess, &dataset->inputs[i], diagnostic);
        OCT_TRY(oct_fail_in_file(diagnostic, status, oct_npy_name(state->arrays[i])));
    }
    return OCTET_OK;
}

static void release_arrays(void *state) {
    Arrays *arrays = state;
    for (int32_t i = 0; i < arrays->count; i++) {
        oct_npy_free(arrays->arrays[i]);
    }
    oct_free(arrays->arrays);
    oct_zip_free(arrays->zip);
    oct_free(arrays);
}

static const OctDatasetKind array_kind = {.read = read_arrays, .release = release_arrays};

static OctetStatus make_state(OctetDataset *dataset, Arrays **state, OctetDiagnostic *diagnostic) {
    Arrays *made = oct_calloc(1, sizeof(*made));
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->arrays = oct_calloc((size_t)dataset->input_count, sizeof(OctNpy *));
    if (!made->arrays) {
        oct_free(made);
        return oct_fail_memory(diagnostic);
    }
    made->count = dataset->input_count;
    dataset->kind = &array_kind; /* from here on the data set frees the state */
    dataset->state = made;
    *state = made;
    return OCTET_OK;
}

/* All arrays must have the same number of samples. */
static OctetStatus count_samples(OctetDataset *dataset, const Arrays *state,
                                 OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < state->count; i++) {
        const OctNpy *array = state->arrays[i];
        const OctetShape *shape = oct_npy_shape(array);
        OctetDType dtype = oct_npy_dtype(array);
        if (shape->rank < 1) {
            OctetStatus status =
                oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                         "a single number; an array whose first axis counts the samples is needed");
            return oct_fail_in_file(diagnostic, status, oct_npy_name(array));
        }
        if (i > 0 && shape->dims[0] != dataset->count) {
            OctetStatus status = oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                                          "%lld samples for input '%s', but %lld for '%s'",
                                          (long long)shape->dims[0], dataset->inputs[i].name,
                                          (long long)dataset->count, dataset->inputs[0].name);
            return oct_fail_in_file(diagnostic, status, oct_npy_name(array));
        }
        dataset->count = shape->dims[0];
        dataset->has_floats =
            dataset->has_floats || dtype == OCTET_F32 || dtype == OCTET_F64 || dtype == OCTET_F16;
    }
    return OCTET_OK;
}

OctetStatus oct_dataset_open_npy(OctetDataset *dataset, OctetDiagnostic *diagnostic) {
    Arrays *state = NULL;
    OctSource *source;
    if (dataset->input_count != 1) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "one array feeds one input, the model has %d; use an .npz or a folder of "
                        ".npy with one array an input",
                        dataset->input_count);
    }
    OCT_TRY(make_state(dataset, &state, diagnostic));
    OCT_TRY(oct_source_open(dataset->path, &source, diagnostic));
    OCT_TRY(oct_npy_open(source, &state->arrays[0], diagnostic));
    return count_samples(dataset, state, diagnostic);
}

/* True if `file` is `input` with .npy behind it, "/" and ":" perhaps written "_". */
static bool name_matches(const char *file, const char *input) {
    const char *end = oct_has_ending(file, "npy") ? strrchr(file, '.') : file + strlen(file);
    size_t length = (size_t)(end - file);
    if (length != strlen(input)) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        bool replaced = file[i] == '_' && (input[i] == '/' || input[i] == ':');
        if (file[i] != input[i] && !replaced) {
            return false;
        }
    }
    return true;
}

/* The entry for an input; -1 if there is none. A single one is taken for a single input. */
static int32_t find_array(const OctetDataset *dataset, int32_t input, int32_t count,
                          const char *(*name_of)(const void *names, int32_t index),
                          const void *names) {
    for (int32_t i = 0; i < count; i++) {
        if (name_matches(name_of(names, i), dataset->inputs[input].name)) {
            return i;
        }
    }
    return count == 1 && dataset->input_count == 1 ? 0 : -1;
}

static OctetStatus fail_no_array(const OctetDataset *dataset, int32_t input,
                                 OctetDiagnostic *diagnostic) {
    return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "there is no array '%s.npy' for input '%s'",
                    dataset->inputs[input].name, dataset->inputs[input].name);
}

static const char *zip_name(const void *names, int32_t index) {
    return oct_zip_name(names, index);
}

static const char *list_name(const void *names, int32_t index) {
    return ((const OctFileNames *)names)->items[index];
}

OctetStatus oct_dataset_open_npz(OctetDataset *dataset, OctetDiagnostic *diagnostic) {
    Arrays *state = NULL;
    OCT_TRY(make_state(dataset, &state, diagnostic));
    OCT_TRY(oct_zip_open(dataset->path, &state->zip, diagnostic));
    for (int32_t i = 0; i < dataset->input_count; i++) {
        int32_t entry = find_array(dataset, i, oct_zip_count(state->zip), zip_name, state->zip);
        if (entry < 0) {
            return fail_no_array(dataset, i, diagnostic);
        }
        OctSource *source;
        OCT_TRY(oct_zip_entry(state->zip, entry, &source, diagnostic));
        OCT_TRY(oct_npy_open(source, &state->arrays[i], diagnostic));
    }
    return count_samples(dataset, state, diagnostic);
}

static OctetStatus open_folder(OctetDataset *dataset, const OctFileNames *names,
                               OctetDiagnostic *diagnostic) {
    Arrays *state = NULL;
    OCT_TRY(make_state(dataset, &state, diagnostic));
    for (int32_t i = 0; i < dataset->input_count; i++) {
        int32_t entry = find_array(dataset, i, names->count, list_name, names);
        if (entry < 0) {
            return fail_no_array(dataset, i, diagnostic);
        }
        char *path = oct_path_join(dataset->path, names->items[entry]);
        if (!path) {
            return oct_fail_memory(diagnostic);
        }
        OctSource *source;
        OctetStatus status = oct_source_open(path, &source, diagnostic);
        oct_free(path);
        OCT_TRY(status);
        OCT_TRY(oct_npy_open(source, &state->arrays[i], diagnostic));
    }
    return count_samples(dataset, state, diagnostic);
}

OctetStatus oct_dataset_open_npy_folder(OctetDataset *dataset, OctFileNames *names,
                                        OctetDiagnostic *diagnostic) {
    oct_file_names_filter(names, oct_is_npy_name);
    OctetStatus status = open_folder(dataset, names, diagnostic);
    oct_file_names_free(names);
    return status;
}
