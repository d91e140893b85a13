#include "base/diag.h"
#include "base/patience.h"
#include "base/tensor.h"
#include "ir/op.h"
#include "onnx/import.h"
#include "onnx/notes.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* More than any operator has; keeps a hostile node from taking quadratic time. */
enum { MAX_ATTRIBUTES = 1024, MAX_LIST = 1 << 24 };

const char *oct_import_name(const OctImport *import, const OctScope *scope, const char *name) {
    if (!scope->call || !*name) {
        return name;
    }
    size_t size = strlen(scope->call->prefix) + strlen(name) + 2;
    char *full = oct_arena_alloc(import->root->arena, size);
    if (!full) {
        return name; /* still unique: the graph sees to it */
    }
    snprintf(full, size, "%s/%s", scope->call->prefix, name);
    return full;
}

/* ---- attributes ---- */

static Onnx__AttributeProto__AttributeType type_of(const Onnx__AttributeProto *proto) {
    if (proto->has_type && proto->type != ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__UNDEFINED) {
        return proto->type;
    }
    /* files of the first IR version have no type: what is there tells */
    return proto->has_i       ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT
           : proto->has_f     ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT
           : proto->has_s     ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING
           : proto->t         ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR
           : proto->g         ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH
           : proto->n_floats  ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS
           : proto->n_strings ? ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS
                              : ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS;
}

/* Attributes that name an element type: what would be computed in f16, bf16 or f64 is f32 here. */
static int64_t computed_type(OctImport *import, const OctNode *node, const char *name,
                             int64_t value) {
    bool names_type = strcmp(name, "to") == 0 || strcmp(name, "dtype") == 0 ||
                      strcmp(name, "output_datatype") == 0;
    if (!names_type || node->domain[0] || value < 0 || value > OCTET_S4 ||
        (int64_t)oct_dtype_computed((OctetDType)value) == value) {
        return value;
    }
    import->narrowed = true;
    return oct_dtype_computed((OctetDType)value);
}

static char *text_of(OctArena *arena, const ProtobufCBinaryData *bytes) {
    return oct_arena_strndup(arena, bytes->data ? (const char *)bytes->data : "", bytes->len);
}

static OctetStatus set_strings(OctImport *import, OctGraph *graph, OctNode *node, const char *name,
                               const Onnx__AttributeProto *proto) {
    const char **texts = oct_arena_array(graph->arena, proto->n_strings + 1, sizeof *texts);
    bool fine = texts != NULL;
    for (size_t i = 0; fine && i < proto->n_strings; i++) {
        texts[i] = text_of(graph->arena, &proto->strings[i]);
        fine = texts[i] != NULL;
    }
    fine = fine && oct_node_set_strings(graph, node, name, texts, (int32_t)proto->n_strings);
    return fine ? OCTET_OK : oct_fail_memory(import->diagnostic);
}

static OctetStatus set_tensor(OctImport *import, OctGraph *graph, OctNode *node, const char *name,
                              const Onnx__AttributeProto *proto) {
    OctetTensor *tensor = NULL;
    OctetStatus status = OCTET_OK;
    if (proto->t) {
        status = oct_tensor_from_proto(proto->t, &import->source, &tensor, import->diagnostic);
    } else if (proto->sparse_tensor) {
        status = oct_tensor_from_sparse(proto->sparse_tensor, &import->source, &tensor,
                                        import->diagnostic);
    } else {
        status = oct_fail(import->diagnostic, OCTET_ERROR_FORMAT, "a tensor is missing");
    }
    if (status != OCTET_OK) {
        return status;
    }
    return oct_node_set_tensor(graph, node, name, oct_constant_create(tensor))
               ? OCTET_OK
               : oct_fail_memory(import->diagnostic);
}

static OctetStatus set_child(OctImport *import, const OctScope *scope, const OctScope *names,
                             OctNode *node, const char *name, const Onnx__AttributeProto *proto) {
    OctGraph *child;
    if (!proto->g) {
        return oct_fail(import->diagnostic, OCTET_ERROR_FORMAT, "its graph is missing");
    }
    OCT_TRY(oct_import_child(import, scope, names, proto->g, &child));
    return oct_node_set_graph(scope->graph, node, name, child)
               ? OCTET_OK
               : oct_fail_memory(import->diagnostic);
}

/* Optional's: what would be there. */
static OctetStatus set_type(OctImport *import, OctGraph *graph, OctNode *node,
                            const Onnx__AttributeProto *proto) {
    const OctType type = oct_import_type(import, proto->tp);
    if (type.dtype == OCTET_DTYPE_NONE && !import->lenient) {
        return oct_fail(import->diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "it is %s, which is not supported", type.what);
    }
    return oct_node_set_int(graph, node, OCT_TYPE_KIND, type.kind) &&
                   oct_node_set_int(graph, node, OCT_TYPE_DTYPE, type.dtype)
               ? OCTET_OK
               : oct_fail_memory(import->diagnostic);
}

static OctetStatus set_attribute(OctImport *import, const OctScope *scope, const OctScope *names,
                                 OctNode *node, const char *name,
                                 const Onnx__AttributeProto *proto) {
    OctGraph *graph = scope->graph;
    bool done = true;
    char *text;
    if (proto->n_floats > MAX_LIST || proto->n_ints > MAX_LIST || proto->n_strings > MAX_LIST) {
        return oct_fail(import->diagnostic, OCTET_ERROR_LIMIT, "the list is too long");
    }
    OctetStatus checked =
        oct_attribute_check(node, name, type_of(proto), proto, import->diagnostic);
    if (checked != OCTET_OK) {
        if (oct_op_find(node->domain, node->op_type, node->opset)) {
            return checked;
        }
        *import->diagnostic = (OctetDiagnostic){0}; /* the operator itself is unknown */
    }
    switch (type_of(proto)) {
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOAT:
        done = oct_node_set_float(graph, node, name, proto->f);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INT:
        done = oct_node_set_int(graph, node, name, computed_type(import, node, name, proto->i));
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRING:
        text = text_of(graph->arena, &proto->s);
        done = text && oct_node_set_string(graph, node, name, text);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__FLOATS:
        done = oct_node_set_floats(graph, node, name, proto->floats, (int32_t)proto->n_floats);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__INTS:
        done = oct_node_set_ints(graph, node, name, proto->ints, (int32_t)proto->n_ints);
        break;
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__STRINGS:
        return set_strings(import, graph, node, name, proto);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TENSOR:
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__SPARSE_TENSOR:
        return set_tensor(import, graph, node, name, proto);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__GRAPH:
        return set_child(import, scope, names, node, name, proto);
    case ONNX__ATTRIBUTE_PROTO__ATTRIBUTE_TYPE__TYPE_PROTO:
        return set_type(import, graph, node, proto);
    default: /* lists of tensors and of graphs: no operator that Octet knows has them */
        return import->lenient
                   ? OCTET_OK
                   : oct_fail(import->diagnostic, OCTET_ERROR_UNSUPPORTED,
                              "attributes of ONNX's type %d are not supported", (int)proto->type);
    }
    return done ? OCTET_OK : oct_fail_memory(import->diagnostic);
}

/* A graph that was left unfinished holds nothing that others would have to keep. */
static void empty_graph(OctGraph *graph) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        if (!graph->nodes[i]->dead) {
            oct_graph_remove_node(graph, graph->nodes[i]);
        }
    }
    graph->output_count = 0;
    for (int32_t i = 0; i < graph->child_count; i++) {
        empty_graph(graph->children[i]);
    }
}

/* Fails with the attribute's name in front of the reason. */
static OctetStatus import_attribute(OctImport *import, const OctScope *scope, OctNode *node,
                                    const Onnx__AttributeProto *proto) {
    const char *name = oct_text(proto->name);
    const OctScope *names;
    const Onnx__AttributeProto *resolved = oct_attribute_resolve(scope, proto, &names);
    if (!resolved) {
        return OCTET_OK; /* refers to an optional attribute that the call leaves out */
    }
    if (oct_node_attribute(node, name)) {
        OctetStatus twice = oct_fail_node(import->diagnostic, OCTET_ERROR_FORMAT, node->name,
                                          "attribute '%s' is there twice", name);
        return oct_graph_fault(scope->graph, node, twice, import->diagnostic);
    }
    OctetDiagnostic own = {0};
    OctetDiagnostic *outer = import->diagnostic;
    int32_t children = scope->graph->child_count;
    import->diagnostic = &own;
    OctetStatus status = set_attribute(import, scope, names, node, name, resolved);
    import->diagnostic = outer;
    if (status == OCTET_OK) {
        return OCTET_OK;
    }
    if (own.node[0]) { /* something inside a child graph */
        return oct_fail_node(outer, status, own.node, "%s", own.message);
    }
    status = oct_fail_node(outer, status, node->name, "attribute '%s': %s", name, own.message);
    if (oct_is_fault(status) && !oct_op_find(node->domain, node->op_type, node->opset)) {
        *outer = (OctetDiagnostic){0}; /* that it is not supported is what to tell */
        for (int32_t i = children; i < scope->graph->child_count; i++) {
            empty_graph(scope->graph->children[i]);
        }
        return OCTET_OK;
    }
    /* what is wrong with a child graph as a whole leaves it unfinished: then nothing goes on */
    bool unfinished = resolved->g && scope->graph->child_count > children;
    return unfinished ? status : oct_graph_fault(scope->graph, node, status, outer);
}

/* ---- Constant ---- */

static OctetTensor *tensor_of_numbers(OctImport *import, OctetDType dtype, int32_t rank,
                                      const void *numbers, size_t count) {
    OctetShape shape = {.rank = rank, .dims = {(int64_t)count}};
    OctetTensor *tensor = NULL;
    OctetStatus status = octet_tensor_create(dtype, &shape, &tensor, import->diagnostic);
    if (status == OCTET_OK && tensor->bytes > 0) {
        memcpy(tensor->data, numbers, tensor->bytes);
    }
    return tensor;
}

/* The tensor that a Constant node holds; NULL, without an error, if it holds strings or nothing:
 * then it stays a node, and the operator says what is wrong. */
static OctetStatus constant_tensor(OctImport *import, const OctScope *scope,
                                   const Onnx__NodeProto *proto, OctetTensor **tensor) {
    *tensor = NULL;
    for (size_t i = 0; i < proto->n_attribute; i++) {
        const Onnx__AttributeProto *a = oct_attribute_resolve(scope, proto->attribute[i], NULL);
        const char *name = oct_text(proto->attribute[i]->name);
        if (!a) {
            continue;
        }
        bool numbers = true;
        if (strcmp(name, "value") == 0 && a->t) {
            if (a->t->data_type == OCTET_STRING) {
                return OCTET_OK;
            }
            return oct_tensor_from_proto(a->t, &import->source, tensor, import->diagnostic);
        } else if (strcmp(name, "sparse_value") == 0 && a->sparse_tensor) {
            return oct_tensor_from_sparse(a->sparse_tensor, &import->source, tensor,
                                          import->diagnostic);
        } else if (strcmp(name, "value_float") == 0) {
            *tensor = tensor_of_numbers(import, OCTET_F32, 0, &a->f, 1);
        } else if (strcmp(name, "value_int") == 0) {
            *tensor = tensor_of_numbers(import, OCTET_S64, 0, &a->i, 1);
        } else if (strcmp(name, "value_floats") == 0) {
            *tensor = tensor_of_numbers(import, OCTET_F32, 1, a->floats, a->n_floats);
        } else if (strcmp(name, "value_ints") == 0) {
            *tensor = tensor_of_numbers(import, OCTET_S64, 1, a->ints, a->n_ints);
        } else {
            numbers = false;
        }
        if (numbers) {
            return *tensor ? OCTET_OK : oct_fail_memory(import->diagnostic);
        }
    }
    return OCTET_OK;
}

/* ---- nodes ---- */

/* The list without the empty names at its end. */
static size_t significant(char *const *names, size_t count) {
    while (count > 0 && !*oct_text(names[count - 1])) {
        count--;
    }
    return count;
}

/* A name that nothing has is left out and noted in `unknown`. */
static OctetStatus resolve_list(OctImport *import, const OctScope *scope, char *const *names,
                                size_t count, const char *node, OctValue ***values,
                                OctetDiagnostic *unknown) {
    if (count > INT32_MAX / 8) {
        return oct_fail_node(import->diagnostic, OCTET_ERROR_LIMIT, node,
                             "it has %zu inputs or outputs", count);
    }
    *values = oct_arena_array(import->messages, count + 1, sizeof **values);
    if (!*values) {
        return oct_fail_memory(import->diagnostic);
    }
    for (size_t k = 0; k < count; k++) {
        (void)oct_scope_resolve(scope, oct_text(names[k]), node, &(*values)[k], unknown);
    }
    return OCTET_OK;
}

/* The number of the node that is being imported, in the order of the file. */
static int64_t place_of(const OctImport *import) {
    return (int64_t)(import->max_nodes - import->nodes_left);
}

/* What a message can say of a node: its own name or, without one, its first output's. */
static const char *label_of(const Onnx__NodeProto *proto) {
    const char *name = oct_text(proto->name);
    return *name || proto->n_output == 0 ? name : oct_text(proto->output[0]);
}

OctetStatus oct_import_fault(OctImport *import, const OctScope *scope, const Onnx__NodeProto *proto,
                             OctetStatus status) {
    const char *domain = oct_text(proto->domain);
    domain = strcmp(domain, "ai.onnx") == 0 ? "" : domain;
    const OctFaultPlace place = {place_of(import), label_of(proto), oct_text(proto->op_type),
                                 domain, oct_scope_opset(scope, domain)};
    return oct_is_fault(status)
               ? oct_findings_add(&import->findings, &place, status, import->diagnostic)
               : status;
}

static OctetStatus import_constant(OctImport *import, const OctScope *scope,
                                   const Onnx__NodeProto *proto, bool *done) {
    OctetTensor *tensor;
    OctValue *value;
    *done = false;
    OctetStatus status = constant_tensor(import, scope, proto, &tensor);
    if (status != OCTET_OK) {
        *done = true;
        status = oct_fail_in_node(import->diagnostic, status, label_of(proto));
        return oct_import_fault(import, scope, proto, status);
    }
    if (!tensor) {
        return OCTET_OK;
    }
    status = oct_scope_resolve(scope, oct_text(proto->output[0]), NULL, &value, import->diagnostic);
    if (status != OCTET_OK || !value) {
        octet_tensor_free(tensor);
        *done = true; /* its output has no name, nothing can use it */
        return status;
    }
    *done = true;
    return oct_value_set_constant(value, tensor) ? OCTET_OK : oct_fail_memory(import->diagnostic);
}

static OctetStatus spend_node(OctImport *import) {
    if (import->nodes_left == 0) {
        return oct_fail(import->diagnostic, OCTET_ERROR_LIMIT,
                        "the model has more than %" PRIu64 " nodes, those of its functions and "
                        "subgraphs included; raise max_nodes (--max-nodes) if that is meant",
                        import->max_nodes);
    }
    import->nodes_left--;
    return OCTET_OK;
}

OctetStatus oct_import_node(OctImport *import, OctScope *scope, const Onnx__NodeProto *proto) {
    const char *label = label_of(proto);
    const char *op_type = oct_text(proto->op_type);
    const char *domain = oct_text(proto->domain);
    OctValue **inputs;
    OctValue **outputs;
    domain = strcmp(domain, "ai.onnx") == 0 ? "" : domain;
    OCT_TRY(oct_go_on(import->diagnostic));
    OCT_TRY(spend_node(import));
    int64_t order = place_of(import);
    if (!*op_type) {
        return oct_import_fault(import, scope, proto,
                                oct_fail_node(import->diagnostic, OCTET_ERROR_FORMAT, label,
                                              "the node has no operator"));
    }
    if (proto->n_attribute > MAX_ATTRIBUTES) {
        return oct_fail_node(import->diagnostic, OCTET_ERROR_LIMIT, label,
                             "the node has %zu attributes", proto->n_attribute);
    }
    const OctFunction *function = oct_function_find(import, proto);
    if (function) {
        return oct_function_expand(import, scope, proto, function);
    }
    if (!*domain && strcmp(op_type, "Constant") == 0 && proto->n_output > 0) {
        bool done;
        OCT_TRY(import_constant(import, scope, proto, &done));
        if (done) {
            return OCTET_OK;
        }
    }
    size_t input_count = significant(proto->input, proto->n_input);
    size_t output_count = significant(proto->output, proto->n_output);
    OctetDiagnostic unknown = {0};
    OCT_TRY(resolve_list(import, scope, proto->input, input_count, label, &inputs, &unknown));
    OCT_TRY(resolve_list(import, scope, proto->output, output_count, label, &outputs, &unknown));
    OctNode *node = oct_graph_add_node(
        scope->graph, op_type, domain, oct_import_name(import, scope, oct_text(proto->name)),
        inputs, (int32_t)input_count, outputs, (int32_t)output_count);
    if (!node) {
        return oct_fail_memory(import->diagnostic);
    }
    node->opset = oct_scope_opset(scope, domain);
    node->file_order = order;
    if (!oct_notes_import(scope->graph->arena, proto, &node->notes)) {
        return oct_fail_memory(import->diagnostic);
    }
    OCT_TRY(oct_graph_fault(scope->graph, node, unknown.status, &unknown));
    for (size_t i = 0; i < proto->n_attribute; i++) {
        OCT_TRY(import_attribute(import, scope, node, proto->attribute[i]));
    }
    return OCTET_OK;
}
