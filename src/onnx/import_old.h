/* Nodes of operator sets that nobody implements any more, written as those that replaced them:
 * import_old.c (opsets before 7) and import_experimental.c (operators that were never or are no
 * longer ONNX's), which import_modernize.c calls. They run on a graph in topological order, before
 * operators are resolved. */
#ifndef OCT_ONNX_IMPORT_OLD_H
#define OCT_ONNX_IMPORT_OLD_H

#include "ir/graph.h"

typedef struct OctOld {
    OctGraph *graph;
    OctNode *node;
    int32_t *ranks; /* by the number of a value; -1 where it is not known */
    int32_t value_count;
    OctetDiagnostic *diagnostic;
} OctOld;

/* Faults of nodes go where oct_graph_fault puts them. */
OctetStatus oct_import_modernize(OctGraph *graph, OctetDiagnostic *diagnostic);

/* Rewrites the node if it is one of the experimental ones; it is dead then, or another operator. */
bool oct_is_experimental(const OctNode *node);
OctetStatus oct_import_experimental(const OctOld *old);

enum { OCT_OLD_UNTIL = 7 }; /* the first version of which nothing is old */
OctetStatus oct_import_old(const OctOld *old);

/* The rank of input k, -1 if it is not known or left out. */
int32_t oct_old_rank(const OctOld *old, int32_t k);
/* A node at the end of the list, of opset 7, which makes `output` (NULL: a new value). Gives the
 * output; NULL when out of memory. */
OctValue *oct_old_add(const OctOld *old, const char *op_type, OctValue *const *inputs,
                      int32_t count, OctValue *output, OctNode **made);
/* A constant of floats; scalar: of rank 0. NULL when out of memory. */
OctValue *oct_old_floats(const OctOld *old, const OctetShape *shape, const float *numbers);

#endif
