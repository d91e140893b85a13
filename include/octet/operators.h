/* Operators: which ones there are, and custom ones. */
#ifndef OCTET_OPERATORS_H
#define OCTET_OPERATORS_H

#include "octet/graph.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct OctetOperatorInfo {
    const char *domain; /* "" is ONNX's own; "octet" holds what the engine puts in itself */
    const char *name;
    int32_t since, until; /* opset versions; until 0: still valid */
    bool int8;            /* has int8 kernels beside the float ones */
} OctetOperatorInfo;

/* The index-th operator that Octet itself has; false behind the last. */
OCTET_API bool octet_operator_at(size_t index, OctetOperatorInfo *info);

/* Type and shape of a tensor before it exists. rank -1 and dimensions below 0: not known yet. */
typedef struct OctetTensorInfo {
    OctetDType dtype;
    OctetShape shape;
} OctetTensorInfo;

/* A custom operator. Strings and `user` must outlive the process' last use of Octet; the functions
 * may be called from several threads at once. */
typedef struct OctetCustomOperator {
    const char *domain, *name;
    int32_t since, until;           /* opset versions of the domain; until 0: no last one */
    int32_t min_inputs, max_inputs; /* max -1: any number */
    int32_t min_outputs, max_outputs;
    void *user;
    /* Sets type and shape of all outputs. An input that is left out has dtype NONE. Unknown
     * inputs give unknown outputs; what can't be right is OCTET_ERROR_SHAPE. */
    OctetStatus (*infer)(void *user, const OctetNode *node, const OctetTensorInfo *inputs,
                         size_t input_count, OctetTensorInfo *outputs, size_t output_count,
                         OctetDiagnostic *diagnostic);
    /* Fills the outputs, which have the shapes that infer gave. Floats of every width are f32.
     * inputs[k] and outputs[k] are NULL where they are left out. */
    OctetStatus (*run)(void *user, const OctetNode *node, const OctetTensor *const *inputs,
                       size_t input_count, OctetTensor *const *outputs, size_t output_count,
                       OctetDiagnostic *diagnostic);
} OctetCustomOperator;

/* Makes a custom operator known to all models that are loaded or built afterwards; it is copied.
 * Octet's own operators can't be replaced, nor one registered before: OCTET_ERROR_STATE. At most
 * 256. Not synchronized: call it before other threads use Octet. */
OCTET_API OctetStatus octet_register_operator(const OctetCustomOperator *custom,
                                              OctetDiagnostic *diagnostic);

/* Attributes of a node, for custom operators; `fallback` where it is absent or of another type. */
OCTET_API int64_t octet_node_attribute_int(const OctetNode *node, const char *name,
                                           int64_t fallback);
OCTET_API float octet_node_attribute_float(const OctetNode *node, const char *name, float fallback);
OCTET_API const char *octet_node_attribute_string(const OctetNode *node, const char *name,
                                                  const char *fallback);
/* Returns the number of integers, 0 if it is absent. They belong to the node. */
OCTET_API size_t octet_node_attribute_ints(const OctetNode *node, const char *name,
                                           const int64_t **ints);

/* What a shared object for `octet --plugin FILE` is given, so that it needs to link nothing. */
typedef struct OctetPluginHost {
    uint32_t version; /* 1 */
    OctetStatus (*register_operator)(const OctetCustomOperator *custom,
                                     OctetDiagnostic *diagnostic);
    int64_t (*attribute_int)(const OctetNode *node, const char *name, int64_t fallback);
    float (*attribute_float)(const OctetNode *node, const char *name, float fallback);
    const char *(*attribute_string)(const OctetNode *node, const char *name, const char *fallback);
    size_t (*attribute_ints)(const OctetNode *node, const char *name, const int64_t **ints);
} OctetPluginHost;

#if defined(__GNUC__)
#define OCTET_PLUGIN_EXPORT __attribute__((visibility("default")))
#else
#define OCTET_PLUGIN_EXPORT
#endif

/* The function that a plugin exports, under the name "octet_plugin". */
typedef OctetStatus (*OctetPlugin)(const OctetPluginHost *host, OctetDiagnostic *diagnostic);

#ifdef __cplusplus
}
#endif
#endif
