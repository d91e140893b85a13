/* DeformConv (opset 19) over two axes: a convolution whose taps are moved by offsets that are an
 * input, read by bilinear interpolation (zeros outside), and weighed by a mask. The taps of all
 * outputs are gathered into a matrix, which the weights multiply. */
#include "kernels/f32_matmul.h"
#include "kernels/transpose.h"
#include "ops/conv.h"

#include <math.h>

typedef struct DeformConv {
    OctConvGeometry geometry;
    OctetCpu cpu;
    size_t offset_groups, group_inputs, group_outputs, taps, area;
    size_t column_offset, product_offset, pack_offset; /* in the workspace */
} DeformConv;

typedef struct Work {
    const DeformConv *conv;
    const float *x;             /* the group's channels of one image */
    const float *offset, *mask; /* of the image; mask may be NULL */
    size_t first_channel;
    float *columns; /* [area][group_inputs * taps] */
} Work;

static const OctView *operand(const OctRun *run, int32_t k) {
    return k < run->input_count && run->inputs[k].data ? &run->inputs[k] : NULL;
}

/* The plane at (h, w) between four pixels, those outside being 0. */
static float sample(const float *plane, int64_t height, int64_t width, float h, float w) {
    if (!(h > -1.0f && w > -1.0f && h < (float)height && w < (float)width)) {
        return 0.0f;
    }
    float top = floorf(h), left = floorf(w), down = h - top, right = w - left, sum = 0.0f;
    for (int i = 0; i < 4; i++) {
        int64_t row = (int64_t)top + i / 2, column = (int64_t)left + i % 2;
        float weight = (i / 2 ? down : 1.0f - down) * (i % 2 ? right : 1.0f - right);
        if (row >= 0 && row < height && column >= 0 && column < width) {
            sum += weight * plane[row * width + column];
        }
    }
    return sum;
}

/* The taps of one output pixel, in the weights' order. */
static void gather_pixel(void *user, size_t pixel) {
    const Work *work = user;
    const DeformConv *conv = work->conv;
    const OctWindow *window = &conv->geometry.window;
    int64_t height = conv->geometry.input.spatial[0], width = conv->geometry.input.spatial[1];
    int64_t out_width = conv->geometry.output.spatial[1];
    size_t channels = (size_t)conv->geometry.input.channels;
    float *to = work->columns + pixel * conv->group_inputs * conv->taps;
    for (size_t c = 0; c < conv->group_inputs; c++) {
        size_t group = (work->first_channel + c) / (channels / conv->offset_groups);
        for (size_t t = 0; t < conv->taps; t++) {
            size_t at = group * conv->taps + t;
            int64_t row = (int64_t)t / window->kernel[1], column = (int64_t)t % window->kernel[1];
            int64_t h = (int64_t)pixel / out_width * window->stride[0] - window->pad_begin[0] +
                        row * window->dilation[0];
            int64_t w = (int64_t)pixel % out_width * window->stride[1] - window->pad_begin[1] +
                        column * window->dilation[1];
            float value = sample(work->x + c * (size_t)(height * width), height, width,
                                 (float)h + work->offset[2 * at * conv->area + pixel],
                                 (float)w + work->offset[(2 * at + 1) * conv->area + pixel]);
            *to++ = work->mask ? value * work->mask[at * conv->area + pixel] : value;
        }
    }
}

static void run_group(const DeformConv *conv, const OctRun *run, size_t image, size_t group) {
    size_t in_area = (size_t)oct_image_shape_area(&conv->geometry.input);
    size_t inputs = (size_t)conv->geometry.input.channels;
    size_t outputs = (size_t)conv->geometry.output.channels;
    size_t k = conv->group_inputs * conv->taps, first_output = group * conv->group_outputs;
    const OctView *bias = operand(run, 3), *mask = operand(run, 4);
    const float *x = run->inputs[0].data, *weights = run->inputs[1].data;
    const float *offset = run->inputs[2].data;
    size_t offsets = conv->offset_groups * conv->taps * conv->area;
    float *columns = oct_workspace_at(run, conv->column_offset);
    float *product = oct_workspace_at(run, conv->product_offset);
    float *y = run->outputs[0].data;
    Work work = {conv,
                 x + (image * inputs + group * conv->group_inputs) * in_area,
                 offset + image * 2 * offsets,
                 mask ? (const float *)mask->data + image * offsets : NULL,
                 group * conv->group_inputs,
                 columns};
    oct_parallel_for(run->pool, gather_pixel, &work, conv->area);
    OctF32GemmSpec spec = {.k = k,
                           .n = conv->group_outputs,
                           .b = weights + first_output * k,
                           .b_stride = k,
                           .b_transposed = true,
                           .bias = bias ? (const float *)bias->data + first_output : NULL};
    OctF32GemmCall call = {.m = conv->area,
                           .a = columns,
                           .a_stride = k,
                           .output = product,
                           .output_stride = conv->group_outputs,
                           .minimum = -INFINITY,
                           .maximum = INFINITY};
    oct_f32_matmul_run(conv->cpu, &spec, &call, oct_workspace_at(run, conv->pack_offset),
                       run->pool);
    oct_transpose_matrix(sizeof(float), 1, conv->area, conv->group_outputs, product,
                         y + (image * outputs + first_output) * conv->area, run->pool);
}

static OctetStatus run_conv(void *state, const OctRun *run) {
    const DeformConv *conv = state;
    for (size_t i = 0; i < (conv->area ? (size_t)conv->geometry.input.batch : 0); i++) {
        for (size_t g = 0; g < (size_t)conv->geometry.groups; g++) {
            run_group(conv, run, i, g);
        }
    }
    return OCTET_OK;
}

/* ---- preparation ---- */

static bool has_shape(const OctValue *value, int64_t batch, int64_t channels,
                      const OctImageShape *output) {
    const OctetShape *shape = &value->shape;
    return shape->rank == 4 && shape->dims[0] == batch && shape->dims[1] == channels &&
           shape->dims[2] == output->spatial[0] && shape->dims[3] == output->spatial[1];
}

static OctetStatus check_operands(const OctPrepare *prepare, const DeformConv *conv) {
    const OctNode *node = prepare->node;
    const OctConvGeometry *geometry = &conv->geometry;
    const OctValue *bias = oct_node_input(node, 3), *mask = oct_node_input(node, 4);
    int64_t batch = geometry->input.batch;
    int64_t points = (int64_t)(conv->offset_groups * conv->taps);
    bool fits =
        geometry->window.rank == 2 && conv->offset_groups > 0 &&
        geometry->input.channels % (int64_t)conv->offset_groups == 0 &&
        has_shape(node->inputs[2], batch, 2 * points, &geometry->output) &&
        (!mask || has_shape(mask, batch, points, &geometry->output)) &&
        (!bias || (bias->shape.rank == 1 && bias->shape.dims[0] == geometry->output.channels));
    return fits ? OCTET_OK
                : oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                              "its operands do not fit each other, or it is not over two axes");
}

static OctetStatus reserve(const OctPrepare *prepare, DeformConv *conv, OctPreparedOp *prepared) {
    size_t *workspace = &prepared->workspace_bytes, k = conv->group_inputs * conv->taps, bytes;
    OctetShape columns = {.rank = 2, .dims = {(int64_t)conv->area, (int64_t)k}};
    OctetShape product = {.rank = 2, .dims = {(int64_t)conv->area, (int64_t)conv->group_outputs}};
    OCT_TRY(oct_tensor_bytes(OCTET_F32, &columns, &bytes, prepare->diagnostic));
    OCT_TRY(oct_workspace_add(workspace, bytes, &conv->column_offset, prepare->diagnostic));
    OCT_TRY(oct_tensor_bytes(OCTET_F32, &product, &bytes, prepare->diagnostic));
    OCT_TRY(oct_workspace_add(workspace, bytes, &conv->product_offset, prepare->diagnostic));
    if (!oct_f32_matmul_workspace_bytes(conv->cpu, k, conv->group_outputs, &bytes)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_LIMIT, prepare->node, "is too large");
    }
    return oct_workspace_add(workspace, bytes, &conv->pack_offset, prepare->diagnostic);
}

static OctetStatus prepare_conv(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    DeformConv *conv = oct_prepare_state(prepare, prepared, sizeof *conv);
    if (!conv) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_conv;
    prepared->kernel = "deform_conv";
    prepared->cpu = conv->cpu = prepare->cpu;
    OCT_TRY(oct_conv_geometry(node, &conv->geometry, prepare->diagnostic));
    const OctConvGeometry *geometry = &conv->geometry;
    prepared->macs = oct_conv_macs(geometry);
    int64_t offset_groups = oct_node_int(node, "offset_group", 1);
    conv->offset_groups =
        offset_groups > 0 && offset_groups <= geometry->input.channels ? (size_t)offset_groups : 0;
    conv->group_inputs = (size_t)(geometry->input.channels / geometry->groups);
    conv->group_outputs = (size_t)(geometry->output.channels / geometry->groups);
    conv->taps = (size_t)oct_conv_taps(geometry);
    conv->area = (size_t)oct_image_shape_area(&geometry->output);
    OCT_TRY(check_operands(prepare, conv));
    return reserve(prepare, conv, prepared);
}

static OctetStatus check_conv(const OctGraph *graph, const OctNode *node,
                              OctetDiagnostic *diagnostic) {
    (void)graph;
    OCT_TRY(oct_check_type(node, 0, OCT_TYPES_FLOAT, diagnostic));
    return oct_window_check(node, diagnostic);
}

static OctetStatus infer_conv(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    OctetShape y;
    bool complete;
    OCT_TRY(oct_conv_shape(node, false, oct_input_shape(node, 0), oct_input_shape(node, 1), &y,
                           NULL, &complete, diagnostic));
    oct_set_output(node, 0, OCTET_F32, &y);
    return OCTET_OK;
}

const OctOp oct_ops_deform_conv[] = {
    {"", "DeformConv", 19, 0, 0, 3, 5, 1, 1, check_conv, infer_conv, prepare_conv},
};
OCT_OPS_COUNT(deform_conv);
