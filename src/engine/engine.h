/* How a session works inside: a plan is the graph rewritten for concrete input shapes and compiled
 * to steps over one arena. */
#ifndef OCT_ENGINE_ENGINE_H
#define OCT_ENGINE_ENGINE_H

#include "engine/limits.h"
#include "engine/pack.h"
#include "octet/session.h"

enum { OCT_PLANS = 4 }; /* kept by a session, the most recently used first */

/* Where the bytes of a value are. */
typedef enum OctPlaceKind {
    OCT_PLACE_NONE = 0,
    OCT_PLACE_CONSTANT,
    OCT_PLACE_INPUT, /* in the caller's tensor number `index` */
    OCT_PLACE_ARENA, /* at `offset` */
    OCT_PLACE_HEAP   /* made while running, by the dynamic part */
} OctPlaceKind;

typedef struct OctPlace {
    OctPlaceKind kind;
    int32_t index;
    size_t offset;
    const void *constant;
} OctPlace;

/* One prepared node. op.run is NULL for views, which are steps only where they are observed. */
typedef struct OctStep {
    OctPreparedOp op;
    OctRun run;
    const OctNode *node;
    bool observed;
    bool is_long;      /* long enough for looking at the clock before it */
    bool is_over_soon; /* too short for looking at it within */
    double bytes;
    double seconds;
    uint64_t runs;
} OctStep;

typedef struct OctDynamic OctDynamic;

/* A copy at the end of the run: an output that is an input or a constant. */
typedef struct OctCopy {
    OctPlace from;
    size_t to; /* offset in the arena */
    size_t bytes;
} OctCopy;

typedef struct OctPlan {
    OctGraph *graph; /* rewritten; shapes are concrete as far as they don't depend on data */
    OctetShape *input_shapes;
    bool *input_integers; /* the input comes as the integers of its grid */
    int32_t input_count;
    OctPlace *places; /* by value id */
    OctView *views;   /* of all steps, one after the other */
    OctPlace *view_places;
    int32_t view_count;
    int32_t *input_views; /* the views of the caller's tensors, to be set for every run */
    int32_t input_view_count;
    OctStep *steps;
    int32_t step_count;
    OctCopy *copies;
    int32_t copy_count;
    OctDynamic *dynamic;  /* what runs after the steps; NULL when all shapes are known */
    OctetTensor *outputs; /* as handed out; their places: */
    OctPlace *output_places;
    int32_t output_count;
    size_t arena_bytes, lower_bound_bytes, workspace_bytes;
    uint64_t table_bytes; /* that the steps hold */
    uint8_t *bound_arena; /* that views point into */
} OctPlan;

struct OctetSession {
    const OctGraph *graph;
    OctetSessionOptions options; /* its limits with the defaults put in */
    OctWatch watch;              /* of the run that is under way */
    OctPackStore *packs;
    bool observe_any_layout; /* see observe.h */
    const OctGraph *base;    /* what plans are made from: simplified, shared or own_base */
    OctGraph *own_base;
    /* Nodes for whose grids Octet has no int8 kernel, found when they were prepared; they compute
     * in float from then on. */
    struct OctFloatNode {
        char *name;
        char *reason;
    } * float_nodes;
    int32_t float_node_count, float_node_capacity;
    bool replan; /* one was just found: what failed is to be planned again */
    OctPlan *plans[OCT_PLANS];
    int32_t plan_count;
    uint8_t *arena; /* activations, then workspace; the largest that a plan has needed so far */
    size_t arena_bytes;
};

/* Whether the session's user observes the value that `value` (of a plan) stands for. */
bool oct_session_observes(const OctetSession *session, const OctValue *value);

/* ---- plan.c: base and plans ---- */
/* Clones the source with origins and does what does not depend on shapes. Sets session->base. */
OctetStatus oct_plan_base(OctetSession *session, OctetDiagnostic *diagnostic);
/* input_integers[i]: input i comes as integers. */
OctetStatus oct_plan_create(OctetSession *session, const OctetShape *input_shapes,
                            const bool *input_integers, OctPlan **plan,
                            OctetDiagnostic *diagnostic);
void oct_plan_free(OctPlan *plan);

/* ---- prepare.c ---- */
/* Prepares a node of a plan, with at most `table_limit` bytes of tables. An int8 node for whose
 * case there is no kernel is noted in session->float_nodes, session->replan set, and the status is
 * OCTET_ERROR_UNSUPPORTED without a diagnostic. */
OctetStatus oct_prepare_node(OctetSession *session, const OctGraph *graph, const OctNode *node,
                             uint64_t table_limit, OctPreparedOp *op, OctetDiagnostic *diagnostic);

/* ---- run.c ---- */
OctetStatus oct_plan_run(OctetSession *session, OctPlan *plan, const OctetTensor *const *inputs,
                         OctetDiagnostic *diagnostic);
/* Seconds of a clock that only goes forward. */
double oct_clock(void);

#endif
