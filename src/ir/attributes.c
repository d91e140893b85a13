#include "ir/graph.h"

#include <stdio.h>
#include <string.h>

static OctAttribute *find(const OctNode *node, const char *name) {
    for (int32_t i = 0; i < node->attribute_count; i++) {
        if (oct_same_name(node->attributes[i].name, name)) {
            return &node->attributes[i];
        }
    }
    return NULL;
}

const OctAttribute *oct_node_attribute(const OctNode *node, const char *name) {
    return find(node, name);
}

int64_t oct_node_int(const OctNode *node, const char *name, int64_t fallback) {
    const OctAttribute *attribute = find(node, name);
    return attribute && attribute->type == OCT_ATTRIBUTE_INT ? attribute->v.i : fallback;
}

float oct_node_float(const OctNode *node, const char *name, float fallback) {
    const OctAttribute *attribute = find(node, name);
    return attribute && attribute->type == OCT_ATTRIBUTE_FLOAT ? attribute->v.f : fallback;
}

const char *oct_node_string(const OctNode *node, const char *name, const char *fallback) {
    const OctAttribute *attribute = find(node, name);
    return attribute && attribute->type == OCT_ATTRIBUTE_STRING ? attribute->v.s : fallback;
}

int32_t oct_node_ints(const OctNode *node, const char *name, const int64_t **ints) {
    const OctAttribute *attribute = find(node, name);
    bool present = attribute && attribute->type == OCT_ATTRIBUTE_INTS;
    *ints = present ? attribute->v.ints : NULL;
    return present ? attribute->count : 0;
}

void oct_node_remove_attribute(OctNode *node, const char *name) {
    OctAttribute *attribute = find(node, name);
    if (!attribute) {
        return;
    }
    if (attribute->type == OCT_ATTRIBUTE_TENSOR) {
        oct_constant_release(attribute->v.tensor);
    }
    OctAttribute *last = &node->attributes[--node->attribute_count];
    *attribute = *last;
}

/* An attribute of that name with nothing in it, at the place of an older one if there is one. */
static OctAttribute *place(OctGraph *graph, OctNode *node, const char *name) {
    OctAttribute *attribute = find(node, name);
    if (attribute) {
        if (attribute->type == OCT_ATTRIBUTE_TENSOR) {
            oct_constant_release(attribute->v.tensor);
            attribute->v.tensor = NULL;
        }
        return attribute;
    }
    size_t count = (size_t)node->attribute_count;
    char *own = oct_arena_strdup(graph->arena, name);
    if (!own) {
        return NULL;
    }
    if (node->attribute_count == node->attribute_capacity) {
        int32_t capacity = node->attribute_capacity ? 2 * node->attribute_capacity : 4;
        OctAttribute *grown = oct_arena_array(graph->arena, (size_t)capacity, sizeof *grown);
        if (!grown) {
            return NULL;
        }
        if (count) {
            memcpy(grown, node->attributes, count * sizeof *grown);
        }
        node->attributes = grown;
        node->attribute_capacity = capacity;
    }
    node->attributes[count] = (OctAttribute){.name = own};
    node->attribute_count++;
    return &node->attributes[count];
}

bool oct_node_set_int(OctGraph *graph, OctNode *node, const char *name, int64_t value) {
    OctAttribute *attribute = place(graph, node, name);
    if (!attribute) {
        return false;
    }
    attribute->type = OCT_ATTRIBUTE_INT;
    attribute->count = 1;
    attribute->v.i = value;
    return true;
}

bool oct_node_set_float(OctGraph *graph, OctNode *node, const char *name, float value) {
    OctAttribute *attribute = place(graph, node, name);
    if (!attribute) {
        return false;
    }
    attribute->type = OCT_ATTRIBUTE_FLOAT;
    attribute->count = 1;
    attribute->v.f = value;
    return true;
}

bool oct_node_set_string(OctGraph *graph, OctNode *node, const char *name, const char *value) {
    char *copy = oct_arena_strdup(graph->arena, value);
    OctAttribute *attribute = copy ? place(graph, node, name) : NULL;
    if (!attribute) {
        return false;
    }
    attribute->type = OCT_ATTRIBUTE_STRING;
    attribute->count = 1;
    attribute->v.s = copy;
    return true;
}

bool oct_node_set_ints(OctGraph *graph, OctNode *node, const char *name, const int64_t *values,
                       int32_t count) {
    int64_t *copy = oct_arena_memdup(graph->arena, values, (size_t)count * sizeof *values);
    OctAttribute *attribute = copy ? place(graph, node, name) : NULL;
    if (!attribute) {
        return false;
    }
    attribute->type = OCT_ATTRIBUTE_INTS;
    attribute->count = count;
    attribute->v.ints = copy;
    return true;
}

bool oct_node_set_floats(OctGraph *graph, OctNode *node, const char *name, const float *values,
                         int32_t count) {
    float *copy = oct_arena_memdup(graph->arena, values, (size_t)count * sizeof *values);
    OctAttribute *attribute = copy ? place(graph, node, name) : NULL;
    if (!attribute) {
        return false;
    }
    attribute->type = OCT_ATTRIBUTE_FLOATS;
    attribute->count = count;
    attribute->v.floats = copy;
    return true;
}

bool oct_node_set_strings(OctGraph *graph, OctNode *node, const char *name,
                          const char *const *values, int32_t count) {
    const char **copy = oct_arena_array(graph->arena, (size_t)count, sizeof *copy);
    for (int32_t i = 0; copy && i < count; i++) {
        copy[i] = oct_arena_strdup(graph->arena, values[i]);
        copy = copy[i] ? copy : NULL;
    }
    OctAttribute *attribute = copy ? place(graph, node, name) : NULL;
    if (!attribute) {
        return false;
    }
    attribute->type = OCT_ATTRIBUTE_STRINGS;
    attribute->count = count;
    attribute->v.strings = copy;
    return true;
}

bool oct_node_set_tensor(OctGraph *graph, OctNode *node, const char *name, OctConstant *tensor) {
    OctAttribute *attribute = tensor ? place(graph, node, name) : NULL;
    if (!attribute) {
        oct_constant_release(tensor);
        return false;
    }
    attribute->type = OCT_ATTRIBUTE_TENSOR;
    attribute->count = 1;
    attribute->v.tensor = tensor;
    return true;
}

bool oct_node_set_graph(OctGraph *graph, OctNode *node, const char *name, OctGraph *child) {
    OctAttribute *attribute = place(graph, node, name);
    if (!attribute) {
        return false;
    }
    attribute->type = OCT_ATTRIBUTE_GRAPH;
    attribute->count = 1;
    attribute->v.graph = child;
    return true;
}

bool oct_node_include(OctGraph *graph, OctNode *node, const char *op_type, const char *name,
                      const OctNotes *notes) {
    enum { LONGEST = 4096 }; /* a chain of many nodes stops there */
    const char *own = node->notes.doc ? node->notes.doc : "";
    const char *doc = notes && notes->doc ? notes->doc : "";
    size_t length = strlen(own) + strlen(op_type) + strlen(name) + strlen(doc) + 32;
    if (length > LONGEST) {
        return true;
    }
    char *text = oct_arena_alloc(graph->arena, length);
    if (!text) {
        return false;
    }
    snprintf(text, length, "%s%sincludes %s '%s'%s%s", own, *own ? "\n" : "", op_type, name,
             *doc ? ": " : "", doc);
    node->notes.doc = text;
    return true;
}
