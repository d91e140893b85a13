/* Det, and Col2Im: the sum of overlapping blocks. */
#include "base/patience.h"
#include "ops/ops.h"

#include <math.h>
#include <string.h>

/* ---- Det ---- */

static OctetStatus infer_det(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctetShape shape = *oct_input_shape(node, 0);
    if (shape.rank >= 0) {
        if (shape.rank < 2 ||
            !oct_dims_agree(shape.dims[shape.rank - 1], shape.dims[shape.rank - 2])) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "needs square matrices");
        }
        shape.rank -= 2;
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

/* Gauss' elimination with the largest pivot of each column, in double. */
static double determinant(double *m, int64_t n) {
    double result = 1;
    size_t stint = 0;
    for (int64_t c = 0; c < n; c++) {
        int64_t pivot = c;
        for (int64_t r = c + 1; r < n; r++) {
            pivot = fabs(m[r * n + c]) > fabs(m[pivot * n + c]) ? r : pivot;
        }
        if (m[pivot * n + c] == 0) {
            return 0;
        }
        for (int64_t k = 0; pivot != c && k < n; k++) {
            double swap = m[c * n + k];
            m[c * n + k] = m[pivot * n + k];
            m[pivot * n + k] = swap;
        }
        result *= pivot != c ? -m[c * n + c] : m[c * n + c];
        for (int64_t r = c + 1; r < n && !oct_is_over_after(&stint, (size_t)(n - c)); r++) {
            double factor = m[r * n + c] / m[c * n + c];
            for (int64_t k = c; k < n; k++) {
                m[r * n + k] -= factor * m[c * n + k];
            }
        }
    }
    return result;
}

static OctetStatus run_det(void *state, const OctRun *run) {
    (void)state;
    const OctetShape *shape = &run->inputs[0].shape;
    int64_t n = shape->dims[shape->rank - 1];
    double *matrix = run->workspace;
    const float *from = run->inputs[0].data;
    float *to = run->outputs[0].data;
    size_t stint = 0;
    for (int64_t i = 0;
         i < oct_view_count(&run->outputs[0]) && !oct_is_over_after(&stint, (size_t)(n * n)); i++) {
        for (int64_t k = 0; k < n * n; k++) {
            matrix[k] = (double)*from++;
        }
        to[i] = (float)determinant(matrix, n);
    }
    return OCTET_OK;
}

static OctetStatus prepare_det(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctetShape *shape = oct_input_shape(prepare->node, 0);
    size_t n = (size_t)shape->dims[shape->rank - 1];
    prepared->run = run_det;
    prepared->kernel = "f32_det";
    return oct_mul_size(n, n * sizeof(double), &prepared->workspace_bytes)
               ? OCTET_OK
               : oct_fail_memory(prepare->diagnostic);
}

/* ---- Col2Im ---- */

typedef struct Blocks {
    int32_t axes;
    int64_t image[OCTET_MAX_RANK], block[OCTET_MAX_RANK];
    int64_t pad[OCTET_MAX_RANK], stride[OCTET_MAX_RANK], dilation[OCTET_MAX_RANK];
    int64_t steps[OCTET_MAX_RANK]; /* blocks along each axis */
    int64_t image_size, block_size, step_count;
} Blocks;

static bool read_attribute(const OctNode *node, const char *name, int32_t count, int64_t fallback,
                           int64_t low, int64_t *values) {
    const int64_t *given = NULL;
    int32_t found = oct_node_ints(node, name, &given);
    for (int32_t i = 0; i < count; i++) {
        values[i] = found == count ? given[i] : fallback;
        if (values[i] < low || values[i] > INT32_MAX) {
            return false;
        }
    }
    return found == 0 || found == count;
}

static OctetStatus read_blocks(const OctNode *node, const OctInts *image, const OctInts *block,
                               Blocks *blocks, OctetDiagnostic *diagnostic) {
    int64_t pads[2 * OCTET_MAX_RANK];
    int32_t axes = image->count;
    *blocks = (Blocks){.axes = axes, .image_size = 1, .block_size = 1, .step_count = 1};
    bool ok = axes >= 1 && axes <= OCTET_MAX_RANK - 2 && block->count == axes &&
              read_attribute(node, "pads", 2 * axes, 0, 0, pads) &&
              read_attribute(node, "strides", axes, 1, 1, blocks->stride) &&
              read_attribute(node, "dilations", axes, 1, 1, blocks->dilation);
    for (int32_t i = 0; ok && i < axes; i++) {
        blocks->image[i] = image->v[i];
        blocks->block[i] = block->v[i];
        blocks->pad[i] = pads[i];
        ok = image->v[i] > 0 && block->v[i] > 0 && image->v[i] < INT32_MAX &&
             block->v[i] < INT32_MAX;
        if (!ok) {
            break;
        }
        int64_t reach = (block->v[i] - 1) * blocks->dilation[i] + 1;
        int64_t room = image->v[i] + pads[i] + pads[axes + i] - reach;
        blocks->steps[i] = room >= 0 ? room / blocks->stride[i] + 1 : 0;
        ok = oct_mul_i64(blocks->image_size, blocks->image[i], &blocks->image_size) &&
             oct_mul_i64(blocks->block_size, blocks->block[i], &blocks->block_size) &&
             oct_mul_i64(blocks->step_count, blocks->steps[i], &blocks->step_count);
    }
    return ok ? OCTET_OK
              : oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has blocks that are not legal");
}

static OctetStatus col2im_shape(const OctNode *node, const OctetShape *x, const Blocks *blocks,
                                OctetShape *shape, OctetDiagnostic *diagnostic) {
    *shape = (OctetShape){.rank = 2 + blocks->axes};
    bool fits = x->rank == 3 && oct_dims_agree(x->dims[2], blocks->step_count) &&
                (x->dims[1] < 0 || x->dims[1] % blocks->block_size == 0);
    if (!fits) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has blocks that do not fit its input");
    }
    shape->dims[0] = x->dims[0];
    shape->dims[1] = x->dims[1] < 0 ? OCT_DIM_UNKNOWN : x->dims[1] / blocks->block_size;
    memcpy(shape->dims + 2, blocks->image, (size_t)blocks->axes * sizeof(int64_t));
    return OCTET_OK;
}

static OctetStatus infer_col2im(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *x = oct_input_shape(node, 0);
    OctInts image;
    OctInts block;
    OctetShape shape = oct_shape_unknown();
    OCT_TRY(oct_node_int_list(node, NULL, 1, &image, diagnostic));
    OCT_TRY(oct_node_int_list(node, NULL, 2, &block, diagnostic));
    if (x->rank >= 0 && !oct_ints_open(&image) && !oct_ints_open(&block)) {
        Blocks blocks;
        OCT_TRY(read_blocks(node, &image, &block, &blocks, diagnostic));
        OCT_TRY(col2im_shape(node, x, &blocks, &shape, diagnostic));
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

/* Adds position `at` of every block of one channel to its place. */
static void add_position(const Blocks *blocks, int64_t at, const float *from, float *image) {
    int64_t inside[OCTET_MAX_RANK];
    for (int32_t i = blocks->axes - 1; i >= 0; i--) {
        inside[i] = at % blocks->block[i] * blocks->dilation[i] - blocks->pad[i];
        at /= blocks->block[i];
    }
    for (int64_t step = 0; step < blocks->step_count; step++) {
        int64_t rest = step;
        int64_t place = 0;
        int64_t stride = 1;
        bool hits = true;
        for (int32_t i = blocks->axes - 1; i >= 0; i--) {
            int64_t x = rest % blocks->steps[i] * blocks->stride[i] + inside[i];
            rest /= blocks->steps[i];
            hits = hits && x >= 0 && x < blocks->image[i];
            place += x * stride;
            stride *= blocks->image[i];
        }
        if (hits) {
            image[place] += from[step];
        }
    }
}

static OctetStatus run_col2im(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctetShape *x = &run->inputs[0].shape;
    OctInts image;
    OctInts block;
    Blocks blocks;
    OctetShape shape;
    OCT_TRY(oct_run_int_list(node, NULL, 1, run, &image));
    OCT_TRY(oct_run_int_list(node, NULL, 2, run, &block));
    OCT_TRY(read_blocks(node, &image, &block, &blocks, run->diagnostic));
    OCT_TRY(col2im_shape(node, x, &blocks, &shape, run->diagnostic));
    OCT_TRY(oct_run_output(run, 0, &shape));
    float *to = run->outputs[0].data;
    const float *from = run->inputs[0].data;
    int64_t images = shape.dims[0] * shape.dims[1];
    size_t stint = 0;
    memset(to, 0, (size_t)(images * blocks.image_size) * sizeof *to);
    for (int64_t i = 0; i < images; i++, to += blocks.image_size) {
        for (int64_t at = 0;
             at < blocks.block_size && !oct_is_over_after(&stint, 20 * (size_t)blocks.step_count);
             at++, from += blocks.step_count) {
            add_position(&blocks, at, from, to);
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_col2im(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_col2im;
    prepared->kernel = "f32_col2im";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return oct_check_type(prepare->node, 0, OCT_TYPES_FLOAT, prepare->diagnostic);
}

const OctOp oct_ops_matrix[] = {
    {"", "Det", 11, 0, 0, 1, 1, 1, 1, NULL, infer_det, prepare_det},
    {"", "Col2Im", 18, 0, OCT_OP_DYNAMIC, 3, 3, 1, 1, NULL, infer_col2im, prepare_col2im},
};
OCT_OPS_COUNT(matrix);
