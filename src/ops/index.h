/* Indices that come as data: what the Gather and Scatter families share. */
#ifndef OCT_OPS_INDEX_H
#define OCT_OPS_INDEX_H

#include "ops/ops.h"

/* OCTET_ERROR_SHAPE unless input k holds s32 or s64. */
OctetStatus oct_index_check_type(const OctNode *node, int32_t k, OctetDiagnostic *diagnostic);
/* Element i of an s64 or s32 view as an index into [0, dim); negative ones count from the end.
 * OCTET_ERROR_SHAPE when outside. */
OctetStatus oct_index_read(const OctNode *node, const OctView *indices, int64_t i, int64_t dim,
                           int64_t *index, OctetDiagnostic *diagnostic);
/* `count` indices from element `first` on, into axes [axis, axis + count) of data: the offset in
 * elements that they give within those axes and the ones behind. */
OctetStatus oct_index_read_tuple(const OctNode *node, const OctView *indices, int64_t first,
                                 const OctetShape *data, int32_t axis, int32_t count,
                                 int64_t *offset, OctetDiagnostic *diagnostic);
/* Indices of the "elements" forms have data's rank, and outside the axis fit inside it. */
OctetStatus oct_index_check_elements(const OctNode *node, const OctetShape *data,
                                     const OctetShape *indices, OctetDiagnostic *diagnostic);

/* Walks over all positions of an array of indices, row-major, and tells the offset of the position
 * in data with coordinate 0 on the axis. */
typedef struct OctIndexWalk {
    int64_t dim, stride; /* of data's axis */
    int64_t offset;
    int32_t rank;
    int64_t position[OCTET_MAX_RANK], dims[OCTET_MAX_RANK], strides[OCTET_MAX_RANK];
} OctIndexWalk;
void oct_index_walk_start(OctIndexWalk *walk, const OctetShape *indices, const OctetShape *data,
                          int32_t axis);
void oct_index_walk_next(OctIndexWalk *walk);

#endif
