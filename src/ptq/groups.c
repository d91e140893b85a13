/* Grids. A mover's output lies on its input's grid. Concat rounds inputs of other grids to its own,
 * so inputs that nobody else takes share it from the start: one rounding instead of two. */
#include "base/diag.h"
#include "ptq/prepared.h"

#include <string.h>

static int32_t root_of(int32_t *parent, int32_t i) {
    while (parent[i] != i) {
        parent[i] = parent[parent[i]];
        i = parent[i];
    }
    return i;
}

/* The earlier value is the root, so that names of groups do not depend on anything else. */
static void unite(int32_t *parent, int32_t a, int32_t b) {
    a = root_of(parent, a);
    b = root_of(parent, b);
    if (a < b) {
        parent[b] = a;
    } else {
        parent[a] = b;
    }
}

static bool is_concat(const OctNode *node) {
    return strcmp(node->op_type, "Concat") == 0;
}

static void unite_mover(const OctUses *uses, const OctNode *node, int32_t *parent) {
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        if (!oct_role_is_data_input(node, k) || input->constant) {
            continue;
        }
        bool private = oct_uses_count(uses, input) == 1 && !input->is_output;
        for (int32_t m = 0; m < node->output_count; m++) {
            if (node->outputs[m] && node->outputs[m]->dtype == OCTET_F32 &&
                (private || !is_concat(node))) {
                unite(parent, input->id, node->outputs[m]->id);
            }
        }
    }
}

/* Values that int8 nodes take or make. A matrix product may leave its result in float, with the
 * accumulator's full precision, where no int8 node wants it. */
static void mark_quantized(OctetPrepared *prepared, bool *quantized) {
    const OctGraph *graph = prepared->graph;
    for (int32_t i = 0; i < graph->node_count; i++) {
        const OctNode *node = graph->nodes[i];
        if (!prepared->nodes[i].int8) {
            continue;
        }
        bool product = strcmp(node->op_type, "Gemm") == 0 || strcmp(node->op_type, "MatMul") == 0;
        for (int32_t k = 0; k < node->input_count; k++) {
            if (oct_role_is_data_input(node, k) && !node->inputs[k]->constant) {
                quantized[node->inputs[k]->id] = true;
            }
        }
        for (int32_t k = 0; k < node->output_count; k++) {
            const OctValue *output = node->outputs[k];
            bool must = !product || (prepared->quantize_outputs && output && output->is_output);
            if (output && output->dtype == OCTET_F32 && must) {
                quantized[output->id] = true;
            }
        }
    }
}

/* The network's float inputs and outputs. */
static void mark_borders(const OctetPrepared *prepared, bool *quantized) {
    const OctGraph *graph = prepared->graph;
    for (int32_t i = 0; i < graph->input_count + graph->output_count; i++) {
        const OctValue *value =
            i < graph->input_count ? graph->inputs[i] : graph->outputs[i - graph->input_count];
        quantized[value->id] = quantized[value->id] || (value->dtype == OCTET_F32 && !value->kind);
    }
}

/* Of what no int8 node takes or makes: the border's. */
static const OctetQConfig *first_qconfig(const OctetPrepared *prepared) {
    for (int32_t i = 0; i < prepared->graph->node_count; i++) {
        if (prepared->nodes[i].int8) {
            return &prepared->nodes[i].qconfig;
        }
    }
    return NULL;
}

/* Data that a mover takes from its own group has been seen already. */
static bool is_copy(const OctetPrepared *prepared, const OctValue *value, const int32_t *index_of) {
    const OctNode *producer = value->producer;
    if (!producer || !prepared->nodes[index_of[value->id]].int8 ||
        oct_role_of(producer) != OCT_ROLE_MOVE) {
        return false;
    }
    for (int32_t k = 0; k < producer->input_count; k++) {
        const OctValue *input = producer->inputs[k];
        if (oct_role_is_data_input(producer, k) &&
            prepared->group_of[input->id] != prepared->group_of[value->id]) {
            return false;
        }
    }
    return true;
}

static const OctetQConfig *qconfig_of(const OctetPrepared *prepared, const OctUses *uses,
                                      const OctValue *value, const int32_t *index_of) {
    if (value->producer && prepared->nodes[index_of[value->id]].int8) {
        return &prepared->nodes[index_of[value->id]].qconfig;
    }
    for (int32_t u = uses->first[value->id]; u < uses->first[value->id + 1]; u++) {
        for (int32_t i = 0; i < prepared->graph->node_count; i++) {
            if (prepared->graph->nodes[i] == uses->nodes[u] && prepared->nodes[i].int8) {
                return &prepared->nodes[i].qconfig;
            }
        }
    }
    return first_qconfig(prepared);
}

static OctetStatus make_groups(OctetPrepared *prepared, const OctUses *uses, int32_t *parent,
                               const bool *quantized, const int32_t *index_of,
                               OctetDiagnostic *diagnostic) {
    const OctGraph *graph = prepared->graph;
    int32_t capacity = 0;
    for (int32_t v = 0; v < graph->value_count; v++) {
        if (!quantized[v]) {
            continue;
        }
        int32_t root = root_of(parent, v);
        if (prepared->group_of[root] >= 0) {
            prepared->group_of[v] = prepared->group_of[root];
            continue;
        }
        if (!oct_grow(&prepared->groups, &capacity, prepared->group_count + 1,
                      sizeof *prepared->groups)) {
            return oct_fail_memory(diagnostic);
        }
        OctGroup *group = &prepared->groups[prepared->group_count];
        *group = (OctGroup){.root = v};
        prepared->group_of[root] = prepared->group_count;
        prepared->group_of[v] = prepared->group_count++;
        const OctetQConfig *qconfig = qconfig_of(prepared, uses, graph->values[v], index_of);
        if (!qconfig) {
            return oct_fail(diagnostic, OCTET_ERROR_INTERNAL, "%s has no configuration",
                            graph->values[v]->name);
        }
        OCT_TRY(octet_observer_create(&qconfig->activation, &group->observer, diagnostic));
    }
    for (int32_t v = 0; v < graph->value_count; v++) {
        prepared->observe[v] = quantized[v] && !is_copy(prepared, graph->values[v], index_of);
    }
    return OCTET_OK;
}

OctetStatus oct_group_values(OctetPrepared *prepared, OctetDiagnostic *diagnostic) {
    const OctGraph *graph = prepared->graph;
    size_t count = (size_t)graph->value_count + 1;
    bool *quantized = oct_calloc(count, sizeof *quantized);
    int32_t *parent = oct_calloc(count, sizeof *parent);
    int32_t *index_of = oct_calloc(count, sizeof *index_of); /* per value: its producer's number */
    OctUses uses = {0};
    OctetStatus status = OCTET_OK;
    if (!quantized || !parent || !index_of) {
        status = oct_fail_memory(diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_graph_uses(graph, &uses, diagnostic);
    }
    if (status == OCTET_OK) {
        for (int32_t v = 0; v < graph->value_count; v++) {
            parent[v] = v;
            prepared->group_of[v] = -1;
        }
        for (int32_t i = 0; i < graph->node_count; i++) {
            const OctNode *node = graph->nodes[i];
            for (int32_t k = 0; k < node->output_count; k++) {
                if (node->outputs[k]) {
                    index_of[node->outputs[k]->id] = i;
                }
            }
            if (prepared->nodes[i].int8 && oct_role_of(node) == OCT_ROLE_MOVE) {
                unite_mover(&uses, node, parent);
            }
        }
        mark_quantized(prepared, quantized);
        if (prepared->quantize_borders && first_qconfig(prepared)) {
            mark_borders(prepared, quantized);
        }
        status = make_groups(prepared, &uses, parent, quantized, index_of, diagnostic);
    }
    oct_uses_free(&uses);
    oct_free(quantized);
    oct_free(parent);
    oct_free(index_of);
    return status;
}
