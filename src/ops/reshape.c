/* New shapes over the same elements: Reshape, Flatten, Squeeze, Unsqueeze. */
#include "ops/ops.h"

#include <string.h>

/* The output's shape from the input's, and from the operator's list of integers. Dimensions that
 * can't be told yet are OCT_DIM_UNKNOWN. */
typedef OctetStatus (*ShapeRule)(const OctNode *node, const OctetShape *input, const OctInts *list,
                                 OctetShape *output, OctetDiagnostic *diagnostic);

/* ---- Reshape ---- */

/* Cancels what both sides have in common: numbers in products, symbols one against one. Returns
 * the dimension by which `part` must be multiplied to give `whole`. */
static int64_t missing_dimension(const OctetShape *whole, const OctetShape *part, int32_t skip) {
    bool used[OCTET_MAX_RANK] = {false};
    int64_t divisor = 1;
    for (int32_t i = 0; i < part->rank; i++) {
        if (i == skip) {
            continue;
        }
        if (part->dims[i] >= 0) {
            if (!oct_mul_i64(divisor, part->dims[i], &divisor)) {
                return OCT_DIM_UNKNOWN;
            }
            continue;
        }
        int32_t match = 0;
        while (match < whole->rank &&
               (used[match] || !oct_dims_equal(whole->dims[match], part->dims[i]))) {
            match++;
        }
        if (match == whole->rank) {
            return OCT_DIM_UNKNOWN;
        }
        used[match] = true;
    }
    int64_t product = 1;
    int64_t symbol = 0;
    for (int32_t i = 0; i < whole->rank; i++) {
        if (used[i]) {
            continue;
        }
        if (whole->dims[i] < 0) {
            if (symbol != 0) {
                return OCT_DIM_UNKNOWN;
            }
            symbol = whole->dims[i];
        } else if (!oct_mul_i64(product, whole->dims[i], &product)) {
            return OCT_DIM_UNKNOWN;
        }
    }
    if (symbol != 0) {
        return product == divisor && product != 0 ? symbol : OCT_DIM_UNKNOWN;
    }
    return divisor > 0 && product % divisor == 0 ? product / divisor : OCT_DIM_UNKNOWN;
}

static OctetStatus reshape_dim(const OctNode *node, const OctetShape *input, int64_t target,
                               int32_t axis, int64_t *dim, OctetDiagnostic *diagnostic) {
    bool zero_copies = oct_node_int(node, "allowzero", 0) == 0;
    if (!oct_known_is_number(target)) {
        *dim = oct_dim_of_known(target);
    } else if (target == 0 && zero_copies) {
        if (input->rank >= 0 && axis >= input->rank) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "copies dimension %d of an input of rank %d", (int)axis,
                               (int)input->rank);
        }
        *dim = input->rank < 0 ? OCT_DIM_UNKNOWN : input->dims[axis];
    } else if (target < 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has a negative dimension");
    } else {
        *dim = target;
    }
    return OCTET_OK;
}

static OctetStatus reshape_rule(const OctNode *node, const OctetShape *input, const OctInts *list,
                                OctetShape *output, OctetDiagnostic *diagnostic) {
    if (list->count < 0) {
        *output = oct_shape_unknown();
        return OCTET_OK;
    }
    if (list->count > OCTET_MAX_RANK) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "has more than %d dimensions",
                           OCTET_MAX_RANK);
    }
    *output = oct_shape_of_rank(list->count);
    if (!list->known) {
        return OCTET_OK;
    }
    int32_t open = -1;
    int32_t unknown = 0;
    bool inferred = false;
    for (int32_t i = 0; i < list->count; i++) {
        if (list->v[i] == -1) {
            if (inferred) {
                return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has two dimensions of -1");
            }
            inferred = true;
            open = i;
            continue;
        }
        OCT_TRY(reshape_dim(node, input, list->v[i], i, &output->dims[i], diagnostic));
        if (output->dims[i] == OCT_DIM_UNKNOWN) {
            unknown++;
            open = inferred ? open : i;
        }
    }
    if (input->rank >= 0 && unknown + inferred == 1) {
        output->dims[open] = missing_dimension(input, output, open);
    }
    int64_t before;
    int64_t after;
    bool both = octet_shape_count(input, &before) && octet_shape_count(output, &after);
    bool stuck = inferred && oct_shape_is_static(input) && unknown == 0 &&
                 output->dims[open] == OCT_DIM_UNKNOWN;
    for (int32_t i = 0; stuck && i < output->rank; i++) {
        stuck = i == open || output->dims[i] >= 0;
    }
    if ((both && before != after) || stuck) {
        char from[100];
        char to[100];
        octet_shape_format(input, from, sizeof from);
        octet_shape_format(output, to, sizeof to);
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "can't make %s of %s", to, from);
    }
    return OCTET_OK;
}

/* ---- Flatten, Squeeze, Unsqueeze ---- */

static int64_t joined_dims(const OctetShape *shape, int32_t from, int32_t to) {
    int64_t product;
    if (oct_shape_product(shape, from, to, &product)) {
        return product;
    }
    OctetShape part = {.rank = to - from};
    memcpy(part.dims, shape->dims + from, (size_t)part.rank * sizeof part.dims[0]);
    const OctetShape one = {.rank = 1, .dims = {OCT_DIM_UNKNOWN}};
    return missing_dimension(&part, &one, 0);
}

static OctetStatus flatten_rule(const OctNode *node, const OctetShape *input, const OctInts *list,
                                OctetShape *output, OctetDiagnostic *diagnostic) {
    (void)list;
    *output = oct_shape_of_rank(2);
    if (input->rank < 0) {
        return OCTET_OK;
    }
    int64_t axis = oct_node_int(node, "axis", 1);
    axis += axis < 0 ? input->rank : 0;
    if (axis < 0 || axis > input->rank) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has an axis outside its input");
    }
    output->dims[0] = joined_dims(input, 0, (int32_t)axis);
    output->dims[1] = joined_dims(input, (int32_t)axis, input->rank);
    return OCTET_OK;
}

/* Marks the axes of a list; an axis may stand there once. */
static OctetStatus mark_axes(const OctNode *node, const OctInts *list, int32_t rank, bool *marked,
                             OctetDiagnostic *diagnostic) {
    for (int32_t i = 0; i < list->count; i++) {
        int32_t axis;
        OCT_TRY(oct_normalize_axis(node, list->v[i], rank, &axis, diagnostic));
        if (marked[axis]) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "names axis %d twice",
                               (int)axis);
        }
        marked[axis] = true;
    }
    return OCTET_OK;
}

static OctetStatus squeeze_rule(const OctNode *node, const OctetShape *input, const OctInts *list,
                                OctetShape *output, OctetDiagnostic *diagnostic) {
    *output = oct_shape_unknown();
    bool open = oct_ints_open(list);
    if (input->rank < 0 || (open && list->count < 0)) {
        return OCTET_OK;
    }
    if (open) {
        *output = list->count <= input->rank ? oct_shape_of_rank(input->rank - list->count)
                                             : oct_shape_unknown();
        return OCTET_OK;
    }
    bool marked[OCTET_MAX_RANK] = {false};
    if (list->present) {
        OCT_TRY(mark_axes(node, list, input->rank, marked, diagnostic));
    }
    OctetShape squeezed = {.rank = 0};
    for (int32_t i = 0; i < input->rank; i++) {
        if (!list->present && input->dims[i] < 0) {
            return OCTET_OK; /* it might be 1 */
        }
        bool drop = list->present ? marked[i] : input->dims[i] == 1;
        if (drop && input->dims[i] >= 0 && input->dims[i] != 1) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "squeezes axis %d, whose size is not 1", (int)i);
        }
        if (!drop) {
            squeezed.dims[squeezed.rank++] = input->dims[i];
        }
    }
    *output = squeezed;
    return OCTET_OK;
}

static OctetStatus unsqueeze_rule(const OctNode *node, const OctetShape *input, const OctInts *list,
                                  OctetShape *output, OctetDiagnostic *diagnostic) {
    *output = oct_shape_unknown();
    if (input->rank < 0 || list->count < 0) {
        return OCTET_OK;
    }
    if (input->rank + list->count > OCTET_MAX_RANK) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "has more than %d dimensions",
                           OCTET_MAX_RANK);
    }
    *output = oct_shape_of_rank(input->rank + list->count);
    if (oct_ints_open(list)) {
        return OCTET_OK;
    }
    bool marked[OCTET_MAX_RANK] = {false};
    OCT_TRY(mark_axes(node, list, output->rank, marked, diagnostic));
    int32_t next = 0;
    for (int32_t i = 0; i < output->rank; i++) {
        output->dims[i] = marked[i] ? 1 : input->dims[next++];
    }
    return OCTET_OK;
}

/* ---- one infer and one run for all ---- */

typedef struct Kind {
    ShapeRule rule;
    const char *attribute;
    int32_t input;
} Kind;

static const Kind reshape_kind = {reshape_rule, "shape", 1};
static const Kind flatten_kind = {flatten_rule, NULL, -1};
static const Kind squeeze_kind = {squeeze_rule, "axes", 1};
static const Kind unsqueeze_kind = {unsqueeze_rule, "axes", 1};

/* In opset 7 to 12 the list of the squeezing pair is an attribute only; an absent one reads as
 * an absent input. */
static const Kind *kind_of(const OctNode *node) {
    switch (node->op_type[0]) {
    case 'R':
        return &reshape_kind;
    case 'F':
        return &flatten_kind;
    case 'S':
        return &squeeze_kind;
    default:
        return &unsqueeze_kind;
    }
}

static OctetStatus infer_reshaped(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    const Kind *kind = kind_of(node);
    OctInts list;
    OctetShape shape;
    OCT_TRY(oct_node_int_list(node, kind->attribute, kind->input, &list, diagnostic));
    OCT_TRY(kind->rule(node, oct_input_shape(node, 0), &list, &shape, diagnostic));
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    int64_t known[OCT_MAX_INTS];
    OctValue *output = oct_node_output(node, 0);
    int32_t count = output && shape.rank >= 0 && shape.rank <= 1
                        ? oct_value_known_ints(node->inputs[0], known, OCT_MAX_INTS)
                        : -1;
    return count >= 0 ? oct_set_known(graph, output, known, count, diagnostic) : OCTET_OK;
}

static OctetStatus run_reshaped(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctView *input = &run->inputs[0];
    if (node) { /* the shape could not be told before */
        const Kind *kind = kind_of(node);
        OctInts list;
        OctetShape shape;
        OCT_TRY(oct_run_int_list(node, kind->attribute, kind->input, run, &list));
        OCT_TRY(kind->rule(node, &input->shape, &list, &shape, run->diagnostic));
        OCT_TRY(oct_run_output(run, 0, &shape));
    }
    size_t bytes = (size_t)oct_view_count(input) * octet_dtype_size(input->dtype);
    if (bytes > 0 && run->outputs[0].data != input->data) {
        memcpy(run->outputs[0].data, input->data, bytes);
    }
    return OCTET_OK;
}

static OctetStatus prepare_reshaped(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    prepared->run = run_reshaped;
    prepared->kernel = "copy";
    prepared->state =
        oct_shape_is_static(&node->outputs[0]->shape) ? NULL : (void *)(uintptr_t)node;
    return OCTET_OK;
}

#define FLAGS                                                                                      \
    (OCT_OP_FLOAT8 | OCT_OP_MOVES_DATA | OCT_OP_INT8 | OCT_OP_VIEW | OCT_OP_INPLACE |              \
     OCT_OP_DYNAMIC)

const OctOp oct_ops_reshape[] = {
    {"", "Reshape", 1, 4, FLAGS, 1, 1, 1, 1, NULL, infer_reshaped, prepare_reshaped},
    {"", "Reshape", 5, 0, FLAGS, 2, 2, 1, 1, NULL, infer_reshaped, prepare_reshaped},
    {"", "Flatten", 1, 0, FLAGS, 1, 1, 1, 1, NULL, infer_reshaped, prepare_reshaped},
    {"", "Squeeze", 1, 12, FLAGS, 1, 1, 1, 1, NULL, infer_reshaped, prepare_reshaped},
    {"", "Squeeze", 13, 0, FLAGS, 1, 2, 1, 1, NULL, infer_reshaped, prepare_reshaped},
    {"", "Unsqueeze", 1, 12, FLAGS, 1, 1, 1, 1, NULL, infer_reshaped, prepare_reshaped},
    {"", "Unsqueeze", 13, 0, FLAGS, 2, 2, 1, 1, NULL, infer_reshaped, prepare_reshaped},
};
OCT_OPS_COUNT(reshape);
