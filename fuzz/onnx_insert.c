#include "onnx_insert.h"
#include "ir/op.h"
#include "octet/octet.h"

#include <stdio.h>
#include <string.h>

/* ---- writing ---- */

void out_bytes(Out *out, const void *data, size_t size) {
    if (size > out->room - out->size) {
        out->full = true;
        return;
    }
    if (size > 0) {
        memmove(out->data + out->size, data, size);
    }
    out->size += size;
}

void out_varint(Out *out, uint64_t value) {
    uint8_t bytes[10];
    size_t count = 0;
    do {
        bytes[count++] = (uint8_t)((value & 0x7f) | (value > 0x7f ? 0x80 : 0));
        value >>= 7;
    } while (value);
    out_bytes(out, bytes, count);
}

void out_text(Out *out, uint32_t number, const void *data, size_t size) {
    out_varint(out, (uint64_t)number << 3 | 2);
    out_varint(out, size);
    out_bytes(out, data, size);
}

static void out_number(Out *out, uint32_t number, uint64_t value) {
    out_varint(out, (uint64_t)number << 3);
    out_varint(out, value);
}

/* ---- choosing ---- */

uint64_t next_random(uint64_t *state) {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return *state;
}

uint64_t interesting_number(uint64_t *random) {
    static const uint64_t numbers[] = {
        0,          1,
        2,          3,
        7,          8,
        13,         16,
        21,         22,
        127,        255,
        256,        4096,
        1u << 20,   INT32_MAX,
        UINT32_MAX, INT64_MAX,
        UINT64_MAX, 0x8000000000000000u,
        1ull << 32, UINT64_MAX - 1,
    };
    return numbers[next_random(random) % (sizeof numbers / sizeof numbers[0])];
}

/* Mostly what a model may mean. */
static uint64_t small_number(uint64_t *random) {
    uint64_t choice = next_random(random);
    return choice % 8 == 0 ? interesting_number(random) : choice / 8 % 7 - 2;
}

OctSpan random_name(const Names *names, uint64_t *random) {
    return names->count ? names->items[next_random(random) % names->count] : (OctSpan){0};
}

static void random_info(uint64_t *random, OctetOperatorInfo *info) {
    static size_t count;
    while (octet_operator_at(count, info)) {
        count++;
    }
    (void)octet_operator_at(next_random(random) % count, info);
}

const char *random_operator(uint64_t *random) {
    OctetOperatorInfo info;
    random_info(random, &info);
    return info.name;
}

const char *random_attribute(uint64_t *random) {
    static const char *const names[] = {
        "axis",
        "axes",
        "perm",
        "pads",
        "strides",
        "dilations",
        "kernel_shape",
        "group",
        "keepdims",
        "auto_pad",
        "alpha",
        "beta",
        "transA",
        "transB",
        "to",
        "mode",
        "epsilon",
        "equation",
        "direction",
        "hidden_size",
        "activations",
        "ceil_mode",
        "output_shape",
        "output_padding",
        "coordinate_transformation_mode",
        "nearest_mode",
        "exclude_outside",
        "count_include_pad",
        "blocksize",
        "largest",
        "sorted",
        "select_last_index",
        "batch_dims",
        "reduction",
        "fmod",
        "exclusive",
        "reverse",
        "upper",
        "num_outputs",
        "split",
        "block_size",
        "num_heads",
        "scale",
        "size",
        "bias",
        "layout",
        "linear_before_reset",
        "then_branch",
        "else_branch",
        "body",
        "num_scan_inputs",
        "align_corners",
        "padding_mode",
        "sampling_ratio",
        "value",
        "saturate",
        "stash_type",
        "spatial_scale",
        "pooled_shape",
        "new_axis",
        "inverse",
        "onesided",
        "noop_with_empty_axes",
        "approximate",
        "min",
        "max",
        "p",
        "gamma",
        "lambd",
        "activation",
        "channels_last",
        "qkv_hidden_sizes",
        "unidirectional",
        "antialias",
        "k",
    };
    return names[next_random(random) % (sizeof names / sizeof *names)];
}

/* ---- names ---- */

static void collect(const ProtobufCMessageDescriptor *type, OctSpan message, int level,
                    Names *names) {
    OctField field;
    bool malformed;
    while (level < 12 && oct_wire_next(&message, &field, &malformed)) {
        const ProtobufCFieldDescriptor *known =
            protobuf_c_message_descriptor_get_field(type, field.number);
        bool edge =
            type == &onnx__node_proto__descriptor && (field.number == 1 || field.number == 2);
        if (edge && field.wire_type == 2 && names->count < MAX_NAMES) {
            names->items[names->count++] = field.payload;
        } else if (known && known->type == PROTOBUF_C_TYPE_MESSAGE && field.wire_type == 2) {
            collect(known->descriptor, field.payload, level + 1, names);
        }
    }
}

void collect_names(OctSpan model, Names *names) {
    names->count = 0;
    collect(&onnx__model_proto__descriptor, model, 0, names);
}

/* ---- a node ---- */

enum { SMALL = 512, LARGE = 4096 };

/* TensorProto: int64, float or an 8-bit float, of rank 0 or 1. */
static void out_constant(Out *out, const char *name, uint64_t *random) {
    uint8_t bytes[SMALL];
    uint8_t raw[8 * 8];
    Out tensor = {.data = bytes, .room = sizeof bytes};
    size_t count = next_random(random) % 5;
    uint64_t kind = next_random(random) % 16;
    bool is_float = kind < 4, is_float8 = kind == 4;
    size_t size = is_float8 ? 1 : is_float ? 4 : 8;
    uint64_t dtype = is_float8  ? OCTET_F8E4M3FN + next_random(random) % 4
                     : is_float ? OCTET_F32
                                : OCTET_S64;
    bool scalar = count == 1 && next_random(random) % 2;
    for (size_t i = 0; i < count; i++) {
        int64_t integer = (int64_t)small_number(random);
        float real = (float)integer / 2;
        if (is_float) {
            memcpy(raw + 4 * i, &real, 4);
        } else {
            memcpy(raw + size * i, &integer, size); /* little-endian: the low bytes */
        }
    }
    if (!scalar) {
        out_number(&tensor, 1, count);
    }
    out_number(&tensor, 2, dtype);
    out_text(&tensor, 8, name, strlen(name));
    out_text(&tensor, 9, raw, count * size);
    out_text(out, 5, tensor.data, tensor.size);
}

/* AttributeProto. */
static void out_attribute(Out *node, uint64_t *random) {
    uint8_t bytes[SMALL];
    Out attribute = {.data = bytes, .room = sizeof bytes};
    const char *name = random_attribute(random);
    out_text(&attribute, 1, name, strlen(name));
    uint64_t kind = next_random(random) % 4;
    float real = (float)(int64_t)small_number(random) / 4;
    size_t count = next_random(random) % 7;
    switch (kind) {
    case 0:
        out_varint(&attribute, 2 << 3 | 5);
        out_bytes(&attribute, &real, sizeof real);
        out_number(&attribute, 20, 1);
        break;
    case 1: {
        static const char *const words[] = {
            "linear",        "nearest",   "cubic", "SAME_UPPER", "reflect",
            "bidirectional", "ij,jk->ik", "add",   "none",       "mul"};
        const char *word = words[next_random(random) % (sizeof words / sizeof *words)];
        out_text(&attribute, 4, word, strlen(word));
        out_number(&attribute, 20, 3);
        break;
    }
    case 2:
        for (size_t i = 0; i < count; i++) {
            out_number(&attribute, 8, small_number(random));
        }
        out_number(&attribute, 20, 7);
        break;
    default:
        out_number(&attribute, 3, small_number(random));
        out_number(&attribute, 20, 2);
    }
    out_text(node, 5, attribute.data, attribute.size);
}

/* ValueInfoProto of a float without a shape. */
static void out_output(Out *out, const char *name) {
    static const uint8_t type[] = {0x12, 0x04, 0x0a, 0x02, 0x08, OCTET_F32};
    uint8_t bytes[SMALL];
    Out info = {.data = bytes, .room = sizeof bytes};
    out_text(&info, 1, name, strlen(name));
    out_bytes(&info, type, sizeof type);
    out_text(out, 12, info.data, info.size);
}

void out_new_node(Out *out, const Names *names, uint64_t *random) {
    uint8_t bytes[LARGE];
    char name[32];
    Out node = {.data = bytes, .room = sizeof bytes};
    OctetOperatorInfo info;
    random_info(random, &info);
    const OctOp *op = oct_op_find(info.domain, info.name, info.since);
    size_t least = op ? (size_t)op->min_inputs : 1;
    size_t most = op && op->max_inputs >= 0 ? (size_t)op->max_inputs : least + 2;
    size_t count = least + next_random(random) % (most - least + 1);
    for (size_t k = 0; k < count && k < 12; k++) {
        OctSpan input = random_name(names, random);
        uint64_t choice = next_random(random) % 8;
        if (choice < 5) {
            out_text(&node, 1, input.data, input.size);
        } else if (choice < 7) {
            snprintf(name, sizeof name, "k%x", (unsigned)next_random(random));
            out_text(&node, 1, name, strlen(name));
            out_constant(out, name, random);
        } else {
            out_text(&node, 1, "", 0);
        }
    }
    snprintf(name, sizeof name, "n%x", (unsigned)next_random(random));
    out_text(&node, 2, name, strlen(name));
    out_text(&node, 4, info.name, strlen(info.name));
    out_text(&node, 7, info.domain, strlen(info.domain));
    for (uint64_t i = next_random(random) % 4; i > 0; i--) {
        out_attribute(&node, random);
    }
    out_text(out, 1, node.data, node.size);
    out_output(out, name);
}
