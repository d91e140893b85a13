/* A map from names to pointers. Keys are borrowed: they live in the graph's arena. */
#ifndef OCT_IR_NAMES_H
#define OCT_IR_NAMES_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

typedef struct OctName {
    const char *key; /* NULL: free */
    void *item;      /* NULL: taken away */
    uint64_t hash;
} OctName;

typedef struct OctNames {
    OctName *slots;
    uint32_t capacity; /* a power of two, or 0 */
    uint32_t count;
} OctNames;

void *oct_names_find(const OctNames *names, const char *key); /* NULL if absent */
/* Adds or replaces; item NULL takes the name away. False when out of memory. */
bool oct_names_set(OctNames *names, const char *key, void *item);
/* Makes room for `count` names in all, so that the map does not grow on the way there. False when
 * out of memory. */
bool oct_names_reserve(OctNames *names, int32_t count);
void oct_names_free(OctNames *names);

/* strcmp(a, b) == 0, mostly without the call: most names differ in their first letter. */
static inline bool oct_same_name(const char *a, const char *b) {
    return *a == *b && strcmp(a, b) == 0;
}

#endif
