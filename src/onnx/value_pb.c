/* Values in files of their own, as in ONNX's test data: TensorProto, SequenceProto, OptionalProto.
 * The latter two (onnx-data.proto) are two fields each, which are read from the wire. */
#include "base/diag.h"
#include "base/file.h"
#include "base/mem.h"
#include "octet/model.h"
#include "onnx/tensor_proto.h"

#define FILE_BYTES ((uint64_t)4 << 30)
#define STRUCTURE_BYTES ((uint64_t)512 << 20)
#define DENSE_BYTES ((uint64_t)256 << 20)

enum { ELEMENT = 3, SEQUENCE = 5, LENGTH_DELIMITED = 2, MOST_ITEMS = 1 << 20 };

static OctetStatus read_tensor(OctSpan message, OctetTensor **tensor, OctetDiagnostic *diagnostic) {
    ProtobufCMessage *unpacked = NULL;
    OctDataSource source = {.dense_left = DENSE_BYTES};
    OCT_TRY(oct_wire_check(&onnx__tensor_proto__descriptor, message, 4,
                           STRUCTURE_BYTES + 8 * (uint64_t)message.size, diagnostic));
    OctArena *arena = oct_arena_create();
    if (!arena) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status = oct_proto_unpack(&onnx__tensor_proto__descriptor, message, "the tensor",
                                          arena, &unpacked, diagnostic);
    if (status == OCTET_OK) {
        status =
            oct_tensor_from_proto((const Onnx__TensorProto *)unpacked, &source, tensor, diagnostic);
    }
    oct_arena_free(arena);
    return status;
}

static OctetStatus fail_malformed(OctetDiagnostic *diagnostic) {
    return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "the value is damaged or cut off");
}

/* Counts the tensors of a SequenceProto. */
static OctetStatus count_items(OctSpan message, size_t *count, OctetDiagnostic *diagnostic) {
    OctField field;
    bool malformed;
    *count = 0;
    while (oct_wire_next(&message, &field, &malformed)) {
        *count += field.number == ELEMENT && field.wire_type == LENGTH_DELIMITED;
    }
    if (malformed) {
        return fail_malformed(diagnostic);
    }
    return *count <= MOST_ITEMS
               ? OCTET_OK
               : oct_fail(diagnostic, OCTET_ERROR_LIMIT, "the sequence has %zu tensors", *count);
}

static OctetStatus read_sequence(OctSpan message, OctetTensor **sequence,
                                 OctetDiagnostic *diagnostic) {
    size_t count;
    size_t made = 0;
    OctField field;
    bool malformed;
    OCT_TRY(count_items(message, &count, diagnostic));
    OctetTensor **items = oct_calloc(count + 1, sizeof(OctetTensor *));
    OctetStatus status = items ? OCTET_OK : oct_fail_memory(diagnostic);
    while (status == OCTET_OK && made < count && oct_wire_next(&message, &field, &malformed)) {
        if (field.number == ELEMENT && field.wire_type == LENGTH_DELIMITED) {
            status = read_tensor(field.payload, &items[made], diagnostic);
            made += status == OCTET_OK;
        }
    }
    if (status == OCTET_OK) {
        status = octet_sequence_create(count ? items[0]->dtype : OCTET_F32, items, count, sequence,
                                       diagnostic);
    }
    for (size_t i = 0; i < made && status != OCTET_OK; i++) {
        octet_tensor_free(items[i]);
    }
    oct_free(items);
    return status;
}

/* An OptionalProto without a value is an absent one. */
static OctetStatus read_optional(OctSpan message, OctetTensor **value,
                                 OctetDiagnostic *diagnostic) {
    OctField field;
    bool malformed;
    while (oct_wire_next(&message, &field, &malformed)) {
        if (field.wire_type == LENGTH_DELIMITED && field.number == ELEMENT) {
            return read_tensor(field.payload, value, diagnostic);
        }
        if (field.wire_type == LENGTH_DELIMITED && field.number == SEQUENCE) {
            return read_sequence(field.payload, value, diagnostic);
        }
    }
    return malformed ? fail_malformed(diagnostic)
                     : octet_absent_create(OCTET_DTYPE_NONE, value, diagnostic);
}

OctetStatus octet_value_load_pb(const char *path, uint32_t kind, OctetTensor **value,
                                OctetDiagnostic *diagnostic) {
    uint8_t *data;
    size_t bytes;
    *value = NULL;
    OCT_TRY(oct_file_read(path, (size_t)FILE_BYTES, &data, &bytes, diagnostic));
    const OctSpan message = {data, bytes};
    OctetStatus status = kind & OCTET_KIND_OPTIONAL   ? read_optional(message, value, diagnostic)
                         : kind & OCTET_KIND_SEQUENCE ? read_sequence(message, value, diagnostic)
                                                      : read_tensor(message, value, diagnostic);
    oct_free(data);
    return status == OCTET_OK ? OCTET_OK : oct_fail_in_file(diagnostic, status, path);
}

OctetStatus octet_tensor_load_pb(const char *path, OctetTensor **tensor,
                                 OctetDiagnostic *diagnostic) {
    return octet_value_load_pb(path, OCTET_KIND_TENSOR, tensor, diagnostic);
}
