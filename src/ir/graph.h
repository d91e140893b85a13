/* The one graph that import, passes, quantization, engine and export share.
 *
 * A value is a tensor that a node makes or that comes from outside; it is in exactly one of the
 * lists "inputs", "constants" or "made by a node". Quantization is a property of a value: every
 * operator computes on the real numbers of its inputs, and the result is rounded onto the grid
 * that its output's qparams describe. So QuantizeLinear -> DequantizeLinear around a tensor is not
 * two nodes but one property, and a float graph differs from its int8 twin in qparams alone.
 *
 * Invariants (oct_graph_verify proves them):
 *   - nodes stand in topological order; names of values are unique and not empty within a graph
 *   - a value with qparams has dtype f32; if it is a constant, its tensor holds the integers
 *     (tensor dtype = qparams.dtype), else its tensor has the value's dtype
 *   - qparams of a value are per tensor unless the value is a constant
 *   - scales are positive and finite, zero points inside the range of qparams.dtype
 *
 * Memory: names, attributes, nodes and values live in the graph's arena until the graph is freed;
 * constants are reference-counted, so that clones share them. A constant's data is immutable. */
#ifndef OCT_IR_GRAPH_H
#define OCT_IR_GRAPH_H

#include "base/mapping.h"
#include "base/mem.h"
#include "ir/names.h"
#include "octet/tensor.h"

struct OctPatience;
typedef struct OctetGraph OctGraph;
typedef struct OctetNode OctNode;
typedef struct OctetValue OctValue;
struct OctOp;
struct OctFindings;

/* A dimension that is not a number. Named symbols ("N", "batch") are -1, -2, ...: equal numbers are
 * equal dimensions. OCT_DIM_UNKNOWN equals nothing, not even itself. */
#define OCT_DIM_UNKNOWN INT64_MIN

/* A dimension among the integers of OctValue.known: numbers as they are, symbols far below any
 * number that a model means, OCT_DIM_UNKNOWN as itself. */
static inline int64_t oct_known_of_dim(int64_t dim) {
    return dim < 0 && dim != OCT_DIM_UNKNOWN ? dim - ((int64_t)1 << 62) : dim;
}
static inline bool oct_known_is_symbol(int64_t known) {
    return known != OCT_DIM_UNKNOWN && known < -((int64_t)1 << 62);
}
static inline bool oct_known_is_number(int64_t known) {
    return known >= -((int64_t)1 << 62);
}
/* Symbols and OCT_DIM_UNKNOWN back to dimensions; numbers as they are. */
static inline int64_t oct_dim_of_known(int64_t known) {
    return oct_known_is_symbol(known) ? known + ((int64_t)1 << 62) : known;
}

/* A reference-counted tensor; counting is atomic, since clones may live on several threads. */
typedef struct OctConstant OctConstant;
OctConstant *oct_constant_create(OctetTensor *tensor); /* takes the tensor over, even on failure */
OctConstant *oct_constant_retain(OctConstant *constant);
void oct_constant_release(OctConstant *constant);
const OctetTensor *oct_constant_tensor(const OctConstant *constant);
/* A number that no other constant of this process has: a key for packed weights. */
uint64_t oct_constant_id(const OctConstant *constant);

struct OctetValue {
    const char *name;
    OctetDType dtype;      /* OCTET_DTYPE_NONE: not known yet; of a sequence: of its tensors */
    OctetShape shape;      /* rank -1: not known yet */
    uint32_t kind;         /* OCTET_KIND_ bits; unless it is a tensor, the shape has rank -1 */
    OctetQParams qparams;  /* dtype NONE: not quantized; arrays live in the arena or
                            with the constant */
    OctConstant *constant; /* NULL unless constant */
    OctNode *producer;     /* NULL for inputs and constants */
    const char *doc;       /* what the file says of an input or output, or NULL */
    int32_t id;            /* index in graph->values; stable until oct_graph_compact */
    bool is_input;
    bool is_output; /* kept by oct_graph_set_outputs and friends */
    /* In the engine's clones: the value of the source graph that this one stands for (or is a form
     * of), and whether it is stored channels-last, its shape then being permuted likewise. */
    const OctValue *origin;
    bool channels_last;
    /* The integers of a small s64, s32 or bool tensor of rank 0 or 1, as far as shape inference
     * knows them; NULL if nothing is known. Lives in the arena. A dimension that is no number is
     * written as oct_known_of_dim gives it, so that it is never taken for a negative number. */
    const int64_t *known;
    int32_t known_count;
};

typedef enum OctAttributeType {
    OCT_ATTRIBUTE_FLOAT = 1, /* numbered as in ONNX */
    OCT_ATTRIBUTE_INT = 2,
    OCT_ATTRIBUTE_STRING = 3,
    OCT_ATTRIBUTE_TENSOR = 4,
    OCT_ATTRIBUTE_GRAPH = 5,
    OCT_ATTRIBUTE_FLOATS = 6,
    OCT_ATTRIBUTE_INTS = 7,
    OCT_ATTRIBUTE_STRINGS = 8
} OctAttributeType;

typedef struct OctAttribute {
    const char *name;
    OctAttributeType type;
    int32_t count; /* of floats, ints, strings */
    union {
        float f;
        int64_t i;
        const char *s;
        OctConstant *tensor; /* owned by the graph */
        OctGraph *graph;     /* a child graph, owned by the parent */
        const float *floats;
        const int64_t *ints;
        const char *const *strings;
    } v;
} OctAttribute;

/* An activation that is applied to a node's first output before it is rounded to its grid.
 * RELU is CLIP with [0, inf). */
typedef enum OctActivationKind {
    OCT_ACTIVATION_NONE = 0,
    OCT_ACTIVATION_CLIP = 1
} OctActivationKind;

typedef struct OctActivation {
    OctActivationKind kind;
    float minimum; /* -INFINITY where there is no bound */
    float maximum;
} OctActivation;

/* What the engine fuses into an int8 node on its own clone, beyond the activation; evaluated in
 * this order on the node's result, every step with its own rounding, so that fusing never changes
 * a bit: round to `grid` (with the node's activation as its clamp), look up in `table`, add the
 * last input (the residual) on the output's grid, clamp to the output activation. */
typedef struct OctFusion {
    OctetQParams grid;    /* of the result before table and residual; dtype NONE: the output's */
    const uint8_t *table; /* 256 entries; NULL for none. The node does not copy it. */
    OctetQParams
        table_grid;      /* of what the table gives; dtype NONE: `grid`. Used if both are there */
    bool has_residual;   /* the node's last input is added */
    bool residual_first; /* it was the Add's first operand: the order matters for the rounding */
    OctActivation activation; /* after the residual */
} OctFusion;

/* What a file says about a node besides what it computes. */
typedef struct OctNotes {
    const char *doc; /* NULL for none */
    /* The node's metadata as the message's bytes: those of NodeProto.metadata_props (ONNX 1.16)
     * from the first one's length on. */
    const uint8_t *metadata;
    size_t metadata_bytes;
} OctNotes;

struct OctetNode {
    const char *name; /* unique, never empty */
    const char *op_type;
    const char
        *domain;   /* "" is ONNX's own; "com.microsoft"; "octet" for the engine's internal ones */
    int32_t opset; /* the opset version of its domain that the node is read at */
    const struct OctOp *op; /* NULL until resolved, or when Octet lacks it */
    OctValue **inputs;      /* NULL where an optional input is left out */
    OctValue **outputs;     /* likewise */
    int32_t input_count;
    int32_t output_count;
    OctAttribute *attributes;
    int32_t attribute_count, attribute_capacity;
    OctActivation activation;
    /* Of the node that the activation was in the file, and of what that node read; NULL if it was
     * none. */
    const char *activation_name, *activation_input;
    OctNotes notes, activation_notes;
    int64_t file_order;       /* its place in the file that it was read from */
    const OctFusion *fusion;  /* NULL except in the engine's clones */
    const char *float_reason; /* set by convert: why the node stays in float; NULL otherwise */
    bool keep_float; /* the engine, on its clone: no int8 kernel takes this node on its grids */
    bool hold;       /* passes leave it as it is: see octet_fuse_modules */
    bool refused;    /* import found a fault with it: see ir/findings.h */
    bool dead;       /* removed; dropped by oct_graph_compact */
    void *plan;      /* the engine's own notes on a clone; NULL elsewhere */
};

typedef struct OctMetadata {
    const char *key;
    const char *value;
} OctMetadata;

typedef struct OctOpset {
    const char *domain;
    int64_t version;
} OctOpset;

struct OctetGraph {
    const char *name;
    OctArena *arena;  /* shared with child graphs; owned by the root */
    OctGraph *parent; /* NULL for the root; child nodes may use the parent's values */
    OctNode **nodes;  /* topological order */
    int32_t node_count, node_capacity;
    OctValue **values; /* all of this graph's own values */
    int32_t value_count, value_capacity;
    OctValue **inputs;
    int32_t input_count, input_capacity;
    OctValue **outputs;
    int32_t output_count, output_capacity;
    OctGraph **children; /* graphs in attributes */
    int32_t child_count, child_capacity;
    const char **symbols; /* symbols[i] is the name of dimension -(i + 1); root only */
    int32_t symbol_count, symbol_capacity;
    OctMetadata *metadata; /* root only; from and to the file's metadata_props */
    int32_t metadata_count, metadata_capacity;
    OctOpset *opsets; /* root only: what the file imports */
    int32_t opset_count, opset_capacity;
    int64_t ir_version;
    int64_t model_version;
    const char *producer_name, *producer_version, *doc, *model_domain; /* may be NULL */
    const char *graph_doc;
    /* Root only, and not in clones: the file it was loaded from, if that stays in memory, and the
     * packed section in it (base/blocks.h), NULL for none. */
    OctMapping *file;
    const uint8_t *packed;
    size_t packed_bytes;
    struct OctFindings *findings; /* root only, during import: where faults of nodes go */
    /* Root only, and in its clones: patience for calls over the graph that are not given any. */
    bool (*canceled)(void *user);
    void *canceled_user;
    double max_seconds;
    size_t fold_budget; /* root only: bytes that folding may still make; 0: not counted yet */
    bool quantized;     /* convert has run, or the file came with qparams */
    OctNames value_names, node_names;
    uint64_t next_name;            /* for generated names */
    OctetDiagnostic build_failure; /* the first failure of a builder call */
};

/* ---- making and freeing; the create functions return NULL when out of memory ---- */
OctGraph *oct_graph_create(void);
OctGraph *oct_graph_create_child(OctGraph *parent);
void oct_graph_free(OctGraph *graph); /* NULL is fine; a child is freed by its parent */
/* The graph's own patience for this thread, to be ended with oct_patience_end. */
void oct_graph_begin(const OctGraph *graph, struct OctPatience *patience);
/* A deep copy that shares constants' data. */
OctetStatus oct_graph_clone(const OctGraph *graph, OctGraph **clone, OctetDiagnostic *diagnostic);
/* The same for a graph that outlives its copy: names, parameters and lists in attributes stay the
 * original's. Such arrays are never changed, only replaced. */
OctetStatus oct_graph_clone_borrowing(const OctGraph *graph, OctGraph **clone,
                                      OctetDiagnostic *diagnostic);

/* A new value; `name` is copied. With NULL or a name that is taken, a unique one is made of it. */
OctValue *oct_graph_add_value(OctGraph *graph, const char *name);
/* A new value or node (at the end, without anything but its name) by a name that lives as long as
 * the graph and that no other one has. */
OctValue *oct_graph_place_value(OctGraph *graph, const char *own);
OctNode *oct_graph_place_node(OctGraph *graph, const char *own);
/* A constant value over `tensor`, which is taken over even on failure. tensor->qparams becomes the
 * value's qparams. */
OctValue *oct_graph_add_constant(OctGraph *graph, const char *name, OctetTensor *tensor);
/* A new node at the end; arrays are copied, `outputs` get it as their producer. */
OctNode *oct_graph_add_node(OctGraph *graph, const char *op_type, const char *domain,
                            const char *name, OctValue *const *inputs, int32_t input_count,
                            OctValue *const *outputs, int32_t output_count);
/* Same, standing directly before `before` (NULL: at the end). */
OctNode *oct_graph_insert_node(OctGraph *graph, OctNode *before, const char *op_type,
                               const char *domain, const char *name, OctValue *const *inputs,
                               int32_t input_count, OctValue *const *outputs, int32_t output_count);
bool oct_graph_add_input(OctGraph *graph, OctValue *value);
bool oct_graph_add_output(OctGraph *graph, OctValue *value);
/* A value by name, in this graph or its parents; NULL if there is none. */
OctValue *oct_graph_find_value(const OctGraph *graph, const char *name);
OctNode *oct_graph_find_node(const OctGraph *graph, const char *name);
/* A name derived from `base` that no value (or node) of the graph has. In the arena. */
const char *oct_graph_unique_name(OctGraph *graph, const char *base);

/* ---- attributes ---- */
const OctAttribute *oct_node_attribute(const OctNode *node, const char *name);
int64_t oct_node_int(const OctNode *node, const char *name, int64_t fallback);
float oct_node_float(const OctNode *node, const char *name, float fallback);
const char *oct_node_string(const OctNode *node, const char *name, const char *fallback);
/* The ints of an attribute; returns their number, 0 if it is absent. */
int32_t oct_node_ints(const OctNode *node, const char *name, const int64_t **ints);
/* Setting replaces; arrays and strings are copied. False when out of memory. */
bool oct_node_set_int(OctGraph *graph, OctNode *node, const char *name, int64_t value);
bool oct_node_set_float(OctGraph *graph, OctNode *node, const char *name, float value);
bool oct_node_set_string(OctGraph *graph, OctNode *node, const char *name, const char *value);
bool oct_node_set_ints(OctGraph *graph, OctNode *node, const char *name, const int64_t *values,
                       int32_t count);
bool oct_node_set_floats(OctGraph *graph, OctNode *node, const char *name, const float *values,
                         int32_t count);
bool oct_node_set_strings(OctGraph *graph, OctNode *node, const char *name,
                          const char *const *values, int32_t count);
/* Takes the constant over. */
bool oct_node_set_tensor(OctGraph *graph, OctNode *node, const char *name, OctConstant *tensor);
bool oct_node_set_graph(OctGraph *graph, OctNode *node, const char *name, OctGraph *child);
void oct_node_remove_attribute(OctNode *node, const char *name);

/* The attribute of an Identity that marks a border of int8: OCT_STUB_QUANT or _DEQUANT. */
#define OCT_STUB "octet_stub"
enum { OCT_STUB_QUANT = 1, OCT_STUB_DEQUANT = 2 };

/* The attributes of an Optional without an input that stand for ONNX's `type`: what would be there,
 * as OCTET_KIND_ bits, and its element type. */
#define OCT_TYPE_KIND "octet_kind"
#define OCT_TYPE_DTYPE "octet_dtype"

/* Notes in the node's documentation that it computes what another one did, which is going to be
 * removed: "includes Relu 'relu_3'". False when out of memory. */
bool oct_node_include(OctGraph *graph, OctNode *node, const char *op_type, const char *name,
                      const OctNotes *notes);

/* ---- editing ---- */
/* Input k of a node, NULL if it is absent. */
static inline OctValue *oct_node_input(const OctNode *node, int32_t k);
static inline OctValue *oct_node_output(const OctNode *node, int32_t k);
/* Lengthens the input list with NULLs if needed and sets one. */
bool oct_node_set_input(OctGraph *graph, OctNode *node, int32_t k, OctValue *value);
/* Every use of `from` (inputs of nodes, child graphs, graph outputs) becomes `to`. A graph output
 * keeps its name: `to` takes over from's name if from is an output. */
OctetStatus oct_graph_replace_uses(OctGraph *graph, OctValue *from, OctValue *to,
                                   OctetDiagnostic *diagnostic);
/* In a graph and its children, replaces every use of a value v of `graph` by replaced[v->id]
 * (NULL: v stays), of its first `count` values. Graph outputs are not touched. */
void oct_graph_replace_all(OctGraph *graph, OctValue *const *replaced, int32_t count);
/* Marks the node dead and detaches its outputs from it. */
void oct_graph_remove_node(OctGraph *graph, OctNode *node);
/* Drops dead nodes, values that nothing uses (inputs and outputs stay), sorts topologically and
 * renumbers. A cycle is an error. */
OctetStatus oct_graph_compact(OctGraph *graph, OctetDiagnostic *diagnostic);
/* Copies qparams into the graph's arena and sets them; dtype NONE clears. */
bool oct_graph_set_qparams(OctGraph *graph, OctValue *value, const OctetQParams *qparams);
/* Makes the value a constant, or replaces its tensor (taken over, even on failure); dtype, shape
 * and qparams follow. */
bool oct_value_set_constant(OctValue *value, OctetTensor *tensor);
/* The same with a constant, of which it takes the reference. */
void oct_value_take_constant(OctValue *value, OctConstant *constant);

/* Consumers of every value, built once and valid until the graph is edited.
 * uses[first[v->id] .. first[v->id + 1]) are the nodes, child graphs' uses counted for the node
 * that holds them. A graph output counts in output_uses[v->id]. */
typedef struct OctUses {
    OctNode **nodes;
    int32_t *first;
    int32_t *output_uses;
} OctUses;
OctetStatus oct_graph_uses(const OctGraph *graph, OctUses *uses, OctetDiagnostic *diagnostic);
void oct_uses_free(OctUses *uses);
/* How many nodes use the value, and the only one (NULL unless exactly one). */
int32_t oct_uses_count(const OctUses *uses, const OctValue *value);
OctNode *oct_uses_single(const OctUses *uses, const OctValue *value);

/* ---- symbols, metadata ---- */
/* The dimension for a symbol's name, made when new. OCT_DIM_UNKNOWN when out of memory. */
int64_t oct_graph_symbol(OctGraph *graph, const char *name);
const char *oct_graph_symbol_name(const OctGraph *graph, int64_t dim);
const char *oct_graph_metadata(const OctGraph *graph, const char *key); /* NULL if absent */
bool oct_graph_set_metadata(OctGraph *graph, const char *key, const char *value);
int64_t oct_graph_opset(const OctGraph *graph, const char *domain); /* 0 if not imported */
bool oct_graph_set_opset(OctGraph *graph, const char *domain, int64_t version);

/* ---- inference and verification ---- */
/* Resolves nothing; runs node->op->infer of every node in order (nodes without op leave their
 * outputs unknown). Known shapes that contradict inferred ones are an error. */
OctetStatus oct_graph_infer(OctGraph *graph, OctetDiagnostic *diagnostic);
/* Checks the invariants above. OCTET_ERROR_INTERNAL with the reason when one is broken. */
OctetStatus oct_graph_verify(const OctGraph *graph, OctetDiagnostic *diagnostic);

static inline OctValue *oct_node_input(const OctNode *node, int32_t k) {
    return k < node->input_count ? node->inputs[k] : NULL;
}

static inline OctValue *oct_node_output(const OctNode *node, int32_t k) {
    return k < node->output_count ? node->outputs[k] : NULL;
}

static inline bool oct_value_quantized(const OctValue *value) {
    return value->qparams.dtype != OCTET_DTYPE_NONE;
}

/* The constant's tensor, NULL if the value is not a constant. */
static inline const OctetTensor *oct_value_tensor(const OctValue *value) {
    return value && value->constant ? oct_constant_tensor(value->constant) : NULL;
}

/* The type that the value is held in: the grid's integers if it is quantized. */
static inline OctetDType oct_value_storage(const OctValue *value) {
    return oct_value_quantized(value) ? value->qparams.dtype : value->dtype;
}

/* All dimensions known? */
bool oct_value_has_static_shape(const OctValue *value);
/* The value's integers if shape inference or a constant knows them: fills at most `capacity`
 * and returns the number, -1 if not known or too many. Where the value is no constant, symbols
 * may be among them: oct_dim_of_known. */
int32_t oct_value_known_ints(const OctValue *value, int64_t *ints, int32_t capacity);

#endif
