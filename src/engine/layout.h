/* Channels-last: what the files of the layout pass share.
 *
 * Every value of rank 3 to 5 can exist in two forms: as the graph has it (N, C, spatial...), and
 * with the channels last. A form is made when the first node asks for it. Nodes that compute
 * channels-last make that form only; nodes that don't care take what is there. What is left of
 * conversions stands where a node needs the other form than was made. */
#ifndef OCT_ENGINE_LAYOUT_H
#define OCT_ENGINE_LAYOUT_H

#include "engine/engine.h"

typedef struct OctForms {
    OctValue *first; /* channels first: the value itself, or another with the same bytes */
    OctValue *last;
} OctForms;

typedef struct OctLayoutPass {
    OctetSession *session;
    OctGraph *graph;
    OctForms *forms; /* by id of the values that were there before */
    int32_t value_count;
    OctetDiagnostic *diagnostic;
} OctLayoutPass;

/* The order of axes: last[i] = first[permutation[i]] and back. */
void oct_permutation_to_last(int32_t rank, int32_t *permutation);
void oct_permutation_to_first(int32_t rank, int32_t *permutation);
OctetShape oct_shape_permuted(const OctetShape *shape, const int32_t *permutation);
/* Axis of the channels-first form in the channels-last one; axis in [0, rank). */
int64_t oct_axis_in_last(int64_t axis, int32_t rank);

bool oct_layout_has_last(const OctLayoutPass *pass, const OctValue *value);
bool oct_layout_can_be_last(const OctValue *value); /* rank 3 to 5 */

/* The value in one form, made before `before` if it is not there yet. Values that the pass has made
 * itself are returned as they are. */
OctetStatus oct_layout_form(OctLayoutPass *pass, OctNode *before, OctValue *value, bool last,
                            OctValue **form);
/* Declares that `node` makes output k channels-last from now on. */
OctetStatus oct_layout_output_last(OctLayoutPass *pass, OctNode *node, int32_t k);
/* Input k of the node in one form. */
OctetStatus oct_layout_input(OctLayoutPass *pass, OctNode *node, int32_t k, bool last);

/* All inputs but the first as the graph has them. */
OctetStatus oct_layout_parameters(OctLayoutPass *pass, OctNode *node);

/* A new value that has the bytes of `from` in another shape or order. */
OctetStatus oct_layout_reshape(OctLayoutPass *pass, OctNode *before, OctValue *from,
                               const OctetShape *shape, OctValue **to);
OctetStatus oct_layout_transpose(OctLayoutPass *pass, OctNode *before, OctValue *from,
                                 const int32_t *permutation, OctValue **to);
/* A constant vector of s64. */
OctetStatus oct_layout_ints(OctLayoutPass *pass, const char *name, const int64_t *ints,
                            int32_t count, OctValue **value);

/* ---- layout_ops.c: nodes that compute in either order once their axes are renumbered ---- */
/* *done: the node now computes channels-last. */
OctetStatus oct_layout_follow(OctLayoutPass *pass, OctNode *node, bool *done);

/* ---- layout_moves.c: Transpose, Reshape and chains of them ---- */
/* *done: the node's output exists in some form, and the node itself is not needed. */
OctetStatus oct_layout_move(OctLayoutPass *pass, OctNode *node, const OctUses *uses, bool *done);

#endif
