/* Operators that work on one row of floats at a time, along any axis, on f32 or u8 tensors: a row
 * is brought together, dequantized if need be, computed, and quantized again. Threads share the
 * rows; results do not depend on how. */
#ifndef OCT_OPS_ROWS_H
#define OCT_OPS_ROWS_H

#include "ops/layout.h"
#include "ops/quantized.h"

/* Computes row `row` in [0, outer * inner) of `count` elements. x and y may be the same. */
typedef void (*OctRowFunction)(const void *user, size_t row, const float *x, float *y);

typedef struct OctRows {
    size_t outer, count, inner; /* the tensor seen as [outer][count][inner] */
    OctElement x, y;
    OctetCpu cpu;
    size_t slots; /* ranges of rows that may run at once */
    size_t x_offset, y_offset, buffer_offset, buffer_bytes; /* in the workspace */
} OctRows;

/* [outer][count][inner] for one axis of a shape with concrete dimensions. */
void oct_rows_around(const OctetShape *shape, int32_t axis, OctRows *rows);
/* Takes the types of input 0 and output 0 and reserves the workspace; outer, count
 * and inner are set. OCTET_ERROR_UNSUPPORTED for types other than f32 and u8. */
OctetStatus oct_rows_prepare(OctRows *rows, const OctPrepare *prepare, OctPreparedOp *prepared);
void oct_rows_run(const OctRows *rows, const OctRun *run, OctRowFunction function,
                  const void *user);

/* [begin, end) of part `index` when `count` items are split into `parts`. */
static inline void oct_split_range(size_t count, size_t parts, size_t index, size_t *begin,
                                   size_t *end) {
    size_t each = count / parts, rest = count % parts;
    *begin = index * each + (index < rest ? index : rest);
    *end = *begin + each + (index < rest ? 1 : 0);
}

#endif
