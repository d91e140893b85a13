/* ArgMax, ArgMin. */
#include "ops/order.h"

#include <math.h>
#include <string.h>

static OctetStatus infer_arg(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *input = oct_input_shape(node, 0);
    OctetShape shape = oct_shape_unknown();
    if (input->rank >= 0) {
        int32_t axis;
        bool keep = oct_node_int(node, "keepdims", 1) != 0;
        OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", 0), input->rank, &axis,
                                   diagnostic));
        shape.rank = 0;
        for (int32_t i = 0; i < input->rank; i++) {
            if (i != axis || keep) {
                shape.dims[shape.rank++] = i == axis ? 1 : input->dims[i];
            }
        }
        int64_t count;
        if (input->dims[axis] == 0 && (!octet_shape_count(&shape, &count) || count > 0)) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "looks into nothing");
        }
    }
    oct_set_output(node, 0, OCTET_S64, &shape);
    return OCTET_OK;
}

typedef struct Arg {
    const OctView *input;
    int64_t *output;
    OctOrderAxis axis;
    bool maximum, last;
    int64_t parts; /* tasks that share one outer index */
} Arg;

enum { ARG_PLACES = 2048 }; /* of the inner axes, a task */

/* Whether x takes the place of `best`; NaN is above everything. */
static inline bool beats(const Arg *arg, float x, float best) {
    bool above = arg->maximum ? x > best || (isnan(x) && !isnan(best))
                              : x < best || (isnan(best) && !isnan(x));
    return above || (arg->last && (x == best || (isnan(x) && isnan(best))));
}

/* One slice against the best so far; written for the compiler to use vectors. */
static void arg_row(const Arg *arg, const float *row, int32_t k, int64_t count, float *best,
                    int32_t *at) {
    if (arg->last) {
        for (int64_t i = 0; i < count; i++) {
            bool better = beats(arg, row[i], best[i]);
            best[i] = better ? row[i] : best[i];
            at[i] = better ? k : at[i];
        }
    } else if (arg->maximum) {
        for (int64_t i = 0; i < count; i++) {
            float x = row[i];
            bool better = (x > best[i]) | ((x != x) & (best[i] == best[i]));
            best[i] = better ? x : best[i];
            at[i] = better ? k : at[i];
        }
    } else {
        for (int64_t i = 0; i < count; i++) {
            float x = row[i];
            bool better = (x < best[i]) | ((best[i] != best[i]) & (x == x));
            best[i] = better ? x : best[i];
            at[i] = better ? k : at[i];
        }
    }
}

static void arg_floats(const Arg *arg, int64_t outer, int64_t first, int64_t last) {
    const OctOrderAxis *axis = &arg->axis;
    const float *data = (const float *)arg->input->data + outer * axis->dim * axis->inner + first;
    int64_t *to = arg->output + outer * axis->inner + first;
    int64_t count = last - first;
    float best[ARG_PLACES];
    int32_t at[ARG_PLACES] = {0};
    memcpy(best, data, (size_t)count * sizeof *best);
    for (int64_t k = 1; k < axis->dim; k++) {
        arg_row(arg, data + k * axis->inner, (int32_t)k, count, best, at);
    }
    for (int64_t i = 0; i < count; i++) {
        to[i] = at[i];
    }
}

static void arg_keys(const Arg *arg, int64_t outer, int64_t first, int64_t last) {
    const OctOrderAxis *axis = &arg->axis;
    for (int64_t i = first; i < last; i++) {
        int64_t start = outer * axis->dim * axis->inner + i;
        int64_t best = oct_order_key(arg->input, start);
        int64_t *to = &arg->output[outer * axis->inner + i];
        *to = 0;
        for (int64_t k = 1; k < axis->dim; k++) {
            int64_t key = oct_order_key(arg->input, start + k * axis->inner);
            bool better = arg->maximum ? key > best : key < best;
            if (better || (arg->last && key == best)) {
                best = key;
                *to = k;
            }
        }
    }
}

static void arg_task(void *user, size_t task) {
    const Arg *arg = user;
    int64_t first = (int64_t)task % arg->parts * ARG_PLACES;
    int64_t last = first + ARG_PLACES;
    last = last < arg->axis.inner ? last : arg->axis.inner;
    if (arg->input->dtype == OCTET_F32 && arg->axis.dim < INT32_MAX) {
        arg_floats(arg, (int64_t)task / arg->parts, first, last);
    } else {
        arg_keys(arg, (int64_t)task / arg->parts, first, last);
    }
}

static OctetStatus run_arg(void *state, const OctRun *run) {
    const OctNode *node = state;
    Arg arg = {.input = &run->inputs[0],
               .output = run->outputs[0].data,
               .maximum = strcmp(node->op_type, "ArgMax") == 0,
               .last = oct_node_int(node, "select_last_index", 0) != 0};
    int32_t index;
    OCT_TRY(oct_order_axis(node, &run->inputs[0].shape, 0, &index, &arg.axis, run->diagnostic));
    arg.parts = (arg.axis.inner + ARG_PLACES - 1) / ARG_PLACES;
    oct_parallel_for(run->pool, arg_task, &arg, (size_t)(arg.axis.outer * arg.parts));
    return OCTET_OK;
}

static OctetStatus prepare_arg(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_arg;
    prepared->kernel = "arg";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

const OctOp oct_ops_arg[] = {
    {"", "ArgMax", 1, 0, OCT_OP_INT8, 1, 1, 1, 1, NULL, infer_arg, prepare_arg},
    {"", "ArgMin", 1, 0, OCT_OP_INT8, 1, 1, 1, 1, NULL, infer_arg, prepare_arg},
};
OCT_OPS_COUNT(arg);
