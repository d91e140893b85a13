#include "data/dataset.h"

#include "base/diag.h"
#include "base/mem.h"
#include "data/image.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

static OctetStatus copy_inputs(OctetDataset *dataset, const OctetDatasetOptions *options,
                               OctetDiagnostic *diagnostic) {
    size_t count = (size_t)options->input_count;
    dataset->inputs = oct_calloc(count, sizeof(*dataset->inputs));
    if (!dataset->inputs) {
        return oct_fail_memory(diagnostic);
    }
    dataset->input_count = options->input_count;
    for (size_t i = 0; i < count; i++) {
        dataset->inputs[i] = options->inputs[i];
        char *name = oct_strdup(options->inputs[i].name ? options->inputs[i].name : "");
        dataset->inputs[i].name = name;
        if (!name) {
            return oct_fail_memory(diagnostic);
        }
    }
    return OCTET_OK;
}

static OctetStatus open_image_folder(OctetDataset *dataset, OctFileNames *names,
                                     OctetDiagnostic *diagnostic) {
    oct_file_names_filter(names, oct_is_image_name);
    return oct_dataset_open_images(dataset, dataset->path, names, diagnostic);
}

/* The first kind of which the folder has a file decides. */
static OctetStatus open_folder(OctetDataset *dataset, OctetDiagnostic *diagnostic) {
    static const struct {
        bool (*matches)(const char *name);
        OctetStatus (*open)(OctetDataset *dataset, OctFileNames *names,
                            OctetDiagnostic *diagnostic);
    } kinds[] = {{oct_is_image_name, open_image_folder},
                 {oct_is_npy_name, oct_dataset_open_npy_folder},
                 {oct_is_test_data_name, oct_dataset_open_test_data}};
    OctFileNames names = {0};
    OCT_TRY(oct_file_names_list(dataset->path, &names, diagnostic));
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        for (int32_t i = 0; i < names.count; i++) {
            if (kinds[k].matches(names.items[i])) {
                return kinds[k].open(dataset, &names, diagnostic);
            }
        }
    }
    oct_file_names_free(&names);
    return oct_fail(diagnostic, OCTET_ERROR_IO,
                    "the folder has no samples: no .jpg, .jpeg, .png, .npy or input_0.pb");
}

static OctetStatus open_image(OctetDataset *dataset, OctetDiagnostic *diagnostic) {
    OctFileNames names = {0};
    const char *slash = strrchr(dataset->path, '/');
    char *folder = oct_strdup(slash ? dataset->path : ".");
    char *name = oct_strdup(slash ? slash + 1 : dataset->path);
    OctetStatus status = OCTET_OK;
    if (!folder || !name || !oct_grow(&names.items, &names.capacity, 1, sizeof(*names.items))) {
        oct_free(name);
        status = oct_fail_memory(diagnostic);
    } else {
        if (slash) {
            folder[slash == dataset->path ? 1 : slash - dataset->path] = '\0';
        }
        names.items[names.count++] = name;
        status = oct_dataset_open_images(dataset, folder, &names, diagnostic);
    }
    oct_free(folder);
    return status;
}

static OctetStatus open_any(OctetDataset *dataset, OctetDiagnostic *diagnostic) {
    struct stat info;
    if (stat(dataset->path, &info) == 0 && S_ISDIR(info.st_mode)) {
        return open_folder(dataset, diagnostic);
    }
    if (oct_has_ending(dataset->path, "npy")) {
        return oct_dataset_open_npy(dataset, diagnostic);
    }
    if (oct_has_ending(dataset->path, "npz")) {
        return oct_dataset_open_npz(dataset, diagnostic);
    }
    bool image;
    OCT_TRY(oct_image_probe(dataset->path, &image, diagnostic));
    if (image) {
        return open_image(dataset, diagnostic);
    }
    return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                    "no data set: a folder of images or arrays, .npy, .npz, a JPEG or a PNG is "
                    "needed");
}

OctetStatus octet_dataset_open(const char *path, const OctetDatasetOptions *options,
                               OctetDataset **dataset, OctetDiagnostic *diagnostic) {
    *dataset = NULL;
    if (options->input_count < 1) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "the model has no inputs that samples could be read for");
    }
    OctetDataset *made = oct_calloc(1, sizeof(*made));
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->preprocess = options->preprocess;
    made->strict = options->strict;
    made->path = oct_strdup(path);
    OctetStatus status = made->path ? OCTET_OK : oct_fail_memory(diagnostic);
    if (status == OCTET_OK) {
        status = copy_inputs(made, options, diagnostic);
    }
    if (status == OCTET_OK) {
        status = open_any(made, diagnostic);
    }
    if (status == OCTET_OK && made->count == 0) {
        status = oct_fail(diagnostic, OCTET_ERROR_FORMAT, "the data set has no samples");
    }
    if (status != OCTET_OK) {
        octet_dataset_free(made);
        return oct_fail_in_file(diagnostic, status, path);
    }
    *dataset = made;
    return OCTET_OK;
}

int64_t octet_dataset_count(const OctetDataset *dataset) {
    return dataset->count;
}

const char *octet_dataset_sample_name(const OctetDataset *dataset, int64_t index) {
    bool inside = index >= 0 && index < dataset->count;
    return inside && dataset->kind->sample_name ? dataset->kind->sample_name(dataset, index) : NULL;
}

bool octet_dataset_has_images(const OctetDataset *dataset) {
    return dataset->kind->has_images;
}

bool octet_dataset_has_floats(const OctetDataset *dataset) {
    return dataset->has_floats;
}

int64_t octet_dataset_skipped(const OctetDataset *dataset) {
    return dataset->skipped;
}

OctetStatus octet_dataset_read(OctetDataset *dataset, int64_t index, OctetTensor **tensors,
                               bool *skipped, OctetDiagnostic *diagnostic) {
    *skipped = false;
    for (int32_t i = 0; i < dataset->input_count; i++) {
        tensors[i] = NULL;
    }
    if (index < 0 || index >= dataset->count) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "there is no sample %lld of %lld",
                        (long long)index, (long long)dataset->count);
    }
    OctetDiagnostic reason = {0};
    OctetStatus status = dataset->kind->read(dataset, index, tensors, &reason);
    if (status == OCTET_OK) {
        return OCTET_OK;
    }
    for (int32_t i = 0; i < dataset->input_count; i++) {
        octet_tensor_free(tensors[i]);
        tensors[i] = NULL;
    }
    /* a file that is damaged is the data's fault; a shape that no sample will have is the user's */
    bool damaged = status == OCTET_ERROR_FORMAT || status == OCTET_ERROR_IO ||
                   status == OCTET_ERROR_LIMIT || status == OCTET_ERROR_UNSUPPORTED;
    if (dataset->kind->may_skip && damaged && !dataset->strict) {
        char text[1500];
        octet_diagnostic_format(&reason, text, sizeof text);
        oct_log(OCTET_LOG_WARNING, "skipped %s", text);
        atomic_fetch_add(&dataset->skipped, 1);
        *skipped = true;
        return OCTET_OK;
    }
    if (diagnostic && diagnostic->status == OCTET_OK) {
        *diagnostic = reason;
    }
    return oct_fail_in_file(diagnostic, status, dataset->path);
}

void octet_dataset_free(OctetDataset *dataset) {
    if (!dataset) {
        return;
    }
    if (dataset->kind) {
        dataset->kind->release(dataset->state);
    }
    for (int32_t i = 0; i < dataset->input_count; i++) {
        oct_free((void *)(uintptr_t)dataset->inputs[i].name);
    }
    oct_free(dataset->inputs);
    oct_free(dataset->path);
    oct_free(dataset);
}
