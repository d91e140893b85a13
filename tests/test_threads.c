/* The thread pool: every task once, nested and concurrent loops, wrapped pools. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/threads.h"

typedef struct Tally {
    atomic_int done[1000];
    OctetThreadPool *pool;
} Tally;

static void tally(void *user, size_t index) {
    atomic_fetch_add(&((Tally *)user)->done[index], 1);
}

static void runs_every_task_once(void **state) {
    (void)state;
    static const size_t threads[] = {1, 2, 3, 8};
    for (size_t t = 0; t < 4; t++) {
        OctetThreadPool *pool;
        assert_int_equal(octet_thread_pool_create(threads[t], &pool, NULL), OCTET_OK);
        assert_int_equal(octet_thread_pool_size(pool), threads[t]);
        for (size_t round = 0; round < 300; round++) {
            static Tally counts;
            size_t count = round * 7 % 1000;
            for (size_t i = 0; i < 1000; i++) {
                atomic_store(&counts.done[i], 0);
            }
            oct_parallel_for(pool, tally, &counts, count);
            for (size_t i = 0; i < 1000; i++) {
                assert_int_equal(atomic_load(&counts.done[i]), i < count ? 1 : 0);
            }
        }
        octet_thread_pool_free(pool);
    }
}

static void nested(void *user, size_t index) {
    Tally *counts = user;
    (void)index;
    oct_parallel_for(counts->pool, tally, counts, 100);
}

static void nested_loops_do_not_lock_up(void **state) {
    (void)state;
    static Tally counts;
    assert_int_equal(octet_thread_pool_create(3, &counts.pool, NULL), OCTET_OK);
    oct_parallel_for(counts.pool, nested, &counts, 10);
    for (size_t i = 0; i < 100; i++) {
        assert_int_equal(atomic_load(&counts.done[i]), 10);
    }
    octet_thread_pool_free(counts.pool);
}

static void *many_loops(void *user) {
    Tally *counts = user;
    for (int i = 0; i < 500; i++) {
        oct_parallel_for(counts->pool, tally, counts, 50);
    }
    return NULL;
}

static void callers_share_a_pool(void **state) {
    (void)state;
    static Tally counts;
    pthread_t threads[4];
    assert_int_equal(octet_thread_pool_create(2, &counts.pool, NULL), OCTET_OK);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, many_loops, &counts), 0);
    }
    for (int i = 0; i < 4; i++) {
        pthread_join(threads[i], NULL);
    }
    for (size_t i = 0; i < 50; i++) {
        assert_int_equal(atomic_load(&counts.done[i]), 2000);
    }
    octet_thread_pool_free(counts.pool);
}

static void backwards(void *pool, OctetParallelWork work, void *user, size_t count) {
    ++*(int *)pool;
    while (count > 0) {
        work(user, --count);
    }
}

static void uses_the_callers_threads(void **state) {
    (void)state;
    static Tally counts;
    int calls = 0;
    OctetThreadPool *pool;
    assert_int_equal(octet_thread_pool_wrap(backwards, &calls, 4, &pool, NULL), OCTET_OK);
    assert_int_equal(octet_thread_pool_size(pool), 4);
    oct_parallel_for(pool, tally, &counts, 20);
    assert_int_equal(calls, 1);
    for (size_t i = 0; i < 20; i++) {
        assert_int_equal(atomic_load(&counts.done[i]), 1);
    }
    octet_thread_pool_free(pool);
}

typedef struct Masks {
    cpu_set_t expected;
    atomic_int others; /* tasks on a thread that may use other cores */
} Masks;

static void compare_mask(void *user, size_t index) {
    Masks *masks = user;
    cpu_set_t own;
    (void)index;
    bool same = sched_getaffinity(0, sizeof own, &own) == 0 && CPU_EQUAL(&own, &masks->expected);
    atomic_fetch_add(&masks->others, same ? 0 : 1);
}

/* Whatever moved them when they started. */
static void threads_may_use_the_callers_cores(void **state) {
    (void)state;
    Masks masks = {.others = 0};
    cpu_set_t one;
    OctetThreadPool *pool;
    assert_int_equal(sched_getaffinity(0, sizeof masks.expected, &masks.expected), 0);
    cpu_set_t all = masks.expected;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(octet_thread_pool_create(3, &pool, NULL), OCTET_OK);
        oct_parallel_for(pool, compare_mask, &masks, 1000);
        compare_mask(&masks, 0);
        assert_int_equal(atomic_load(&masks.others), 0);
        octet_thread_pool_free(pool);
        CPU_ZERO(&one); /* the second time with one core for all */
        for (size_t core = 0; CPU_COUNT(&one) == 0; core++) {
            if (CPU_ISSET(core, &all)) {
                CPU_SET(core, &one);
            }
        }
        assert_int_equal(sched_setaffinity(0, sizeof one, &one), 0);
        masks.expected = one;
    }
    assert_int_equal(sched_setaffinity(0, sizeof all, &all), 0);
}

static void refuses_nonsense(void **state) {
    (void)state;
    OctetDiagnostic diagnostic = {0};
    OctetThreadPool *pool;
    assert_int_equal(octet_thread_pool_create(5000, &pool, &diagnostic),
                     OCTET_ERROR_INVALID_ARGUMENT);
    assert_true(diagnostic.message[0] != '\0');
    assert_int_equal(octet_thread_pool_wrap(NULL, NULL, 2, &pool, NULL),
                     OCTET_ERROR_INVALID_ARGUMENT);
    octet_thread_pool_free(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(runs_every_task_once),
        cmocka_unit_test(nested_loops_do_not_lock_up),
        cmocka_unit_test(callers_share_a_pool),
        cmocka_unit_test(uses_the_callers_threads),
        cmocka_unit_test(threads_may_use_the_callers_cores),
        cmocka_unit_test(refuses_nonsense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
