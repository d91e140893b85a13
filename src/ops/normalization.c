/* Normalizations over rows: LayerNormalization and its com.microsoft relatives,
 * InstanceNormalization, GroupNormalization, LpNormalization. */
#include "kernels/f32_rows.h"
#include "kernels/f32_vector.h"
#include "ops/rows.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- rows of one scale and shift a position ---- */

typedef struct LayerNorm {
    OctRows rows;
    const OctF32RowsBundle *kernels;
    const OctF32VectorBundle *vector;
    float epsilon;
    bool root_mean_square;                  /* no mean is subtracted */
    bool skips;                             /* input 1 is added to input 0 first */
    int32_t scale, shift, bias, sum_output; /* inputs and an output, -1 for none */
    size_t skip_count;                      /* elements of the skip, which repeats over the batch */
    size_t sum_offset;                      /* in the workspace */
} LayerNorm;

/* One run's pointers. */
typedef struct LayerNormRun {
    const LayerNorm *norm;
    const OctRun *run;
    const float *scale, *shift;
    float *mean, *inverse;
} LayerNormRun;

static void rms_row(const LayerNorm *norm, const float *x, const float *scale, const float *shift,
                    float *y, float *inverse) {
    size_t count = norm->rows.count;
    float mean_square = norm->kernels->sum_of_squares(x, count) / (float)count;
    float factor = 1.0f / sqrtf(mean_square + norm->epsilon);
    for (size_t i = 0; i < count; i++) {
        float value = x[i] * factor;
        value = scale ? value * scale[i] : value;
        y[i] = shift ? value + shift[i] : value;
    }
    if (inverse) {
        *inverse = factor;
    }
}

static void layer_norm_row(const void *user, size_t row, const float *x, float *y) {
    const LayerNormRun *at = user;
    const LayerNorm *norm = at->norm;
    float *inverse = at->inverse ? at->inverse + row : NULL;
    if (norm->root_mean_square) {
        rms_row(norm, x, at->scale, at->shift, y, inverse);
    } else {
        norm->kernels->layer_norm(x, at->scale, at->shift, norm->epsilon, y, norm->rows.count,
                                  at->mean ? at->mean + row : NULL, inverse);
    }
}

static const float *input_or_null(const OctRun *run, int32_t k) {
    return k >= 0 && k < run->input_count ? run->inputs[k].data : NULL;
}

static float *output_or_null(const OctRun *run, int32_t k) {
    return k >= 0 && k < run->output_count ? run->outputs[k].data : NULL;
}

typedef struct SkipWork {
    const LayerNorm *norm;
    const float *x, *skip, *bias;
    float *sum;
} SkipWork;

static void add_skip(void *user, size_t row) {
    const SkipWork *work = user;
    size_t count = work->norm->rows.count, at = row * count;
    OctF32BinaryKernel add = work->norm->vector->vector_vector[OCT_F32_ADD];
    add(work->x + at, work->skip + at % work->norm->skip_count, work->sum + at, count);
    if (work->bias) {
        add(work->sum + at, work->bias, work->sum + at, count);
    }
}

static OctetStatus run_layer_norm(void *state, const OctRun *run) {
    const LayerNorm *norm = state;
    LayerNormRun at = {norm,
                       run,
                       input_or_null(run, norm->scale),
                       input_or_null(run, norm->shift),
                       output_or_null(run, norm->root_mean_square ? -1 : 1),
                       output_or_null(run, norm->root_mean_square ? 1 : 2)};
    if (!norm->skips) {
        oct_rows_run(&norm->rows, run, layer_norm_row, &at);
        return OCTET_OK;
    }
    float *sum = output_or_null(run, norm->sum_output);
    sum = sum ? sum : oct_workspace_at(run, norm->sum_offset);
    SkipWork work = {norm, run->inputs[0].data, run->inputs[1].data, input_or_null(run, norm->bias),
                     sum};
    oct_parallel_for(run->pool, add_skip, &work, norm->rows.outer);
    OctView summed = {sum, OCTET_F32, run->inputs[0].shape};
    OctRun inner = *run;
    inner.inputs = &summed;
    oct_rows_run(&norm->rows, &inner, layer_norm_row, &at);
    return OCTET_OK;
}

static OctetStatus check_vector(const OctPrepare *prepare, int32_t k, size_t count) {
    const OctValue *value = oct_node_input(prepare->node, k);
    int64_t elements;
    if (value && (!octet_shape_count(&value->shape, &elements) || (size_t)elements != count)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, prepare->node,
                           "input %d does not have %zu elements", (int)k, count);
    }
    if (value && oct_value_quantized(value)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, prepare->node,
                           "input %d is quantized", (int)k);
    }
    return OCTET_OK;
}

static OctetStatus layer_norm_axis(const OctNode *node, int32_t *axis,
                                   OctetDiagnostic *diagnostic) {
    return oct_normalize_axis(node, oct_node_int(node, "axis", -1), node->inputs[0]->shape.rank,
                              axis, diagnostic);
}

static LayerNorm *begin_layer_norm(const OctPrepare *prepare, OctPreparedOp *prepared) {
    LayerNorm *norm = oct_prepare_state(prepare, prepared, sizeof *norm);
    if (norm) {
        prepared->run = run_layer_norm;
        prepared->kernel = "layer_norm";
        prepared->cpu = prepare->cpu;
        norm->kernels = oct_f32_rows_select(prepare->cpu);
        norm->vector = oct_f32_vector_select(prepare->cpu);
        norm->shift = norm->bias = norm->sum_output = -1;
    }
    return norm;
}

static OctetStatus prepare_layer_norm(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    int32_t axis;
    LayerNorm *norm = begin_layer_norm(prepare, prepared);
    if (!norm) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    OCT_TRY(layer_norm_axis(node, &axis, prepare->diagnostic));
    oct_rows_around(&node->inputs[0]->shape, axis, &norm->rows);
    norm->rows.count *= norm->rows.inner;
    norm->rows.inner = 1;
    norm->root_mean_square = strcmp(node->op_type, "LayerNormalization") != 0;
    norm->epsilon = oct_node_float(node, "epsilon", 1e-5f);
    norm->scale = 1;
    norm->shift = 2;
    OCT_TRY(check_vector(prepare, 1, norm->rows.count));
    OCT_TRY(check_vector(prepare, 2, norm->rows.count));
    return oct_rows_prepare(&norm->rows, prepare, prepared);
}

static OctetStatus prepare_skip_layer_norm(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctetShape *shape = &node->inputs[0]->shape;
    LayerNorm *norm = begin_layer_norm(prepare, prepared);
    if (!norm) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    if (shape->rank < 1) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node, "needs a rank of 1 up");
    }
    bool simplified = strcmp(node->op_type, "SkipSimplifiedLayerNormalization") == 0;
    oct_rows_around(shape, shape->rank - 1, &norm->rows);
    norm->root_mean_square = simplified;
    norm->skips = true;
    norm->epsilon = oct_node_float(node, "epsilon", 1e-12f);
    norm->scale = 2;
    norm->shift = simplified ? -1 : 3;
    norm->bias = simplified ? 3 : 4;
    norm->sum_output = 3;
    size_t count = norm->rows.count, all = norm->rows.outer * count, bytes;
    int64_t skip;
    if (!octet_shape_count(&node->inputs[1]->shape, &skip) ||
        (all > 0 && (skip <= 0 || all % (size_t)skip != 0 || (size_t)skip % count != 0))) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "the skip does not fit the input");
    }
    norm->skip_count = skip > 0 ? (size_t)skip : 1;
    for (int32_t k = 2; k < 5; k++) {
        OCT_TRY(check_vector(prepare, k, count));
    }
    if (oct_value_quantized(node->inputs[0]) || oct_value_quantized(node->inputs[1])) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node, "is float only");
    }
    if (!oct_mul_size(all, sizeof(float), &bytes)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_LIMIT, node, "is too large");
    }
    OCT_TRY(oct_workspace_add(&prepared->workspace_bytes, bytes, &norm->sum_offset,
                              prepare->diagnostic));
    return oct_rows_prepare(&norm->rows, prepare, prepared);
}

static OctetStatus infer_layer_norm(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_infer_same(graph, node, diagnostic));
    OctetShape shape = *oct_input_shape(node, 0);
    if (strncmp(node->op_type, "Skip", 4) == 0) {
        oct_set_output(node, 3, OCTET_F32, &shape); /* the sum */
        if (shape.rank > 0) {
            shape.dims[shape.rank - 1] = 1;
        }
    } else if (shape.rank >= 0) {
        int32_t axis;
        OCT_TRY(layer_norm_axis(node, &axis, diagnostic));
        for (int32_t i = axis; i < shape.rank; i++) {
            shape.dims[i] = 1;
        }
    }
    oct_set_output(node, 1, OCTET_F32, &shape);
    oct_set_output(node, 2, OCTET_F32, &shape);
    return OCTET_OK;
}

/* ---- planes of one scale and shift each ---- */

typedef struct PlaneNorm {
    OctRows rows;
    const OctF32RowsBundle *kernels;
    float epsilon;
    size_t channels;      /* of the tensor */
    size_t row_channels;  /* in one row: 1, or those of a group */
    bool scale_per_group; /* GroupNormalization up to opset 20 */
} PlaneNorm;

typedef struct PlaneNormRun {
    const PlaneNorm *norm;
    const float *scale, *shift;
} PlaneNormRun;

static void plane_norm_row(const void *user, size_t row, const float *x, float *y) {
    const PlaneNormRun *at = user;
    const PlaneNorm *norm = at->norm;
    size_t area = norm->rows.count / norm->row_channels;
    size_t groups = norm->channels / norm->row_channels;
    norm->kernels->layer_norm(x, NULL, NULL, norm->epsilon, y, norm->rows.count, NULL, NULL);
    for (size_t c = 0; c < norm->row_channels; c++, y += area) {
        size_t group = row % groups;
        size_t parameter = norm->scale_per_group ? group : group * norm->row_channels + c;
        float scale = at->scale[parameter], shift = at->shift[parameter];
        for (size_t i = 0; i < area; i++) {
            y[i] = fmaf(y[i], scale, shift);
        }
    }
}

static OctetStatus run_plane_norm(void *state, const OctRun *run) {
    PlaneNormRun at = {state, run->inputs[1].data, run->inputs[2].data};
    oct_rows_run(&at.norm->rows, run, plane_norm_row, &at);
    return OCTET_OK;
}

/* groups 0: one a channel. */
static OctetStatus prepare_planes(const OctPrepare *prepare, OctPreparedOp *prepared,
                                  int64_t groups, bool scale_per_group) {
    const OctNode *node = prepare->node;
    const OctetShape *shape = &node->inputs[0]->shape;
    PlaneNorm *norm = oct_prepare_state(prepare, prepared, sizeof *norm);
    if (!norm) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_plane_norm;
    prepared->kernel = "plane_norm";
    prepared->cpu = prepare->cpu;
    int64_t channels = shape->rank >= 2 ? shape->dims[1] : 0;
    groups = groups == 0 ? channels : groups;
    if (shape->rank < 2 || groups < 1 || channels % groups != 0) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "%" PRId64 " groups of %" PRId64 " channels are not possible", groups,
                           channels);
    }
    oct_rows_around(shape, 1, &norm->rows);
    norm->channels = (size_t)channels;
    norm->row_channels = (size_t)(channels / groups);
    norm->scale_per_group = scale_per_group;
    norm->rows.count = norm->row_channels * norm->rows.inner;
    norm->rows.outer *= (size_t)groups;
    norm->rows.inner = 1;
    norm->kernels = oct_f32_rows_select(prepare->cpu);
    norm->epsilon = oct_node_float(node, "epsilon", 1e-5f);
    size_t parameters = (size_t)(scale_per_group ? groups : channels);
    OCT_TRY(check_vector(prepare, 1, parameters));
    OCT_TRY(check_vector(prepare, 2, parameters));
    return oct_rows_prepare(&norm->rows, prepare, prepared);
}

static OctetStatus prepare_instance_norm(const OctPrepare *prepare, OctPreparedOp *prepared) {
    return prepare_planes(prepare, prepared, 0, false);
}

static OctetStatus prepare_group_norm(const OctPrepare *prepare, OctPreparedOp *prepared) {
    int64_t groups = oct_node_int(prepare->node, "num_groups", 0);
    if (groups < 1) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_FORMAT, prepare->node,
                           "lacks its num_groups");
    }
    return prepare_planes(prepare, prepared, groups, prepare->node->opset < 21);
}

/* ---- LpNormalization ---- */

typedef struct LpNorm {
    OctRows rows;
    const OctF32RowsBundle *kernels;
    int64_t p;
} LpNorm;

static void lp_row(const void *user, size_t row, const float *x, float *y) {
    (void)row;
    const LpNorm *norm = user;
    size_t count = norm->rows.count;
    float total = 0.0f;
    if (norm->p == 2) {
        total = sqrtf(norm->kernels->sum_of_squares(x, count));
    } else {
        for (size_t i = 0; i < count; i++) {
            total += fabsf(x[i]);
        }
    }
    for (size_t i = 0; i < count; i++) {
        y[i] = total == 0.0f ? 0.0f : x[i] / total;
    }
}

static OctetStatus run_lp_norm(void *state, const OctRun *run) {
    oct_rows_run(&((LpNorm *)state)->rows, run, lp_row, state);
    return OCTET_OK;
}

static OctetStatus check_lp_norm(const OctGraph *graph, const OctNode *node,
                                 OctetDiagnostic *diagnostic) {
    (void)graph;
    int64_t p = oct_node_int(node, "p", 2);
    if (p != 1 && p != 2) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "a norm of order %" PRId64, p);
    }
    return OCTET_OK;
}

static OctetStatus infer_lp_norm(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    return oct_infer_same_along(graph, node, -1, diagnostic);
}

static OctetStatus prepare_lp_norm(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    int32_t axis;
    LpNorm *norm = oct_prepare_state(prepare, prepared, sizeof *norm);
    if (!norm) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_lp_norm;
    prepared->kernel = "lp_norm";
    OCT_TRY(layer_norm_axis(node, &axis, prepare->diagnostic));
    oct_rows_around(&node->inputs[0]->shape, axis, &norm->rows);
    norm->kernels = oct_f32_rows_select(prepare->cpu);
    norm->p = oct_node_int(node, "p", 2);
    return oct_rows_prepare(&norm->rows, prepare, prepared);
}

const OctOp oct_ops_normalization[] = {
    {"", "LayerNormalization", 1, 0, OCT_OP_INT8, 2, 3, 1, 3, NULL, infer_layer_norm,
     prepare_layer_norm},
    {"", "SimplifiedLayerNormalization", 1, 0, OCT_OP_INT8, 2, 2, 1, 2, NULL, infer_layer_norm,
     prepare_layer_norm},
    {"", "RMSNormalization", 23, 0, OCT_OP_INT8, 2, 2, 1, 1, NULL, infer_layer_norm,
     prepare_layer_norm},
    {"com.microsoft", "SkipLayerNormalization", 1, 0, 0, 3, 5, 1, 4, NULL, infer_layer_norm,
     prepare_skip_layer_norm},
    {"com.microsoft", "SkipSimplifiedLayerNormalization", 1, 0, 0, 3, 4, 1, 4, NULL,
     infer_layer_norm, prepare_skip_layer_norm},
    {"", "InstanceNormalization", 6, 0, OCT_OP_INT8, 3, 3, 1, 1, NULL, oct_infer_same,
     prepare_instance_norm},
    {"", "GroupNormalization", 18, 0, OCT_OP_INT8, 3, 3, 1, 1, NULL, oct_infer_same,
     prepare_group_norm},
    {"", "LpNormalization", 1, 0, 0, 1, 1, 1, 1, check_lp_norm, infer_lp_norm, prepare_lp_norm},
};
OCT_OPS_COUNT(normalization);
