/* External data: files beside the model. What a model names is untrusted, so only files inside
 * the model's own folder are read, wherever links may lead. */
#include "base/diag.h"
#include "base/mem.h"
#include "onnx/tensor_proto.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

void oct_data_source_close(OctDataSource *source) {
    oct_file_close(source->file);
    oct_free(source->location);
    source->file = NULL;
    source->location = NULL;
}

static bool parse_offset(const char *text, uint64_t *number) {
    *number = 0;
    if (!*text) {
        return false;
    }
    for (; *text; text++) {
        if (*text < '0' || *text > '9' || *number > (UINT64_MAX - 9) / 10) {
            return false;
        }
        *number = *number * 10 + (uint64_t)(*text - '0');
    }
    return true;
}

/* A relative path without a way upward. */
static bool is_inside(const char *location) {
    if (!*location || *location == '/' || strchr(location, '\\')) {
        return false;
    }
    for (const char *part = location; part; part = strchr(part, '/')) {
        part += *part == '/';
        if (part[0] == '.' && part[1] == '.' && (part[2] == '/' || part[2] == 0)) {
            return false;
        }
    }
    return true;
}

static OctetStatus fail_outside(OctetDiagnostic *diagnostic, const char *location) {
    return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                    "its external data lies in \"%s\"; only files inside the model's own folder "
                    "are read",
                    location);
}

static OctetStatus open_inside(OctDataSource *source, const char *location,
                               OctetDiagnostic *diagnostic) {
    char folder[PATH_MAX];
    char path[PATH_MAX];
    size_t size;
    if (!is_inside(location)) {
        return fail_outside(diagnostic, location);
    }
    if (!realpath(source->folder, folder)) {
        return oct_fail(diagnostic, OCTET_ERROR_IO, "can't resolve the model's folder: %s",
                        strerror(errno));
    }
    size_t folder_length = strlen(folder);
    if (!oct_add_size(folder_length + 2, strlen(location), &size)) {
        return oct_fail_memory(diagnostic);
    }
    char *joined = oct_alloc(size);
    if (!joined) {
        return oct_fail_memory(diagnostic);
    }
    memcpy(joined, folder, folder_length);
    joined[folder_length] = '/';
    strcpy(joined + folder_length + 1, location);
    bool found = realpath(joined, path) != NULL;
    int reason = errno;
    oct_free(joined);
    if (!found) {
        return oct_fail(diagnostic, OCTET_ERROR_IO, "can't open its external data \"%s\": %s",
                        location, strerror(reason));
    }
    bool inside = strncmp(path, folder, folder_length) == 0 &&
                  (folder_length == 1 || path[folder_length] == '/');
    if (!inside) {
        return fail_outside(diagnostic, location);
    }
    char *copy = oct_strdup(location);
    if (!copy) {
        return oct_fail_memory(diagnostic);
    }
    oct_data_source_close(source);
    source->location = copy;
    return oct_file_open(path, &source->file, diagnostic);
}

OctetStatus oct_external_find(const Onnx__TensorProto *proto, OctDataSource *source, size_t bytes,
                              uint64_t *offset, OctetDiagnostic *diagnostic) {
    const char *location = NULL;
    uint64_t length = bytes;
    *offset = 0;
    for (size_t i = 0; i < proto->n_external_data; i++) {
        const char *key = proto->external_data[i]->key ? proto->external_data[i]->key : "";
        const char *value = proto->external_data[i]->value ? proto->external_data[i]->value : "";
        bool fine = true;
        if (strcmp(key, "location") == 0) {
            location = value;
        } else if (strcmp(key, "offset") == 0) {
            fine = parse_offset(value, offset);
        } else if (strcmp(key, "length") == 0) {
            fine = parse_offset(value, &length);
        }
        if (!fine) {
            return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                            "the %s of its external data is \"%s\", which is no number", key,
                            value);
        }
    }
    if (!location) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "its external data has no location");
    }
    if (!source->folder) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "its data lies outside (\"%s\"), and a model in memory has no folder",
                        location);
    }
    if (length != bytes) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                        "its external data has %llu bytes, its shape and type need %zu",
                        (unsigned long long)length, bytes);
    }
    if (!source->file || strcmp(source->location, location) != 0) {
        OCT_TRY(open_inside(source, location, diagnostic));
    }
    uint64_t size = oct_file_size(source->file);
    if (*offset > size || bytes > size - *offset) {
        return oct_fail(
            diagnostic, OCTET_ERROR_FORMAT,
            "its external data (%zu bytes from offset %llu) is not in \"%s\", which has "
            "%llu bytes",
            bytes, (unsigned long long)*offset, location, (unsigned long long)size);
    }
    if (bytes > source->external_left) {
        return oct_fail(
            diagnostic, OCTET_ERROR_LIMIT,
            "with its external data (%zu bytes) the model is larger than accepted; raise "
            "max_file_bytes (--max-file) if that is meant",
            bytes);
    }
    source->external_left -= bytes;
    return OCTET_OK;
}
