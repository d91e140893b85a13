#include "onnx/notes.h"

#include <string.h>

static bool is_metadata(const ProtobufCMessageUnknownField *field) {
    return field->tag == OCT_NODE_METADATA &&
           field->wire_type == PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
}

/* Metadata is a field that the message type lacks; protobuf-c keeps its bytes from the length on.
 */
bool oct_notes_import(OctArena *arena, const Onnx__NodeProto *proto, OctNotes *notes) {
    const ProtobufCMessage *base = &proto->base;
    const char *doc = proto->doc_string ? proto->doc_string : "";
    notes->doc = *doc ? oct_arena_strdup(arena, doc) : NULL;
    size_t size = 0;
    for (unsigned i = 0; i < base->n_unknown_fields; i++) {
        size += is_metadata(&base->unknown_fields[i]) ? base->unknown_fields[i].len + 1 : 0;
    }
    if (size == 0) {
        return !*doc || notes->doc;
    }
    uint8_t *bytes = oct_arena_alloc(arena, size);
    for (unsigned i = 0; bytes && i < base->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &base->unknown_fields[i];
        if (is_metadata(field)) {
            if (notes->metadata_bytes > 0) {
                bytes[notes->metadata_bytes++] = OCT_NODE_METADATA << 3 | 2;
            }
            memcpy(bytes + notes->metadata_bytes, field->data, field->len);
            notes->metadata_bytes += field->len;
        }
    }
    notes->metadata = bytes;
    return bytes && (!*doc || notes->doc);
}

bool oct_notes_export(OctArena *arena, const OctNotes *notes, Onnx__NodeProto *proto) {
    proto->doc_string = (char *)notes->doc;
    if (notes->metadata_bytes == 0) {
        return true;
    }
    ProtobufCMessageUnknownField *field = oct_arena_array(arena, 1, sizeof *field);
    if (!field) {
        return false;
    }
    field->tag = OCT_NODE_METADATA;
    field->wire_type = PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED;
    field->len = notes->metadata_bytes;
    field->data = (uint8_t *)(uintptr_t)notes->metadata;
    proto->base.n_unknown_fields = 1;
    proto->base.unknown_fields = field;
    return true;
}
