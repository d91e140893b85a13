/* The nodes that unfolding makes, and the model's inputs and outputs where they carry integers. */
#include "base/diag.h"
#include "onnx/unfold.h"

OctValue *oct_unfold_value(const OctUnfold *unfold, const OctValue *like, const char *suffix,
                           OctetDType dtype) {
    char name[256];
    oct_export_name(name, sizeof name, like->name, suffix);
    OctValue *value = oct_graph_add_value(unfold->graph, name);
    if (value) {
        value->dtype = dtype;
        value->shape = like->shape;
    }
    return value;
}

OctetStatus oct_unfold_node(const OctUnfold *unfold, const char *op_type, const OctValue *value,
                            const OctExportForm *form, OctValue *from, OctValue *to) {
    const OctetQParams *q = &value->qparams;
    char name[256];
    oct_export_name(name, sizeof name, value->name, op_type);
    OctNode *node = oct_graph_add_node(unfold->graph, op_type, "", name,
                                       (OctValue *[]){from, form->scale, form->zero_point},
                                       form->zero_point ? 3 : 2, &to, 1);
    if (!node) {
        return oct_fail_memory(unfold->diagnostic);
    }
    node->opset = unfold->opset;
    bool wide = q->dtype == OCTET_U16 || q->dtype == OCTET_S16;
    if (wide && unfold->options->microsoft_int16) {
        node->domain = "com.microsoft";
        node->opset = 1;
        if (!oct_graph_set_opset(unfold->graph, node->domain, 1)) {
            return oct_fail_memory(unfold->diagnostic);
        }
    }
    bool set = q->axis < 0 || oct_node_set_int(unfold->graph, node, "axis", q->axis);
    set = set && (q->block_size == 0 ||
                  oct_node_set_int(unfold->graph, node, "block_size", q->block_size));
    return set ? OCTET_OK : oct_fail_memory(unfold->diagnostic);
}

OctetStatus oct_unfold_linear(const OctUnfold *unfold, const char *op_type, const OctValue *value,
                              OctValue *from, OctValue *to) {
    OctExportForm *form = &unfold->forms[value->id];
    OCT_TRY(oct_export_parameters(unfold->graph, value, &value->qparams, form, unfold->diagnostic));
    return oct_unfold_node(unfold, op_type, value, form, from, to);
}

OctetStatus oct_unfold_output(const OctUnfold *unfold, OctValue *value, OctValue *made) {
    OctGraph *graph = unfold->graph;
    char base[256];
    oct_export_name(base, sizeof base, value->name, "float");
    const char *name = oct_graph_unique_name(graph, base);
    if (!name || !oct_names_set(&graph->value_names, name, value) ||
        !oct_names_set(&graph->value_names, made->name, NULL) ||
        !oct_names_set(&graph->value_names, value->name, made)) {
        return oct_fail_memory(unfold->diagnostic);
    }
    made->name = value->name;
    made->doc = value->doc;
    value->name = name;
    for (int32_t i = 0; i < graph->output_count; i++) {
        if (graph->outputs[i] == value) {
            graph->outputs[i] = made;
        }
    }
    value->is_output = false;
    made->is_output = true;
    return OCTET_OK;
}

OctetStatus oct_unfold_border(const OctUnfold *unfold, const OctValue *value, OctetDType *type) {
    OctetModelIo io = unfold->options->io;
    bool border = !unfold->graph->parent && value->is_input != value->is_output;
    OctetDType own = value->qparams.dtype;
    *type = OCTET_DTYPE_NONE;
    if (!border || io == OCTET_IO_FLOAT32) {
        return OCTET_OK;
    }
    if (io != OCTET_IO_GRID && own != OCTET_U8 && own != OCTET_S8) {
        return oct_fail(unfold->diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "'%s' lies on a grid of type %s, which %s can't carry; write float32 "
                        "inputs and outputs (--io float32)",
                        value->name, octet_dtype_name(own), io == OCTET_IO_INT8 ? "int8" : "uint8");
    }
    *type = io == OCTET_IO_GRID ? own : io == OCTET_IO_INT8 ? OCTET_S8 : OCTET_U8;
    return OCTET_OK;
}

/* Between a value's integers and the same of the other 8-bit type, by way of the real numbers:
 * exact, and runtimes have it for all types. */
static OctetStatus move_integers(OctUnfold *unfold, OctValue *value, OctValue *from, OctValue *to,
                                 bool inwards) {
    OctExportForm *form = &unfold->forms[value->id];
    OctetQParams other = value->qparams;
    int32_t zero_point = other.zero_point[0] + (other.dtype == OCTET_U8 ? -128 : 128);
    other.zero_point = &zero_point;
    other.dtype = other.dtype == OCTET_U8 ? OCTET_S8 : OCTET_U8;
    OctExportForm moved = {.scale = form->scale};
    OctValue *real = oct_unfold_value(unfold, value, "border", OCTET_F32);
    if (!real) {
        return oct_fail_memory(unfold->diagnostic);
    }
    OCT_TRY(oct_export_parameters(unfold->graph, value, &other, &moved, unfold->diagnostic));
    OCT_TRY(
        oct_unfold_node(unfold, "DequantizeLinear", value, inwards ? &moved : form, from, real));
    return oct_unfold_node(unfold, "QuantizeLinear", value, inwards ? form : &moved, real, to);
}

OctetStatus oct_unfold_integer_input(OctUnfold *unfold, OctValue *value, OctetDType type) {
    OctExportForm *form = &unfold->forms[value->id];
    bool moved = type != value->qparams.dtype;
    form->integers =
        moved ? oct_unfold_value(unfold, value, "quantized", value->qparams.dtype) : value;
    form->real = oct_unfold_value(unfold, value, "dequantized", OCTET_F32);
    if (!form->integers || !form->real) {
        return oct_fail_memory(unfold->diagnostic);
    }
    unfold->replaced[value->id] = form->real;
    OCT_TRY(oct_unfold_linear(unfold, "DequantizeLinear", value, form->integers, form->real));
    if (moved) {
        OCT_TRY(move_integers(unfold, value, value, form->integers, true));
    }
    value->dtype = type;
    return OCTET_OK;
}

OctetStatus oct_unfold_integer_output(OctUnfold *unfold, OctValue *value, OctetDType type) {
    OctValue *integers = unfold->forms[value->id].integers;
    OctValue *output = integers;
    if (type != value->qparams.dtype) {
        output = oct_unfold_value(unfold, value, octet_dtype_name(type), type);
        if (!output) {
            return oct_fail_memory(unfold->diagnostic);
        }
        OCT_TRY(move_integers(unfold, value, integers, output, false));
    }
    return oct_unfold_output(unfold, value, output);
}
