#include "passes/replace.h"

#include "base/diag.h"

static bool owns(const OctReplace *replace, const OctValue *value) {
    return value && value->id >= 0 && value->id < replace->count &&
           replace->graph->values[value->id] == value;
}

static void pin_outputs(OctReplace *replace, const OctGraph *child) {
    for (int32_t k = 0; k < child->output_count; k++) {
        if (owns(replace, child->outputs[k])) {
            replace->pinned[child->outputs[k]->id] = true;
        }
    }
    for (int32_t i = 0; i < child->child_count; i++) {
        pin_outputs(replace, child->children[i]);
    }
}

OctetStatus oct_replace_open(OctReplace *replace, OctGraph *graph, OctetDiagnostic *diagnostic) {
    size_t room = (size_t)graph->value_count + 1;
    *replace = (OctReplace){graph, oct_calloc(room, sizeof *replace->by),
                            oct_calloc(room, sizeof *replace->pinned), graph->value_count};
    if (!replace->by || !replace->pinned) {
        return oct_fail_memory(diagnostic);
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        pin_outputs(replace, graph->children[i]);
    }
    return OCTET_OK;
}

void oct_replace_follow(const OctReplace *replace, OctNode *node) {
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *value = node->inputs[k];
        if (owns(replace, value) && replace->by[value->id]) {
            node->inputs[k] = replace->by[value->id];
        }
    }
}

bool oct_replace_is_pinned(const OctReplace *replace, const OctNode *node) {
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k] && replace->pinned[node->outputs[k]->id]) {
            return true;
        }
    }
    return false;
}

void oct_replace_add(OctReplace *replace, OctValue *from, OctValue *to) {
    OctNames *names = &replace->graph->value_names;
    replace->by[from->id] = to;
    if (from->is_output) {
        const char *name = to->name;
        to->name = from->name;
        from->name = name;
        from->is_output = false;
        to->is_output = true;
        /* both names are in the map already, so that setting can't fail */
        (void)oct_names_set(names, to->name, to);
        (void)oct_names_set(names, from->name, from);
    }
}

void oct_replace_finish(const OctReplace *replace) {
    OctGraph *graph = replace->graph;
    oct_graph_replace_all(graph, replace->by, replace->count);
    for (int32_t i = 0; i < graph->output_count; i++) {
        const OctValue *output = graph->outputs[i];
        if (owns(replace, output) && replace->by[output->id]) {
            graph->outputs[i] = replace->by[output->id];
        }
    }
}

void oct_replace_free(OctReplace *replace) {
    oct_free(replace->by);
    oct_free(replace->pinned);
    *replace = (OctReplace){0};
}
