/* What an operator is: one OctOp per (domain, name, range of opset versions), in the tables of
 * src/ops. The life of an operator: check once after import, infer shapes (often), prepare once
 * per plan with concrete shapes, run many times, destroy. */
#ifndef OCT_IR_OP_H
#define OCT_IR_OP_H

#include "ir/graph.h"
#include "octet/session.h"

/* A tensor as a kernel sees it: no ownership, no quantization. */
typedef struct OctView {
    void *data;
    OctetDType dtype; /* the storage type */
    OctetShape shape;
} OctView;

/* Packed weights, shared between sessions: see engine/pack.h. */
typedef struct OctPackStore OctPackStore;

/* What prepare may look at. Graph and node stay until the prepared operator is destroyed.
 * node->inputs and outputs have concrete shapes and dtypes, except for outputs of operators that
 * are OCT_OP_DYNAMIC. Weights come as constants. */
typedef struct OctPrepare {
    const OctGraph *graph;
    const OctNode *node;
    OctetCpu cpu;
    OctetRequantize requantize;
    size_t threads;       /* of the pool that will run it */
    OctPackStore *packs;  /* may be NULL: then pack privately */
    uint64_t table_limit; /* the most that OctPreparedOp.table_bytes may be */
    OctetDiagnostic *diagnostic;
} OctPrepare;

typedef struct OctRun {
    const OctView *inputs; /* input_count; data NULL where left out */
    OctView *outputs;      /* output_count; data NULL where left out */
    int32_t input_count, output_count;
    void *workspace;       /* OctPreparedOp.workspace_bytes, 64-byte aligned */
    OctetThreadPool *pool; /* may be NULL */
    OctetDiagnostic *diagnostic;
    /* Operators that are OCT_OP_DYNAMIC call this to give output k its shape and memory, and then
     * read outputs[k].data. */
    OctetStatus (*resize_output)(const struct OctRun *run, int32_t k, const OctetShape *shape);
    uint64_t table_limit; /* bytes that such operators may take beside their outputs */
    void *engine;         /* for resize_output and control flow */
} OctRun;

/* A prepared operator. Zero-initialized by the caller of prepare. */
typedef struct OctPreparedOp {
    OctetStatus (*run)(void *state, const OctRun *run);
    void (*destroy)(void *state); /* may be NULL when state is NULL */
    void *state;
    size_t workspace_bytes;
    uint64_t table_bytes; /* of what the state holds that grows with the shapes */
    const char *kernel;   /* "q8_conv 6x64", static storage: for `bench --per-node` */
    OctetCpu cpu;         /* the level of that kernel */
    double macs;          /* multiply-accumulates a run */
} OctPreparedOp;

enum {
    OCT_OP_ELEMENTWISE = 1 << 0, /* one data input, output of its shape, each element by itself */
    OCT_OP_MOVES_DATA = 1 << 1,  /* output elements are input elements: grid and values unchanged */
    OCT_OP_INT8 = 1 << 2,        /* prepare has integer kernels for quantized inputs and output */
    /* Output shapes may depend on data (they do where inference leaves them unknown although the
     * input shapes are concrete): run then calls OctRun.resize_output. */
    OCT_OP_DYNAMIC = 1 << 3,
    OCT_OP_LAYOUT = 1 << 4,    /* computes channels-last when attribute "channels_last" is 1 */
    OCT_OP_INPLACE = 1 << 5,   /* output 0 may take the memory of input 0 */
    OCT_OP_RANDOM = 1 << 6,    /* not a function of its inputs: never folded or merged */
    OCT_OP_VIEW = 1 << 7,      /* output has the input's bytes in the same order: Reshape & co. */
    OCT_OP_BROADCAST = 1 << 8, /* elementwise with numpy broadcasting over its inputs */
    /* Run by the engine itself (engine/control.c, engine/sequence.c): it has child graphs, or takes
     * or gives what is no tensor. prepare is never called. */
    OCT_OP_ENGINE = 1 << 9,
    /* Takes and gives 8-bit floats, as ONNX says; to all others oct_check_float8 denies them. */
    OCT_OP_FLOAT8 = 1 << 10
};

typedef struct OctOp {
    const char *domain;
    const char *name;
    int32_t since; /* first opset version that it implements */
    int32_t until; /* last, 0: still valid */
    uint32_t flags;
    int32_t min_inputs, max_inputs; /* max -1: any number */
    int32_t min_outputs, max_outputs;
    /* Attribute values and types that Octet lacks: OCTET_ERROR_UNSUPPORTED with the reason;
     * malformed ones: OCTET_ERROR_FORMAT. NULL: nothing to check beyond the counts. */
    OctetStatus (*check)(const OctGraph *graph, const OctNode *node, OctetDiagnostic *diagnostic);
    /* Sets dtype and shape (and `known`) of the outputs from the inputs'. Unknown inputs give
     * unknown outputs, not errors; contradictions are OCTET_ERROR_SHAPE. */
    OctetStatus (*infer)(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic);
    OctetStatus (*prepare)(const OctPrepare *prepare, OctPreparedOp *prepared);
} OctOp;

/* Looks an operator up; NULL if Octet lacks it at that version (see src/ops/table.c). */
const OctOp *oct_op_find(const char *domain, const char *name, int64_t opset);
/* OCTET_ERROR_UNSUPPORTED if a node takes or gives 8-bit floats and its operator can't. Types that
 * are not known yet pass: resolving, inference and preparing all ask. */
OctetStatus oct_check_float8(const OctNode *node, OctetDiagnostic *diagnostic);
/* Sets node->op in the graph and its children and runs the checks. A node that Octet can't run is
 * a fault of it (ir/findings.h): an error, or noted and left with op NULL. */
OctetStatus oct_graph_resolve(OctGraph *graph, OctetDiagnostic *diagnostic);

#endif
