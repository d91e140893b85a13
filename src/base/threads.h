/* Parallel loops over a caller-owned pool. */
#ifndef OCT_BASE_THREADS_H
#define OCT_BASE_THREADS_H

#include "octet/status.h"

/* Runs work(user, i) for i in [0, count); on the calling thread alone when pool is NULL, has one
 * thread, or count is 1. When the caller's patience is over (base/patience.h), what has not begun
 * is left out: the caller must be able to go on with memory that holds anything. */
void oct_parallel_for(OctetThreadPool *pool, OctetParallelWork work, void *user, size_t count);
/* 1 when pool is NULL. */
size_t oct_pool_size(const OctetThreadPool *pool);

#endif
