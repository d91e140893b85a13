/* The directory of a zip archive (PKWARE's APPNOTE.TXT 6.3), as far as NumPy's .npz needs it. */
#include "data/source.h"

#include "base/diag.h"
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

enum {
    END_SIZE = 22,
    END64_LOCATOR_SIZE = 20,
    END64_SIZE = 56,
    CENTRAL_SIZE = 46,
    LOCAL_SIZE = 30,
    COMMENT_MAX = 65535,
    ENTRIES_MAX = 65536,
    DIRECTORY_MAX = 64 << 20,
    DEFLATE_RATIO_MAX = 1032, /* what the format can reach */
    METHOD_STORED = 0,
    METHOD_DEFLATED = 8
};

typedef struct Entry {
    char *name;
    uint64_t local; /* offset of the local header */
    uint64_t packed;
    uint64_t unpacked;
    uint16_t method;
    bool encrypted;
} Entry;

struct OctZip {
    OctFile *file;
    OctArena *arena;
    Entry *entries;
    int32_t count;
};

static uint16_t get16(const uint8_t *bytes) {
    return (uint16_t)(bytes[0] | bytes[1] << 8);
}

static uint32_t get32(const uint8_t *bytes) {
    return (uint32_t)get16(bytes) | (uint32_t)get16(bytes + 2) << 16;
}

static uint64_t get64(const uint8_t *bytes) {
    return get32(bytes) | (uint64_t)get32(bytes + 4) << 32;
}

static OctetStatus fail_damaged(OctetDiagnostic *diagnostic) {
    return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                    "this is no whole zip archive (.npz): its directory is missing or damaged");
}

/* Where the central directory lies, from the record at the archive's end. */
static OctetStatus find_directory(const OctFile *file, uint64_t *offset, uint64_t *bytes,
                                  uint64_t *count, OctetDiagnostic *diagnostic) {
    uint64_t size = oct_file_size(file);
    if (size < END_SIZE) {
        return fail_damaged(diagnostic);
    }
    size_t tail_bytes = size < END_SIZE + COMMENT_MAX ? (size_t)size : END_SIZE + COMMENT_MAX;
    uint64_t tail_offset = size - tail_bytes;
    uint8_t *tail = oct_alloc(tail_bytes);
    if (!tail) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status = oct_file_read_at(file, tail_offset, tail, tail_bytes, diagnostic);
    size_t at = tail_bytes - END_SIZE + 1;
    while (status == OCTET_OK && at-- > 0) {
        if (get32(tail + at) == 0x06054b50) {
            break;
        }
    }
    if (status == OCTET_OK && at == SIZE_MAX) {
        status = fail_damaged(diagnostic);
    }
    if (status != OCTET_OK) {
        oct_free(tail);
        return status;
    }
    *count = get16(tail + at + 10);
    *bytes = get32(tail + at + 12);
    *offset = get32(tail + at + 16);
    oct_free(tail);
    uint64_t end = tail_offset + at;
    bool needs_64 = *count == 0xffff || *bytes == 0xffffffff || *offset == 0xffffffff;
    if (!needs_64 || end < END64_LOCATOR_SIZE) {
        return OCTET_OK;
    }
    uint8_t locator[END64_LOCATOR_SIZE];
    uint8_t record[END64_SIZE];
    OCT_TRY(oct_file_read_at(file, end - END64_LOCATOR_SIZE, locator, sizeof locator, diagnostic));
    if (get32(locator) != 0x07064b50) {
        return OCTET_OK;
    }
    OCT_TRY(oct_file_read_at(file, get64(locator + 8), record, sizeof record, diagnostic));
    if (get32(record) != 0x06064b50) {
        return fail_damaged(diagnostic);
    }
    *count = get64(record + 32);
    *bytes = get64(record + 40);
    *offset = get64(record + 48);
    return OCTET_OK;
}

/* Takes the 64-bit sizes from the extra field, where the 32-bit ones are all ones. */
static bool read_extra(const uint8_t *extra, size_t bytes, Entry *entry) {
    while (bytes >= 4) {
        size_t part = get16(extra + 2);
        if (part > bytes - 4) {
            return false;
        }
        if (get16(extra) == 1) {
            const uint8_t *at = extra + 4;
            uint64_t *fields[3] = {&entry->unpacked, &entry->packed, &entry->local};
            for (int i = 0; i < 3; i++) {
                if (*fields[i] != 0xffffffff) {
                    continue;
                }
                if (part < 8) {
                    return false;
                }
                *fields[i] = get64(at);
                at += 8;
                part -= 8;
            }
            return true;
        }
        extra += 4 + part;
        bytes -= 4 + part;
    }
    return true;
}

static OctetStatus read_directory(OctZip *zip, const uint8_t *directory, size_t bytes,
                                  OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < zip->count; i++) {
        Entry *entry = &zip->entries[i];
        if (bytes < CENTRAL_SIZE || get32(directory) != 0x02014b50) {
            return fail_damaged(diagnostic);
        }
        size_t name = get16(directory + 28);
        size_t extra = get16(directory + 30);
        size_t comment = get16(directory + 32);
        size_t whole = CENTRAL_SIZE + name + extra + comment;
        if (whole > bytes) {
            return fail_damaged(diagnostic);
        }
        entry->encrypted = (get16(directory + 8) & 1) != 0;
        entry->method = get16(directory + 10);
        entry->packed = get32(directory + 20);
        entry->unpacked = get32(directory + 24);
        entry->local = get32(directory + 42);
        entry->name = oct_arena_strndup(zip->arena, (const char *)directory + CENTRAL_SIZE, name);
        if (!entry->name) {
            return oct_fail_memory(diagnostic);
        }
        if (!read_extra(directory + CENTRAL_SIZE + name, extra, entry)) {
            return fail_damaged(diagnostic);
        }
        directory += whole;
        bytes -= whole;
    }
    return OCTET_OK;
}

static OctetStatus load(OctZip *zip, OctetDiagnostic *diagnostic) {
    uint64_t offset = 0, bytes = 0, count = 0;
    OCT_TRY(find_directory(zip->file, &offset, &bytes, &count, diagnostic));
    if (count > ENTRIES_MAX || bytes > DIRECTORY_MAX) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "the archive has too many entries");
    }
    zip->count = (int32_t)count;
    zip->entries = oct_arena_array(zip->arena, (size_t)count, sizeof(*zip->entries));
    uint8_t *directory = oct_alloc((size_t)bytes);
    OctetStatus status = zip->entries && directory ? OCTET_OK : oct_fail_memory(diagnostic);
    if (status == OCTET_OK) {
        status = oct_file_read_at(zip->file, offset, directory, (size_t)bytes, diagnostic);
    }
    if (status == OCTET_OK) {
        status = read_directory(zip, directory, (size_t)bytes, diagnostic);
    }
    oct_free(directory);
    return status;
}

OctetStatus oct_zip_open(const char *path, OctZip **zip, OctetDiagnostic *diagnostic) {
    *zip = NULL;
    OctZip *made = oct_calloc(1, sizeof(*made));
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status = oct_file_open(path, &made->file, diagnostic);
    if (status == OCTET_OK) {
        made->arena = oct_arena_create();
        status = made->arena ? load(made, diagnostic) : oct_fail_memory(diagnostic);
    }
    if (status != OCTET_OK) {
        oct_zip_free(made);
        return oct_fail_in_file(diagnostic, status, path);
    }
    *zip = made;
    return OCTET_OK;
}

int32_t oct_zip_count(const OctZip *zip) {
    return zip->count;
}

const char *oct_zip_name(const OctZip *zip, int32_t index) {
    return zip->entries[index].name;
}

OctetStatus oct_zip_entry(const OctZip *zip, int32_t index, OctSource **source,
                          OctetDiagnostic *diagnostic) {
    *source = NULL;
    const Entry *entry = &zip->entries[index];
    char name[1024];
    snprintf(name, sizeof name, "%s: %s", oct_file_path(zip->file), entry->name);
    uint8_t local[LOCAL_SIZE];
    OctetStatus status = OCTET_OK;
    bool deflated = entry->method == METHOD_DEFLATED;
    if (entry->encrypted || (!deflated && entry->method != METHOD_STORED)) {
        status = oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                          "the entry is %s; stored and deflated ones are read",
                          entry->encrypted ? "encrypted" : "packed by another method");
    } else if (deflated ? entry->unpacked / DEFLATE_RATIO_MAX > entry->packed
                        : entry->packed != entry->unpacked) {
        status = fail_damaged(diagnostic);
    } else {
        status = oct_file_read_at(zip->file, entry->local, local, sizeof local, diagnostic);
    }
    if (status == OCTET_OK && get32(local) != 0x04034b50) {
        status = fail_damaged(diagnostic);
    }
    if (status == OCTET_OK) {
        uint64_t start = entry->local + LOCAL_SIZE + get16(local + 26) + get16(local + 28);
        uint64_t size = oct_file_size(zip->file);
        if (start > size || entry->packed > size - start) {
            status = fail_damaged(diagnostic);
        } else {
            status = oct_source_window(zip->file, name, start, entry->packed, entry->unpacked,
                                       deflated, source, diagnostic);
        }
    }
    return oct_fail_in_file(diagnostic, status, name);
}

void oct_zip_free(OctZip *zip) {
    if (!zip) {
        return;
    }
    oct_file_close(zip->file);
    oct_arena_free(zip->arena);
    oct_free(zip);
}
