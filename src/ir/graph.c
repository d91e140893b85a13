#include "ir/graph.h"
#include "base/diag.h"
#include "base/patience.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

struct OctConstant {
    atomic_int references;
    uint64_t id;
    OctetTensor *tensor;
};

OctConstant *oct_constant_create(OctetTensor *tensor) {
    static atomic_uint_least64_t next_id = 1;
    OctConstant *constant = tensor ? oct_calloc(1, sizeof *constant) : NULL;
    if (!constant) {
        octet_tensor_free(tensor);
        return NULL;
    }
    atomic_init(&constant->references, 1);
    constant->id = atomic_fetch_add(&next_id, 1);
    constant->tensor = tensor;
    return constant;
}

OctConstant *oct_constant_retain(OctConstant *constant) {
    if (constant) {
        atomic_fetch_add_explicit(&constant->references, 1, memory_order_relaxed);
    }
    return constant;
}

void oct_constant_release(OctConstant *constant) {
    if (constant &&
        atomic_fetch_sub_explicit(&constant->references, 1, memory_order_acq_rel) == 1) {
        octet_tensor_free(constant->tensor);
        oct_free(constant);
    }
}

const OctetTensor *oct_constant_tensor(const OctConstant *constant) {
    return constant->tensor;
}

uint64_t oct_constant_id(const OctConstant *constant) {
    return constant->id;
}

OctGraph *oct_graph_create(void) {
    OctGraph *graph = oct_calloc(1, sizeof *graph);
    if (!graph) {
        return NULL;
    }
    graph->arena = oct_arena_create();
    if (!graph->arena) {
        oct_free(graph);
        return NULL;
    }
    graph->name = "octet";
    graph->ir_version = 8;
    return graph;
}

void oct_graph_begin(const OctGraph *graph, OctPatience *patience) {
    oct_patience_begin(patience, graph->canceled, graph->canceled_user, graph->max_seconds);
}

OctGraph *oct_graph_create_child(OctGraph *parent) {
    OctGraph *graph = oct_calloc(1, sizeof *graph);
    if (!graph) {
        return NULL;
    }
    graph->arena = parent->arena;
    graph->parent = parent;
    graph->name = "body";
    if (!oct_grow(&parent->children, &parent->child_capacity, parent->child_count + 1,
                  sizeof *parent->children)) {
        oct_free(graph);
        return NULL;
    }
    parent->children[parent->child_count++] = graph;
    return graph;
}

static void release_node(OctNode *node) {
    for (int32_t i = 0; i < node->attribute_count; i++) {
        if (node->attributes[i].type == OCT_ATTRIBUTE_TENSOR) {
            oct_constant_release(node->attributes[i].v.tensor);
            node->attributes[i].v.tensor = NULL;
        }
    }
    node->attribute_count = 0;
}

void oct_graph_free(OctGraph *graph) {
    if (!graph) {
        return;
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        oct_graph_free(graph->children[i]);
    }
    for (int32_t i = 0; i < graph->node_count; i++) {
        release_node(graph->nodes[i]);
    }
    for (int32_t i = 0; i < graph->value_count; i++) {
        oct_constant_release(graph->values[i]->constant);
    }
    oct_free(graph->children);
    oct_free(graph->nodes);
    oct_free(graph->values);
    oct_free(graph->inputs);
    oct_free(graph->outputs);
    oct_free(graph->symbols);
    oct_free(graph->metadata);
    oct_free(graph->opsets);
    oct_names_free(&graph->value_names);
    oct_names_free(&graph->node_names);
    oct_mapping_release(graph->file);
    if (!graph->parent) {
        oct_arena_free(graph->arena);
    }
    oct_free(graph);
}

static bool value_name_taken(const OctGraph *graph, const char *name) {
    return oct_graph_find_value(graph, name) != NULL;
}

static OctGraph *root_of(OctGraph *graph) {
    while (graph->parent) {
        graph = graph->parent;
    }
    return graph;
}

const char *oct_graph_unique_name(OctGraph *graph, const char *base) {
    OctGraph *root = root_of(graph);
    char stem[160];
    snprintf(stem, sizeof stem, "%s", base && *base ? base : "value");
    if (!value_name_taken(graph, stem) && !oct_graph_find_node(graph, stem)) {
        return oct_arena_strdup(graph->arena, stem);
    }
    for (;;) {
        char name[200];
        snprintf(name, sizeof name, "%s_%llu", stem, (unsigned long long)++root->next_name);
        if (!value_name_taken(graph, name) && !oct_graph_find_node(graph, name)) {
            return oct_arena_strdup(graph->arena, name);
        }
    }
}

OctValue *oct_graph_place_value(OctGraph *graph, const char *own) {
    if (!oct_grow(&graph->values, &graph->value_capacity, graph->value_count + 1,
                  sizeof(OctValue *))) {
        return NULL;
    }
    OctValue *value = oct_arena_alloc(graph->arena, sizeof *value);
    if (!value || !oct_names_set(&graph->value_names, own, value)) {
        return NULL;
    }
    value->name = own;
    value->shape.rank = -1;
    value->qparams.axis = -1;
    value->id = graph->value_count;
    graph->values[graph->value_count++] = value;
    return value;
}

OctValue *oct_graph_add_value(OctGraph *graph, const char *name) {
    bool usable = name && *name && !value_name_taken(graph, name);
    const char *own =
        usable ? oct_arena_strdup(graph->arena, name) : oct_graph_unique_name(graph, name);
    return own ? oct_graph_place_value(graph, own) : NULL;
}

bool oct_graph_set_qparams(OctGraph *graph, OctValue *value, const OctetQParams *qparams) {
    OctetQParams copy = {.axis = -1};
    if (qparams->dtype != OCTET_DTYPE_NONE) {
        size_t count = (size_t)qparams->count;
        size_t bytes;
        copy = *qparams;
        if (!oct_mul_size(count, sizeof(float), &bytes)) {
            return false;
        }
        copy.scale = oct_arena_memdup(graph->arena, qparams->scale, bytes);
        copy.zero_point = oct_arena_memdup(graph->arena, qparams->zero_point, bytes);
        if (!copy.scale || !copy.zero_point) {
            return false;
        }
    }
    value->qparams = copy;
    return true;
}

bool oct_value_set_constant(OctValue *value, OctetTensor *tensor) {
    OctConstant *constant = oct_constant_create(tensor);
    if (!constant) {
        return false;
    }
    oct_value_take_constant(value, constant);
    return true;
}

void oct_value_take_constant(OctValue *value, OctConstant *constant) {
    const OctetTensor *tensor = constant->tensor;
    oct_constant_release(value->constant);
    value->constant = constant;
    value->qparams = tensor->qparams;
    value->dtype = oct_value_quantized(value) ? OCTET_F32 : tensor->dtype;
    value->shape = tensor->shape;
    value->known = NULL;
    value->known_count = 0;
}

OctValue *oct_graph_add_constant(OctGraph *graph, const char *name, OctetTensor *tensor) {
    OctValue *value = oct_graph_add_value(graph, name);
    if (!value) {
        octet_tensor_free(tensor);
        return NULL;
    }
    return oct_value_set_constant(value, tensor) ? value : NULL;
}

OctNode *oct_graph_place_node(OctGraph *graph, const char *own) {
    if (!oct_grow(&graph->nodes, &graph->node_capacity, graph->node_count + 1, sizeof(OctNode *))) {
        return NULL;
    }
    OctNode *node = oct_arena_alloc(graph->arena, sizeof *node);
    if (!node || !oct_names_set(&graph->node_names, own, node)) {
        return NULL;
    }
    node->name = own;
    graph->nodes[graph->node_count++] = node;
    return node;
}

OctNode *oct_graph_insert_node(OctGraph *graph, OctNode *before, const char *op_type,
                               const char *domain, const char *name, OctValue *const *inputs,
                               int32_t input_count, OctValue *const *outputs,
                               int32_t output_count) {
    OctArena *arena = graph->arena;
    bool usable = name && *name && !oct_graph_find_node(graph, name);
    const char *own = usable ? oct_arena_strdup(arena, name)
                             : oct_graph_unique_name(graph, name && *name ? name : op_type);
    char *own_type = oct_arena_strdup(arena, op_type);
    char *own_domain = oct_arena_strdup(arena, domain);
    OctValue **in = oct_arena_memdup(arena, inputs, (size_t)input_count * sizeof(OctValue *));
    OctValue **out = oct_arena_memdup(arena, outputs, (size_t)output_count * sizeof(OctValue *));
    bool done = own && own_type && own_domain && in && out;
    OctNode *node = done ? oct_graph_place_node(graph, own) : NULL;
    if (!node) {
        return NULL;
    }
    node->op_type = own_type;
    node->domain = own_domain;
    node->inputs = in;
    node->outputs = out;
    node->input_count = input_count;
    node->output_count = output_count;
    node->opset = (int32_t)oct_graph_opset(graph, domain);
    int32_t last = graph->node_count - 1;
    int32_t place = last;
    while (before && place >= 0 && graph->nodes[place] != before) {
        place--;
    }
    if (place >= 0) {
        memmove(graph->nodes + place + 1, graph->nodes + place,
                (size_t)(last - place) * sizeof(OctNode *));
        graph->nodes[place] = node;
    }
    for (int32_t i = 0; i < output_count; i++) {
        if (outputs[i]) {
            outputs[i]->producer = node;
        }
    }
    return node;
}

OctNode *oct_graph_add_node(OctGraph *graph, const char *op_type, const char *domain,
                            const char *name, OctValue *const *inputs, int32_t input_count,
                            OctValue *const *outputs, int32_t output_count) {
    return oct_graph_insert_node(graph, NULL, op_type, domain, name, inputs, input_count, outputs,
                                 output_count);
}

bool oct_graph_add_input(OctGraph *graph, OctValue *value) {
    if (!oct_grow(&graph->inputs, &graph->input_capacity, graph->input_count + 1,
                  sizeof(OctValue *))) {
        return false;
    }
    graph->inputs[graph->input_count++] = value;
    value->is_input = true;
    return true;
}

bool oct_graph_add_output(OctGraph *graph, OctValue *value) {
    if (!oct_grow(&graph->outputs, &graph->output_capacity, graph->output_count + 1,
                  sizeof(OctValue *))) {
        return false;
    }
    graph->outputs[graph->output_count++] = value;
    value->is_output = true;
    return true;
}

OctValue *oct_graph_find_value(const OctGraph *graph, const char *name) {
    OctValue *value = NULL;
    for (const OctGraph *g = graph; g && !value; g = g->parent) {
        value = oct_names_find(&g->value_names, name);
    }
    return value;
}

OctNode *oct_graph_find_node(const OctGraph *graph, const char *name) {
    return oct_names_find(&graph->node_names, name);
}

bool oct_value_has_static_shape(const OctValue *value) {
    int64_t count;
    return octet_shape_count(&value->shape, &count);
}

int32_t oct_value_known_ints(const OctValue *value, int64_t *ints, int32_t capacity) {
    const OctetTensor *tensor = oct_value_tensor(value);
    if (!tensor || oct_value_quantized(value)) {
        if (!value || !value->known || value->known_count > capacity) {
            return -1;
        }
        memcpy(ints, value->known, (size_t)value->known_count * sizeof *ints);
        return value->known_count;
    }
    int64_t count;
    bool integers =
        tensor->dtype == OCTET_S64 || tensor->dtype == OCTET_S32 || tensor->dtype == OCTET_BOOL;
    if (!integers || tensor->shape.rank > 1 || !octet_shape_count(&tensor->shape, &count) ||
        count > capacity) {
        return -1;
    }
    for (int64_t i = 0; i < count; i++) {
        ints[i] = tensor->dtype == OCTET_S64   ? ((const int64_t *)tensor->data)[i]
                  : tensor->dtype == OCTET_S32 ? ((const int32_t *)tensor->data)[i]
                                               : ((const uint8_t *)tensor->data)[i];
    }
    return (int32_t)count;
}
