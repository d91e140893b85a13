#include "base/blocks.h"

#include "base/diag.h"
#include "base/hash.h"
#include "base/mem.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A section: a header, a table, and the blocks, each aligned to 64 bytes in the file and followed
 * by 64 zero bytes. Numbers are little-endian. A kernel's packed form may change with every version
 * of Octet, so only sections of the same one are used. */
#define MAGIC "octet packed"

typedef struct Header {
    char magic[16];
    char version[16];
    uint64_t count;
} Header;

typedef struct Entry {
    uint64_t identity;
    uint64_t offset; /* from the section's first byte */
    uint64_t bytes;
} Entry;

static Header header_of(uint64_t count) {
    Header header = {.magic = MAGIC, .count = count};
    snprintf(header.version, sizeof header.version, "%s", octet_version());
    return header;
}

typedef struct Chunk {
    struct Chunk *next;
    void *memory;
    size_t bytes, used;
} Chunk;

/* Chunks grow from the least size, so that a small network takes little, to the most. */
#define LEAST_CHUNK ((size_t)64 << 10)
#define MOST_CHUNK ((size_t)32 << 20)

typedef struct Note {
    uint64_t identity;
    const uint8_t *data;
    size_t bytes;
} Note;

struct OctBlocks {
    OctMapping *file;
    const uint8_t *section;
    size_t section_bytes;
    const uint8_t *table; /* entries, not aligned */
    uint64_t entry_count;
    atomic_uint_least64_t filled_bytes;
    Chunk *chunks;
    bool recording;
    Note *notes;
    int32_t note_count, note_capacity;
};

static size_t round_up(size_t value, size_t unit) {
    return (value + unit - 1) / unit * unit;
}

/* ---- identities ---- */

static bool lies_in(const OctMapping *file, const OctBlockPart *part) {
    uintptr_t data = (uintptr_t)part->data;
    uintptr_t begin = file ? (uintptr_t)oct_mapping_data(file) : 0;
    size_t bytes = file ? oct_mapping_bytes(file) : 0;
    return data >= begin && data - begin < bytes && part->bytes <= bytes - (data - begin);
}

/* What stands for weights that lie in the file: their place, and a line of bytes here and there,
 * which finds a program that changed the weights and kept a field that it does not know. Reading
 * all of them would take a third as long as a run of the network. */
enum { SAMPLE = 64, SAMPLE_DISTANCE = 256 << 10 };

static uint64_t hash_samples(uint64_t state, const uint8_t *data, size_t bytes) {
    if (bytes <= SAMPLE_DISTANCE / 16) {
        return oct_hash_bytes(state, data, bytes);
    }
    for (size_t at = 0; at < bytes - SAMPLE; at += SAMPLE_DISTANCE) {
        state = oct_hash_bytes(state, data + at, SAMPLE);
    }
    return oct_hash_bytes(state, data + bytes - SAMPLE, SAMPLE);
}

static uint64_t identify(const OctBlocks *blocks, const OctBlockRequest *request) {
    uint64_t state = oct_hash_bytes(request->bytes, request->kernel, strlen(request->kernel));
    for (size_t i = 0; i < OCT_BLOCK_PARTS; i++) {
        const OctBlockPart *part = &request->parts[i];
        if (!part->data) {
            state = oct_hash_word(state, 0);
        } else if (lies_in(blocks->file, part)) {
            size_t place = (size_t)((const uint8_t *)part->data - oct_mapping_data(blocks->file));
            state = oct_hash_word(oct_hash_word(oct_hash_word(state, 1), place), part->bytes);
            state = hash_samples(state, part->data, part->bytes);
        } else {
            state = oct_hash_bytes(oct_hash_word(state, 2), part->data, part->bytes);
        }
    }
    return state;
}

/* ---- memory ---- */

static OctetStatus add_chunk(OctBlocks *blocks, size_t needed, OctetDiagnostic *diagnostic) {
    size_t bytes = blocks->chunks ? 2 * blocks->chunks->bytes : LEAST_CHUNK;
    bytes = bytes < MOST_CHUNK ? bytes : MOST_CHUNK;
    bytes = bytes < needed ? needed : bytes;
    Chunk *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->memory = oct_pages_alloc(bytes);
    if (!made->memory) {
        oct_free(made);
        return oct_fail(diagnostic, OCTET_ERROR_OUT_OF_MEMORY,
                        "out of memory for %zu bytes of packed weights", needed);
    }
    made->bytes = bytes;
    made->next = blocks->chunks;
    blocks->chunks = made;
    return OCTET_OK;
}

static OctetStatus take(OctBlocks *blocks, size_t bytes, uint8_t **data,
                        OctetDiagnostic *diagnostic) {
    size_t needed;
    if (!oct_add_size(bytes, 127, &needed)) {
        return oct_fail_memory(diagnostic);
    }
    needed = needed / 64 * 64;
    Chunk *chunk = blocks->chunks;
    if (!chunk || chunk->bytes - chunk->used < needed) {
        OCT_TRY(add_chunk(blocks, needed, diagnostic));
        chunk = blocks->chunks;
    }
    *data = (uint8_t *)chunk->memory + chunk->used;
    chunk->used += needed;
    return OCTET_OK;
}

/* ---- the section ---- */

static Entry entry_at(const OctBlocks *blocks, uint64_t index) {
    Entry entry;
    memcpy(&entry, blocks->table + index * sizeof entry, sizeof entry);
    return entry;
}

/* The table is sorted by identity. */
static const uint8_t *find(const OctBlocks *blocks, uint64_t identity, size_t bytes) {
    uint64_t low = 0, high = blocks->entry_count;
    while (low < high) {
        uint64_t middle = low + (high - low) / 2;
        if (entry_at(blocks, middle).identity < identity) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    if (low == blocks->entry_count) {
        return NULL;
    }
    Entry entry = entry_at(blocks, low);
    return entry.identity == identity && entry.bytes == bytes ? blocks->section + entry.offset
                                                              : NULL;
}

/* Everything that a damaged or hostile section could get wrong, but for what the blocks hold, which
 * are numbers that any value is allowed for. */
static bool section_is_sound(const uint8_t *section, size_t bytes) {
    Header header;
    if (bytes < sizeof header) {
        return false;
    }
    memcpy(&header, section, sizeof header);
    uint64_t room = (bytes - sizeof header) / sizeof(Entry);
    Header own = header_of(header.count);
    if (memcmp(&header, &own, sizeof header) != 0 || header.count > room) {
        return false;
    }
    for (uint64_t i = 0; i < header.count; i++) {
        Entry entry;
        memcpy(&entry, section + sizeof header + i * sizeof entry, sizeof entry);
        bool inside = entry.offset <= bytes && entry.bytes <= bytes - entry.offset &&
                      bytes - entry.offset - entry.bytes >= 64;
        if (!inside || ((uintptr_t)section + entry.offset) % 64 != 0) {
            return false;
        }
    }
    return true;
}

static void use_section(OctBlocks *blocks, const uint8_t *section, size_t bytes) {
    if (!oct_mapping_is_mapped(blocks->file)) { /* so small that packing takes no time */
        return;
    }
    if (!section_is_sound(section, bytes)) {
        oct_log(OCTET_LOG_WARNING,
                "the packed weights in this file are damaged or of another version "
                "of Octet and left alone; `octet pack` makes them anew");
        return;
    }
    Header header;
    memcpy(&header, section, sizeof header);
    blocks->section = section;
    blocks->section_bytes = bytes;
    blocks->table = section + sizeof header;
    blocks->entry_count = header.count;
}

/* ---- interface ---- */

OctBlocks *oct_blocks_create(OctMapping *file, const uint8_t *section, size_t section_bytes) {
    OctBlocks *made = oct_calloc(1, sizeof *made);
    if (made) {
        made->file = oct_mapping_retain(file);
        if (file && section) {
            use_section(made, section, section_bytes);
        }
    }
    return made;
}

void oct_blocks_free(OctBlocks *blocks) {
    if (!blocks) {
        return;
    }
    for (Chunk *chunk = blocks->chunks, *next; chunk; chunk = next) {
        next = chunk->next;
        oct_pages_free(chunk->memory, chunk->bytes);
        oct_free(chunk);
    }
    oct_mapping_release(blocks->file);
    oct_free(blocks->notes);
    oct_free(blocks);
}

uint64_t oct_blocks_filled_bytes(const OctBlocks *blocks) {
    return atomic_load_explicit(&blocks->filled_bytes, memory_order_relaxed);
}

bool oct_blocks_are_given(const OctBlocks *blocks) {
    return blocks->entry_count > 0;
}

void oct_blocks_expect(const OctBlocks *blocks) {
    oct_mapping_expect(blocks->file, blocks->section, blocks->section_bytes);
}

uint64_t oct_blocks_recorded_bytes(const OctBlocks *blocks) {
    uint64_t bytes = 0;
    for (int32_t i = 0; i < blocks->note_count; i++) {
        bytes += blocks->notes[i].bytes;
    }
    return bytes;
}

void oct_blocks_record(OctBlocks *blocks) {
    blocks->recording = true;
}

static OctetStatus note(OctBlocks *blocks, uint64_t identity, const uint8_t *data, size_t bytes,
                        OctetDiagnostic *diagnostic) {
    if (!oct_grow(&blocks->notes, &blocks->note_capacity, blocks->note_count + 1,
                  sizeof *blocks->notes)) {
        return oct_fail_memory(diagnostic);
    }
    blocks->notes[blocks->note_count++] = (Note){identity, data, bytes};
    return OCTET_OK;
}

OctetStatus oct_block_get(OctBlocks *blocks, const OctBlockRequest *request, OctBlock *block,
                          OctetDiagnostic *diagnostic) {
    *block = (OctBlock){0};
    if (!blocks) {
        block->data = oct_aligned_alloc(request->bytes);
        block->owned = true;
        return block->data ? OCTET_OK : oct_fail_memory(diagnostic);
    }
    uint64_t identity = 0;
    if (blocks->entry_count > 0 || blocks->recording) {
        identity = identify(blocks, request);
        const uint8_t *found = find(blocks, identity, request->bytes);
        if (found) {
            block->data = (uint8_t *)(uintptr_t)found;
            block->filled = true;
            atomic_fetch_add_explicit(&blocks->filled_bytes, request->bytes, memory_order_relaxed);
        }
    }
    if (!block->filled) {
        OCT_TRY(take(blocks, request->bytes, &block->data, diagnostic));
    }
    return blocks->recording ? note(blocks, identity, block->data, request->bytes, diagnostic)
                             : OCTET_OK;
}

void oct_block_free(OctBlock *block) {
    if (block->owned) {
        oct_aligned_free(block->data);
    }
    *block = (OctBlock){0};
}

static int compare_notes(const void *a, const void *b) {
    const Note *left = a, *right = b;
    return (left->identity > right->identity) - (left->identity < right->identity);
}

OctetStatus oct_blocks_section(const OctBlocks *blocks, uint64_t offset, uint8_t **section,
                               size_t *bytes, OctetDiagnostic *diagnostic) {
    size_t count = (size_t)blocks->note_count;
    size_t head = sizeof(Header) + count * sizeof(Entry);
    size_t size = round_up(head + offset % 64, 64) - offset % 64;
    size_t first = size;
    for (size_t i = 0; i < count; i++) {
        size += round_up(blocks->notes[i].bytes, 64) + 64;
    }
    Note *notes = oct_alloc(count * sizeof *notes);
    uint8_t *made = oct_calloc(1, size);
    if (!notes || !made) {
        oct_free(notes);
        oct_free(made);
        return oct_fail_memory(diagnostic);
    }
    if (count > 0) {
        memcpy(notes, blocks->notes, count * sizeof *notes);
        qsort(notes, count, sizeof *notes, compare_notes);
    }
    Header header = header_of(count);
    memcpy(made, &header, sizeof header);
    size_t at = first;
    for (size_t i = 0; i < count; i++) {
        Entry entry = {notes[i].identity, at, notes[i].bytes};
        memcpy(made + sizeof header + i * sizeof entry, &entry, sizeof entry);
        memcpy(made + at, notes[i].data, notes[i].bytes);
        at += round_up(notes[i].bytes, 64) + 64;
    }
    oct_free(notes);
    *section = made;
    *bytes = size;
    return OCTET_OK;
}
