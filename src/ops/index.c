#include "ops/index.h"

#include <inttypes.h>
#include <string.h>

OctetStatus oct_index_check_type(const OctNode *node, int32_t k, OctetDiagnostic *diagnostic) {
    OctetDType dtype = oct_input_dtype(node, k);
    if (dtype != OCTET_S32 && dtype != OCTET_S64) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has indices of type %s",
                           octet_dtype_name(dtype));
    }
    return OCTET_OK;
}

OctetStatus oct_index_read(const OctNode *node, const OctView *indices, int64_t i, int64_t dim,
                           int64_t *index, OctetDiagnostic *diagnostic) {
    int64_t value = indices->dtype == OCTET_S32 ? ((const int32_t *)indices->data)[i]
                                                : ((const int64_t *)indices->data)[i];
    if (value < -dim || value >= dim) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has index %" PRId64 " for an axis of %" PRId64, value, dim);
    }
    *index = value < 0 ? value + dim : value;
    return OCTET_OK;
}

OctetStatus oct_index_read_tuple(const OctNode *node, const OctView *indices, int64_t first,
                                 const OctetShape *data, int32_t axis, int32_t count,
                                 int64_t *offset, OctetDiagnostic *diagnostic) {
    int64_t at = 0;
    for (int32_t i = 0; i < count; i++) {
        int64_t index = 0;
        OCT_TRY(oct_index_read(node, indices, first + i, data->dims[axis + i], &index, diagnostic));
        at = at * data->dims[axis + i] + index;
    }
    int64_t inner = 0;
    oct_shape_product(data, axis + count, data->rank, &inner);
    *offset = at * inner;
    return OCTET_OK;
}

OctetStatus oct_index_check_elements(const OctNode *node, const OctetShape *data,
                                     const OctetShape *indices, OctetDiagnostic *diagnostic) {
    int32_t axis;
    if (data->rank < 0 || indices->rank < 0) {
        return OCTET_OK;
    }
    OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", 0), data->rank, &axis, diagnostic));
    bool fits = data->rank == indices->rank;
    for (int32_t i = 0; fits && i < data->rank; i++) {
        bool numbers = data->dims[i] >= 0 && indices->dims[i] >= 0;
        fits = i == axis || !numbers || indices->dims[i] <= data->dims[i];
    }
    if (!fits) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has indices that reach outside its data");
    }
    return OCTET_OK;
}

void oct_index_walk_start(OctIndexWalk *walk, const OctetShape *indices, const OctetShape *data,
                          int32_t axis) {
    memset(walk, 0, sizeof *walk);
    walk->rank = indices->rank;
    memcpy(walk->dims, indices->dims, sizeof walk->dims);
    oct_strides(data, walk->strides);
    walk->dim = data->dims[axis];
    walk->stride = walk->strides[axis];
    walk->strides[axis] = 0;
}

void oct_index_walk_next(OctIndexWalk *walk) {
    for (int32_t axis = walk->rank - 1; axis >= 0; axis--) {
        walk->offset += walk->strides[axis];
        if (++walk->position[axis] < walk->dims[axis]) {
            return;
        }
        walk->offset -= walk->dims[axis] * walk->strides[axis];
        walk->position[axis] = 0;
    }
}
