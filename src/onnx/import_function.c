/* Model-local functions: every call is replaced by a copy of the body. */
#include "base/diag.h"
#include "onnx/import.h"

#include <stdio.h>
#include <string.h>

/* Names inside a call begin with this much of the call's name; the graph keeps them unique. */
enum { MAX_PREFIX = 128 };

/* Fields that came after the message types of Debian's onnx.proto. */
enum { NODE_OVERLOAD = 8, FUNCTION_ATTRIBUTE_PROTO = 11, FUNCTION_OVERLOAD = 13 };

/* The first unknown field of that number, as text in the arena; "" if there is none. */
static const char *unknown_text(OctArena *arena, const ProtobufCMessage *message, uint32_t number) {
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *field = &message->unknown_fields[i];
        OctSpan rest = {field->data, field->len};
        uint64_t length = 0;
        uint32_t shift = 0;
        if (field->tag != number || field->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
            continue;
        }
        /* data begins with the length */
        while (rest.size > 0 && shift < 64) {
            uint8_t byte = *rest.data++;
            rest.size--;
            length |= (uint64_t)(byte & 0x7f) << shift;
            shift += 7;
            if (!(byte & 0x80)) {
                break;
            }
        }
        size_t size = length < rest.size ? (size_t)length : rest.size;
        return oct_arena_strndup(arena, size ? (const char *)rest.data : "", size);
    }
    return "";
}

static const char *key_of(OctArena *arena, const char *domain, const char *name,
                          const char *overload) {
    domain = strcmp(domain, "ai.onnx") == 0 ? "" : domain;
    size_t size = strlen(domain) + strlen(name) + strlen(overload) + 3;
    char *key = oct_arena_alloc(arena, size);
    if (key) {
        snprintf(key, size, "%s:%s:%s", domain, name, overload);
    }
    return key;
}

/* ---- collecting ---- */

static OctetStatus unpack_defaults(OctImport *import, OctFunction *function) {
    const ProtobufCMessage *message = &function->proto->base;
    for (unsigned i = 0; i < message->n_unknown_fields; i++) {
        const ProtobufCMessageUnknownField *unknown = &message->unknown_fields[i];
        if (unknown->tag != FUNCTION_ATTRIBUTE_PROTO ||
            unknown->wire_type != PROTOBUF_C_WIRE_TYPE_LENGTH_PREFIXED) {
            continue;
        }
        size_t prefix = 0; /* the length, as it stands on the wire */
        while (prefix < unknown->len && (unknown->data[prefix] & 0x80)) {
            prefix++;
        }
        prefix += prefix < unknown->len;
        OctSpan span = {unknown->data + prefix, unknown->len - prefix};
        ProtobufCMessage *unpacked;
        OCT_TRY(oct_wire_check(&onnx__attribute_proto__descriptor, span, import->max_depth,
                               span.size * 64 + 4096, import->diagnostic));
        OCT_TRY(oct_proto_unpack(&onnx__attribute_proto__descriptor, span, "a function's attribute",
                                 import->messages, &unpacked, import->diagnostic));
        function->defaults[function->default_count++] = (Onnx__AttributeProto *)unpacked;
    }
    return OCTET_OK;
}

static OctetStatus collect(OctImport *import, const Onnx__FunctionProto *proto) {
    OctArena *arena = import->root->arena;
    OctFunction *function = oct_arena_alloc(arena, sizeof *function);
    const char *overload = unknown_text(arena, &proto->base, FUNCTION_OVERLOAD);
    if (!function || !overload) {
        return oct_fail_memory(import->diagnostic);
    }
    function->proto = proto;
    function->bytes = protobuf_c_message_get_packed_size(&proto->base);
    function->defaults =
        oct_arena_array(arena, (size_t)proto->base.n_unknown_fields + 1, sizeof(void *));
    const char *key = key_of(arena, oct_text(proto->domain), oct_text(proto->name), overload);
    if (!function->defaults || !key) {
        return oct_fail_memory(import->diagnostic);
    }
    if (oct_names_find(&import->functions, key)) {
        return oct_fail(import->diagnostic, OCTET_ERROR_FORMAT, "the function '%s' is there twice",
                        oct_text(proto->name));
    }
    if (!oct_names_set(&import->functions, key, function)) {
        return oct_fail_memory(import->diagnostic);
    }
    return unpack_defaults(import, function);
}

OctetStatus oct_functions_collect(OctImport *import, const Onnx__ModelProto *model) {
    for (size_t i = 0; i < model->n_functions; i++) {
        OCT_TRY(collect(import, model->functions[i]));
    }
    return OCTET_OK;
}

const OctFunction *oct_function_find(const OctImport *import, const Onnx__NodeProto *node) {
    OctArena *arena = import->root->arena;
    if (import->functions.count == 0) {
        return NULL;
    }
    const char *overload = unknown_text(arena, &node->base, NODE_OVERLOAD);
    const char *key =
        key_of(arena, oct_text(node->domain), oct_text(node->op_type), overload ? overload : "");
    return key ? oct_names_find(&import->functions, key) : NULL;
}

/* ---- attributes ---- */

const Onnx__AttributeProto *oct_attribute_resolve(const OctScope *scope,
                                                  const Onnx__AttributeProto *attribute,
                                                  const OctScope **names) {
    const OctCall *call = scope->call;
    const OctScope *stands = scope;
    while (attribute && attribute->ref_attr_name && *attribute->ref_attr_name) {
        const char *name = attribute->ref_attr_name;
        const Onnx__AttributeProto *found = NULL;
        if (!call) {
            return NULL;
        }
        for (size_t i = 0; i < call->node->n_attribute && !found; i++) {
            bool same = strcmp(oct_text(call->node->attribute[i]->name), name) == 0;
            found = same ? call->node->attribute[i] : NULL;
        }
        for (size_t i = 0; i < call->function->default_count && !found; i++) {
            const Onnx__AttributeProto *value = call->function->defaults[i];
            bool same = strcmp(oct_text(value->name), name) == 0;
            found = same && !(value->ref_attr_name && *value->ref_attr_name) ? value : NULL;
        }
        attribute = found;
        stands = call->scope;
        call = call->outer;
    }
    if (names) {
        *names = stands;
    }
    return attribute;
}

int32_t oct_scope_opset(const OctScope *scope, const char *domain) {
    int64_t version = 0;
    if (scope->call) {
        const Onnx__FunctionProto *proto = scope->call->function->proto;
        for (size_t i = 0; i < proto->n_opset_import; i++) {
            const char *imported = oct_text(proto->opset_import[i]->domain);
            imported = strcmp(imported, "ai.onnx") == 0 ? "" : imported;
            if (strcmp(imported, domain) == 0) {
                version = proto->opset_import[i]->version;
            }
        }
    }
    if (version <= 0) {
        version = oct_graph_opset(scope->graph, domain);
    }
    return version <= 0 ? 1 : version > INT32_MAX ? INT32_MAX : (int32_t)version;
}

/* ---- expanding ---- */

static OctetStatus bind_inputs(OctImport *import, const OctScope *scope, OctScope *inner,
                               const Onnx__NodeProto *node, const Onnx__FunctionProto *proto) {
    for (size_t k = 0; k < proto->n_input; k++) {
        OctValue *value = NULL;
        if (k < node->n_input) {
            OctetStatus status = oct_scope_resolve(
                scope, oct_text(node->input[k]), oct_text(node->name), &value, import->diagnostic);
            OCT_TRY(oct_import_fault(import, scope, node, status));
        }
        value = value ? value : &oct_absent_value;
        if (oct_names_find(&inner->values, oct_text(proto->input[k]))) {
            return oct_fail(import->diagnostic, OCTET_ERROR_FORMAT,
                            "the function '%s' has two inputs of one name", oct_text(proto->name));
        }
        if (!oct_names_set(&inner->values, oct_text(proto->input[k]), value)) {
            return oct_fail_memory(import->diagnostic);
        }
    }
    return OCTET_OK;
}

/* Lets the body make the caller's values, except where an output of the function is one of its
 * inputs: there an Identity is put. */
static OctetStatus bind_outputs(OctImport *import, const OctScope *scope, OctScope *inner,
                                const Onnx__NodeProto *node, const Onnx__FunctionProto *proto) {
    for (size_t k = 0; k < proto->n_output && k < node->n_output; k++) {
        OctValue *value;
        const char *name = oct_text(proto->output[k]);
        OCT_TRY(oct_scope_resolve(scope, oct_text(node->output[k]), oct_text(node->name), &value,
                                  import->diagnostic));
        if (!value) {
            continue;
        }
        OctValue *input = oct_names_find(&inner->values, name);
        if (input && input != &oct_absent_value) {
            if (!oct_graph_add_node(scope->graph, "Identity", "", NULL, &input, 1, &value, 1)) {
                return oct_fail_memory(import->diagnostic);
            }
        } else if (oct_names_find(&inner->bound, name)) {
            return oct_fail(import->diagnostic, OCTET_ERROR_FORMAT,
                            "the function '%s' has two outputs of one name", oct_text(proto->name));
        } else if (!oct_names_set(&inner->bound, name, value)) {
            return oct_fail_memory(import->diagnostic);
        }
    }
    return OCTET_OK;
}

static OctetStatus expand_body(OctImport *import, const OctScope *scope, OctScope *inner,
                               const Onnx__NodeProto *node, const Onnx__FunctionProto *proto) {
    if (node->n_input > proto->n_input || node->n_output > proto->n_output) {
        OctetStatus status = oct_fail_node(
            import->diagnostic, OCTET_ERROR_FORMAT, oct_text(node->name),
            "the call has more inputs or outputs than the function '%s'", oct_text(proto->name));
        return oct_import_fault(import, scope, node, status);
    }
    OCT_TRY(bind_inputs(import, scope, inner, node, proto));
    OCT_TRY(bind_outputs(import, scope, inner, node, proto));
    OCT_TRY(oct_import_nodes(import, inner, proto->node, proto->n_node));
    for (size_t k = 0; k < proto->n_output && k < node->n_output; k++) {
        const char *name = oct_text(proto->output[k]);
        if (oct_names_find(&inner->bound, name) && !oct_names_find(&inner->values, name)) {
            return oct_fail(import->diagnostic, OCTET_ERROR_FORMAT,
                            "nothing in the function '%s' makes its output '%s'",
                            oct_text(proto->name), name);
        }
    }
    return OCTET_OK;
}

OctetStatus oct_function_expand(OctImport *import, OctScope *scope, const Onnx__NodeProto *node,
                                const OctFunction *function) {
    const char *name = oct_text(function->proto->name);
    for (const OctCall *call = scope->call; call; call = call->outer) {
        if (call->function == function) {
            return oct_fail_node(import->diagnostic, OCTET_ERROR_FORMAT, oct_text(node->name),
                                 "the function '%s' calls itself", name);
        }
    }
    if (scope->depth >= import->max_depth) {
        return oct_fail(import->diagnostic, OCTET_ERROR_LIMIT,
                        "subgraphs and functions are nested more than %u deep; raise max_depth "
                        "(--max-depth) if that is meant",
                        import->max_depth);
    }
    if (function->bytes > import->function_bytes_left) {
        return oct_fail(import->diagnostic, OCTET_ERROR_LIMIT,
                        "the model's functions expand to more than is accepted");
    }
    import->function_bytes_left -= function->bytes;
    char prefix[MAX_PREFIX];
    const char *own = oct_text(node->name);
    bool nested = scope->call != NULL;
    snprintf(prefix, sizeof prefix, "%.*s%s%.*s", MAX_PREFIX / 2 - 2,
             nested ? scope->call->prefix : "", nested ? "/" : "", MAX_PREFIX / 2 - 2,
             *own ? own : name);
    OctCall call = {function, node, scope->call, scope, prefix};
    OctScope inner = {.graph = scope->graph, .call = &call, .depth = scope->depth + 1};
    OctetStatus status = expand_body(import, scope, &inner, node, function->proto);
    oct_names_free(&inner.values);
    oct_names_free(&inner.bound);
    return status;
}
