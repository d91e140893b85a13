/* Writing at indices: ScatterElements (and its old name Scatter), ScatterND.
 * Updates are applied in their order, so the last of several to one place wins. */
#include "base/patience.h"
#include "ops/index.h"
#include "ops/ops.h"

#include <string.h>

typedef enum Reduction { REDUCE_NONE, REDUCE_ADD, REDUCE_MUL, REDUCE_MAX, REDUCE_MIN } Reduction;

typedef struct Scatter {
    const OctNode *node;
    int32_t axis; /* of ScatterElements */
    Reduction reduction;
} Scatter;

static bool read_reduction(const OctNode *node, Reduction *reduction) {
    static const char *const names[] = {"none", "add", "mul", "max", "min"};
    const char *name = oct_node_string(node, "reduction", "none");
    for (int i = 0; i < 5; i++) {
        if (strcmp(name, names[i]) == 0) {
            *reduction = (Reduction)i;
            return true;
        }
    }
    return false;
}

static OctetStatus check_scatter(const OctGraph *graph, const OctNode *node,
                                 OctetDiagnostic *diagnostic) {
    (void)graph;
    Reduction reduction;
    if (!read_reduction(node, &reduction)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node, "has reduction '%s'",
                           oct_node_string(node, "reduction", ""));
    }
    return OCTET_OK;
}

#define COMBINE(type, wide)                                                                        \
    do {                                                                                           \
        type a;                                                                                    \
        type b;                                                                                    \
        memcpy(&a, to, sizeof a);                                                                  \
        memcpy(&b, from, sizeof b);                                                                \
        switch (reduction) {                                                                       \
        case REDUCE_ADD:                                                                           \
            a = (type)((wide)a + (wide)b);                                                         \
            break;                                                                                 \
        case REDUCE_MUL:                                                                           \
            a = (type)((wide)a * (wide)b);                                                         \
            break;                                                                                 \
        case REDUCE_MAX:                                                                           \
            a = a > b ? a : b;                                                                     \
            break;                                                                                 \
        default:                                                                                   \
            a = a < b ? a : b;                                                                     \
        }                                                                                          \
        memcpy(to, &a, sizeof a);                                                                  \
    } while (0)

/* One element; sums and products of integers wrap. */
static void combine(OctetDType dtype, Reduction reduction, void *to, const void *from) {
    switch (dtype) {
    case OCTET_F32:
        COMBINE(float, float);
        break;
    case OCTET_S8:
        COMBINE(int8_t, int64_t);
        break;
    case OCTET_U8:
    case OCTET_BOOL:
        COMBINE(uint8_t, uint64_t);
        break;
    case OCTET_S16:
        COMBINE(int16_t, int64_t);
        break;
    case OCTET_U16:
        COMBINE(uint16_t, uint64_t);
        break;
    case OCTET_S32:
        COMBINE(int32_t, int64_t);
        break;
    case OCTET_U32:
        COMBINE(uint32_t, uint64_t);
        break;
    case OCTET_S64:
        COMBINE(int64_t, uint64_t);
        break;
    default:
        COMBINE(uint64_t, uint64_t);
    }
}

static void update(const Scatter *scatter, const OctRun *run, int64_t to, int64_t from,
                   int64_t count) {
    const OctView *updates = &run->inputs[2];
    OctetDType dtype = run->outputs[0].dtype;
    size_t size = octet_dtype_size(dtype);
    char *place = (char *)run->outputs[0].data + (size_t)to * size;
    const char *source = (const char *)updates->data + (size_t)from * size;
    if (scatter->reduction == REDUCE_NONE) {
        memcpy(place, source, (size_t)count * size);
        return;
    }
    for (int64_t i = 0; i < count; i++, place += size, source += size) {
        combine(dtype, scatter->reduction, place, source);
    }
}

static void copy_data(const OctRun *run) {
    size_t bytes = (size_t)oct_view_count(&run->inputs[0]) * octet_dtype_size(run->inputs[0].dtype);
    if (bytes > 0 && run->outputs[0].data != run->inputs[0].data) {
        memcpy(run->outputs[0].data, run->inputs[0].data, bytes);
    }
}

static OctetStatus prepare_scatter(const OctPrepare *prepare, OctPreparedOp *prepared,
                                   OctetStatus (*run)(void *state, const OctRun *run)) {
    const OctNode *node = prepare->node;
    OCT_TRY(oct_index_check_type(node, 1, prepare->diagnostic));
    Scatter *scatter = oct_prepare_state(prepare, prepared, sizeof *scatter);
    if (!scatter) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run;
    prepared->kernel = "scatter";
    scatter->node = node;
    read_reduction(node, &scatter->reduction);
    return OCTET_OK;
}

/* ---- ScatterElements ---- */

static OctetStatus infer_scatter_elements(OctGraph *graph, OctNode *node,
                                          OctetDiagnostic *diagnostic) {
    const OctetShape *indices = oct_input_shape(node, 1);
    const OctetShape *updates = oct_input_shape(node, 2);
    OCT_TRY(oct_index_check_elements(node, oct_input_shape(node, 0), indices, diagnostic));
    if (oct_shape_is_static(indices) && oct_shape_is_static(updates) &&
        !octet_shape_equal(indices, updates)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has indices and updates of different shapes");
    }
    return oct_infer_same(graph, node, diagnostic);
}

static OctetStatus run_scatter_elements(void *state, const OctRun *run) {
    const Scatter *scatter = state;
    const OctView *indices = &run->inputs[1];
    int64_t count = oct_view_count(indices);
    OctIndexWalk walk;
    copy_data(run);
    oct_index_walk_start(&walk, &indices->shape, &run->inputs[0].shape, scatter->axis);
    size_t stint = 0;
    for (int64_t i = 0; i < count && !oct_is_over_after(&stint, 5); i++) {
        int64_t at;
        OCT_TRY(oct_index_read(scatter->node, indices, i, walk.dim, &at, run->diagnostic));
        update(scatter, run, walk.offset + at * walk.stride, i, 1);
        oct_index_walk_next(&walk);
    }
    return OCTET_OK;
}

static OctetStatus prepare_scatter_elements(const OctPrepare *prepare, OctPreparedOp *prepared) {
    OCT_TRY(prepare_scatter(prepare, prepared, run_scatter_elements));
    Scatter *scatter = prepared->state;
    const OctNode *node = prepare->node;
    return oct_normalize_axis(node, oct_node_int(node, "axis", 0), node->inputs[0]->shape.rank,
                              &scatter->axis, prepare->diagnostic);
}

/* ---- ScatterND ---- */

static OctetStatus infer_scatter_nd(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    const OctetShape *data = oct_input_shape(node, 0);
    const OctetShape *indices = oct_input_shape(node, 1);
    const OctetShape *updates = oct_input_shape(node, 2);
    if (data->rank >= 0 && indices->rank >= 1 && updates->rank >= 0 &&
        indices->dims[indices->rank - 1] >= 0) {
        int64_t tuple = indices->dims[indices->rank - 1];
        int32_t lead = indices->rank - 1;
        bool fits = tuple <= data->rank && updates->rank == lead + data->rank - tuple;
        for (int32_t i = 0; fits && i < updates->rank; i++) {
            int64_t dim = i < lead ? indices->dims[i] : data->dims[i - lead + tuple];
            fits = oct_dims_agree(updates->dims[i], dim);
        }
        if (!fits) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "has data, indices and updates that do not fit each other");
        }
    }
    return oct_infer_same(graph, node, diagnostic);
}

static OctetStatus run_scatter_nd(void *state, const OctRun *run) {
    const Scatter *scatter = state;
    const OctetShape *data = &run->inputs[0].shape;
    const OctView *indices = &run->inputs[1];
    int32_t tuple = (int32_t)indices->shape.dims[indices->shape.rank - 1];
    int64_t slices = 0;
    int64_t inner = 0;
    copy_data(run);
    oct_shape_product(&indices->shape, 0, indices->shape.rank - 1, &slices);
    oct_shape_product(data, tuple, data->rank, &inner);
    size_t stint = 0;
    for (int64_t i = 0; i < slices && inner > 0 && !oct_is_over_after(&stint, 5 + (size_t)inner);
         i++) {
        int64_t offset;
        OCT_TRY(oct_index_read_tuple(scatter->node, indices, i * tuple, data, 0, tuple, &offset,
                                     run->diagnostic));
        update(scatter, run, offset, i * inner, inner);
    }
    return OCTET_OK;
}

static OctetStatus prepare_scatter_nd(const OctPrepare *prepare, OctPreparedOp *prepared) {
    return prepare_scatter(prepare, prepared, run_scatter_nd);
}

#define ELEMENTS check_scatter, infer_scatter_elements, prepare_scatter_elements

const OctOp oct_ops_scatter[] = {
    {"", "Scatter", 9, 10, OCT_OP_INPLACE, 3, 3, 1, 1, ELEMENTS},
    {"", "ScatterElements", 11, 0, OCT_OP_INPLACE, 3, 3, 1, 1, ELEMENTS},
    {"", "ScatterND", 11, 0, OCT_OP_INPLACE, 3, 3, 1, 1, check_scatter, infer_scatter_nd,
     prepare_scatter_nd},
};
OCT_OPS_COUNT(scatter);
