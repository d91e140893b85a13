/* The import of a model, in parts: import.c (files and limits), import_graph.c (values and scopes),
 * import_node.c (nodes, attributes, constants), import_function.c (model-local functions, expanded
 * in place), import_type.c (types and shapes), attribute_types.c, import_finish.c (folding and
 * inference). */
#ifndef OCT_ONNX_IMPORT_H
#define OCT_ONNX_IMPORT_H

#include "ir/findings.h"
#include "octet/model.h"
#include "onnx/tensor_proto.h"

/* What the file says of a value that a node makes. Such statements are often stale in real files,
 * so they only fill in what inference can't find. */
typedef struct OctHint {
    OctValue *value;
    OctetDType dtype;
    OctetShape shape;
    uint32_t kind;
    bool applied;
} OctHint;

typedef struct OctImport {
    OctGraph *root;
    OctDataSource source;
    OctArena *messages; /* unpacked: the model without its graph's initializers; and what else is
                           needed until the nodes are there */
    OctArena *message;  /* unpacked: one initializer at a time */
    OctNames functions; /* by "domain:name" and "domain:name:overload"; see import_function.c */
    uint64_t max_nodes, nodes_left;
    uint64_t function_bytes_left; /* bytes of functions' messages that calls may still expand to */
    uint32_t max_depth;
    bool lenient;
    OctFindings findings;
    bool narrowed; /* something is declared f16, bf16 or f64 */
    OctHint *hints;
    int32_t hint_count, hint_capacity;
    OctetDiagnostic *diagnostic;
} OctImport;

/* A model-local function. */
typedef struct OctFunction {
    const Onnx__FunctionProto *proto;
    Onnx__AttributeProto **defaults; /* unpacked from a field that the message type lacks */
    size_t default_count;
    size_t bytes; /* of the message */
} OctFunction;

/* A call that is being expanded; the body's attributes may refer to the call's. */
typedef struct OctCall {
    const OctFunction *function;
    const Onnx__NodeProto *node;
    const struct OctCall *outer;  /* the call whose body this call stands in */
    const struct OctScope *scope; /* in which the call stands: for graphs that it is given */
    const char *prefix;           /* for the names inside */
} OctCall;

/* The names that a graph's or a function's nodes see. Keys are borrowed from the message. */
typedef struct OctScope {
    const struct OctScope *outer; /* the enclosing graph's; NULL for the root and for functions */
    OctGraph *graph;              /* to which nodes are added */
    OctNames values;
    OctNames bound; /* a function's outputs: the caller's values */
    const OctCall *call;
    uint32_t depth; /* of subgraphs and calls */
} OctScope;

/* The value of a name, NULL if nothing has it. */
OctValue *oct_scope_find(const OctScope *scope, const char *name);
/* The same for a node's input list: "" gives NULL; *value is NULL too for absent optional inputs of
 * a function. Anything unknown is an error. */
OctetStatus oct_scope_resolve(const OctScope *scope, const char *name, const char *node,
                              OctValue **value, OctetDiagnostic *diagnostic);
/* Stands in scopes for an optional input that a function's caller left out. */
extern OctValue oct_absent_value;

/* Declares the outputs of nodes, then adds the nodes, in any order. */
OctetStatus oct_import_nodes(OctImport *import, OctScope *scope, Onnx__NodeProto *const *nodes,
                             size_t count);
/* A child graph of scope->graph, whose names are those that `names` sees: the same scope, or that
 * of a call which gave the graph to a function. */
OctetStatus oct_import_child(OctImport *import, const OctScope *scope, const OctScope *names,
                             const Onnx__GraphProto *proto, OctGraph **child);
/* A graph that exists but is empty, with constants added already (initializers of the root). */
OctetStatus oct_import_graph(OctImport *import, OctScope *scope, const Onnx__GraphProto *proto);
OctetStatus oct_import_initializer(OctImport *import, OctScope *scope,
                                   const Onnx__TensorProto *proto);

OctetStatus oct_import_node(OctImport *import, OctScope *scope, const Onnx__NodeProto *proto);
/* What import->diagnostic tells, if that is about a node that could not be made: see
 * oct_graph_fault. */
OctetStatus oct_import_fault(OctImport *import, const OctScope *scope, const Onnx__NodeProto *proto,
                             OctetStatus status);
/* Of an attribute of ONNX's own operators and of com.microsoft's with the same names: a type that
 * it can't have is malformed, one that no operator has is unsupported. */
OctetStatus oct_attribute_check(const OctNode *node, const char *name,
                                Onnx__AttributeProto__AttributeType type,
                                const Onnx__AttributeProto *proto, OctetDiagnostic *diagnostic);
/* The name that something inside a call gets. In the arena unless it is `name` itself. */
const char *oct_import_name(const OctImport *import, const OctScope *scope, const char *name);

OctetStatus oct_functions_collect(OctImport *import, const Onnx__ModelProto *model);
/* NULL if the node calls no function of the model. */
const OctFunction *oct_function_find(const OctImport *import, const Onnx__NodeProto *node);
OctetStatus oct_function_expand(OctImport *import, OctScope *scope, const Onnx__NodeProto *node,
                                const OctFunction *function);
/* The attribute itself, or what it refers to in the calls around `scope`; NULL if that is absent.
 * *names is the scope in which it stands; it may be NULL. */
const Onnx__AttributeProto *oct_attribute_resolve(const OctScope *scope,
                                                  const Onnx__AttributeProto *attribute,
                                                  const OctScope **names);
/* The version of a domain that nodes of this scope are read at. */
int32_t oct_scope_opset(const OctScope *scope, const char *domain);

/* What a file says of a value. A rank above OCTET_MAX_RANK, no shape at all or a kind other than a
 * tensor gives rank -1; an element type or a kind that Octet lacks gives dtype NONE, and `what`
 * says then what it is, in words. */
typedef struct OctType {
    uint32_t kind;
    OctetDType dtype;
    OctetShape shape;
    const char *what;
} OctType;
OctType oct_import_type(OctImport *import, const Onnx__TypeProto *type);
/* Of an input of `graph`. The root's inputs are all that inference starts from, so that they need
 * a type. */
OctetStatus oct_import_input_type(OctImport *import, const OctGraph *graph,
                                  const Onnx__ValueInfoProto *info, OctValue *value);
OctetStatus oct_import_hint(OctImport *import, OctValue *value, const Onnx__TypeProto *type);
/* Fills in what inference left open; true if anything changed. */
bool oct_hints_apply(OctImport *import);
void oct_hints_withdraw(OctImport *import);

/* Folds, resolves and infers. What is wrong with nodes is in import->findings then. */
OctetStatus oct_import_finish(OctImport *import);
/* The outcome, for `diagnostic`, of an import that ended with `status`; tells the findings. */
OctetStatus oct_import_conclude(OctImport *import, OctetStatus status,
                                const OctetLoadOptions *options, OctetDiagnostic *diagnostic);

/* "" for NULL, as protobuf reads absent strings. */
static inline const char *oct_text(const char *text) {
    return text ? text : "";
}

#endif
