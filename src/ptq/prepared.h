/* What prepare decides and calibrate fills: shared by the files of this room. Everything is indexed
 * by the numbers of the borrowed graph's nodes and values. */
#ifndef OCT_PTQ_PREPARED_H
#define OCT_PTQ_PREPARED_H

#include "ir/graph.h"
#include "octet/ptq.h"
#include "octet/session.h"

/* What an operator means to quantization. */
typedef enum OctRole {
    OCT_ROLE_NONE,   /* stays in float */
    OCT_ROLE_LAYER,  /* gains from int8 by itself: Conv, ConvTranspose, Gemm, MatMul */
    OCT_ROLE_FOLLOW, /* has an int8 kernel, worth it between int8 neighbors: Add, Sigmoid, ... */
    OCT_ROLE_MOVE    /* moves elements: same grid before and after */
} OctRole;

OctRole oct_role_of(const OctNode *node);
/* Which inputs of the node are data that its kernel takes as integers: weights, biases, shapes and
 * axes are not among them. */
bool oct_role_is_data_input(const OctNode *node, int32_t k);
/* Where the output channels lie in a layer's constant weight (input 1), -1 without one. */
int32_t oct_weight_axis(const OctNode *node);

typedef struct OctNodePlan {
    bool computes; /* its result is float data, not shapes or indices */
    bool int8;
    const char *reason; /* why not, if it computes and is not int8; static or in the arena */
    OctetQConfig qconfig;
} OctNodePlan;

/* Values that share one grid. */
typedef struct OctGroup {
    int32_t root; /* the first of its values: its name stands for the group in a stats file */
    OctetObserver *observer;
    bool observed; /* something was seen */
} OctGroup;

struct OctetPrepared {
    const OctGraph *graph; /* the caller's */
    OctArena *arena;
    OctNodePlan *nodes;
    int32_t *group_of; /* per value: its group, -1 if it stays in float */
    bool *observe;     /* per value: its data goes to its group's observer */
    OctGroup *groups;
    int32_t group_count;
    OctetSession *session;
    OctetDiagnostic *run_diagnostic; /* of the call that is under way */
    int pass, passes;
    bool loaded; /* statistics came from a file */
    bool converted;
    bool quantize_outputs, quantize_borders;
    OctetBiasRepair *repairs;
    int32_t repair_count, repair_capacity;
};

/* Decides node by node what becomes int8: fills nodes[].int8 and reason. */
OctetStatus oct_place(OctetPrepared *prepared, OctetDiagnostic *diagnostic);
/* Takes int8 back from islands that would lose time by it. */
OctetStatus oct_leave_islands(const OctetPrepared *prepared, OctetDiagnostic *diagnostic);
/* Puts the values that int8 nodes take and make into groups that share a grid. */
OctetStatus oct_group_values(OctetPrepared *prepared, OctetDiagnostic *diagnostic);

/* Makes the grids of groups, one a group, narrower where what takes their values is flat beyond;
 * see flat.c. */
OctetStatus oct_narrow_to_flat(const OctetPrepared *prepared, OctetQParams *grids,
                               OctetDiagnostic *diagnostic);

/* Writes prepared->repairs into the graph's metadata, if there are any. */
OctetStatus oct_repairs_note(const OctetPrepared *prepared, OctGraph *graph,
                             OctetDiagnostic *diagnostic);

#endif
