/* Float convolutions: binds a node to the driver of kernels/f32_conv_run.h. */
#include "engine/pack.h"
#include "kernels/f32_conv_run.h"
#include "kernels/f32_vector.h"
#include "ops/conv.h"
#include "ops/fused_activation.h"
#include "ops/quantized.h"

typedef struct ConvF32 {
    OctF32ConvSpec spec; /* weights and bias are set while packing only */
    OctF32ConvShape shape;
    OctetCpu cpu;
    OctPack *pack; /* NULL when the weights are known only when running */
    bool has_bias, has_sum, empty;
    OctLayout x, y, sum;
    OctFusedActivation activation;
} ConvF32;

static void destroy(void *state) {
    ConvF32 *conv = state;
    oct_pack_release(conv->pack);
    oct_free(conv);
}

static OctetStatus run_with(const ConvF32 *conv, const OctF32Conv *kernel, const OctRun *run) {
    OctF32ConvCall call = {
        .input = oct_layout_read(&conv->x, run, run->inputs[0].data),
        .residual = conv->has_sum ? oct_layout_read(&conv->sum, run, run->inputs[3].data) : NULL,
        .output = oct_layout_target(&conv->y, run, run->outputs[0].data),
        .minimum = conv->activation.minimum,
        .maximum = conv->activation.maximum};
    oct_f32_conv_run(kernel, &conv->shape, &call, run->pool);
    size_t count = conv->y.batch * conv->y.area * conv->y.channels;
    oct_fused_activation_run(&conv->activation, conv->cpu, call.output, count, run->pool);
    oct_layout_finish(&conv->y, run, run->outputs[0].data);
    return OCTET_OK;
}

static OctetStatus run_conv(void *state, const OctRun *run) {
    const ConvF32 *conv = state;
    if (conv->empty) {
        return OCTET_OK;
    }
    if (conv->pack) {
        return run_with(conv, oct_pack_data(conv->pack), run);
    }
    /* The weights are an input: pack them for this run alone. */
    OctF32Conv *kernel;
    OctF32ConvSpec spec = conv->spec;
    spec.weights = run->inputs[1].data;
    spec.bias = conv->has_bias ? run->inputs[2].data : NULL;
    OCT_TRY(oct_f32_conv_create(&spec, conv->cpu, &kernel, run->diagnostic));
    OctetStatus status = run_with(conv, kernel, run);
    oct_f32_conv_free(kernel);
    return status;
}

typedef struct PackRequest {
    OctF32ConvSpec spec;
    const OctNode *node;
    OctetCpu cpu;
    OctPackStore *packs;
} PackRequest;

static OctetStatus make(void *user, void **object, size_t *bytes, OctetDiagnostic *diagnostic) {
    PackRequest *request = user;
    OctConstantF32 weights, bias;
    OctF32Conv *conv = NULL;
    OctetStatus status = oct_constant_f32_open(request->node->inputs[1], &weights, diagnostic);
    if (status != OCTET_OK) {
        return status;
    }
    status = oct_constant_f32_open(oct_node_input(request->node, 2), &bias, diagnostic);
    if (status == OCTET_OK) {
        request->spec.weights = weights.data;
        request->spec.bias = bias.data;
        request->spec.blocks = oct_pack_blocks(request->packs);
        status = oct_f32_conv_create(&request->spec, request->cpu, &conv, diagnostic);
        oct_constant_f32_close(&bias);
    }
    oct_constant_f32_close(&weights);
    if (status == OCTET_OK) {
        *object = conv;
        *bytes = oct_f32_conv_bytes(conv);
    }
    return status;
}

static void free_conv(void *object) {
    oct_f32_conv_free(object);
}

static void bind(const OctConvGeometry *geometry, ConvF32 *conv) {
    const OctWindow *window = &geometry->window;
    conv->spec = (OctF32ConvSpec){.transposed = geometry->transposed,
                                  .input_channels = (size_t)geometry->input.channels,
                                  .output_channels = (size_t)geometry->output.channels,
                                  .groups = (size_t)geometry->groups,
                                  .kernel = {1, 1, 1},
                                  .stride = {1, 1, 1},
                                  .dilation = {1, 1, 1},
                                  .layout = geometry->transposed ? OCT_F32_WEIGHTS_IOHW
                                                                 : OCT_F32_WEIGHTS_OIHW};
    conv->shape = (OctF32ConvShape){
        .batch = (size_t)geometry->input.batch, .input = {1, 1, 1}, .output = {1, 1, 1}};
    for (int32_t i = 0, axis = 3 - window->rank; i < window->rank; i++, axis++) {
        conv->spec.kernel[axis] = (size_t)window->kernel[i];
        conv->spec.stride[axis] = (size_t)window->stride[i];
        conv->spec.dilation[axis] = (size_t)window->dilation[i];
        conv->shape.input[axis] = (size_t)geometry->input.spatial[i];
        conv->shape.output[axis] = (size_t)geometry->output.spatial[i];
        conv->shape.pad_begin[axis] = window->pad_begin[i];
    }
}

static OctPackKey pack_key(const ConvF32 *conv, const OctNode *node) {
    const OctF32ConvSpec *spec = &conv->spec;
    const OctValue *bias = oct_node_input(node, 2);
    OctPackKey key = {.kernel = "f32_conv",
                      .constants = {oct_constant_id(node->inputs[1]->constant),
                                    bias ? oct_constant_id(bias->constant) : 0},
                      .parameters = {(uint64_t)conv->cpu, spec->transposed, spec->input_channels,
                                     spec->output_channels, spec->groups}};
    for (int i = 0; i < 3; i++) {
        key.parameters[5 + i] = spec->kernel[i];
        key.parameters[8 + i] = spec->stride[i];
        key.parameters[11 + i] = spec->dilation[i];
    }
    return key;
}

static OctetStatus check_operands(const OctPrepare *prepare, const OctConvGeometry *geometry) {
    const OctNode *node = prepare->node;
    const OctValue *bias = oct_node_input(node, 2);
    const OctValue *sum = oct_node_input(node, 3);
    if (bias && (bias->shape.rank != 1 || bias->shape.dims[0] != geometry->output.channels)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "the bias does not have one value a channel");
    }
    if (sum && !octet_shape_equal(&sum->shape, &node->outputs[0]->shape)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "the summand does not have the output's shape");
    }
    return OCTET_OK;
}

OctetStatus oct_conv_prepare_f32(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctValue *bias = oct_node_input(node, 2);
    OctConvGeometry geometry;
    OCT_TRY(oct_conv_geometry(node, &geometry, prepare->diagnostic));
    OCT_TRY(check_operands(prepare, &geometry));
    ConvF32 *conv = oct_prepare_state(prepare, prepared, sizeof *conv);
    if (!conv) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_conv;
    prepared->destroy = destroy;
    conv->cpu = prepare->cpu;
    conv->has_bias = bias != NULL;
    conv->has_sum = oct_node_input(node, 3) != NULL;
    bind(&geometry, conv);
    OCT_TRY(oct_fused_activation_read(node, &conv->activation, prepare->diagnostic));
    OCT_TRY(oct_layout_prepare(&conv->x, &geometry.input, geometry.channels_last, sizeof(float),
                               &prepared->workspace_bytes, prepare->diagnostic));
    OCT_TRY(oct_layout_prepare(&conv->y, &geometry.output, geometry.channels_last, sizeof(float),
                               &prepared->workspace_bytes, prepare->diagnostic));
    if (conv->has_sum) {
        OCT_TRY(oct_layout_prepare(&conv->sum, &geometry.output, geometry.channels_last,
                                   sizeof(float), &prepared->workspace_bytes, prepare->diagnostic));
    }
    prepared->macs = oct_conv_macs(&geometry);
    prepared->kernel = "f32_conv";
    prepared->cpu = prepare->cpu;
    conv->empty = conv->y.batch * conv->y.area == 0;
    if (conv->empty || !oct_is_constant(node->inputs[1]) || (bias && !oct_is_constant(bias))) {
        return OCTET_OK;
    }
    PackRequest request = {
        .spec = conv->spec, .node = node, .cpu = prepare->cpu, .packs = prepare->packs};
    OctPackKey key = pack_key(conv, node);
    OCT_TRY(oct_pack_object(prepare->packs, &key, make, free_conv, &request, &conv->pack,
                            prepare->diagnostic));
    prepared->kernel = oct_f32_conv_kernel_name(oct_pack_data(conv->pack));
    return oct_f32_conv_setup(oct_pack_data(conv->pack), &conv->shape, prepare->diagnostic);
}
