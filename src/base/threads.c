/* Parallel loops on pthreadpool. It waits for every thread at the end of every loop, so a worker
 * that the system has put aside delays a loop that the others have long finished; on cores that
 * other programs use too, a network of many short loops then takes tens of times as long as on one
 * thread. So each loop measures that wait, and after a long one the caller works alone for a while.
 */
#include "base/threads.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/patience.h"

#include <pthread.h>
#include <pthreadpool.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

enum {
    MAX_THREADS = 1024,
    /* Waits below this are the price of a fair fight for the cores: a system's time slice is ten
     * times as long. */
    LONG_WAIT_NS = 300000,
    /* Alone for as long as the wait was after the first long one, and for twice as many times the
     * wait after each that soon follows, up to this: waiting then costs at most a twentieth, and a
     * single interruption next to nothing. Soon is within this many times the wait. */
    MOST_ALONE = 20
};

struct OctetThreadPool {
    OctetParallelFor parallel_for; /* NULL unless wrapped */
    void *user_pool;
    pthreadpool_t threads_of; /* NULL if wrapped or of one thread */
    size_t threads;
    /* One loop at a time; a second session that comes meanwhile runs its loop by itself. */
    pthread_mutex_t submit;
    /* under `submit` */
    int64_t alone_until;  /* the clock's nanoseconds */
    int64_t alone_factor; /* of the last long wait */
};

typedef struct Loop {
    OctetParallelWork work;
    void *user;
    OctPatience *patience;         /* of the thread that runs the loop */
    atomic_int_least64_t last_end; /* when the task that ended last ended, nanoseconds */
} Loop;

#if defined(__SANITIZE_THREAD__)
#define HAS_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAS_TSAN 1
#endif
#endif

/* ThreadSanitizer can't see into pthreadpool: say what its loops order. */
#ifdef HAS_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
#define SEES(address) __tsan_acquire(address)
#define SHOWS(address) __tsan_release(address)
#else
#define SEES(address) ((void)(address))
#define SHOWS(address) ((void)(address))
#endif

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static void run_task(void *argument, size_t index) {
    Loop *loop = argument;
    SEES(loop);
    OctPatience *own = oct_patience_lend(loop->patience);
    if (!oct_is_over()) {
        loop->work(loop->user, index);
    }
    (void)oct_patience_lend(own);
    /* Relaxed and unordered: a time that is a task too early only makes the wait look longer by
     * that task. */
    atomic_store_explicit(&loop->last_end, now_ns(), memory_order_relaxed);
    SHOWS(loop);
}

static void note_long_wait(OctetThreadPool *pool, int64_t wait, int64_t end) {
    bool soon = end - wait - pool->alone_until < MOST_ALONE * wait;
    int64_t factor = soon && pool->alone_factor > 0 ? 2 * pool->alone_factor : 1;
    pool->alone_factor = factor < MOST_ALONE ? factor : MOST_ALONE;
    pool->alone_until = end + pool->alone_factor * wait;
}

static void run_shared(OctetThreadPool *pool, OctetParallelWork work, void *user, size_t count) {
    Loop loop = {.work = work, .user = user, .patience = oct_patience_of_thread()};
    SHOWS(&loop);
    pthreadpool_parallelize_1d(pool->threads_of, run_task, &loop, count, 0);
    SEES(&loop);
    int64_t end = now_ns();
    int64_t wait = end - atomic_load_explicit(&loop.last_end, memory_order_relaxed);
    if (wait > LONG_WAIT_NS) {
        note_long_wait(pool, wait, end);
    }
}

static bool is_alone(const OctetThreadPool *pool) {
    return pool->alone_until != 0 && now_ns() < pool->alone_until;
}

static OctetThreadPool *allocate_pool(size_t threads) {
    OctetThreadPool *pool = oct_calloc(1, sizeof *pool);
    if (pool) {
        pool->threads = threads;
        pthread_mutex_init(&pool->submit, NULL);
    }
    return pool;
}

/* Cores that this process may use. */
static size_t core_count(void) {
    cpu_set_t set;
    int count = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    return count > 0 ? (size_t)count : 1;
}

typedef struct Spread {
    cpu_set_t cores; /* that this process may use */
    size_t first;    /* the caller's */
} Spread;

static void take_core(void *user, size_t index) {
    const Spread *spread = user;
    cpu_set_t own;
    size_t core = spread->first;
    size_t left = index % (size_t)CPU_COUNT(&spread->cores);
    while (!CPU_ISSET(core, &spread->cores) || left-- > 0) {
        core = (core + 1) % CPU_SETSIZE;
    }
    CPU_ZERO(&own);
    CPU_SET(core, &own);
    if (sched_setaffinity(0, sizeof own, &own) == 0) {
        (void)sched_setaffinity(0, sizeof spread->cores, &spread->cores);
    }
}

/* Moves every thread to a core of its own, once: afterwards they may be moved as before. A system
 * may leave a new thread on the core of the one that made it until it next balances its load, some
 * milliseconds later (virtual machines do), and both spin there in turns. */
static void spread_threads(OctetThreadPool *pool) {
    int core = sched_getcpu();
    Spread spread = {.first = (size_t)core};
    if (core >= 0 && core < CPU_SETSIZE &&
        sched_getaffinity(0, sizeof spread.cores, &spread.cores) == 0) {
        run_shared(pool, take_core, &spread, pool->threads);
        pool->alone_until = pool->alone_factor = 0; /* however long it took */
    }
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
    if (made->threads > 1) {
        made->threads_of = pthreadpool_create(made->threads);
        if (!made->threads_of) {
            octet_thread_pool_free(made);
            return oct_fail(diagnostic, OCTET_ERROR_OUT_OF_MEMORY, "can't start %zu threads",
                            threads);
        }
        spread_threads(made);
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
    if (pool->threads_of) {
        pthreadpool_destroy(pool->threads_of);
    }
    pthread_mutex_destroy(&pool->submit);
    oct_free(pool);
}

size_t oct_pool_size(const OctetThreadPool *pool) {
    return pool ? pool->threads : 1;
}

static void run_alone(OctetParallelWork work, void *user, size_t count) {
    bool asks = count > 1 && oct_patience_of_thread();
    for (size_t i = 0; i < count && !(asks && oct_is_over()); i++) {
        work(user, i);
    }
}

/* On the caller's own threads. */
static void run_wrapped(OctetThreadPool *pool, OctetParallelWork work, void *user, size_t count) {
    Loop loop = {.work = work, .user = user, .patience = oct_patience_of_thread()};
    pool->parallel_for(pool->user_pool, run_task, &loop, count);
}

void oct_parallel_for(OctetThreadPool *pool, OctetParallelWork work, void *user, size_t count) {
    if (!pool || pool->threads == 1 || count <= 1) {
        run_alone(work, user, count);
    } else if (pool->parallel_for) {
        run_wrapped(pool, work, user, count);
    } else if (pthread_mutex_trylock(&pool->submit) != 0) {
        run_alone(work, user, count);
    } else {
        bool alone = is_alone(pool);
        if (!alone) {
            run_shared(pool, work, user, count);
        }
        pthread_mutex_unlock(&pool->submit);
        if (alone) {
            run_alone(work, user, count);
        }
    }
}
