/* Pooling of regions: RoiAlign, MaxRoiPool. Images are [N][C][H][W]. */
#include "base/patience.h"
#include "ops/ops.h"

#include <math.h>
#include <string.h>

/* ---- RoiAlign ---- */

typedef struct Align {
    int64_t output_height, output_width;
    int64_t sampling; /* points a bin and axis; 0: as many as the bin has pixels */
    float scale;
    bool maximum;
    bool half_pixel;
} Align;

static OctetStatus read_align(const OctNode *node, Align *align, OctetDiagnostic *diagnostic) {
    const char *mode = oct_node_string(node, "mode", "avg");
    const char *transform = oct_node_string(node, "coordinate_transformation_mode",
                                            node->opset >= 16 ? "half_pixel" : "output_half_pixel");
    *align = (Align){.output_height = oct_node_int(node, "output_height", 1),
                     .output_width = oct_node_int(node, "output_width", 1),
                     .sampling = oct_node_int(node, "sampling_ratio", 0),
                     .scale = oct_node_float(node, "spatial_scale", 1.0f),
                     .maximum = strcmp(mode, "max") == 0,
                     .half_pixel = strcmp(transform, "half_pixel") == 0};
    bool legal = align->output_height > 0 && align->output_width > 0 &&
                 align->output_height <= INT32_MAX && align->output_width <= INT32_MAX &&
                 align->sampling >= 0 && align->sampling < 65536;
    if (!legal || (!align->maximum && strcmp(mode, "avg") != 0) ||
        (!align->half_pixel && strcmp(transform, "output_half_pixel") != 0)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node,
                           "has attributes that are not legal");
    }
    return OCTET_OK;
}

static OctetStatus check_align(const OctGraph *graph, const OctNode *node,
                               OctetDiagnostic *diagnostic) {
    (void)graph;
    Align align;
    return read_align(node, &align, diagnostic);
}

static OctetStatus infer_regions(const OctNode *node, int64_t height, int64_t width,
                                 OctetDiagnostic *diagnostic) {
    const OctetShape *x = oct_input_shape(node, 0);
    const OctetShape *rois = oct_input_shape(node, 1);
    if ((x->rank >= 0 && x->rank != 4) || (rois->rank >= 0 && rois->rank != 2)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "needs images of rank 4 and regions of rank 2");
    }
    const OctetShape shape = {4,
                              {rois->rank == 2 ? rois->dims[0] : OCT_DIM_UNKNOWN,
                               x->rank == 4 ? x->dims[1] : OCT_DIM_UNKNOWN, height, width}};
    oct_set_output(node, 0, oct_input_dtype(node, 0), &shape);
    return OCTET_OK;
}

static OctetStatus infer_align(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    Align align;
    OCT_TRY(read_align(node, &align, diagnostic));
    return infer_regions(node, align.output_height, align.output_width, diagnostic);
}

/* A point between four pixels: the sum of the weighted pixels, or (max mode) the largest of them.
 * Outside by more than a pixel there is nothing. */
static float sample(const float *image, int64_t height, int64_t width, float y, float x,
                    bool maximum) {
    if (!(y >= -1.0f && y <= (float)height && x >= -1.0f && x <= (float)width)) {
        return 0;
    }
    y = y < 0 ? 0 : y;
    x = x < 0 ? 0 : x;
    int64_t top = (int64_t)y;
    int64_t left = (int64_t)x;
    int64_t bottom = top + 1;
    int64_t right = left + 1;
    if (top >= height - 1) {
        top = bottom = height - 1;
        y = (float)top;
    }
    if (left >= width - 1) {
        left = right = width - 1;
        x = (float)left;
    }
    float down = y - (float)top;
    float along = x - (float)left;
    float a = (1 - down) * (1 - along) * image[top * width + left];
    float b = (1 - down) * along * image[top * width + right];
    float c = down * (1 - along) * image[bottom * width + left];
    float d = down * along * image[bottom * width + right];
    if (maximum) {
        float upper = a > b ? a : b;
        float lower = c > d ? c : d;
        return upper > lower ? upper : lower;
    }
    return ((a + b) + c) + d;
}

typedef struct Region {
    float top, left, bin_height, bin_width;
    int64_t points_y, points_x;
} Region;

static Region region_of(const Align *align, const float *roi) {
    float offset = align->half_pixel ? 0.5f : 0.0f;
    Region region = {.top = roi[1] * align->scale - offset, .left = roi[0] * align->scale - offset};
    float height = roi[3] * align->scale - offset - region.top;
    float width = roi[2] * align->scale - offset - region.left;
    if (!align->half_pixel) { /* no region is smaller than a pixel */
        height = height > 1 ? height : 1;
        width = width > 1 ? width : 1;
    }
    region.bin_height = height / (float)align->output_height;
    region.bin_width = width / (float)align->output_width;
    const float most = 1024; /* points; a region that large is none of a picture */
    float points_y = ceilf(region.bin_height);
    float points_x = ceilf(region.bin_width);
    region.points_y = align->sampling > 0 ? align->sampling
                      : points_y > 0      ? (int64_t)fminf(points_y, most)
                                          : 0;
    region.points_x = align->sampling > 0 ? align->sampling
                      : points_x > 0      ? (int64_t)fminf(points_x, most)
                                          : 0;
    return region;
}

static float align_bin(const Align *align, const Region *region, const float *image, int64_t height,
                       int64_t width, int64_t bin_y, int64_t bin_x) {
    float total = 0;
    size_t stint = 0;
    for (int64_t iy = 0;
         iy < region->points_y && !oct_is_over_after(&stint, 20 * (size_t)region->points_x); iy++) {
        float y = region->top + (float)bin_y * region->bin_height +
                  ((float)iy + 0.5f) * region->bin_height / (float)region->points_y;
        for (int64_t ix = 0; ix < region->points_x; ix++) {
            float x = region->left + (float)bin_x * region->bin_width +
                      ((float)ix + 0.5f) * region->bin_width / (float)region->points_x;
            float value = sample(image, height, width, y, x, align->maximum);
            bool first = iy == 0 && ix == 0;
            total = !align->maximum ? total + value : first || value > total ? value : total;
        }
    }
    int64_t points = region->points_y * region->points_x;
    return align->maximum ? total : total / (float)(points > 0 ? points : 1);
}

static OctetStatus batch_index(const OctNode *node, const OctView *indices, int64_t r,
                               int64_t batches, int64_t *batch, OctetDiagnostic *diagnostic) {
    size_t size = octet_dtype_size(indices->dtype);
    OCT_TRY(oct_convert(OCTET_S64, batch, indices->dtype,
                        (const char *)indices->data + (size_t)r * size, 1, diagnostic));
    if (*batch < 0 || *batch >= batches) {
        return oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node,
                           "has a region in an image that there is not");
    }
    return OCTET_OK;
}

static OctetStatus run_align(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctetShape *x = &run->inputs[0].shape;
    Align align;
    OCT_TRY(read_align(node, &align, run->diagnostic));
    float *to = run->outputs[0].data;
    size_t stint = 0;
    for (int64_t r = 0; r < run->inputs[1].shape.dims[0]; r++) {
        int64_t batch;
        OCT_TRY(batch_index(node, &run->inputs[2], r, x->dims[0], &batch, run->diagnostic));
        Region region = region_of(&align, (const float *)run->inputs[1].data + 4 * r);
        for (int64_t c = 0; c < x->dims[1]; c++) {
            const float *image = (const float *)run->inputs[0].data +
                                 (batch * x->dims[1] + c) * x->dims[2] * x->dims[3];
            size_t points = (size_t)(region.points_y * region.points_x);
            for (int64_t i = 0; i < align.output_height * align.output_width &&
                                !oct_is_over_after(&stint, 20 * (points + 1));
                 i++) {
                *to++ = align_bin(&align, &region, image, x->dims[2], x->dims[3],
                                  i / align.output_width, i % align.output_width);
            }
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_align(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctetShape *x = oct_input_shape(node, 0);
    const OctetShape *rois = oct_input_shape(node, 1);
    const OctetShape *indices = oct_input_shape(node, 2);
    if (rois->dims[1] != 4 || indices->rank != 1 || indices->dims[0] != rois->dims[0] ||
        x->dims[2] < 1 || x->dims[3] < 1) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "has regions that are not four numbers and an index");
    }
    prepared->run = run_align;
    prepared->kernel = "roi_align";
    prepared->state = (void *)(uintptr_t)node;
    return OCTET_OK;
}

/* ---- MaxRoiPool ---- */

static OctetStatus pooled_shape(const OctNode *node, int64_t *height, int64_t *width,
                                OctetDiagnostic *diagnostic) {
    const int64_t *pooled = NULL;
    if (oct_node_ints(node, "pooled_shape", &pooled) != 2 || pooled[0] < 1 || pooled[1] < 1 ||
        pooled[0] > INT32_MAX || pooled[1] > INT32_MAX) {
        return oct_fail_op(diagnostic, OCTET_ERROR_FORMAT, node, "has no legal pooled_shape");
    }
    *height = pooled[0];
    *width = pooled[1];
    return OCTET_OK;
}

static OctetStatus check_max_roi(const OctGraph *graph, const OctNode *node,
                                 OctetDiagnostic *diagnostic) {
    (void)graph;
    int64_t height = 0;
    int64_t width = 0;
    return pooled_shape(node, &height, &width, diagnostic);
}

static OctetStatus infer_max_roi(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    int64_t height = 0;
    int64_t width = 0;
    OCT_TRY(pooled_shape(node, &height, &width, diagnostic));
    return infer_regions(node, height, width, diagnostic);
}

/* The pixels of bin i of `bins` over `size` pixels from `start` on, within [0, limit). */
static void bin_range(int64_t i, int64_t bins, int64_t start, int64_t size, int64_t limit,
                      int64_t *first, int64_t *last) {
    float step = (float)size / (float)bins;
    int64_t begin = (int64_t)floorf((float)i * step) + start;
    int64_t end = (int64_t)ceilf((float)(i + 1) * step) + start;
    *first = begin < 0 ? 0 : begin > limit ? limit : begin;
    *last = end < 0 ? 0 : end > limit ? limit : end;
}

static float largest(const float *image, int64_t width, int64_t top, int64_t bottom, int64_t left,
                     int64_t right) {
    if (top >= bottom || left >= right) {
        return 0;
    }
    float most = -INFINITY;
    for (int64_t y = top; y < bottom; y++) {
        for (int64_t x = left; x < right; x++) {
            float value = image[y * width + x];
            most = value > most ? value : most;
        }
    }
    return most;
}

/* Rounded half away from zero, within what 32 bits hold. */
static int64_t pixel(float coordinate) {
    return isnan(coordinate) ? 0 : (int64_t)roundf(fmaxf(fminf(coordinate, 1e9f), -1e9f));
}

static OctetStatus run_max_roi(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctetShape *x = &run->inputs[0].shape;
    float scale = oct_node_float(node, "spatial_scale", 1.0f);
    int64_t height = 0;
    int64_t width = 0;
    OCT_TRY(pooled_shape(node, &height, &width, run->diagnostic));
    float *to = run->outputs[0].data;
    for (int64_t r = 0; r < run->inputs[1].shape.dims[0]; r++) {
        const float *roi = (const float *)run->inputs[1].data + 5 * r;
        const OctView index = {(void *)(uintptr_t)roi, OCTET_F32, {.rank = 0}};
        int64_t batch;
        OCT_TRY(batch_index(node, &index, 0, x->dims[0], &batch, run->diagnostic));
        int64_t left = pixel(roi[1] * scale);
        int64_t top = pixel(roi[2] * scale);
        int64_t roi_width = pixel(roi[3] * scale) - left + 1;
        int64_t roi_height = pixel(roi[4] * scale) - top + 1;
        roi_width = roi_width < 1 ? 1 : roi_width;
        roi_height = roi_height < 1 ? 1 : roi_height;
        for (int64_t c = 0; c < x->dims[1]; c++) {
            const float *image = (const float *)run->inputs[0].data +
                                 (batch * x->dims[1] + c) * x->dims[2] * x->dims[3];
            for (int64_t i = 0; i < height * width; i++) {
                int64_t y0;
                int64_t y1;
                int64_t x0;
                int64_t x1;
                bin_range(i / width, height, top, roi_height, x->dims[2], &y0, &y1);
                bin_range(i % width, width, left, roi_width, x->dims[3], &x0, &x1);
                *to++ = largest(image, x->dims[3], y0, y1, x0, x1);
            }
        }
    }
    return OCTET_OK;
}

static OctetStatus prepare_max_roi(const OctPrepare *prepare, OctPreparedOp *prepared) {
    if (oct_input_shape(prepare->node, 1)->dims[1] != 5) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, prepare->node,
                           "needs regions of five numbers");
    }
    prepared->run = run_max_roi;
    prepared->kernel = "max_roi_pool";
    prepared->state = (void *)(uintptr_t)prepare->node;
    return OCTET_OK;
}

const OctOp oct_ops_roi[] = {
    {"", "RoiAlign", 10, 0, 0, 3, 3, 1, 1, check_align, infer_align, prepare_align},
    {"", "MaxRoiPool", 1, 0, 0, 2, 2, 1, 1, check_max_roi, infer_max_roi, prepare_max_roi},
};
OCT_OPS_COUNT(roi);
