/* What operators that order elements share. Values of every type are compared through 64-bit keys
 * in the same order; NaN is above everything. */
#ifndef OCT_OPS_ORDER_H
#define OCT_OPS_ORDER_H

#include "ops/ops.h"

/* Element i as a key. */
int64_t oct_order_key(const OctView *view, int64_t i);

/* A view as [outer][dim][inner] around an axis. */
typedef struct OctOrderAxis {
    int64_t outer, dim, inner;
} OctOrderAxis;

/* Around the axis that the node's attribute `axis` names. */
OctetStatus oct_order_axis(const OctNode *node, const OctetShape *shape, int64_t fallback,
                           int32_t *axis, OctOrderAxis *around, OctetDiagnostic *diagnostic);

#endif
