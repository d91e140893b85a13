/* Packed weights, made once and shared by all plans and sessions of a graph. */
#ifndef OCT_ENGINE_PACK_H
#define OCT_ENGINE_PACK_H

#include "base/blocks.h"
#include "ir/op.h"

/* What the bytes of a packing are a function of. Zero-initialize it and fill what applies. */
typedef struct OctPackKey {
    const char *kernel;      /* the bundle's name, compared as text; copied */
    uint64_t constants[4];   /* oct_constant_id of weight, bias, ...; 0 for none */
    uint64_t parameters[16]; /* all else: sizes, zero points, bits of scales, ... */
} OctPackKey;

/* A reference-counted, immutable packing: an object that a kernel family makes and frees itself
 * (OctF32Conv, OctQ8Conv, ...). */
typedef struct OctPack OctPack;

/* Finds the packing in the store or makes it; with store NULL it is always made. `make` returns the
 * object with the bytes that it takes; it must not call back here. On success *pack holds a
 * reference for the caller: release it in the operator's destroy. Thread-safe. */
typedef OctetStatus (*OctPackMake)(void *user, void **object, size_t *bytes,
                                   OctetDiagnostic *diagnostic);
typedef void (*OctPackDestroy)(void *object);
OctetStatus oct_pack_object(OctPackStore *store, const OctPackKey *key, OctPackMake make,
                            OctPackDestroy destroy, void *user, OctPack **pack,
                            OctetDiagnostic *diagnostic);
const void *oct_pack_data(const OctPack *pack); /* the object */
void oct_pack_release(OctPack *pack);           /* NULL is fine */

/* A constant that is a function of others (rebased or dequantized weights), shared likewise. `make`
 * returns a tensor that the store takes over. *constant holds a reference for the caller. */
typedef OctetStatus (*OctDeriveFunction)(void *user, OctetTensor **tensor,
                                         OctetDiagnostic *diagnostic);
OctetStatus oct_pack_constant(OctPackStore *store, const OctPackKey *key, OctDeriveFunction make,
                              void *user, OctConstant **constant, OctetDiagnostic *diagnostic);

/* The store of a graph: made for the first session, freed with the last one. */
OctetStatus oct_pack_store_acquire(const OctGraph *graph, OctPackStore **store,
                                   OctetDiagnostic *diagnostic);
/* Whether a session of the process has a store of this graph. */
bool oct_pack_store_exists(const OctGraph *graph);
void oct_pack_store_release(OctPackStore *store); /* NULL is fine */
/* The graph that plans are made from, made once for all sessions that can share it. It belongs to
 * the store and must not change. */
typedef OctetStatus (*OctBaseFunction)(const OctGraph *source, OctGraph **base,
                                       OctetDiagnostic *diagnostic);
OctetStatus oct_pack_base(OctPackStore *store, OctBaseFunction make, const OctGraph **base,
                          OctetDiagnostic *diagnostic);
/* Where packings of this store take their memory from, to be handed to what oct_pack_object makes.
 * NULL for store NULL. */
OctBlocks *oct_pack_blocks(OctPackStore *store);
/* Bytes of all packings that the store holds. */
uint64_t oct_pack_store_bytes(OctPackStore *store);

#endif
