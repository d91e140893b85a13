/* Reductions over axes: check, infer, and the arrangement of the input. */
#include "ops/reduce.h"
#include "kernels/transpose.h"

#include <string.h>

static OctReduction reduction_of(const OctNode *node) {
    static const char *const names[] = {
        "ReduceSum", "ReduceMean", "ReduceMax",       "ReduceMin",    "ReduceProd",
        "ReduceL1",  "ReduceL2",   "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"};
    int i = 0;
    while (i < 9 && strcmp(node->op_type, names[i]) != 0) {
        i++;
    }
    return (OctReduction)i;
}

static bool has_int_form(OctReduction reduction) {
    return reduction <= OCT_REDUCE_L1 || reduction == OCT_REDUCE_SUM_SQUARE;
}

static OctetStatus check_reduce(const OctGraph *graph, const OctNode *node,
                                OctetDiagnostic *diagnostic) {
    (void)graph;
    uint32_t types = has_int_form(reduction_of(node)) ? OCT_TYPES_ANY : OCT_TYPES_FLOAT;
    return oct_check_type(node, 0, types, diagnostic);
}

/* ---- shapes ---- */

/* Which axes go: all if the list is absent or empty, unless the node says that none do. */
static OctetStatus mark_reduced(const OctNode *node, int32_t rank, const OctInts *axes,
                                bool *reduced, OctetDiagnostic *diagnostic) {
    bool none_given = !axes->present || axes->count == 0;
    bool all = none_given && oct_node_int(node, "noop_with_empty_axes", 0) == 0;
    for (int32_t i = 0; i < rank; i++) {
        reduced[i] = all;
    }
    for (int32_t i = 0; axes->present && i < axes->count; i++) {
        int32_t axis;
        OCT_TRY(oct_normalize_axis(node, axes->v[i], rank, &axis, diagnostic));
        reduced[axis] = true;
    }
    return OCTET_OK;
}

static void reduced_shape(const OctNode *node, const OctetShape *input, const bool *reduced,
                          OctetShape *output) {
    bool keep = oct_node_int(node, "keepdims", 1) != 0;
    *output = (OctetShape){.rank = 0};
    for (int32_t i = 0; i < input->rank; i++) {
        if (!reduced[i] || keep) {
            output->dims[output->rank++] = reduced[i] ? 1 : input->dims[i];
        }
    }
}

/* Products of shapes, as exporters write them. */
static OctetStatus reduce_known(OctGraph *graph, const OctNode *node, OctetDiagnostic *diagnostic) {
    OctValue *output = oct_node_output(node, 0);
    OctReduction reduction = reduction_of(node);
    int64_t known[OCT_MAX_INTS];
    int64_t count;
    if (!output || !oct_dtype_is_integer(output->dtype) || output->shape.rank > 1 ||
        node->inputs[0]->shape.rank != 1 || !octet_shape_count(&output->shape, &count) ||
        count != 1 || reduction > OCT_REDUCE_PROD || reduction == OCT_REDUCE_MEAN) {
        return OCTET_OK;
    }
    int32_t length = oct_value_known_ints(node->inputs[0], known, OCT_MAX_INTS);
    uint64_t sum = 0;
    uint64_t product = 1;
    int64_t low = INT64_MAX;
    int64_t high = INT64_MIN;
    for (int32_t i = 0; i < length; i++) {
        if (!oct_known_is_number(known[i])) {
            return OCTET_OK;
        }
        sum += (uint64_t)known[i];
        product *= (uint64_t)known[i];
        low = known[i] < low ? known[i] : low;
        high = known[i] > high ? known[i] : high;
    }
    int64_t result = reduction == OCT_REDUCE_SUM    ? (int64_t)sum
                     : reduction == OCT_REDUCE_PROD ? (int64_t)product
                     : reduction == OCT_REDUCE_MAX  ? high
                                                    : low;
    return length > 0 && oct_known_is_number(result)
               ? oct_set_known(graph, output, &result, 1, diagnostic)
               : OCTET_OK;
}

static OctetStatus infer_reduce(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    const OctetShape *input = oct_input_shape(node, 0);
    OctetShape shape = oct_shape_unknown();
    OctInts axes;
    bool reduced[OCTET_MAX_RANK];
    OCT_TRY(oct_node_int_list(node, "axes", 1, &axes, diagnostic));
    if (input->rank >= 0 && !oct_ints_open(&axes)) {
        OCT_TRY(mark_reduced(node, input->rank, &axes, reduced, diagnostic));
        reduced_shape(node, input, reduced, &shape);
    } else if (input->rank >= 0 && oct_node_int(node, "keepdims", 1) != 0) {
        shape = oct_shape_of_rank(input->rank);
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return reduce_known(graph, node, diagnostic);
}

/* ---- arrangement ---- */

/* Joins neighbors that share their fate, and drops axes of size 1. */
static int32_t join_axes(const OctetShape *input, const bool *reduced, int64_t *dims, bool *gone) {
    int32_t groups = 0;
    for (int32_t i = 0; i < input->rank; i++) {
        if (input->dims[i] == 1) {
            continue;
        }
        if (groups > 0 && gone[groups - 1] == reduced[i]) {
            dims[groups - 1] *= input->dims[i];
        } else {
            dims[groups] = input->dims[i];
            gone[groups++] = reduced[i];
        }
    }
    return groups;
}

static void arrange(const OctetShape *input, const bool *reduced, OctReduceForm *form) {
    bool gone[OCTET_MAX_RANK];
    *form = (OctReduceForm){.outer = 1, .count = 1, .inner = 1};
    form->rank = join_axes(input, reduced, form->dims, gone);
    int32_t reduced_groups = 0;
    for (int32_t i = 0; i < form->rank; i++) {
        reduced_groups += gone[i];
    }
    form->transposes = reduced_groups > 1;
    int32_t kept = 0;
    int32_t moved = form->rank - reduced_groups;
    int32_t group = -1; /* the reduced one, if there is one only */
    for (int32_t i = 0; i < form->rank; i++) {
        form->order[gone[i] ? moved++ : kept++] = i;
        form->count *= gone[i] ? form->dims[i] : 1;
        group = gone[i] ? i : group;
    }
    for (int32_t i = 0; i < form->rank; i++) {
        bool before = form->transposes || group < 0 || i < group;
        if (!gone[i]) {
            *(before ? &form->outer : &form->inner) *= form->dims[i];
        }
    }
}

/* ---- running ---- */

static OctetStatus reduce_arranged(OctReduce *reduce, const OctRun *run, void *workspace) {
    const OctReduceForm *form = &reduce->form;
    const OctView *input = &run->inputs[0];
    const void *data = input->data;
    int32_t *sums = workspace;
    if (form->transposes) {
        oct_transpose(octet_dtype_size(input->dtype), form->rank, form->dims, form->order, data,
                      workspace, run->pool);
        data = workspace;
        sums = NULL; /* inner is 1 */
    }
    int32_t one_sum;
    if (oct_value_quantized(reduce->node->outputs[0]) && reduce->reduction == OCT_REDUCE_MEAN) {
        oct_reduce_mean_u8(reduce, data, run->outputs[0].data, form->inner == 1 ? &one_sum : sums);
    } else if (input->dtype == OCTET_F32) {
        oct_reduce_f32(reduce, data, run->outputs[0].data, run->pool);
    } else {
        oct_reduce_int(reduce, input->dtype, data, run->outputs[0].data);
    }
    return OCTET_OK;
}

static OctetStatus run_reduce(void *state, const OctRun *run) {
    OctReduce *reduce = state;
    if (!reduce->open) {
        return reduce_arranged(reduce, run, run->workspace);
    }
    const OctetShape *input = &run->inputs[0].shape;
    OctInts axes;
    OctetShape shape;
    bool reduced[OCTET_MAX_RANK];
    OCT_TRY(oct_run_int_list(reduce->node, "axes", 1, run, &axes));
    OCT_TRY(mark_reduced(reduce->node, input->rank, &axes, reduced, run->diagnostic));
    reduced_shape(reduce->node, input, reduced, &shape);
    OCT_TRY(oct_run_output(run, 0, &shape));
    arrange(input, reduced, &reduce->form);
    return reduce_arranged(reduce, run, run->workspace);
}

/* Room for a transposed input, or for the sums of a quantized mean. */
static OctetStatus need_workspace(const OctPrepare *prepare, const OctReduce *reduce,
                                  OctPreparedOp *prepared) {
    const OctValue *input = prepare->node->inputs[0];
    if (reduce->open || reduce->form.transposes) {
        OCT_TRY(oct_tensor_bytes(oct_value_storage(input), &input->shape,
                                 &prepared->workspace_bytes, prepare->diagnostic));
    } else if (oct_value_quantized(input)) {
        prepared->workspace_bytes = (size_t)reduce->form.inner * sizeof(int32_t);
    }
    return OCTET_OK;
}

static OctetStatus prepare_mean_u8(const OctPrepare *prepare, OctReduce *reduce) {
    const OctValue *x = prepare->node->inputs[0];
    const OctValue *y = prepare->node->outputs[0];
    int64_t count = reduce->form.count;
    bool bytes = x->qparams.dtype == OCTET_U8 && y->qparams.dtype == OCTET_U8;
    if (!bytes || reduce->open || count < 1 || count > (1 << 23)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, prepare->node,
                           "has no integer kernel for these tensors");
    }
    reduce->average =
        oct_q8_average_params(oct_value_scale(x), oct_value_zero_point(x), (size_t)count,
                              oct_value_scale(y), oct_value_zero_point(y));
    return OCTET_OK;
}

static OctetStatus prepare_reduce(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctReduce *reduce = oct_prepare_state(prepare, prepared, sizeof *reduce);
    if (!reduce) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    OctInts axes;
    OCT_TRY(oct_node_int_list(node, "axes", 1, &axes, prepare->diagnostic));
    *reduce = (OctReduce){.node = node,
                          .reduction = reduction_of(node),
                          .open = oct_ints_open(&axes),
                          .rows = oct_f32_rows_select(prepare->cpu),
                          .vector = oct_f32_vector_select(prepare->cpu),
                          .math = oct_vmath_select(prepare->cpu),
                          .q8 = oct_q8_vector_ops(prepare->cpu),
                          .cpu = prepare->cpu};
    if (!reduce->open) {
        bool reduced[OCTET_MAX_RANK];
        const OctetShape *input = &node->inputs[0]->shape;
        OCT_TRY(mark_reduced(node, input->rank, &axes, reduced, prepare->diagnostic));
        arrange(input, reduced, &reduce->form);
    }
    prepared->run = run_reduce;
    prepared->kernel = reduce->rows->name;
    prepared->cpu = reduce->rows->cpu;
    if (oct_value_quantized(node->outputs[0]) && reduce->reduction == OCT_REDUCE_MEAN) {
        prepared->kernel = "q8_mean";
        OCT_TRY(prepare_mean_u8(prepare, reduce));
    } else if (oct_input_dtype(node, 0) != OCTET_F32 && !has_int_form(reduce->reduction)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node, "has no %s form",
                           octet_dtype_name(oct_input_dtype(node, 0)));
    }
    return need_workspace(prepare, reduce, prepared);
}

#define REDUCE(name, attribute_until, flags)                                                       \
    {"", name, 1, attribute_until, flags, 1, 1, 1, 1, check_reduce, infer_reduce, prepare_reduce}, \
    {                                                                                              \
        "", name, attribute_until + 1, 0, (flags) | OCT_OP_DYNAMIC, 1, 2, 1, 1, check_reduce,      \
            infer_reduce, prepare_reduce                                                           \
    }

const OctOp oct_ops_reduce[] = {
    REDUCE("ReduceSum", 12, 0),
    REDUCE("ReduceMean", 17, OCT_OP_INT8),
    REDUCE("ReduceMax", 17, OCT_OP_MOVES_DATA | OCT_OP_INT8),
    REDUCE("ReduceMin", 17, OCT_OP_MOVES_DATA | OCT_OP_INT8),
    REDUCE("ReduceProd", 17, 0),
    REDUCE("ReduceL1", 17, 0),
    REDUCE("ReduceL2", 17, 0),
    REDUCE("ReduceSumSquare", 17, 0),
    REDUCE("ReduceLogSum", 17, 0),
    REDUCE("ReduceLogSumExp", 17, 0),
};
OCT_OPS_COUNT(reduce);
