/* Slice: starts, ends, axes, steps as attributes (before opset 10) or inputs. */
#include "ops/ops.h"
#include "ops/strided.h"

#include <limits.h>

typedef struct Lists {
    OctInts starts, ends, axes, steps;
} Lists;

/* What is known of the lists before running, and all of them while running. */
static OctetStatus known_lists(const OctNode *node, Lists *lists, OctetDiagnostic *diagnostic) {
    bool inputs = node->opset >= 10;
    OCT_TRY(oct_node_int_list(node, "starts", inputs ? 1 : -1, &lists->starts, diagnostic));
    OCT_TRY(oct_node_int_list(node, "ends", inputs ? 2 : -1, &lists->ends, diagnostic));
    OCT_TRY(oct_node_int_list(node, "axes", inputs ? 3 : -1, &lists->axes, diagnostic));
    return oct_node_int_list(node, NULL, inputs ? 4 : -1, &lists->steps, diagnostic);
}

static OctetStatus running_lists(const OctNode *node, const OctRun *run, Lists *lists) {
    bool inputs = node->opset >= 10;
    OCT_TRY(oct_run_int_list(node, "starts", inputs ? 1 : -1, run, &lists->starts));
    OCT_TRY(oct_run_int_list(node, "ends", inputs ? 2 : -1, run, &lists->ends));
    OCT_TRY(oct_run_int_list(node, "axes", inputs ? 3 : -1, run, &lists->axes));
    return oct_run_int_list(node, NULL, inputs ? 4 : -1, run, &lists->steps);
}

static int64_t clamp(int64_t value, int64_t low, int64_t high) {
    return value < low ? low : value > high ? high : value;
}

/* The first index and the number of indices that start:end:step has in [0, dim). */
static void slice_axis(int64_t dim, int64_t start, int64_t end, int64_t step, int64_t *first,
                       int64_t *count) {
    start = start < 0 && start >= -dim ? start + dim : start;
    end = end < 0 && end >= -dim ? end + dim : end;
    if (step > 0) {
        start = clamp(start, 0, dim);
        end = clamp(end, 0, dim);
        *count = end > start ? (end - start - 1) / step + 1 : 0;
    } else {
        /* -1 stands for "before the first" */
        start = clamp(start, -1, dim - 1);
        end = clamp(end, -1, dim - 1);
        int64_t back = step == INT64_MIN ? INT64_MAX : -step;
        *count = start > end ? (start - end - 1) / back + 1 : 0;
    }
    *first = *count > 0 ? start : 0;
}

/* A list's entry as a number; false if it is open. */
static bool entry(const OctInts *list, int32_t i, int64_t fallback, int64_t *value) {
    if (!list->present) {
        *value = fallback;
        return true;
    }
    if (!list->known) {
        return false;
    }
    *value = list->v[i];
    return list->exact || oct_known_is_number(*value);
}

/* start 0 and an end at or behind the dimension keep all of it, whatever it is. */
static bool keeps_all(const Lists *lists, int32_t i, int64_t dim) {
    int64_t start;
    int64_t step;
    bool from_start = entry(&lists->starts, i, 0, &start) && start == 0;
    bool forward = entry(&lists->steps, i, 1, &step) && step == 1;
    if (!from_start || !forward || !lists->ends.known) {
        return false;
    }
    int64_t end = lists->ends.v[i];
    return end >= INT_MAX ||
           (dim < 0 && oct_dims_equal(oct_dim_of_known(end), dim) && !lists->ends.exact);
}

static OctetStatus check_lists(const OctNode *node, const Lists *lists, int32_t rank,
                               OctetDiagnostic *diagnostic) {
    int32_t count = lists->starts.count;
    bool same = (lists->ends.count < 0 || count < 0 || lists->ends.count == count) &&
                (!lists->axes.present || lists->axes.count < 0 || lists->axes.count == count) &&
                (!lists->steps.present || lists->steps.count < 0 || lists->steps.count == count);
    if (!lists->starts.present || !lists->ends.present || !same ||
        (!lists->axes.present && count > rank)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has starts, ends, axes and steps of different lengths");
    }
    return OCTET_OK;
}

/* The output's shape as far as it is known, and (where it is) the copy that makes it. */
static OctetStatus plan_slice(const OctNode *node, const OctetShape *input, const Lists *lists,
                              OctetShape *output, OctStrided *copy, OctetDiagnostic *diagnostic) {
    *output = *input;
    if (input->rank < 0) {
        return OCTET_OK;
    }
    OCT_TRY(check_lists(node, lists, input->rank, diagnostic));
    if (lists->starts.count < 0 || oct_ints_open(&lists->axes)) {
        *output = oct_shape_of_rank(input->rank);
        return OCTET_OK;
    }
    int64_t first[OCTET_MAX_RANK] = {0};
    int64_t steps[OCTET_MAX_RANK] = {1, 1, 1, 1, 1, 1, 1, 1};
    for (int32_t i = 0; i < lists->starts.count; i++) {
        int32_t axis;
        int64_t start;
        int64_t end;
        OCT_TRY(oct_normalize_axis(node, lists->axes.present ? lists->axes.v[i] : i, input->rank,
                                   &axis, diagnostic));
        int64_t dim = input->dims[axis];
        bool numbers = entry(&lists->starts, i, 0, &start) && entry(&lists->ends, i, 0, &end) &&
                       entry(&lists->steps, i, 1, &steps[axis]);
        if (numbers && steps[axis] == 0) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has a step of 0");
        }
        if (numbers && dim >= 0) {
            slice_axis(dim, start, end, steps[axis], &first[axis], &output->dims[axis]);
        } else if (!keeps_all(lists, i, dim)) {
            output->dims[axis] = OCT_DIM_UNKNOWN;
        }
    }
    if (!copy || !oct_shape_is_static(output)) {
        return OCTET_OK;
    }
    int64_t strides[OCTET_MAX_RANK];
    oct_strides(input, strides);
    *copy = (OctStrided){.rank = input->rank};
    oct_strides(output, copy->destination_strides);
    for (int32_t i = 0; i < input->rank; i++) {
        copy->dims[i] = output->dims[i];
        /* an axis of one element needs no stride, and its step may be huge */
        copy->source_strides[i] = output->dims[i] > 1 ? strides[i] * steps[i] : 0;
        copy->source_offset += first[i] * strides[i];
    }
    oct_strided_simplify(copy);
    return OCTET_OK;
}

/* A piece of a shape. */
static OctetStatus slice_known(OctGraph *graph, const OctNode *node, const Lists *lists,
                               OctetDiagnostic *diagnostic) {
    OctValue *output = oct_node_output(node, 0);
    int64_t known[OCT_MAX_INTS];
    int64_t kept[OCT_MAX_INTS];
    int64_t start;
    int64_t end;
    int64_t step;
    int64_t first;
    int64_t kept_count;
    int32_t count = oct_value_known_ints(node->inputs[0], known, OCT_MAX_INTS);
    if (!output || count < 0 || output->shape.rank != 1 || lists->starts.count != 1 ||
        !entry(&lists->starts, 0, 0, &start) || !entry(&lists->ends, 0, 0, &end) ||
        !entry(&lists->steps, 0, 1, &step)) {
        return OCTET_OK;
    }
    slice_axis(count, start, end, step, &first, &kept_count);
    for (int64_t i = 0; i < kept_count; i++) {
        kept[i] = known[first + i * step];
    }
    return oct_set_known(graph, output, kept, (int32_t)kept_count, diagnostic);
}

static OctetStatus infer_slice(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    Lists lists;
    OctetShape shape;
    OCT_TRY(known_lists(node, &lists, diagnostic));
    OCT_TRY(plan_slice(node, oct_input_shape(node, 0), &lists, &shape, NULL, diagnostic));
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return slice_known(graph, node, &lists, diagnostic);
}

typedef struct Slice {
    const OctNode *node; /* NULL when `copy` is final */
    OctStrided copy;
} Slice;

static OctetStatus run_slice(void *state, const OctRun *run) {
    Slice *slice = state;
    if (slice->node) {
        Lists lists;
        OctetShape shape;
        OCT_TRY(running_lists(slice->node, run, &lists));
        OCT_TRY(plan_slice(slice->node, &run->inputs[0].shape, &lists, &shape, &slice->copy,
                           run->diagnostic));
        OCT_TRY(oct_run_output(run, 0, &shape));
    }
    if (oct_view_count(&run->outputs[0]) > 0) {
        oct_strided_copy(&slice->copy, octet_dtype_size(run->inputs[0].dtype), run->inputs[0].data,
                         run->outputs[0].data, run->pool);
    }
    return OCTET_OK;
}

static OctetStatus prepare_slice(const OctPrepare *prepare, OctPreparedOp *prepared) {
    Slice *slice = oct_prepare_state(prepare, prepared, sizeof *slice);
    if (!slice) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_slice;
    prepared->kernel = "copy";
    const OctNode *node = prepare->node;
    Lists lists;
    OctetShape shape;
    OCT_TRY(known_lists(node, &lists, prepare->diagnostic));
    OCT_TRY(plan_slice(node, &node->inputs[0]->shape, &lists, &shape, &slice->copy,
                       prepare->diagnostic));
    bool open = oct_ints_open(&lists.starts) || oct_ints_open(&lists.ends) ||
                oct_ints_open(&lists.axes) || oct_ints_open(&lists.steps);
    slice->node = open || !oct_shape_is_static(&shape) ? node : NULL;
    return OCTET_OK;
}

#define FLAGS (OCT_OP_MOVES_DATA | OCT_OP_INT8)

const OctOp oct_ops_slice[] = {
    {"", "Slice", 1, 9, FLAGS, 1, 1, 1, 1, NULL, infer_slice, prepare_slice},
    {"", "Slice", 10, 0, FLAGS | OCT_OP_DYNAMIC, 3, 5, 1, 1, NULL, infer_slice, prepare_slice},
};
OCT_OPS_COUNT(slice);
