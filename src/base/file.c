#include "base/file.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/patience.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_CHUNK = 1 << 20 };

struct OctFile {
    int descriptor;
    uint64_t size;
    char *path;
};

OctetStatus oct_file_fail(OctetDiagnostic *diagnostic, const char *path, const char *verb) {
    OctetStatus status =
        oct_fail(diagnostic, OCTET_ERROR_IO, "can't %s the file: %s", verb, strerror(errno));
    return oct_fail_in_file(diagnostic, status, path);
}

static OctetStatus fail_memory_in(OctetDiagnostic *diagnostic, const char *path) {
    return oct_fail_in_file(diagnostic, oct_fail_memory(diagnostic), path);
}

static OctetStatus open_for_reading(const char *path, int *descriptor, struct stat *info,
                                    OctetDiagnostic *diagnostic) {
    *descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (*descriptor < 0) {
        return oct_file_fail(diagnostic, path, "open");
    }
    if (fstat(*descriptor, info) != 0) {
        OctetStatus status = oct_file_fail(diagnostic, path, "open");
        close(*descriptor);
        return status;
    }
    if (S_ISDIR(info->st_mode)) {
        close(*descriptor);
        OctetStatus status =
            oct_fail(diagnostic, OCTET_ERROR_IO, "this is a folder, a file is needed");
        return oct_fail_in_file(diagnostic, status, path);
    }
    return OCTET_OK;
}

/* Appends what is left in the descriptor; the size that stat tells is a hint (pipes have 0). */
static OctetStatus read_all(int descriptor, size_t hint, size_t limit, uint8_t **data,
                            size_t *bytes, OctetDiagnostic *diagnostic) {
    size_t capacity = hint < limit ? hint : limit;
    size_t used = 0;
    uint8_t *buffer = oct_alloc(capacity + 1);
    if (!buffer) {
        return oct_fail_memory(diagnostic);
    }
    for (;;) {
        /* one byte more than fits tells a file that is longer than its hint or the limit */
        ssize_t got = read(descriptor, buffer + used, capacity - used + 1);
        if (got < 0 && errno != EINTR) {
            oct_free(buffer);
            return oct_fail(diagnostic, OCTET_ERROR_IO, "can't read the file: %s", strerror(errno));
        }
        if (oct_is_over()) {
            oct_free(buffer);
            return oct_noted_go_on(diagnostic);
        }
        if (got < 0) {
            continue;
        }
        if (got == 0) {
            break;
        }
        used += (size_t)got;
        if (used > limit) {
            oct_free(buffer);
            return oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                            "the file has more than the %zu bytes that are accepted here", limit);
        }
        if (used > capacity) {
            size_t step = capacity > READ_CHUNK ? capacity : READ_CHUNK;
            capacity = step < limit - capacity ? capacity + step : limit;
            uint8_t *grown = oct_realloc(buffer, capacity + 1);
            if (!grown) {
                oct_free(buffer);
                return oct_fail_memory(diagnostic);
            }
            buffer = grown;
        }
    }
    buffer[used] = 0;
    *data = buffer;
    *bytes = used;
    return OCTET_OK;
}

OctetStatus oct_file_read(const char *path, size_t limit, uint8_t **data, size_t *bytes,
                          OctetDiagnostic *diagnostic) {
    *data = NULL;
    *bytes = 0;
    if (limit > SIZE_MAX - 1) {
        limit = SIZE_MAX - 1;
    }
    int descriptor;
    struct stat info;
    OCT_TRY(open_for_reading(path, &descriptor, &info, diagnostic));
    OctetStatus status;
    if (S_ISREG(info.st_mode) && (uint64_t)info.st_size > limit) {
        status = oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                          "the file has %llu bytes, at most %zu are accepted here",
                          (unsigned long long)info.st_size, limit);
    } else {
        size_t hint = S_ISREG(info.st_mode) ? (size_t)info.st_size : 0;
        status = read_all(descriptor, hint, limit, data, bytes, diagnostic);
    }
    close(descriptor);
    return status == OCTET_OK ? OCTET_OK : oct_fail_in_file(diagnostic, status, path);
}

OctetStatus oct_file_open(const char *path, OctFile **file, OctetDiagnostic *diagnostic) {
    *file = NULL;
    int descriptor;
    struct stat info;
    OCT_TRY(open_for_reading(path, &descriptor, &info, diagnostic));
    if (!S_ISREG(info.st_mode)) {
        close(descriptor);
        OctetStatus status =
            oct_fail(diagnostic, OCTET_ERROR_IO, "a regular file is needed here, not a pipe");
        return oct_fail_in_file(diagnostic, status, path);
    }
    OctFile *made = oct_calloc(1, sizeof(*made));
    char *copy = oct_strdup(path);
    if (!made || !copy) {
        close(descriptor);
        oct_free(made);
        oct_free(copy);
        return fail_memory_in(diagnostic, path);
    }
    made->descriptor = descriptor;
    made->size = (uint64_t)info.st_size;
    made->path = copy;
    *file = made;
    return OCTET_OK;
}

uint64_t oct_file_size(const OctFile *file) {
    return file->size;
}

const char *oct_file_path(const OctFile *file) {
    return file->path;
}

OctetStatus oct_file_read_at(const OctFile *file, uint64_t offset, void *buffer, size_t bytes,
                             OctetDiagnostic *diagnostic) {
    if (offset > file->size || bytes > file->size - offset) {
        OctetStatus status = oct_fail(
            diagnostic, OCTET_ERROR_FORMAT,
            "the file ends too early: %llu bytes from offset %llu are needed, it has %llu",
            (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)file->size);
        return oct_fail_in_file(diagnostic, status, file->path);
    }
    uint8_t *to = buffer;
    while (bytes > 0) {
        OCT_TRY(oct_go_on(diagnostic));
        ssize_t got = pread(file->descriptor, to, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) {
            continue;
        }
        if (got < 0) {
            return oct_file_fail(diagnostic, file->path, "read");
        }
        if (got == 0) {
            OctetStatus status = oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                                          "the file became shorter while it was read");
            return oct_fail_in_file(diagnostic, status, file->path);
        }
        to += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return OCTET_OK;
}

void oct_file_close(OctFile *file) {
    if (!file) {
        return;
    }
    close(file->descriptor);
    oct_free(file->path);
    oct_free(file);
}
