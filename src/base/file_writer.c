/* Output that appears whole or not at all. */
#include "base/diag.h"
#include "base/file.h"
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

enum { WRITE_BUFFER = 1 << 16, NAME_TRIES = 100 };

struct OctFileWriter {
    int descriptor;
    char *path;      /* the final name, symbolic links resolved */
    char *temporary; /* a name beside it; NULL: the final one is written directly */
    size_t temporary_size;
    bool is_named; /* there is a file of the temporary name */
    uint64_t offset;
    size_t used;
    uint8_t buffer[WRITE_BUFFER];
};

/* The final name: where a symbolic link leads, else the name itself. */
static char *resolve(const char *path) {
    char resolved[PATH_MAX];
    struct stat info;
    if (lstat(path, &info) == 0 && S_ISLNK(info.st_mode) && realpath(path, resolved)) {
        return oct_strdup(resolved);
    }
    return oct_strdup(path);
}

static mode_t mode_of(const struct stat *existing) {
    return existing ? existing->st_mode & 0777 : 0666;
}

/* A file without a name, which vanishes with the process: it gets its name when it is whole. -1
 * where the system or the file system has none, or no way to name it. */
static int open_unnamed(const OctFileWriter *writer, const struct stat *existing) {
#ifdef O_TMPFILE
    const char *slash = strrchr(writer->path, '/');
    size_t length = slash == writer->path ? 1 : slash ? (size_t)(slash - writer->path) : 0;
    char folder[PATH_MAX] = ".";
    if (length >= sizeof folder || access("/proc/self/fd", X_OK) != 0) {
        return -1;
    }
    if (length > 0) {
        memcpy(folder, writer->path, length);
        folder[length] = 0;
    }
    return open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, mode_of(existing));
#else
    (void)writer;
    (void)existing;
    return -1;
#endif
}

/* A name beside the final one, since a rename works only within one file system. False if there is
 * no memory. */
static bool make_room_for_name(OctFileWriter *writer) {
    writer->temporary_size = strlen(writer->path) + 48;
    writer->temporary = oct_alloc(writer->temporary_size);
    return writer->temporary != NULL;
}

static const char *name_temporary(const OctFileWriter *writer, int i) {
    snprintf(writer->temporary, writer->temporary_size, "%s.%ld-%d.tmp", writer->path,
             (long)getpid(), i);
    return writer->temporary;
}

static OctetStatus open_named(OctFileWriter *writer, const struct stat *existing,
                              OctetDiagnostic *diagnostic) {
    for (int i = 0; i < NAME_TRIES; i++) {
        writer->descriptor = open(name_temporary(writer, i),
                                  O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode_of(existing));
        if (writer->descriptor >= 0) {
            writer->is_named = true;
            return OCTET_OK;
        }
        if (errno != EEXIST) {
            break;
        }
    }
    return oct_file_fail(diagnostic, writer->path, "create");
}

static OctetStatus open_temporary(OctFileWriter *writer, const struct stat *existing,
                                  OctetDiagnostic *diagnostic) {
    if (!make_room_for_name(writer)) {
        return oct_fail_memory(diagnostic);
    }
    writer->descriptor = open_unnamed(writer, existing);
    return writer->descriptor >= 0 ? OCTET_OK : open_named(writer, existing, diagnostic);
}

OctetStatus oct_file_writer_open(const char *path, OctFileWriter **writer,
                                 OctetDiagnostic *diagnostic) {
    *writer = NULL;
    OctFileWriter *made = oct_calloc(1, sizeof(*made));
    if (!made) {
        return oct_fail_in_file(diagnostic, oct_fail_memory(diagnostic), path);
    }
    made->descriptor = -1;
    made->path = resolve(path);
    if (!made->path) {
        oct_free(made);
        return oct_fail_in_file(diagnostic, oct_fail_memory(diagnostic), path);
    }
    struct stat info;
    bool exists = stat(made->path, &info) == 0;
    OctetStatus status = OCTET_OK;
    if (exists && S_ISDIR(info.st_mode)) {
        status = oct_fail(diagnostic, OCTET_ERROR_IO, "can't write here: this is a folder");
    } else if (exists && !S_ISREG(info.st_mode)) {
        made->descriptor = open(made->path, O_WRONLY | O_CLOEXEC);
        if (made->descriptor < 0) {
            status = oct_file_fail(diagnostic, path, "open");
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
            return oct_file_fail(diagnostic, writer->path, "write");
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
        return oct_file_fail(diagnostic, writer->path, "write");
    }
    if (writer->temporary && !writer->is_named) {
        return OCTET_OK; /* its descriptor is all that leads to it */
    }
    int closed = close(writer->descriptor);
    writer->descriptor = -1;
    if (closed != 0) {
        return oct_file_fail(diagnostic, writer->path, "write");
    }
    return OCTET_OK;
}

/* Gives an unnamed file a name that is free: the final one, unless there is a file to be replaced,
 * which takes a name beside it first. Dying between that and the renaming leaves the whole file
 * under that name, and the old one. */
static OctetStatus give_name(OctFileWriter *writer, OctetDiagnostic *diagnostic) {
    char self[64];
    snprintf(self, sizeof self, "/proc/self/fd/%d", writer->descriptor);
    int linked = linkat(AT_FDCWD, self, AT_FDCWD, writer->path, AT_SYMLINK_FOLLOW);
    bool placed = linked == 0;
    for (int i = 0; linked != 0 && errno == EEXIST && i < NAME_TRIES; i++) {
        linked = linkat(AT_FDCWD, self, AT_FDCWD, name_temporary(writer, i), AT_SYMLINK_FOLLOW);
    }
    if (linked != 0) {
        return oct_file_fail(diagnostic, writer->path, "name");
    }
    writer->is_named = !placed;
    close(writer->descriptor); /* synchronized before: nothing can be lost anymore */
    writer->descriptor = -1;
    return OCTET_OK;
}

static OctetStatus put_in_place(OctFileWriter *writer, OctetDiagnostic *diagnostic) {
    if (writer->temporary && !writer->is_named) {
        OCT_TRY(give_name(writer, diagnostic));
    }
    if (writer->is_named) {
        if (rename(writer->temporary, writer->path) != 0) {
            return oct_file_fail(diagnostic, writer->path, "rename to");
        }
        writer->is_named = false;
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
        return oct_file_fail(diagnostic, referring->path, "replace");
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
    if (writer->is_named) {
        unlink(writer->temporary);
    }
    oct_free(writer->temporary);
    oct_free(writer->path);
    oct_free(writer);
}
