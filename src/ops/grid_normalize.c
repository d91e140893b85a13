/* The engine's Normalize (domain "octet"): tensors that would be dequantized, joined along their
 * channels, batch-normalized, clamped and quantized again, in one pass and with the same bits.
 *
 * Inputs: one or more tensors, u8 on a grid of its own or f32, channels-last (attribute
 * channels_last 1) or of rank 2. Attributes: "multiply" and "shift", f32 tensors with one number a
 * channel of the output. The node's activation is the clamp. */
#include "kernels/grid_affine.h"
#include "ops/fused_activation.h"
#include "ops/quantized.h"

#include <math.h>
#include <string.h>

enum { PIXELS = 64 }; /* that one task takes: their outputs stay in the nearest cache */

typedef struct Source {
    OctGridAffine affine;
    size_t channels, first; /* place among the output's channels */
    bool real;              /* f32 */
    bool straight;          /* `line` gives the same bytes as `affine` */
    OctGridLine line;
} Source;

typedef struct Normalize {
    const OctGridAffineBundle *bundle;
    size_t pixels, channels;
    int32_t count;
    Source *sources;
    float *numbers; /* zero, scale, multiply and shift of the line, of each channel */
    OctConstant *multiply, *shift;
} Normalize;

static void destroy(void *state) {
    Normalize *normalize = state;
    oct_constant_release(normalize->multiply);
    oct_constant_release(normalize->shift);
    oct_free(normalize->sources);
    oct_free(normalize->numbers);
    oct_free(normalize);
}

typedef struct Task {
    const Normalize *normalize;
    const OctRun *run;
} Task;

static void run_pixels(void *user, size_t index) {
    const Task *task = user;
    const Normalize *normalize = task->normalize;
    size_t first = index * PIXELS;
    size_t left = normalize->pixels - first;
    size_t count = left < PIXELS ? left : PIXELS;
    uint8_t *y = (uint8_t *)task->run->outputs[0].data + first * normalize->channels;
    for (int32_t k = 0; k < normalize->count; k++) {
        const Source *source = &normalize->sources[k];
        const void *x = task->run->inputs[k].data;
        size_t at = first * source->channels;
        if (source->real) {
            normalize->bundle->run_real(&source->affine, (const float *)x + at, source->channels,
                                        y + source->first, normalize->channels, count,
                                        source->channels);
        } else if (source->straight) {
            normalize->bundle->run_line(&source->line, (const uint8_t *)x + at, source->channels,
                                        y + source->first, normalize->channels, count,
                                        source->channels);
        } else {
            normalize->bundle->run(&source->affine, (const uint8_t *)x + at, source->channels,
                                   y + source->first, normalize->channels, count, source->channels);
        }
    }
}

static OctetStatus run_normalize(void *state, const OctRun *run) {
    const Normalize *normalize = state;
    Task task = {normalize, run};
    oct_parallel_for(run->pool, run_pixels, &task, (normalize->pixels + PIXELS - 1) / PIXELS);
    return OCTET_OK;
}

static OctetStatus unusable(const OctPrepare *prepare) {
    return oct_fail_op(prepare->diagnostic, OCTET_ERROR_INTERNAL, prepare->node,
                       "was made of operands that do not fit");
}

static OctetStatus read_numbers(const OctPrepare *prepare, Normalize *normalize, const char *name,
                                OctConstant **constant) {
    const OctAttribute *attribute = oct_node_attribute(prepare->node, name);
    if (!attribute || attribute->type != OCT_ATTRIBUTE_TENSOR) {
        return unusable(prepare);
    }
    const OctetTensor *tensor = oct_constant_tensor(attribute->v.tensor);
    if (tensor->dtype != OCTET_F32 || tensor->bytes != normalize->channels * sizeof(float)) {
        return unusable(prepare);
    }
    *constant = oct_constant_retain(attribute->v.tensor);
    return OCTET_OK;
}

/* ---- one step instead of seven, where it can be proved ---- */

static float nudged(float value, int steps) {
    for (int i = 0; i < steps; i++) {
        value = nextafterf(value, INFINITY);
    }
    for (int i = 0; i > steps; i--) {
        value = nextafterf(value, -INFINITY);
    }
    return value;
}

/* A channel's line must give expected[256 * stride] for all bytes. Rounding differs by a few units
 * in the last place where a level comes near to a half, so that neighboring shifts are tried. */
static bool fit_line(const Normalize *normalize, OctGridLine *line, size_t c,
                     const uint8_t *expected, size_t stride) {
    static const int steps[] = {0, 1, -1, 2, -2, 3, -3, 4, -4, 6, -6, 8, -8};
    float *multiply = (float *)(uintptr_t)line->multiply + c;
    float *shift = (float *)(uintptr_t)line->shift + c;
    const OctGridLine alone = {multiply, shift, line->minimum, line->maximum};
    float start = *shift;
    float slope = *multiply;
    for (int s = -1; s <= 1; s++) {
        *multiply = nudged(slope, s);
        for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
            bool same = true;
            *shift = nudged(start, steps[i]);
            for (int x = 0; x < 256 && same; x++) {
                uint8_t byte = (uint8_t)x;
                uint8_t y;
                normalize->bundle->run_line(&alone, &byte, 1, &y, 1, 1, 1);
                same = y == expected[(size_t)x * stride];
            }
            if (same) {
                return true;
            }
        }
    }
    return false;
}

static void guess_line(const Source *source, OctGridLine *line) {
    const OctGridAffine *affine = &source->affine;
    float *multiply = (float *)(uintptr_t)line->multiply;
    float *shift = (float *)(uintptr_t)line->shift;
    double output = (double)affine->output_scale;
    for (size_t c = 0; c < source->channels; c++) {
        double slope = (double)affine->scale[c] * (double)affine->multiply[c];
        multiply[c] = (float)(slope / output);
        shift[c] = (float)(((double)affine->shift[c] - (double)affine->zero[c] * slope) / output +
                           (double)affine->output_zero);
    }
}

/* `bytes` is room for 3 * 256 * channels: what goes in, what must come out, what comes out. */
static void straighten(const Normalize *normalize, Source *source, uint8_t *bytes) {
    size_t channels = source->channels;
    uint8_t *expected = bytes + 256 * channels;
    uint8_t *found = expected + 256 * channels;
    const OctGridAffineBundle *bundle = normalize->bundle;
    for (size_t x = 0; x < 256; x++) {
        memset(bytes + x * channels, (int)x, channels);
    }
    guess_line(source, &source->line);
    bundle->run(&source->affine, bytes, channels, expected, channels, 256, channels);
    bundle->run_line(&source->line, bytes, channels, found, channels, 256, channels);
    source->straight = true;
    for (size_t c = 0; c < channels && source->straight; c++) {
        bool same = true;
        for (size_t x = 0; x < 256 && same; x++) {
            same = expected[x * channels + c] == found[x * channels + c];
        }
        source->straight = same || fit_line(normalize, &source->line, c, expected + c, channels);
    }
}

static OctetStatus straighten_all(const OctPrepare *prepare, Normalize *normalize) {
    const OctNode *node = prepare->node;
    uint8_t *bytes = oct_alloc(3 * 256 * normalize->channels);
    uint8_t minimum, maximum;
    if (!bytes) {
        return oct_fail_memory(prepare->diagnostic);
    }
    oct_activation_u8(&node->activation, &node->outputs[0]->qparams, &minimum, &maximum);
    for (int32_t k = 0; k < normalize->count; k++) {
        Source *source = &normalize->sources[k];
        float *line = normalize->numbers + 2 * normalize->channels + 2 * source->first;
        source->line = (OctGridLine){line, line + source->channels, minimum, maximum};
        if (!source->real && source->channels > 0) {
            straighten(normalize, source, bytes);
        }
    }
    oct_free(bytes);
    return OCTET_OK;
}

static OctetStatus bind_sources(const OctPrepare *prepare, Normalize *normalize) {
    const OctNode *node = prepare->node;
    const OctValue *output = node->outputs[0];
    const float *multiply = oct_constant_tensor(normalize->multiply)->data;
    const float *shift = oct_constant_tensor(normalize->shift)->data;
    float minimum, maximum;
    size_t first = 0;
    oct_activation_bounds(&node->activation, &minimum, &maximum);
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctValue *input = node->inputs[k];
        const OctetShape *shape = &input->shape;
        size_t channels = (size_t)shape->dims[shape->rank - 1];
        bool real = !oct_value_quantized(input);
        bool fits = real ? input->dtype == OCTET_F32
                         : input->qparams.dtype == OCTET_U8 && input->qparams.count == 1;
        if (!fits || channels > normalize->channels - first) {
            return unusable(prepare);
        }
        float *zero = normalize->numbers + 2 * first;
        float *scale = zero + channels;
        for (size_t c = 0; c < channels; c++) {
            zero[c] = real ? 0.0f : (float)oct_value_zero_point(input);
            scale[c] = real ? 1.0f : oct_value_scale(input);
        }
        normalize->sources[k] =
            (Source){.affine = {zero, scale, multiply + first, shift + first, minimum, maximum,
                                oct_value_scale(output), (float)oct_value_zero_point(output)},
                     .channels = channels,
                     .first = first,
                     .real = real};
        first += channels;
    }
    return first == normalize->channels ? OCTET_OK : unusable(prepare);
}

static OctetStatus prepare_normalize(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctValue *output = node->outputs[0];
    const OctetShape *shape = &output->shape;
    int64_t pixels;
    if (output->qparams.dtype != OCTET_U8 || shape->rank < 2 ||
        (shape->rank > 2 && !oct_node_int(node, "channels_last", 0)) ||
        !oct_shape_product(shape, 0, shape->rank - 1, &pixels)) {
        return unusable(prepare);
    }
    Normalize *normalize = oct_prepare_state(prepare, prepared, sizeof *normalize);
    if (!normalize) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->destroy = destroy;
    prepared->run = run_normalize;
    normalize->bundle = oct_grid_affine_select(prepare->cpu);
    prepared->kernel = normalize->bundle->name;
    prepared->cpu = normalize->bundle->cpu;
    normalize->pixels = (size_t)pixels;
    normalize->channels = (size_t)shape->dims[shape->rank - 1];
    normalize->count = node->input_count;
    normalize->sources = oct_calloc((size_t)node->input_count, sizeof *normalize->sources);
    normalize->numbers = oct_calloc(4 * normalize->channels + 1, sizeof *normalize->numbers);
    if (!normalize->sources || !normalize->numbers) {
        return oct_fail_memory(prepare->diagnostic);
    }
    OCT_TRY(read_numbers(prepare, normalize, "multiply", &normalize->multiply));
    OCT_TRY(read_numbers(prepare, normalize, "shift", &normalize->shift));
    OCT_TRY(bind_sources(prepare, normalize));
    return straighten_all(prepare, normalize);
}

static OctetStatus infer_normalize(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    OctetShape shape = *oct_input_shape(node, 0);
    int32_t axis = oct_node_int(node, "channels_last", 0) ? shape.rank - 1 : 1;
    for (int32_t k = 1; k < node->input_count && shape.rank >= 2; k++) {
        const OctetShape *other = oct_input_shape(node, k);
        bool known = other->rank == shape.rank && shape.dims[axis] >= 0 && other->dims[axis] >= 0;
        shape.dims[axis] = known ? shape.dims[axis] + other->dims[axis] : OCT_DIM_UNKNOWN;
    }
    oct_set_output(node, 0, OCTET_F32, &shape);
    return OCTET_OK;
}

const OctOp oct_ops_grid_normalize[] = {
    {"octet", "Normalize", 1, 0, OCT_OP_INT8, 1, -1, 1, 1, oct_check_inner, infer_normalize,
     prepare_normalize},
};
OCT_OPS_COUNT(grid_normalize);
