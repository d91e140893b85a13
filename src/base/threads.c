/* A pool for many short parallel loops. The caller takes tasks like any worker, and waits only for
 * tasks that have been taken: a worker that the system has put aside delays nobody. (pthreadpool,
 * which the first version used, waits for every thread at the end of every loop; on a machine that
 * others use too that made a network of 0.8 ms take 80.) */
#include "base/threads.h"
#include "base/diag.h"
#include "base/mem.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum {
    MAX_THREADS = 1024,
    MAX_TASKS = INT32_MAX,
    SPINS_BEFORE_SLEEP = 4000, /* some 50 microseconds: the time between two loops of a network */
    SPINS_BEFORE_YIELD = 2000
};

struct OctetThreadPool {
    OctetParallelFor parallel_for; /* NULL unless wrapped */
    void *user_pool;
    size_t threads;
    /* One loop at a time; a second session that comes meanwhile runs its loop by itself. */
    pthread_mutex_t submit;
    /* The loop's number in the upper half, the next task in the lower. A task is taken by adding
     * one while the number is still the same, so that a late worker can't take from the wrong
     * loop. */
    atomic_uint_least64_t state;
    atomic_uint_least32_t count;
    atomic_uint_least32_t finished;
    _Atomic(OctetParallelWork) work;
    _Atomic(void *) user;
    pthread_mutex_t sleep_lock;
    pthread_cond_t sleep_signal;
    atomic_int sleepers;
    atomic_bool stop;
    pthread_t *workers;
    size_t worker_count;
};

static inline void pause_briefly(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static uint32_t loop_of(uint64_t state) {
    return (uint32_t)(state >> 32);
}

/* Takes and runs tasks of loop `loop` until none is left. */
static void take_tasks(OctetThreadPool *pool, uint32_t loop) {
    for (;;) {
        uint64_t state = atomic_load(&pool->state);
        OctetParallelWork work = atomic_load(&pool->work);
        void *user = atomic_load(&pool->user);
        uint32_t count = atomic_load(&pool->count);
        if (loop_of(state) != loop || (uint32_t)state >= count) {
            return;
        }
        if (atomic_compare_exchange_weak(&pool->state, &state, state + 1)) {
            work(user, (uint32_t)state);
            atomic_fetch_add(&pool->finished, 1);
        }
    }
}

/* Waits for another loop than `seen`; false when the pool is closed. */
static bool wait_for_loop(OctetThreadPool *pool, uint32_t seen) {
    for (int i = 0; i < SPINS_BEFORE_SLEEP; i++) {
        if (loop_of(atomic_load(&pool->state)) != seen || atomic_load(&pool->stop)) {
            return !atomic_load(&pool->stop);
        }
        pause_briefly();
    }
    pthread_mutex_lock(&pool->sleep_lock);
    atomic_fetch_add(&pool->sleepers, 1);
    while (loop_of(atomic_load(&pool->state)) == seen && !atomic_load(&pool->stop)) {
        pthread_cond_wait(&pool->sleep_signal, &pool->sleep_lock);
    }
    atomic_fetch_sub(&pool->sleepers, 1);
    pthread_mutex_unlock(&pool->sleep_lock);
    return !atomic_load(&pool->stop);
}

static void *worker_main(void *argument) {
    OctetThreadPool *pool = argument;
    uint32_t seen = 0;
    while (wait_for_loop(pool, seen)) {
        seen = loop_of(atomic_load(&pool->state));
        take_tasks(pool, seen);
    }
    return NULL;
}

static void wake_sleepers(OctetThreadPool *pool) {
    if (atomic_load(&pool->sleepers) > 0) {
        pthread_mutex_lock(&pool->sleep_lock);
        pthread_cond_broadcast(&pool->sleep_signal);
        pthread_mutex_unlock(&pool->sleep_lock);
    }
}

static void run_shared(OctetThreadPool *pool, OctetParallelWork work, void *user, uint32_t count) {
    uint32_t loop = loop_of(atomic_load(&pool->state)) + 1;
    /* closed first: whoever still holds the last loop's number must not take from the new one */
    atomic_store(&pool->state, (uint64_t)(loop - 1) << 32 | UINT32_MAX);
    atomic_store(&pool->work, work);
    atomic_store(&pool->user, user);
    atomic_store(&pool->count, count);
    atomic_store(&pool->finished, 0);
    atomic_store(&pool->state, (uint64_t)loop << 32);
    wake_sleepers(pool);
    take_tasks(pool, loop);
    for (int i = 0; atomic_load(&pool->finished) != count; i++) {
        if (i < SPINS_BEFORE_YIELD) {
            pause_briefly();
        } else {
            sched_yield();
        }
    }
}

static OctetStatus start_workers(OctetThreadPool *pool, OctetDiagnostic *diagnostic) {
    pool->workers = oct_calloc(pool->threads, sizeof *pool->workers);
    if (!pool->workers) {
        return oct_fail_memory(diagnostic);
    }
    while (pool->worker_count + 1 < pool->threads) {
        if (pthread_create(&pool->workers[pool->worker_count], NULL, worker_main, pool) != 0) {
            return oct_fail(diagnostic, OCTET_ERROR_OUT_OF_MEMORY, "can't start %zu threads",
                            pool->threads);
        }
        pool->worker_count++;
    }
    return OCTET_OK;
}

/* Cores that this process may use. */
static size_t core_count(void) {
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? (size_t)count : 1;
}

static OctetThreadPool *allocate_pool(size_t threads) {
    OctetThreadPool *pool = oct_calloc(1, sizeof *pool);
    if (pool) {
        pool->threads = threads;
        pthread_mutex_init(&pool->submit, NULL);
        pthread_mutex_init(&pool->sleep_lock, NULL);
        pthread_cond_init(&pool->sleep_signal, NULL);
    }
    return pool;
}

OctetStatus octet_thread_pool_create(size_t threads, OctetThreadPool **pool,
                                     OctetDiagnostic *diagnostic) {
    if (!pool || threads > MAX_THREADS) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "a thread pool has 1 to %d threads (0: one a core)", MAX_THREADS);
    }
    *pool = NULL;
    OctetThreadPool *made = allocate_pool(threads ? threads : core_count());
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    OctetStatus status = start_workers(made, diagnostic);
    if (status != OCTET_OK) {
        octet_thread_pool_free(made);
        return status;
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
    OctetThreadPool *made = allocate_pool(threads);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    made->parallel_for = parallel_for;
    made->user_pool = pool;
    *wrapped = made;
    return OCTET_OK;
}

size_t octet_thread_pool_size(const OctetThreadPool *pool) {
    return oct_pool_size(pool);
}

void octet_thread_pool_free(OctetThreadPool *pool) {
    if (!pool) {
        return;
    }
    atomic_store(&pool->stop, true);
    pthread_mutex_lock(&pool->sleep_lock);
    pthread_cond_broadcast(&pool->sleep_signal);
    pthread_mutex_unlock(&pool->sleep_lock);
    for (size_t i = 0; i < pool->worker_count; i++) {
        pthread_join(pool->workers[i], NULL);
    }
    oct_free(pool->workers);
    pthread_cond_destroy(&pool->sleep_signal);
    pthread_mutex_destroy(&pool->sleep_lock);
    pthread_mutex_destroy(&pool->submit);
    oct_free(pool);
}

size_t oct_pool_size(const OctetThreadPool *pool) {
    return pool ? pool->threads : 1;
}

void oct_parallel_for(OctetThreadPool *pool, OctetParallelWork work, void *user, size_t count) {
    if (pool && pool->threads > 1 && count > 1 && count <= MAX_TASKS) {
        if (pool->parallel_for) {
            pool->parallel_for(pool->user_pool, work, user, count);
            return;
        }
        if (pthread_mutex_trylock(&pool->submit) == 0) {
            run_shared(pool, work, user, (uint32_t)count);
            pthread_mutex_unlock(&pool->submit);
            return;
        }
    }
    for (size_t i = 0; i < count; i++) {
        work(user, i);
    }
}
