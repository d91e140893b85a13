/* Values of the dynamic part and their memory; scopes are made and freed here. */
#include "base/diag.h"
#include "base/tensor.h"
#include "engine/dynamic.h"

#include <string.h>

struct OctBuffer {
    int32_t holders;
    OctDynamic *dynamic;
    size_t bytes; /* counted against the limit */
    void *data;
};

/* What a tensor takes beside its elements: millions of scalars count, too. */
enum { BUFFER_OVERHEAD = 192 };

/* ---- values ---- */

OctDynamicValue *oct_scope_value(OctScope *scope, const OctValue *value) {
    for (OctScope *s = scope; s; s = s->parent) {
        if (value->id >= 0 && value->id < s->value_count && s->graph->values[value->id] == value) {
            return &s->values[value->id];
        }
    }
    return NULL;
}

static void release_list(OctList *list) {
    if (list && --list->holders == 0) {
        for (int32_t i = 0; i < list->count; i++) {
            oct_dynamic_drop(&list->items[i]);
        }
        oct_dynamic_release(list->dynamic, list->bytes);
        oct_free(list);
    }
}

void oct_dynamic_drop(OctDynamicValue *value) {
    OctBuffer *buffer = value->buffer;
    OctList *list = value->list;
    if (buffer && --buffer->holders == 0) {
        oct_dynamic_release(buffer->dynamic, buffer->bytes);
        oct_aligned_free(buffer->data);
        oct_free(buffer);
    }
    value->buffer = NULL;
    value->list = NULL;
    value->absent = false;
    value->view = (OctView){.shape = {.rank = -1}};
    release_list(list); /* whose items are tensors: this ends after one level */
}

bool oct_dynamic_is_there(const OctDynamicValue *value) {
    return value->view.data || value->list || value->absent;
}

void oct_dynamic_share(OctDynamicValue *to, const OctDynamicValue *from) {
    OctBuffer *buffer = from->buffer;
    OctList *list = from->list;
    OctView view = from->view;
    bool absent = from->absent;
    if (buffer) {
        buffer->holders++;
    }
    if (list) {
        list->holders++;
    }
    oct_dynamic_drop(to);
    to->buffer = buffer;
    to->list = list;
    to->view = view;
    to->absent = absent;
}

static uint64_t used_bytes(const OctDynamic *dynamic) {
    return dynamic->arena_bytes + dynamic->live_bytes + dynamic->workspace_bytes +
           dynamic->table_bytes;
}

OctetStatus oct_dynamic_check(const OctScope *scope, size_t bytes, const char *what,
                              OctetDiagnostic *diagnostic) {
    const OctDynamic *dynamic = scope->dynamic;
    return oct_limits_check_memory(&scope->session->options.limits, used_bytes(dynamic), bytes,
                                   what, diagnostic);
}

uint64_t oct_dynamic_left(const OctScope *scope) {
    uint64_t limit = scope->session->options.limits.max_memory_bytes;
    uint64_t used = used_bytes(scope->dynamic);
    return used < limit ? limit - used : 0;
}

OctetStatus oct_dynamic_spend(OctScope *scope, size_t bytes, const char *what,
                              OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_dynamic_check(scope, bytes, what, diagnostic));
    scope->dynamic->live_bytes += bytes;
    return OCTET_OK;
}

void oct_dynamic_release(OctDynamic *dynamic, size_t bytes) {
    dynamic->live_bytes -= bytes;
}

OctetStatus oct_dynamic_new_list(OctScope *scope, OctDynamicValue *value, int32_t count,
                                 OctetDiagnostic *diagnostic) {
    size_t bytes = sizeof(OctList) + (size_t)count * sizeof(OctDynamicValue);
    OCT_TRY(oct_dynamic_spend(scope, bytes, "a sequence that it makes", diagnostic));
    OctList *list = oct_calloc(1, bytes);
    if (!list) {
        oct_dynamic_release(scope->dynamic, bytes);
        return oct_fail_memory(diagnostic);
    }
    list->holders = 1;
    list->dynamic = scope->dynamic;
    list->bytes = bytes;
    list->count = count;
    for (int32_t i = 0; i < count; i++) {
        list->items[i].view.shape.rank = -1;
    }
    oct_dynamic_drop(value);
    value->list = list;
    return OCTET_OK;
}

OctetStatus oct_dynamic_allocate(OctScope *scope, OctDynamicValue *value, OctetDType dtype,
                                 const OctetShape *shape, OctetDiagnostic *diagnostic) {
    OctDynamic *dynamic = scope->dynamic;
    size_t bytes;
    OCT_TRY(oct_tensor_bytes(dtype, shape, &bytes, diagnostic));
    size_t counted;
    if (!oct_add_size(bytes, BUFFER_OVERHEAD, &counted)) {
        counted = bytes;
    }
    OCT_TRY(oct_dynamic_spend(scope, counted, "a tensor that it makes", diagnostic));
    OctBuffer *buffer = oct_calloc(1, sizeof *buffer);
    void *data = oct_aligned_alloc(bytes);
    if (!buffer || !data) {
        oct_free(buffer);
        oct_aligned_free(data);
        oct_dynamic_release(dynamic, counted);
        return oct_fail_memory(diagnostic);
    }
    memset(data, 0, bytes);
    *buffer = (OctBuffer){1, dynamic, counted, data};
    oct_dynamic_drop(value);
    value->buffer = buffer;
    value->view = (OctView){data, dtype, *shape};
    return OCTET_OK;
}

/* ---- making and freeing ---- */

static void free_scope(OctScope *scope) {
    if (!scope) {
        return;
    }
    for (int32_t i = 0; i < scope->cell_count; i++) {
        OctCell *cell = &scope->cells[i];
        if (cell->op.destroy) {
            cell->op.destroy(cell->op.state);
        }
        for (int32_t k = 0; k < cell->child_count; k++) {
            free_scope(cell->children[k]);
        }
        oct_free(cell->children);
        oct_free(cell->inputs);
        oct_free(cell->outputs);
        oct_arena_free(cell->arena);
    }
    for (int32_t i = 0; i < scope->value_count && scope->values; i++) {
        oct_dynamic_drop(&scope->values[i]);
        oct_free(scope->values[i].known);
    }
    oct_free(scope->cells);
    oct_free(scope->values);
    oct_free(scope);
}

static OctetStatus make_scope(OctDynamic *dynamic, OctGraph *graph, OctScope *parent, bool all,
                              OctScope **scope, OctetDiagnostic *diagnostic);

static OctetStatus make_cell(OctScope *scope, OctNode *node, OctCell *cell,
                             OctetDiagnostic *diagnostic) {
    OctDynamic *dynamic = scope->dynamic;
    if (!oct_grow(&dynamic->cells, &dynamic->cell_capacity, dynamic->cell_count + 1,
                  sizeof *dynamic->cells)) {
        return oct_fail_memory(diagnostic);
    }
    dynamic->cells[dynamic->cell_count++] = cell;
    cell->node = node;
    cell->inputs = oct_calloc((size_t)node->input_count + 1, sizeof(OctView));
    cell->outputs = oct_calloc((size_t)node->output_count + 1, sizeof(OctView));
    cell->children = oct_calloc((size_t)node->attribute_count + 1, sizeof(OctScope *));
    if (!cell->inputs || !cell->outputs || !cell->children) {
        return oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < node->attribute_count; i++) {
        if (node->attributes[i].type == OCT_ATTRIBUTE_GRAPH) {
            OCT_TRY(make_scope(scope->dynamic, node->attributes[i].v.graph, scope, true,
                               &cell->children[cell->child_count], diagnostic));
            cell->child_count++;
        }
    }
    return OCTET_OK;
}

static OctetStatus fill_scope(OctScope *scope, bool all, OctetDiagnostic *diagnostic) {
    OctGraph *graph = scope->graph;
    OctUses uses;
    OCT_TRY(oct_graph_uses(graph, &uses, diagnostic));
    for (int32_t i = 0; i < graph->value_count; i++) {
        OctDynamicValue *value = &scope->values[i];
        const OctetTensor *tensor = oct_value_tensor(graph->values[i]);
        value->view = tensor ? (OctView){tensor->data, tensor->dtype, tensor->shape}
                             : (OctView){.shape = {.rank = -1}};
        /* outputs stay until the scope runs again */
        value->uses = oct_uses_count(&uses, graph->values[i]) + uses.output_uses[i];
    }
    oct_uses_free(&uses);
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        if (!node->dead && (all || !node->plan)) {
            OCT_TRY(make_cell(scope, node, &scope->cells[scope->cell_count++], diagnostic));
        }
    }
    return OCTET_OK;
}

static OctetStatus make_scope(OctDynamic *dynamic, OctGraph *graph, OctScope *parent, bool all,
                              OctScope **scope, OctetDiagnostic *diagnostic) {
    OctScope *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->session = dynamic->session;
    made->dynamic = dynamic;
    made->graph = graph;
    made->parent = parent;
    made->cells = oct_calloc((size_t)graph->node_count + 1, sizeof *made->cells);
    made->values = oct_calloc((size_t)graph->value_count + 1, sizeof *made->values);
    made->value_count = graph->value_count;
    OctetStatus status = made->cells && made->values ? fill_scope(made, all, diagnostic)
                                                     : oct_fail_memory(diagnostic);
    if (status != OCTET_OK) {
        free_scope(made);
        return status;
    }
    *scope = made;
    return OCTET_OK;
}

OctetStatus oct_dynamic_create(OctetSession *session, OctPlan *plan, OctetDiagnostic *diagnostic) {
    OctDynamic *dynamic = oct_calloc(1, sizeof *dynamic);
    if (!dynamic) {
        return oct_fail_memory(diagnostic);
    }
    dynamic->session = session;
    dynamic->arena_bytes = plan->arena_bytes + plan->workspace_bytes + plan->table_bytes;
    plan->dynamic = dynamic;
    return make_scope(dynamic, plan->graph, NULL, false, &dynamic->root, diagnostic);
}

void oct_dynamic_free(OctDynamic *dynamic) {
    if (dynamic) {
        free_scope(dynamic->root);
        oct_aligned_free(dynamic->workspace);
        oct_free(dynamic->cells);
        oct_free(dynamic);
    }
}
