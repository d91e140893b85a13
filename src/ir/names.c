#include "ir/names.h"
#include "base/hash.h"
#include "base/mem.h"

#include <string.h>

enum { LEAST_CAPACITY = 64 };

static OctName *slot_of(const OctNames *names, const char *key, uint64_t hash) {
    uint32_t i = (uint32_t)hash & (names->capacity - 1);
    while (names->slots[i].key &&
           (names->slots[i].hash != hash || strcmp(names->slots[i].key, key) != 0)) {
        i = (i + 1) & (names->capacity - 1);
    }
    return &names->slots[i];
}

static uint64_t hash_of(const char *key) {
    return oct_hash_bytes(0, key, strlen(key));
}

void *oct_names_find(const OctNames *names, const char *key) {
    return names->capacity ? slot_of(names, key, hash_of(key))->item : NULL;
}

/* Names that were taken away are left behind. */
static bool grow(OctNames *names, uint32_t capacity) {
    OctNames grown = {.capacity = capacity};
    grown.slots = oct_calloc(grown.capacity, sizeof *grown.slots);
    if (!grown.slots) {
        return false;
    }
    for (uint32_t i = 0; i < names->capacity; i++) {
        const OctName *name = &names->slots[i];
        if (name->item) {
            *slot_of(&grown, name->key, name->hash) = *name;
            grown.count++;
        }
    }
    oct_free(names->slots);
    *names = grown;
    return true;
}

bool oct_names_set(OctNames *names, const char *key, void *item) {
    if (names->count * 2 >= names->capacity &&
        !grow(names, names->capacity ? names->capacity * 2 : LEAST_CAPACITY)) {
        return false;
    }
    uint64_t hash = hash_of(key);
    OctName *slot = slot_of(names, key, hash);
    names->count += slot->key ? 0 : 1;
    *slot = (OctName){key, item, hash};
    return true;
}

bool oct_names_reserve(OctNames *names, int32_t count) {
    uint32_t capacity = LEAST_CAPACITY;
    while (capacity / 2 <= (uint32_t)count && capacity < UINT32_C(1) << 30) {
        capacity *= 2;
    }
    return capacity <= names->capacity || grow(names, capacity);
}

void oct_names_free(OctNames *names) {
    oct_free(names->slots);
    *names = (OctNames){0};
}
