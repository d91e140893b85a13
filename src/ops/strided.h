/* Copying between two strided arrays: what Slice, Split, Concat, Pad, Expand, Tile do. */
#ifndef OCT_OPS_STRIDED_H
#define OCT_OPS_STRIDED_H

#include "octet/tensor.h"

#define OCT_STRIDED_RANK (2 * OCTET_MAX_RANK)

/* Element (i0, i1, ...) goes from source[source_offset + sum(i * source_strides)] to the like
 * place of the destination. Offsets and strides are in elements; strides may be negative, and 0 on
 * the source's side. */
typedef struct OctStrided {
    int32_t rank;
    int64_t dims[OCT_STRIDED_RANK];
    int64_t source_strides[OCT_STRIDED_RANK];
    int64_t destination_strides[OCT_STRIDED_RANK];
    int64_t source_offset, destination_offset;
} OctStrided;

/* Drops axes of size 1 and joins neighbors that are contiguous on both sides. */
void oct_strided_simplify(OctStrided *strided);
/* Copies. element_size is 1, 2, 4 or 8. The pool may be NULL. */
void oct_strided_copy(const OctStrided *strided, size_t element_size, const void *source,
                      void *destination, OctetThreadPool *pool);

#endif
