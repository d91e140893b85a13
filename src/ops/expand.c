/* Repetition: Expand, Tile. */
#include "ops/ops.h"
#include "ops/strided.h"

/* ---- Expand: broadcasting to a shape ---- */

static OctetStatus expand_shape(const OctNode *node, const OctetShape *input, const OctInts *list,
                                OctetShape *output, OctetDiagnostic *diagnostic) {
    *output = oct_shape_unknown();
    if (list->count < 0) {
        return OCTET_OK;
    }
    if (list->count > OCTET_MAX_RANK) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "has more than %d dimensions",
                           OCTET_MAX_RANK);
    }
    OctetShape target = oct_shape_of_rank(list->count);
    for (int32_t i = 0; list->known && i < list->count; i++) {
        target.dims[i] = oct_dim_of_known(list->v[i]);
        if (oct_known_is_number(list->v[i]) && list->v[i] < 0) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has a negative dimension");
        }
    }
    return oct_broadcast_shapes(node, input, &target, output, diagnostic);
}

static void plan_expand(const OctetShape *input, const OctetShape *output, OctStrided *copy) {
    int64_t strides[OCTET_MAX_RANK];
    int32_t lead = output->rank - input->rank;
    oct_strides(input, strides);
    *copy = (OctStrided){.rank = output->rank};
    oct_strides(output, copy->destination_strides);
    for (int32_t i = 0; i < output->rank; i++) {
        copy->dims[i] = output->dims[i];
        bool repeats = i < lead || input->dims[i - lead] == 1;
        copy->source_strides[i] = repeats ? 0 : strides[i - lead];
    }
    oct_strided_simplify(copy);
}

/* ---- Tile: every axis several times ---- */

static OctetStatus tile_shape(const OctNode *node, const OctetShape *input, const OctInts *list,
                              OctetShape *output, OctetDiagnostic *diagnostic) {
    *output = *input;
    if (input->rank < 0) {
        return OCTET_OK;
    }
    if (list->count >= 0 && list->count != input->rank) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has %d repeats for an input of rank %d", (int)list->count,
                           (int)input->rank);
    }
    for (int32_t i = 0; i < input->rank; i++) {
        int64_t repeats = list->known ? list->v[i] : OCT_DIM_UNKNOWN;
        if (list->known && oct_known_is_number(repeats) && repeats < 0) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "repeats less than 0 times");
        }
        if (repeats == 1) {
            continue;
        }
        bool numbers = repeats >= 0 && input->dims[i] >= 0;
        output->dims[i] = OCT_DIM_UNKNOWN;
        if (numbers && !oct_mul_i64(repeats, input->dims[i], &output->dims[i])) {
            return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "has an output too large");
        }
    }
    return OCTET_OK;
}

/* Axes come in pairs: how often, and the input's own. */
static void plan_tile(const OctetShape *input, const OctetShape *output, OctStrided *copy) {
    int64_t in_strides[OCTET_MAX_RANK];
    int64_t out_strides[OCTET_MAX_RANK];
    oct_strides(input, in_strides);
    oct_strides(output, out_strides);
    *copy = (OctStrided){.rank = 2 * output->rank};
    for (int32_t i = 0; i < output->rank; i++) {
        int64_t dim = input->dims[i];
        copy->dims[2 * i] = dim > 0 ? output->dims[i] / dim : 0;
        copy->dims[2 * i + 1] = dim;
        copy->destination_strides[2 * i] = out_strides[i] * dim;
        copy->destination_strides[2 * i + 1] = out_strides[i];
        copy->source_strides[2 * i + 1] = in_strides[i];
    }
    oct_strided_simplify(copy);
}

/* ---- both ---- */

typedef struct Repeat {
    OctetStatus (*shape)(const OctNode *node, const OctetShape *input, const OctInts *list,
                         OctetShape *output, OctetDiagnostic *diagnostic);
    void (*plan)(const OctetShape *input, const OctetShape *output, OctStrided *copy);
    const OctNode *node;
    bool open;
    OctStrided copy;
} Repeat;

static Repeat repeat_of(const OctNode *node) {
    bool expand = node->op_type[0] == 'E';
    return (Repeat){.shape = expand ? expand_shape : tile_shape,
                    .plan = expand ? plan_expand : plan_tile,
                    .node = node};
}

static OctetStatus infer_repeat(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    Repeat repeat = repeat_of(node);
    OctInts list;
    OctetShape shape;
    OCT_TRY(oct_node_int_list(node, NULL, 1, &list, diagnostic));
    OCT_TRY(repeat.shape(node, oct_input_shape(node, 0), &list, &shape, diagnostic));
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    OctValue *output = oct_node_output(node, 0);
    int64_t known[OCT_MAX_INTS];
    int32_t count = oct_value_known_ints(node->inputs[0], known, OCT_MAX_INTS);
    if (!output || count != 1 || shape.rank != 1 || shape.dims[0] < 0 ||
        shape.dims[0] > OCT_MAX_INTS) {
        return OCTET_OK;
    }
    for (int64_t i = 1; i < shape.dims[0]; i++) {
        known[i] = known[0];
    }
    return oct_set_known(graph, output, known, (int32_t)shape.dims[0], diagnostic);
}

static OctetStatus run_repeat(void *state, const OctRun *run) {
    Repeat *repeat = state;
    const OctetShape *input = &run->inputs[0].shape;
    if (repeat->open) {
        OctInts list;
        OctetShape shape;
        OCT_TRY(oct_run_int_list(repeat->node, NULL, 1, run, &list));
        OCT_TRY(repeat->shape(repeat->node, input, &list, &shape, run->diagnostic));
        OCT_TRY(oct_run_output(run, 0, &shape));
        repeat->plan(input, &run->outputs[0].shape, &repeat->copy);
    }
    if (oct_view_count(&run->outputs[0]) > 0) {
        oct_strided_copy(&repeat->copy, octet_dtype_size(run->inputs[0].dtype), run->inputs[0].data,
                         run->outputs[0].data, run->pool);
    }
    return OCTET_OK;
}

static OctetStatus prepare_repeat(const OctPrepare *prepare, OctPreparedOp *prepared) {
    Repeat *repeat = oct_prepare_state(prepare, prepared, sizeof *repeat);
    if (!repeat) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    const OctNode *node = prepare->node;
    *repeat = repeat_of(node);
    prepared->run = run_repeat;
    prepared->kernel = "copy";
    repeat->open = !oct_shape_is_static(&node->outputs[0]->shape);
    if (!repeat->open) {
        repeat->plan(&node->inputs[0]->shape, &node->outputs[0]->shape, &repeat->copy);
    }
    return OCTET_OK;
}

#define FLAGS (OCT_OP_MOVES_DATA | OCT_OP_INT8 | OCT_OP_DYNAMIC)

const OctOp oct_ops_expand[] = {
    {"", "Expand", 8, 0, FLAGS, 2, 2, 1, 1, NULL, infer_repeat, prepare_repeat},
    {"", "Tile", 6, 0, FLAGS, 2, 2, 1, 1, NULL, infer_repeat, prepare_repeat},
};
OCT_OPS_COUNT(expand);
