/* What runs after the planned steps: nodes whose shapes the data decide, and control flow. Nodes
 * are inferred and prepared when their inputs are there, and stay prepared while these keep their
 * shapes. Values live on the heap from their node to their last use. */
#ifndef OCT_ENGINE_DYNAMIC_H
#define OCT_ENGINE_DYNAMIC_H

#include "engine/engine.h"

/* Memory of a value, shared by all that hold it. */
typedef struct OctBuffer OctBuffer;

typedef struct OctList OctList;

typedef struct OctDynamicValue {
    OctView view;      /* data NULL: not there (yet), or no tensor */
    OctBuffer *buffer; /* NULL: the bytes belong to someone who outlives the run */
    OctList *list;     /* of a sequence */
    bool absent;       /* an optional value that is not there, and is known not to be */
    int64_t *known;    /* the integers that shape inference may look at; own memory */
    int32_t uses;      /* nodes of the scope that use it, in all */
    int32_t uses_left; /* in this run */
} OctDynamicValue;

/* A sequence: never changed once it is filled, shared by all that hold it. */
struct OctList {
    int32_t holders;
    OctDynamic *dynamic;
    size_t bytes; /* of the list itself */
    int32_t count;
    OctDynamicValue items[]; /* tensors */
};

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
    /* Of all runs, where the session measures: what it took, child graphs included; bytes read and
     * written. */
    double seconds, bytes;
    uint64_t executions;
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
    /* All cells, those of a node's child graphs after the node's own. */
    const OctCell **cells;
    int32_t cell_count, cell_capacity;
    uint64_t arena_bytes; /* of the planned part, which count against the same limit */
    uint64_t live_bytes;  /* of all buffers and lists */
    uint64_t table_bytes; /* that the cells hold */
    void *workspace;
    size_t workspace_bytes;
    uint64_t runs; /* that were measured */
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
/* Counts bytes against the session's limit on memory; `what` wants them. Give them back with
 * oct_dynamic_release. */
OctetStatus oct_dynamic_spend(OctScope *scope, size_t bytes, const char *what,
                              OctetDiagnostic *diagnostic);
void oct_dynamic_release(OctDynamic *dynamic, size_t bytes);
/* Checks them without counting them. */
OctetStatus oct_dynamic_check(const OctScope *scope, size_t bytes, const char *what,
                              OctetDiagnostic *diagnostic);
/* What the limit leaves. */
uint64_t oct_dynamic_left(const OctScope *scope);
/* Gives a value new memory of this shape. */
OctetStatus oct_dynamic_allocate(OctScope *scope, OctDynamicValue *value, OctetDType dtype,
                                 const OctetShape *shape, OctetDiagnostic *diagnostic);
/* Gives a value a new list of `count` items that are not there yet. */
OctetStatus oct_dynamic_new_list(OctScope *scope, OctDynamicValue *value, int32_t count,
                                 OctetDiagnostic *diagnostic);
/* A tensor, a sequence, or known to be absent. */
bool oct_dynamic_is_there(const OctDynamicValue *value);
/* Runs all of a child graph, whose inputs were given before. Its outputs are then there. */
OctetStatus oct_scope_run(OctScope *scope, OctetDiagnostic *diagnostic);

/* ---- border.c: between the caller's tensors and the dynamic part's values ---- */
/* Makes a value of the caller's sequence or absent optional value; tensors stay where they lie. */
OctetStatus oct_dynamic_take(OctScope *scope, OctDynamicValue *value, const OctetTensor *given,
                             OctetDiagnostic *diagnostic);
/* Shows a value as an output of the session. What `tensor` showed before is forgotten. */
OctetStatus oct_dynamic_show(const OctDynamicValue *value, OctetTensor *tensor,
                             OctetDiagnostic *diagnostic);

/* ---- control.c, sequence.c: the operators that are OCT_OP_ENGINE ---- */
bool oct_is_control(const OctNode *node); /* one of control.c's */
OctetStatus oct_control_run(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic);
OctetStatus oct_sequence_run(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic);

#endif
