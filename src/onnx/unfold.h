/* What export_unfold.c and export_border.c share while they make nodes of quantization. */
#ifndef OCT_ONNX_UNFOLD_H
#define OCT_ONNX_UNFOLD_H

#include "onnx/export.h"

typedef struct OctUnfold {
    OctGraph *graph;
    const OctetSaveOptions *options;
    int32_t opset;
    int32_t value_count;
    OctExportForm *forms;    /* by number of the original values */
    OctValue **replaced;     /* likewise: what users of the real numbers take */
    OctIntegerForm *written; /* likewise: the form of the node that makes it */
    OctUses uses;
    OctetDiagnostic *diagnostic;
} OctUnfold;

/* A value "like_suffix" of the same shape; NULL when out of memory. */
OctValue *oct_unfold_value(const OctUnfold *unfold, const OctValue *like, const char *suffix,
                           OctetDType dtype);
/* A QuantizeLinear or DequantizeLinear node with the parameters of `form`, or with the value's. */
OctetStatus oct_unfold_node(const OctUnfold *unfold, const char *op_type, const OctValue *value,
                            const OctExportForm *form, OctValue *from, OctValue *to);
OctetStatus oct_unfold_linear(const OctUnfold *unfold, const char *op_type, const OctValue *value,
                              OctValue *from, OctValue *to);
/* Makes `made` the graph's output in place of `value`, whose name becomes "..._float". */
OctetStatus oct_unfold_output(const OctUnfold *unfold, OctValue *value, OctValue *made);

/* What an input or output of the model carries; NONE if it stays real, and for values inside. */
OctetStatus oct_unfold_border(const OctUnfold *unfold, const OctValue *value, OctetDType *type);
/* With integers at the model's border: the input is the integers, of the grid or moved by 128. */
OctetStatus oct_unfold_integer_input(OctUnfold *unfold, OctValue *value, OctetDType type);
/* The output is the integers, which stand behind the rounding that the value has in any case. */
OctetStatus oct_unfold_integer_output(OctUnfold *unfold, OctValue *value, OctetDType type);

#endif
