/* When a Dropout is no more than the identity. */
#ifndef OCT_OPS_DROPOUT_H
#define OCT_OPS_DROPOUT_H

#include "ir/graph.h"

/* Whether its constants say that it leaves nothing out: it is not training, or its ratio is 0,
 * which is what exporters make of attention without dropout. */
bool oct_dropout_passes(const OctNode *node);

#endif
