/* Copies of a graph, deep ones and others that borrow; both share the constants' data. */
#include "base/diag.h"
#include "ir/graph.h"

#include <string.h>

/* Copies of values by their number, a level for each graph on the way to the root. */
typedef struct Scope {
    const OctGraph *source;
    OctValue **copies;
    const struct Scope *outer;
    bool borrows; /* names, parameters and lists stay the original's */
} Scope;

static OctValue *copy_of(const Scope *scope, const OctValue *value) {
    for (const Scope *s = scope; value && s; s = s->outer) {
        bool own = value->id >= 0 && value->id < s->source->value_count &&
                   s->source->values[value->id] == value;
        if (own) {
            return s->copies[value->id];
        }
    }
    return NULL;
}

/* What is copied, or left where the original has it. */
static const void *copy_data(const Scope *scope, OctGraph *to, const void *data, size_t count,
                             size_t size) {
    size_t bytes;
    if (scope->borrows) {
        return data;
    }
    return oct_mul_size(count, size, &bytes) ? oct_arena_memdup(to->arena, data, bytes) : NULL;
}

static const char *copy_name(const Scope *scope, OctGraph *to, const char *name) {
    return scope->borrows ? name : oct_arena_strdup(to->arena, name);
}

/* The same where there may be none. */
static bool copy_text(const Scope *scope, OctGraph *to, const char *text, const char **copy) {
    *copy = text ? copy_name(scope, to, text) : NULL;
    return *copy || !text;
}

static OctValue *clone_value(const Scope *scope, OctGraph *to, const OctValue *value) {
    const char *name = copy_name(scope, to, value->name);
    OctValue *copy = name ? oct_graph_place_value(to, name) : NULL;
    if (!copy) {
        return NULL;
    }
    if (scope->borrows) {
        copy->qparams = value->qparams;
    } else if (!oct_graph_set_qparams(to, copy, &value->qparams)) {
        return NULL;
    }
    copy->dtype = value->dtype;
    copy->shape = value->shape;
    copy->kind = value->kind;
    copy->constant = oct_constant_retain(value->constant);
    copy->origin = value->origin;
    copy->channels_last = value->channels_last;
    if (!copy_text(scope, to, value->doc, &copy->doc)) {
        return NULL;
    }
    if (value->known) {
        copy->known =
            copy_data(scope, to, value->known, (size_t)value->known_count, sizeof *value->known);
        copy->known_count = copy->known ? value->known_count : 0;
    }
    return copy;
}

static OctetStatus clone_into(const OctGraph *from, OctGraph *to, const Scope *outer, bool borrows,
                              OctetDiagnostic *diagnostic);

static OctetStatus clone_attribute(OctGraph *to, const OctAttribute *from, OctAttribute *copy,
                                   const Scope *scope, OctetDiagnostic *diagnostic) {
    size_t count = (size_t)from->count;
    bool done = true;
    OctAttribute made = *from;
    made.name = copy_name(scope, to, from->name);
    switch (from->type) {
    case OCT_ATTRIBUTE_FLOAT:
    case OCT_ATTRIBUTE_INT:
        break;
    case OCT_ATTRIBUTE_STRING:
        done = copy_text(scope, to, from->v.s, &made.v.s);
        break;
    case OCT_ATTRIBUTE_FLOATS:
        made.v.floats = copy_data(scope, to, from->v.floats, count, sizeof *made.v.floats);
        done = made.v.floats != NULL;
        break;
    case OCT_ATTRIBUTE_INTS:
        made.v.ints = copy_data(scope, to, from->v.ints, count, sizeof *made.v.ints);
        done = made.v.ints != NULL;
        break;
    case OCT_ATTRIBUTE_STRINGS: {
        const char **strings = oct_arena_array(to->arena, count + 1, sizeof *strings);
        done = strings != NULL;
        for (size_t i = 0; i < count && done; i++) {
            done = copy_text(scope, to, from->v.strings[i], &strings[i]);
        }
        made.v.strings = strings;
        break;
    }
    case OCT_ATTRIBUTE_TENSOR:
        made.v.tensor = oct_constant_retain(from->v.tensor);
        break;
    case OCT_ATTRIBUTE_GRAPH:
        made.v.graph = oct_graph_create_child(to);
        done = made.v.graph != NULL;
        if (done) {
            OCT_TRY(clone_into(from->v.graph, made.v.graph, scope, scope->borrows, diagnostic));
        }
        break;
    }
    *copy = made; /* what it holds is released with the graph, even if something was missing */
    return done && made.name ? OCTET_OK : oct_fail_memory(diagnostic);
}

static OctetStatus clone_attributes(OctGraph *to, const OctNode *node, OctNode *copy,
                                    const Scope *scope, OctetDiagnostic *diagnostic) {
    size_t count = (size_t)node->attribute_count;
    if (count == 0) {
        return OCTET_OK;
    }
    copy->attributes = oct_arena_array(to->arena, count, sizeof *copy->attributes);
    if (!copy->attributes) {
        return oct_fail_memory(diagnostic);
    }
    copy->attribute_capacity = node->attribute_count;
    for (size_t i = 0; i < count; i++) {
        copy->attribute_count++;
        OCT_TRY(clone_attribute(to, &node->attributes[i], &copy->attributes[i], scope, diagnostic));
    }
    return OCTET_OK;
}

/* The copies of a list of values, followed by one NULL. */
static OctValue **clone_list(OctGraph *to, OctValue *const *list, int32_t count,
                             const Scope *scope) {
    OctValue **copy = oct_arena_array(to->arena, (size_t)count + 1, sizeof *copy);
    for (int32_t k = 0; k < count && copy; k++) {
        copy[k] = copy_of(scope, list[k]);
    }
    return copy;
}

static bool clone_notes(const Scope *scope, OctGraph *to, const OctNotes *notes, OctNotes *copy) {
    *copy = *notes;
    if (notes->metadata) {
        copy->metadata = copy_data(scope, to, notes->metadata, notes->metadata_bytes, 1);
    }
    return copy_text(scope, to, notes->doc, &copy->doc) && (copy->metadata || !notes->metadata);
}

static OctetStatus clone_node(const OctNode *node, OctGraph *to, const Scope *scope,
                              OctetDiagnostic *diagnostic) {
    const char *name = copy_name(scope, to, node->name);
    OctNode *copy = name ? oct_graph_place_node(to, name) : NULL;
    if (!copy) {
        return oct_fail_memory(diagnostic);
    }
    copy->op_type = copy_name(scope, to, node->op_type);
    copy->domain = copy_name(scope, to, node->domain);
    copy->inputs = clone_list(to, node->inputs, node->input_count, scope);
    copy->outputs = clone_list(to, node->outputs, node->output_count, scope);
    bool done = copy->op_type && copy->domain && copy->inputs && copy->outputs &&
                copy_text(scope, to, node->activation_name, &copy->activation_name) &&
                copy_text(scope, to, node->activation_input, &copy->activation_input) &&
                copy_text(scope, to, node->float_reason, &copy->float_reason) &&
                clone_notes(scope, to, &node->notes, &copy->notes) &&
                clone_notes(scope, to, &node->activation_notes, &copy->activation_notes);
    if (!done) {
        return oct_fail_memory(diagnostic);
    }
    copy->input_count = node->input_count;
    copy->output_count = node->output_count;
    for (int32_t k = 0; k < node->output_count; k++) {
        if (copy->outputs[k]) {
            copy->outputs[k]->producer = copy;
        }
    }
    copy->opset = node->opset;
    copy->op = node->op;
    copy->activation = node->activation;
    copy->keep_float = node->keep_float;
    copy->hold = node->hold;
    return clone_attributes(to, node, copy, scope, diagnostic);
}

static OctetStatus clone_into(const OctGraph *from, OctGraph *to, const Scope *outer, bool borrows,
                              OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    Scope scope = {from, oct_calloc((size_t)from->value_count + 1, sizeof(OctValue *)), outer,
                   borrows};
    if (!scope.copies || !oct_names_reserve(&to->value_names, from->value_count) ||
        !oct_names_reserve(&to->node_names, from->node_count)) {
        oct_free(scope.copies);
        return oct_fail_memory(diagnostic);
    }
    to->name = oct_arena_strdup(to->arena, from->name ? from->name : "graph");
    to->quantized = from->quantized;
    to->fold_budget = from->fold_budget;
    to->next_name = from->next_name;
    for (int32_t i = 0; i < from->value_count && status == OCTET_OK; i++) {
        scope.copies[i] = clone_value(&scope, to, from->values[i]);
        status = scope.copies[i] ? OCTET_OK : oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < from->input_count && status == OCTET_OK; i++) {
        bool done = oct_graph_add_input(to, copy_of(&scope, from->inputs[i]));
        status = done ? OCTET_OK : oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < from->node_count && status == OCTET_OK; i++) {
        if (!from->nodes[i]->dead) {
            status = clone_node(from->nodes[i], to, &scope, diagnostic);
        }
    }
    for (int32_t i = 0; i < from->output_count && status == OCTET_OK; i++) {
        OctValue *output = copy_of(&scope, from->outputs[i]);
        bool done = output && oct_graph_add_output(to, output);
        status = done ? OCTET_OK : oct_fail_memory(diagnostic);
    }
    oct_free(scope.copies);
    return status;
}

/* What belongs to the graph as a whole. */
static bool clone_header(const OctGraph *graph, OctGraph *to, bool borrows) {
    const Scope scope = {.borrows = borrows};
    bool done = copy_text(&scope, to, graph->producer_name, &to->producer_name) &&
                copy_text(&scope, to, graph->producer_version, &to->producer_version) &&
                copy_text(&scope, to, graph->doc, &to->doc) &&
                copy_text(&scope, to, graph->graph_doc, &to->graph_doc) &&
                copy_text(&scope, to, graph->model_domain, &to->model_domain);
    to->model_version = graph->model_version;
    to->ir_version = graph->ir_version;
    to->canceled = graph->canceled;
    to->canceled_user = graph->canceled_user;
    to->max_seconds = graph->max_seconds;
    for (int32_t i = 0; i < graph->symbol_count && done; i++) {
        done = oct_graph_symbol(to, graph->symbols[i]) != OCT_DIM_UNKNOWN;
    }
    for (int32_t i = 0; i < graph->opset_count && done; i++) {
        done = oct_graph_set_opset(to, graph->opsets[i].domain, graph->opsets[i].version);
    }
    for (int32_t i = 0; i < graph->metadata_count && done; i++) {
        done = oct_graph_set_metadata(to, graph->metadata[i].key, graph->metadata[i].value);
    }
    return done;
}

static OctetStatus clone(const OctGraph *graph, bool borrows, OctGraph **copy,
                         OctetDiagnostic *diagnostic) {
    *copy = NULL;
    OctGraph *to = oct_graph_create();
    if (!to) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status = clone_header(graph, to, borrows)
                             ? clone_into(graph, to, NULL, borrows, diagnostic)
                             : oct_fail_memory(diagnostic);
    if (status != OCTET_OK) {
        oct_graph_free(to);
        return status;
    }
    *copy = to;
    return OCTET_OK;
}

OctetStatus oct_graph_clone(const OctGraph *graph, OctGraph **copy, OctetDiagnostic *diagnostic) {
    return clone(graph, false, copy, diagnostic);
}

OctetStatus oct_graph_clone_borrowing(const OctGraph *graph, OctGraph **copy,
                                      OctetDiagnostic *diagnostic) {
    return clone(graph, true, copy, diagnostic);
}
