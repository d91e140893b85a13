/* Export, in steps that rewrite a clone of the graph until it is what the file says:
 * export_activation.c (fused activations back to nodes), export_opset.c (every node at one operator
 * set), export_unfold.c and export_qoperator.c (quantization to nodes); then export_proto.c turns
 * the graph into messages and export.c writes them. */
#ifndef OCT_ONNX_EXPORT_H
#define OCT_ONNX_EXPORT_H

#include "base/file.h"
#include "ir/graph.h"
#include "octet/model.h"
#include "onnx/proto.h"

/* Relu or Clip nodes behind the nodes that carry an activation; the node itself then computes in
 * float, the activation's output has the grid. In the children too. */
OctetStatus oct_export_activations(OctGraph *graph, OctetDiagnostic *diagnostic);

/* The least version of the default operator set that can say all that the graph holds. */
int64_t oct_export_target_opset(const OctGraph *graph, const OctetSaveOptions *options);
/* Rewrites every node of the default domain to what it is called at `opset`. */
OctetStatus oct_export_raise_opset(OctGraph *graph, int32_t opset, OctetDiagnostic *diagnostic);

/* What stands in a file for one quantized value. */
typedef struct OctExportForm {
    OctValue *integers;
    OctValue *real;
    OctValue *scale;
    OctValue *zero_point; /* NULL for int32, whose zero point is 0 */
} OctExportForm;
/* Makes scale and zero point of the value's grid or another one, unless they are there. */
OctetStatus oct_export_parameters(OctGraph *graph, const OctValue *value, const OctetQParams *grid,
                                  OctExportForm *form, OctetDiagnostic *diagnostic);

/* Makes nodes of all quantization. */
OctetStatus oct_export_unfold(OctGraph *graph, const OctetSaveOptions *options,
                              OctetDiagnostic *diagnostic);

/* ---- QOperator form, for export_unfold.c ---- */

/* How a node is written on integers. */
typedef enum OctIntegerForm {
    OCT_FORM_NONE = 0,    /* it isn't */
    OCT_FORM_QLINEAR = 1, /* as an operator of its own, such as QLinearConv */
    OCT_FORM_MOVER = 2    /* as it is, since it only moves elements */
} OctIntegerForm;
OctIntegerForm oct_integer_form(const OctNode *node);

/* Gives the integers of a value and its parameters, as export_unfold.c knows them. */
typedef bool (*OctFindIntegers)(void *user, OctValue *value, OctExportForm *names);
/* Rewrites a node of form OCT_FORM_QLINEAR in place. Its inputs are still the values that `find`
 * knows; `output` is what it made before the caller gave it the integers to make. */
OctetStatus oct_make_qlinear(OctGraph *graph, OctNode *node, OctValue *output, OctFindIntegers find,
                             void *user, OctetDiagnostic *diagnostic);
/* Whether a node can take the bytes of its data inputs and give bytes on the same grid. */
bool oct_moves_bytes(const OctNode *node);
/* Lets such a node of form OCT_FORM_MOVER take them. */
OctetStatus oct_make_mover(OctGraph *graph, OctNode *node, OctFindIntegers find, void *user,
                           OctetDiagnostic *diagnostic);
/* A value of bytes with one scale. */
bool oct_is_byte_value(const OctValue *value);
/* Relu and Clip that rounding to the output's grid does anyway, since the grid ends where they
 * cut, are dropped: fused ones, and nodes behind an operator that has a QLinear form. Exact. */
OctetStatus oct_absorb_activations(OctGraph *graph, OctetDiagnostic *diagnostic);

/* ---- messages ---- */

/* Where large tensors go. */
typedef struct OctExternalWriter {
    const char *location;  /* the file's name as the model says it; NULL: all stays in the model */
    OctFileWriter *writer; /* NULL while only sizes are wanted */
} OctExternalWriter;

/* The graph as a message, in the arena; data is borrowed from the graph's constants. External
 * tensors are written as they are met. */
OctetStatus oct_export_model(OctGraph *graph, const OctExternalWriter *external,
                             Onnx__ModelProto **model, OctetDiagnostic *diagnostic);

/* ---- shared ---- */

/* A constant of int64, rank 1 (or a scalar), with a name made of the node's and `suffix`. NULL when
 * out of memory. */
OctValue *oct_export_ints(OctGraph *graph, const OctNode *node, const char *suffix,
                          const int64_t *ints, int32_t count, bool scalar);
OctValue *oct_export_float(OctGraph *graph, const char *base, const char *suffix, float value);
/* "base_suffix", made unique by whoever takes it; cut off if it is long. */
void oct_export_name(char *buffer, size_t size, const char *base, const char *suffix);

/* octet_model_save with another size, in bytes, above which tensors go to a file of their own. */
OctetStatus oct_model_save(const OctGraph *graph, const char *path, const OctetSaveOptions *options,
                           size_t largest, OctetDiagnostic *diagnostic);

#endif
