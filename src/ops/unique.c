/* Unique: the elements or slices that differ. */
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

/* Finds the groups in order of their first occurrence, or sorted: by insertion, since what is
 * unique is short as a rule. */
static void find_groups(const OctView *view, const OctOrderAxis *axis, bool sorted,
                        Groups *groups) {
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
    OctOrderAxis axis;
    OCT_TRY(unique_axis(node, &node->inputs[0]->shape, &shape, &index, &axis, prepare->diagnostic));
    prepared->run = run_unique;
    prepared->kernel = "unique";
    prepared->state = (void *)(uintptr_t)node;
    if (!oct_mul_size((size_t)axis.dim, 3 * sizeof(int64_t), &prepared->workspace_bytes)) {
        return oct_fail_memory(prepare->diagnostic);
    }
    return OCTET_OK;
}

const OctOp oct_ops_unique[] = {
    {"", "Unique", 11, 0, OCT_OP_DYNAMIC, 1, 1, 1, 4, NULL, infer_unique, prepare_unique},
};
OCT_OPS_COUNT(unique);
