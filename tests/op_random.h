/* Reproducible random data for tests of operators. */
#ifndef OCTET_TESTS_OP_RANDOM_H
#define OCTET_TESTS_OP_RANDOM_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

static uint64_t op_random_state = 88172645463325252ULL;

static inline uint32_t op_random(void) {
    op_random_state ^= op_random_state << 13;
    op_random_state ^= op_random_state >> 7;
    op_random_state ^= op_random_state << 17;
    return (uint32_t)(op_random_state >> 32);
}

/* low to high, both included. */
static inline int op_random_int(int low, int high) {
    return low + (int)(op_random() % (uint32_t)(high - low + 1));
}

/* An array of values in [-1, 1); the caller frees. */
static inline float *op_random_floats(size_t count) {
    float *data = malloc((count + 1) * sizeof *data);
    for (size_t i = 0; i < count; i++) {
        data[i] = (float)(op_random() % 65536) / 32768.0f - 1.0f;
    }
    return data;
}

/* An array of random bytes; the caller frees. */
static inline uint8_t *op_random_bytes(size_t count) {
    uint8_t *data = malloc(count + 1);
    for (size_t i = 0; i < count; i++) {
        data[i] = (uint8_t)op_random();
    }
    return data;
}

#endif
