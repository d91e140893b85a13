/* Common subexpressions. Two nodes merge when operator, inputs, attributes, activation and output
 * grid are the same; initializers that exporters write twice are compared by content. */
#include "base/diag.h"
#include "ir/op.h"
#include "passes/passes.h"

#include <string.h>

static uint64_t mix(uint64_t h, const void *data, size_t size) {
    const unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        h = (h ^ bytes[i]) * 1099511628211u;
    }
    return h;
}

static uint64_t hash_node(const OctNode *node) {
    uint64_t h = 14695981039346656037u;
    h = mix(h, node->op_type, strlen(node->op_type));
    for (int32_t k = 0; k < node->input_count; k++) {
        h = mix(h, &node->inputs[k], sizeof(OctValue *));
    }
    return h;
}

static bool same_tensor(const OctetTensor *a, const OctetTensor *b) {
    return a->dtype == b->dtype && octet_shape_equal(&a->shape, &b->shape) &&
           a->bytes == b->bytes && (a->data == b->data || memcmp(a->data, b->data, a->bytes) == 0);
}

static bool same_attribute(const OctAttribute *a, const OctAttribute *b) {
    if (a->type != b->type || a->count != b->count) {
        return false;
    }
    switch (a->type) {
    case OCT_ATTRIBUTE_FLOAT:
        return memcmp(&a->v.f, &b->v.f, sizeof a->v.f) == 0;
    case OCT_ATTRIBUTE_INT:
        return a->v.i == b->v.i;
    case OCT_ATTRIBUTE_STRING:
        return strcmp(a->v.s, b->v.s) == 0;
    case OCT_ATTRIBUTE_FLOATS:
        return memcmp(a->v.floats, b->v.floats, (size_t)a->count * sizeof(float)) == 0;
    case OCT_ATTRIBUTE_INTS:
        return memcmp(a->v.ints, b->v.ints, (size_t)a->count * sizeof(int64_t)) == 0;
    case OCT_ATTRIBUTE_TENSOR:
        return same_tensor(oct_constant_tensor(a->v.tensor), oct_constant_tensor(b->v.tensor));
    default:
        return false; /* bodies and lists of strings are not worth comparing */
    }
}

static bool same_attributes(const OctNode *a, const OctNode *b) {
    if (a->attribute_count != b->attribute_count) {
        return false;
    }
    for (int32_t i = 0; i < a->attribute_count; i++) {
        const OctAttribute *other = oct_node_attribute(b, a->attributes[i].name);
        if (!other || !same_attribute(&a->attributes[i], other)) {
            return false;
        }
    }
    return true;
}

static bool same_grid(const OctValue *a, const OctValue *b) {
    const OctetQParams *p = &a->qparams;
    const OctetQParams *q = &b->qparams;
    if (p->dtype != q->dtype || p->count != q->count || p->axis != q->axis) {
        return false;
    }
    return p->dtype == OCTET_DTYPE_NONE ||
           (memcmp(p->scale, q->scale, (size_t)p->count * sizeof *p->scale) == 0 &&
            memcmp(p->zero_point, q->zero_point, (size_t)p->count * sizeof *p->zero_point) == 0);
}

static bool same_node(const OctNode *a, const OctNode *b) {
    if (strcmp(a->op_type, b->op_type) != 0 || strcmp(a->domain, b->domain) != 0 ||
        a->opset != b->opset || a->input_count != b->input_count ||
        a->output_count != b->output_count || a->keep_float != b->keep_float ||
        memcmp(&a->activation, &b->activation, sizeof a->activation) != 0) {
        return false;
    }
    for (int32_t k = 0; k < a->input_count; k++) {
        if (a->inputs[k] != b->inputs[k]) {
            return false;
        }
    }
    for (int32_t k = 0; k < a->output_count; k++) {
        bool both = a->outputs[k] && b->outputs[k];
        if ((!both && a->outputs[k] != b->outputs[k]) ||
            (both && (b->outputs[k]->is_output || !same_grid(a->outputs[k], b->outputs[k])))) {
            return false;
        }
    }
    return same_attributes(a, b);
}

typedef struct Table {
    void **items;
    uint64_t *hashes;
    size_t size; /* a power of two above twice the number of items */
} Table;

static bool table_create(Table *table, int32_t count) {
    table->size = 16;
    while (table->size < 2 * (size_t)count + 2) {
        table->size *= 2;
    }
    table->items = oct_calloc(table->size, sizeof *table->items);
    table->hashes = oct_calloc(table->size, sizeof *table->hashes);
    return table->items && table->hashes;
}

static void table_free(Table *table) {
    oct_free(table->items);
    oct_free(table->hashes);
}

/* The item that is the same as `item`, or NULL, and item then is in the table. */
static void *table_find(Table *table, uint64_t hash, void *item,
                        bool (*same)(const void *a, const void *b)) {
    size_t i = hash & (table->size - 1);
    while (table->items[i]) {
        if (table->hashes[i] == hash && same(table->items[i], item)) {
            return table->items[i];
        }
        i = (i + 1) & (table->size - 1);
    }
    table->items[i] = item;
    table->hashes[i] = hash;
    return NULL;
}

static bool same_node_item(const void *a, const void *b) {
    return same_node(a, b);
}

static bool same_constant_item(const void *a, const void *b) {
    const OctValue *p = a;
    const OctValue *q = b;
    return same_grid(p, q) && same_tensor(oct_value_tensor(p), oct_value_tensor(q));
}

/* What gives way to what, by value id; uses are replaced all at once, since a file may have as many
 * copies as nodes. */
typedef struct Merge {
    OctGraph *graph;
    OctValue **replaced;
    bool *pinned; /* outputs of child graphs, which stay what they are */
    int32_t count;
} Merge;

static void pin_outputs(Merge *merge, const OctGraph *child) {
    for (int32_t k = 0; k < child->output_count; k++) {
        const OctValue *value = child->outputs[k];
        bool own =
            value->id >= 0 && value->id < merge->count && merge->graph->values[value->id] == value;
        if (own) {
            merge->pinned[value->id] = true;
        }
    }
    for (int32_t i = 0; i < child->child_count; i++) {
        pin_outputs(merge, child->children[i]);
    }
}

static OctetStatus open_merge(OctGraph *graph, Merge *merge, OctetDiagnostic *diagnostic) {
    size_t room = (size_t)graph->value_count + 1;
    *merge = (Merge){graph, oct_calloc(room, sizeof *merge->replaced),
                     oct_calloc(room, sizeof *merge->pinned), graph->value_count};
    if (!merge->replaced || !merge->pinned) {
        return oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        pin_outputs(merge, graph->children[i]);
    }
    return OCTET_OK;
}

static OctetStatus merge_constants(Merge *merge, OctetDiagnostic *diagnostic) {
    enum { SMALL_BYTES = 4096 }; /* large weights are as good as never written twice */
    Table table = {0};
    OctGraph *graph = merge->graph;
    if (!table_create(&table, graph->value_count)) {
        table_free(&table);
        return oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < graph->value_count; i++) {
        OctValue *value = graph->values[i];
        const OctetTensor *tensor = oct_value_tensor(value);
        if (!tensor || value->is_output || merge->pinned[i] || tensor->bytes > SMALL_BYTES) {
            continue;
        }
        uint64_t h = mix(mix(7, &tensor->dtype, sizeof tensor->dtype), tensor->data, tensor->bytes);
        merge->replaced[i] = table_find(&table, h, value, same_constant_item);
    }
    table_free(&table);
    return OCTET_OK;
}

/* The node's own inputs, as far as they have been merged: nodes are compared by them. */
static void follow_inputs(const Merge *merge, OctNode *node) {
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *value = node->inputs[k];
        bool own = value && value->id >= 0 && value->id < merge->count &&
                   merge->graph->values[value->id] == value;
        if (own && merge->replaced[value->id]) {
            node->inputs[k] = merge->replaced[value->id];
        }
    }
}

static bool is_pinned(const Merge *merge, const OctNode *node) {
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k] && merge->pinned[node->outputs[k]->id]) {
            return true;
        }
    }
    return false;
}

static OctetStatus merge_nodes(Merge *merge, OctetDiagnostic *diagnostic) {
    Table table = {0};
    OctGraph *graph = merge->graph;
    if (!table_create(&table, graph->node_count)) {
        table_free(&table);
        return oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        bool random = !node->op || (node->op->flags & OCT_OP_RANDOM);
        if (node->dead) {
            continue;
        }
        follow_inputs(merge, node);
        if (random || is_pinned(merge, node)) {
            continue;
        }
        OctNode *first = table_find(&table, hash_node(node), node, same_node_item);
        for (int32_t k = 0; first && k < node->output_count; k++) {
            if (node->outputs[k]) {
                merge->replaced[node->outputs[k]->id] = first->outputs[k];
            }
        }
        if (first) {
            oct_graph_remove_node(graph, node);
        }
    }
    table_free(&table);
    return OCTET_OK;
}

OctetStatus oct_pass_merge_common(OctGraph *graph, OctetDiagnostic *diagnostic) {
    Merge merge;
    OctetStatus status = open_merge(graph, &merge, diagnostic);
    if (status == OCTET_OK) {
        status = merge_constants(&merge, diagnostic);
    }
    if (status == OCTET_OK) {
        status = merge_nodes(&merge, diagnostic);
    }
    if (status == OCTET_OK) {
        oct_graph_replace_all(graph, merge.replaced, merge.count);
    }
    oct_free(merge.replaced);
    oct_free(merge.pinned);
    return status;
}
