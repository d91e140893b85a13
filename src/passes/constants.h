/* Making changed copies of float constants, for the passes that fold arithmetic into weights. */
#ifndef OCT_PASSES_CONSTANTS_H
#define OCT_PASSES_CONSTANTS_H

#include "ir/graph.h"

/* The data of an unquantized f32 constant, NULL if the value is none. */
const float *oct_constant_floats(const OctValue *value, int64_t *count);
/* A new f32 constant of this shape; *data is to be filled by the caller before anyone reads it. */
OctValue *oct_new_float_constant(OctGraph *graph, const char *name, const OctetShape *shape,
                                 float **data, OctetDiagnostic *diagnostic);

#endif
