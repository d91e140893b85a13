/* Int8 convolutions that the kernels' driver has not (three axes, transposition, huge windows):
 * the inputs of a few outputs are gathered into rows, which are multiplied by the weights as a
 * matrix. A transposed convolution is one such product for each remainder of the output position
 * by the stride, with the taps that reach it. */
#include "base/patience.h"
#include "ops/conv_phases.h"
#include "ops/q8_layer.h"
#include "ops/rows.h"

#include <string.h>

enum { ROWS = 64 };

/* A phase's weights. */
typedef struct Packed {
    OctPack *pack;
    size_t row_bytes, workspace_bytes;
} Packed;

typedef struct ConvQ8 {
    OctQ8Finish finish;
    OctetCpu cpu;
    size_t groups, group_inputs, group_outputs, batch;
    int64_t in[3], out[3];
    uint8_t zero_point;
    OctConvPhase *phases;
    Packed *packed; /* one a phase */
    size_t phase_count;
    OctLayout x, y, residual;
    size_t element, slots;
    /* a slot's parts: rows, output, accumulators, residual, kernel */
    size_t slot_offset, slot_bytes, output_at, accumulator_at, residual_at, kernel_at;
} ConvQ8;

static void destroy(void *state) {
    ConvQ8 *conv = state;
    for (size_t p = 0; conv->packed && p < conv->phase_count; p++) {
        oct_pack_release(conv->packed[p].pack);
    }
    oct_free(conv->packed);
    oct_conv_phases_free(conv->phases, conv->phase_count);
    oct_q8_finish_close(&conv->finish);
    oct_free(conv);
}

/* ---- running ---- */

typedef struct Work {
    const ConvQ8 *conv;
    const OctConvPhase *phase;
    const Packed *packed;
    const OctRun *run;
    const uint8_t *x, *residual;
    char *y;
} Work;

static size_t phase_outputs(const OctConvPhase *phase) {
    return (size_t)(phase->count[0] * phase->count[1] * phase->count[2]);
}

/* An output of a phase: which image, and where in it. */
typedef struct Cursor {
    size_t image;
    int64_t j[3];
} Cursor;

static Cursor cursor_at(const OctConvPhase *phase, size_t index) {
    Cursor cursor;
    for (int i = 2; i >= 0; i--) {
        cursor.j[i] = (int64_t)(index % (size_t)phase->count[i]);
        index /= (size_t)phase->count[i];
    }
    cursor.image = index;
    return cursor;
}

static void advance(const OctConvPhase *phase, Cursor *cursor) {
    for (int i = 2; i >= 0; i--) {
        if (++cursor->j[i] < phase->count[i]) {
            return;
        }
        cursor->j[i] = 0;
    }
    cursor->image++;
}

static void gather_row(const Work *work, const Cursor *cursor, uint8_t *row) {
    const ConvQ8 *conv = work->conv;
    const OctConvPhase *phase = work->phase;
    size_t inputs = conv->group_inputs, channels = conv->groups * inputs;
    for (size_t t = 0; t < phase->taps; t++) {
        size_t pixel = cursor->image;
        bool inside = true;
        for (int i = 0; i < 3; i++) {
            int64_t at = cursor->j[i] * phase->stride[i] + phase->offsets[t][i];
            inside = inside && at >= 0 && at < conv->in[i];
            pixel = pixel * (size_t)conv->in[i] + (size_t)at;
        }
        for (size_t g = 0; g < conv->groups; g++) {
            uint8_t *to = row + (g * phase->taps + t) * inputs;
            if (inside) {
                memcpy(to, work->x + pixel * channels + g * inputs, inputs);
            } else {
                memset(to, conv->zero_point, inputs);
            }
        }
    }
}

static size_t output_pixel(const Work *work, const Cursor *cursor) {
    const OctConvPhase *phase = work->phase;
    size_t pixel = cursor->image;
    for (int i = 0; i < 3; i++) {
        pixel = pixel * (size_t)work->conv->out[i] +
                (size_t)(phase->origin[i] + cursor->j[i] * phase->step[i]);
    }
    return pixel;
}

static void run_tile(const Work *work, char *slot, size_t first, size_t count) {
    const ConvQ8 *conv = work->conv;
    const Packed *packed = work->packed;
    size_t channels = conv->finish.channel_count, bytes = channels * conv->element;
    uint8_t *rows = (uint8_t *)slot, *residual = NULL;
    char *output = slot + conv->output_at;
    OctQ8ConvSetup setup;
    Cursor cursor = cursor_at(work->phase, first);
    size_t pixels[ROWS]; /* of the output */
    for (size_t r = 0; r < count; r++, advance(work->phase, &cursor)) {
        gather_row(work, &cursor, rows + r * packed->row_bytes);
        pixels[r] = output_pixel(work, &cursor);
    }
    if (work->residual) {
        residual = (uint8_t *)slot + conv->residual_at;
        for (size_t r = 0; r < count; r++) {
            memcpy(residual + r * channels, work->residual + pixels[r] * channels, channels);
        }
    }
    void *sums = conv->finish.separate ? slot + conv->accumulator_at : output;
    /* Binding a shape that prepare has tried cannot fail. */
    (void)oct_q8_conv_setup(oct_pack_data(packed->pack), 1, 1, count, 0, 0, 0, &setup, NULL);
    oct_q8_conv_use_epilogue(oct_pack_data(packed->pack), &conv->finish.epilogue, conv->finish.kind,
                             &setup);
    oct_q8_conv_run(oct_pack_data(packed->pack), &setup, rows, sums, residual,
                    slot + conv->kernel_at, NULL);
    oct_q8_finish_run(&conv->finish, conv->cpu, sums, count, residual, output, NULL);
    for (size_t r = 0; r < count; r++) {
        memcpy(work->y + pixels[r] * bytes, output + r * bytes, bytes);
    }
}

static void run_slot(void *user, size_t index) {
    const Work *work = user;
    const ConvQ8 *conv = work->conv;
    char *slot = oct_workspace_at(work->run, conv->slot_offset + index * conv->slot_bytes);
    size_t begin, end;
    oct_split_range(phase_outputs(work->phase) * conv->batch, conv->slots, index, &begin, &end);
    for (size_t first = begin; first < end && !oct_is_over(); first += ROWS) {
        run_tile(work, slot, first, end - first < ROWS ? end - first : ROWS);
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
    for (size_t p = 0; p < conv->phase_count; p++) {
        work.phase = &conv->phases[p];
        work.packed = &conv->packed[p];
        oct_parallel_for(run->pool, run_slot, &work, conv->slots);
    }
    oct_layout_finish(&conv->y, run, run->outputs[0].data);
    return OCTET_OK;
}

/* ---- packing ---- */

typedef struct PackRequest {
    const OctPrepare *prepare;
    ConvQ8 *conv;
    const OctConvPhase *phase;
    bool transposed;
    size_t all_taps;
} PackRequest;

static void order_weights(const PackRequest *request, OctQ8Weights *weights) {
    const ConvQ8 *conv = request->conv;
    const OctConvPhase *phase = request->phase;
    size_t inputs = conv->group_inputs, outputs = conv->group_outputs, taps = request->all_taps;
    int8_t *to = weights->data;
    for (size_t o = 0; o < weights->channels; o++) {
        for (size_t t = 0; t < phase->taps; t++) {
            for (size_t i = 0; i < inputs; i++, to++) {
                size_t row = request->transposed
                                 ? (o / outputs * inputs + i) * outputs + o % outputs
                                 : o * inputs + i;
                *to = phase->empty_taps
                          ? 0
                          : oct_q8_weight(weights, row * taps + phase->kernel_taps[t]);
            }
        }
    }
}

static OctetStatus make_with(PackRequest *request, OctQ8Weights *weights, void **object,
                             size_t *bytes, OctetDiagnostic *diagnostic) {
    const ConvQ8 *conv = request->conv;
    OctQ8Conv *made;
    int32_t *bias;
    float *multipliers;
    order_weights(request, weights);
    OCT_TRY(oct_q8_layer_numbers(request->prepare, weights, oct_layer_bias(request->prepare->node),
                                 &request->conv->finish, &bias, &multipliers));
    bool zeros = weights->has_zero_points && !request->phase->empty_taps;
    OctQ8ConvParams params = oct_q8_conv_params(conv->groups * weights->depth, weights->channels);
    params.groups = conv->groups;
    params.weights = weights->data;
    params.weight_zero_points = zeros ? weights->zero_points : NULL;
    params.weight_zero_point_count = zeros ? weights->channels : 0;
    params.bias = bias;
    params.multipliers = multipliers;
    params.input_zero_point = conv->zero_point;
    params.epilogue = conv->finish.epilogue;
    params.epilogue.kind = conv->finish.kind;
    OctetStatus status = oct_q8_conv_create(&params, conv->cpu, &made, diagnostic);
    oct_free(bias);
    oct_free(multipliers);
    if (status == OCTET_OK) {
        *object = made;
        *bytes = oct_q8_conv_packed_bytes(made);
    }
    return oct_fail_in_node(diagnostic, status, request->prepare->node->name);
}

static OctetStatus make(void *user, void **object, size_t *bytes, OctetDiagnostic *diagnostic) {
    PackRequest *request = user;
    const OctNode *node = request->prepare->node;
    OctQ8Weights weights;
    OCT_TRY(oct_q8_weights_open(
        node, node->inputs[1], request->transposed ? 1 : 0, request->conv->finish.channel_count,
        request->phase->taps * request->conv->group_inputs, &weights, diagnostic));
    OctetStatus status = make_with(request, &weights, object, bytes, diagnostic);
    oct_q8_weights_close(&weights);
    return status;
}

static void free_conv(void *object) {
    oct_q8_conv_free(object);
}

static OctetStatus pack_phase(const OctPrepare *prepare, const OctConvGeometry *geometry,
                              ConvQ8 *conv, size_t index) {
    const OctConvPhase *phase = &conv->phases[index];
    Packed *packed = &conv->packed[index];
    PackRequest request = {prepare, conv, phase, geometry->transposed,
                           (size_t)oct_conv_taps(geometry)};
    OctPackKey key = {.kernel = "q8_conv_gather"};
    OctQ8ConvSetup setup;
    /* Packed alone: this path is not worth the key that would tell its phases apart. */
    OCT_TRY(
        oct_pack_object(NULL, &key, make, free_conv, &request, &packed->pack, prepare->diagnostic));
    packed->row_bytes = conv->groups * phase->taps * conv->group_inputs;
    OCT_TRY(oct_q8_conv_setup(oct_pack_data(packed->pack), 1, 1, ROWS, 0, 0, 0, &setup,
                              prepare->diagnostic));
    packed->workspace_bytes = setup.workspace_bytes;
    return OCTET_OK;
}

static OctetStatus reserve(const OctPrepare *prepare, const OctConvGeometry *geometry, ConvQ8 *conv,
                           OctPreparedOp *prepared) {
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    size_t *workspace = &prepared->workspace_bytes, rows = 0, kernel = 0, bytes, at;
    bool last = geometry->channels_last;
    OCT_TRY(oct_layout_prepare(&conv->x, &geometry->input, last, 1, workspace, diagnostic));
    OCT_TRY(oct_layout_prepare(&conv->y, &geometry->output, last, conv->element, workspace,
                               diagnostic));
    if (conv->finish.residual >= 0) {
        OCT_TRY(
            oct_layout_prepare(&conv->residual, &geometry->output, last, 1, workspace, diagnostic));
    }
    for (size_t p = 0; p < conv->phase_count; p++) {
        const Packed *packed = &conv->packed[p];
        rows = packed->row_bytes > rows ? packed->row_bytes : rows;
        kernel = packed->workspace_bytes > kernel ? packed->workspace_bytes : kernel;
    }
    size_t tile, gathered, *slot = &conv->slot_bytes;
    bool separate = conv->finish.separate, adds = conv->finish.residual >= 0;
    if (!oct_mul_size(ROWS * sizeof(int32_t), conv->finish.channel_count, &tile) ||
        !oct_mul_size(ROWS, rows, &gathered)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, prepare->node, "is too large");
    }
    tile /= sizeof(int32_t);
    OCT_TRY(oct_workspace_add(slot, gathered, &at, diagnostic));
    OCT_TRY(oct_workspace_add(slot, tile * conv->element, &conv->output_at, diagnostic));
    OCT_TRY(oct_workspace_add(slot, separate ? tile * sizeof(int32_t) : 0, &conv->accumulator_at,
                              diagnostic));
    OCT_TRY(oct_workspace_add(slot, adds ? tile : 0, &conv->residual_at, diagnostic));
    OCT_TRY(oct_workspace_add(slot, kernel, &conv->kernel_at, diagnostic));
    if (!oct_mul_size(conv->slot_bytes, conv->slots, &bytes)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, prepare->node, "is too large");
    }
    return oct_workspace_add(workspace, bytes, &conv->slot_offset, diagnostic);
}

OctetStatus oct_conv_prepare_q8_gather(const OctPrepare *prepare, OctPreparedOp *prepared) {
    OctConvGeometry geometry;
    OCT_TRY(oct_conv_geometry(prepare->node, &geometry, prepare->diagnostic));
    ConvQ8 *conv = oct_prepare_state(prepare, prepared, sizeof *conv);
    if (!conv) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_conv;
    prepared->destroy = destroy;
    prepared->cpu = conv->cpu = prepare->cpu;
    prepared->kernel = "q8_conv gathered";
    prepared->macs = oct_conv_macs(&geometry);
    conv->groups = (size_t)geometry.groups;
    conv->group_inputs = (size_t)(geometry.input.channels / geometry.groups);
    conv->group_outputs = (size_t)(geometry.output.channels / geometry.groups);
    conv->batch = (size_t)geometry.input.batch;
    conv->zero_point = (uint8_t)oct_value_zero_point(prepare->node->inputs[0]);
    conv->slots = prepare->threads > 0 ? prepare->threads : 1;
    for (int i = 0; i < 3; i++) {
        int32_t axis = i - (3 - geometry.window.rank);
        conv->in[i] = axis >= 0 ? geometry.input.spatial[axis] : 1;
        conv->out[i] = axis >= 0 ? geometry.output.spatial[axis] : 1;
    }
    OCT_TRY(oct_q8_finish_open(prepare, (size_t)geometry.output.channels, &conv->finish));
    conv->element = conv->finish.kind == OCT_Q8_OUT_F32 ? sizeof(float) : 1;
    OCT_TRY(oct_conv_phases_make(prepare->node, &geometry, &conv->phases, &conv->phase_count,
                                 prepare->diagnostic));
    conv->packed = oct_calloc(conv->phase_count, sizeof *conv->packed);
    if (!conv->packed) {
        return oct_fail_memory(prepare->diagnostic);
    }
    for (size_t p = 0; p < conv->phase_count; p++) {
        OCT_TRY(pack_phase(prepare, &geometry, conv, p));
    }
    return reserve(prepare, &geometry, conv, prepared);
}
