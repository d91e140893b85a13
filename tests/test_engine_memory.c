/* The memory planner: no overlap, close to the lower bound. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "engine/memory.h"

enum { MOST = 400 };

static uint32_t seed;

static uint32_t random_below(uint32_t bound) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % bound;
}

static size_t rounded(size_t bytes) {
    return (bytes + OCT_MEMORY_ALIGNMENT - 1) / OCT_MEMORY_ALIGNMENT * OCT_MEMORY_ALIGNMENT;
}

static void check(const OctMemoryBlock *blocks, int32_t count, size_t arena, size_t bound) {
    size_t most = 0;
    for (int32_t i = 0; i < count; i++) {
        const OctMemoryBlock *a = &blocks[i];
        assert_int_equal(a->offset % OCT_MEMORY_ALIGNMENT, 0);
        assert_true(a->offset + rounded(a->bytes) <= arena);
        size_t alive = 0;
        for (int32_t k = 0; k < count; k++) {
            const OctMemoryBlock *b = &blocks[k];
            if (b->first <= a->first && b->last >= a->first) {
                alive += rounded(b->bytes);
            }
            bool in_time = a->first <= b->last && b->first <= a->last;
            bool in_space = a->offset < b->offset + b->bytes && b->offset < a->offset + a->bytes;
            assert_false(i != k && in_time && in_space);
        }
        most = alive > most ? alive : most;
    }
    assert_int_equal(bound, most);
    assert_true(arena >= bound);
}

static void plan(OctMemoryBlock *blocks, int32_t count, size_t *arena, size_t *bound) {
    assert_int_equal(oct_memory_plan(blocks, count, arena, bound, NULL), OCTET_OK);
    check(blocks, count, *arena, *bound);
}

static void test_nothing(void **state) {
    (void)state;
    size_t arena = 1;
    size_t bound = 1;
    plan(NULL, 0, &arena, &bound);
    assert_int_equal(arena, 0);
    assert_int_equal(bound, 0);
}

/* A chain needs two neighbors at a time, whatever its length. */
static void test_chain(void **state) {
    (void)state;
    OctMemoryBlock blocks[50];
    size_t arena;
    size_t bound;
    for (int32_t i = 0; i < 50; i++) {
        blocks[i] = (OctMemoryBlock){.bytes = 1000, .first = i, .last = i + 1};
    }
    plan(blocks, 50, &arena, &bound);
    assert_int_equal(arena, 2 * 1024);
    assert_int_equal(arena, bound);
}

/* A residual network's shape: long-lived shortcuts over chains of changing size. */
static void test_residual(void **state) {
    (void)state;
    OctMemoryBlock blocks[64];
    size_t arena;
    size_t bound;
    int32_t count = 0;
    for (int32_t i = 0; i < 16; i++) {
        size_t size = (size_t)200704 >> (i / 4);
        blocks[count++] = (OctMemoryBlock){.bytes = size * 4, .first = 3 * i, .last = 3 * i + 3};
        blocks[count++] = (OctMemoryBlock){.bytes = size, .first = 3 * i + 1, .last = 3 * i + 2};
        blocks[count++] = (OctMemoryBlock){.bytes = size, .first = 3 * i + 2, .last = 3 * i + 3};
    }
    plan(blocks, count, &arena, &bound);
    assert_true((double)arena <= 1.05 * (double)bound);
}

/* More blocks in use at the same time than are searched for gaps, again and again. */
static void test_very_many_at_once(void **state) {
    (void)state;
    enum { ROUNDS = 8, EACH = 6000, COUNT = ROUNDS * EACH };
    OctMemoryBlock *blocks = calloc(COUNT, sizeof *blocks);
    size_t arena;
    size_t bound;
    assert_non_null(blocks);
    for (int32_t i = 0; i < COUNT; i++) {
        int32_t end = (i / EACH + 1) * EACH;
        blocks[i] = (OctMemoryBlock){.bytes = 64u << i % 3, .first = i, .last = end + i % 50};
    }
    assert_int_equal(oct_memory_plan(blocks, COUNT, &arena, &bound, NULL), OCTET_OK);
    assert_true(arena >= bound && 2 * arena < 3 * bound);
    /* in order of places, those that touch must not meet in time */
    uint8_t *taken = calloc(arena / 64, 1);
    for (int32_t round = 0; round < ROUNDS; round++) {
        memset(taken, 0, arena / 64);
        for (int32_t i = round * EACH; i < (round + 1) * EACH; i++) {
            for (size_t k = 0; k < blocks[i].bytes / 64; k++) {
                assert_int_equal(taken[blocks[i].offset / 64 + k]++, 0);
            }
        }
    }
    free(taken);
    free(blocks);
}

static void test_random(void **state) {
    (void)state;
    static OctMemoryBlock blocks[MOST];
    double worst = 1;
    for (uint32_t round = 0; round < 60; round++) {
        seed = round;
        int32_t count = (int32_t)random_below(MOST) + 1;
        for (int32_t i = 0; i < count; i++) {
            blocks[i].first = (int32_t)random_below((uint32_t)count);
            blocks[i].last = blocks[i].first + (int32_t)random_below(8);
            blocks[i].bytes = random_below(10) == 0 ? 0 : random_below(100000);
            blocks[i].offset = SIZE_MAX;
        }
        size_t arena;
        size_t bound;
        plan(blocks, count, &arena, &bound);
        worst =
            bound && (double)arena / (double)bound > worst ? (double)arena / (double)bound : worst;
    }
    assert_true(worst < 1.35);
}

/* So many blocks that they are placed in order of time. */
static void test_many(void **state) {
    (void)state;
    enum { MANY = 10000 };
    OctMemoryBlock *blocks = calloc(MANY, sizeof *blocks);
    size_t arena;
    size_t bound;
    assert_non_null(blocks);
    seed = 5;
    for (int32_t i = 0; i < MANY; i++) {
        blocks[i].first = i;
        blocks[i].last = i + 1 + (int32_t)random_below(i % 50 == 0 ? 40 : 3);
        blocks[i].bytes = random_below(100000);
    }
    plan(blocks, MANY, &arena, &bound);
    assert_true((double)arena < 1.6 * (double)bound);
    free(blocks);
}

static void test_too_large(void **state) {
    (void)state;
    OctMemoryBlock blocks[3];
    size_t arena;
    size_t bound;
    for (int32_t i = 0; i < 3; i++) {
        blocks[i] = (OctMemoryBlock){.bytes = SIZE_MAX / 3, .first = 0, .last = 0};
    }
    assert_int_equal(oct_memory_plan(blocks, 3, &arena, &bound, NULL), OCTET_ERROR_LIMIT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing),   cmocka_unit_test(test_chain),
        cmocka_unit_test(test_residual),  cmocka_unit_test(test_very_many_at_once),
        cmocka_unit_test(test_random),    cmocka_unit_test(test_many),
        cmocka_unit_test(test_too_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
