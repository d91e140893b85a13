/* Int8 convolutions that the kernels' driver has not (three axes, transposition, huge windows):
 * the inputs of a few outputs are gathered into rows, which are multiplied by the weights as a
 * matrix. A transposed convolution is one such product for each remainder of the output position
 * by the stride, with the taps that reach it. */
#include "ops/conv.h"
#include "ops/q8_layer.h"
#include "ops/rows.h"

#include <string.h>

enum { ROWS = 64 };

/* One product. Output j of an axis is at origin + j * step; its tap t reads the input at
 * j * stride + offset[t]. Unused leading axes have size 1. */
typedef struct Phase {
    int64_t count[3], origin[3], step[3], stride[3];
    size_t taps;
    int64_t (*offsets)[3]; /* one a tap; far outside for the tap of a phase that has none */
    size_t *kernel_taps;   /* which tap of the kernel it is */
    bool empty_taps;
    OctPack *pack;
    size_t row_bytes, workspace_bytes;
} Phase;

typedef struct ConvQ8 {
    OctQ8Finish finish;
    OctetCpu cpu;
    size_t groups, group_inputs, group_outputs, batch;
    int64_t in[3], out[3];
    uint8_t zero_point;
    Phase *phases;
    size_t phase_count;
    OctLayout x, y, residual;
    size_t element, slots;
    /* a slot's parts: rows, output, accumulators, residual, kernel */
    size_t slot_offset, slot_bytes, output_at, accumulator_at, residual_at, kernel_at;
} ConvQ8;

static void destroy(void *state) {
    ConvQ8 *conv = state;
    for (size_t p = 0; p < conv->phase_count; p++) {
        oct_pack_release(conv->phases[p].pack);
        oct_free(conv->phases[p].offsets);
        oct_free(conv->phases[p].kernel_taps);
    }
    oct_free(conv->phases);
    oct_q8_finish_close(&conv->finish);
    oct_free(conv);
}

/* ---- running ---- */

typedef struct Work {
    const ConvQ8 *conv;
    const Phase *phase;
    const OctRun *run;
    const uint8_t *x, *residual;
    char *y;
} Work;

static size_t phase_outputs(const Phase *phase) {
    return (size_t)(phase->count[0] * phase->count[1] * phase->count[2]);
}

/* Position of output `index` of a phase, over all images. */
static size_t decode(const Phase *phase, size_t index, int64_t *j) {
    for (int i = 2; i >= 0; i--) {
        j[i] = (int64_t)(index % (size_t)phase->count[i]);
        index /= (size_t)phase->count[i];
    }
    return index;
}

static void gather_row(const Work *work, size_t index, uint8_t *row) {
    const ConvQ8 *conv = work->conv;
    const Phase *phase = work->phase;
    int64_t j[3];
    size_t image = decode(phase, index, j), inputs = conv->group_inputs;
    size_t channels = conv->groups * inputs;
    for (size_t t = 0; t < phase->taps; t++) {
        size_t pixel = image;
        bool inside = true;
        for (int i = 0; i < 3; i++) {
            int64_t at = j[i] * phase->stride[i] + phase->offsets[t][i];
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

static size_t output_pixel(const Work *work, size_t index) {
    const Phase *phase = work->phase;
    int64_t j[3];
    size_t pixel = decode(phase, index, j);
    for (int i = 0; i < 3; i++) {
        pixel =
            pixel * (size_t)work->conv->out[i] + (size_t)(phase->origin[i] + j[i] * phase->step[i]);
    }
    return pixel;
}

static void run_tile(const Work *work, char *slot, size_t first, size_t count) {
    const ConvQ8 *conv = work->conv;
    const Phase *phase = work->phase;
    size_t channels = conv->finish.channel_count, bytes = channels * conv->element;
    uint8_t *rows = (uint8_t *)slot, *residual = NULL;
    char *output = slot + conv->output_at;
    OctQ8ConvSetup setup;
    for (size_t r = 0; r < count; r++) {
        gather_row(work, first + r, rows + r * phase->row_bytes);
    }
    if (work->residual) {
        residual = (uint8_t *)slot + conv->residual_at;
        for (size_t r = 0; r < count; r++) {
            memcpy(residual + r * channels,
                   work->residual + output_pixel(work, first + r) * channels, channels);
        }
    }
    void *sums = conv->finish.separate ? slot + conv->accumulator_at : output;
    /* Binding a shape that prepare has tried cannot fail. */
    (void)oct_q8_conv_setup(oct_pack_data(phase->pack), 1, 1, count, 0, 0, 0, &setup, NULL);
    setup.epilogue = conv->finish.epilogue;
    setup.epilogue.kind = conv->finish.kind;
    oct_q8_conv_run(oct_pack_data(phase->pack), &setup, rows, sums, residual,
                    slot + conv->kernel_at, NULL);
    oct_q8_finish_run(&conv->finish, conv->cpu, sums, count, residual, output, NULL);
    for (size_t r = 0; r < count; r++) {
        memcpy(work->y + output_pixel(work, first + r) * bytes, output + r * bytes, bytes);
    }
}

static void run_slot(void *user, size_t index) {
    const Work *work = user;
    const ConvQ8 *conv = work->conv;
    char *slot = oct_workspace_at(work->run, conv->slot_offset + index * conv->slot_bytes);
    size_t begin, end;
    oct_split_range(phase_outputs(work->phase) * conv->batch, conv->slots, index, &begin, &end);
    for (size_t first = begin; first < end; first += ROWS) {
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
        oct_parallel_for(run->pool, run_slot, &work, conv->slots);
    }
    oct_layout_finish(&conv->y, run, run->outputs[0].data);
    return OCTET_OK;
}

/* ---- phases ---- */

/* One axis of a phase: which taps reach the outputs with this remainder, and from where. */
typedef struct AxisTaps {
    int64_t count; /* of taps */
    int64_t tap[4096], offset[4096];
} AxisTaps;

/* a / b rounded down, b > 0. */
static int64_t floor_div(int64_t a, int64_t b) {
    return a / b - (a % b < 0);
}

static void axis_taps(const OctConvGeometry *geometry, int32_t axis, int64_t remainder,
                      AxisTaps *taps) {
    const OctWindow *window = &geometry->window;
    taps->count = 0;
    for (int64_t k = 0; k < window->kernel[axis]; k++) {
        int64_t at = k * window->dilation[axis];
        if (!geometry->transposed) {
            taps->tap[taps->count] = k;
            taps->offset[taps->count++] = at - window->pad_begin[axis];
        } else {
            int64_t from = remainder + window->pad_begin[axis] - at;
            if (from - floor_div(from, window->stride[axis]) * window->stride[axis] == 0) {
                taps->tap[taps->count] = k;
                taps->offset[taps->count++] = floor_div(from, window->stride[axis]);
            }
        }
    }
}

static OctetStatus make_phase(const OctConvGeometry *geometry, const int64_t *remainder,
                              AxisTaps *taps, Phase *phase, OctetDiagnostic *diagnostic) {
    const OctWindow *window = &geometry->window;
    size_t total = 1;
    for (int i = 0; i < 3; i++) {
        int32_t axis = i - (3 - window->rank);
        bool used = axis >= 0;
        int64_t out = used ? geometry->output.spatial[axis] : 1;
        bool transposed = used && geometry->transposed;
        phase->step[i] = transposed ? window->stride[axis] : 1;
        phase->stride[i] = used && !transposed ? window->stride[axis] : 1;
        phase->origin[i] = remainder[i];
        phase->count[i] =
            out > remainder[i] ? (out - remainder[i] + phase->step[i] - 1) / phase->step[i] : 0;
        taps[i] = (AxisTaps){.count = 1};
        if (used) {
            axis_taps(geometry, axis, remainder[i], &taps[i]);
        }
        total *= (size_t)taps[i].count;
    }
    phase->empty_taps = total == 0;
    phase->taps = total ? total : 1;
    phase->offsets = oct_calloc(phase->taps, sizeof *phase->offsets);
    phase->kernel_taps = oct_calloc(phase->taps, sizeof *phase->kernel_taps);
    if (!phase->offsets || !phase->kernel_taps) {
        return oct_fail_memory(diagnostic);
    }
    phase->offsets[0][0] = INT32_MIN; /* outside, if this stays the only tap */
    for (size_t t = 0; t < total; t++) {
        size_t rest = t, kernel_tap = 0;
        int64_t choice[3];
        for (int i = 2; i >= 0; i--) {
            choice[i] = (int64_t)(rest % (size_t)taps[i].count);
            rest /= (size_t)taps[i].count;
        }
        for (int i = 0; i < 3; i++) {
            int32_t axis = i - (3 - window->rank);
            int64_t kernel = axis >= 0 ? window->kernel[axis] : 1;
            kernel_tap = kernel_tap * (size_t)kernel + (size_t)taps[i].tap[choice[i]];
            phase->offsets[t][i] = taps[i].offset[choice[i]];
        }
        phase->kernel_taps[t] = kernel_tap;
    }
    return OCTET_OK;
}

static OctetStatus make_phases(const OctPrepare *prepare, const OctConvGeometry *geometry,
                               ConvQ8 *conv) {
    const OctWindow *window = &geometry->window;
    int64_t remainders[3] = {1, 1, 1};
    size_t phases = 1;
    for (int32_t i = 0; i < window->rank; i++) {
        if (window->kernel[i] > 4096 || (geometry->transposed && window->stride[i] > 64)) {
            return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, prepare->node,
                               "its kernel or stride is too large for int8");
        }
        remainders[3 - window->rank + i] = geometry->transposed ? window->stride[i] : 1;
    }
    for (int i = 0; i < 3; i++) {
        phases *= (size_t)remainders[i];
    }
    AxisTaps *taps = oct_calloc(3, sizeof *taps);
    conv->phases = oct_calloc(phases, sizeof *conv->phases);
    OctetStatus status = taps && conv->phases ? OCTET_OK : oct_fail_memory(prepare->diagnostic);
    for (size_t p = 0; p < phases && status == OCTET_OK; p++) {
        int64_t remainder[3] = {(int64_t)p / (remainders[1] * remainders[2]),
                                (int64_t)p / remainders[2] % remainders[1],
                                (int64_t)p % remainders[2]};
        conv->phase_count++;
        status = make_phase(geometry, remainder, taps, &conv->phases[p], prepare->diagnostic);
    }
    oct_free(taps);
    return status;
}

/* ---- packing ---- */

typedef struct PackRequest {
    const OctPrepare *prepare;
    ConvQ8 *conv;
    const Phase *phase;
    bool transposed;
    size_t all_taps;
} PackRequest;

static void order_weights(const PackRequest *request, OctQ8Weights *weights) {
    const ConvQ8 *conv = request->conv;
    const Phase *phase = request->phase;
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
                              ConvQ8 *conv, Phase *phase) {
    PackRequest request = {prepare, conv, phase, geometry->transposed,
                           (size_t)oct_conv_taps(geometry)};
    OctPackKey key = {.kernel = "q8_conv_gather"};
    OctQ8ConvSetup setup;
    /* Packed alone: this path is not worth the key that would tell its phases apart. */
    OCT_TRY(
        oct_pack_object(NULL, &key, make, free_conv, &request, &phase->pack, prepare->diagnostic));
    phase->row_bytes = conv->groups * phase->taps * conv->group_inputs;
    OCT_TRY(oct_q8_conv_setup(oct_pack_data(phase->pack), 1, 1, ROWS, 0, 0, 0, &setup,
                              prepare->diagnostic));
    phase->workspace_bytes = setup.workspace_bytes;
    return OCTET_OK;
}

static bool place(size_t *total, size_t bytes, size_t *offset) {
    *offset = *total;
    return oct_add_size(*total, bytes, total) && oct_add_size(*total, 64 + 63, total) &&
           (*total = *total / 64 * 64, true);
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
        const Phase *phase = &conv->phases[p];
        rows = phase->row_bytes > rows ? phase->row_bytes : rows;
        kernel = phase->workspace_bytes > kernel ? phase->workspace_bytes : kernel;
    }
    size_t tile = ROWS * conv->finish.channel_count;
    bool fits =
        rows < SIZE_MAX / 1024 && place(&conv->slot_bytes, rows * ROWS, &at) &&
        place(&conv->slot_bytes, tile * conv->element, &conv->output_at) &&
        place(&conv->slot_bytes, conv->finish.separate ? tile * sizeof(int32_t) : 0,
              &conv->accumulator_at) &&
        place(&conv->slot_bytes, conv->finish.residual >= 0 ? tile : 0, &conv->residual_at) &&
        place(&conv->slot_bytes, kernel, &conv->kernel_at) &&
        oct_mul_size(conv->slot_bytes, conv->slots, &bytes);
    if (!fits) {
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
    OCT_TRY(make_phases(prepare, &geometry, conv));
    for (size_t p = 0; p < conv->phase_count; p++) {
        OCT_TRY(pack_phase(prepare, &geometry, conv, &conv->phases[p]));
    }
    return reserve(prepare, &geometry, conv, prepared);
}
