/* Sampling at given places: GridSample, MaxUnpool, AffineGrid. */
#include "base/patience.h"
#include "ops/ops.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* ---- GridSample, in two and three dimensions ---- */

typedef enum Interpolation { NEAREST, LINEAR, CUBIC } Interpolation;
typedef enum Padding { ZEROS, BORDER, REFLECTION } Padding;

typedef struct Grid {
    Interpolation interpolation;
    Padding padding;
    bool align_corners;
} Grid;

static bool one_of(const char *name, const char *const *names, int count, int *index) {
    for (int i = 0; i < count; i++) {
        if (strcmp(name, names[i]) == 0) {
            *index = i;
            return true;
        }
    }
    return false;
}

static OctetStatus read_grid(const OctNode *node, Grid *grid, OctetDiagnostic *diagnostic) {
    static const char *const modes[] = {"nearest", "linear", "cubic", "bilinear", "bicubic"};
    static const char *const paddings[] = {"zeros", "border", "reflection"};
    int mode = 0;
    int padding = 0;
    if (!one_of(oct_node_string(node, "mode", "linear"), modes, 5, &mode) ||
        !one_of(oct_node_string(node, "padding_mode", "zeros"), paddings, 3, &padding)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has a mode that is none");
    }
    grid->interpolation = (Interpolation)(mode > 2 ? mode - 2 : mode);
    grid->padding = (Padding)padding;
    grid->align_corners = oct_node_int(node, "align_corners", 0) != 0;
    return OCTET_OK;
}

static OctetStatus check_grid(const OctGraph *graph, const OctNode *node,
                              OctetDiagnostic *diagnostic) {
    (void)graph;
    Grid grid;
    OCT_TRY(oct_check_type(node, 0, OCT_TYPES_FLOAT, diagnostic));
    return read_grid(node, &grid, diagnostic);
}

static OctetStatus infer_grid(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetShape *x = oct_input_shape(node, 0);
    const OctetShape *places = oct_input_shape(node, 1);
    OctetShape shape = *x;
    if (x->rank >= 0 && places->rank >= 0) {
        int64_t width = x->rank - 2;
        bool fits = (x->rank == 4 || x->rank == 5) && places->rank == x->rank &&
                    oct_dims_agree(places->dims[0], x->dims[0]) &&
                    oct_dims_agree(places->dims[places->rank - 1], width);
        if (!fits) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                               "has a grid that does not fit its images");
        }
        for (int32_t i = 2; i < x->rank; i++) {
            shape.dims[i] = places->dims[i - 1];
        }
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

/* From [-1, 1] to pixels. */
static float to_pixels(const Grid *grid, float x, int64_t size) {
    return grid->align_corners ? (x + 1) / 2 * (float)(size - 1) : ((x + 1) * (float)size - 1) / 2;
}

/* Mirrored into [low, high]. */
static float reflect(float x, float low, float high) {
    float range = high - low;
    if (!(range > 0) || !isfinite(x)) {
        return low;
    }
    float distance = x < low ? low - x : x > high ? x - high : 0;
    if (distance == 0) {
        return x;
    }
    float turns = floorf(distance / range);
    float rest = distance - turns * range;
    bool even = fmodf(turns, 2) == 0;
    return x < low ? (even ? low + rest : high - rest) : (even ? high - rest : low + rest);
}

/* The coordinate as the padding mode has it. */
static float pad_coordinate(const Grid *grid, float x, int64_t size) {
    if (grid->padding == BORDER) {
        return x > 0 ? fminf(x, (float)(size - 1)) : 0; /* NaN too */
    }
    if (grid->padding == REFLECTION) {
        x = grid->align_corners ? reflect(x, 0, (float)(size - 1))
                                : reflect(x, -0.5f, (float)size - 0.5f);
        return x > 0 ? fminf(x, (float)(size - 1)) : 0;
    }
    return x;
}

/* The index of a tap; -1 for a zero. Taps beside a padded coordinate may still be outside. */
static int64_t tap_index(const Grid *grid, float x, int64_t size) {
    x = pad_coordinate(grid, x, size);
    return x >= 0 && x <= (float)(size - 1) ? (int64_t)rintf(x) : -1;
}

/* Up to four taps of an axis. */
typedef struct Taps {
    int count;
    int64_t index[4];
    float weight[4];
} Taps;

/* Keys' cubic with a = -0.75, as PyTorch has it. */
static void cubic_weights(float t, float *weight) {
    const float a = -0.75f;
    for (int k = 0; k < 4; k++) {
        float d = fabsf(t + 1 - (float)k);
        weight[k] = d <= 1 ? ((a + 2) * d - (a + 3)) * d * d + 1
                           : ((a * d - 5 * a) * d + 8 * a) * d - 4 * a;
    }
}

static Taps taps_of(const Grid *grid, float place, int64_t size) {
    float x = to_pixels(grid, place, size);
    Taps taps = {.count = 1, .weight = {1}};
    if (grid->interpolation != CUBIC) {
        x = pad_coordinate(grid, x, size);
    }
    if (!(x > -1e9f && x < 1e9f)) { /* NaN and what is far away */
        taps.index[0] = -1;
        return taps;
    }
    if (grid->interpolation == NEAREST) {
        taps.index[0] = tap_index(grid, rintf(x), size);
        return taps;
    }
    float base = floorf(x);
    bool cubic = grid->interpolation == CUBIC;
    taps.count = cubic ? 4 : 2;
    taps.weight[0] = 1 - (x - base);
    taps.weight[1] = x - base;
    if (cubic) {
        cubic_weights(x - base, taps.weight);
    }
    for (int k = 0; k < taps.count; k++) {
        float at = base + (float)(cubic ? k - 1 : k);
        bool inside = at >= 0 && at <= (float)(size - 1);
        taps.index[k] = cubic ? tap_index(grid, at, size) : inside ? (int64_t)at : -1;
    }
    return taps;
}

/* Sums over the taps of all axes, the outermost first. */
static float interpolate(const float *image, const int64_t *sizes, int32_t axes, const Taps *taps) {
    float total = 0;
    for (int k = 0; k < taps[0].count; k++) {
        if (taps[0].index[k] < 0) {
            continue;
        }
        int64_t inner = 1;
        for (int32_t i = 1; i < axes; i++) {
            inner *= sizes[i];
        }
        const float *part = image + taps[0].index[k] * inner;
        float value = axes == 1 ? *part : interpolate(part, sizes + 1, axes - 1, taps + 1);
        total += taps[0].weight[k] * value;
    }
    return total;
}

static OctetStatus run_grid(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctetShape *x = &run->inputs[0].shape;
    int32_t axes = x->rank - 2;
    Grid grid;
    OCT_TRY(read_grid(node, &grid, run->diagnostic));
    int64_t places = 0;
    int64_t pixels = 0;
    oct_shape_product(&run->inputs[1].shape, 1, axes + 1, &places);
    oct_shape_product(x, 2, x->rank, &pixels);
    size_t stint = 0;
    for (int64_t b = 0; b < x->dims[0]; b++) {
        const float *images = (const float *)run->inputs[0].data + b * x->dims[1] * pixels;
        float *to = (float *)run->outputs[0].data + b * x->dims[1] * places;
        for (int64_t p = 0; p < places && !oct_is_over_after(&stint, 20 * (size_t)x->dims[1]);
             p++) {
            /* the last number of a place belongs to the first axis */
            const float *place = (const float *)run->inputs[1].data + (b * places + p) * axes;
            Taps taps[3];
            for (int32_t i = 0; i < axes; i++) {
                taps[i] = taps_of(&grid, place[axes - 1 - i], x->dims[2 + i]);
            }
            for (int64_t c = 0; c < x->dims[1]; c++) {
                to[c * places + p] = interpolate(images + c * pixels, x->dims + 2, axes, taps);
            }
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_grid(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_grid;
    prepared->kernel = "grid_sample";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

/* ---- AffineGrid ---- */

static OctetStatus affine_shape(const OctNode *node, const OctInts *size, OctetShape *shape,
                                OctetDiagnostic *diagnostic) {
    *shape = oct_shape_unknown();
    if (size->count < 0) {
        return OCTET_OK;
    }
    if (size->count != 4 && size->count != 5) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "needs a size of 4 or 5 numbers");
    }
    *shape = oct_shape_of_rank(size->count);
    shape->dims[size->count - 1] = size->count - 2;
    for (int32_t i = 0; size->known && i < size->count; i++) {
        bool number = oct_known_is_number(size->v[i]);
        if (number && size->v[i] < (i > 1 ? 1 : 0)) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has a size below 1");
        }
        if (i != 1) {
            shape->dims[i == 0 ? 0 : i - 1] = oct_dim_of_known(size->v[i]);
        }
    }
    return OCTET_OK;
}

static OctetStatus infer_affine(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctInts size;
    OctetShape shape;
    OCT_TRY(oct_node_int_list(node, NULL, 1, &size, diagnostic));
    OCT_TRY(affine_shape(node, &size, &shape, diagnostic));
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

static float grid_coordinate(int64_t i, int64_t size, bool align_corners) {
    if (align_corners) {
        return size > 1 ? -1 + 2 * (float)i / (float)(size - 1) : 0;
    }
    return (2 * (float)i + 1) / (float)size - 1;
}

static OctetStatus run_affine(void *state, const OctRun *run) {
    const OctNode *node = state;
    bool align = oct_node_int(node, "align_corners", 0) != 0;
    OctInts size;
    OctetShape shape;
    OCT_TRY(oct_run_int_list(node, NULL, 1, run, &size));
    OCT_TRY(affine_shape(node, &size, &shape, run->diagnostic));
    const OctetShape *theta = &run->inputs[0].shape;
    int64_t axes = shape.rank - 2;
    if (theta->rank != 3 || theta->dims[0] != shape.dims[0] || theta->dims[1] != axes ||
        theta->dims[2] != axes + 1) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node,
                           "has matrices that do not fit its size");
    }
    OCT_TRY(oct_run_output(run, 0, &shape));
    int64_t places = 0;
    oct_shape_product(&shape, 1, shape.rank - 1, &places);
    float *to = run->outputs[0].data;
    for (int64_t i = 0; i < shape.dims[0] * places; i++) {
        const float *matrix = (const float *)run->inputs[0].data + i / places * axes * (axes + 1);
        float place[4] = {0, 0, 0, 1}; /* x, y, (z,) 1 */
        int64_t rest = i % places;
        for (int64_t axis = 0; axis < axes; axis++) {
            int64_t dim = shape.dims[axes - axis];
            place[axis] = grid_coordinate(rest % dim, dim, align);
            rest /= dim;
        }
        for (int64_t row = 0; row < axes; row++) {
            float sum = 0;
            for (int64_t k = 0; k <= axes; k++) {
                sum += matrix[row * (axes + 1) + k] * (k == axes ? 1.0f : place[k]);
            }
            *to++ = sum;
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_affine(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->run = run_affine;
    prepared->kernel = "affine_grid";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

/* ---- MaxUnpool ---- */

static OctetStatus unpooled_shape(const OctNode *node, const OctetShape *x, OctetShape *shape,
                                  OctetDiagnostic *diagnostic) {
    const int64_t *kernel = NULL;
    const int64_t *strides = NULL;
    const int64_t *pads = NULL;
    int32_t axes = oct_node_ints(node, "kernel_shape", &kernel);
    int32_t stride_count = oct_node_ints(node, "strides", &strides);
    int32_t pad_count = oct_node_ints(node, "pads", &pads);
    *shape = *x;
    if (x->rank < 0) {
        return OCTET_OK;
    }
    bool fits = x->rank == axes + 2 && (stride_count == 0 || stride_count == axes) &&
                (pad_count == 0 || pad_count == 2 * axes);
    for (int32_t i = 0; fits && i < axes; i++) {
        int64_t stride = stride_count ? strides[i] : 1;
        int64_t pad = pad_count ? pads[i] + pads[axes + i] : 0;
        int64_t dim = x->dims[2 + i];
        fits = stride > 0 && kernel[i] > 0 && stride < INT32_MAX && kernel[i] < INT32_MAX;
        if (!fits || dim < 0) {
            shape->dims[2 + i] = OCT_DIM_UNKNOWN;
            continue;
        }
        fits = oct_mul_i64(dim - 1, stride, &shape->dims[2 + i]);
        shape->dims[2 + i] += kernel[i] - pad;
        fits = fits && shape->dims[2 + i] >= 0;
    }
    return fits ? OCTET_OK
                : oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                              "has a kernel that does not fit its input");
}

/* The output's shape comes from input 2 if there is one. */
static OctetStatus given_shape(const OctNode *node, const OctInts *list, OctetShape *shape,
                               OctetDiagnostic *diagnostic) {
    if (list->count > OCTET_MAX_RANK) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "has more than %d dimensions",
                           OCTET_MAX_RANK);
    }
    *shape = list->count >= 0 ? oct_shape_of_rank(list->count) : oct_shape_unknown();
    for (int32_t i = 0; list->known && i < list->count; i++) {
        shape->dims[i] = oct_dim_of_known(list->v[i]);
        if (oct_known_is_number(list->v[i]) && list->v[i] < 0) {
            return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "has a negative dimension");
        }
    }
    return OCTET_OK;
}

static OctetStatus infer_unpool(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctInts list;
    OctetShape shape;
    OCT_TRY(oct_node_int_list(node, NULL, 2, &list, diagnostic));
    OCT_TRY(unpooled_shape(node, oct_input_shape(node, 0), &shape, diagnostic));
    if (list.present) {
        OCT_TRY(given_shape(node, &list, &shape, diagnostic));
    }
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

/* Indices count within what the kernel alone would give, over the whole tensor. In a larger output
 * each keeps its coordinates. */
static OctetStatus run_unpool(void *state, const OctRun *run) {
    const OctNode *node = state;
    OctetShape inferred;
    OctetShape shape;
    OCT_TRY(unpooled_shape(node, &run->inputs[0].shape, &inferred, run->diagnostic));
    shape = inferred;
    if (run->input_count > 2 && run->inputs[2].data) {
        OctInts list;
        OCT_TRY(oct_run_int_list(node, NULL, 2, run, &list));
        OCT_TRY(given_shape(node, &list, &shape, run->diagnostic));
    }
    OCT_TRY(oct_run_output(run, 0, &shape));
    int64_t total = 0;
    octet_shape_count(&inferred, &total);
    int64_t count = oct_view_count(&run->outputs[0]);
    const float *x = run->inputs[0].data;
    float *to = run->outputs[0].data;
    if (count > 0) {
        memset(to, 0, (size_t)count * sizeof *to);
    }
    for (int64_t i = 0; i < oct_view_count(&run->inputs[0]); i++) {
        int64_t at = ((const int64_t *)run->inputs[1].data)[i];
        if (at < 0 || at >= total || shape.rank != inferred.rank) {
            return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node,
                               "has index %" PRId64 " outside its output", at);
        }
        int64_t place = 0;
        int64_t stride = 1;
        for (int32_t axis = shape.rank - 1; axis >= 0; axis--) {
            int64_t coordinate = at % inferred.dims[axis];
            if (coordinate >= shape.dims[axis]) {
                return oct_fail_op(run->diagnostic, OCTET_ERROR_SHAPE, node,
                                   "has an index outside its output");
            }
            place += coordinate * stride;
            stride *= shape.dims[axis];
            at /= inferred.dims[axis];
        }
        to[place] = x[i];
    }
    return OCTET_OK;
}

static OctetStatus prepare_unpool(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    if (oct_input_dtype(node, 0) != OCTET_F32 || oct_input_dtype(node, 1) != OCTET_S64 ||
        !octet_shape_equal(oct_input_shape(node, 0), oct_input_shape(node, 1))) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "has indices that do not fit its input");
    }
    prepared->run = run_unpool;
    prepared->kernel = "max_unpool";
    prepared->state = (void *)(uintptr_t)node;
    return OCTET_OK;
}

const OctOp oct_ops_sampling[] = {
    {"", "GridSample", 16, 0, 0, 2, 2, 1, 1, check_grid, infer_grid, prepare_grid},
    {"", "AffineGrid", 20, 0, OCT_OP_DYNAMIC, 2, 2, 1, 1, NULL, infer_affine, prepare_affine},
    {"", "MaxUnpool", 9, 0, OCT_OP_DYNAMIC, 2, 3, 1, 1, NULL, infer_unpool, prepare_unpool},
};
OCT_OPS_COUNT(sampling);
