/* Byte operands of which one is a short row that repeats over the rows of the other: a gate or a
 * bias a channel, channels-last. The row is written out a few times, so that a kernel is called for
 * many rows at once. */
#ifndef OCT_OPS_TILE_U8_H
#define OCT_OPS_TILE_U8_H

#include "ops/broadcast.h"

/* y[i] = f(a[i], b[i]) */
typedef void (*OctTileFunction)(const void *context, const uint8_t *a, const uint8_t *b, uint8_t *y,
                                size_t count);

/* Whether the plan's two operands are of that kind. */
bool oct_tile_possible(const OctBroadcast *plan);
void oct_tile_run(const OctBroadcast *plan, OctTileFunction function, const void *context,
                  const uint8_t *a, const uint8_t *b, uint8_t *y, OctetThreadPool *pool);

#endif
