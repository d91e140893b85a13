/* A fast hash of bytes, for tables and identities; not against an attacker. */
#ifndef OCT_BASE_HASH_H
#define OCT_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t oct_hash_word(uint64_t state, uint64_t word);
/* The bytes' number counts, too. */
uint64_t oct_hash_bytes(uint64_t state, const void *data, size_t bytes);

#endif
