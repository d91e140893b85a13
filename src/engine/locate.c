/* Lifetimes, shared memory, and offsets in the arena. */
#include "base/diag.h"
#include "base/tensor.h"
#include "engine/compile.h"
#include "engine/memory.h"
#include "engine/rewrite.h"
#include "ops/conv.h"

#include <string.h>

bool oct_node_is_view(const OctNode *node) {
    if (!(node->op->flags & OCT_OP_VIEW) || !oct_node_input(node, 0)) {
        return false;
    }
    for (int32_t k = 1; k < node->output_count; k++) {
        if (node->outputs[k]) {
            return false;
        }
    }
    return oct_value_storage(node->inputs[0]) == oct_value_storage(node->outputs[0]);
}

static size_t bytes_of(const OctValue *value) {
    size_t bytes = 0;
    /* sizes were checked before: a failure can't happen here */
    (void)oct_tensor_bytes(oct_value_storage(value), &value->shape, &bytes, NULL);
    return bytes;
}

/* Values of the arena: what static nodes make, and inputs that must be copied. */
static bool in_arena(const OctCompile *c, const OctValue *value) {
    return !value->constant && !value->is_input && !c->dynamic[value->id];
}

static OctetStatus check_sizes(const OctCompile *c) {
    const OctGraph *graph = c->plan->graph;
    for (int32_t i = 0; i < graph->value_count; i++) {
        const OctValue *value = graph->values[i];
        size_t bytes;
        if ((value->producer || value->is_input) && !c->dynamic[i]) {
            OctetStatus status =
                oct_tensor_bytes(oct_value_storage(value), &value->shape, &bytes, c->diagnostic);
            if (status != OCTET_OK) {
                return oct_fail_in_node(c->diagnostic, status,
                                        value->producer ? value->producer->name : value->name);
            }
        }
    }
    return OCTET_OK;
}

static int32_t root_of(const OctCompile *c, const OctValue *value) {
    int32_t id = value->id;
    while (c->root[id] != id) {
        id = c->root[id];
    }
    return id;
}

static void share_views(OctCompile *c) {
    for (int32_t i = 0; i < c->order_count; i++) {
        const OctNode *node = c->order[i];
        if (oct_node_is_view(node)) {
            c->root[node->outputs[0]->id] = root_of(c, node->inputs[0]);
        } else if (oct_node_is_join(node)) {
            size_t channels = 0;
            for (int32_t k = 0; k < node->input_count; k++) {
                const OctValue *part = node->inputs[k];
                c->root[part->id] = node->outputs[0]->id;
                c->shift[part->id] = channels; /* of bytes */
                channels += (size_t)part->shape.dims[part->shape.rank - 1];
            }
        }
    }
}

static void extend(int32_t *last, int32_t step) {
    if (*last < step) {
        *last = step;
    }
}

static void measure_lifetimes(OctCompile *c, const OctUses *uses) {
    const OctGraph *graph = c->plan->graph;
    const int32_t end = c->order_count;
    for (int32_t i = 0; i < graph->value_count; i++) {
        c->first[i] = INT32_MAX;
        c->last[i] = -1;
    }
    for (int32_t i = 0; i < c->order_count; i++) {
        const OctNode *node = c->order[i];
        for (int32_t k = 0; k < node->output_count; k++) {
            const OctValue *output = node->outputs[k];
            if (output) {
                int32_t root = root_of(c, output);
                if (c->first[root] > i) {
                    c->first[root] = i;
                }
                extend(&c->last[root], i);
            }
        }
        for (int32_t k = 0; k < node->input_count; k++) {
            if (node->inputs[k] && !node->inputs[k]->constant) {
                extend(&c->last[root_of(c, node->inputs[k])], i);
            }
        }
    }
    for (int32_t i = 0; i < graph->value_count; i++) {
        const OctValue *value = graph->values[i];
        bool outlives = value->is_output;
        for (int32_t u = uses->first[i]; u < uses->first[i + 1] && !outlives; u++) {
            outlives = uses->nodes[u]->plan == NULL; /* used by the dynamic part */
        }
        if (outlives && !c->dynamic[i]) {
            extend(&c->last[root_of(c, value)], end);
        }
    }
}

/* The input whose memory output 0 may take, or -1. */
static int32_t replaceable_input(const OctNode *node) {
    if (node->op->flags & OCT_OP_INPLACE) {
        return 0;
    }
    return oct_node_is(node, "Conv") && oct_conv_adds_in_place(node) ? node->input_count - 1 : -1;
}

/* Output 0 takes an input's memory where that is the input's last use. */
static void share_in_place(OctCompile *c) {
    for (int32_t i = 0; i < c->order_count; i++) {
        const OctNode *node = c->order[i];
        int32_t replaced = replaceable_input(node);
        const OctValue *input = replaced < 0 ? NULL : oct_node_input(node, replaced);
        const OctValue *output = oct_node_output(node, 0);
        if (oct_node_is_view(node) || !input || !output || input->constant) {
            continue;
        }
        int32_t root = root_of(c, input);
        const OctValue *owner = c->plan->graph->values[root];
        bool fits = octet_dtype_size(oct_value_storage(input)) ==
                        octet_dtype_size(oct_value_storage(output)) &&
                    bytes_of(input) == bytes_of(output) && bytes_of(owner) == bytes_of(output);
        for (int32_t k = 0; k < node->input_count && fits; k++) {
            const OctValue *other = node->inputs[k];
            fits = k == replaced || !other || other->constant || root_of(c, other) != root;
        }
        if (fits && in_arena(c, owner) && c->last[root] == i) {
            c->root[output->id] = root;
            extend(&c->last[root], c->last[output->id]);
        }
    }
}

static OctetStatus place_roots(OctCompile *c, OctMemoryBlock *blocks, int32_t *numbers) {
    OctPlan *plan = c->plan;
    OctGraph *graph = plan->graph;
    int32_t count = 0;
    for (int32_t i = 0; i < graph->value_count; i++) {
        const OctValue *value = graph->values[i];
        if (in_arena(c, value) && c->root[i] == i && c->last[i] >= 0) {
            blocks[count] = (OctMemoryBlock){bytes_of(value), c->first[i], c->last[i], 0};
            numbers[i] = count++;
        }
    }
    /* outputs that lie in an input or a constant are copied there at the end */
    int32_t copies = count;
    for (int32_t i = 0; i < graph->output_count; i++) {
        const OctValue *value = graph->outputs[i];
        const OctValue *root = graph->values[root_of(c, value)];
        if (!c->dynamic[value->id] && !in_arena(c, root)) {
            blocks[count++] = (OctMemoryBlock){bytes_of(value), c->order_count, c->order_count, 0};
        }
    }
    OCT_TRY(oct_memory_plan(blocks, count, &plan->arena_bytes, &plan->lower_bound_bytes,
                            c->diagnostic));
    for (int32_t i = 0; i < graph->value_count; i++) {
        const OctValue *root = graph->values[root_of(c, graph->values[i])];
        OctPlace *place = &plan->places[i];
        if (c->dynamic[i]) {
            *place = (OctPlace){.kind = OCT_PLACE_HEAP, .index = i};
        } else if (root->constant) {
            *place =
                (OctPlace){.kind = OCT_PLACE_CONSTANT, .constant = oct_value_tensor(root)->data};
        } else if (!root->is_input && c->last[root->id] >= 0) {
            *place = (OctPlace){.kind = OCT_PLACE_ARENA,
                                .offset = blocks[numbers[root->id]].offset + c->shift[i]};
        }
    }
    for (int32_t i = 0; i < graph->input_count; i++) {
        numbers[graph->inputs[i]->id] = i; /* inputs are no blocks */
    }
    for (int32_t i = 0; i < graph->value_count; i++) {
        int32_t root = root_of(c, graph->values[i]);
        if (!c->dynamic[i] && graph->values[root]->is_input) {
            plan->places[i] = (OctPlace){.kind = OCT_PLACE_INPUT, .index = numbers[root]};
        }
    }
    for (int32_t i = 0; i < graph->output_count; i++) {
        const OctValue *value = graph->outputs[i];
        const OctPlace place = plan->places[value->id];
        plan->output_places[i] = place;
        if (place.kind == OCT_PLACE_CONSTANT || place.kind == OCT_PLACE_INPUT) {
            size_t offset = blocks[copies++].offset;
            plan->copies[plan->copy_count++] = (OctCopy){place, offset, bytes_of(value)};
            plan->output_places[i] = (OctPlace){.kind = OCT_PLACE_ARENA, .offset = offset};
        }
    }
    return OCTET_OK;
}

OctetStatus oct_compile_locate(OctCompile *c) {
    OctPlan *plan = c->plan;
    const OctGraph *graph = plan->graph;
    OctUses uses = {0};
    size_t values = (size_t)graph->value_count;
    size_t outputs = (size_t)graph->output_count;
    int32_t *numbers = oct_calloc(values + 1, sizeof *numbers);
    OctMemoryBlock *blocks = oct_calloc(values + outputs + 1, sizeof *blocks);
    plan->places = oct_calloc(values + 1, sizeof *plan->places);
    plan->copies = oct_calloc(outputs + 1, sizeof *plan->copies);
    plan->output_places = oct_calloc(outputs + 1, sizeof *plan->output_places);
    OctetStatus status = OCTET_OK;
    if (!numbers || !blocks || !plan->places || !plan->copies || !plan->output_places) {
        status = oct_fail_memory(c->diagnostic);
    }
    if (status == OCTET_OK) {
        status = check_sizes(c);
    }
    if (status == OCTET_OK) {
        status = oct_graph_uses(graph, &uses, c->diagnostic);
    }
    if (status == OCTET_OK) {
        share_views(c);
        measure_lifetimes(c, &uses);
        share_in_place(c);
        status = place_roots(c, blocks, numbers);
    }
    oct_uses_free(&uses);
    oct_free(numbers);
    oct_free(blocks);
    return status;
}
