/* A mutator that knows protobuf: it changes one field somewhere in the tree of messages and writes
 * the lengths around it anew, so that nearly every input is a well-formed model. */
#include "octet/tensor.h"
#include "onnx_insert.h"

#include <stdlib.h>
#include <string.h>

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t room);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned int seed);

enum { MAX_FIELDS = 4096, MAX_LEVELS = 40 };

/* Of the model that is mutated. */
static Names names;

static void mutate_message(const ProtobufCMessageDescriptor *type, OctSpan message, Out *out,
                           uint64_t *random, int level);

static void put_nested(const OctField *field, const ProtobufCMessageDescriptor *type, Out *out,
                       uint64_t *random, int level) {
    size_t room = field->payload.size + 4096;
    uint8_t *buffer = malloc(room);
    Out inner = {.data = buffer, .room = room};
    if (!buffer) {
        abort();
    }
    mutate_message(type, field->payload, &inner, random, level + 1);
    out_varint(out, (uint64_t)field->number << 3 | 2);
    out_varint(out, inner.size);
    out_bytes(out, inner.data, inner.size);
    free(buffer);
}

static void put_bytes(const OctField *field, Out *out) {
    size_t room = field->payload.size + 64;
    uint8_t *buffer = malloc(room);
    if (!buffer) {
        abort();
    }
    if (field->payload.size > 0) {
        memcpy(buffer, field->payload.data, field->payload.size);
    }
    size_t size = LLVMFuzzerMutate(buffer, field->payload.size, room);
    out_varint(out, (uint64_t)field->number << 3 | 2);
    out_varint(out, size);
    out_bytes(out, buffer, size);
    free(buffer);
}

/* Names that mean something in their place: an operator, a value, an attribute. */
static bool put_meaningful(const ProtobufCMessageDescriptor *type, const OctField *field, Out *out,
                           uint64_t *random) {
    const char *text = NULL;
    if (type == &onnx__node_proto__descriptor && (field->number == 1 || field->number == 2)) {
        OctSpan name = random_name(&names, random);
        out_text(out, field->number, name.data, name.size);
        return true;
    }
    if (type == &onnx__node_proto__descriptor && field->number == 4) {
        text = random_operator(random);
    } else if (type == &onnx__attribute_proto__descriptor && field->number == 1) {
        text = random_attribute(random);
    }
    if (text) {
        out_text(out, field->number, text, strlen(text));
    }
    return text != NULL;
}

/* Element types, of tensors and of values. */
static bool names_element_type(const ProtobufCMessageDescriptor *type, uint32_t number) {
    return (type == &onnx__tensor_proto__descriptor && number == 2) ||
           (type == &onnx__type_proto__tensor__descriptor && number == 1);
}

/* The field, changed in one of the ways that fit it. */
static void put_changed(const ProtobufCMessageDescriptor *type, const OctField *field,
                        const OctField *other, Out *out, uint64_t *random, int level) {
    const ProtobufCFieldDescriptor *known =
        protobuf_c_message_descriptor_get_field(type, field->number);
    bool nested = known && known->type == PROTOBUF_C_TYPE_MESSAGE && field->wire_type == 2;
    uint64_t choice = next_random(random) % 16;
    if (nested && choice < 11 && level < MAX_LEVELS) {
        put_nested(field, known->descriptor, out, random, level);
    } else if (choice == 12) { /* gone */
    } else if (choice == 13) { /* twice */
        out_bytes(out, field->whole.data, field->whole.size);
        out_bytes(out, field->whole.data, field->whole.size);
    } else if (choice == 14) { /* another field of the message in its place */
        out_bytes(out, other->whole.data, other->whole.size);
    } else if (field->wire_type == 0) {
        out_varint(out, (uint64_t)field->number << 3);
        out_varint(out, choice < 12 && names_element_type(type, field->number)
                            ? next_random(random) % (OCTET_S4 + 2)
                            : interesting_number(random));
    } else if (field->wire_type == 2 && other->wire_type == 2 && choice == 15) {
        out_varint(out, (uint64_t)field->number << 3 | 2); /* another's content */
        out_varint(out, other->payload.size);
        out_bytes(out, other->payload.data, other->payload.size);
    } else if (field->wire_type == 2 && choice < 9 && put_meaningful(type, field, out, random)) {
    } else if (field->wire_type == 2) {
        put_bytes(field, out);
    } else {
        uint8_t bytes[16];
        size_t size = field->whole.size < sizeof bytes ? field->whole.size : sizeof bytes;
        memcpy(bytes, field->whole.data, size);
        bytes[size - 1 - next_random(random) % 4] ^= (uint8_t)next_random(random);
        out_bytes(out, bytes, size);
    }
}

static void mutate_message(const ProtobufCMessageDescriptor *type, OctSpan message, Out *out,
                           uint64_t *random, int level) {
    OctField *fields = malloc(MAX_FIELDS * sizeof *fields);
    size_t count = 0;
    bool malformed = false;
    if (!fields) {
        abort();
    }
    while (count < MAX_FIELDS && oct_wire_next(&message, &fields[count], &malformed)) {
        count++;
    }
    size_t chosen = count ? (size_t)(next_random(random) % count) : 0;
    for (size_t i = 0; i < count; i++) {
        if (i == chosen) {
            size_t other = (size_t)(next_random(random) % count);
            put_changed(type, &fields[i], &fields[other], out, random, level);
        } else {
            out_bytes(out, fields[i].whole.data, fields[i].whole.size);
        }
    }
    if (type == &onnx__graph_proto__descriptor && next_random(random) % 4 == 0) {
        out_new_node(out, &names, random);
    }
    free(fields);
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t room, unsigned int seed) {
    uint64_t random = ((uint64_t)seed + 1) * 0x9e3779b97f4a7c15u;
    if (next_random(&random) % 16 == 0) {
        return LLVMFuzzerMutate(data, size, room); /* now and then at random after all */
    }
    uint8_t *buffer = malloc(room);
    Out out = {.data = buffer, .room = room};
    if (!buffer) {
        abort();
    }
    collect_names((OctSpan){data, size}, &names);
    mutate_message(&onnx__model_proto__descriptor, (OctSpan){data, size}, &out, &random, 0);
    bool usable = out.size > 0 && !out.full;
    if (usable) {
        memcpy(data, out.data, out.size);
    }
    free(buffer);
    return usable ? out.size : LLVMFuzzerMutate(data, size, room);
}
