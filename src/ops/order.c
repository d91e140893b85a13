#include "ops/order.h"

#include <math.h>
#include <string.h>

int64_t oct_order_key(const OctView *view, int64_t i) {
    int64_t key = 0;
    if (view->dtype == OCTET_F32) {
        float x = ((const float *)view->data)[i];
        int32_t bits;
        if (isnan(x)) {
            return INT64_MAX;
        }
        x = x == 0 ? 0 : x; /* -0 equals 0 */
        memcpy(&bits, &x, sizeof bits);
        return bits < 0 ? -(int64_t)(bits & INT32_MAX) : bits;
    }
    const char *from = (const char *)view->data + (size_t)i * octet_dtype_size(view->dtype);
    /* integer to integer can't fail */
    (void)oct_convert(OCTET_S64, &key, view->dtype, from, 1, NULL);
    return view->dtype == OCTET_U64 ? (int64_t)((uint64_t)key ^ (1ULL << 63)) : key;
}

OctetStatus oct_order_axis(const OctNode *node, const OctetShape *shape, int64_t fallback,
                           int32_t *axis, OctOrderAxis *around, OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", fallback), shape->rank, axis,
                               diagnostic));
    around->outer = 0;
    around->inner = 0;
    oct_shape_product(shape, 0, *axis, &around->outer);
    oct_shape_product(shape, *axis + 1, shape->rank, &around->inner);
    around->dim = shape->dims[*axis];
    return OCTET_OK;
}
