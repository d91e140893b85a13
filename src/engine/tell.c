/* What a session tells of its current plan: memory, and each node's kernel and time. The nodes of
 * the dynamic part come after the planned steps, those of child graphs after the node that runs
 * them. */
#include "engine/dynamic.h"
#include "engine/rewrite.h"

#include <string.h>

OctetStatus octet_session_memory(const OctetSession *session, OctetMemoryInfo *info) {
    *info = (OctetMemoryInfo){0};
    if (!session || session->plan_count == 0) {
        return OCTET_ERROR_STATE;
    }
    const OctPlan *plan = session->plans[0];
    info->arena_bytes = plan->arena_bytes;
    info->lower_bound_bytes = plan->lower_bound_bytes;
    info->workspace_bytes = plan->workspace_bytes;
    info->packed_weight_bytes = oct_pack_store_bytes(session->packs);
    info->mapped_weight_bytes = oct_blocks_filled_bytes(oct_pack_blocks(session->packs));
    return OCTET_OK;
}

size_t octet_session_node_count(const OctetSession *session) {
    if (!session || session->plan_count == 0) {
        return 0;
    }
    const OctPlan *plan = session->plans[0];
    return (size_t)plan->step_count + (size_t)(plan->dynamic ? plan->dynamic->cell_count : 0);
}

static void tell_node(const OctNode *node, const OctPreparedOp *op, OctetNodeInfo *info) {
    const OctValue *input = oct_node_input(node, 0);
    const OctValue *output = oct_node_output(node, 0);
    bool conversion = strcmp(node->domain, "octet") == 0;
    info->name = node->name;
    info->op_type = node->op_type;
    info->kernel = op->kernel ? op->kernel : "";
    info->cpu = octet_cpu_name(op->cpu);
    info->int8 =
        (output && oct_value_is_8bit(output)) || (input && oct_value_is_8bit(input) && !conversion);
    info->float_reason = node->float_reason;
    info->macs = op->macs;
}

/* A node of the dynamic part runs as often as its graph is run: never, or many times a run. */
static void tell_cell(const OctDynamic *dynamic, const OctCell *cell, OctetNodeInfo *info) {
    double runs = dynamic->runs > 0 ? (double)dynamic->runs : 1;
    tell_node(cell->node, &cell->op, info);
    info->macs *= (double)cell->executions / runs;
    info->bytes = cell->bytes / runs;
    info->seconds = cell->seconds;
    info->runs = dynamic->runs;
    for (int32_t k = 0; k < cell->child_count; k++) {
        const OctScope *child = cell->children[k];
        for (int32_t i = 0; i < child->cell_count; i++) {
            info->seconds -= child->cells[i].seconds;
        }
    }
    info->seconds = info->seconds > 0 ? info->seconds : 0;
}

OctetStatus octet_session_node_info(const OctetSession *session, size_t index,
                                    OctetNodeInfo *info) {
    *info = (OctetNodeInfo){0};
    if (index >= octet_session_node_count(session)) {
        return session && session->plan_count ? OCTET_ERROR_INVALID_ARGUMENT : OCTET_ERROR_STATE;
    }
    const OctPlan *plan = session->plans[0];
    if (index >= (size_t)plan->step_count) {
        index -= (size_t)plan->step_count;
        tell_cell(plan->dynamic, plan->dynamic->cells[index], info);
        return OCTET_OK;
    }
    const OctStep *step = &plan->steps[index];
    tell_node(step->node, &step->op, info);
    info->bytes = step->bytes;
    info->seconds = step->seconds;
    info->runs = step->runs;
    return OCTET_OK;
}
