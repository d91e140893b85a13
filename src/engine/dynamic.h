/* What runs after the planned steps: nodes whose shapes the data decide, and control flow. Nodes
 * are inferred and prepared when their inputs are there, and stay prepared while these keep their
 * shapes. Values live on the heap from their node to their last use. */
#ifndef OCT_ENGINE_DYNAMIC_H
#define OCT_ENGINE_DYNAMIC_H

#include "engine/engine.h"

/* Memory of a value, shared by all that hold it. */
typedef struct OctBuffer OctBuffer;

typedef struct OctDynamicValue {
    OctView view;      /* data NULL: not there (yet) */
    OctBuffer *buffer; /* NULL: the bytes belong to someone who outlives the run */
    int64_t *known;    /* the integers that shape inference may look at; own memory */
    int32_t uses;      /* nodes of the scope that use it, in all */
    int32_t uses_left; /* in this run */
} OctDynamicValue;

/* A node with what it was last prepared for. */
typedef struct OctCell {
    OctNode *node;
    OctPreparedOp op;
    bool prepared;
    OctArena *arena; /* of what inference allocates; renewed each time */
    uint64_t key;    /* of the inputs' shapes and known integers */
    OctView *inputs;
    OctView *outputs;
    struct OctScope **children; /* of its child graphs, in order of attributes; may be NULL */
    int32_t child_count;
} OctCell;

/* A graph, or the dynamic part of a plan's graph, while it runs. */
typedef struct OctScope {
    OctetSession *session;
    struct OctDynamic *dynamic;
    OctGraph *graph;
    struct OctScope *parent;
    OctCell *cells;
    int32_t cell_count;
    OctDynamicValue *values; /* by id */
    int32_t value_count;
} OctScope;

struct OctDynamic {
    OctetSession *session;
    OctScope *root;
    uint64_t live_bytes; /* of all buffers */
    void *workspace;
    size_t workspace_bytes;
};

/* Prepares for running the nodes of the plan's graph that have node->plan NULL. */
OctetStatus oct_dynamic_create(OctetSession *session, OctPlan *plan, OctetDiagnostic *diagnostic);
void oct_dynamic_free(OctDynamic *dynamic); /* NULL is fine */
/* Runs them; the static steps have run. Fills plan->outputs of dynamic outputs. */
OctetStatus oct_dynamic_run(OctPlan *plan, const OctetTensor *const *inputs,
                            OctetDiagnostic *diagnostic);

/* ---- for control flow ---- */
OctDynamicValue *oct_scope_value(OctScope *scope, const OctValue *value);
/* Hands a value on without copying; `to` lets go of what it had. */
void oct_dynamic_share(OctDynamicValue *to, const OctDynamicValue *from);
void oct_dynamic_drop(OctDynamicValue *value);
/* Gives a value new memory of this shape. */
OctetStatus oct_dynamic_allocate(OctScope *scope, OctDynamicValue *value, OctetDType dtype,
                                 const OctetShape *shape, OctetDiagnostic *diagnostic);
/* Runs all of a child graph, whose inputs were given before. Its outputs are then there. */
OctetStatus oct_scope_run(OctScope *scope, OctetDiagnostic *diagnostic);

/* ---- control.c ---- */
bool oct_is_control(const OctNode *node);
OctetStatus oct_control_run(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic);

#endif
