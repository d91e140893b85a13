/* Statistics in a file: "OCTSTAT1", the number of groups, then for each its name and its
 * observer's bytes, every length as 8 bytes, least significant first. The file may come from
 * anywhere, so everything is checked. */
#include "base/diag.h"
#include "base/file.h"
#include "ptq/prepared.h"

#include <string.h>

static const char magic[8] = "OCTSTAT1";
enum { MAX_STATS_BYTES = 1 << 30 };

static bool put_number(OctFileWriter *writer, uint64_t number, OctetDiagnostic *diagnostic) {
    uint8_t bytes[8];
    for (int i = 0; i < 8; i++) {
        bytes[i] = (uint8_t)(number >> (8 * i));
    }
    return oct_file_write(writer, bytes, sizeof bytes, diagnostic) == OCTET_OK;
}

static OctetStatus write_group(OctFileWriter *writer, const OctetPrepared *prepared,
                               const OctGroup *group, OctetDiagnostic *diagnostic) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    const char *name = prepared->graph->values[group->root]->name;
    OCT_TRY(octet_observer_serialize(group->observer, &bytes, &size, diagnostic));
    bool done = put_number(writer, strlen(name), diagnostic) &&
                oct_file_write(writer, name, strlen(name), diagnostic) == OCTET_OK &&
                put_number(writer, size, diagnostic) &&
                oct_file_write(writer, bytes, size, diagnostic) == OCTET_OK;
    octet_bytes_free(bytes);
    return done ? OCTET_OK : OCTET_ERROR_IO;
}

OctetStatus octet_stats_save(const OctetPrepared *prepared, const char *path,
                             OctetDiagnostic *diagnostic) {
    OctFileWriter *writer = NULL;
    OCT_TRY(oct_file_writer_open(path, &writer, diagnostic));
    OctetStatus status = oct_file_write(writer, magic, sizeof magic, diagnostic);
    if (status == OCTET_OK && !put_number(writer, (uint64_t)prepared->group_count, diagnostic)) {
        status = OCTET_ERROR_IO;
    }
    for (int32_t i = 0; i < prepared->group_count && status == OCTET_OK; i++) {
        status = write_group(writer, prepared, &prepared->groups[i], diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_file_writer_commit(writer, diagnostic);
    }
    oct_file_writer_free(writer);
    return status;
}

typedef struct Reader {
    const uint8_t *bytes;
    size_t size, place;
} Reader;

static bool take_number(Reader *reader, uint64_t *number) {
    if (reader->size - reader->place < 8) {
        return false;
    }
    *number = 0;
    for (int i = 0; i < 8; i++) {
        *number |= (uint64_t)reader->bytes[reader->place++] << (8 * i);
    }
    return true;
}

/* `length` bytes of which the number stands before them. */
static bool take_bytes(Reader *reader, const uint8_t **bytes, size_t *length) {
    uint64_t number;
    if (!take_number(reader, &number) || number > reader->size - reader->place) {
        return false;
    }
    *bytes = reader->bytes + reader->place;
    *length = (size_t)number;
    reader->place += (size_t)number;
    return true;
}

static OctetStatus take_group(Reader *reader, OctetPrepared *prepared, OctGroup *group, bool merge,
                              OctetDiagnostic *diagnostic) {
    const char *name = prepared->graph->values[group->root]->name;
    const uint8_t *found_name;
    const uint8_t *state;
    size_t name_length;
    size_t state_length;
    if (!take_bytes(reader, &found_name, &name_length) ||
        !take_bytes(reader, &state, &state_length)) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "the statistics end too early");
    }
    if (name_length != strlen(name) || memcmp(found_name, name, name_length) != 0) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                        "the statistics are of another model or configuration: %s is missing",
                        name);
    }
    OctetObserver *observer = NULL;
    OCT_TRY(octet_observer_deserialize(state, state_length, &observer, diagnostic));
    OctetStatus status = OCTET_OK;
    if (!octet_observer_options_equal(octet_observer_get_options(observer),
                                      octet_observer_get_options(group->observer))) {
        status = oct_fail_node(diagnostic, OCTET_ERROR_STATE, name,
                               "the statistics were taken with another observer or other options");
    } else if (merge) {
        status = octet_observer_merge(group->observer, observer, diagnostic);
    }
    if (status != OCTET_OK || merge) {
        octet_observer_free(observer);
    } else {
        octet_observer_free(group->observer);
        group->observer = observer;
    }
    return oct_fail_in_node(diagnostic, status, name);
}

static OctetStatus read_stats(OctetPrepared *prepared, const char *path, bool merge,
                              OctetDiagnostic *diagnostic) {
    uint8_t *bytes = NULL;
    size_t size = 0;
    uint64_t count;
    if (prepared->converted) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE, "the model is converted already");
    }
    OCT_TRY(oct_file_read(path, MAX_STATS_BYTES, &bytes, &size, diagnostic));
    Reader reader = {bytes, size, sizeof magic};
    OctetStatus status = OCTET_OK;
    if (size < sizeof magic || memcmp(bytes, magic, sizeof magic) != 0 ||
        !take_number(&reader, &count)) {
        status = oct_fail(diagnostic, OCTET_ERROR_FORMAT, "not a file of statistics");
    } else if (count != (uint64_t)prepared->group_count) {
        status = oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                          "the statistics are of another model or configuration: %llu tensors, "
                          "this one has %d",
                          (unsigned long long)count, (int)prepared->group_count);
    }
    for (int32_t i = 0; i < prepared->group_count && status == OCTET_OK; i++) {
        status = take_group(&reader, prepared, &prepared->groups[i], merge, diagnostic);
        prepared->groups[i].observed = true;
    }
    prepared->loaded = prepared->loaded || (status == OCTET_OK && !merge);
    oct_free(bytes);
    return oct_fail_in_file(diagnostic, status, path);
}

OctetStatus octet_stats_load(OctetPrepared *prepared, const char *path,
                             OctetDiagnostic *diagnostic) {
    return read_stats(prepared, path, false, diagnostic);
}

OctetStatus octet_stats_merge(OctetPrepared *prepared, const char *path,
                              OctetDiagnostic *diagnostic) {
    return read_stats(prepared, path, true, diagnostic);
}
