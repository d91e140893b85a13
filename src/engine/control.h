/* For operators with child graphs: If, Loop (control.c), Scan (scan.c). */
#ifndef OCT_ENGINE_CONTROL_H
#define OCT_ENGINE_CONTROL_H

#include "engine/dynamic.h"

/* The scope of the child graph in an attribute; NULL if there is none. */
OctScope *oct_control_child(const OctCell *cell, const char *attribute);
/* The value of a node's input; NULL if it is left out. */
OctDynamicValue *oct_control_input(OctScope *scope, const OctNode *node, int32_t k);
OctDynamicValue *oct_control_child_input(OctScope *child, int32_t k);
OctDynamicValue *oct_control_child_output(OctScope *child, int32_t k);
OctetStatus oct_control_malformed(const OctNode *node, OctetDiagnostic *diagnostic);

/* ---- lists of results, joined along an axis at the end ---- */
typedef struct OctStack {
    OctDynamicValue *items;
    int32_t count, capacity;
    size_t bytes; /* of the list, counted against the limit */
} OctStack;

/* `scope` is any scope of the same run: its limit on memory counts. */
OctetStatus oct_stack_push(OctScope *scope, OctStack *stack, const OctDynamicValue *value,
                           OctetDiagnostic *diagnostic);
/* Frees `count` stacks and the array. NULL is fine. */
void oct_stacks_clear(OctScope *scope, OctStack *stacks, int32_t count);
/* Items become slices of `value` along a new axis. `model` tells type and shape without items. */
OctetStatus oct_stack_join(OctScope *scope, const OctStack *stack, const OctValue *model,
                           int64_t axis, bool reversed, OctDynamicValue *value,
                           OctetDiagnostic *diagnostic);

OctetStatus oct_scan_run(OctScope *scope, OctCell *cell, OctetDiagnostic *diagnostic);

#endif
