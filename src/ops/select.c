/* Choosing elements by data or position: Compress, NonZero, Trilu, ReverseSequence, OneHot. */
#include "ops/ops.h"

#include <inttypes.h>
#include <string.h>

static OctetStatus prepare_node(const OctPrepare *prepare, OctPreparedOp *prepared,
                                OctetStatus (*run)(void *state, const OctRun *run),
                                const char *kernel) {
    prepared->run = run;
    prepared->kernel = kernel;
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

/* ---- Compress ---- */

static OctetStatus infer_compress(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *input = oct_input_shape(node, 0);
    OctetShape shape = {.rank = 1, .dims = {OCT_DIM_UNKNOWN}};
    int32_t axis;
    if (oct_node_attribute(node, "axis")) {
        shape = *input;
        if (input->rank >= 0) {
            OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", 0), input->rank, &axis,
                                       diagnostic));
            shape.dims[axis] = OCT_DIM_UNKNOWN;
        }
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

/* Slices along an axis for which the condition holds; without an axis, elements. */
static OctetStatus run_compress(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctView *input = &run->inputs[0];
    const uint8_t *condition = run->inputs[1].data;
    OctetShape shape = input->shape;
    int32_t axis = 0;
    if (!oct_node_attribute(node, "axis")) {
        shape = (OctetShape){.rank = 1, .dims = {oct_view_count(input)}};
    } else {
        OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", 0), shape.rank, &axis,
                                   run->diagnostic));
    }
    int64_t dim = shape.dims[axis];
    int64_t length = oct_view_count(&run->inputs[1]);
    int64_t kept = 0;
    int64_t outer = 0;
    int64_t inner = 0;
    length = length < dim ? length : dim;
    oct_shape_product(&shape, 0, axis, &outer);
    oct_shape_product(&shape, axis + 1, shape.rank, &inner);
    for (int64_t i = 0; i < length; i++) {
        kept += condition[i] != 0;
    }
    shape.dims[axis] = kept;
    OCT_TRY(oct_run_output(run, 0, &shape));
    size_t bytes = (size_t)inner * octet_dtype_size(input->dtype);
    char *to = run->outputs[0].data;
    for (int64_t o = 0; o < outer && bytes > 0; o++) {
        for (int64_t i = 0; i < length; i++) {
            if (condition[i]) {
                memcpy(to, (const char *)input->data + (size_t)(o * dim + i) * bytes, bytes);
                to += bytes;
            }
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_compress(const OctPrepare *prepare, OctPreparedOp *prepared) {
    if (oct_input_dtype(prepare->node, 1) != OCTET_BOOL) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, prepare->node,
                           "has a condition that is not bool");
    }
    return prepare_node(prepare, prepared, run_compress, "compress");
}

/* ---- NonZero ---- */

static OctetStatus infer_nonzero(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    const OctetShape *input = oct_input_shape(node, 0);
    OctetShape shape = {.rank = 2, .dims = {OCT_DIM_UNKNOWN, OCT_DIM_UNKNOWN}};
    if (input->rank >= 0) {
        shape.dims[0] = input->rank;
    }
    oct_set_output(node, 0, OCTET_S64, &shape);
    return OCTET_OK;
}

static bool is_zero(const OctView *view, int64_t i) {
    if (view->dtype == OCTET_F32) {
        return ((const float *)view->data)[i] == 0;
    }
    static const char zeros[8] = {0};
    size_t size = octet_dtype_size(view->dtype);
    return memcmp((const char *)view->data + (size_t)i * size, zeros, size) == 0;
}

static OctetStatus run_nonzero(void *state, const OctRun *run) {
    (void)state;
    const OctView *input = &run->inputs[0];
    int32_t rank = input->shape.rank;
    int64_t count = oct_view_count(input);
    OctetShape shape = {.rank = 2, .dims = {rank, 0}};
    for (int64_t i = 0; i < count; i++) {
        shape.dims[1] += !is_zero(input, i);
    }
    OCT_TRY(oct_run_output(run, 0, &shape));
    int64_t *to = run->outputs[0].data;
    int64_t found = 0;
    for (int64_t i = 0; i < count; i++) {
        if (is_zero(input, i)) {
            continue;
        }
        int64_t rest = i;
        for (int32_t axis = rank - 1; axis >= 0; axis--) {
            to[axis * shape.dims[1] + found] = rest % input->shape.dims[axis];
            rest /= input->shape.dims[axis];
        }
        found++;
    }
    return OCTET_OK;
}

static OctetStatus prepare_nonzero(const OctPrepare *prepare, OctPreparedOp *prepared) {
    return prepare_node(prepare, prepared, run_nonzero, "nonzero");
}

/* ---- Trilu ---- */

static OctetStatus infer_trilu(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    int32_t rank = oct_input_shape(node, 0)->rank;
    if (rank >= 0 && rank < 2) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "needs matrices");
    }
    return oct_infer_same(graph, node, diagnostic);
}

/* The part of each matrix on and above (or below) its k-th diagonal; 0 elsewhere. */
static OctetStatus run_trilu(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctetShape *shape = &run->inputs[0].shape;
    bool upper = oct_node_int(node, "upper", 1) != 0;
    int64_t k = 0;
    if (run->input_count > 1 && run->inputs[1].data) {
        OCT_TRY(oct_convert(OCTET_S64, &k, run->inputs[1].dtype, run->inputs[1].data, 1,
                            run->diagnostic));
    }
    int64_t rows = shape->dims[shape->rank - 2];
    int64_t columns = shape->dims[shape->rank - 1];
    int64_t matrices = 0;
    oct_shape_product(shape, 0, shape->rank - 2, &matrices);
    k = k < -rows ? -rows : k > columns ? columns : k;
    size_t size = octet_dtype_size(run->inputs[0].dtype);
    size_t row_bytes = (size_t)columns * size;
    for (int64_t r = 0; r < matrices * rows; r++) {
        const char *from = (const char *)run->inputs[0].data + (size_t)r * row_bytes;
        char *to = (char *)run->outputs[0].data + (size_t)r * row_bytes;
        int64_t edge = r % rows + k + (upper ? 0 : 1); /* the first column kept, or dropped */
        edge = edge < 0 ? 0 : edge > columns ? columns : edge;
        size_t split = (size_t)edge * size;
        memset(upper ? to : to + split, 0, upper ? split : row_bytes - split);
        size_t first = upper ? split : 0;
        if (to != from) {
            memcpy(to + first, from + first, upper ? row_bytes - split : split);
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_trilu(const OctPrepare *prepare, OctPreparedOp *prepared) {
    return prepare_node(prepare, prepared, run_trilu, "trilu");
}

/* ---- ReverseSequence ---- */

static OctetStatus infer_reverse(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    int32_t rank = oct_input_shape(node, 0)->rank;
    int64_t batch = oct_node_int(node, "batch_axis", 1);
    int64_t time = oct_node_int(node, "time_axis", 0);
    if (rank >= 0 &&
        (rank < 2 || batch < 0 || time < 0 || batch > 1 || time > 1 || batch == time)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "needs a batch and a time axis among the first two axes");
    }
    return oct_infer_same(graph, node, diagnostic);
}

static OctetStatus run_reverse(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctetShape *shape = &run->inputs[0].shape;
    bool batch_first = oct_node_int(node, "batch_axis", 1) == 0;
    int64_t batches = shape->dims[batch_first ? 0 : 1];
    int64_t times = shape->dims[batch_first ? 1 : 0];
    int64_t inner = 0;
    oct_shape_product(shape, 2, shape->rank, &inner);
    size_t bytes = (size_t)inner * octet_dtype_size(run->inputs[0].dtype);
    if (oct_view_count(&run->inputs[1]) != batches) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node,
                           "needs one length for each of its sequences");
    }
    for (int64_t b = 0; b < batches && bytes > 0; b++) {
        int64_t length = 0;
        OCT_TRY(oct_convert(OCTET_S64, &length, run->inputs[1].dtype,
                            (const char *)run->inputs[1].data +
                                (size_t)b * octet_dtype_size(run->inputs[1].dtype),
                            1, run->diagnostic));
        if (length < 0 || length > times) {
            return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node,
                               "has a length of %" PRId64 " for sequences of %" PRId64, length,
                               times);
        }
        for (int64_t t = 0; t < times; t++) {
            int64_t source = t < length ? length - 1 - t : t;
            size_t from = (size_t)(batch_first ? b * times + source : source * batches + b);
            size_t to = (size_t)(batch_first ? b * times + t : t * batches + b);
            memcpy((char *)run->outputs[0].data + to * bytes,
                   (const char *)run->inputs[0].data + from * bytes, bytes);
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_reverse(const OctPrepare *prepare, OctPreparedOp *prepared) {
    return prepare_node(prepare, prepared, run_reverse, "reverse");
}

/* ---- OneHot ---- */

static OctetStatus onehot_shape(const OctNode *node, const OctetShape *indices, int64_t depth,
                                OctetShape *shape, int32_t *axis, OctetDiagnostic *diagnostic) {
    *shape = oct_shape_unknown();
    if (indices->rank < 0) {
        return OCTET_OK;
    }
    if (indices->rank + 1 > OCTET_MAX_RANK) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "has more than %d dimensions",
                           OCTET_MAX_RANK);
    }
    OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", -1), indices->rank + 1, axis,
                               diagnostic));
    shape->rank = indices->rank + 1;
    for (int32_t i = 0; i < shape->rank; i++) {
        shape->dims[i] = i < *axis ? indices->dims[i] : i == *axis ? depth : indices->dims[i - 1];
    }
    return OCTET_OK;
}

static OctetStatus read_depth(const OctNode *node, OctetDType dtype, const void *data,
                              int64_t *depth, OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_convert(OCTET_S64, depth, dtype, data, 1, diagnostic));
    if (*depth < 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has a negative depth");
    }
    return OCTET_OK;
}

static OctetStatus infer_onehot(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetTensor *tensor = oct_value_tensor(oct_node_input(node, 1));
    int64_t depth = OCT_DIM_UNKNOWN;
    int64_t known;
    OctetShape shape;
    int32_t axis;
    if (tensor && tensor->bytes > 0) {
        OCT_TRY(read_depth(node, tensor->dtype, tensor->data, &depth, diagnostic));
    } else if (oct_value_known_ints(node->inputs[1], &known, 1) == 1) {
        depth = oct_dim_of_known(known);
    }
    OCT_TRY(onehot_shape(node, oct_input_shape(node, 0), depth, &shape, &axis, diagnostic));
    oct_set_output(node, 0, oct_input_dtype(node, 2), &shape);
    return OCTET_OK;
}

static OctetStatus run_onehot(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctView *indices = &run->inputs[0];
    const OctView *values = &run->inputs[2];
    int64_t depth;
    OctetShape shape;
    int32_t axis = 0;
    if (oct_view_count(&run->inputs[1]) != 1 || oct_view_count(values) != 2) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node,
                           "needs one depth and two values");
    }
    OCT_TRY(read_depth(node, run->inputs[1].dtype, run->inputs[1].data, &depth, run->diagnostic));
    OCT_TRY(onehot_shape(node, &indices->shape, depth, &shape, &axis, run->diagnostic));
    OCT_TRY(oct_run_output(run, 0, &shape));
    size_t size = octet_dtype_size(values->dtype);
    uint64_t off = 0;
    memcpy(&off, values->data, size);
    char *to = run->outputs[0].data;
    oct_fill(to, size, oct_view_count(&run->outputs[0]), off);
    int64_t inner = 0;
    oct_shape_product(&indices->shape, axis, indices->shape.rank, &inner);
    size_t index_size = octet_dtype_size(indices->dtype);
    for (int64_t i = 0; i < oct_view_count(indices); i++) {
        int64_t at;
        OCT_TRY(oct_convert(OCTET_S64, &at, indices->dtype,
                            (const char *)indices->data + (size_t)i * index_size, 1,
                            run->diagnostic));
        at += at < 0 ? depth : 0;
        if (at >= 0 && at < depth) { /* others are all off */
            size_t place = (size_t)((i / inner * depth + at) * inner + i % inner);
            memcpy(to + place * size, (const char *)values->data + size, size);
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_onehot(const OctPrepare *prepare, OctPreparedOp *prepared) {
    return prepare_node(prepare, prepared, run_onehot, "onehot");
}

const OctOp oct_ops_select[] = {
    {"", "Compress", 9, 0, OCT_OP_DYNAMIC, 2, 2, 1, 1, NULL, infer_compress, prepare_compress},
    {"", "NonZero", 9, 0, OCT_OP_DYNAMIC, 1, 1, 1, 1, NULL, infer_nonzero, prepare_nonzero},
    {"", "Trilu", 14, 0, 0, 1, 2, 1, 1, NULL, infer_trilu, prepare_trilu},
    {"", "ReverseSequence", 10, 0, 0, 2, 2, 1, 1, NULL, infer_reverse, prepare_reverse},
    {"", "OneHot", 9, 0, OCT_OP_DYNAMIC, 3, 3, 1, 1, NULL, infer_onehot, prepare_onehot},
};
OCT_OPS_COUNT(select);
