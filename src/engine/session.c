#include "base/diag.h"
#include "base/tensor.h"
#include "base/threads.h"
#include "engine/engine.h"
#include "engine/rewrite.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

OctetStatus octet_session_create(const OctetGraph *graph, const OctetSessionOptions *options,
                                 OctetSession **session, OctetDiagnostic *diagnostic) {
    if (!graph || !session) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "a session needs a graph");
    }
    *session = NULL;
    OctetSession *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->graph = graph;
    if (options) {
        made->options = *options;
    }
    oct_limits_complete(&made->options.limits);
    oct_watch_start(&made->watch, &made->options.limits);
    OctetStatus status = oct_pack_store_acquire(graph, &made->packs, diagnostic);
    if (status == OCTET_OK) {
        status = oct_plan_base(made, diagnostic);
    }
    oct_patience_end(&made->watch.patience);
    if (status != OCTET_OK) {
        octet_session_free(made);
        return status;
    }
    *session = made;
    return OCTET_OK;
}

void octet_session_free(OctetSession *session) {
    if (!session) {
        return;
    }
    for (int32_t i = 0; i < session->plan_count; i++) {
        oct_plan_free(session->plans[i]);
    }
    for (int32_t i = 0; i < session->float_node_count; i++) {
        oct_free(session->float_nodes[i].name);
        oct_free(session->float_nodes[i].reason);
    }
    oct_free(session->float_nodes);
    oct_pages_free(session->arena, session->arena_bytes);
    oct_graph_free(session->own_base);
    oct_pack_store_release(session->packs);
    oct_free(session);
}

/* ---- plans ---- */

static bool plan_fits(const OctPlan *plan, const OctetShape *shapes, const bool *integers) {
    for (int32_t i = 0; i < plan->input_count; i++) {
        if (plan->input_integers[i] != integers[i] ||
            !octet_shape_equal(&plan->input_shapes[i], &shapes[i])) {
            return false;
        }
    }
    return true;
}

static void move_to_front(OctetSession *session, int32_t index) {
    OctPlan *plan = session->plans[index];
    memmove(session->plans + 1, session->plans, (size_t)index * sizeof(OctPlan *));
    session->plans[0] = plan;
}

typedef struct Making {
    OctetSession *session;
    const OctetShape *shapes;
    const bool *integers;
    pthread_t caller;
    bool done;
    atomic_bool mapped;
    OctPlan *plan;
    OctetStatus status;
    OctetDiagnostic *diagnostic;
} Making;

static void make_plan(Making *making) {
    if (!making->done) {
        making->done = true;
        making->status = oct_plan_create(making->session, making->shapes, making->integers,
                                         &making->plan, making->diagnostic);
    }
}

/* The caller's thread plans, whichever task it gets, and another one meanwhile. */
static void plan_or_map(void *user, size_t index) {
    Making *making = user;
    (void)index;
    if (pthread_equal(pthread_self(), making->caller)) {
        make_plan(making);
    } else if (!atomic_exchange(&making->mapped, true)) {
        oct_blocks_expect(oct_pack_blocks(making->session->packs));
    }
}

/* While the first plan is made of weights that come packed from the file, a thread that has nothing
 * to do yet maps them. */
static OctetStatus create_plan(OctetSession *session, const OctetShape *shapes,
                               const bool *integers, OctPlan **plan, OctetDiagnostic *diagnostic) {
    Making making = {.session = session,
                     .shapes = shapes,
                     .integers = integers,
                     .caller = pthread_self(),
                     .diagnostic = diagnostic};
    if (session->plan_count == 0 && oct_blocks_are_given(oct_pack_blocks(session->packs))) {
        oct_parallel_for(session->options.pool, plan_or_map, &making, 2);
    }
    make_plan(&making);
    *plan = making.plan;
    return making.status;
}

/* Finds or makes the plan for these inputs and puts it first. */
static OctetStatus choose_plan(OctetSession *session, const OctetShape *shapes,
                               const bool *integers, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < session->plan_count; i++) {
        if (plan_fits(session->plans[i], shapes, integers)) {
            move_to_front(session, i);
            return OCTET_OK;
        }
    }
    OctPlan *plan;
    OCT_TRY(create_plan(session, shapes, integers, &plan, diagnostic));
    if (session->plan_count == OCT_PLANS) {
        oct_plan_free(session->plans[--session->plan_count]);
    }
    session->plans[session->plan_count] = plan;
    move_to_front(session, session->plan_count++);
    return OCTET_OK;
}

static OctetStatus check_count(const OctetSession *session, size_t count,
                               OctetDiagnostic *diagnostic) {
    size_t needed = (size_t)session->graph->input_count;
    return count == needed ? OCTET_OK
                           : oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                                      "the network has %zu inputs, %zu were given", needed, count);
}

/* A tensor's type and size. */
static OctetStatus check_tensor(const OctValue *input, const OctetTensor *tensor, OctetDType wanted,
                                OctetDiagnostic *diagnostic) {
    size_t bytes;
    if (tensor->kind != OCTET_KIND_TENSOR) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "input %s is a tensor, but %s was given",
                        input->name,
                        tensor->kind == OCTET_KIND_SEQUENCE ? "a sequence" : "an absent value");
    }
    if (tensor->dtype != wanted) {
        return oct_fail(
            diagnostic, OCTET_ERROR_SHAPE, "input %s is of type %s, but %s was given%s",
            input->name, octet_dtype_name(input->dtype), octet_dtype_name(tensor->dtype),
            input->dtype == OCTET_F32 ? ": convert to f32 as the network's preprocessing says"
                                      : "");
    }
    OCT_TRY(oct_tensor_bytes(tensor->dtype, &tensor->shape, &bytes, diagnostic));
    return bytes == tensor->bytes
               ? OCTET_OK
               : oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                          "the tensor for input %s holds %zu bytes, but its shape needs %zu",
                          input->name, tensor->bytes, bytes);
}

static OctetStatus check_other_kind(const OctValue *input, const OctetTensor *given,
                                    OctetDiagnostic *diagnostic) {
    bool sequence = (input->kind & OCTET_KIND_SEQUENCE) != 0;
    if (given->kind == OCTET_KIND_OPTIONAL && (input->kind & OCTET_KIND_OPTIONAL)) {
        return OCTET_OK;
    }
    if (!sequence) {
        return check_tensor(input, given, input->dtype, diagnostic);
    }
    if (given->kind != OCTET_KIND_SEQUENCE || given->item_count > INT32_MAX / 2) {
        return oct_fail(diagnostic, OCTET_ERROR_SHAPE, "input %s is a sequence of tensors",
                        input->name);
    }
    for (size_t i = 0; i < given->item_count; i++) {
        if (!given->items[i]) {
            return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "input %s lacks item %zu",
                            input->name, i);
        }
        OCT_TRY(check_tensor(input, given->items[i], input->dtype, diagnostic));
    }
    return OCTET_OK;
}

static OctetStatus check_input(const OctValue *input, const OctetTensor *tensor, bool *integers,
                               OctetDiagnostic *diagnostic) {
    if (!tensor) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "input %s is missing",
                        input->name);
    }
    bool quantized = oct_value_quantized(input);
    *integers = quantized && tensor->dtype == input->qparams.dtype;
    if (input->kind != OCTET_KIND_TENSOR) {
        return check_other_kind(input, tensor, diagnostic);
    }
    OctetDType wanted = quantized ? OCTET_F32 : input->dtype;
    return check_tensor(input, tensor, *integers ? tensor->dtype : wanted, diagnostic);
}

/* Most networks have a few inputs; more take the heap. */
enum { FEW_INPUTS = 8 };

static OctetStatus check_inputs(OctetSession *session, const OctetTensor *const *inputs,
                                OctetShape *shapes, bool *integers, OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < session->graph->input_count; i++) {
        OCT_TRY(check_input(session->graph->inputs[i], inputs[i], &integers[i], diagnostic));
        shapes[i] = session->graph->inputs[i]->kind == OCTET_KIND_TENSOR ? inputs[i]->shape
                                                                         : (OctetShape){.rank = -1};
    }
    return OCTET_OK;
}

/* A node in the dynamic part may turn out while running to have no int8 kernel for its case. */
static OctetStatus plan_and_run(OctetSession *session, const OctetTensor *const *inputs,
                                OctetShape *shapes, bool *integers, OctetDiagnostic *diagnostic) {
    OctetStatus status;
    do {
        OCT_TRY(choose_plan(session, shapes, integers, diagnostic));
        session->replan = false;
        status = oct_plan_run(session, session->plans[0], inputs, diagnostic);
        while (session->replan && session->plan_count > 0) {
            oct_plan_free(session->plans[--session->plan_count]);
        }
    } while (status != OCTET_OK && session->replan);
    return status;
}

static OctetStatus run_watched(OctetSession *session, const OctetTensor *const *inputs,
                               OctetShape *shapes, bool *integers, OctetDiagnostic *diagnostic) {
    OCT_TRY(check_inputs(session, inputs, shapes, integers, diagnostic));
    oct_watch_start(&session->watch, &session->options.limits);
    OctetStatus status = plan_and_run(session, inputs, shapes, integers, diagnostic);
    oct_patience_end(&session->watch.patience);
    return status;
}

OctetStatus octet_session_run(OctetSession *session, const OctetTensor *const *inputs,
                              size_t input_count, const OctetTensor **outputs, size_t output_count,
                              OctetDiagnostic *diagnostic) {
    OctetShape few_shapes[FEW_INPUTS];
    bool few_integers[FEW_INPUTS];
    if (!session || (input_count && !inputs) || (output_count && !outputs)) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "a run needs a session, inputs and room for outputs");
    }
    OCT_TRY(check_count(session, input_count, diagnostic));
    if (output_count != (size_t)session->graph->output_count) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "the network has %d outputs, %zu were asked for",
                        (int)session->graph->output_count, output_count);
    }
    bool few = input_count <= FEW_INPUTS;
    OctetShape *shapes = few ? few_shapes : oct_calloc(input_count, sizeof *shapes);
    bool *integers = few ? few_integers : oct_calloc(input_count, sizeof *integers);
    OctetStatus status = shapes && integers
                             ? run_watched(session, inputs, shapes, integers, diagnostic)
                             : oct_fail_memory(diagnostic);
    if (!few) {
        oct_free(shapes);
        oct_free(integers);
    }
    OCT_TRY(status);
    for (size_t i = 0; i < output_count; i++) {
        outputs[i] = &session->plans[0]->outputs[i];
    }
    return OCTET_OK;
}

OctetStatus octet_session_plan(OctetSession *session, const OctetShape *input_shapes,
                               size_t input_count, OctetDiagnostic *diagnostic) {
    if (!session || (input_count && !input_shapes)) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "planning needs a session and a shape for each input");
    }
    OCT_TRY(check_count(session, input_count, diagnostic));
    bool *integers = oct_calloc(input_count + 1, sizeof *integers);
    if (!integers) {
        return oct_fail_memory(diagnostic);
    }
    oct_watch_start(&session->watch, &session->options.limits);
    OctetStatus status = choose_plan(session, input_shapes, integers, diagnostic);
    oct_patience_end(&session->watch.patience);
    oct_free(integers);
    return status;
}
