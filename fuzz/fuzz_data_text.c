/* Any text as a file of labels and as a preprocessing; the latter, written out, reads back. */
#include "octet/data.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_preprocess(const char *text) {
    OctetPreprocess first, second;
    char written[512], again[512];
    if (octet_preprocess_parse(text, &first, NULL) != OCTET_OK) {
        return;
    }
    octet_preprocess_format(&first, written, sizeof written);
    if (octet_preprocess_parse(written, &second, NULL) != OCTET_OK) {
        __builtin_trap();
    }
    octet_preprocess_format(&second, again, sizeof again);
    if (strcmp(written, again) != 0) {
        __builtin_trap();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    int descriptor = memfd_create("fuzz", 0);
    if (text && descriptor >= 0 && write(descriptor, data, size) == (ssize_t)size) {
        char path[64];
        OctetLabels *labels;
        int64_t label;
        memcpy(text, data, size);
        text[size] = '\0';
        read_preprocess(text);
        snprintf(path, sizeof path, "/proc/self/fd/%d", descriptor);
        if (octet_labels_read(path, &labels, NULL) == OCTET_OK) {
            (void)octet_labels_find(labels, "a.png", 0, &label);
            (void)octet_labels_find(labels, NULL, octet_labels_count(labels), &label);
            octet_labels_free(labels);
        }
    }
    if (descriptor >= 0) {
        close(descriptor);
    }
    free(text);
    return 0;
}
