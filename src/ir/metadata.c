/* Symbols, opsets and metadata: what belongs to the model as a whole. */
#include "ir/graph.h"

#include <string.h>

static OctGraph *root_of(OctGraph *graph) {
    while (graph->parent) {
        graph = graph->parent;
    }
    return graph;
}

static const OctGraph *const_root_of(const OctGraph *graph) {
    while (graph->parent) {
        graph = graph->parent;
    }
    return graph;
}

int64_t oct_graph_symbol(OctGraph *graph, const char *name) {
    OctGraph *root = root_of(graph);
    for (int32_t i = 0; i < root->symbol_count; i++) {
        if (strcmp(root->symbols[i], name) == 0) {
            return -(int64_t)i - 1;
        }
    }
    char *own = oct_arena_strdup(root->arena, name);
    if (!own ||
        !oct_grow(&root->symbols, &root->symbol_capacity, root->symbol_count + 1, sizeof(char *))) {
        return OCT_DIM_UNKNOWN;
    }
    root->symbols[root->symbol_count++] = own;
    return -(int64_t)root->symbol_count;
}

const char *oct_graph_symbol_name(const OctGraph *graph, int64_t dim) {
    const OctGraph *root = const_root_of(graph);
    bool known = dim < 0 && dim != OCT_DIM_UNKNOWN && -dim <= root->symbol_count;
    return known ? root->symbols[-dim - 1] : "?";
}

const char *oct_graph_metadata(const OctGraph *graph, const char *key) {
    const OctGraph *root = const_root_of(graph);
    for (int32_t i = 0; i < root->metadata_count; i++) {
        if (strcmp(root->metadata[i].key, key) == 0) {
            return root->metadata[i].value;
        }
    }
    return NULL;
}

bool oct_graph_set_metadata(OctGraph *graph, const char *key, const char *value) {
    OctGraph *root = root_of(graph);
    char *own_value = oct_arena_strdup(root->arena, value);
    if (!own_value) {
        return false;
    }
    for (int32_t i = 0; i < root->metadata_count; i++) {
        if (strcmp(root->metadata[i].key, key) == 0) {
            root->metadata[i].value = own_value;
            return true;
        }
    }
    char *own_key = oct_arena_strdup(root->arena, key);
    if (!own_key || !oct_grow(&root->metadata, &root->metadata_capacity, root->metadata_count + 1,
                              sizeof *root->metadata)) {
        return false;
    }
    root->metadata[root->metadata_count++] = (OctMetadata){own_key, own_value};
    return true;
}

/* "ai.onnx" is another spelling of the default domain. */
static bool same_domain(const char *a, const char *b) {
    a = strcmp(a, "ai.onnx") == 0 ? "" : a;
    b = strcmp(b, "ai.onnx") == 0 ? "" : b;
    return strcmp(a, b) == 0;
}

int64_t oct_graph_opset(const OctGraph *graph, const char *domain) {
    const OctGraph *root = const_root_of(graph);
    for (int32_t i = 0; i < root->opset_count; i++) {
        if (same_domain(root->opsets[i].domain, domain)) {
            return root->opsets[i].version;
        }
    }
    return 0;
}

bool oct_graph_set_opset(OctGraph *graph, const char *domain, int64_t version) {
    OctGraph *root = root_of(graph);
    for (int32_t i = 0; i < root->opset_count; i++) {
        if (same_domain(root->opsets[i].domain, domain)) {
            root->opsets[i].version = version;
            return true;
        }
    }
    char *own = oct_arena_strdup(root->arena, same_domain(domain, "") ? "" : domain);
    if (!own || !oct_grow(&root->opsets, &root->opset_capacity, root->opset_count + 1,
                          sizeof *root->opsets)) {
        return false;
    }
    root->opsets[root->opset_count++] = (OctOpset){own, version};
    return true;
}
