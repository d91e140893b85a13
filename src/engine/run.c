#include "base/diag.h"
#include "engine/dynamic.h"
#include "engine/observe.h"

#include <string.h>
#include <time.h>

double oct_clock(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

enum { READ_BEYOND = 64 }; /* what kernels may read behind a tensor's end */

static OctetStatus provide_arena(OctetSession *session, const OctPlan *plan,
                                 OctetDiagnostic *diagnostic) {
    size_t needed = plan->arena_bytes + plan->workspace_bytes; /* checked against the limit */
    size_t bytes = 0;
    bool fits = oct_add_size(needed, READ_BEYOND, &bytes);
    if (session->arena && fits && session->arena_bytes >= bytes) {
        return OCTET_OK;
    }
    oct_pages_free(session->arena, session->arena_bytes);
    session->arena_bytes = 0;
    bytes = oct_pages_round(bytes);
    session->arena = fits ? oct_pages_alloc(bytes) : NULL;
    if (!session->arena) {
        return oct_fail(diagnostic, OCTET_ERROR_OUT_OF_MEMORY,
                        "out of memory for %zu bytes of activations", needed);
    }
    session->arena_bytes = bytes;
    return OCTET_OK;
}

/* Points everything into the arena; done once, and again when the arena moved. */
static void bind_arena(const OctetSession *session, OctPlan *plan) {
    uint8_t *arena = session->arena;
    for (int32_t i = 0; i < plan->view_count; i++) {
        if (plan->view_places[i].kind == OCT_PLACE_ARENA) {
            plan->views[i].data = arena + plan->view_places[i].offset;
        }
    }
    for (int32_t i = 0; i < plan->output_count; i++) {
        if (plan->output_places[i].kind == OCT_PLACE_ARENA) {
            plan->outputs[i].data = arena + plan->output_places[i].offset;
        }
    }
    for (int32_t i = 0; i < plan->step_count; i++) {
        plan->steps[i].run.workspace = arena + plan->arena_bytes;
    }
    plan->bound_arena = arena;
}

static OctetStatus run_node(OctStep *step, OctetDiagnostic *diagnostic) {
    if (step->is_over_soon) {
        OctPatience *own = oct_patience_lend(NULL);
        OctetStatus status = step->op.run(step->op.state, &step->run);
        (void)oct_patience_lend(own);
        return status;
    }
    OCT_TRY(step->op.run(step->op.state, &step->run));
    return oct_noted_go_on(diagnostic);
}

static OctetStatus run_step(const OctetSession *session, OctStep *step,
                            OctetDiagnostic *diagnostic) {
    step->run.diagnostic = diagnostic;
    if (step->is_long) {
        OctetStatus status = oct_go_on(diagnostic);
        if (status != OCTET_OK) {
            return oct_fail_in_node(diagnostic, status, step->node->name);
        }
    }
    if (step->op.run) {
        OctetStatus status = run_node(step, diagnostic);
        if (status != OCTET_OK) {
            return oct_fail_in_node(diagnostic, status, step->node->name);
        }
    }
    return step->observed ? oct_observe(session, step->node, step->run.outputs, diagnostic)
                          : OCTET_OK;
}

static OctetStatus run_timed(const OctetSession *session, OctPlan *plan,
                             OctetDiagnostic *diagnostic) {
    double before = oct_clock();
    for (int32_t i = 0; i < plan->step_count; i++) {
        OctStep *step = &plan->steps[i];
        OCT_TRY(run_step(session, step, diagnostic));
        double after = oct_clock();
        step->seconds += after - before;
        step->runs++;
        before = after;
    }
    return OCTET_OK;
}

static OctetStatus run_untimed(const OctetSession *session, OctPlan *plan,
                               OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < plan->step_count; i++) {
        OCT_TRY(run_step(session, &plan->steps[i], diagnostic));
    }
    return OCTET_OK;
}

static void run_copies(const OctetSession *session, const OctPlan *plan,
                       const OctetTensor *const *inputs) {
    for (int32_t i = 0; i < plan->copy_count; i++) {
        const OctCopy *copy = &plan->copies[i];
        const void *from = copy->from.kind == OCT_PLACE_INPUT ? inputs[copy->from.index]->data
                                                              : copy->from.constant;
        if (copy->bytes) {
            memcpy(session->arena + copy->to, from, copy->bytes);
        }
    }
}

OctetStatus oct_plan_run(OctetSession *session, OctPlan *plan, const OctetTensor *const *inputs,
                         OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_go_on(diagnostic));
    OCT_TRY(provide_arena(session, plan, diagnostic));
    if (plan->bound_arena != session->arena) {
        bind_arena(session, plan);
    }
    for (int32_t i = 0; i < plan->input_view_count; i++) {
        int32_t index = plan->input_views[i];
        plan->views[index].data = inputs[plan->view_places[index].index]->data;
    }
    OCT_TRY(session->options.per_node_times ? run_timed(session, plan, diagnostic)
                                            : run_untimed(session, plan, diagnostic));
    run_copies(session, plan, inputs);
    return plan->dynamic ? oct_dynamic_run(plan, inputs, diagnostic) : oct_noted_go_on(diagnostic);
}
