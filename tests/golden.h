/* Where golden vectors are: tests/golden, or the folder that OCTET_GOLDEN names (make parity). */
#ifndef OCT_TESTS_GOLDEN_H
#define OCT_TESTS_GOLDEN_H

#include <stdio.h>
#include <stdlib.h>

static FILE *open_golden(const char *name) {
    char path[1024];
    const char *folder = getenv("OCTET_GOLDEN");
    snprintf(path, sizeof path, "%s/%s", folder ? folder : OCTET_SOURCE_DIR "/tests/golden", name);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    return file;
}

#endif
