/* A folder of JPEG and PNG files. */
#include "data/dataset.h"

#include "base/diag.h"
#include "base/mem.h"

typedef struct Images {
    char *folder;
    OctFileNames names;
} Images;

static OctetStatus read_image(const OctetDataset *dataset, int64_t index, OctetTensor **tensors,
                              OctetDiagnostic *diagnostic) {
    const Images *images = dataset->state;
    char *path = oct_path_join(images->folder, images->names.items[index]);
    if (!path) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status =
        octet_image_read(path, &dataset->preprocess, &dataset->inputs[0], &tensors[0], diagnostic);
    oct_free(path);
    return status;
}

static const char *image_name(const OctetDataset *dataset, int64_t index) {
    const Images *images = dataset->state;
    return images->names.items[index];
}

static void release_images(void *state) {
    Images *images = state;
    oct_file_names_free(&images->names);
    oct_free(images->folder);
    oct_free(images);
}

static const OctDatasetKind image_kind = {.read = read_image,
                                          .sample_name = image_name,
                                          .release = release_images,
                                          .has_images = true,
                                          .may_skip = true};

OctetStatus oct_dataset_open_images(OctetDataset *dataset, const char *folder, OctFileNames *names,
                                    OctetDiagnostic *diagnostic) {
    if (dataset->input_count != 1) {
        oct_file_names_free(names);
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE,
                        "images feed one input, the model has %d; use an .npz or a folder of .npy "
                        "with one array an input",
                        dataset->input_count);
    }
    Images *images = oct_calloc(1, sizeof(*images));
    char *copy = oct_strdup(folder);
    if (!images || !copy) {
        oct_file_names_free(names);
        oct_free(images);
        oct_free(copy);
        return oct_fail_memory(diagnostic);
    }
    images->folder = copy;
    images->names = *names;
    *names = (OctFileNames){0};
    dataset->kind = &image_kind;
    dataset->state = images;
    dataset->count = images->names.count;
    return OCTET_OK;
}
