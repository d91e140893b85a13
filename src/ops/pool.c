#include "ops/pool.h"
#include "ops/quantized.h"
#include "ops/through_float.h"

#include <inttypes.h>
#include <string.h>

void oct_pool_attributes(const OctNode *node, OctPool *pool) {
    const char *name = node->op_type;
    *pool = (OctPool){.kind = strstr(name, "Max")  ? OCT_POOL_MAX
                              : strstr(name, "Lp") ? OCT_POOL_LP
                                                   : OCT_POOL_AVERAGE,
                      .global = strncmp(name, "Global", 6) == 0,
                      .count_include_pad = oct_node_int(node, "count_include_pad", 0) != 0,
                      .p = oct_node_int(node, "p", 2),
                      .column_major = oct_node_int(node, "storage_order", 0) != 0,
                      .channels_last = oct_channels_last(node)};
}

/* Output sizes as far as they can be known. */
static OctetStatus pool_shape(const OctNode *node, const OctetShape *x, OctPool *pool,
                              OctetDiagnostic *diagnostic) {
    oct_pool_attributes(node, pool);
    if (!oct_image_shape_split(x, pool->channels_last, &pool->input) || pool->input.rank < 1) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "an input of rank %d can't be pooled", (int)x->rank);
    }
    pool->output = pool->input;
    if (pool->global) {
        for (int32_t i = 0; i < pool->input.rank; i++) {
            pool->output.spatial[i] = 1;
        }
        return OCTET_OK;
    }
    OCT_TRY(oct_window_read(node, pool->input.rank, NULL, &pool->window, diagnostic));
    return oct_window_output(&pool->window, node, pool->input.spatial, pool->output.spatial,
                             diagnostic);
}

OctetStatus oct_pool_of(const OctNode *node, OctPool *pool, OctetDiagnostic *diagnostic) {
    OCT_TRY(pool_shape(node, &node->inputs[0]->shape, pool, diagnostic));
    for (int32_t i = 0; i < pool->input.rank; i++) {
        if (pool->input.spatial[i] == 0) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "its input is empty");
        }
    }
    OctetShape y = oct_image_shape_join(&pool->output, pool->channels_last);
    int64_t count;
    if (!octet_shape_count(&node->inputs[0]->shape, &count) || !octet_shape_count(&y, &count)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "its tensors are too large");
    }
    return OCTET_OK;
}

OctTaps oct_pool_taps(const OctPool *pool, int32_t axis, int64_t output) {
    int64_t in = pool->input.spatial[axis];
    if (pool->global) {
        return (OctTaps){0, in, in};
    }
    int64_t step = pool->window.dilation[axis], kernel = pool->window.kernel[axis];
    int64_t start = output * pool->window.stride[axis] - pool->window.pad_begin[axis];
    int64_t skipped = start < 0 ? (-start + step - 1) / step : 0;
    int64_t room = in - start, padded_room = room + pool->window.pad_end[axis];
    int64_t inside = room > 0 ? (room + step - 1) / step : 0;
    int64_t padded = padded_room > 0 ? (padded_room + step - 1) / step : 0;
    inside = inside < kernel ? inside : kernel;
    OctTaps taps = {.first = start + skipped * step,
                    .count = inside > skipped ? inside - skipped : 0,
                    .padded = padded < kernel ? padded : kernel};
    return taps;
}

static OctetStatus check_pool(const OctGraph *graph, const OctNode *node,
                              OctetDiagnostic *diagnostic) {
    (void)graph;
    OctPool pool;
    const int64_t *kernel;
    oct_pool_attributes(node, &pool);
    if (!pool.global && oct_node_ints(node, "kernel_shape", &kernel) == 0) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "lacks its kernel_shape");
    }
    if (pool.p < 1) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "a norm of order %" PRId64,
                           pool.p);
    }
    return oct_window_check(node, diagnostic);
}

static OctetStatus infer_pool(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *x = oct_input_shape(node, 0);
    OctetShape y = oct_shape_unknown();
    if (x->rank >= 0) {
        OctPool pool;
        OCT_TRY(pool_shape(node, x, &pool, diagnostic));
        y = oct_image_shape_join(&pool.output, pool.channels_last);
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &y);
    oct_set_output(node, 1, OCTET_S64, &y);
    return OCTET_OK;
}

static OctetStatus prepare_pool(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctPool pool;
    oct_pool_attributes(node, &pool);
    bool indices = oct_node_output(node, 1) != NULL;
    bool quantized = oct_value_quantized(node->inputs[0]) || oct_value_quantized(node->outputs[0]);
    bool generic = indices || pool.kind == OCT_POOL_LP || node->inputs[0]->dtype != OCTET_F32;
    if (quantized && !generic && oct_is_u8(node->inputs[0]) && oct_is_u8(node->outputs[0])) {
        return oct_pool_prepare_q8(prepare, prepared);
    }
    if (quantized) {
        return oct_prepare_through_float(prepare, prepared,
                                         generic ? oct_pool_prepare_generic : oct_pool_prepare_f32);
    }
    return generic ? oct_pool_prepare_generic(prepare, prepared)
                   : oct_pool_prepare_f32(prepare, prepared);
}

#define MAX_FLAGS (OCT_OP_INT8 | OCT_OP_LAYOUT | OCT_OP_MOVES_DATA)
#define AVERAGE_FLAGS (OCT_OP_INT8 | OCT_OP_LAYOUT)

const OctOp oct_ops_pool[] = {
    {"", "MaxPool", 1, 0, MAX_FLAGS, 1, 1, 1, 2, check_pool, infer_pool, prepare_pool},
    {"", "AveragePool", 1, 0, AVERAGE_FLAGS, 1, 1, 1, 1, check_pool, infer_pool, prepare_pool},
    {"", "LpPool", 2, 0, OCT_OP_LAYOUT, 1, 1, 1, 1, check_pool, infer_pool, prepare_pool},
    {"", "GlobalMaxPool", 1, 0, MAX_FLAGS, 1, 1, 1, 1, check_pool, infer_pool, prepare_pool},
    {"", "GlobalAveragePool", 1, 0, AVERAGE_FLAGS, 1, 1, 1, 1, check_pool, infer_pool,
     prepare_pool},
    {"", "GlobalLpPool", 2, 0, OCT_OP_LAYOUT, 1, 1, 1, 1, check_pool, infer_pool, prepare_pool},
};
OCT_OPS_COUNT(pool);
