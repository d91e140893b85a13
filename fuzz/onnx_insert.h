/* New nodes for the mutator: an operator of Octet's table with inputs that exist, attributes by
 * names that operators know, and its result as an output of the graph. */
#ifndef OCT_FUZZ_ONNX_INSERT_H
#define OCT_FUZZ_ONNX_INSERT_H

#include "onnx/proto.h"

typedef struct Out {
    uint8_t *data;
    size_t size, room;
    bool full;
} Out;

void out_bytes(Out *out, const void *data, size_t size);
void out_varint(Out *out, uint64_t value);
/* A field of bytes. */
void out_text(Out *out, uint32_t number, const void *data, size_t size);

uint64_t next_random(uint64_t *state);
uint64_t interesting_number(uint64_t *random);

/* The names that nodes of a model use, those of subgraphs included. */
enum { MAX_NAMES = 512 };
typedef struct Names {
    OctSpan items[MAX_NAMES];
    size_t count;
} Names;
void collect_names(OctSpan model, Names *names);

/* One of the names; empty if there are none. */
OctSpan random_name(const Names *names, uint64_t *random);
const char *random_operator(uint64_t *random);
const char *random_attribute(uint64_t *random);
/* Fields for the end of a GraphProto: a node, constants for it, an output. */
void out_new_node(Out *out, const Names *names, uint64_t *random);

#endif
