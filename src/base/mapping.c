#include "base/mapping.h"

#include "base/diag.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Below this a mapping costs more than it saves. */
enum { LEAST_MAPPED = 1 << 16 };

struct OctMapping {
    atomic_int references;
    uint8_t *data;
    size_t bytes;
    bool mapped; /* else from oct_file_read */
};

static OctMapping *wrap(uint8_t *data, size_t bytes, bool mapped) {
    OctMapping *made = oct_calloc(1, sizeof *made);
    if (made) {
        atomic_init(&made->references, 1);
        made->data = data;
        made->bytes = bytes;
        made->mapped = mapped;
    }
    return made;
}

/* *data stays NULL if the file is none to map. */
static OctetStatus map(const char *path, uint64_t limit, uint8_t **data, size_t *bytes,
                       OctetDiagnostic *diagnostic) {
    struct stat info;
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0) {
        return OCTET_OK;
    }
    OctetStatus status = OCTET_OK;
    bool regular = fstat(descriptor, &info) == 0 && S_ISREG(info.st_mode);
    if (regular && info.st_size >= LEAST_MAPPED && (uint64_t)info.st_size <= limit &&
        (uint64_t)info.st_size <= SIZE_MAX) {
        void *mapped = mmap(NULL, (size_t)info.st_size, PROT_READ, MAP_PRIVATE, descriptor, 0);
        if (mapped == MAP_FAILED && errno == ENOMEM) {
            status = oct_fail_in_file(diagnostic, oct_fail_memory(diagnostic), path);
        } else if (mapped != MAP_FAILED) {
            *data = mapped;
            *bytes = (size_t)info.st_size;
        }
    }
    close(descriptor);
    return status;
}

OctetStatus oct_mapping_open(const char *path, uint64_t limit, bool copy, OctMapping **mapping,
                             OctetDiagnostic *diagnostic) {
    uint8_t *data = NULL;
    size_t bytes = 0;
    *mapping = NULL;
    if (!copy) {
        OCT_TRY(map(path, limit, &data, &bytes, diagnostic));
    }
    bool mapped = data != NULL;
    if (!mapped) {
        size_t most = limit < SIZE_MAX ? (size_t)limit : SIZE_MAX;
        OCT_TRY(oct_file_read(path, most, &data, &bytes, diagnostic));
    }
    *mapping = wrap(data, bytes, mapped);
    if (*mapping) {
        return OCTET_OK;
    }
    if (mapped) {
        munmap(data, bytes);
    } else {
        oct_free(data);
    }
    return oct_fail_in_file(diagnostic, oct_fail_memory(diagnostic), path);
}

const uint8_t *oct_mapping_data(const OctMapping *mapping) {
    return mapping->data;
}

size_t oct_mapping_bytes(const OctMapping *mapping) {
    return mapping->bytes;
}

static size_t page_bytes(void) {
    return (size_t)sysconf(_SC_PAGESIZE);
}

size_t oct_mapping_room(const OctMapping *mapping, const void *data) {
    size_t page = mapping->mapped ? page_bytes() : 1;
    size_t readable = (mapping->bytes + page - 1) / page * page;
    uintptr_t begin = (uintptr_t)mapping->data;
    uintptr_t at = (uintptr_t)data;
    return at >= begin && at - begin < readable ? readable - (size_t)(at - begin) : 0;
}

bool oct_mapping_is_mapped(const OctMapping *mapping) {
    return mapping->mapped;
}

OctMapping *oct_mapping_retain(OctMapping *mapping) {
    if (mapping) {
        atomic_fetch_add_explicit(&mapping->references, 1, memory_order_relaxed);
    }
    return mapping;
}

void oct_mapping_release(OctMapping *mapping) {
    if (!mapping || atomic_fetch_sub_explicit(&mapping->references, 1, memory_order_acq_rel) != 1) {
        return;
    }
    if (mapping->mapped) {
        munmap(mapping->data, mapping->bytes);
    } else {
        oct_free(mapping->data);
    }
    oct_free(mapping);
}

void oct_mapping_expect(const OctMapping *mapping, const void *data, size_t bytes) {
#ifdef MADV_POPULATE_READ
    if (mapping->mapped) {
        size_t at = (size_t)((const uint8_t *)data - mapping->data);
        size_t begin = at / page_bytes() * page_bytes();
        /* advice: where the system doesn't know it pages come one by one */
        (void)madvise(mapping->data + begin, at + bytes - begin, MADV_POPULATE_READ);
    }
#else
    (void)mapping, (void)data, (void)bytes;
#endif
}

void oct_mapping_forget(const OctMapping *mapping, const void *data, size_t bytes) {
    if (!mapping || !mapping->mapped) {
        return;
    }
    size_t page = page_bytes();
    size_t at = (size_t)((const uint8_t *)data - mapping->data);
    size_t begin = (at + page - 1) / page * page; /* the mapping itself begins with a page */
    size_t end = (at + bytes) / page * page;
    if (begin < end) {
        /* advice: where the system declines it the pages merely stay */
        (void)madvise(mapping->data + begin, end - begin, MADV_DONTNEED);
    }
}
