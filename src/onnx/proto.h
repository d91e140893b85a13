/* protobuf-c over an arena, and a scan of the wire format that runs before it.
 *
 * protobuf-c parses nested messages by recursion, merges repeated singular messages by copying, and
 * spends up to a few hundred bytes on a message of two. So a file is first walked with the message
 * descriptors alone: sizes, nesting and an estimate of the memory are checked in one linear pass
 * without any allocation. */
#ifndef OCT_ONNX_PROTO_H
#define OCT_ONNX_PROTO_H

#include "base/mem.h"

#include <onnx/onnx.pb-c.h>

/* Bytes of a serialized message, borrowed. */
typedef struct OctSpan {
    const uint8_t *data;
    size_t size;
} OctSpan;

/* One field on the wire. For length-delimited fields `payload` is the content, else empty. */
typedef struct OctField {
    uint32_t number;
    uint32_t wire_type; /* 0 varint, 1 eight bytes, 2 length-delimited, 5 four bytes */
    OctSpan whole;      /* with its tag */
    OctSpan payload;
} OctField;

/* Takes the next field from `rest`. False at the end and, with *malformed set, where the bytes are
 * no field. */
bool oct_wire_next(OctSpan *rest, OctField *field, bool *malformed);

/* The field of octet_model_pack's section in a ModelProto, one that ONNX does not use: other
 * programs skip it. */
enum { OCT_MODEL_PACKED = 51973 };

/* Checks a message of `type`: well-formed, nested at most `depth` deep, no singular message written
 * twice, not more than `memory` bytes once unpacked (estimated from above). */
OctetStatus oct_wire_check(const ProtobufCMessageDescriptor *type, OctSpan message, uint32_t depth,
                           uint64_t memory, OctetDiagnostic *diagnostic);

/* Unpacks a checked message into the arena. `what` is for the error text. */
OctetStatus oct_proto_unpack(const ProtobufCMessageDescriptor *type, OctSpan message,
                             const char *what, OctArena *arena, ProtobufCMessage **unpacked,
                             OctetDiagnostic *diagnostic);

#endif
