/* Picking by index: Gather, GatherElements, GatherND. */
#include "base/patience.h"
#include "ops/index.h"
#include "ops/ops.h"

#include <string.h>

typedef struct Gather {
    const OctNode *node;
    int32_t axis;       /* of Gather and GatherElements */
    int32_t batch_dims; /* of GatherND */
} Gather;

static OctetStatus prepare_gather(const OctPrepare *prepare, OctPreparedOp *prepared,
                                  OctetStatus (*run)(void *state, const OctRun *run)) {
    const OctNode *node = prepare->node;
    OCT_TRY(oct_index_check_type(node, 1, prepare->diagnostic));
    Gather *gather = oct_prepare_state(prepare, prepared, sizeof *gather);
    if (!gather) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run;
    prepared->kernel = "gather";
    gather->node = node;
    gather->batch_dims = (int32_t)oct_node_int(node, "batch_dims", 0);
    if (node->op->name[6] == 'N') {
        return OCTET_OK;
    }
    return oct_normalize_axis(node, oct_node_int(node, "axis", 0), node->inputs[0]->shape.rank,
                              &gather->axis, prepare->diagnostic);
}

/* ---- Gather: whole slices ---- */

static OctetStatus gather_known(OctGraph *graph, const OctNode *node, OctetDiagnostic *diagnostic) {
    int64_t data[OCT_MAX_INTS];
    int64_t indices[OCT_MAX_INTS];
    OctValue *output = oct_node_output(node, 0);
    if (!output || node->inputs[0]->shape.rank != 1) {
        return OCTET_OK;
    }
    int32_t data_count = oct_value_known_ints(node->inputs[0], data, OCT_MAX_INTS);
    int32_t count = oct_value_known_ints(node->inputs[1], indices, OCT_MAX_INTS);
    if (data_count < 0 || count < 0) {
        return OCTET_OK;
    }
    for (int32_t i = 0; i < count; i++) {
        int64_t at = indices[i] < 0 ? indices[i] + data_count : indices[i];
        if (at < 0 || at >= data_count) {
            return OCTET_OK;
        }
        indices[i] = data[at];
    }
    return oct_set_known(graph, output, indices, count, diagnostic);
}

static OctetStatus infer_gather(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    const OctetShape *data = oct_input_shape(node, 0);
    const OctetShape *indices = oct_input_shape(node, 1);
    OctetShape shape = oct_shape_unknown();
    if (data->rank >= 0 && indices->rank >= 0) {
        int32_t axis;
        OCT_TRY(
            oct_normalize_axis(node, oct_node_int(node, "axis", 0), data->rank, &axis, diagnostic));
        if (data->rank - 1 + indices->rank > OCTET_MAX_RANK) {
            return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "has more than %d dimensions",
                               OCTET_MAX_RANK);
        }
        shape.rank = 0;
        for (int32_t i = 0; i < axis; i++) {
            shape.dims[shape.rank++] = data->dims[i];
        }
        for (int32_t i = 0; i < indices->rank; i++) {
            shape.dims[shape.rank++] = indices->dims[i];
        }
        for (int32_t i = axis + 1; i < data->rank; i++) {
            shape.dims[shape.rank++] = data->dims[i];
        }
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return gather_known(graph, node, diagnostic);
}

static OctetStatus run_gather(void *state, const OctRun *run) {
    const Gather *gather = state;
    const OctetShape *data = &run->inputs[0].shape;
    const OctView *indices = &run->inputs[1];
    size_t size = octet_dtype_size(run->inputs[0].dtype);
    int64_t outer = 0;
    int64_t inner = 0;
    oct_shape_product(data, 0, gather->axis, &outer);
    oct_shape_product(data, gather->axis + 1, data->rank, &inner);
    int64_t dim = data->dims[gather->axis];
    int64_t count = oct_view_count(indices);
    size_t bytes = (size_t)inner * size;
    char *to = run->outputs[0].data;
    if (outer == 0 || bytes == 0) {
        return OCTET_OK;
    }
    size_t stint = 0;
    for (int64_t o = 0; o < outer; o++) {
        const char *from = (const char *)run->inputs[0].data + (size_t)(o * dim) * bytes;
        for (int64_t i = 0; i < count && !oct_is_over_after(&stint, 5 + bytes / 8);
             i++, to += bytes) {
            int64_t at;
            OCT_TRY(oct_index_read(gather->node, indices, i, dim, &at, run->diagnostic));
            memcpy(to, from + (size_t)at * bytes, bytes);
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_gather_slices(const OctPrepare *prepare, OctPreparedOp *prepared) {
    return prepare_gather(prepare, prepared, run_gather);
}

/* ---- GatherElements: one index an element ---- */

static OctetStatus infer_gather_elements(OctGraph *graph, OctNode *node,
                                         OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *data = oct_input_shape(node, 0);
    const OctetShape *indices = oct_input_shape(node, 1);
    OCT_TRY(oct_index_check_elements(node, data, indices, diagnostic));
    oct_set_output(node, 0, oct_input_dtype(node, 0), indices);
    return OCTET_OK;
}

static OctetStatus run_gather_elements(void *state, const OctRun *run) {
    const Gather *gather = state;
    const OctView *indices = &run->inputs[1];
    size_t size = octet_dtype_size(run->inputs[0].dtype);
    const char *from = run->inputs[0].data;
    char *to = run->outputs[0].data;
    int64_t count = oct_view_count(indices);
    OctIndexWalk walk;
    oct_index_walk_start(&walk, &indices->shape, &run->inputs[0].shape, gather->axis);
    size_t stint = 0;
    for (int64_t i = 0; i < count && !oct_is_over_after(&stint, 5); i++, to += size) {
        int64_t at;
        OCT_TRY(oct_index_read(gather->node, indices, i, walk.dim, &at, run->diagnostic));
        memcpy(to, from + (size_t)(walk.offset + at * walk.stride) * size, size);
        oct_index_walk_next(&walk);
    }
    return OCTET_OK;
}

static OctetStatus prepare_gather_elements(const OctPrepare *prepare, OctPreparedOp *prepared) {
    return prepare_gather(prepare, prepared, run_gather_elements);
}

/* ---- GatherND: slices at tuples of indices ---- */

static OctetStatus infer_gather_nd(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *data = oct_input_shape(node, 0);
    const OctetShape *indices = oct_input_shape(node, 1);
    OctetShape shape = oct_shape_unknown();
    int64_t batch = oct_node_int(node, "batch_dims", 0);
    if (indices->rank == 0 || data->rank == 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "needs data and indices of rank 1");
    }
    if (data->rank >= 0 && indices->rank >= 1 && indices->dims[indices->rank - 1] >= 0) {
        int64_t tuple = indices->dims[indices->rank - 1];
        if (batch < 0 || batch >= indices->rank || batch > data->rank || tuple < 1 ||
            tuple > data->rank - batch) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "has indices that do not fit its data");
        }
        int32_t first = (int32_t)(batch + tuple);
        if (indices->rank - 1 + data->rank - first > OCTET_MAX_RANK) {
            return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "has more than %d dimensions",
                               OCTET_MAX_RANK);
        }
        shape.rank = 0;
        for (int32_t i = 0; i < indices->rank - 1; i++) {
            shape.dims[shape.rank++] = indices->dims[i];
            if (i < batch && !oct_dims_agree(indices->dims[i], data->dims[i])) {
                return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                                   "has batch dimensions that differ");
            }
        }
        for (int32_t i = first; i < data->rank; i++) {
            shape.dims[shape.rank++] = data->dims[i];
        }
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

static OctetStatus run_gather_nd(void *state, const OctRun *run) {
    const Gather *gather = state;
    const OctetShape *data = &run->inputs[0].shape;
    const OctView *indices = &run->inputs[1];
    size_t size = octet_dtype_size(run->inputs[0].dtype);
    int32_t batch = gather->batch_dims;
    int32_t tuple = (int32_t)indices->shape.dims[indices->shape.rank - 1];
    int64_t batches = 0;
    int64_t slices = 0;
    int64_t inner = 0;
    int64_t batch_size = 0;
    oct_shape_product(data, 0, batch, &batches);
    oct_shape_product(data, batch, data->rank, &batch_size);
    oct_shape_product(&indices->shape, batch, indices->shape.rank - 1, &slices);
    oct_shape_product(data, batch + tuple, data->rank, &inner);
    size_t bytes = (size_t)inner * size;
    char *to = run->outputs[0].data;
    if (bytes == 0) {
        return OCTET_OK;
    }
    size_t stint = 0;
    for (int64_t i = 0; i < batches * slices && !oct_is_over_after(&stint, 5 + bytes / 8);
         i++, to += bytes) {
        int64_t offset;
        OCT_TRY(oct_index_read_tuple(gather->node, indices, i * tuple, data, batch, tuple, &offset,
                                     run->diagnostic));
        offset += i / slices * batch_size;
        memcpy(to, (const char *)run->inputs[0].data + (size_t)offset * size, bytes);
    }
    return OCTET_OK;
}

static OctetStatus prepare_gather_nd(const OctPrepare *prepare, OctPreparedOp *prepared) {
    return prepare_gather(prepare, prepared, run_gather_nd);
}

#define FLAGS (OCT_OP_MOVES_DATA | OCT_OP_INT8)

const OctOp oct_ops_gather[] = {
    {"", "Gather", 1, 0, FLAGS, 2, 2, 1, 1, NULL, infer_gather, prepare_gather_slices},
    {"", "GatherElements", 11, 0, FLAGS, 2, 2, 1, 1, NULL, infer_gather_elements,
     prepare_gather_elements},
    {"", "GatherND", 11, 0, FLAGS, 2, 2, 1, 1, NULL, infer_gather_nd, prepare_gather_nd},
};
OCT_OPS_COUNT(gather);
