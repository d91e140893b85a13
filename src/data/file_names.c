/* Names of files in folders. */
#include "data/dataset.h"

#include "base/diag.h"
#include "base/mem.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { FOLDER_ENTRIES_MAX = 50000000 };

static int by_name(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

OctetStatus oct_file_names_list(const char *folder, OctFileNames *names,
                                OctetDiagnostic *diagnostic) {
    *names = (OctFileNames){0};
    DIR *stream = opendir(folder);
    if (!stream) {
        OctetStatus status =
            oct_fail(diagnostic, OCTET_ERROR_IO, "can't open the folder: %s", strerror(errno));
        return oct_fail_in_file(diagnostic, status, folder);
    }
    OctetStatus status = OCTET_OK;
    struct dirent *entry;
    while (status == OCTET_OK && (entry = readdir(stream)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }
        char *name = NULL;
        if (names->count == FOLDER_ENTRIES_MAX) {
            status = oct_fail(diagnostic, OCTET_ERROR_LIMIT, "the folder has too many files");
        } else if (!oct_grow(&names->items, &names->capacity, names->count + 1,
                             sizeof(*names->items)) ||
                   !(name = oct_strdup(entry->d_name))) {
            status = oct_fail_memory(diagnostic);
        } else {
            names->items[names->count++] = name;
        }
    }
    closedir(stream);
    if (status != OCTET_OK) {
        oct_file_names_free(names);
        return oct_fail_in_file(diagnostic, status, folder);
    }
    if (names->count > 0) {
        qsort(names->items, (size_t)names->count, sizeof(*names->items), by_name);
    }
    return OCTET_OK;
}

void oct_file_names_filter(OctFileNames *names, bool (*keep)(const char *name)) {
    int32_t kept = 0;
    for (int32_t i = 0; i < names->count; i++) {
        if (keep(names->items[i])) {
            names->items[kept++] = names->items[i];
        } else {
            oct_free(names->items[i]);
        }
    }
    names->count = kept;
}

void oct_file_names_free(OctFileNames *names) {
    for (int32_t i = 0; i < names->count; i++) {
        oct_free(names->items[i]);
    }
    oct_free(names->items);
    *names = (OctFileNames){0};
}

char *oct_path_join(const char *folder, const char *name) {
    size_t length = strlen(folder);
    size_t size = length + strlen(name) + 2;
    char *path = oct_alloc(size);
    if (path) {
        bool has_slash = length > 0 && folder[length - 1] == '/';
        snprintf(path, size, "%s%s%s", folder, has_slash ? "" : "/", name);
    }
    return path;
}

bool oct_has_ending(const char *name, const char *ending) {
    const char *dot = strrchr(name, '.');
    return dot && strcasecmp(dot + 1, ending) == 0;
}

bool oct_is_image_name(const char *name) {
    return oct_has_ending(name, "jpg") || oct_has_ending(name, "jpeg") ||
           oct_has_ending(name, "png");
}

bool oct_is_npy_name(const char *name) {
    return oct_has_ending(name, "npy");
}
