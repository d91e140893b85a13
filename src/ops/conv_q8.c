/* Int8 convolutions of one or two axes: binds a node to the driver of kernels/q8_conv_run.h. */
#include "ops/conv.h"
#include "ops/q8_layer.h"

typedef struct ConvQ8 {
    OctQ8Finish finish;
    OctQ8ConvSetup setup;
    OctPack *pack;
    OctetCpu cpu;
    bool empty;
    OctLayout x, y, residual;
    size_t kernel_offset, accumulator_offset; /* in the workspace */
} ConvQ8;

static void destroy(void *state) {
    ConvQ8 *conv = state;
    oct_pack_release(conv->pack);
    oct_q8_finish_close(&conv->finish);
    oct_free(conv);
}

static OctetStatus run_conv(void *state, const OctRun *run) {
    const ConvQ8 *conv = state;
    const OctQ8Finish *finish = &conv->finish;
    if (conv->empty) {
        return OCTET_OK;
    }
    const uint8_t *x = oct_layout_read(&conv->x, run, run->inputs[0].data);
    const uint8_t *residual = NULL;
    if (finish->residual >= 0) {
        residual = oct_layout_read(&conv->residual, run, run->inputs[finish->residual].data);
    }
    void *y = oct_layout_target(&conv->y, run, run->outputs[0].data);
    void *sums = finish->separate ? oct_workspace_at(run, conv->accumulator_offset) : y;
    oct_q8_conv_run(oct_pack_data(conv->pack), &conv->setup, x, sums, residual,
                    oct_workspace_at(run, conv->kernel_offset), run->pool);
    oct_q8_finish_run(finish, conv->cpu, sums, conv->y.batch * conv->y.area, residual, y,
                      run->pool);
    oct_layout_finish(&conv->y, run, run->outputs[0].data);
    return OCTET_OK;
}

/* ---- packing ---- */

typedef struct PackRequest {
    const OctPrepare *prepare;
    OctQ8Finish *finish;
    OctQ8ConvParams params;
} PackRequest;

/* The weights as s8, in the order of the constant. */
static const int8_t *plain_weights(OctQ8Weights *weights) {
    if (weights->flip == 0) {
        return (const int8_t *)weights->source;
    }
    for (size_t i = 0; i < weights->channels * weights->depth; i++) {
        weights->data[i] = oct_q8_weight(weights, i);
    }
    return weights->data;
}

static OctetStatus make_with(PackRequest *request, OctQ8Weights *weights, void **object,
                             size_t *bytes, OctetDiagnostic *diagnostic) {
    OctQ8Conv *conv;
    int32_t *bias;
    float *multipliers;
    OctQ8ConvParams *params = &request->params;
    OCT_TRY(oct_q8_layer_numbers(request->prepare, weights, oct_layer_bias(request->prepare->node),
                                 request->finish, &bias, &multipliers));
    params->weights = plain_weights(weights);
    params->weights_oihw = true;
    params->weight_zero_points = weights->has_zero_points ? weights->zero_points : NULL;
    params->weight_zero_point_count = weights->has_zero_points ? weights->channels : 0;
    params->blocks = request->finish->separate ? NULL : oct_pack_blocks(request->prepare->packs);
    params->bias = bias;
    params->multipliers = multipliers;
    params->epilogue = request->finish->epilogue;
    params->epilogue.kind = request->finish->kind;
    OctetStatus status = oct_q8_conv_create(params, request->prepare->cpu, &conv, diagnostic);
    oct_free(bias);
    oct_free(multipliers);
    if (status == OCTET_OK) {
        *object = conv;
        *bytes = oct_q8_conv_packed_bytes(conv);
    }
    return oct_fail_in_node(diagnostic, status, request->prepare->node->name);
}

static OctetStatus make(void *user, void **object, size_t *bytes, OctetDiagnostic *diagnostic) {
    PackRequest *request = user;
    const OctNode *node = request->prepare->node;
    const OctQ8ConvParams *params = &request->params;
    OctQ8Weights weights;
    size_t depth = params->in_channels / params->groups * params->kernel_h * params->kernel_w;
    OCT_TRY(oct_q8_weights_open(node, node->inputs[1], 0, params->out_channels, depth, &weights,
                                diagnostic));
    OctetStatus status = make_with(request, &weights, object, bytes, diagnostic);
    oct_q8_weights_close(&weights);
    return status;
}

static void free_conv(void *object) {
    oct_q8_conv_free(object);
}

static OctetStatus pack(const OctPrepare *prepare, const OctQ8ConvParams *params, ConvQ8 *conv) {
    const OctNode *node = prepare->node;
    const OctValue *bias = oct_layer_bias(node);
    PackRequest request = {prepare, &conv->finish, *params};
    OctPackKey key = {.kernel = "q8_conv",
                      .constants = {oct_constant_id(node->inputs[1]->constant),
                                    oct_is_constant(bias) ? oct_constant_id(bias->constant) : 0},
                      .parameters = {params->in_channels, params->out_channels, params->groups,
                                     params->kernel_h << 32 | params->kernel_w,
                                     params->stride_h << 32 | params->stride_w,
                                     params->dilation_h << 32 | params->dilation_w,
                                     params->pad_top << 32 | params->pad_left,
                                     params->pad_bottom << 32 | params->pad_right}};
    oct_q8_finish_key(prepare, &conv->finish, &key, 8);
    /* The pass of another mode needs numbers of its own, so such a layer is packed alone. */
    OctPackStore *store = conv->finish.separate ? NULL : prepare->packs;
    return oct_pack_object(store, &key, make, free_conv, &request, &conv->pack,
                           prepare->diagnostic);
}

/* ---- preparation ---- */

void oct_conv_q8_window(const OctConvGeometry *geometry, OctQ8ConvParams *params) {
    const OctWindow *window = &geometry->window;
    int32_t w = window->rank - 1;
    params->groups = (size_t)geometry->groups;
    params->kernel_w = (size_t)window->kernel[w];
    params->stride_w = (size_t)window->stride[w];
    params->dilation_w = (size_t)window->dilation[w];
    params->pad_left = (size_t)window->pad_begin[w];
    params->pad_right = (size_t)window->pad_end[w];
    if (window->rank == 2) {
        params->kernel_h = (size_t)window->kernel[0];
        params->stride_h = (size_t)window->stride[0];
        params->dilation_h = (size_t)window->dilation[0];
        params->pad_top = (size_t)window->pad_begin[0];
        params->pad_bottom = (size_t)window->pad_end[0];
    }
}

static OctQ8ConvParams params_of(const OctPrepare *prepare, const OctConvGeometry *geometry) {
    OctQ8ConvParams params =
        oct_q8_conv_params((size_t)geometry->input.channels, (size_t)geometry->output.channels);
    oct_conv_q8_window(geometry, &params);
    params.input_zero_point = (uint8_t)oct_value_zero_point(prepare->node->inputs[0]);
    return params;
}

static OctetStatus reserve(const OctPrepare *prepare, const OctConvGeometry *geometry, ConvQ8 *conv,
                           OctPreparedOp *prepared) {
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    size_t *workspace = &prepared->workspace_bytes, bytes;
    bool last = geometry->channels_last;
    size_t element = conv->finish.kind == OCT_Q8_OUT_F32 ? sizeof(float) : 1;
    OCT_TRY(oct_layout_prepare(&conv->x, &geometry->input, last, 1, workspace, diagnostic));
    OCT_TRY(oct_layout_prepare(&conv->y, &geometry->output, last, element, workspace, diagnostic));
    if (conv->finish.residual >= 0) {
        OCT_TRY(
            oct_layout_prepare(&conv->residual, &geometry->output, last, 1, workspace, diagnostic));
    }
    conv->empty = conv->y.batch * conv->y.area == 0;
    if (conv->finish.separate) {
        if (!oct_mul_size(conv->y.batch * conv->y.area * conv->y.channels, sizeof(int32_t),
                          &bytes)) {
            return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, prepare->node, "is too large");
        }
        OCT_TRY(oct_workspace_add(workspace, bytes, &conv->accumulator_offset, diagnostic));
    }
    return OCTET_OK;
}

/* What the driver has: two axes, and a window that its list of pointers holds. */
static bool driver_has(const OctConvGeometry *geometry) {
    const OctWindow *window = &geometry->window;
    int64_t area = 1;
    for (int32_t i = 0; i < window->rank; i++) {
        area *= oct_window_extent(window, i) < 4096 ? oct_window_extent(window, i) : 4096;
    }
    return window->rank <= 2 && !geometry->transposed && area <= 1024;
}

bool oct_conv_writes_slices(const OctNode *node) {
    OctConvGeometry geometry;
    return oct_is_u8(node->inputs[0]) && oct_is_u8(node->outputs[0]) &&
           oct_conv_geometry(node, &geometry, NULL) == OCTET_OK && geometry.channels_last &&
           !oct_conv_makes_blocks(&geometry) && driver_has(&geometry);
}

bool oct_conv_q8_adds_in_place(const OctNode *node) {
    OctConvGeometry geometry;
    return oct_conv_geometry(node, &geometry, NULL) == OCTET_OK &&
           !oct_conv_makes_blocks(&geometry) && driver_has(&geometry) &&
           (geometry.groups == 1 || geometry.groups < geometry.input.channels); /* not depthwise */
}

OctetStatus oct_conv_prepare_q8(const OctPrepare *prepare, OctPreparedOp *prepared) {
    OctConvGeometry geometry;
    OCT_TRY(oct_conv_geometry(prepare->node, &geometry, prepare->diagnostic));
    if (oct_conv_makes_blocks(&geometry)) {
        return oct_conv_prepare_q8_blocks(prepare, prepared);
    }
    if (!driver_has(&geometry)) {
        return oct_conv_prepare_q8_gather(prepare, prepared);
    }
    ConvQ8 *conv = oct_prepare_state(prepare, prepared, sizeof *conv);
    if (!conv) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_conv;
    prepared->destroy = destroy;
    prepared->cpu = conv->cpu = prepare->cpu;
    prepared->macs = oct_conv_macs(&geometry);
    OCT_TRY(oct_q8_finish_open(prepare, (size_t)geometry.output.channels, &conv->finish));
    OCT_TRY(reserve(prepare, &geometry, conv, prepared));
    OctQ8ConvParams params = params_of(prepare, &geometry);
    OCT_TRY(pack(prepare, &params, conv));
    const OctQ8Conv *packed = oct_pack_data(conv->pack);
    prepared->kernel = oct_q8_conv_kernel_name(packed);
    if (conv->empty) {
        return OCTET_OK;
    }
    bool two = geometry.window.rank == 2;
    OCT_TRY(oct_q8_conv_setup(packed, (size_t)geometry.input.batch,
                              two ? (size_t)geometry.input.spatial[0] : 1,
                              (size_t)geometry.input.spatial[two ? 1 : 0], 0,
                              (size_t)oct_node_int(prepare->node, "output_stride", 0), 0,
                              &conv->setup, prepare->diagnostic));
    oct_q8_conv_use_epilogue(packed, &conv->finish.epilogue, conv->finish.kind, &conv->setup);
    return oct_workspace_add(&prepared->workspace_bytes, conv->setup.workspace_bytes,
                             &conv->kernel_offset, prepare->diagnostic);
}
