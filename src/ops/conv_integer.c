/* ConvInteger: sums of (x - x_zero_point) * (w - w_zero_point) as they are, in s32. */
#include "kernels/q8_conv_run.h"
#include "kernels/q8_vector.h"
#include "ops/conv.h"
#include "ops/quantized.h"

typedef struct ConvInteger {
    OctConvGeometry geometry;
    const OctNode *node;
    OctetCpu cpu;
    OctLayout x, y;
    size_t flipped_offset; /* in the workspace: x as u8, if it is s8 */
    bool flips;
} ConvInteger;

/* Zero points as the kernels count them: `base` is 128 or 0 off. */
static int32_t zero_at(const OctView *view, size_t index, int32_t u8_base, int32_t s8_base) {
    if (view->dtype == OCTET_U8) {
        return ((const uint8_t *)view->data)[index] + u8_base;
    }
    return ((const int8_t *)view->data)[index] + s8_base;
}

static void order_weights(const OctView *w, size_t outputs, size_t inputs, size_t taps,
                          int8_t *ordered) {
    const uint8_t *from = w->data;
    uint8_t flip = w->dtype == OCTET_U8 ? 0x80 : 0;
    for (size_t o = 0; o < outputs; o++) {
        for (size_t t = 0; t < taps; t++) {
            for (size_t i = 0; i < inputs; i++) {
                *ordered++ = (int8_t)(from[(o * inputs + i) * taps + t] ^ flip);
            }
        }
    }
}

static OctetStatus run_kernel(const ConvInteger *conv, const OctQ8Conv *kernel, const OctRun *run) {
    const OctConvGeometry *geometry = &conv->geometry;
    bool two = geometry->window.rank == 2;
    OctQ8ConvSetup setup;
    OCT_TRY(oct_q8_conv_setup(
        kernel, (size_t)geometry->input.batch, two ? (size_t)geometry->input.spatial[0] : 1,
        (size_t)geometry->input.spatial[two ? 1 : 0], 0, 0, 0, &setup, run->diagnostic));
    void *workspace = oct_aligned_alloc(setup.workspace_bytes);
    if (!workspace) {
        return oct_fail_memory(run->diagnostic);
    }
    const uint8_t *x = oct_layout_read(&conv->x, run, run->inputs[0].data);
    if (conv->flips) {
        uint8_t *to = oct_workspace_at(run, conv->flipped_offset);
        oct_q8_vector_ops(conv->cpu)->flip(x, to, conv->x.batch * conv->x.area * conv->x.channels);
        x = to;
    }
    oct_q8_conv_run(kernel, &setup, x, oct_layout_target(&conv->y, run, run->outputs[0].data), NULL,
                    workspace, run->pool);
    oct_layout_finish(&conv->y, run, run->outputs[0].data);
    oct_aligned_free(workspace);
    return OCTET_OK;
}

static OctetStatus create(const ConvInteger *conv, const OctRun *run, int8_t *weights,
                          int32_t *zeros, OctQ8Conv **kernel) {
    const OctConvGeometry *geometry = &conv->geometry;
    const OctWindow *window = &geometry->window;
    int32_t w = window->rank - 1;
    size_t outputs = (size_t)geometry->output.channels;
    OctQ8ConvParams params = oct_q8_conv_params((size_t)geometry->input.channels, outputs);
    params.groups = (size_t)geometry->groups;
    params.kernel_w = (size_t)window->kernel[w];
    params.stride_w = (size_t)window->stride[w];
    params.dilation_w = (size_t)window->dilation[w];
    params.pad_left = (size_t)window->pad_begin[w];
    params.pad_right = (size_t)window->pad_end[w];
    if (window->rank == 2) {
        params.kernel_h = (size_t)window->kernel[0];
        params.stride_h = (size_t)window->stride[0];
        params.dilation_h = (size_t)window->dilation[0];
        params.pad_top = (size_t)window->pad_begin[0];
        params.pad_bottom = (size_t)window->pad_end[0];
    }
    bool x_zero = run->input_count > 2 && run->inputs[2].data;
    bool w_zero = run->input_count > 3 && run->inputs[3].data;
    size_t count = w_zero ? (size_t)oct_view_count(&run->inputs[3]) : 0;
    params.input_zero_point = conv->flips ? 128 : 0;
    if (x_zero) {
        params.input_zero_point = (uint8_t)zero_at(&run->inputs[2], 0, 0, 128);
    }
    for (size_t o = 0; o < outputs; o++) {
        zeros[o] = count ? zero_at(&run->inputs[3], count == 1 ? 0 : o, -128, 0)
                   : run->inputs[1].dtype == OCTET_U8 ? -128
                                                      : 0;
    }
    order_weights(&run->inputs[1], outputs, params.in_channels / params.groups,
                  params.kernel_h * params.kernel_w, weights);
    params.weights = weights;
    params.weight_zero_points = zeros;
    params.weight_zero_point_count = outputs;
    params.epilogue.kind = OCT_Q8_OUT_S32;
    return oct_fail_in_node(run->diagnostic,
                            oct_q8_conv_create(&params, conv->cpu, kernel, run->diagnostic),
                            conv->node->name);
}

/* Zero points and weights are operands, so that packing is a part of every run. */
static OctetStatus run_conv(void *state, const OctRun *run) {
    const ConvInteger *conv = state;
    OctQ8Conv *kernel = NULL;
    if (conv->y.batch * conv->y.area == 0) {
        return OCTET_OK;
    }
    int8_t *weights = oct_alloc((size_t)oct_view_count(&run->inputs[1]));
    int32_t *zeros = oct_calloc(conv->y.channels, sizeof *zeros);
    OctetStatus status = weights && zeros ? create(conv, run, weights, zeros, &kernel)
                                          : oct_fail_memory(run->diagnostic);
    oct_free(weights);
    oct_free(zeros);
    if (status == OCTET_OK) {
        status = run_kernel(conv, kernel, run);
    }
    oct_q8_conv_free(kernel);
    return status;
}

static bool is_byte(OctetDType dtype) {
    return dtype == OCTET_U8 || dtype == OCTET_S8;
}

static OctetStatus check_operands(const OctPrepare *prepare, const OctConvGeometry *geometry) {
    const OctNode *node = prepare->node;
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *value = node->inputs[k];
        int64_t count, most = k == 3 ? geometry->output.channels : 1;
        if (value && (!is_byte(value->dtype) || oct_value_quantized(value))) {
            return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                               "is not supported on %s",
                               octet_dtype_name(oct_value_storage(value)));
        }
        if (value && k >= 2 &&
            (!octet_shape_count(&value->shape, &count) || (count != 1 && count != most))) {
            return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                               "a zero point must be one number");
        }
    }
    if (geometry->window.rank > 2) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "is not supported over three axes");
    }
    return OCTET_OK;
}

OctetStatus oct_conv_integer_prepare(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    ConvInteger *conv = oct_prepare_state(prepare, prepared, sizeof *conv);
    if (!conv) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_conv;
    prepared->kernel = "q8_conv";
    prepared->cpu = conv->cpu = prepare->cpu;
    conv->node = node;
    OCT_TRY(oct_conv_geometry(node, &conv->geometry, diagnostic));
    OCT_TRY(check_operands(prepare, &conv->geometry));
    prepared->macs = oct_conv_macs(&conv->geometry);
    conv->flips = node->inputs[0]->dtype == OCTET_S8;
    size_t *workspace = &prepared->workspace_bytes;
    OCT_TRY(oct_layout_prepare(&conv->x, &conv->geometry.input, false, 1, workspace, diagnostic));
    OCT_TRY(oct_layout_prepare(&conv->y, &conv->geometry.output, false, sizeof(int32_t), workspace,
                               diagnostic));
    return oct_workspace_add(workspace,
                             conv->flips ? conv->x.batch * conv->x.area * conv->x.channels : 0,
                             &conv->flipped_offset, diagnostic);
}
