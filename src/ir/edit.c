/* Rewriting: replace uses, remove, compact, count uses. */
#include "base/diag.h"
#include "ir/graph.h"

#include <string.h>

bool oct_node_set_input(OctGraph *graph, OctNode *node, int32_t k, OctValue *value) {
    if (k >= node->input_count) {
        OctValue **grown = oct_arena_array(graph->arena, (size_t)k + 1, sizeof *grown);
        if (!grown) {
            return false;
        }
        if (node->input_count) {
            memcpy(grown, node->inputs, (size_t)node->input_count * sizeof *grown);
        }
        node->inputs = grown;
        node->input_count = k + 1;
    }
    node->inputs[k] = value;
    return true;
}

static void replace_in_nodes(OctGraph *graph, const OctValue *from, OctValue *to) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        for (int32_t k = 0; k < node->input_count && !node->dead; k++) {
            if (node->inputs[k] == from) {
                node->inputs[k] = to;
            }
        }
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        OctGraph *child = graph->children[i];
        replace_in_nodes(child, from, to);
        for (int32_t k = 0; k < child->output_count; k++) {
            if (child->outputs[k] == from) {
                child->outputs[k] = to;
                to->is_output = true;
            }
        }
    }
}

OctetStatus oct_graph_replace_uses(OctGraph *graph, OctValue *from, OctValue *to,
                                   OctetDiagnostic *diagnostic) {
    if (from == to) {
        return OCTET_OK;
    }
    if (from->is_output && (to->is_output || to->is_input || to->constant)) {
        return oct_fail(diagnostic, OCTET_ERROR_INTERNAL,
                        "output %s can't be replaced by %s, which is an output, input or constant",
                        from->name, to->name);
    }
    replace_in_nodes(graph, from, to);
    for (int32_t i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i] == from) {
            const char *name = to->name;
            graph->outputs[i] = to;
            to->is_output = true;
            to->name = from->name;
            to->doc = from->doc ? from->doc : to->doc;
            from->name = name;
            from->is_output = false;
            /* both names are in the map already, so that setting can't fail */
            (void)oct_names_set(&graph->value_names, to->name, to);
            (void)oct_names_set(&graph->value_names, from->name, from);
        }
    }
    return OCTET_OK;
}

typedef struct Replace {
    const OctGraph *owner;
    OctValue *const *replaced;
    int32_t count;
} Replace;

static void replace_list(const Replace *replace, OctValue **list, int32_t count) {
    for (int32_t k = 0; k < count; k++) {
        const OctValue *value = list[k];
        bool own = value && value->id >= 0 && value->id < replace->count &&
                   replace->owner->values[value->id] == value;
        if (own && replace->replaced[value->id]) {
            list[k] = replace->replaced[value->id];
        }
    }
}

static void replace_in(const Replace *replace, OctGraph *graph) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        if (!graph->nodes[i]->dead) {
            replace_list(replace, graph->nodes[i]->inputs, graph->nodes[i]->input_count);
        }
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        replace_in(replace, graph->children[i]);
    }
}

void oct_graph_replace_all(OctGraph *graph, OctValue *const *replaced, int32_t count) {
    Replace replace = {graph, replaced, count};
    replace_in(&replace, graph);
}

void oct_graph_remove_node(OctGraph *graph, OctNode *node) {
    (void)oct_names_set(&graph->node_names, node->name, NULL);
    node->dead = true;
    for (int32_t i = 0; i < node->output_count; i++) {
        if (node->outputs[i] && node->outputs[i]->producer == node) {
            node->outputs[i]->producer = NULL;
        }
    }
    for (int32_t i = 0; i < node->attribute_count; i++) {
        if (node->attributes[i].type == OCT_ATTRIBUTE_TENSOR) {
            oct_constant_release(node->attributes[i].v.tensor);
        }
    }
    node->attribute_count = 0;
    node->input_count = 0;
}

/* Calls visit for the node's inputs and for what its child graphs take from outside. */
typedef bool (*VisitInput)(void *user, OctValue *value);

static bool visit_graph_inputs(const OctGraph *graph, VisitInput visit, void *user) {
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        for (int32_t k = 0; k < node->input_count && !node->dead; k++) {
            if (node->inputs[k] && !visit(user, node->inputs[k])) {
                return false;
            }
        }
    }
    for (int32_t i = 0; i < graph->output_count; i++) {
        if (!visit(user, graph->outputs[i])) {
            return false;
        }
    }
    for (int32_t i = 0; i < graph->child_count; i++) {
        if (!visit_graph_inputs(graph->children[i], visit, user)) {
            return false;
        }
    }
    return true;
}

static bool visit_inputs(const OctNode *node, VisitInput visit, void *user) {
    for (int32_t k = 0; k < node->input_count; k++) {
        if (node->inputs[k] && !visit(user, node->inputs[k])) {
            return false;
        }
    }
    for (int32_t i = 0; i < node->attribute_count; i++) {
        if (node->attributes[i].type == OCT_ATTRIBUTE_GRAPH &&
            !visit_graph_inputs(node->attributes[i].v.graph, visit, user)) {
            return false;
        }
    }
    return true;
}

static bool owns(const OctGraph *graph, const OctValue *value) {
    return value->id >= 0 && value->id < graph->value_count && graph->values[value->id] == value;
}

/* ---- compact ---- */

typedef struct Sort {
    OctGraph *graph;
    bool *used; /* per value */
} Sort;

static bool mark_used(void *user, OctValue *value) {
    Sort *sort = user;
    if (owns(sort->graph, value)) {
        sort->used[value->id] = true;
    }
    return true;
}

static void release_value(OctGraph *graph, OctValue *value) {
    (void)oct_names_set(&graph->value_names, value->name, NULL);
    oct_constant_release(value->constant);
    value->constant = NULL;
    value->qparams = (OctetQParams){.axis = -1};
    value->id = -1;
}

static void drop_dead(OctGraph *graph) {
    int32_t kept = 0;
    for (int32_t i = 0; i < graph->node_count; i++) {
        if (!graph->nodes[i]->dead) {
            graph->nodes[kept++] = graph->nodes[i];
        }
    }
    graph->node_count = kept;
}

/* Depth-first, so that any order of the nodes takes linear time; a sorted graph stays as it is. */
typedef struct Depth {
    const OctGraph *graph;
    uint8_t *state; /* by the number of a node's first output: 0 new, 1 open, 2 placed */
    OctNode **stack;
    int32_t count, capacity;
    OctNode *cycle; /* a node that needs its own output */
} Depth;

static uint8_t *state_of(const Depth *depth, const OctNode *node) {
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k]) {
            return &depth->state[node->outputs[k]->id];
        }
    }
    return NULL; /* nothing can depend on it */
}

static bool push_node(Depth *depth, OctNode *node) {
    if (!oct_grow(&depth->stack, &depth->capacity, depth->count + 1, sizeof(OctNode *))) {
        return false;
    }
    depth->stack[depth->count++] = node;
    return true;
}

static bool push_producer(void *user, OctValue *value) {
    Depth *depth = user;
    if (!owns(depth->graph, value) || !value->producer) {
        return true;
    }
    uint8_t state = *state_of(depth, value->producer);
    if (state == 1) {
        depth->cycle = value->producer;
        return false;
    }
    return state == 2 || push_node(depth, value->producer);
}

/* Places what is on the stack, every node behind the producers of its inputs. */
static bool drain(Depth *depth, OctNode **sorted, int32_t *placed) {
    while (depth->count > 0) {
        OctNode *node = depth->stack[depth->count - 1];
        uint8_t *state = state_of(depth, node);
        if (*state == 0) {
            *state = 1;
            if (!visit_inputs(node, push_producer, depth)) {
                return false;
            }
            continue;
        }
        if (*state == 1) {
            *state = 2;
            sorted[(*placed)++] = node;
        }
        depth->count--;
    }
    return true;
}

static bool place_node(Depth *depth, OctNode *node, OctNode **sorted, int32_t *placed) {
    if (state_of(depth, node)) {
        return push_node(depth, node) && drain(depth, sorted, placed);
    }
    if (!visit_inputs(node, push_producer, depth) || !drain(depth, sorted, placed)) {
        return false;
    }
    sorted[(*placed)++] = node;
    return true;
}

static OctetStatus sort_nodes(OctGraph *graph, OctetDiagnostic *diagnostic) {
    Depth depth = {.graph = graph};
    depth.state = oct_calloc((size_t)graph->value_count + 1, sizeof *depth.state);
    OctNode **sorted = oct_calloc((size_t)graph->node_count + 1, sizeof *sorted);
    int32_t placed = 0;
    bool going = depth.state && sorted;
    for (int32_t i = 0; i < graph->node_count && going; i++) {
        going = place_node(&depth, graph->nodes[i], sorted, &placed);
    }
    OctetStatus status = OCTET_OK;
    if (going) {
        for (int32_t i = 0; i < placed; i++) {
            graph->nodes[i] = sorted[i];
        }
    } else if (depth.cycle) {
        status = oct_fail_node(diagnostic, OCTET_ERROR_FORMAT, depth.cycle->name,
                               "the graph has a cycle through this node");
    } else {
        status = oct_fail_memory(diagnostic);
    }
    oct_free(depth.state);
    oct_free(depth.stack);
    oct_free(sorted);
    return status;
}

static void drop_unused(Sort *sort) {
    OctGraph *graph = sort->graph;
    int32_t kept = 0;
    for (int32_t i = 0; i < graph->value_count; i++) {
        OctValue *value = graph->values[i];
        if (sort->used[i] || value->is_input || value->is_output || value->producer) {
            value->id = kept;
            graph->values[kept++] = value;
        } else {
            release_value(graph, value);
        }
    }
    graph->value_count = kept;
}

OctetStatus oct_graph_compact(OctGraph *graph, OctetDiagnostic *diagnostic) {
    drop_dead(graph);
    Sort sort = {.graph = graph};
    sort.used = oct_calloc((size_t)graph->value_count + 1, sizeof *sort.used);
    if (!sort.used) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status = sort_nodes(graph, diagnostic);
    if (status == OCTET_OK) {
        for (int32_t i = 0; i < graph->node_count; i++) {
            visit_inputs(graph->nodes[i], mark_used, &sort);
        }
        drop_unused(&sort);
    }
    oct_free(sort.used);
    return status;
}

/* ---- uses ---- */

typedef struct Collect {
    const OctGraph *graph;
    OctUses *uses;
    OctNode *node;
    int32_t *fill; /* NULL while counting */
} Collect;

static bool collect_use(void *user, OctValue *value) {
    Collect *collect = user;
    if (!owns(collect->graph, value)) {
        return true;
    }
    if (collect->fill) {
        int32_t place = collect->fill[value->id]++;
        collect->uses->nodes[place] = collect->node;
    } else {
        collect->uses->first[value->id + 1]++;
    }
    return true;
}

OctetStatus oct_graph_uses(const OctGraph *graph, OctUses *uses, OctetDiagnostic *diagnostic) {
    size_t count = (size_t)graph->value_count;
    int32_t *fill = NULL;
    *uses = (OctUses){0};
    uses->first = oct_calloc(count + 1, sizeof *uses->first);
    uses->output_uses = oct_calloc(count + 1, sizeof *uses->output_uses);
    fill = oct_calloc(count + 1, sizeof *fill);
    if (!uses->first || !uses->output_uses || !fill) {
        goto out_of_memory;
    }
    Collect collect = {.graph = graph, .uses = uses};
    for (int32_t i = 0; i < graph->node_count; i++) {
        if (!graph->nodes[i]->dead) {
            visit_inputs(graph->nodes[i], collect_use, &collect);
        }
    }
    for (size_t i = 0; i < count; i++) {
        uses->first[i + 1] += uses->first[i];
    }
    memcpy(fill, uses->first, count * sizeof *fill);
    uses->nodes = oct_calloc((size_t)uses->first[count] + 1, sizeof(OctNode *));
    if (!uses->nodes) {
        goto out_of_memory;
    }
    collect.fill = fill;
    for (int32_t i = 0; i < graph->node_count; i++) {
        collect.node = graph->nodes[i];
        if (!graph->nodes[i]->dead) {
            visit_inputs(graph->nodes[i], collect_use, &collect);
        }
    }
    for (int32_t i = 0; i < graph->output_count; i++) {
        if (owns(graph, graph->outputs[i])) {
            uses->output_uses[graph->outputs[i]->id]++;
        }
    }
    oct_free(fill);
    return OCTET_OK;
out_of_memory:
    oct_free(fill);
    oct_uses_free(uses);
    return oct_fail_memory(diagnostic);
}

void oct_uses_free(OctUses *uses) {
    oct_free(uses->nodes);
    oct_free(uses->first);
    oct_free(uses->output_uses);
    *uses = (OctUses){0};
}

int32_t oct_uses_count(const OctUses *uses, const OctValue *value) {
    return uses->first[value->id + 1] - uses->first[value->id];
}

OctNode *oct_uses_single(const OctUses *uses, const OctValue *value) {
    return oct_uses_count(uses, value) == 1 ? uses->nodes[uses->first[value->id]] : NULL;
}
