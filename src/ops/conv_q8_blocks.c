/* Int8 transposed convolutions whose kernel is their stride, as upsampling networks have them: a
 * matrix product of the input pixels with all taps at once, [input] x [tap][output], whose rows are
 * laid out as blocks of the output. */
#include "base/patience.h"
#include "ops/conv.h"
#include "ops/q8_layer.h"
#include "ops/rows.h"

#include <string.h>

enum { PIXELS = 64 }; /* of one input row that are multiplied at a time */

typedef struct ConvQ8 {
    OctQ8Finish finish;
    OctetCpu cpu;
    OctPack *pack;
    size_t batch, inputs, outputs, taps;
    size_t in[3], kernel[3]; /* depth, height, width */
    OctLayout x, y, residual;
    size_t element, slots;
    /* a slot's parts: output, accumulators, residual, kernel */
    size_t slot_offset, slot_bytes, accumulator_at, residual_at, kernel_at;
} ConvQ8;

static void destroy(void *state) {
    ConvQ8 *conv = state;
    oct_pack_release(conv->pack);
    oct_q8_finish_close(&conv->finish);
    oct_free(conv);
}

bool oct_conv_makes_blocks(const OctConvGeometry *geometry) {
    const OctWindow *window = &geometry->window;
    bool blocks = geometry->transposed && geometry->groups == 1;
    for (int32_t i = 0; i < window->rank; i++) {
        blocks = blocks && window->kernel[i] == window->stride[i] && window->dilation[i] == 1 &&
                 window->pad_begin[i] == 0 && window->pad_end[i] == 0 &&
                 window->output_padding[i] == 0 && window->kernel[i] <= 64;
    }
    return blocks;
}

/* ---- running ---- */

typedef struct Work {
    const ConvQ8 *conv;
    const OctRun *run;
    const uint8_t *x, *residual;
    char *y;
} Work;

/* Bytes between a block's place in the output and the tile's rows: copies `count` blocks that begin
 * at input pixel `first` of input row `row`, in one direction or the other. */
static void move_blocks(const ConvQ8 *conv, size_t row, size_t first, size_t count, size_t element,
                        char *image, char *tile, bool to_tile) {
    size_t line = conv->kernel[2] * conv->outputs * element; /* of a block */
    size_t out_line = conv->in[2] * line;
    size_t h = row % conv->in[1], d = row / conv->in[1]; /* images count as depth */
    for (size_t kd = 0; kd < conv->kernel[0]; kd++) {
        for (size_t kh = 0; kh < conv->kernel[1]; kh++) {
            size_t out_row = (d * conv->kernel[0] + kd) * conv->in[1] * conv->kernel[1] +
                             h * conv->kernel[1] + kh;
            char *to = image + out_row * out_line + first * line;
            char *from = tile + (kd * conv->kernel[1] + kh) * line;
            for (size_t p = 0; p < count;
                 p++, to += line, from += conv->taps * conv->outputs * element) {
                memcpy(to_tile ? from : to, to_tile ? to : from, line);
            }
        }
    }
}

static void run_pixels(const Work *work, char *slot, size_t row, size_t first, size_t count) {
    const ConvQ8 *conv = work->conv;
    const OctQ8Finish *finish = &conv->finish;
    const uint8_t *x = work->x + (row * conv->in[2] + first) * conv->inputs;
    uint8_t *residual = NULL;
    OctQ8ConvSetup setup;
    if (work->residual) {
        residual = (uint8_t *)slot + conv->residual_at;
        move_blocks(conv, row, first, count, 1, (char *)(uintptr_t)work->residual, (char *)residual,
                    true);
    }
    void *sums = finish->separate ? slot + conv->accumulator_at : slot;
    /* Binding a shape that prepare has tried cannot fail. */
    (void)oct_q8_conv_setup(oct_pack_data(conv->pack), 1, 1, count, 0, 0, 0, &setup, NULL);
    oct_q8_conv_use_epilogue(oct_pack_data(conv->pack), &finish->epilogue, finish->kind, &setup);
    oct_q8_conv_run(oct_pack_data(conv->pack), &setup, x, sums, residual, slot + conv->kernel_at,
                    NULL);
    oct_q8_finish_run(finish, conv->cpu, sums, count, residual, slot, NULL);
    move_blocks(conv, row, first, count, conv->element, work->y, slot, false);
}

static void run_slot(void *user, size_t index) {
    const Work *work = user;
    const ConvQ8 *conv = work->conv;
    char *slot = oct_workspace_at(work->run, conv->slot_offset + index * conv->slot_bytes);
    size_t begin, end;
    oct_split_range(conv->batch * conv->in[0] * conv->in[1], conv->slots, index, &begin, &end);
    for (size_t row = begin; row < end; row++) {
        for (size_t first = 0; first < conv->in[2] && !oct_is_over(); first += PIXELS) {
            size_t left = conv->in[2] - first;
            run_pixels(work, slot, row, first, left < PIXELS ? left : PIXELS);
        }
    }
}

static OctetStatus run_conv(void *state, const OctRun *run) {
    const ConvQ8 *conv = state;
    Work work = {.conv = conv, .run = run};
    if (conv->y.batch * conv->y.area == 0) {
        return OCTET_OK;
    }
    work.x = oct_layout_read(&conv->x, run, run->inputs[0].data);
    work.y = oct_layout_target(&conv->y, run, run->outputs[0].data);
    if (conv->finish.residual >= 0) {
        work.residual =
            oct_layout_read(&conv->residual, run, run->inputs[conv->finish.residual].data);
    }
    oct_parallel_for(run->pool, run_slot, &work, conv->slots);
    oct_layout_finish(&conv->y, run, run->outputs[0].data);
    return OCTET_OK;
}

/* ---- packing ---- */

typedef struct PackRequest {
    const OctPrepare *prepare;
    ConvQ8 *conv;
} PackRequest;

static OctetStatus make_with(PackRequest *request, OctQ8Weights *weights, void **object,
                             size_t *bytes, OctetDiagnostic *diagnostic) {
    ConvQ8 *conv = request->conv;
    const OctNode *node = request->prepare->node;
    OctQ8Conv *made;
    int32_t *bias;
    float *multipliers;
    int8_t *to = weights->data;
    for (size_t n = 0; n < weights->channels; n++) { /* tap by tap, all outputs each */
        for (size_t i = 0; i < conv->inputs; i++) {
            size_t o = n % conv->outputs, t = n / conv->outputs;
            *to++ = oct_q8_weight(weights, (i * conv->outputs + o) * conv->taps + t);
        }
    }
    OCT_TRY(oct_q8_layer_numbers(request->prepare, weights, oct_layer_bias(node), &conv->finish,
                                 &bias, &multipliers));
    OctQ8ConvParams params = oct_q8_conv_params(conv->inputs, weights->channels);
    params.weights = weights->data;
    params.weight_zero_points = weights->has_zero_points ? weights->zero_points : NULL;
    params.weight_zero_point_count = weights->has_zero_points ? weights->channels : 0;
    params.blocks = conv->finish.separate ? NULL : oct_pack_blocks(request->prepare->packs);
    params.bias = bias;
    params.multipliers = multipliers;
    params.input_zero_point = (uint8_t)oct_value_zero_point(node->inputs[0]);
    params.epilogue = conv->finish.epilogue;
    params.epilogue.kind = conv->finish.kind;
    OctetStatus status = oct_q8_conv_create(&params, conv->cpu, &made, diagnostic);
    oct_free(bias);
    oct_free(multipliers);
    if (status == OCTET_OK) {
        *object = made;
        *bytes = oct_q8_conv_packed_bytes(made);
    }
    return oct_fail_in_node(diagnostic, status, node->name);
}

static OctetStatus make(void *user, void **object, size_t *bytes, OctetDiagnostic *diagnostic) {
    PackRequest *request = user;
    const OctNode *node = request->prepare->node;
    OctQ8Weights weights;
    OCT_TRY(oct_q8_weights_open(node, node->inputs[1], 1, request->conv->finish.channel_count,
                                request->conv->inputs, &weights, diagnostic));
    weights.repeats = request->conv->taps;
    OctetStatus status = make_with(request, &weights, object, bytes, diagnostic);
    oct_q8_weights_close(&weights);
    return status;
}

static void free_conv(void *object) {
    oct_q8_conv_free(object);
}

static OctetStatus pack(const OctPrepare *prepare, ConvQ8 *conv) {
    const OctNode *node = prepare->node;
    const OctValue *bias = oct_layer_bias(node);
    PackRequest request = {prepare, conv};
    OctPackKey key = {.kernel = "q8_conv_blocks",
                      .constants = {oct_constant_id(node->inputs[1]->constant),
                                    bias ? oct_constant_id(bias->constant) : 0},
                      .parameters = {conv->inputs, conv->outputs, conv->taps}};
    oct_q8_finish_key(prepare, &conv->finish, &key, 3);
    OctPackStore *store = conv->finish.separate ? NULL : prepare->packs;
    return oct_pack_object(store, &key, make, free_conv, &request, &conv->pack,
                           prepare->diagnostic);
}

/* ---- preparation ---- */

static OctetStatus reserve(const OctPrepare *prepare, const OctConvGeometry *geometry, ConvQ8 *conv,
                           OctPreparedOp *prepared) {
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    size_t *workspace = &prepared->workspace_bytes, bytes, at;
    bool last = geometry->channels_last;
    OctQ8ConvSetup setup;
    OCT_TRY(oct_layout_prepare(&conv->x, &geometry->input, last, 1, workspace, diagnostic));
    OCT_TRY(oct_layout_prepare(&conv->y, &geometry->output, last, conv->element, workspace,
                               diagnostic));
    if (conv->finish.residual >= 0) {
        OCT_TRY(
            oct_layout_prepare(&conv->residual, &geometry->output, last, 1, workspace, diagnostic));
    }
    OCT_TRY(
        oct_q8_conv_setup(oct_pack_data(conv->pack), 1, 1, PIXELS, 0, 0, 0, &setup, diagnostic));
    size_t tile, *slot = &conv->slot_bytes;
    bool separate = conv->finish.separate, adds = conv->finish.residual >= 0;
    if (!oct_mul_size(PIXELS * sizeof(int32_t), conv->finish.channel_count, &tile)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, prepare->node, "is too large");
    }
    tile /= sizeof(int32_t);
    OCT_TRY(oct_workspace_add(slot, tile * conv->element, &at, diagnostic));
    OCT_TRY(oct_workspace_add(slot, separate ? tile * sizeof(int32_t) : 0, &conv->accumulator_at,
                              diagnostic));
    OCT_TRY(oct_workspace_add(slot, adds ? tile : 0, &conv->residual_at, diagnostic));
    OCT_TRY(oct_workspace_add(slot, setup.workspace_bytes, &conv->kernel_at, diagnostic));
    if (!oct_mul_size(conv->slot_bytes, conv->slots, &bytes)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, prepare->node, "is too large");
    }
    return oct_workspace_add(workspace, bytes, &conv->slot_offset, diagnostic);
}

OctetStatus oct_conv_prepare_q8_blocks(const OctPrepare *prepare, OctPreparedOp *prepared) {
    OctConvGeometry geometry;
    OCT_TRY(oct_conv_geometry(prepare->node, &geometry, prepare->diagnostic));
    ConvQ8 *conv = oct_prepare_state(prepare, prepared, sizeof *conv);
    if (!conv) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_conv;
    prepared->destroy = destroy;
    prepared->cpu = conv->cpu = prepare->cpu;
    prepared->macs = oct_conv_macs(&geometry);
    conv->batch = (size_t)geometry.input.batch;
    conv->inputs = (size_t)geometry.input.channels;
    conv->outputs = (size_t)geometry.output.channels;
    conv->taps = (size_t)oct_conv_taps(&geometry);
    conv->slots = prepare->threads > 0 ? prepare->threads : 1;
    for (int i = 0; i < 3; i++) {
        int32_t axis = i - (3 - geometry.window.rank);
        conv->in[i] = axis >= 0 ? (size_t)geometry.input.spatial[axis] : 1;
        conv->kernel[i] = axis >= 0 ? (size_t)geometry.window.kernel[axis] : 1;
    }
    size_t channels;
    if (!oct_mul_size(conv->taps, conv->outputs, &channels)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_LIMIT, prepare->node, "is too large");
    }
    OCT_TRY(oct_q8_finish_open(prepare, channels, &conv->finish));
    conv->element = conv->finish.kind == OCT_Q8_OUT_F32 ? sizeof(float) : 1;
    OCT_TRY(pack(prepare, conv));
    prepared->kernel = oct_q8_conv_kernel_name(oct_pack_data(conv->pack));
    return reserve(prepare, &geometry, conv, prepared);
}
