#include "base/hash.h"

#include <string.h>

uint64_t oct_hash_word(uint64_t state, uint64_t word) {
    state = (state ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return state ^ state >> 29;
}

uint64_t oct_hash_bytes(uint64_t state, const void *data, size_t bytes) {
    const uint8_t *from = data;
    uint64_t word;
    state = oct_hash_word(state, bytes);
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
