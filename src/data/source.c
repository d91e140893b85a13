#include "data/source.h"

#include "base/diag.h"
#include "base/mem.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <zlib.h>

enum { PACKED_BUFFER = 1 << 15, SKIP_BUFFER = 1 << 15 };

/* A raw deflate stream that is read forward; the mutex guards all of it. */
typedef struct Inflater {
    pthread_mutex_t mutex;
    z_stream stream;
    bool started;
    uint64_t position; /* unpacked bytes delivered */
    uint64_t consumed; /* packed bytes read from the file */
    uint8_t packed[PACKED_BUFFER];
} Inflater;

struct OctSource {
    OctFile *file;
    bool owns_file;
    uint64_t offset;
    uint64_t packed;
    uint64_t size;
    char *name;
    Inflater *inflater; /* NULL: stored */
};

OctetStatus oct_source_window(OctFile *file, const char *name, uint64_t offset, uint64_t packed,
                              uint64_t unpacked, bool deflated, OctSource **source,
                              OctetDiagnostic *diagnostic) {
    *source = NULL;
    OctSource *made = oct_calloc(1, sizeof(*made));
    char *copy = oct_strdup(name);
    Inflater *inflater = deflated ? oct_calloc(1, sizeof(*inflater)) : NULL;
    if (!made || !copy || (deflated && !inflater)) {
        oct_free(made);
        oct_free(copy);
        oct_free(inflater);
        return oct_fail_memory(diagnostic);
    }
    if (inflater) {
        pthread_mutex_init(&inflater->mutex, NULL);
    }
    *made = (OctSource){.file = file,
                        .offset = offset,
                        .packed = packed,
                        .size = unpacked,
                        .name = copy,
                        .inflater = inflater};
    *source = made;
    return OCTET_OK;
}

OctetStatus oct_source_open(const char *path, OctSource **source, OctetDiagnostic *diagnostic) {
    *source = NULL;
    OctFile *file;
    OCT_TRY(oct_file_open(path, &file, diagnostic));
    uint64_t size = oct_file_size(file);
    OctetStatus status = oct_source_window(file, path, 0, size, size, false, source, diagnostic);
    if (status != OCTET_OK) {
        oct_file_close(file);
        return status;
    }
    (*source)->owns_file = true;
    return OCTET_OK;
}

uint64_t oct_source_size(const OctSource *source) {
    return source->size;
}

const char *oct_source_name(const OctSource *source) {
    return source->name;
}

static voidpf allocate_for_zlib(voidpf user, uInt items, uInt size) {
    (void)user;
    return oct_calloc(items, size);
}

static void free_for_zlib(voidpf user, voidpf pointer) {
    (void)user;
    oct_free(pointer);
}

static OctetStatus restart(Inflater *inflater, OctetDiagnostic *diagnostic) {
    if (inflater->started) {
        inflateEnd(&inflater->stream);
        inflater->started = false;
    }
    inflater->stream =
        (z_stream){.zalloc = allocate_for_zlib, .zfree = free_for_zlib, .opaque = NULL};
    inflater->position = 0;
    inflater->consumed = 0;
    if (inflateInit2(&inflater->stream, -MAX_WBITS) != Z_OK) {
        return oct_fail_memory(diagnostic);
    }
    inflater->started = true;
    return OCTET_OK;
}

static OctetStatus fill(OctSource *source, OctetDiagnostic *diagnostic) {
    Inflater *inflater = source->inflater;
    uint64_t left = source->packed - inflater->consumed;
    size_t take = left < PACKED_BUFFER ? (size_t)left : PACKED_BUFFER;
    if (take == 0) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "the compressed data ends too early");
    }
    OCT_TRY(oct_file_read_at(source->file, source->offset + inflater->consumed, inflater->packed,
                             take, diagnostic));
    inflater->consumed += take;
    inflater->stream.next_in = inflater->packed;
    inflater->stream.avail_in = (uInt)take;
    return OCTET_OK;
}

/* Delivers the next `bytes` bytes of the stream. */
static OctetStatus inflate_next(OctSource *source, uint8_t *buffer, size_t bytes,
                                OctetDiagnostic *diagnostic) {
    Inflater *inflater = source->inflater;
    z_stream *stream = &inflater->stream;
    while (bytes > 0) {
        if (stream->avail_in == 0) {
            OCT_TRY(fill(source, diagnostic));
        }
        size_t part = bytes < (1u << 30) ? bytes : (1u << 30);
        stream->next_out = buffer;
        stream->avail_out = (uInt)part;
        int result = inflate(stream, Z_NO_FLUSH);
        size_t got = part - stream->avail_out;
        buffer += got;
        bytes -= got;
        inflater->position += got;
        if (result == Z_MEM_ERROR) {
            return oct_fail_memory(diagnostic);
        }
        if (bytes > 0 && (result == Z_STREAM_END || (result != Z_OK && result != Z_BUF_ERROR))) {
            return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "the compressed data is damaged");
        }
    }
    return OCTET_OK;
}

static OctetStatus inflate_at(OctSource *source, uint64_t offset, void *buffer, size_t bytes,
                              OctetDiagnostic *diagnostic) {
    Inflater *inflater = source->inflater;
    if (!inflater->started || offset < inflater->position) {
        OCT_TRY(restart(inflater, diagnostic));
    }
    while (inflater->position < offset) {
        uint8_t skipped[SKIP_BUFFER];
        uint64_t left = offset - inflater->position;
        size_t take = left < SKIP_BUFFER ? (size_t)left : SKIP_BUFFER;
        OCT_TRY(inflate_next(source, skipped, take, diagnostic));
    }
    return inflate_next(source, buffer, bytes, diagnostic);
}

OctetStatus oct_source_read_at(OctSource *source, uint64_t offset, void *buffer, size_t bytes,
                               OctetDiagnostic *diagnostic) {
    if (offset > source->size || bytes > source->size - offset) {
        OctetStatus status =
            oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                     "the data ends too early: %zu bytes from offset %llu are needed, it has %llu",
                     bytes, (unsigned long long)offset, (unsigned long long)source->size);
        return oct_fail_in_file(diagnostic, status, source->name);
    }
    OctetStatus status;
    if (source->inflater) {
        pthread_mutex_lock(&source->inflater->mutex);
        status = inflate_at(source, offset, buffer, bytes, diagnostic);
        pthread_mutex_unlock(&source->inflater->mutex);
    } else {
        status = oct_file_read_at(source->file, source->offset + offset, buffer, bytes, diagnostic);
    }
    return oct_fail_in_file(diagnostic, status, source->name);
}

void oct_source_free(OctSource *source) {
    if (!source) {
        return;
    }
    if (source->inflater) {
        if (source->inflater->started) {
            inflateEnd(&source->inflater->stream);
        }
        pthread_mutex_destroy(&source->inflater->mutex);
        oct_free(source->inflater);
    }
    if (source->owns_file) {
        oct_file_close(source->file);
    }
    oct_free(source->name);
    oct_free(source);
}
