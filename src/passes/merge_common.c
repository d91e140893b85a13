/* Common subexpressions. Two nodes merge when operator, inputs, attributes, activation and output
 * grid are the same; initializers that exporters write twice are compared by content. */
#include "base/diag.h"
#include "base/hash.h"
#include "ir/op.h"
#include "passes/passes.h"
#include "passes/replace.h"

#include <string.h>

static uint64_t hash_attribute(const OctAttribute *attribute) {
    uint64_t h = oct_hash_bytes(attribute->type, attribute->name, strlen(attribute->name));
    size_t count = (size_t)attribute->count;
    switch (attribute->type) {
    case OCT_ATTRIBUTE_FLOAT:
        return oct_hash_bytes(h, &attribute->v.f, sizeof attribute->v.f);
    case OCT_ATTRIBUTE_INT:
        return oct_hash_bytes(h, &attribute->v.i, sizeof attribute->v.i);
    case OCT_ATTRIBUTE_STRING:
        return oct_hash_bytes(h, attribute->v.s, strlen(attribute->v.s));
    case OCT_ATTRIBUTE_FLOATS:
        return oct_hash_bytes(h, attribute->v.floats, count * sizeof(float));
    case OCT_ATTRIBUTE_INTS:
        return oct_hash_bytes(h, attribute->v.ints, count * sizeof(int64_t));
    default:
        return h;
    }
}

/* Of all that same_node compares but large tensors and what few nodes differ in: a file may have
 * 50,000 Clips of one value. */
static uint64_t hash_node(const OctNode *node) {
    uint64_t h = 14695981039346656037u;
    uint64_t attributes = 0;
    h = oct_hash_bytes(h, node->op_type, strlen(node->op_type));
    for (int32_t k = 0; k < node->input_count; k++) {
        h = oct_hash_bytes(h, &node->inputs[k], sizeof(OctValue *));
    }
    for (int32_t k = 0; k < node->attribute_count; k++) {
        attributes += hash_attribute(&node->attributes[k]); /* in any order */
    }
    const OctValue *output = oct_node_output(node, 0);
    if (output && oct_value_quantized(output)) {
        h = oct_hash_bytes(h, output->qparams.scale, sizeof *output->qparams.scale);
        h = oct_hash_bytes(h, output->qparams.zero_point, sizeof *output->qparams.zero_point);
    }
    h = oct_hash_bytes(h, &node->activation.minimum, sizeof node->activation.minimum);
    h = oct_hash_bytes(h, &node->activation.maximum, sizeof node->activation.maximum);
    return oct_hash_bytes(h, &attributes, sizeof attributes);
}

/* Bodies and lists of strings are not worth comparing. */
static bool has_body(const OctNode *node) {
    for (int32_t k = 0; k < node->attribute_count; k++) {
        OctAttributeType type = node->attributes[k].type;
        if (type == OCT_ATTRIBUTE_GRAPH || type == OCT_ATTRIBUTE_STRINGS) {
            return true;
        }
    }
    return false;
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
        return false;
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
            (both && !same_grid(a->outputs[k], b->outputs[k]))) {
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

static OctetStatus merge_constants(OctReplace *replace, OctetDiagnostic *diagnostic) {
    enum { SMALL_BYTES = 4096 }; /* large weights are as good as never written twice */
    Table table = {0};
    OctGraph *graph = replace->graph;
    if (!table_create(&table, graph->value_count)) {
        table_free(&table);
        return oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < graph->value_count; i++) {
        OctValue *value = graph->values[i];
        const OctetTensor *tensor = oct_value_tensor(value);
        if (!tensor || value->is_output || replace->pinned[i] || tensor->bytes > SMALL_BYTES) {
            continue;
        }
        uint64_t h = oct_hash_bytes(oct_hash_bytes(7, &tensor->dtype, sizeof tensor->dtype),
                                    tensor->data, tensor->bytes);
        replace->by[i] = table_find(&table, h, value, same_constant_item);
    }
    table_free(&table);
    return OCTET_OK;
}

static bool makes_output(const OctNode *node) {
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k] && node->outputs[k]->is_output) {
            return true;
        }
    }
    return false;
}

static OctetStatus merge_nodes(OctReplace *replace, OctetDiagnostic *diagnostic) {
    Table table = {0};
    OctGraph *graph = replace->graph;
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
        oct_replace_follow(replace, node);
        if (random || has_body(node) || oct_replace_is_pinned(replace, node)) {
            continue;
        }
        OctNode *first = table_find(&table, hash_node(node), node, same_node_item);
        if (makes_output(node)) {
            continue;
        }
        for (int32_t k = 0; first && k < node->output_count; k++) {
            if (node->outputs[k]) {
                oct_replace_add(replace, node->outputs[k], first->outputs[k]);
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
    OctReplace replace;
    OctetStatus status = oct_replace_open(&replace, graph, diagnostic);
    if (status == OCTET_OK) {
        status = merge_constants(&replace, diagnostic);
    }
    if (status == OCTET_OK) {
        status = merge_nodes(&replace, diagnostic);
    }
    if (status == OCTET_OK) {
        oct_replace_finish(&replace);
    }
    oct_replace_free(&replace);
    return status;
}
