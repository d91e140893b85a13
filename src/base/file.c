#include "base/file.h"

#include "base/diag.h"
#include "base/mem.h"
#include "base/patience.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { READ_CHUNK = 1 << 20, WRITE_BUFFER = 1 << 16, NAME_TRIES = 100 };

struct OctFile {
    int descriptor;
    uint64_t size;
    char *path;
};

struct OctFileWriter {
    int descriptor;
    char *path;      /* the final name, symbolic links resolved */
    char *temporary; /* NULL: written directly */
    uint64_t offset;
    size_t used;
    uint8_t buffer[WRITE_BUFFER];
};

static OctetStatus fail_errno(OctetDiagnostic *diagnostic, const char *path, const char *verb) {
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
        return fail_errno(diagnostic, path, "open");
    }
    if (fstat(*descriptor, info) != 0) {
        OctetStatus status = fail_errno(diagnostic, path, "open");
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
            return fail_errno(diagnostic, file->path, "read");
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

/* The final name: where a symbolic link leads, else the name itself. */
static char *resolve(const char *path) {
    char resolved[PATH_MAX];
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode) && realpath(path, resolved)) {
        return oct_strdup(resolved);
    }
    return oct_strdup(path);
}

/* Opens a new file beside the final one, since a rename works only within one file system. */
static OctetStatus open_temporary(OctFileWriter *writer, const struct stat *existing,
                                  OctetDiagnostic *diagnostic) {
    size_t size = strlen(writer->path) + 48;
    writer->temporary = oct_alloc(size);
    if (!writer->temporary) {
        return oct_fail_memory(diagnostic);
    }
    mode_t mode = existing ? existing->st_mode & 0777 : 0666;
    for (int i = 0; i < NAME_TRIES; i++) {
        snprintf(writer->temporary, size, "%s.%ld-%d.tmp", writer->path, (long)getpid(), i);
        writer->descriptor = open(writer->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
        if (writer->descriptor >= 0) {
            return OCTET_OK;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    OctetStatus status = fail_errno(diagnostic, writer->path, "create");
    oct_free(writer->temporary);
    writer->temporary = NULL;
    return status;
}

OctetStatus oct_file_writer_open(const char *path, OctFileWriter **writer,
                                 OctetDiagnostic *diagnostic) {
    *writer = NULL;
    OctFileWriter *made = oct_calloc(1, sizeof(*made));
    if (!made) {
        return fail_memory_in(diagnostic, path);
    }
    made->descriptor = -1;
    made->path = resolve(path);
    if (!made->path) {
        oct_free(made);
        return fail_memory_in(diagnostic, path);
    }
    struct stat info;
    bool exists = stat(made->path, &info) == 0;
    OctetStatus status = OCTET_OK;
    if (exists && S_ISDIR(info.st_mode)) {
        status = oct_fail(diagnostic, OCTET_ERROR_IO, "can't write here: this is a folder");
    } else if (exists && !S_ISREG(info.st_mode)) {
        made->descriptor = open(made->path, O_WRONLY | O_CLOEXEC);
        if (made->descriptor < 0) {
            status = fail_errno(diagnostic, path, "open");
        }
    } else {
        status = open_temporary(made, exists ? &info : NULL, diagnostic);
    }
    if (status != OCTET_OK) {
        oct_file_writer_free(made);
        return oct_fail_in_file(diagnostic, status, path);
    }
    *writer = made;
    return OCTET_OK;
}

static OctetStatus write_all(OctFileWriter *writer, const uint8_t *data, size_t bytes,
                             OctetDiagnostic *diagnostic) {
    while (bytes > 0) {
        OCT_TRY(oct_go_on(diagnostic));
        ssize_t done = write(writer->descriptor, data, bytes);
        if (done < 0 && errno == EINTR) {
            continue;
        }
        if (done < 0) {
            return fail_errno(diagnostic, writer->path, "write");
        }
        data += done;
        bytes -= (size_t)done;
    }
    return OCTET_OK;
}

static OctetStatus flush(OctFileWriter *writer, OctetDiagnostic *diagnostic) {
    size_t used = writer->used;
    writer->used = 0;
    return write_all(writer, writer->buffer, used, diagnostic);
}

OctetStatus oct_file_write(OctFileWriter *writer, const void *data, size_t bytes,
                           OctetDiagnostic *diagnostic) {
    writer->offset += bytes;
    if (bytes > WRITE_BUFFER - writer->used) {
        OCT_TRY(flush(writer, diagnostic));
    }
    if (bytes >= WRITE_BUFFER) {
        return write_all(writer, data, bytes, diagnostic);
    }
    if (bytes > 0) {
        memcpy(writer->buffer + writer->used, data, bytes);
        writer->used += bytes;
    }
    return OCTET_OK;
}

uint64_t oct_file_writer_offset(const OctFileWriter *writer) {
    return writer->offset;
}

/* All that can fail for want of room: afterwards only the renaming is left. */
static OctetStatus synchronize(OctFileWriter *writer, OctetDiagnostic *diagnostic) {
    OCT_TRY(flush(writer, diagnostic));
    /* some file systems report a full disk only here; devices and pipes can't be synchronized */
    if (writer->temporary && fsync(writer->descriptor) != 0) {
        return fail_errno(diagnostic, writer->path, "write");
    }
    int closed = close(writer->descriptor);
    writer->descriptor = -1;
    if (closed != 0) {
        return fail_errno(diagnostic, writer->path, "write");
    }
    return OCTET_OK;
}

static OctetStatus put_in_place(OctFileWriter *writer, OctetDiagnostic *diagnostic) {
    if (writer->temporary) {
        if (rename(writer->temporary, writer->path) != 0) {
            return fail_errno(diagnostic, writer->path, "rename to");
        }
        oct_free(writer->temporary);
        writer->temporary = NULL;
    }
    return OCTET_OK;
}

OctetStatus oct_file_writer_commit(OctFileWriter *writer, OctetDiagnostic *diagnostic) {
    OCT_TRY(synchronize(writer, diagnostic));
    return put_in_place(writer, diagnostic);
}

OctetStatus oct_file_writer_commit_pair(OctFileWriter *data, OctFileWriter *referring,
                                        OctetDiagnostic *diagnostic) {
    OCT_TRY(synchronize(data, diagnostic));
    OCT_TRY(synchronize(referring, diagnostic));
    bool replaces = data->temporary && access(data->path, F_OK) == 0;
    if (replaces && referring->temporary && unlink(referring->path) != 0 && errno != ENOENT) {
        return fail_errno(diagnostic, referring->path, "replace");
    }
    OCT_TRY(put_in_place(data, diagnostic));
    return put_in_place(referring, diagnostic);
}

void oct_file_writer_free(OctFileWriter *writer) {
    if (!writer) {
        return;
    }
    if (writer->descriptor >= 0) {
        close(writer->descriptor);
    }
    if (writer->temporary) {
        unlink(writer->temporary);
        oct_free(writer->temporary);
    }
    oct_free(writer->path);
    oct_free(writer);
}
