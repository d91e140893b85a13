/* Values made of shapes and attributes: Shape, Size, Constant, ConstantOfShape, EyeLike, Range. */
#include "ops/ops.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- Shape, Size ---- */

static OctetStatus infer_shape(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    const OctetShape *input = oct_input_shape(node, 0);
    OctetShape shape = {.rank = 1, .dims = {OCT_DIM_UNKNOWN}};
    int64_t known[OCTET_MAX_RANK];
    int32_t count = 0;
    if (input->rank >= 0) {
        int64_t start = oct_node_int(node, "start", 0);
        int64_t end = oct_node_int(node, "end", input->rank);
        start += start < 0 ? input->rank : 0;
        end += end < 0 ? input->rank : 0;
        for (int64_t i = 0; i < input->rank; i++) {
            if (i >= start && i < end) {
                known[count++] = oct_known_of_dim(input->dims[i]);
            }
        }
        shape.dims[0] = count;
    }
    oct_set_output(node, 0, OCTET_S64, &shape);
    OctValue *output = oct_node_output(node, 0);
    return input->rank >= 0 && output ? oct_set_known(graph, output, known, count, diagnostic)
                                      : OCTET_OK;
}

static OctetStatus run_shape(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctetShape *input = &run->inputs[0].shape;
    int64_t start = oct_node_int(node, "start", 0);
    int64_t end = oct_node_int(node, "end", input->rank);
    int64_t *output = run->outputs[0].data;
    start += start < 0 ? input->rank : 0;
    end += end < 0 ? input->rank : 0;
    for (int64_t i = 0; i < input->rank; i++) {
        if (i >= start && i < end) {
            *output++ = input->dims[i];
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_shape(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_shape;
    prepared->kernel = "shape";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

static OctetStatus infer_size(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    const OctetShape scalar = {.rank = 0};
    int64_t count;
    oct_set_output(node, 0, OCTET_S64, &scalar);
    OctValue *output = oct_node_output(node, 0);
    return output && octet_shape_count(oct_input_shape(node, 0), &count)
               ? oct_set_known(graph, output, &count, 1, diagnostic)
               : OCTET_OK;
}

static OctetStatus run_size(void *state, const OctRun *run) {
    (void)state;
    *(int64_t *)run->outputs[0].data = oct_view_count(&run->inputs[0]);
    return OCTET_OK;
}

static OctetStatus prepare_size(const OctPrepare *prepare, OctPreparedOp *prepared) {
    (void)prepare;
    prepared->run = run_size;
    prepared->kernel = "shape";
    return OCTET_OK;
}

/* ---- Constant: importers make constants of these; this serves graphs built by hand ---- */

/* The attribute's content, whichever of its forms it has; false if none. */
static bool constant_content(const OctNode *node, OctetDType *dtype, OctetShape *shape,
                             const void **data) {
    const OctAttribute *value = oct_node_attribute(node, "value");
    *shape = (OctetShape){.rank = 0};
    if (value && value->type == OCT_ATTRIBUTE_TENSOR) {
        const OctetTensor *tensor = oct_constant_tensor(value->v.tensor);
        *dtype = tensor->dtype;
        *shape = tensor->shape;
        *data = tensor->data;
        return true;
    }
    const char *const names[] = {"value_float", "value_int", "value_floats", "value_ints"};
    for (int i = 0; i < 4; i++) {
        const OctAttribute *found = oct_node_attribute(node, names[i]);
        if (!found) {
            continue;
        }
        bool list = i >= 2;
        *dtype = i % 2 == 0 ? OCTET_F32 : OCTET_S64;
        OctAttributeType type = list ? (i == 2 ? OCT_ATTRIBUTE_FLOATS : OCT_ATTRIBUTE_INTS)
                                     : (i == 0 ? OCT_ATTRIBUTE_FLOAT : OCT_ATTRIBUTE_INT);
        if (found->type != type) {
            return false;
        }
        if (list) {
            *shape = (OctetShape){.rank = 1, .dims = {found->count}};
            *data = i == 2 ? (const void *)found->v.floats : (const void *)found->v.ints;
        } else {
            *data = i == 0 ? (const void *)&found->v.f : (const void *)&found->v.i;
        }
        return true;
    }
    return false;
}

static OctetStatus check_constant(const OctGraph *graph, const OctNode *node,
                                  OctetDiagnostic *diagnostic) {
    (void)graph;
    OctetDType dtype;
    OctetShape shape;
    const void *data;
    if (!constant_content(node, &dtype, &shape, &data) || octet_dtype_size(dtype) == 0) {
        return oct_fail_op(
            diagnostic, OCTET_ERROR_UNSUPPORTED, node,
            "has no value of numbers (strings and sparse tensors are not supported)");
    }
    return OCTET_OK;
}

static OctetStatus infer_constant(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    OctetDType dtype = OCTET_DTYPE_NONE;
    OctetShape shape;
    const void *data = NULL;
    int64_t known[OCT_MAX_INTS];
    int64_t count = 0;
    constant_content(node, &dtype, &shape, &data);
    oct_set_output(node, 0, oct_dtype_computed(dtype), &shape);
    OctValue *output = oct_node_output(node, 0);
    bool list = (dtype == OCTET_S64 || dtype == OCTET_S32) && shape.rank <= 1 &&
                octet_shape_count(&shape, &count) && count <= OCT_MAX_INTS;
    if (!output || !list) {
        return OCTET_OK;
    }
    OCT_TRY(oct_convert(OCTET_S64, known, dtype, data, count, diagnostic));
    return oct_set_known(graph, output, known, (int32_t)count, diagnostic);
}

static OctetStatus run_constant(void *state, const OctRun *run) {
    OctetDType dtype = OCTET_DTYPE_NONE;
    OctetShape shape;
    const void *data = NULL;
    constant_content(state, &dtype, &shape, &data);
    return oct_convert(run->outputs[0].dtype, run->outputs[0].data, dtype, data,
                       oct_view_count(&run->outputs[0]), run->diagnostic);
}

static OctetStatus prepare_constant(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_constant;
    prepared->kernel = "constant";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

/* ---- ConstantOfShape ---- */

static OctetDType fill_dtype(const OctNode *node, const OctetTensor **value) {
    const OctAttribute *attribute = oct_node_attribute(node, "value");
    *value = attribute && attribute->type == OCT_ATTRIBUTE_TENSOR
                 ? oct_constant_tensor(attribute->v.tensor)
                 : NULL;
    return *value ? oct_dtype_computed((*value)->dtype) : OCTET_F32;
}

static OctetStatus check_constant_of_shape(const OctGraph *graph, const OctNode *node,
                                           OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetTensor *value;
    OctetDType dtype = fill_dtype(node, &value);
    int64_t count = 1;
    if (octet_dtype_size(dtype) == 0 ||
        (value && (!octet_shape_count(&value->shape, &count) || count != 1))) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node,
                           "has a value that is not one number");
    }
    return OCTET_OK;
}

static OctetStatus filled_shape(const OctNode *node, const OctInts *list, OctetShape *shape,
                                OctetDiagnostic *diagnostic) {
    *shape = oct_shape_unknown();
    if (list->count > OCTET_MAX_RANK) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "has more than %d dimensions",
                           OCTET_MAX_RANK);
    }
    if (list->count >= 0) {
        *shape = oct_shape_of_rank(list->count);
    }
    for (int32_t i = 0; list->known && i < list->count; i++) {
        if (oct_known_is_number(list->v[i]) && list->v[i] < 0) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has a negative dimension");
        }
        shape->dims[i] = oct_dim_of_known(list->v[i]);
    }
    return OCTET_OK;
}

static OctetStatus infer_constant_of_shape(OctGraph *graph, OctNode *node,
                                           OctetDiagnostic *diagnostic) {
    const OctetTensor *value;
    OctetDType dtype = fill_dtype(node, &value);
    OctInts list;
    OctetShape shape;
    OCT_TRY(oct_node_int_list(node, NULL, 0, &list, diagnostic));
    OCT_TRY(filled_shape(node, &list, &shape, diagnostic));
    oct_set_output(node, 0, dtype, &shape);
    OctValue *output = oct_node_output(node, 0);
    int64_t known[OCT_MAX_INTS] = {0};
    int64_t count;
    if (!output || shape.rank > 1 || !octet_shape_count(&shape, &count) || count > OCT_MAX_INTS ||
        (dtype != OCTET_S64 && dtype != OCTET_S32)) {
        return OCTET_OK;
    }
    OCT_TRY(oct_convert(OCTET_S64, known, value->dtype, value->data, 1, diagnostic));
    for (int64_t i = 1; i < count; i++) {
        known[i] = known[0];
    }
    return oct_set_known(graph, output, known, (int32_t)count, diagnostic);
}

static OctetStatus run_constant_of_shape(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctetTensor *value;
    OctInts list;
    OctetShape shape;
    uint64_t bits = 0;
    OCT_TRY(oct_run_int_list(node, NULL, 0, run, &list));
    OCT_TRY(filled_shape(node, &list, &shape, run->diagnostic));
    OCT_TRY(oct_run_output(run, 0, &shape));
    fill_dtype(node, &value);
    if (value) {
        OCT_TRY(oct_convert(run->outputs[0].dtype, &bits, value->dtype, value->data, 1,
                            run->diagnostic));
    }
    oct_fill(run->outputs[0].data, octet_dtype_size(run->outputs[0].dtype),
             oct_view_count(&run->outputs[0]), bits);
    return OCTET_OK;
}

static OctetStatus prepare_constant_of_shape(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_constant_of_shape;
    prepared->kernel = "fill";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

/* ---- EyeLike ---- */

static OctetStatus infer_eye(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *input = oct_input_shape(node, 0);
    int64_t dtype = oct_node_int(node, "dtype", oct_input_dtype(node, 0));
    if (input->rank >= 0 && input->rank != 2) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "needs a matrix");
    }
    if (dtype != OCTET_DTYPE_NONE &&
        (dtype < 0 || dtype > OCTET_S4 || octet_dtype_size((OctetDType)dtype) == 0)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has a dtype that is none");
    }
    oct_set_output(node, 0, oct_dtype_computed((OctetDType)dtype), input);
    return OCTET_OK;
}

static OctetStatus run_eye(void *state, const OctRun *run) {
    const OctNode *node = state;
    int64_t diagonal = oct_node_int(node, "k", 0);
    OctetDType dtype = run->outputs[0].dtype;
    size_t size = octet_dtype_size(dtype);
    int64_t rows = run->inputs[0].shape.dims[0];
    int64_t columns = run->inputs[0].shape.dims[1];
    const int64_t one = 1;
    memset(run->outputs[0].data, 0, (size_t)(rows * columns) * size);
    if (diagonal <= -rows || diagonal >= columns) {
        return OCTET_OK;
    }
    for (int64_t i = diagonal < 0 ? -diagonal : 0; i < rows && i + diagonal < columns; i++) {
        char *place = (char *)run->outputs[0].data + (size_t)(i * columns + i + diagonal) * size;
        OCT_TRY(oct_convert(dtype, place, OCTET_S64, &one, 1, run->diagnostic));
    }
    return OCTET_OK;
}

static OctetStatus prepare_eye(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_eye;
    prepared->kernel = "fill";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

/* ---- Range ---- */

static OctetStatus range_count(const OctNode *node, OctetDType dtype, const void *const data[3],
                               int64_t *count, OctetDiagnostic *diagnostic) {
    double length;
    if (dtype == OCTET_F32) {
        const float *const *f = (const float *const *)data;
        length = ceil(((double)*f[1] - (double)*f[0]) / (double)*f[2]);
    } else {
        int64_t v[3];
        for (int i = 0; i < 3; i++) {
            OCT_TRY(oct_convert(OCTET_S64, &v[i], dtype, data[i], 1, diagnostic));
        }
        length = ceil(((double)v[1] - (double)v[0]) / (double)v[2]);
    }
    if (!(length < 1e15)) { /* a step of 0 too */
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "never ends");
    }
    *count = length > 0 ? (int64_t)length : 0;
    return OCTET_OK;
}

static OctetStatus infer_range(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    OctetDType dtype = oct_input_dtype(node, 0);
    OctetShape shape = {.rank = 1, .dims = {OCT_DIM_UNKNOWN}};
    const void *data[3];
    int64_t known[3];
    bool constants = dtype != OCTET_DTYPE_NONE;
    for (int32_t k = 0; k < 3; k++) {
        const OctetTensor *tensor = oct_value_tensor(node->inputs[k]);
        if (tensor && tensor->dtype == dtype && tensor->bytes >= octet_dtype_size(dtype)) {
            data[k] = tensor->data;
        } else if (dtype == OCTET_S64 && oct_value_known_ints(node->inputs[k], &known[k], 1) == 1 &&
                   oct_known_is_number(known[k])) {
            data[k] = &known[k];
        } else {
            constants = false;
        }
    }
    if (constants) {
        OCT_TRY(range_count(node, dtype, data, &shape.dims[0], diagnostic));
    }
    oct_set_output(node, 0, dtype, &shape);
    OctValue *output = oct_node_output(node, 0);
    if (!output || !constants || dtype != OCTET_S64 || shape.dims[0] > OCT_MAX_INTS) {
        return OCTET_OK;
    }
    int64_t values[OCT_MAX_INTS];
    const int64_t *const *v = (const int64_t *const *)data;
    for (int64_t i = 0; i < shape.dims[0]; i++) {
        values[i] = (int64_t)((uint64_t)*v[0] + (uint64_t)i * (uint64_t)*v[2]);
    }
    return oct_set_known(graph, output, values, (int32_t)shape.dims[0], diagnostic);
}

static OctetStatus run_range(void *state, const OctRun *run) {
    const void *data[3] = {run->inputs[0].data, run->inputs[1].data, run->inputs[2].data};
    OctetDType dtype = run->outputs[0].dtype;
    OctetShape shape = {.rank = 1};
    for (int k = 0; k < 3; k++) {
        if (run->inputs[k].dtype != dtype || oct_view_count(&run->inputs[k]) < 1) {
            return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, state,
                               "needs three scalars of one type");
        }
    }
    OCT_TRY(range_count(state, dtype, data, &shape.dims[0], run->diagnostic));
    OCT_TRY(oct_run_output(run, 0, &shape));
    char *to = run->outputs[0].data;
    size_t size = octet_dtype_size(dtype);
    if (dtype == OCTET_F32) {
        const float *const *f = (const float *const *)data;
        for (int64_t i = 0; i < shape.dims[0]; i++) {
            ((float *)run->outputs[0].data)[i] = *f[0] + (float)i * *f[2];
        }
        return OCTET_OK;
    }
    int64_t start;
    int64_t step;
    OCT_TRY(oct_convert(OCTET_S64, &start, dtype, data[0], 1, run->diagnostic));
    OCT_TRY(oct_convert(OCTET_S64, &step, dtype, data[2], 1, run->diagnostic));
    for (int64_t i = 0; i < shape.dims[0]; i++, to += size) {
        int64_t value = (int64_t)((uint64_t)start + (uint64_t)i * (uint64_t)step);
        OCT_TRY(oct_convert(dtype, to, OCTET_S64, &value, 1, run->diagnostic));
    }
    return OCTET_OK;
}

static OctetStatus prepare_range(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_range;
    prepared->kernel = "range";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

const OctOp oct_ops_query[] = {
    {"", "Shape", 1, 0, OCT_OP_FLOAT8, 1, 1, 1, 1, NULL, infer_shape, prepare_shape},
    {"", "Size", 1, 0, OCT_OP_FLOAT8, 1, 1, 1, 1, NULL, infer_size, prepare_size},
    {"", "Constant", 1, 0, OCT_OP_FLOAT8, 0, 0, 1, 1, check_constant, infer_constant,
     prepare_constant},
    {"", "ConstantOfShape", 9, 0, OCT_OP_DYNAMIC | OCT_OP_FLOAT8, 1, 1, 1, 1,
     check_constant_of_shape, infer_constant_of_shape, prepare_constant_of_shape},
    {"", "EyeLike", 9, 0, 0, 1, 1, 1, 1, NULL, infer_eye, prepare_eye},
    {"", "Range", 11, 0, OCT_OP_DYNAMIC, 3, 3, 1, 1, NULL, infer_range, prepare_range},
};
OCT_OPS_COUNT(query);
