/* Walking over two or three operands with numpy broadcasting, a row at a time. */
#ifndef OCT_OPS_BROADCAST_H
#define OCT_OPS_BROADCAST_H

#include "ops/ops.h"

#define OCT_BROADCAST_OPERANDS 3

typedef struct OctBroadcast {
    int32_t rank; /* 1 at least */
    int32_t operands;
    int64_t dims[OCTET_MAX_RANK];
    int64_t strides[OCT_BROADCAST_OPERANDS][OCTET_MAX_RANK]; /* elements; 0 where repeated */
    int64_t count;                                           /* elements of the output */
} OctBroadcast;

/* A row: `count` elements from element output_offset of the output on; operand k starts at element
 * offsets[k] and either goes along (steps[k] 1) or stays (0). */
typedef struct OctBroadcastRow {
    int64_t output_offset;
    int64_t count;
    int64_t offsets[OCT_BROADCAST_OPERANDS];
    int64_t steps[OCT_BROADCAST_OPERANDS];
} OctBroadcastRow;

typedef void (*OctBroadcastFunction)(const void *context, const OctBroadcastRow *row);

/* The shapes broadcast to `output`, whose shape is static. Axes that all operands walk alike are
 * joined, so that rows are as long as possible. */
void oct_broadcast_plan(OctBroadcast *plan, const OctetShape *output, int32_t operands,
                        const OctetShape *const *shapes);
/* Calls function for all rows, from several threads if there is a pool; long rows are cut. */
void oct_broadcast_run(const OctBroadcast *plan, OctBroadcastFunction function, const void *context,
                       OctetThreadPool *pool);
/* Elements [begin, begin + count) of a row of a float operand as a plain array: its own memory, or
 * the repeated value, written to `buffer`. */
const float *oct_broadcast_floats(const float *operand, const OctBroadcastRow *row, int32_t k,
                                  int64_t begin, int64_t count, float *buffer);
/* Likewise for elements of any integer type or bool, converted to s64. */
void oct_broadcast_ints(OctetDType dtype, const void *operand, const OctBroadcastRow *row,
                        int32_t k, int64_t begin, int64_t count, int64_t *buffer);

#endif
