/* Unique: the elements or slices that differ. */
#include "base/patience.h"
#include "ops/order.h"

#include <string.h>

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
static int compare_slices(const OctView *view, const OctOrderAxis *axis, int64_t a, int64_t b) {
    for (int64_t o = 0; o < axis->outer; o++) {
        for (int64_t i = 0; i < axis->inner; i++) {
            int64_t base = o * axis->dim * axis->inner + i;
            int64_t left = oct_order_key(view, base + a * axis->inner);
            int64_t right = oct_order_key(view, base + b * axis->inner);
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

/* Merges two sorted neighbors of `order` into `to`; equal slices keep their order. */
static void merge(const OctView *view, const OctOrderAxis *axis, const int64_t *order, int64_t left,
                  int64_t middle, int64_t right, int64_t *to) {
    int64_t a = left;
    int64_t b = middle;
    for (int64_t i = left; i < right; i++) {
        bool first =
            b == right || (a < middle && compare_slices(view, axis, order[a], order[b]) <= 0);
        to[i] = first ? order[a++] : order[b++];
    }
}

/* The slices' numbers in sorted order, in `order` or in `spare`; NULL if time is up. */
static int64_t *sort_slices(const OctView *view, const OctOrderAxis *axis, int64_t *order,
                            int64_t *spare) {
    size_t stint = 0;
    for (int64_t i = 0; i < axis->dim; i++) {
        order[i] = i;
    }
    for (int64_t width = 1; width < axis->dim; width *= 2) {
        for (int64_t left = 0; left < axis->dim; left += 2 * width) {
            int64_t middle = left + width < axis->dim ? left + width : axis->dim;
            int64_t right = middle + width < axis->dim ? middle + width : axis->dim;
            if (oct_is_over_after(&stint, 20 * (size_t)(right - left))) {
                return NULL;
            }
            merge(view, axis, order, left, middle, right, spare);
        }
        int64_t *swap = order;
        order = spare;
        spare = swap;
    }
    return order;
}

/* Numbers the groups in order of their first occurrence. `leader`: of every slice, the first one
 * of its group. */
static void number_by_occurrence(const int64_t *leader, int64_t count, int64_t *number,
                                 Groups *groups) {
    for (int64_t i = 0; i < count; i++) {
        if (leader[i] == i) {
            number[i] = groups->count;
            groups->first[groups->count] = i;
            groups->size[groups->count++] = 0;
        }
        int64_t group = number[leader[i]];
        groups->size[group]++;
        groups->member[i] = group;
    }
}

/* Numbers them as they are sorted. */
static void number_by_order(const int64_t *leader, int64_t count, const int64_t *order,
                            Groups *groups) {
    for (int64_t i = 0; i < count; i++) {
        int64_t slice = order[i];
        if (leader[slice] == slice) {
            groups->first[groups->count] = slice;
            groups->size[groups->count++] = 0;
        }
        groups->size[groups->count - 1]++;
        groups->member[slice] = groups->count - 1;
    }
}

/* False if time is up. `spare` holds three numbers a slice. */
static bool find_groups(const OctView *view, const OctOrderAxis *axis, bool sorted, int64_t *spare,
                        Groups *groups) {
    int64_t count = axis->dim;
    if (count == 0) {
        return true;
    }
    int64_t *leader = spare + 2 * count;
    int64_t *order = sort_slices(view, axis, spare, spare + count);
    if (!order) {
        return false;
    }
    for (int64_t i = 0; i < count; i++) {
        /* sorting is stable: the first of equals is the one that occurs first */
        bool same = i > 0 && compare_slices(view, axis, order[i - 1], order[i]) == 0;
        leader[order[i]] = same ? leader[order[i - 1]] : order[i];
    }
    if (sorted) {
        number_by_order(leader, count, order, groups);
    } else {
        number_by_occurrence(leader, count, order, groups);
    }
    return true;
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
                               int32_t *index, OctOrderAxis *axis, OctetDiagnostic *diagnostic) {
    *shape = *input;
    if (oct_node_attribute(node, "axis")) {
        return oct_order_axis(node, shape, 0, index, axis, diagnostic);
    }
    *index = 0;
    *axis = (OctOrderAxis){1, 0, 1};
    octet_shape_count(input, &axis->dim);
    *shape = (OctetShape){.rank = 1, .dims = {axis->dim}};
    return OCTET_OK;
}

static OctetStatus run_unique(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctView *input = &run->inputs[0];
    OctetShape shape;
    int32_t index;
    OctOrderAxis axis;
    OCT_TRY(unique_axis(node, &input->shape, &shape, &index, &axis, run->diagnostic));
    int64_t none;
    int64_t *lists = axis.dim > 0 ? run->workspace : &none; /* without bytes there is no memory */
    Groups groups = {0, lists, lists + axis.dim, lists + 2 * axis.dim};
    bool sorted = oct_node_int(node, "sorted", 1) != 0;
    if (!find_groups(input, &axis, sorted, lists + 3 * axis.dim, &groups)) {
        return oct_noted_go_on(run->diagnostic);
    }
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
    OctOrderAxis axis;
    OCT_TRY(unique_axis(node, &node->inputs[0]->shape, &shape, &index, &axis, prepare->diagnostic));
    prepared->run = run_unique;
    prepared->kernel = "unique";
    prepared->state = (void *)(uintptr_t)node;
    if (!oct_mul_size((size_t)axis.dim, 6 * sizeof(int64_t), &prepared->workspace_bytes)) {
        return oct_fail_memory(prepare->diagnostic);
    }
    return OCTET_OK;
}

const OctOp oct_ops_unique[] = {
    {"", "Unique", 11, 0, OCT_OP_DYNAMIC, 1, 1, 1, 4, NULL, infer_unique, prepare_unique},
};
OCT_OPS_COUNT(unique);
