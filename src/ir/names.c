#include "ir/names.h"
#include "base/mem.h"

#include <string.h>

static uint32_t hash(const char *key) {
    uint32_t h = 2166136261u; /* FNV-1a */
    for (; *key; key++) {
        h = (h ^ (unsigned char)*key) * 16777619u;
    }
    return h ^ h >> 15;
}

static OctName *slot_of(const OctNames *names, const char *key) {
    uint32_t i = hash(key) & (names->capacity - 1);
    while (names->slots[i].key && strcmp(names->slots[i].key, key) != 0) {
        i = (i + 1) & (names->capacity - 1);
    }
    return &names->slots[i];
}

void *oct_names_find(const OctNames *names, const char *key) {
    return names->capacity ? slot_of(names, key)->item : NULL;
}

bool oct_names_set(OctNames *names, const char *key, void *item) {
    if (names->count * 2 >= names->capacity) {
        OctNames grown = {.capacity = names->capacity ? names->capacity * 2 : 64};
        grown.slots = oct_calloc(grown.capacity, sizeof *grown.slots);
        if (!grown.slots) {
            return false;
        }
        for (uint32_t i = 0; i < names->capacity; i++) {
            if (names->slots[i].item) {
                *slot_of(&grown, names->slots[i].key) = names->slots[i];
                grown.count++;
            }
        }
        oct_free(names->slots);
        *names = grown;
    }
    OctName *slot = slot_of(names, key);
    names->count += slot->key ? 0 : 1;
    *slot = (OctName){key, item};
    return true;
}

void oct_names_free(OctNames *names) {
    oct_free(names->slots);
    *names = (OctNames){0};
}
