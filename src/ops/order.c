/* Order along an axis: ArgMax, ArgMin, TopK, Unique. Values of every type are compared through
 * 64-bit keys in the same order; NaN is above everything. */
#include "ops/ops.h"

#include <math.h>
#include <string.h>

/* Element i as a key. */
static int64_t key_of(const OctView *view, int64_t i) {
    int64_t key = 0;
    if (view->dtype == OCTET_F32) {
        float x = ((const float *)view->data)[i];
        int32_t bits;
        if (isnan(x)) {
            return INT64_MAX;
        }
        x = x == 0 ? 0 : x; /* -0 equals 0 */
        memcpy(&bits, &x, sizeof bits);
        return bits < 0 ? -(int64_t)(bits & INT32_MAX) : bits;
    }
    const char *from = (const char *)view->data + (size_t)i * octet_dtype_size(view->dtype);
    /* integer to integer can't fail */
    (void)oct_convert(OCTET_S64, &key, view->dtype, from, 1, NULL);
    return view->dtype == OCTET_U64 ? (int64_t)((uint64_t)key ^ (1ULL << 63)) : key;
}

/* A view as [outer][dim][inner] around an axis. */
typedef struct Axis {
    int64_t outer, dim, inner;
} Axis;

static OctetStatus axis_of(const OctNode *node, const OctetShape *shape, int64_t fallback,
                           int32_t *axis, Axis *around, OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", fallback), shape->rank, axis,
                               diagnostic));
    around->outer = 0;
    around->inner = 0;
    oct_shape_product(shape, 0, *axis, &around->outer);
    oct_shape_product(shape, *axis + 1, shape->rank, &around->inner);
    around->dim = shape->dims[*axis];
    return OCTET_OK;
}

/* ---- ArgMax, ArgMin ---- */

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
    Axis axis;
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
    const Axis *axis = &arg->axis;
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
    const Axis *axis = &arg->axis;
    for (int64_t i = first; i < last; i++) {
        int64_t start = outer * axis->dim * axis->inner + i;
        int64_t best = key_of(arg->input, start);
        int64_t *to = &arg->output[outer * axis->inner + i];
        *to = 0;
        for (int64_t k = 1; k < axis->dim; k++) {
            int64_t key = key_of(arg->input, start + k * axis->inner);
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
    OCT_TRY(axis_of(node, &run->inputs[0].shape, 0, &index, &arg.axis, run->diagnostic));
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

/* ---- sorting ---- */

typedef struct Entry {
    int64_t key;
    int64_t index;
} Entry;

/* Larger keys first, if `largest`; equal keys by ascending index. */
static bool comes_before(const Entry *a, const Entry *b, bool largest) {
    if (a->key != b->key) {
        return largest ? a->key > b->key : a->key < b->key;
    }
    return a->index < b->index;
}

/* The subtree of `root` becomes a heap whose top comes last. */
static void sift(Entry *entries, int64_t root, int64_t count, bool largest) {
    Entry moving = entries[root];
    for (;;) {
        int64_t child = 2 * root + 1;
        if (child >= count) {
            break;
        }
        if (child + 1 < count && comes_before(&entries[child], &entries[child + 1], largest)) {
            child++;
        }
        if (!comes_before(&moving, &entries[child], largest)) {
            break;
        }
        entries[root] = entries[child];
        root = child;
    }
    entries[root] = moving;
}

/* The first k of all entries, sorted, at the front. */
static void sort_first(Entry *entries, int64_t count, int64_t k, bool largest) {
    if (k == 0) {
        return;
    }
    for (int64_t i = k / 2 - 1; i >= 0; i--) {
        sift(entries, i, k, largest);
    }
    for (int64_t i = k; i < count; i++) {
        if (comes_before(&entries[i], &entries[0], largest)) {
            entries[0] = entries[i];
            sift(entries, 0, k, largest);
        }
    }
    for (int64_t end = k - 1; end > 0; end--) {
        Entry last = entries[0];
        entries[0] = entries[end];
        entries[end] = last;
        sift(entries, 0, end, largest);
    }
}

/* ---- TopK ---- */

/* k from the attribute (before opset 10) or the input. */
static OctetStatus infer_topk(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctetShape shape = *oct_input_shape(node, 0);
    OctInts k;
    OCT_TRY(oct_node_int_list(node, "k", node->opset >= 10 ? 1 : -1, &k, diagnostic));
    if (shape.rank >= 0) {
        int32_t axis;
        OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", -1), shape.rank, &axis,
                                   diagnostic));
        int64_t dim = shape.dims[axis];
        shape.dims[axis] = k.known && k.count == 1 ? oct_dim_of_known(k.v[0]) : OCT_DIM_UNKNOWN;
        if (k.exact && (shape.dims[axis] < 0 || (dim >= 0 && shape.dims[axis] > dim))) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "wants more elements than there are");
        }
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    oct_set_output(node, 1, OCTET_S64, &shape);
    return OCTET_OK;
}

static OctetStatus run_topk(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctView *input = &run->inputs[0];
    bool largest = oct_node_int(node, "largest", 1) != 0;
    Entry *entries = run->workspace;
    OctInts k;
    int32_t index;
    Axis axis;
    OCT_TRY(axis_of(node, &input->shape, -1, &index, &axis, run->diagnostic));
    OCT_TRY(oct_run_int_list(node, "k", 1, run, &k));
    if (k.count != 1 || k.v[0] < 0 || k.v[0] > axis.dim) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node,
                           "wants more elements than there are");
    }
    int64_t kept = k.v[0];
    OctetShape shape = input->shape;
    shape.dims[index] = kept;
    for (int32_t i = 0; i < run->output_count; i++) {
        if (node->outputs[i]) {
            OCT_TRY(oct_run_output(run, i, &shape));
        }
    }
    size_t size = octet_dtype_size(input->dtype);
    for (int64_t i = 0; i < axis.outer * axis.inner; i++) {
        int64_t first = i / axis.inner * axis.dim * axis.inner + i % axis.inner;
        int64_t to = i / axis.inner * kept * axis.inner + i % axis.inner;
        for (int64_t j = 0; j < axis.dim; j++) {
            entries[j] = (Entry){key_of(input, first + j * axis.inner), j};
        }
        sort_first(entries, axis.dim, kept, largest);
        for (int64_t j = 0; j < kept; j++, to += axis.inner) {
            size_t from = (size_t)(first + entries[j].index * axis.inner);
            if (run->outputs[0].data) {
                memcpy((char *)run->outputs[0].data + (size_t)to * size,
                       (const char *)input->data + from * size, size);
            }
            if (run->output_count > 1 && run->outputs[1].data) {
                ((int64_t *)run->outputs[1].data)[to] = entries[j].index;
            }
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_topk(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    int32_t index;
    Axis axis;
    OCT_TRY(axis_of(node, &node->inputs[0]->shape, -1, &index, &axis, prepare->diagnostic));
    prepared->run = run_topk;
    prepared->kernel = "topk";
    prepared->state = (void *)(uintptr_t)node;
    if (!oct_mul_size((size_t)axis.dim, sizeof(Entry), &prepared->workspace_bytes)) {
        return oct_fail_memory(prepare->diagnostic);
    }
    return OCTET_OK;
}

/* ---- Unique ---- */

static OctetStatus infer_unique(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *input = oct_input_shape(node, 0);
    OctetShape shape = {.rank = 1, .dims = {OCT_DIM_UNKNOWN}};
    const OctetShape list = shape;
    if (oct_node_attribute(node, "axis")) {
        shape = *input;
        if (input->rank >= 0) {
            int32_t axis;
            OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", 0), input->rank, &axis,
                                       diagnostic));
            shape.dims[axis] = OCT_DIM_UNKNOWN;
        }
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    for (int32_t k = 1; k < 4; k++) {
        oct_set_output(node, k, OCTET_S64, &list);
    }
    return OCTET_OK;
}

/* Slice a before, equal to (0) or behind slice b of the axis, comparing element by element. */
static int compare_slices(const OctView *view, const Axis *axis, int64_t a, int64_t b) {
    for (int64_t o = 0; o < axis->outer; o++) {
        for (int64_t i = 0; i < axis->inner; i++) {
            int64_t base = o * axis->dim * axis->inner + i;
            int64_t left = key_of(view, base + a * axis->inner);
            int64_t right = key_of(view, base + b * axis->inner);
            if (left != right) {
                return left < right ? -1 : 1;
            }
        }
    }
    return 0;
}

/* Three lists behind one another, in the workspace, each of the axis' length. */
typedef struct Groups {
    int64_t count;
    int64_t *first;  /* where each group occurs first */
    int64_t *size;   /* how often */
    int64_t *member; /* of every slice, its group */
} Groups;

/* Finds the groups in order of their first occurrence, or sorted: by insertion, since what is
 * unique is short as a rule. */
static void find_groups(const OctView *view, const Axis *axis, bool sorted, Groups *groups) {
    for (int64_t i = 0; i < axis->dim; i++) {
        int64_t low = 0;
        int64_t high = groups->count;
        bool found = false;
        while (low < high && !found) { /* the first group that is not before slice i */
            int64_t middle = sorted ? low + (high - low) / 2 : low;
            int order = compare_slices(view, axis, groups->first[middle], i);
            found = order == 0;
            if (found) {
                low = middle;
            } else if (sorted && order > 0) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        if (!found) {
            size_t behind = (size_t)(groups->count - low) * sizeof(int64_t);
            memmove(groups->first + low + 1, groups->first + low, behind);
            memmove(groups->size + low + 1, groups->size + low, behind);
            groups->first[low] = i;
            groups->size[low] = 0;
            groups->count++;
        }
        groups->size[low]++;
    }
    for (int64_t i = 0; i < axis->dim; i++) {
        int64_t group = 0;
        while (compare_slices(view, axis, groups->first[group], i) != 0) {
            group++;
        }
        groups->member[i] = group;
    }
}

static OctetStatus give_list(const OctRun *run, const OctNode *node, int32_t k,
                             const int64_t *values, int64_t count) {
    if (k >= run->output_count || !node->outputs[k]) {
        return OCTET_OK;
    }
    const OctetShape shape = {.rank = 1, .dims = {count}};
    OCT_TRY(oct_run_output(run, k, &shape));
    if (count > 0) {
        memcpy(run->outputs[k].data, values, (size_t)count * sizeof *values);
    }
    return OCTET_OK;
}

static OctetStatus unique_axis(const OctNode *node, const OctetShape *input, OctetShape *shape,
                               int32_t *index, Axis *axis, OctetDiagnostic *diagnostic) {
    *shape = *input;
    if (oct_node_attribute(node, "axis")) {
        return axis_of(node, shape, 0, index, axis, diagnostic);
    }
    *index = 0;
    *axis = (Axis){1, 0, 1};
    octet_shape_count(input, &axis->dim);
    *shape = (OctetShape){.rank = 1, .dims = {axis->dim}};
    return OCTET_OK;
}

static OctetStatus run_unique(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctView *input = &run->inputs[0];
    OctetShape shape;
    int32_t index;
    Axis axis;
    OCT_TRY(unique_axis(node, &input->shape, &shape, &index, &axis, run->diagnostic));
    int64_t *lists = run->workspace;
    Groups groups = {0, lists, lists + axis.dim, lists + 2 * axis.dim};
    find_groups(input, &axis, oct_node_int(node, "sorted", 1) != 0, &groups);
    shape.dims[index] = groups.count;
    OCT_TRY(oct_run_output(run, 0, &shape));
    size_t bytes = (size_t)axis.inner * octet_dtype_size(input->dtype);
    char *to = run->outputs[0].data;
    for (int64_t o = 0; o < axis.outer && bytes > 0; o++) {
        for (int64_t g = 0; g < groups.count; g++, to += bytes) {
            size_t from = (size_t)(o * axis.dim + groups.first[g]);
            memcpy(to, (const char *)input->data + from * bytes, bytes);
        }
    }
    OCT_TRY(give_list(run, node, 1, groups.first, groups.count));
    OCT_TRY(give_list(run, node, 2, groups.member, axis.dim));
    return give_list(run, node, 3, groups.size, groups.count);
}

static OctetStatus prepare_unique(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctetShape shape;
    int32_t index;
    Axis axis;
    OCT_TRY(unique_axis(node, &node->inputs[0]->shape, &shape, &index, &axis, prepare->diagnostic));
    prepared->run = run_unique;
    prepared->kernel = "unique";
    prepared->state = (void *)(uintptr_t)node;
    if (!oct_mul_size((size_t)axis.dim, 3 * sizeof(int64_t), &prepared->workspace_bytes)) {
        return oct_fail_memory(prepare->diagnostic);
    }
    return OCTET_OK;
}

const OctOp oct_ops_order[] = {
    {"", "ArgMax", 1, 0, OCT_OP_INT8, 1, 1, 1, 1, NULL, infer_arg, prepare_arg},
    {"", "ArgMin", 1, 0, OCT_OP_INT8, 1, 1, 1, 1, NULL, infer_arg, prepare_arg},
    {"", "TopK", 1, 9, 0, 1, 1, 1, 2, NULL, infer_topk, prepare_topk},
    {"", "TopK", 10, 0, OCT_OP_DYNAMIC, 2, 2, 1, 2, NULL, infer_topk, prepare_topk},
    {"", "Unique", 11, 0, OCT_OP_DYNAMIC, 1, 1, 1, 4, NULL, infer_unique, prepare_unique},
};
OCT_OPS_COUNT(order);
