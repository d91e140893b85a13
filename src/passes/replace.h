/* Values of a graph that give way to others. Uses are replaced all at once at the end, since a file
 * may have as many identities or copies in a row as it has nodes. */
#ifndef OCT_PASSES_REPLACE_H
#define OCT_PASSES_REPLACE_H

#include "ir/graph.h"

typedef struct OctReplace {
    OctGraph *graph;
    OctValue **by; /* by value id; NULL: the value stays. None of them is replaced itself. */
    bool *pinned;  /* by value id: an output of a child graph, which stays what it is */
    int32_t count;
} OctReplace;

/* For the values that the graph has now. Call oct_replace_free in any case. */
OctetStatus oct_replace_open(OctReplace *replace, OctGraph *graph, OctetDiagnostic *diagnostic);
/* The node's inputs become what they give way to. Nodes are to be visited in their order. */
void oct_replace_follow(const OctReplace *replace, OctNode *node);
bool oct_replace_is_pinned(const OctReplace *replace, const OctNode *node);
/* `from` gives way to `to`, which does not itself. If `from` is an output of the graph, `to` takes
 * over its name and its place among the outputs: it must then be neither an output nor an input
 * nor a constant. */
void oct_replace_add(OctReplace *replace, OctValue *from, OctValue *to);
/* Replaces all uses. */
void oct_replace_finish(const OctReplace *replace);
void oct_replace_free(OctReplace *replace);

#endif
