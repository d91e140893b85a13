/* From a rewritten graph to prepared steps over one arena. */
#ifndef OCT_ENGINE_COMPILE_H
#define OCT_ENGINE_COMPILE_H

#include "engine/engine.h"

/* What compile.c and locate.c share while they work. */
typedef struct OctCompile {
    OctetSession *session;
    OctPlan *plan;
    OctetDiagnostic *diagnostic;
    OctNode **order; /* the nodes whose shapes are known, in order of execution */
    int32_t order_count;
    bool *dynamic;  /* by value id: made by the dynamic part */
    int32_t *root;  /* by value id: the value whose memory this one lies in */
    size_t *shift;  /* by value id: where in the root's memory */
    int32_t *first; /* by value id, of roots: the steps between which the memory is in use */
    int32_t *last;
} OctCompile;

OctetStatus oct_plan_compile(OctetSession *session, OctPlan *plan, OctetDiagnostic *diagnostic);

/* ---- locate.c ---- */
/* The node does nothing but give its input another shape: its output shares the input's memory. */
bool oct_node_is_view(const OctNode *node);
/* The node's inputs are slices of its output's channels (join.c). */
bool oct_node_is_join(const OctNode *node);
/* Fills plan->places, copies, arena_bytes and lower_bound_bytes. */
OctetStatus oct_compile_locate(OctCompile *compile);

#endif
