/* The kinds of data sets behind OctetDataset. */
#ifndef OCT_DATA_DATASET_H
#define OCT_DATA_DATASET_H

#include "octet/data.h"

#include <stdatomic.h>

/* What a kind of data set does; `state` is its own. */
typedef struct OctDatasetKind {
    /* Reads one sample into tensors (zeroed before); whatever is in there on failure is freed. */
    OctetStatus (*read)(const OctetDataset *dataset, int64_t index, OctetTensor **tensors,
                        OctetDiagnostic *diagnostic);
    const char *(*sample_name)(const OctetDataset *dataset, int64_t index); /* may be NULL */
    void (*release)(void *state);
    bool has_images;
    bool may_skip; /* a sample that can't be read is skipped unless strict */
} OctDatasetKind;

struct OctetDataset {
    const OctDatasetKind *kind;
    void *state;
    int64_t count;
    bool has_floats;
    OctetDataInput *inputs; /* names included, owned */
    int32_t input_count;
    OctetPreprocess preprocess;
    bool strict;
    char *path;
    atomic_llong skipped;
};

/* Sorted names of what a folder holds, hidden entries left out. */
typedef struct OctFileNames {
    char **items;
    int32_t count;
    int32_t capacity;
} OctFileNames;

OctetStatus oct_file_names_list(const char *folder, OctFileNames *names,
                                OctetDiagnostic *diagnostic);
/* Keeps those for which keep() is true. */
void oct_file_names_filter(OctFileNames *names, bool (*keep)(const char *name));
void oct_file_names_free(OctFileNames *names);
/* "folder/name", for oct_free. */
char *oct_path_join(const char *folder, const char *name);
/* True if `name` ends in `.ending`, in any case. */
bool oct_has_ending(const char *name, const char *ending);

bool oct_is_image_name(const char *name);
bool oct_is_npy_name(const char *name);
bool oct_is_test_data_name(const char *name); /* "input_0.pb", "test_data_set_0" and so on */

/* Each fills kind, state, count (and has_floats) of a data set whose other fields are set. `names`
 * is taken over, also on failure. */
OctetStatus oct_dataset_open_images(OctetDataset *dataset, const char *folder, OctFileNames *names,
                                    OctetDiagnostic *diagnostic);
OctetStatus oct_dataset_open_npy(OctetDataset *dataset, OctetDiagnostic *diagnostic);
OctetStatus oct_dataset_open_npz(OctetDataset *dataset, OctetDiagnostic *diagnostic);
OctetStatus oct_dataset_open_npy_folder(OctetDataset *dataset, OctFileNames *names,
                                        OctetDiagnostic *diagnostic);
OctetStatus oct_dataset_open_test_data(OctetDataset *dataset, OctFileNames *names,
                                       OctetDiagnostic *diagnostic);

#endif
