#include "base/diag.h"
#include "base/tensor.h"
#include "onnx/import.h"

#include <stdio.h>
#include <string.h>

/* Symbols are found by linear search; beyond this many a dimension counts as just unknown. */
enum { MAX_SYMBOLS = 4096 };

static int64_t symbol(OctImport *import, const char *name) {
    if (import->root->symbol_count >= MAX_SYMBOLS) {
        return OCT_DIM_UNKNOWN;
    }
    return oct_graph_symbol(import->root, name);
}

static int64_t dimension(OctImport *import, const Onnx__TensorShapeProto__Dimension *dim) {
    switch (dim->value_case) {
    case ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_VALUE:
        return dim->dim_value >= 0 ? dim->dim_value : OCT_DIM_UNKNOWN;
    case ONNX__TENSOR_SHAPE_PROTO__DIMENSION__VALUE_DIM_PARAM:
        return dim->dim_param && *dim->dim_param ? symbol(import, dim->dim_param) : OCT_DIM_UNKNOWN;
    default:
        return OCT_DIM_UNKNOWN;
    }
}

/* Peels off what is around the tensor: at most optional(sequence(tensor)). */
static const Onnx__TypeProto *inner_type(const Onnx__TypeProto *type, uint32_t *kind) {
    if (type && type->value_case == ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE) {
        *kind |= OCTET_KIND_OPTIONAL;
        type = type->optional_type->elem_type;
    }
    if (type && type->value_case == ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE) {
        *kind |= OCTET_KIND_SEQUENCE;
        type = type->sequence_type->elem_type;
    }
    return type;
}

static const char *words_for(const Onnx__TypeProto *type) {
    switch (type->value_case) {
    case ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE:
        return "a sequence of sequences";
    case ONNX__TYPE_PROTO__VALUE_MAP_TYPE:
        return "a map";
    case ONNX__TYPE_PROTO__VALUE_OPTIONAL_TYPE:
        return "an optional value inside of another";
    case ONNX__TYPE_PROTO__VALUE_SPARSE_TENSOR_TYPE:
        return "a sparse tensor";
    default:
        return "of no type";
    }
}

OctType oct_import_type(OctImport *import, const Onnx__TypeProto *type) {
    OctType made = {.shape = {.rank = -1}, .what = "of no type"};
    type = inner_type(type, &made.kind);
    if (!type) {
        return made;
    }
    if (type->value_case != ONNX__TYPE_PROTO__VALUE_TENSOR_TYPE) {
        made.what = words_for(type);
        return made;
    }
    made.what = "of an element type that is not supported";
    const Onnx__TypeProto__Tensor *tensor = type->tensor_type;
    OctetDType declared;
    if (oct_dtype_from_proto(tensor->elem_type, &declared)) {
        made.dtype = oct_dtype_computed(declared);
        import->narrowed = import->narrowed || made.dtype != declared;
    }
    const Onnx__TensorShapeProto *dims = tensor->shape;
    if (dims && dims->n_dim <= OCTET_MAX_RANK && made.kind == OCTET_KIND_TENSOR) {
        made.shape.rank = (int32_t)dims->n_dim;
        for (size_t i = 0; i < dims->n_dim; i++) {
            made.shape.dims[i] = dimension(import, dims->dim[i]);
        }
    }
    return made;
}

/* Open dimensions of the model's inputs get names, so that inference can tell them apart. */
static void name_open_dimensions(OctImport *import, OctValue *value) {
    for (int32_t i = 0; i < value->shape.rank; i++) {
        if (value->shape.dims[i] == OCT_DIM_UNKNOWN) {
            char name[200];
            snprintf(name, sizeof name, "%.150s_dim%d", value->name, (int)i);
            value->shape.dims[i] = symbol(import, name);
        }
    }
}

OctetStatus oct_import_input_type(OctImport *import, const OctGraph *graph,
                                  const Onnx__ValueInfoProto *info, OctValue *value) {
    const OctType type = oct_import_type(import, info->type);
    value->dtype = type.dtype;
    value->shape = type.shape;
    value->kind = type.kind;
    if (graph != import->root) {
        return OCTET_OK; /* the node that holds the graph knows better */
    }
    if (value->dtype == OCTET_DTYPE_NONE && !import->lenient) {
        return oct_fail(import->diagnostic, OCTET_ERROR_UNSUPPORTED,
                        "input '%s' is %s, which is not supported", value->name, type.what);
    }
    name_open_dimensions(import, value);
    return OCTET_OK;
}

OctetStatus oct_import_hint(OctImport *import, OctValue *value, const Onnx__TypeProto *type) {
    const OctType said = oct_import_type(import, type);
    const OctHint hint = {value, said.dtype, said.shape, said.kind, false};
    if (hint.dtype == OCTET_DTYPE_NONE && hint.shape.rank < 0) {
        return OCTET_OK;
    }
    if (!oct_grow(&import->hints, &import->hint_capacity, import->hint_count + 1, sizeof hint)) {
        return oct_fail_memory(import->diagnostic);
    }
    import->hints[import->hint_count++] = hint;
    return OCTET_OK;
}

static bool contradicts(const OctetShape *found, const OctetShape *said) {
    bool differs = found->rank != said->rank;
    for (int32_t i = 0; i < found->rank && !differs; i++) {
        int64_t a = found->dims[i];
        int64_t b = said->dims[i];
        differs = a >= 0 && b >= 0 && a != b;
    }
    return differs;
}

static bool apply_hint(OctHint *hint) {
    OctValue *value = hint->value;
    OctetShape *found = &value->shape;
    bool changed = false;
    if (value->dtype == OCTET_DTYPE_NONE && hint->dtype != OCTET_DTYPE_NONE) {
        value->dtype = hint->dtype;
        value->kind |= hint->kind;
        changed = true;
    }
    if (found->rank < 0 && hint->shape.rank >= 0) {
        *found = hint->shape;
        return true;
    }
    if (hint->shape.rank < 0 || contradicts(found, &hint->shape)) {
        return changed;
    }
    for (int32_t i = 0; i < found->rank; i++) {
        if (found->dims[i] == OCT_DIM_UNKNOWN && hint->shape.dims[i] != OCT_DIM_UNKNOWN) {
            found->dims[i] = hint->shape.dims[i];
            changed = true;
        }
    }
    return changed;
}

bool oct_hints_apply(OctImport *import) {
    bool changed = false;
    for (int32_t i = 0; i < import->hint_count; i++) {
        OctHint *hint = &import->hints[i];
        /* compacting may have dropped the value */
        if (hint->value->id >= 0) {
            hint->applied = apply_hint(hint);
            changed = changed || hint->applied;
        }
    }
    return changed;
}

void oct_hints_withdraw(OctImport *import) {
    for (int32_t i = 0; i < import->hint_count; i++) {
        OctHint *hint = &import->hints[i];
        if (hint->applied && hint->value->producer) {
            hint->value->shape = (OctetShape){.rank = -1};
        }
    }
}
