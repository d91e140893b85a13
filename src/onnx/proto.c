#include "onnx/proto.h"

#include "base/diag.h"

#include <string.h>

/* ---- wire format ---- */

static bool read_varint(OctSpan *rest, uint64_t *value) {
    *value = 0;
    for (uint32_t shift = 0; shift < 64 && rest->size > 0; shift += 7) {
        uint8_t byte = *rest->data;
        rest->data++;
        rest->size--;
        *value |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            return true;
        }
    }
    return false;
}

static bool take(OctSpan *rest, uint64_t size, OctSpan *taken) {
    if (size > rest->size) {
        return false;
    }
    *taken = (OctSpan){rest->data, (size_t)size};
    rest->data += size;
    rest->size -= (size_t)size;
    return true;
}

bool oct_wire_next(OctSpan *rest, OctField *field, bool *malformed) {
    *malformed = false;
    if (rest->size == 0) {
        return false;
    }
    OctSpan start = *rest;
    uint64_t tag;
    uint64_t ignored;
    OctSpan fixed;
    *malformed = true;
    if (!read_varint(rest, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff) {
        return false;
    }
    *field = (OctField){.number = (uint32_t)(tag >> 3), .wire_type = (uint32_t)(tag & 7)};
    bool complete = false;
    switch (field->wire_type) {
    case PROTOBUF_C_WIRE_TYPE_VARINT:
        complete = read_varint(rest, &ignored);
        break;
    case PROTOBUF_C_WIRE_TYPE_64BIT:
        complete = take(rest, 8, &fixed);
        break;
    case PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED:
        complete = read_varint(rest, &ignored) && take(rest, ignored, &field->payload);
        break;
    case PROTOBUF_C_WIRE_TYPE_32BIT:
        complete = take(rest, 4, &fixed);
        break;
    default: /* groups, which ONNX never had */
        break;
    }
    if (!complete) {
        return false;
    }
    field->whole = (OctSpan){start.data, start.size - rest->size};
    *malformed = false;
    return true;
}

/* ---- checking ---- */

typedef struct Check {
    const uint8_t *start;
    uint64_t memory_left;
    OctetDiagnostic *diagnostic;
} Check;

enum { BYTES_PER_FIELD = 64, BYTES_PER_MESSAGE = 96 };

static bool spend(Check *check, uint64_t bytes) {
    if (bytes > check->memory_left) {
        return false;
    }
    check->memory_left -= bytes;
    return true;
}

static OctetStatus fail_malformed(const Check *check, const uint8_t *place) {
    return oct_fail(check->diagnostic, OCTET_ERROR_FORMAT,
                    "this is not an ONNX file, or it is damaged or cut off (at byte %zu)",
                    (size_t)(place - check->start));
}

/* What a length-delimited field of a known type takes once unpacked, itself not counted. */
static uint64_t payload_memory(const ProtobufCFieldDescriptor *known, size_t size) {
    if (known && known->label == PROTOBUF_C_LABEL_REPEATED) {
        switch (known->type) {
        case PROTOBUF_C_TYPE_INT32:
        case PROTOBUF_C_TYPE_ENUM:
            return 4 * (uint64_t)size;
        case PROTOBUF_C_TYPE_INT64:
        case PROTOBUF_C_TYPE_UINT64:
            return 8 * (uint64_t)size;
        default:
            break;
        }
    }
    return size;
}

static OctetStatus check_message(Check *check, const ProtobufCMessageDescriptor *type,
                                 OctSpan message, uint32_t depth) {
    uint64_t seen = 0;
    OctField field;
    bool malformed = false;
    bool affordable = spend(check, type->sizeof_message + (uint64_t)BYTES_PER_MESSAGE);
    while (affordable && oct_wire_next(&message, &field, &malformed)) {
        const ProtobufCFieldDescriptor *known =
            protobuf_c_message_descriptor_get_field(type, field.number);
        affordable = spend(check, BYTES_PER_FIELD + payload_memory(known, field.payload.size));
        if (!affordable || !known || known->type != PROTOBUF_C_TYPE_MESSAGE) {
            continue;
        }
        if (field.wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
            return fail_malformed(check, field.whole.data);
        }
        if (depth == 0) {
            return oct_fail(check->diagnostic, OCTET_ERROR_LIMIT,
                            "the file nests its messages too deeply (at byte %zu)",
                            (size_t)(field.whole.data - check->start));
        }
        uint64_t bit = UINT64_C(1) << ((size_t)(known - type->fields) & 63);
        if (known->label != PROTOBUF_C_LABEL_REPEATED && (seen & bit)) {
            return oct_fail(check->diagnostic, OCTET_ERROR_FORMAT,
                            "the field %s.%s is written twice (at byte %zu)", type->short_name,
                            known->name, (size_t)(field.whole.data - check->start));
        }
        seen |= bit;
        OCT_TRY(check_message(check, known->descriptor, field.payload, depth - 1));
    }
    if (!affordable) {
        return oct_fail(check->diagnostic, OCTET_ERROR_LIMIT,
                        "unpacking the file would take far more memory than it has bytes");
    }
    return malformed ? fail_malformed(check, message.data) : OCTET_OK;
}

OctetStatus oct_wire_check(const ProtobufCMessageDescriptor *type, OctSpan message, uint32_t depth,
                           uint64_t memory, OctetDiagnostic *diagnostic) {
    Check check = {message.data, memory, diagnostic};
    return check_message(&check, type, message, depth);
}

/* ---- unpacking ---- */

typedef struct Memory {
    OctArena *arena;
    bool exhausted;
} Memory;

static void *allocate(void *user, size_t size) {
    Memory *memory = user;
    void *pointer = oct_arena_alloc(memory->arena, size);
    memory->exhausted = memory->exhausted || !pointer;
    return pointer;
}

/* What is in the arena goes with it. */
static void release(void *user, void *pointer) {
    (void)user;
    (void)pointer;
}

OctetStatus oct_proto_unpack(const ProtobufCMessageDescriptor *type, OctSpan message,
                             const char *what, OctArena *arena, ProtobufCMessage **unpacked,
                             OctetDiagnostic *diagnostic) {
    Memory memory = {.arena = arena};
    ProtobufCAllocator allocator = {allocate, release, &memory};
    *unpacked = protobuf_c_message_unpack(type, &allocator, message.size, message.data);
    if (*unpacked) {
        return OCTET_OK;
    }
    if (memory.exhausted) {
        return oct_fail_memory(diagnostic);
    }
    return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "%s is malformed", what);
}
