#include "base/diag.h"
#include "onnx/import.h"

#include <string.h>

OctValue oct_absent_value;

OctValue *oct_scope_find(const OctScope *scope, const char *name) {
    OctValue *value = NULL;
    for (const OctScope *s = scope; s && !value; s = s->outer) {
        value = oct_names_find(&s->values, name);
    }
    return value;
}

OctetStatus oct_scope_resolve(const OctScope *scope, const char *name, const char *node,
                              OctValue **value, OctetDiagnostic *diagnostic) {
    *value = NULL;
    if (!*name) {
        return OCTET_OK;
    }
    OctValue *found = oct_scope_find(scope, name);
    if (!found) {
        return oct_fail_node(diagnostic, OCTET_ERROR_FORMAT, node,
                             "'%s' is used, but no node, input or initializer has that name", name);
    }
    *value = found == &oct_absent_value ? NULL : found;
    return OCTET_OK;
}

static OctetStatus declare(OctImport *import, OctScope *scope, const char *name, OctValue *value) {
    if (!value || !oct_names_set(&scope->values, name, value)) {
        return oct_fail_memory(import->diagnostic);
    }
    return OCTET_OK;
}

static OctetStatus fail_twice(const OctImport *import, const char *name) {
    return oct_fail(import->diagnostic, OCTET_ERROR_FORMAT,
                    "two values of one graph have the name '%s'", name);
}

/* ---- constants and inputs ---- */

static OctetStatus add_constant(OctImport *import, OctScope *scope, const char *name,
                                OctetTensor *tensor) {
    OctValue *value = oct_graph_add_constant(scope->graph, name, tensor);
    return declare(import, scope, name, value);
}

static OctetStatus check_initializer_name(const OctImport *import, const OctScope *scope,
                                          const char *name) {
    if (!*name) {
        return oct_fail(import->diagnostic, OCTET_ERROR_FORMAT, "an initializer has no name");
    }
    return oct_names_find(&scope->values, name) ? fail_twice(import, name) : OCTET_OK;
}

static OctetStatus fail_initializer(const OctImport *import, OctetStatus status, const char *name,
                                    const OctetDiagnostic *own) {
    return oct_fail(import->diagnostic, status, "initializer '%s': %s", name, own->message);
}

OctetStatus oct_import_initializer(OctImport *import, OctScope *scope,
                                   const Onnx__TensorProto *proto) {
    const char *name = oct_arena_strdup(import->messages, oct_text(proto->name));
    OctetTensor *tensor;
    OctetDiagnostic own = {0};
    if (!name) {
        return oct_fail_memory(import->diagnostic);
    }
    OCT_TRY(check_initializer_name(import, scope, name));
    OctetStatus status = oct_tensor_from_proto(proto, &import->source, &tensor, &own);
    if (status != OCTET_OK) {
        return fail_initializer(import, status, name, &own);
    }
    return add_constant(import, scope, name, tensor);
}

static OctetStatus import_sparse(OctImport *import, OctScope *scope,
                                 const Onnx__SparseTensorProto *proto) {
    const char *name = oct_text(proto->values ? proto->values->name : NULL);
    OctetTensor *tensor;
    OctetDiagnostic own = {0};
    OCT_TRY(check_initializer_name(import, scope, name));
    OctetStatus status = oct_tensor_from_sparse(proto, &import->source, &tensor, &own);
    if (status != OCTET_OK) {
        return fail_initializer(import, status, name, &own);
    }
    return add_constant(import, scope, name, tensor);
}

static bool set_doc(OctGraph *graph, OctValue *value, const Onnx__ValueInfoProto *info) {
    const char *doc = oct_text(info->doc_string);
    value->doc = *doc ? oct_arena_strdup(graph->arena, doc) : value->doc;
    return !*doc || value->doc;
}

static OctetStatus import_input(OctImport *import, OctScope *scope,
                                const Onnx__ValueInfoProto *info) {
    const char *name = oct_text(info->name);
    if (!*name) {
        return oct_fail(import->diagnostic, OCTET_ERROR_FORMAT, "an input has no name");
    }
    OctValue *known = oct_names_find(&scope->values, name);
    if (known && known->constant) {
        return OCTET_OK; /* old files list their initializers among the inputs */
    }
    if (known) {
        return fail_twice(import, name);
    }
    OctValue *value = oct_graph_add_value(scope->graph, oct_import_name(import, scope, name));
    OCT_TRY(declare(import, scope, name, value));
    if (!oct_graph_add_input(scope->graph, value) || !set_doc(scope->graph, value, info)) {
        return oct_fail_memory(import->diagnostic);
    }
    return oct_import_input_type(import, scope->graph, info, value);
}

/* ---- nodes ---- */

static OctetStatus declare_outputs(OctImport *import, OctScope *scope,
                                   const Onnx__NodeProto *node) {
    for (size_t k = 0; k < node->n_output; k++) {
        const char *name = oct_text(node->output[k]);
        if (!*name) {
            continue;
        }
        if (oct_names_find(&scope->values, name)) {
            return fail_twice(import, name);
        }
        OctValue *value = oct_names_find(&scope->bound, name);
        if (!value) {
            value = oct_graph_add_value(scope->graph, oct_import_name(import, scope, name));
        }
        OCT_TRY(declare(import, scope, name, value));
    }
    return OCTET_OK;
}

OctetStatus oct_import_nodes(OctImport *import, OctScope *scope, Onnx__NodeProto *const *nodes,
                             size_t count) {
    for (size_t i = 0; i < count; i++) {
        OCT_TRY(declare_outputs(import, scope, nodes[i]));
    }
    for (size_t i = 0; i < count; i++) {
        OCT_TRY(oct_import_node(import, scope, nodes[i]));
    }
    return OCTET_OK;
}

/* ---- outputs ---- */

/* An Identity that makes a value of this graph out of one that no node of it makes. */
static OctValue *add_identity(OctGraph *graph, OctValue *from) {
    OctValue *to = oct_graph_add_value(graph, from->name);
    return to && oct_graph_add_node(graph, "Identity", "", NULL, &from, 1, &to, 1) ? to : NULL;
}

static void swap_names(OctGraph *graph, OctValue *a, OctValue *b) {
    const char *name = a->name;
    a->name = b->name;
    b->name = name;
    /* both names are in the map already, so that setting can't fail */
    (void)oct_names_set(&graph->value_names, a->name, a);
    (void)oct_names_set(&graph->value_names, b->name, b);
}

static OctetStatus import_output(OctImport *import, OctScope *scope,
                                 const Onnx__ValueInfoProto *info) {
    const char *name = oct_text(info->name);
    OctGraph *graph = scope->graph;
    bool root = graph == import->root;
    OctValue *value;
    OCT_TRY(oct_scope_resolve(scope, name, NULL, &value, import->diagnostic));
    if (!value) {
        return oct_fail(import->diagnostic, OCTET_ERROR_FORMAT, "an output has no name");
    }
    if (root && value->is_output) {
        return oct_fail(import->diagnostic, OCTET_ERROR_FORMAT, "the output '%s' is listed twice",
                        name);
    }
    /* an input that is an output keeps its name by staying the same value */
    bool direct = root ? !value->constant
                       : value->producer && !value->is_output &&
                             oct_names_find(&scope->values, name) == value;
    if (!direct) {
        OctValue *made = add_identity(graph, value);
        if (!made) {
            return oct_fail_memory(import->diagnostic);
        }
        if (root) {
            swap_names(graph, value, made);
        }
        value = made;
    }
    if (!oct_graph_add_output(graph, value) || !set_doc(graph, value, info)) {
        return oct_fail_memory(import->diagnostic);
    }
    return value->producer ? oct_import_hint(import, value, info->type) : OCTET_OK;
}

OctetStatus oct_import_graph(OctImport *import, OctScope *scope, const Onnx__GraphProto *proto) {
    for (size_t i = 0; i < proto->n_initializer; i++) {
        OCT_TRY(oct_import_initializer(import, scope, proto->initializer[i]));
    }
    for (size_t i = 0; i < proto->n_sparse_initializer; i++) {
        OCT_TRY(import_sparse(import, scope, proto->sparse_initializer[i]));
    }
    for (size_t i = 0; i < proto->n_input; i++) {
        OCT_TRY(import_input(import, scope, proto->input[i]));
    }
    OCT_TRY(oct_import_nodes(import, scope, proto->node, proto->n_node));
    for (size_t i = 0; i < proto->n_output; i++) {
        OCT_TRY(import_output(import, scope, proto->output[i]));
    }
    for (size_t i = 0; i < proto->n_value_info; i++) {
        OctValue *value = oct_names_find(&scope->values, oct_text(proto->value_info[i]->name));
        if (value && value->producer) {
            OCT_TRY(oct_import_hint(import, value, proto->value_info[i]->type));
        }
    }
    return OCTET_OK;
}

/* A function may take the graph that it is given any number of times. */
static OctetStatus spend_graph(OctImport *import, const Onnx__GraphProto *proto) {
    uint64_t bytes = onnx__graph_proto__get_packed_size(proto);
    if (bytes > import->function_bytes_left) {
        return oct_fail(import->diagnostic, OCTET_ERROR_LIMIT,
                        "the model's functions expand to more than is accepted");
    }
    import->function_bytes_left -= bytes;
    return OCTET_OK;
}

OctetStatus oct_import_child(OctImport *import, const OctScope *scope, const OctScope *names,
                             const Onnx__GraphProto *proto, OctGraph **child) {
    if (names != scope) {
        OCT_TRY(spend_graph(import, proto));
    }
    if (scope->depth >= import->max_depth) {
        return oct_fail(import->diagnostic, OCTET_ERROR_LIMIT,
                        "subgraphs and functions are nested more than %u deep; raise max_depth "
                        "(--max-depth) if that is meant",
                        import->max_depth);
    }
    OctGraph *graph = oct_graph_create_child(scope->graph);
    const char *name = oct_arena_strdup(scope->graph->arena, oct_text(proto->name));
    if (!graph || !name) {
        return oct_fail_memory(import->diagnostic);
    }
    graph->name = name;
    OctScope inner = {
        .outer = names, .graph = graph, .call = names->call, .depth = scope->depth + 1};
    OctetStatus status = oct_import_graph(import, &inner, proto);
    oct_names_free(&inner.values);
    if (status == OCTET_OK) {
        status = oct_graph_compact(graph, import->diagnostic);
    }
    *child = graph;
    return status;
}
