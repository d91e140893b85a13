#include "engine/pack.h"
#include "base/diag.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

struct OctPack {
    atomic_int references;
    size_t bytes;
    void *object;
    OctPackDestroy destroy;
};

typedef struct Entry {
    struct Entry *next;
    OctPackKey key;        /* key.kernel is owned */
    OctPack *pack;         /* either this */
    OctConstant *constant; /* or this */
} Entry;

enum { BUCKETS = 256 };

struct OctPackStore {
    OctPackStore *next;
    const OctGraph *graph;
    int sessions; /* guarded by registry_lock */
    pthread_mutex_t lock;
    OctGraph *base;
    OctBlocks *blocks; /* used under `lock` */
    uint64_t bytes;
    Entry *buckets[BUCKETS];
};

/* All stores of the process. A list in a global, and not a field of the graph, because a session
 * may only read its graph. */
static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static OctPackStore *registry;

static OctPackStore *make_store(const OctGraph *graph) {
    OctPackStore *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return NULL;
    }
    made->blocks = oct_blocks_create(graph->file, graph->packed, graph->packed_bytes);
    if (!made->blocks) {
        oct_free(made);
        return NULL;
    }
    pthread_mutex_init(&made->lock, NULL);
    made->graph = graph;
    made->next = registry;
    registry = made;
    return made;
}

OctetStatus oct_pack_store_acquire(const OctGraph *graph, OctPackStore **store,
                                   OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    pthread_mutex_lock(&registry_lock);
    OctPackStore *found = registry;
    while (found && found->graph != graph) {
        found = found->next;
    }
    if (!found) {
        found = make_store(graph);
        status = found ? OCTET_OK : oct_fail_memory(diagnostic);
    }
    if (found) {
        found->sessions++;
    }
    pthread_mutex_unlock(&registry_lock);
    *store = found;
    return status;
}

bool oct_pack_store_exists(const OctGraph *graph) {
    pthread_mutex_lock(&registry_lock);
    OctPackStore *found = registry;
    while (found && found->graph != graph) {
        found = found->next;
    }
    pthread_mutex_unlock(&registry_lock);
    return found != NULL;
}

static void free_entry(Entry *entry) {
    oct_pack_release(entry->pack);
    if (entry->constant) {
        oct_constant_release(entry->constant);
    }
    oct_free((void *)(uintptr_t)entry->key.kernel);
    oct_free(entry);
}

void oct_pack_store_release(OctPackStore *store) {
    if (!store) {
        return;
    }
    pthread_mutex_lock(&registry_lock);
    bool last = --store->sessions == 0;
    if (last) {
        OctPackStore **link = &registry;
        while (*link != store) {
            link = &(*link)->next;
        }
        *link = store->next;
    }
    pthread_mutex_unlock(&registry_lock);
    if (!last) {
        return;
    }
    for (int i = 0; i < BUCKETS; i++) {
        for (Entry *entry = store->buckets[i]; entry;) {
            Entry *next = entry->next;
            free_entry(entry);
            entry = next;
        }
    }
    oct_graph_free(store->base);
    oct_blocks_free(store->blocks);
    pthread_mutex_destroy(&store->lock);
    oct_free(store);
}

uint64_t oct_pack_store_bytes(OctPackStore *store) {
    pthread_mutex_lock(&store->lock);
    uint64_t bytes = store->bytes;
    pthread_mutex_unlock(&store->lock);
    return bytes;
}

static bool same_key(const OctPackKey *a, const OctPackKey *b) {
    return memcmp(a->constants, b->constants, sizeof a->constants) == 0 &&
           memcmp(a->parameters, b->parameters, sizeof a->parameters) == 0 &&
           strcmp(a->kernel, b->kernel) == 0;
}

/* FNV-1a over the words of the key. */
static size_t bucket_of(const OctPackKey *key) {
    uint64_t hash = 14695981039346656037ULL;
    for (size_t i = 0; i < sizeof key->constants / sizeof key->constants[0]; i++) {
        hash = (hash ^ key->constants[i]) * 1099511628211ULL;
    }
    for (size_t i = 0; i < sizeof key->parameters / sizeof key->parameters[0]; i++) {
        hash = (hash ^ key->parameters[i]) * 1099511628211ULL;
    }
    return (size_t)((hash ^ (hash >> 32)) % BUCKETS);
}

static Entry *find(const OctPackStore *store, const OctPackKey *key) {
    Entry *entry = store->buckets[bucket_of(key)];
    while (entry && !same_key(&entry->key, key)) {
        entry = entry->next;
    }
    return entry;
}

/* Adds an empty entry; NULL when out of memory. */
static Entry *add(OctPackStore *store, const OctPackKey *key) {
    Entry *entry = oct_calloc(1, sizeof *entry);
    char *kernel = oct_strdup(key->kernel);
    if (!entry || !kernel) {
        oct_free(entry);
        oct_free(kernel);
        return NULL;
    }
    entry->key = *key;
    entry->key.kernel = kernel;
    size_t bucket = bucket_of(key);
    entry->next = store->buckets[bucket];
    store->buckets[bucket] = entry;
    return entry;
}

/* Takes back the entry that was added last to its bucket. */
static void take_back(OctPackStore *store, Entry *entry) {
    store->buckets[bucket_of(&entry->key)] = entry->next;
    free_entry(entry);
}

static OctetStatus make_object(OctPackMake make, OctPackDestroy destroy, void *user, OctPack **pack,
                               OctetDiagnostic *diagnostic) {
    OctPack *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    atomic_init(&made->references, 1);
    made->destroy = destroy;
    OctetStatus status = make(user, &made->object, &made->bytes, diagnostic);
    if (status != OCTET_OK) {
        oct_free(made);
        return status;
    }
    *pack = made;
    return OCTET_OK;
}

OctetStatus oct_pack_object(OctPackStore *store, const OctPackKey *key, OctPackMake make,
                            OctPackDestroy destroy, void *user, OctPack **pack,
                            OctetDiagnostic *diagnostic) {
    *pack = NULL;
    if (!store) {
        return make_object(make, destroy, user, pack, diagnostic);
    }
    OctetStatus status = OCTET_OK;
    pthread_mutex_lock(&store->lock);
    Entry *entry = find(store, key);
    if (!entry) {
        entry = add(store, key);
        status = entry ? make_object(make, destroy, user, &entry->pack, diagnostic)
                       : oct_fail_memory(diagnostic);
        if (status == OCTET_OK) {
            store->bytes += entry->pack->bytes;
        } else if (entry) {
            take_back(store, entry);
        }
    }
    if (status == OCTET_OK) {
        atomic_fetch_add_explicit(&entry->pack->references, 1, memory_order_relaxed);
        *pack = entry->pack;
    }
    pthread_mutex_unlock(&store->lock);
    return status;
}

static OctetStatus make_constant(OctDeriveFunction make, void *user, OctConstant **constant,
                                 OctetDiagnostic *diagnostic) {
    OctetTensor *tensor = NULL;
    OCT_TRY(make(user, &tensor, diagnostic));
    *constant = oct_constant_create(tensor);
    return *constant ? OCTET_OK : oct_fail_memory(diagnostic);
}

OctetStatus oct_pack_constant(OctPackStore *store, const OctPackKey *key, OctDeriveFunction make,
                              void *user, OctConstant **constant, OctetDiagnostic *diagnostic) {
    *constant = NULL;
    if (!store) {
        return make_constant(make, user, constant, diagnostic);
    }
    OctetStatus status = OCTET_OK;
    pthread_mutex_lock(&store->lock);
    Entry *entry = find(store, key);
    if (!entry) {
        entry = add(store, key);
        status = entry ? make_constant(make, user, &entry->constant, diagnostic)
                       : oct_fail_memory(diagnostic);
        if (status != OCTET_OK && entry) {
            take_back(store, entry);
        }
    }
    if (status == OCTET_OK) {
        *constant = oct_constant_retain(entry->constant);
    }
    pthread_mutex_unlock(&store->lock);
    return status;
}

OctetStatus oct_pack_base(OctPackStore *store, OctBaseFunction make, const OctGraph **base,
                          OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    pthread_mutex_lock(&store->lock);
    if (!store->base) {
        status = make(store->graph, &store->base, diagnostic);
    }
    *base = store->base;
    pthread_mutex_unlock(&store->lock);
    return status;
}

OctBlocks *oct_pack_blocks(OctPackStore *store) {
    return store ? store->blocks : NULL;
}

const void *oct_pack_data(const OctPack *pack) {
    return pack->object;
}

void oct_pack_release(OctPack *pack) {
    if (pack && atomic_fetch_sub_explicit(&pack->references, 1, memory_order_acq_rel) == 1) {
        pack->destroy(pack->object);
        oct_free(pack);
    }
}
