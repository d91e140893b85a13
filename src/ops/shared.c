/* Types, shapes, lists of integers: see ops.h. */
#include "ops/ops.h"

#include "base/float8.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

OctetStatus oct_fail_op(OctetDiagnostic *diagnostic, OctetStatus status, const OctNode *node,
                        const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return oct_fail_node(diagnostic, status, node->name, "%s of opset %d %s", node->op_type,
                         (int)node->opset, text);
}

/* ---- types ---- */

bool oct_dtype_is_float(OctetDType dtype) {
    return dtype == OCTET_F32 || dtype == OCTET_F64 || dtype == OCTET_F16 || dtype == OCTET_BF16;
}

bool oct_dtype_is_integer(OctetDType dtype) {
    return dtype != OCTET_DTYPE_NONE && dtype != OCTET_STRING && dtype != OCTET_BOOL &&
           !oct_dtype_is_float(dtype) && !oct_dtype_is_float8(dtype);
}

bool oct_dtype_is_signed(OctetDType dtype) {
    return dtype == OCTET_S4 || dtype == OCTET_S8 || dtype == OCTET_S16 || dtype == OCTET_S32 ||
           dtype == OCTET_S64;
}

/* ---- shapes ---- */

bool oct_dims_agree(int64_t a, int64_t b) {
    return a < 0 || b < 0 || a == b;
}

int64_t oct_dim_merge(int64_t a, int64_t b) {
    if (a >= 0) {
        return a;
    }
    return b >= 0 || a == OCT_DIM_UNKNOWN ? b : a;
}

bool oct_dims_equal(int64_t a, int64_t b) {
    return a == b && a != OCT_DIM_UNKNOWN;
}

bool oct_shape_product(const OctetShape *shape, int32_t from, int32_t to, int64_t *product) {
    OctetShape part = {.rank = to - from};
    if (shape->rank < 0 || from < 0 || to < from || to > shape->rank) {
        return false;
    }
    memcpy(part.dims, shape->dims + from, (size_t)part.rank * sizeof part.dims[0]);
    return octet_shape_count(&part, product);
}

bool oct_shape_is_static(const OctetShape *shape) {
    for (int32_t i = 0; i < shape->rank; i++) {
        if (shape->dims[i] < 0) {
            return false;
        }
    }
    return shape->rank >= 0;
}

OctetShape oct_shape_unknown(void) {
    return (OctetShape){.rank = -1};
}

OctetShape oct_shape_of_rank(int32_t rank) {
    OctetShape shape = {.rank = rank};
    for (int32_t i = 0; i < rank; i++) {
        shape.dims[i] = OCT_DIM_UNKNOWN;
    }
    return shape;
}

static bool broadcast_dims(int64_t a, int64_t b, int64_t *result) {
    if (a == 1 || oct_dims_equal(a, b)) {
        *result = b;
    } else if (b == 1) {
        *result = a;
    } else if (a >= 0 && b >= 0) {
        return false;
    } else {
        /* a number above 1 wins over a symbol, which then is that number or 1 */
        *result = a >= 0 ? a : b >= 0 ? b : OCT_DIM_UNKNOWN;
    }
    return true;
}

OctetStatus oct_broadcast_shapes(const OctNode *node, const OctetShape *a, const OctetShape *b,
                                 OctetShape *result, OctetDiagnostic *diagnostic) {
    if (a->rank < 0 || b->rank < 0) {
        *result = oct_shape_unknown();
        return OCTET_OK;
    }
    OctetShape merged = {.rank = a->rank > b->rank ? a->rank : b->rank};
    for (int32_t i = 0; i < merged.rank; i++) {
        int32_t ia = i - (merged.rank - a->rank);
        int32_t ib = i - (merged.rank - b->rank);
        int64_t da = ia >= 0 ? a->dims[ia] : 1;
        int64_t db = ib >= 0 ? b->dims[ib] : 1;
        if (!broadcast_dims(da, db, &merged.dims[i])) {
            char left[100];
            char right[100];
            octet_shape_format(a, left, sizeof left);
            octet_shape_format(b, right, sizeof right);
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "can't broadcast shapes %s and %s", left, right);
        }
    }
    *result = merged;
    return OCTET_OK;
}

OctetStatus oct_check_inner(const OctGraph *graph, const OctNode *node,
                            OctetDiagnostic *diagnostic) {
    (void)graph;
    return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED,
                    "operator octet.%s is the engine's own, not one of files", node->op_type);
}

OctetStatus oct_normalize_axis(const OctNode *node, int64_t axis, int32_t rank, int32_t *normalized,
                               OctetDiagnostic *diagnostic) {
    if (axis < -(int64_t)rank || axis >= rank) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has axis %" PRId64 ", outside a tensor of rank %d", axis, (int)rank);
    }
    *normalized = (int32_t)(axis < 0 ? axis + rank : axis);
    return OCTET_OK;
}

void oct_strides(const OctetShape *shape, int64_t *strides) {
    int64_t stride = 1;
    for (int32_t i = shape->rank - 1; i >= 0; i--) {
        strides[i] = stride;
        stride *= shape->dims[i];
    }
}

/* ---- integers from an attribute or an input ---- */

static OctetStatus too_long(const OctNode *node, int64_t count, OctetDiagnostic *diagnostic) {
    return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node,
                       "has a list of %" PRId64 " integers; at most %d are supported", count,
                       OCT_MAX_INTS);
}

static OctetStatus ints_from_attribute(const OctNode *node, const OctAttribute *attribute,
                                       OctInts *ints, OctetDiagnostic *diagnostic) {
    ints->present = true;
    ints->known = true;
    ints->exact = true;
    if (attribute->type == OCT_ATTRIBUTE_INT) {
        ints->count = 1;
        ints->v[0] = attribute->v.i;
        return OCTET_OK;
    }
    if (attribute->type != OCT_ATTRIBUTE_INTS) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node,
                           "has an attribute %s that is not a list of integers", attribute->name);
    }
    if (attribute->count > OCT_MAX_INTS) {
        return too_long(node, attribute->count, diagnostic);
    }
    ints->count = attribute->count;
    for (int32_t i = 0; i < attribute->count; i++) {
        ints->v[i] = attribute->v.ints[i];
    }
    return OCTET_OK;
}

OctetStatus oct_node_int_list(const OctNode *node, const char *attribute, int32_t input,
                              OctInts *ints, OctetDiagnostic *diagnostic) {
    ints->present = false;
    ints->known = false;
    ints->exact = false;
    ints->count = -1;
    const OctAttribute *found = attribute ? oct_node_attribute(node, attribute) : NULL;
    if (found) {
        return ints_from_attribute(node, found, ints, diagnostic);
    }
    const OctValue *value = input >= 0 ? oct_node_input(node, input) : NULL;
    if (!value) {
        return OCTET_OK;
    }
    ints->present = true;
    if (value->dtype != OCTET_DTYPE_NONE && value->dtype != OCTET_S64 &&
        value->dtype != OCTET_S32) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "needs integers in input %d, which is %s", (int)input,
                           octet_dtype_name(value->dtype));
    }
    if (value->shape.rank > 1) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "needs a list in input %d, which has rank %d", (int)input,
                           (int)value->shape.rank);
    }
    if (value->shape.rank == 0) {
        ints->count = 1;
    } else if (value->shape.rank == 1 && value->shape.dims[0] >= 0) {
        if (value->shape.dims[0] > OCT_MAX_INTS) {
            return too_long(node, value->shape.dims[0], diagnostic);
        }
        ints->count = (int32_t)value->shape.dims[0];
    }
    int32_t count = oct_value_known_ints(value, ints->v, OCT_MAX_INTS);
    if (count >= 0) {
        ints->known = true;
        ints->exact = value->constant != NULL;
        ints->count = count;
    }
    return OCTET_OK;
}

OctetStatus oct_view_int_list(const OctView *view, OctInts *ints, OctetDiagnostic *diagnostic) {
    ints->present = view->data != NULL;
    ints->known = ints->present;
    ints->exact = ints->present;
    ints->count = 0;
    if (!ints->present) {
        return OCTET_OK;
    }
    int64_t count = oct_view_count(view);
    if (view->shape.rank > 1 || count > OCT_MAX_INTS) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                        "a list of integers has rank %d and %" PRId64 " elements",
                        (int)view->shape.rank, count);
    }
    ints->count = (int32_t)count;
    return oct_convert(OCTET_S64, ints->v, view->dtype, view->data, count, diagnostic);
}

OctetStatus oct_run_int_list(const OctNode *node, const char *attribute, int32_t input,
                             const OctRun *run, OctInts *ints) {
    const OctAttribute *found = attribute ? oct_node_attribute(node, attribute) : NULL;
    if (found) {
        return ints_from_attribute(node, found, ints, run->diagnostic);
    }
    const OctView absent = {0};
    const OctView *view = input >= 0 && input < run->input_count ? &run->inputs[input] : &absent;
    return oct_view_int_list(view, ints, run->diagnostic);
}

bool oct_ints_open(const OctInts *ints) {
    if (!ints->present || ints->exact) {
        return false;
    }
    for (int32_t i = 0; ints->known && i < ints->count; i++) {
        if (!oct_known_is_number(ints->v[i])) {
            return true;
        }
    }
    return !ints->known;
}

/* ---- check and infer ---- */

OctetStatus oct_check_type(const OctNode *node, int32_t input, uint32_t types,
                           OctetDiagnostic *diagnostic) {
    OctetDType dtype = oct_input_dtype(node, input);
    bool ok = dtype == OCTET_DTYPE_NONE ||
              ((types & OCT_TYPES_FLOAT) && oct_dtype_is_float(dtype)) ||
              ((types & OCT_TYPES_INTEGER) && oct_dtype_is_integer(dtype)) ||
              ((types & OCT_TYPES_BOOL) && dtype == OCTET_BOOL) ||
              ((types & OCT_TYPES_FLOAT8) && oct_dtype_is_float8(dtype));
    if (ok) {
        return OCTET_OK;
    }
    return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node, "has no %s form (input %d)",
                       octet_dtype_name(dtype), (int)input);
}

OctetStatus oct_check_f32(const OctPrepare *prepare, uint32_t others) {
    const OctNode *node = prepare->node;
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *value = node->inputs[k];
        bool other = k < 32 && (others >> k & 1) != 0;
        if (value && !other && oct_value_storage(value) != OCTET_F32) {
            return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                               "needs %s as f32, it is %s", value->name,
                               octet_dtype_name(oct_value_storage(value)));
        }
    }
    return OCTET_OK;
}

void oct_set_output(const OctNode *node, int32_t k, OctetDType dtype, const OctetShape *shape) {
    OctValue *value = oct_node_output(node, k);
    if (!value) {
        return;
    }
    value->dtype = dtype;
    value->shape = *shape;
    value->known = NULL;
    value->known_count = 0;
}

OctetStatus oct_set_known(OctGraph *graph, OctValue *value, const int64_t *ints, int32_t count,
                          OctetDiagnostic *diagnostic) {
    /* one byte more, so that an empty list is known too */
    int64_t *copy = oct_arena_alloc(graph->arena, (size_t)count * sizeof *copy + 1);
    if (!copy) {
        return oct_fail_memory(diagnostic);
    }
    if (count > 0) {
        memcpy(copy, ints, (size_t)count * sizeof *copy);
    }
    value->known = copy;
    value->known_count = count;
    return OCTET_OK;
}

const OctetShape *oct_input_shape(const OctNode *node, int32_t k) {
    static const OctetShape unknown = {.rank = -1};
    const OctValue *value = oct_node_input(node, k);
    return value ? &value->shape : &unknown;
}

OctetDType oct_input_dtype(const OctNode *node, int32_t k) {
    const OctValue *value = oct_node_input(node, k);
    return value ? value->dtype : OCTET_DTYPE_NONE;
}

OctetStatus oct_infer_same(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    oct_set_output(node, 0, oct_input_dtype(node, 0), oct_input_shape(node, 0));
    return OCTET_OK;
}

OctetStatus oct_infer_same_along(OctGraph *graph, OctNode *node, int64_t default_axis,
                                 OctetDiagnostic *diagnostic) {
    int32_t rank = oct_input_shape(node, 0)->rank;
    int32_t axis;
    if (rank > 0) {
        OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", default_axis), rank, &axis,
                                   diagnostic));
    }
    return oct_infer_same(graph, node, diagnostic);
}

/* ---- prepare and run ---- */

void *oct_prepare_state(const OctPrepare *prepare, OctPreparedOp *prepared, size_t bytes) {
    void *state = oct_calloc(1, bytes);
    if (!state) {
        oct_fail_memory(prepare->diagnostic);
        return NULL;
    }
    prepared->state = state;
    prepared->destroy = oct_free;
    return state;
}

OctetStatus oct_run_output(const OctRun *run, int32_t k, const OctetShape *shape) {
    const OctView *output = &run->outputs[k];
    if (output->data && octet_shape_equal(&output->shape, shape)) {
        return OCTET_OK;
    }
    if (!run->resize_output) {
        char planned[100];
        char actual[100];
        octet_shape_format(&output->shape, planned, sizeof planned);
        octet_shape_format(shape, actual, sizeof actual);
        return oct_fail(run->diagnostic, OCTET_ERROR_SHAPE,
                        "the data ask for an output of shape %s where %s was planned", actual,
                        planned);
    }
    return run->resize_output(run, k, shape);
}

int64_t oct_view_count(const OctView *view) {
    int64_t count = 0;
    octet_shape_count(&view->shape, &count);
    return count;
}

void oct_activation_f32(const OctActivation *activation, float *data, int64_t count) {
    if (activation->kind != OCT_ACTIVATION_CLIP) {
        return;
    }
    float minimum = activation->minimum;
    float maximum = activation->maximum;
    for (int64_t i = 0; i < count; i++) {
        /* NaN stays NaN */
        float value = data[i] < minimum ? minimum : data[i];
        data[i] = value > maximum ? maximum : value;
    }
}

bool oct_node_is_quantized(const OctNode *node, int32_t inputs) {
    int32_t count = inputs >= 0 && inputs < node->input_count ? inputs : node->input_count;
    for (int32_t k = 0; k < count; k++) {
        const OctValue *value = node->inputs[k];
        if (value && value->dtype == OCTET_F32 && !oct_value_quantized(value)) {
            return false;
        }
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        const OctValue *value = node->outputs[k];
        if (value && value->dtype == OCTET_F32 && !oct_value_quantized(value)) {
            return false;
        }
    }
    return true;
}

#define FILL(type)                                                                                 \
    do {                                                                                           \
        type fill;                                                                                 \
        memcpy(&fill, &value, sizeof fill);                                                        \
        for (int64_t i = 0; i < count; i++) {                                                      \
            ((type *)data)[i] = fill;                                                              \
        }                                                                                          \
    } while (0)

void oct_fill(void *data, size_t size, int64_t count, uint64_t value) {
    switch (size) {
    case 1:
        FILL(uint8_t);
        break;
    case 2:
        FILL(uint16_t);
        break;
    case 4:
        FILL(uint32_t);
        break;
    default:
        FILL(uint64_t);
    }
}
