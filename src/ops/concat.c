/* Joining and cutting along an axis: Concat, Split. */
#include "kernels/q8_vector.h"
#include "ops/ops.h"
#include "ops/strided.h"
#include "ops/table_u8.h"

#include <inttypes.h>
#include <string.h>

/* One part of the joined tensor: `outer` runs of `run` elements, `joined_run` apart in it. */
typedef struct Part {
    int64_t offset, run;
    int32_t index;        /* of the input or output */
    const uint8_t *table; /* requantizes a part whose grid is not the output's; else NULL */
} Part;

typedef struct Parts {
    int64_t outer, joined_run;
    int32_t count;
    const OctQ8VectorOps *q8;
    Part *parts;            /* behind this struct in the same block */
    uint8_t (*tables)[256]; /* likewise */
} Parts;

static Parts *prepare_parts(const OctPrepare *prepare, OctPreparedOp *prepared, int32_t count,
                            const OctetShape *joined, int32_t axis) {
    size_t head = (sizeof(Parts) + 63) / 64 * 64;
    size_t list = ((size_t)count * sizeof(Part) + 63) / 64 * 64;
    Parts *parts = oct_prepare_state(prepare, prepared, head + list + (size_t)count * 256);
    if (!parts) {
        return NULL;
    }
    parts->parts = (Part *)(void *)((char *)parts + head);
    parts->tables = (uint8_t(*)[256])(void *)((char *)parts + head + list);
    parts->count = count;
    parts->q8 = oct_q8_vector_ops(prepare->cpu);
    oct_shape_product(joined, 0, axis, &parts->outer);
    oct_shape_product(joined, axis, joined->rank, &parts->joined_run);
    return parts;
}

/* ---- Concat ---- */

static OctetStatus merge_concat_shape(const OctNode *node, const OctetShape *input, int32_t axis,
                                      OctetShape *shape, OctetDiagnostic *diagnostic) {
    if (input->rank != shape->rank) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "joins inputs of ranks %d and %d",
                           (int)shape->rank, (int)input->rank);
    }
    for (int32_t i = 0; i < shape->rank; i++) {
        int64_t dim = input->dims[i];
        if (i == axis) {
            bool numbers = dim >= 0 && shape->dims[i] >= 0;
            if (numbers && dim > INT64_MAX - shape->dims[i]) {
                return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "has an output too large");
            }
            shape->dims[i] = numbers ? shape->dims[i] + dim : OCT_DIM_UNKNOWN;
        } else if (!oct_dims_agree(dim, shape->dims[i])) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "joins along axis %d, but axis %d has sizes %" PRId64
                               " and %" PRId64,
                               (int)axis, (int)i, shape->dims[i], dim);
        } else {
            shape->dims[i] = oct_dim_merge(shape->dims[i], dim);
        }
    }
    return OCTET_OK;
}

/* Shapes are joined from short lists: what is known of each. */
static OctetStatus concat_known(OctGraph *graph, const OctNode *node, OctValue *output,
                                OctetDiagnostic *diagnostic) {
    int64_t known[OCT_MAX_INTS];
    int32_t count = 0;
    bool any = false;
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        int32_t got = oct_value_known_ints(input, known + count, OCT_MAX_INTS - count);
        any = any || got >= 0;
        if (got < 0) {
            if (input->shape.dims[0] < 0 || input->shape.dims[0] > OCT_MAX_INTS - count) {
                return OCTET_OK;
            }
            got = (int32_t)input->shape.dims[0];
            for (int32_t i = 0; i < got; i++) {
                known[count + i] = OCT_DIM_UNKNOWN;
            }
        }
        count += got;
    }
    return any ? oct_set_known(graph, output, known, count, diagnostic) : OCTET_OK;
}

static OctetStatus infer_concat(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    OctetShape shape = *oct_input_shape(node, 0);
    bool known_ranks = true;
    int32_t axis = 0;
    for (int32_t k = 0; k < node->input_count; k++) {
        if (!node->inputs[k]) {
            return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "lacks its input %d", (int)k);
        }
        known_ranks = known_ranks && node->inputs[k]->shape.rank >= 0;
    }
    if (!known_ranks) {
        shape = oct_shape_unknown();
    } else {
        OCT_TRY(
            oct_normalize_axis(node, oct_node_int(node, "axis", 1), shape.rank, &axis, diagnostic));
        for (int32_t k = 1; k < node->input_count; k++) {
            OCT_TRY(merge_concat_shape(node, &node->inputs[k]->shape, axis, &shape, diagnostic));
        }
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    OctValue *output = oct_node_output(node, 0);
    bool list = output && shape.rank == 1 && oct_dtype_is_integer(output->dtype);
    return list ? concat_known(graph, node, output, diagnostic) : OCTET_OK;
}

/* Least bytes of a task: fewer are moved in less time than another thread needs to begin. */
enum { TASK_BYTES = 32 << 10 };

typedef struct ConcatWork {
    const Parts *parts;
    const OctRun *run;
    size_t size; /* of an element */
    int64_t rows_per_task;
} ConcatWork;

/* Rows [first, first + rows) of one part. */
static void copy_part(const ConcatWork *work, const Part *part, int64_t first, int64_t rows,
                      OctetThreadPool *pool) {
    const Parts *parts = work->parts;
    const void *source = work->run->inputs[part->index].data;
    void *joined = work->run->outputs[0].data;
    if (!source || part->run == 0) {
        return;
    }
    if (part->table) {
        const uint8_t *from = (const uint8_t *)source + first * part->run;
        uint8_t *to = (uint8_t *)joined + first * parts->joined_run + part->offset;
        for (int64_t i = 0; i < rows; i++) {
            parts->q8->lookup(part->table, from + i * part->run, to + i * parts->joined_run,
                              (size_t)part->run);
        }
        return;
    }
    OctStrided copy = {.rank = 2,
                       .dims = {rows, part->run},
                       .source_strides = {part->run, 1},
                       .destination_strides = {parts->joined_run, 1},
                       .source_offset = first * part->run,
                       .destination_offset = first * parts->joined_run + part->offset};
    oct_strided_copy(&copy, work->size, source, joined, pool);
}

static void concat_task(void *user, size_t task) {
    const ConcatWork *work = user;
    int64_t first = (int64_t)task * work->rows_per_task, rest = work->parts->outer - first;
    for (int32_t k = 0; k < work->parts->count; k++) {
        copy_part(work, &work->parts->parts[k], first,
                  rest < work->rows_per_task ? rest : work->rows_per_task, NULL);
    }
}

/* By rows of the joined tensor, which are pixels in most networks: what made the parts, and what
 * reads the whole, are cut among threads in the same way. */
static OctetStatus run_concat(void *state, const OctRun *run) {
    const Parts *parts = state;
    ConcatWork work = {.parts = parts, .run = run, .size = octet_dtype_size(run->outputs[0].dtype)};
    int64_t row_bytes = parts->joined_run * (int64_t)work.size;
    work.rows_per_task = row_bytes == 0 || row_bytes >= TASK_BYTES ? 1 : TASK_BYTES / row_bytes;
    if (parts->outer > 1) {
        oct_parallel_for(run->pool, concat_task, &work,
                         (size_t)((parts->outer + work.rows_per_task - 1) / work.rows_per_task));
        return OCTET_OK;
    }
    for (int32_t k = 0; k < parts->count; k++) {
        copy_part(&work, &parts->parts[k], 0, parts->outer, run->pool);
    }
    return OCTET_OK;
}

static OctetStatus prepare_concat(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctValue *output = node->outputs[0];
    int32_t axis = 0;
    OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", 1), output->shape.rank, &axis,
                               prepare->diagnostic));
    Parts *parts = prepare_parts(prepare, prepared, node->input_count, &output->shape, axis);
    if (!parts) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_concat;
    prepared->kernel = "copy";
    int64_t offset = 0;
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        Part *part = &parts->parts[k];
        part->index = k;
        part->offset = offset;
        oct_shape_product(&input->shape, axis, input->shape.rank, &part->run);
        offset += part->run;
        if (oct_value_quantized(output) && !oct_table_same_grid(input, output)) {
            OCT_TRY(oct_table_requantize(prepare, input, output, parts->tables[k]));
            part->table = parts->tables[k];
        }
    }
    return OCTET_OK;
}

/* ---- Split ---- */

/* Sizes along the axis come from a list, or are equal, the last being smaller if need be. */
static OctetStatus split_size(const OctNode *node, const OctInts *list, int64_t dim, int32_t k,
                              int64_t *size, OctetDiagnostic *diagnostic) {
    int64_t count = node->output_count;
    if (list->present) {
        *size = list->known ? oct_dim_of_known(list->v[k]) : OCT_DIM_UNKNOWN;
        if (list->exact && *size < 0) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has a negative size");
        }
        return OCTET_OK;
    }
    if (dim < 0) {
        *size = count == 1 ? dim : OCT_DIM_UNKNOWN;
        return OCTET_OK;
    }
    int64_t each = dim / count + (dim % count != 0);
    if (dim % count != 0 && node->opset < 18) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "can't cut %" PRId64 " into %" PRId64 " equal parts", dim, count);
    }
    int64_t left = dim - each * k;
    *size = left < 0 ? 0 : left < each ? left : each;
    return OCTET_OK;
}

static OctetStatus split_list(const OctNode *node, OctInts *list, OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_node_int_list(node, "split", node->opset >= 13 ? 1 : -1, list, diagnostic));
    if (list->present && list->count >= 0 && list->count != node->output_count) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has %d sizes for %d outputs",
                           (int)list->count, (int)node->output_count);
    }
    return OCTET_OK;
}

static OctetStatus infer_split(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctInts list;
    OCT_TRY(split_list(node, &list, diagnostic));
    const OctetShape *input = oct_input_shape(node, 0);
    OctetShape shape = *input;
    int32_t axis = 0;
    if (input->rank >= 0) {
        OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", 0), input->rank, &axis,
                                   diagnostic));
    }
    int64_t sum = 0;
    for (int32_t k = 0; k < node->output_count; k++) {
        if (input->rank >= 0) {
            OCT_TRY(split_size(node, &list, input->dims[axis], k, &shape.dims[axis], diagnostic));
            bool numbers = sum >= 0 && shape.dims[axis] >= 0;
            sum = numbers && shape.dims[axis] <= INT64_MAX - sum ? sum + shape.dims[axis] : -1;
        }
        oct_set_output(node, k, oct_input_dtype(node, 0), &shape);
    }
    if (input->rank >= 0 && input->dims[axis] >= 0 && sum >= 0 && sum != input->dims[axis]) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has parts of %" PRId64 " in all for an axis of %" PRId64, sum,
                           input->dims[axis]);
    }
    return OCTET_OK;
}

static OctetStatus run_split(void *state, const OctRun *run) {
    const OctNode *node = state;
    OctetShape shape = run->inputs[0].shape;
    size_t size = octet_dtype_size(run->inputs[0].dtype);
    OctInts list;
    int32_t axis;
    OCT_TRY(oct_run_int_list(node, "split", node->opset >= 13 ? 1 : -1, run, &list));
    OCT_TRY(oct_normalize_axis(node, oct_node_int(node, "axis", 0), shape.rank, &axis,
                               run->diagnostic));
    int64_t dim = shape.dims[axis];
    int64_t outer = 0;
    int64_t inner = 0;
    oct_shape_product(&shape, 0, axis, &outer);
    oct_shape_product(&shape, axis + 1, shape.rank, &inner);
    int64_t left = dim;
    for (int32_t k = 0; k < run->output_count; k++) {
        if (list.present && k >= list.count) {
            break;
        }
        OCT_TRY(split_size(node, &list, dim, k, &shape.dims[axis], run->diagnostic));
        int64_t part = shape.dims[axis];
        if (part > left) {
            break;
        }
        if (node->outputs[k]) {
            OCT_TRY(oct_run_output(run, k, &shape));
            OctStrided copy = {.rank = 2,
                               .dims = {outer, part * inner},
                               .source_strides = {dim * inner, 1},
                               .destination_strides = {part * inner, 1},
                               .source_offset = (dim - left) * inner};
            oct_strided_copy(&copy, size, run->inputs[0].data, run->outputs[k].data, run->pool);
        }
        left -= part;
    }
    if (left != 0) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node,
                           "has sizes that do not sum up to its axis");
    }
    return OCTET_OK;
}

static OctetStatus prepare_split(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_split;
    prepared->kernel = "copy";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

#define FLAGS (OCT_OP_MOVES_DATA | OCT_OP_INT8)

const OctOp oct_ops_concat[] = {
    {"", "Concat", 1, 0, FLAGS, 1, -1, 1, 1, NULL, infer_concat, prepare_concat},
    {"", "Split", 2, 12, FLAGS, 1, 1, 1, -1, NULL, infer_split, prepare_split},
    {"", "Split", 13, 0, FLAGS | OCT_OP_DYNAMIC, 1, 2, 1, -1, NULL, infer_split, prepare_split},
};
OCT_OPS_COUNT(concat);
