#include "engine/compile.h"
#include "base/diag.h"
#include "base/tensor.h"
#include "engine/dynamic.h"
#include "engine/rewrite.h"

#include <inttypes.h>

/* A node with this many multiply-accumulates or bytes takes a thousand times what a look at the
 * clock takes. */
enum { LONG_WORK = 1 << 18 };

/* One with fewer takes some 50 milliseconds in the slowest loops, and less than one in most. */
enum { SHORT_WORK = 1 << 22 };

/* Splits the nodes into those that are planned and those whose shapes the data decide. node->plan
 * is non-NULL for the planned ones. */
static void split(OctCompile *c) {
    const OctGraph *graph = c->plan->graph;
    for (int32_t i = 0; i < graph->input_count; i++) {
        c->dynamic[graph->inputs[i]->id] = graph->inputs[i]->kind != OCTET_KIND_TENSOR;
    }
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        bool dynamic = (node->op->flags & OCT_OP_ENGINE) != 0;
        for (int32_t k = 0; k < node->input_count && !dynamic; k++) {
            dynamic = node->inputs[k] && c->dynamic[node->inputs[k]->id];
        }
        for (int32_t k = 0; k < node->output_count && !dynamic; k++) {
            dynamic = node->outputs[k] && !oct_value_has_static_shape(node->outputs[k]);
        }
        node->plan = dynamic ? NULL : node;
        if (!dynamic) {
            c->order[c->order_count++] = node;
        }
        for (int32_t k = 0; k < node->output_count && dynamic; k++) {
            if (node->outputs[k]) {
                c->dynamic[node->outputs[k]->id] = true;
            }
        }
    }
}

static bool observed(const OctCompile *c, const OctNode *node) {
    for (int32_t k = 0; k < node->output_count; k++) {
        if (node->outputs[k] && oct_session_observes(c->session, node->outputs[k])) {
            return true;
        }
    }
    return false;
}

/* ---- steps ---- */

static OctetStatus count_steps(OctCompile *c) {
    OctPlan *plan = c->plan;
    size_t views = 0;
    for (int32_t i = 0; i < c->order_count; i++) {
        const OctNode *node = c->order[i];
        views += (size_t)node->input_count + (size_t)node->output_count;
    }
    plan->steps = oct_calloc((size_t)c->order_count + 1, sizeof *plan->steps);
    plan->views = oct_calloc(views + 1, sizeof *plan->views);
    plan->view_places = oct_calloc(views + 1, sizeof *plan->view_places);
    plan->input_views = oct_calloc(views + 1, sizeof *plan->input_views);
    return plan->steps && plan->views && plan->view_places && plan->input_views
               ? OCTET_OK
               : oct_fail_memory(c->diagnostic);
}

static void add_view(OctPlan *plan, const OctValue *value, double *bytes) {
    int32_t index = plan->view_count++;
    OctView *view = &plan->views[index];
    *view = (OctView){.shape = {.rank = -1}};
    if (!value) {
        return;
    }
    OctPlace place = plan->places[value->id];
    view->dtype = oct_value_storage(value);
    view->shape = value->shape;
    view->data = (void *)(uintptr_t)place.constant;
    plan->view_places[index] = place;
    if (place.kind == OCT_PLACE_INPUT) {
        plan->input_views[plan->input_view_count++] = index;
    }
    int64_t count = 0;
    (void)octet_shape_count(&view->shape, &count);
    *bytes += (double)count * (double)octet_dtype_size(view->dtype);
}

/* Weights that were packed are not needed in memory where they can be had from the file again. */
static void forget_weights(const OctNode *node) {
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctetTensor *tensor = node->inputs[k] ? oct_value_tensor(node->inputs[k]) : NULL;
        if (tensor) {
            oct_mapping_forget(tensor->mapping, tensor->data, tensor->bytes);
        }
    }
}

static OctetStatus add_step(OctCompile *c, const OctNode *node) {
    OctPlan *plan = c->plan;
    bool view = oct_node_is_view(node) || oct_node_is_join(node);
    bool seen = observed(c, node);
    if (view && !seen) {
        return OCTET_OK;
    }
    OctStep *step = &plan->steps[plan->step_count++];
    step->node = node;
    step->observed = seen;
    step->run.inputs = plan->views + plan->view_count;
    step->run.input_count = node->input_count;
    for (int32_t k = 0; k < node->input_count; k++) {
        add_view(plan, node->inputs[k], &step->bytes);
    }
    step->run.outputs = plan->views + plan->view_count;
    step->run.output_count = node->output_count;
    for (int32_t k = 0; k < node->output_count; k++) {
        add_view(plan, node->outputs[k], &step->bytes);
    }
    step->run.pool = c->session->options.pool;
    if (view) {
        return OCTET_OK;
    }
    const OctBlocks *blocks = oct_pack_blocks(c->session->packs);
    uint64_t mapped = oct_blocks_filled_bytes(blocks);
    uint64_t table_limit = c->session->options.limits.max_memory_bytes - plan->table_bytes;
    OctetStatus status =
        oct_prepare_node(c->session, plan->graph, node, table_limit, &step->op, c->diagnostic);
    plan->table_bytes += step->op.table_bytes;
    if (oct_blocks_filled_bytes(blocks) == mapped) { /* else nothing has read the weights */
        forget_weights(node);
    }
    step->is_long = step->op.macs > LONG_WORK || step->bytes > LONG_WORK;
    step->is_over_soon =
        step->op.macs > 0 && step->op.macs < SHORT_WORK && step->bytes < SHORT_WORK;
    if (status == OCTET_OK && step->op.workspace_bytes > plan->workspace_bytes) {
        plan->workspace_bytes = step->op.workspace_bytes;
    }
    return status;
}

/* The node whose output is the largest: the one that a message about memory is to name. */
static const OctNode *largest_node(const OctCompile *c, size_t *bytes) {
    const OctNode *largest = NULL;
    *bytes = 0;
    for (int32_t i = 0; i < c->order_count; i++) {
        for (int32_t k = 0; k < c->order[i]->output_count; k++) {
            const OctValue *output = c->order[i]->outputs[k];
            size_t own = 0;
            if (output && !output->constant &&
                oct_tensor_bytes(oct_value_storage(output), &output->shape, &own, NULL) ==
                    OCTET_OK &&
                own > *bytes) {
                *bytes = own;
                largest = c->order[i];
            }
        }
    }
    return largest;
}

static OctetStatus check_limit(const OctCompile *c) {
    const OctetLimits *limits = &c->session->options.limits;
    const OctPlan *plan = c->plan;
    size_t needed, largest;
    if (oct_add_size(plan->arena_bytes, plan->workspace_bytes, &needed) &&
        needed <= limits->max_memory_bytes - plan->table_bytes) {
        return OCTET_OK;
    }
    const OctNode *node = largest_node(c, &largest);
    return oct_fail_node(c->diagnostic, OCTET_ERROR_LIMIT, node ? node->name : NULL,
                         "at these shapes the network needs %zu bytes for activations, %zu of them "
                         "for what this node makes, %zu for work space and %" PRIu64
                         " for tables, more than the limit of %" PRIu64
                         "; raise max_memory_bytes (--max-memory) if that is meant",
                         plan->arena_bytes, largest, plan->workspace_bytes, plan->table_bytes,
                         limits->max_memory_bytes);
}

static OctetStatus make_outputs(OctCompile *c) {
    OctPlan *plan = c->plan;
    const OctGraph *graph = plan->graph;
    plan->output_count = graph->output_count;
    plan->outputs = oct_calloc((size_t)graph->output_count + 1, sizeof *plan->outputs);
    if (!plan->outputs) {
        return oct_fail_memory(c->diagnostic);
    }
    for (int32_t i = 0; i < graph->output_count; i++) {
        const OctValue *value = graph->outputs[i];
        OctetTensor *tensor = &plan->outputs[i];
        tensor->dtype = oct_value_storage(value);
        tensor->shape = value->shape;
        tensor->qparams = value->qparams;
        if (!c->dynamic[value->id]) {
            OCT_TRY(oct_tensor_bytes(tensor->dtype, &tensor->shape, &tensor->bytes, c->diagnostic));
        }
    }
    return OCTET_OK;
}

OctetStatus oct_plan_compile(OctetSession *session, OctPlan *plan, OctetDiagnostic *diagnostic) {
    const OctGraph *graph = plan->graph;
    size_t values = (size_t)graph->value_count + 1;
    OctCompile c = {.session = session, .plan = plan, .diagnostic = diagnostic};
    OctetStatus status = OCTET_OK;
    c.order = oct_calloc((size_t)graph->node_count + 1, sizeof(OctNode *));
    c.dynamic = oct_calloc(values, sizeof *c.dynamic);
    c.root = oct_calloc(values, sizeof *c.root);
    c.shift = oct_calloc(values, sizeof *c.shift);
    c.first = oct_calloc(values, sizeof *c.first);
    c.last = oct_calloc(values, sizeof *c.last);
    if (!c.order || !c.dynamic || !c.root || !c.shift || !c.first || !c.last) {
        status = oct_fail_memory(diagnostic);
        goto cleanup;
    }
    for (int32_t i = 0; i < graph->value_count; i++) {
        c.root[i] = i;
    }
    split(&c);
    status = oct_compile_locate(&c);
    if (status == OCTET_OK) {
        status = check_limit(&c);
    }
    if (status == OCTET_OK) {
        status = count_steps(&c);
    }
    for (int32_t i = 0; i < c.order_count && status == OCTET_OK; i++) {
        status = add_step(&c, c.order[i]);
    }
    if (status == OCTET_OK) {
        status = make_outputs(&c);
    }
    if (status == OCTET_OK) {
        status = check_limit(&c);
    }
    bool other_kinds = false;
    for (int32_t i = 0; i < graph->input_count; i++) {
        other_kinds = other_kinds || graph->inputs[i]->kind != OCTET_KIND_TENSOR;
    }
    if (status == OCTET_OK && (other_kinds || c.order_count < graph->node_count)) {
        status = oct_dynamic_create(session, plan, diagnostic);
    }
cleanup:
    oct_free(c.order);
    oct_free(c.dynamic);
    oct_free(c.root);
    oct_free(c.shift);
    oct_free(c.first);
    oct_free(c.last);
    return status;
}
