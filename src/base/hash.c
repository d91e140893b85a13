#include "base/hash.h"

#include <string.h>

uint64_t oct_hash_word(uint64_t state, uint64_t word) {
    state = (state ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return state ^ state >> 29;
}

/* A word has to wait for the one before it; those of several lanes do not wait for each other. */
enum { LANES = 4, LINE = LANES * sizeof(uint64_t), LEAST_LANED = 4 * LINE };

static const uint8_t *hash_lines(uint64_t *state, const uint8_t *from, size_t lines) {
    uint64_t lanes[LANES], word;
    for (size_t lane = 0; lane < LANES; lane++) {
        lanes[lane] = *state + lane;
    }
    for (size_t line = 0; line < lines; line++) {
        for (size_t lane = 0; lane < LANES; lane++, from += sizeof word) {
            memcpy(&word, from, sizeof word);
            lanes[lane] = oct_hash_word(lanes[lane], word);
        }
    }
    for (size_t lane = 0; lane < LANES; lane++) {
        *state = oct_hash_word(*state, lanes[lane]);
    }
    return from;
}

uint64_t oct_hash_bytes(uint64_t state, const void *data, size_t bytes) {
    const uint8_t *from = data;
    uint64_t word;
    state = oct_hash_word(state, bytes);
    if (bytes >= LEAST_LANED) {
        from = hash_lines(&state, from, bytes / LINE);
        bytes %= LINE;
    }
    for (; bytes >= sizeof word; from += sizeof word, bytes -= sizeof word) {
        memcpy(&word, from, sizeof word);
        state = oct_hash_word(state, word);
    }
    if (bytes > 0) {
        word = 0;
        memcpy(&word, from, bytes);
        state = oct_hash_word(state, word);
    }
    return oct_hash_word(state, 0); /* so that the last bytes reach the low bits, too */
}
