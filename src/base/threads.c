#include "base/threads.h"
#include "base/diag.h"
#include "base/mem.h"

#include <pthreadpool.h>

struct OctetThreadPool {
    pthreadpool_t owned; /* NULL when wrapped */
    OctetParallelFor parallel_for;
    void *user_pool;
    size_t threads;
};

OctetStatus octet_thread_pool_create(size_t threads, OctetThreadPool **pool,
                                     OctetDiagnostic *diagnostic) {
    if (!pool || threads > 1024) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "a thread pool has 1 to 1024 threads (0: one a core)");
    }
    *pool = NULL;
    OctetThreadPool *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->threads = 1;
    if (threads != 1) {
        made->owned = pthreadpool_create(threads);
        if (!made->owned) {
            oct_free(made);
            return oct_fail(diagnostic, OCTET_ERROR_OUT_OF_MEMORY, "can't start %zu threads",
                            threads);
        }
        made->threads = pthreadpool_get_threads_count(made->owned);
    }
    *pool = made;
    return OCTET_OK;
}

OctetStatus octet_thread_pool_wrap(OctetParallelFor parallel_for, void *pool, size_t threads,
                                   OctetThreadPool **wrapped, OctetDiagnostic *diagnostic) {
    if (!parallel_for || !wrapped || threads == 0) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "wrapping a thread pool needs a parallel_for and at least one thread");
    }
    OctetThreadPool *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->parallel_for = parallel_for;
    made->user_pool = pool;
    made->threads = threads;
    *wrapped = made;
    return OCTET_OK;
}

size_t octet_thread_pool_size(const OctetThreadPool *pool) {
    return oct_pool_size(pool);
}

void octet_thread_pool_free(OctetThreadPool *pool) {
    if (pool) {
        if (pool->owned) {
            pthreadpool_destroy(pool->owned);
        }
        oct_free(pool);
    }
}

size_t oct_pool_size(const OctetThreadPool *pool) {
    return pool ? pool->threads : 1;
}

void oct_parallel_for(OctetThreadPool *pool, OctetParallelWork work, void *user, size_t count) {
    if (!pool || pool->threads == 1 || count <= 1) {
        for (size_t i = 0; i < count; i++) {
            work(user, i);
        }
    } else if (pool->owned) {
        pthreadpool_parallelize_1d(pool->owned, (pthreadpool_task_1d_t)work, user, count, 0);
    } else {
        pool->parallel_for(pool->user_pool, work, user, count);
    }
}
