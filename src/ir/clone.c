/* A deep copy of a graph that shares the constants' data. */
#include "base/diag.h"
#include "ir/graph.h"

#include <string.h>

/* Copies of values by their number, a level for each graph on the way to the root. */
typedef struct Scope {
    const OctGraph *source;
    OctValue **copies;
    const struct Scope *outer;
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

static OctValue *clone_value(OctGraph *to, const OctValue *value) {
    OctValue *copy = oct_graph_add_value(to, value->name);
    if (!copy || !oct_graph_set_qparams(to, copy, &value->qparams)) {
        return NULL;
    }
    copy->dtype = value->dtype;
    copy->shape = value->shape;
    copy->kind = value->kind;
    copy->constant = oct_constant_retain(value->constant);
    copy->origin = value->origin;
    copy->channels_last = value->channels_last;
    copy->doc = value->doc ? oct_arena_strdup(to->arena, value->doc) : NULL;
    if (value->known) {
        copy->known = oct_arena_memdup(to->arena, value->known,
                                       (size_t)value->known_count * sizeof *value->known);
        copy->known_count = copy->known ? value->known_count : 0;
    }
    return copy;
}

static OctetStatus clone_into(const OctGraph *from, OctGraph *to, const Scope *outer,
                              OctetDiagnostic *diagnostic);

static OctetStatus clone_attributes(OctGraph *to, const OctNode *node, OctNode *copy,
                                    const Scope *scope, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < node->attribute_count; i++) {
        const OctAttribute *a = &node->attributes[i];
        bool done = false;
        OctGraph *child;
        switch (a->type) {
        case OCT_ATTRIBUTE_FLOAT:
            done = oct_node_set_float(to, copy, a->name, a->v.f);
            break;
        case OCT_ATTRIBUTE_INT:
            done = oct_node_set_int(to, copy, a->name, a->v.i);
            break;
        case OCT_ATTRIBUTE_STRING:
            done = oct_node_set_string(to, copy, a->name, a->v.s);
            break;
        case OCT_ATTRIBUTE_FLOATS:
            done = oct_node_set_floats(to, copy, a->name, a->v.floats, a->count);
            break;
        case OCT_ATTRIBUTE_INTS:
            done = oct_node_set_ints(to, copy, a->name, a->v.ints, a->count);
            break;
        case OCT_ATTRIBUTE_STRINGS:
            done = oct_node_set_strings(to, copy, a->name, a->v.strings, a->count);
            break;
        case OCT_ATTRIBUTE_TENSOR:
            done = oct_node_set_tensor(to, copy, a->name, oct_constant_retain(a->v.tensor));
            break;
        case OCT_ATTRIBUTE_GRAPH:
            child = oct_graph_create_child(to);
            if (child) {
                OCT_TRY(clone_into(a->v.graph, child, scope, diagnostic));
                done = oct_node_set_graph(to, copy, a->name, child);
            }
            break;
        }
        if (!done) {
            return oct_fail_memory(diagnostic);
        }
    }
    return OCTET_OK;
}

/* What there is no memory for is left out. */
static OctNotes clone_notes(OctGraph *to, const OctNotes *notes) {
    OctNotes copy = {0};
    if (notes->doc) {
        copy.doc = oct_arena_strdup(to->arena, notes->doc);
    }
    if (notes->metadata) {
        copy.metadata = oct_arena_memdup(to->arena, notes->metadata, notes->metadata_bytes);
        copy.metadata_bytes = copy.metadata ? notes->metadata_bytes : 0;
    }
    return copy;
}

static OctetStatus clone_node(const OctNode *node, OctGraph *to, const Scope *scope,
                              OctetDiagnostic *diagnostic) {
    OctNode *copy = oct_graph_add_node(to, node->op_type, node->domain, node->name, node->inputs,
                                       node->input_count, (OctValue *[]){NULL}, 0);
    OctValue **outputs =
        oct_arena_array(to->arena, (size_t)node->output_count + 1, sizeof *outputs);
    if (!copy || !outputs) {
        return oct_fail_memory(diagnostic);
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        copy->inputs[k] = copy_of(scope, node->inputs[k]);
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        outputs[k] = copy_of(scope, node->outputs[k]);
        if (outputs[k]) {
            outputs[k]->producer = copy;
        }
    }
    copy->outputs = outputs;
    copy->output_count = node->output_count;
    copy->opset = node->opset;
    copy->op = node->op;
    copy->activation = node->activation;
    copy->keep_float = node->keep_float;
    copy->hold = node->hold;
    if (node->activation_name) {
        copy->activation_name = oct_arena_strdup(to->arena, node->activation_name);
    }
    if (node->activation_input) {
        copy->activation_input = oct_arena_strdup(to->arena, node->activation_input);
    }
    copy->notes = clone_notes(to, &node->notes);
    copy->activation_notes = clone_notes(to, &node->activation_notes);
    if (node->float_reason) {
        copy->float_reason = oct_arena_strdup(to->arena, node->float_reason);
    }
    return clone_attributes(to, node, copy, scope, diagnostic);
}

static OctetStatus clone_into(const OctGraph *from, OctGraph *to, const Scope *outer,
                              OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    Scope scope = {from, oct_calloc((size_t)from->value_count + 1, sizeof(OctValue *)), outer};
    if (!scope.copies) {
        return oct_fail_memory(diagnostic);
    }
    to->name = oct_arena_strdup(to->arena, from->name ? from->name : "graph");
    to->quantized = from->quantized;
    to->fold_budget = from->fold_budget;
    to->next_name = from->next_name;
    for (int32_t i = 0; i < from->value_count && status == OCTET_OK; i++) {
        scope.copies[i] = clone_value(to, from->values[i]);
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

static char *copy_text(OctGraph *to, const char *text) {
    return text ? oct_arena_strdup(to->arena, text) : NULL;
}

OctetStatus oct_graph_clone(const OctGraph *graph, OctGraph **clone, OctetDiagnostic *diagnostic) {
    *clone = NULL;
    OctGraph *to = oct_graph_create();
    if (!to) {
        return oct_fail_memory(diagnostic);
    }
    bool done = true;
    to->ir_version = graph->ir_version;
    to->producer_name = copy_text(to, graph->producer_name);
    to->producer_version = copy_text(to, graph->producer_version);
    to->doc = copy_text(to, graph->doc);
    to->graph_doc = copy_text(to, graph->graph_doc);
    to->model_domain = copy_text(to, graph->model_domain);
    to->model_version = graph->model_version;
    for (int32_t i = 0; i < graph->symbol_count && done; i++) {
        done = oct_graph_symbol(to, graph->symbols[i]) != OCT_DIM_UNKNOWN;
    }
    for (int32_t i = 0; i < graph->opset_count && done; i++) {
        done = oct_graph_set_opset(to, graph->opsets[i].domain, graph->opsets[i].version);
    }
    for (int32_t i = 0; i < graph->metadata_count && done; i++) {
        done = oct_graph_set_metadata(to, graph->metadata[i].key, graph->metadata[i].value);
    }
    OctetStatus status =
        done ? clone_into(graph, to, NULL, diagnostic) : oct_fail_memory(diagnostic);
    if (status != OCTET_OK) {
        oct_graph_free(to);
        return status;
    }
    *clone = to;
    return OCTET_OK;
}
