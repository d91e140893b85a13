/* Any bytes as an .npy and as an .npz: whole arrays, single rows back and forth. */
#include "octet/data.h"

#include "base/file.h"
#include "data/npy.h"

#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BYTES_MAX = 1 << 24 };

static void read_rows(OctNpy *npy) {
    const OctetShape *shape = oct_npy_shape(npy);
    int64_t count;
    if (shape->rank < 1 || !octet_shape_count(shape, &count) || count > BYTES_MAX) {
        return;
    }
    int64_t rows = shape->dims[0];
    const int64_t places[] = {rows - 1, 0, rows / 2, rows};
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        OctetTensor *tensor = NULL;
        (void)oct_npy_read_rows(npy, places[i], 1, &tensor, NULL);
        octet_tensor_free(tensor);
    }
}

static void read_archive(const char *path) {
    OctZip *zip;
    if (oct_zip_open(path, &zip, NULL) != OCTET_OK) {
        return;
    }
    for (int32_t i = 0; i < oct_zip_count(zip) && i < 8; i++) {
        OctSource *source;
        OctNpy *npy;
        if (oct_zip_entry(zip, i, &source, NULL) == OCTET_OK &&
            oct_npy_open(source, &npy, NULL) == OCTET_OK) {
            read_rows(npy);
            oct_npy_free(npy);
        }
    }
    oct_zip_free(zip);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char path[64];
    int descriptor = memfd_create("fuzz", 0);
    if (descriptor < 0 || write(descriptor, data, size) != (ssize_t)size) {
        return 0;
    }
    snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
    OctetTensor *tensor = NULL;
    OctSource *source;
    OctNpy *npy;
    (void)octet_npy_read(path, &tensor, NULL);
    octet_tensor_free(tensor);
    if (oct_source_open(path, &source, NULL) == OCTET_OK &&
        oct_npy_open(source, &npy, NULL) == OCTET_OK) {
        read_rows(npy);
        oct_npy_free(npy);
    }
    read_archive(path);
    close(descriptor);
    return 0;
}
