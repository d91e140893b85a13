/* The shapes of inputs, as --shape gives them. */
#ifndef OCTET_TOOLS_SHAPES_H
#define OCTET_TOOLS_SHAPES_H

#include "octet/octet.h"
#include "options.h"

/* The shape to use for an input: NAME=SHAPE from the list, or SHAPE for a single one, else the
 * model's; open dimensions that nobody gives count as 1. */
OctetStatus input_shape(const TextList *shapes, const OctetValue *value, size_t input_count,
                        OctetShape *shape, OctetDiagnostic *diagnostic);

#endif
