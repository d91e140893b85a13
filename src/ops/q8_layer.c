#include "ops/q8_layer.h"
#include "kernels/f32_vector.h"
#include "kernels/q8_vector.h"
#include "ops/fused_activation.h"
#include "quant/bias.h"

#include <math.h>
#include <string.h>

/* ---- weights ---- */

bool oct_q8_weights_usable(const OctValue *value, int32_t axis, size_t channels) {
    const OctetQParams *qparams = &value->qparams;
    OctetDType dtype = qparams->dtype;
    bool small = dtype == OCTET_S8 || dtype == OCTET_U8 || dtype == OCTET_S4 || dtype == OCTET_U4;
    bool along = qparams->count == 1 || (qparams->axis == axis && qparams->count > 0 &&
                                         channels % (size_t)qparams->count == 0);
    return value->constant && small && qparams->block_size == 0 && along;
}

OctetStatus oct_q8_weights_open(const OctNode *node, const OctValue *value, int32_t axis,
                                size_t channels, size_t depth, OctQ8Weights *weights,
                                OctetDiagnostic *diagnostic) {
    const OctetQParams *qparams = &value->qparams;
    size_t bytes;
    *weights = (OctQ8Weights){.channels = channels, .depth = depth, .repeats = 1};
    if (!oct_q8_weights_usable(value, axis, channels)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "int8 needs constant weights of 8 bits with one scale or one an output "
                           "channel");
    }
    size_t count = (size_t)qparams->count;
    weights->source = oct_value_tensor(value)->data;
    weights->flip = qparams->dtype == OCTET_U8 ? 0x80 : 0;
    weights->data = oct_mul_size(channels, depth, &bytes) ? oct_alloc(bytes) : NULL;
    weights->zero_points = oct_calloc(channels, sizeof *weights->zero_points);
    weights->scales = oct_calloc(channels, sizeof *weights->scales);
    if (!weights->data || !weights->zero_points || !weights->scales) {
        oct_q8_weights_close(weights);
        return oct_fail_memory(diagnostic);
    }
    int32_t any = 0;
    for (size_t c = 0; c < channels; c += count) { /* by whole repetitions */
        for (size_t i = 0; i < count; i++) {
            int32_t zero_point = qparams->zero_point[i] - (weights->flip ? 128 : 0);
            weights->scales[c + i] = qparams->scale[i];
            weights->zero_points[c + i] = zero_point;
            any |= zero_point;
        }
    }
    weights->has_zero_points = any != 0;
    return OCTET_OK;
}

void oct_q8_weights_close(OctQ8Weights *weights) {
    oct_free(weights->data);
    oct_free(weights->zero_points);
    oct_free(weights->scales);
    *weights = (OctQ8Weights){0};
}

/* ---- what comes behind the sums ---- */

const OctetQParams *oct_q8_grid(const OctNode *node) {
    const OctFusion *fusion = node->fusion;
    if (!oct_value_quantized(node->outputs[0])) {
        return NULL;
    }
    return fusion && fusion->grid.dtype != OCTET_DTYPE_NONE ? &fusion->grid
                                                            : &node->outputs[0]->qparams;
}

static OctetStatus bind_residual(const OctPrepare *prepare, const OctetQParams *grid,
                                 OctQ8Finish *finish) {
    const OctNode *node = prepare->node;
    const OctFusion *fusion = node->fusion;
    const OctetQParams *to = &node->outputs[0]->qparams;
    const OctValue *residual = node->inputs[node->input_count - 1];
    if (!oct_is_u8(residual) || !octet_shape_equal(&residual->shape, &node->outputs[0]->shape)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_INTERNAL, node,
                           "its residual does not fit");
    }
    const OctetQParams *from =
        fusion->table && fusion->table_grid.dtype != OCTET_DTYPE_NONE ? &fusion->table_grid : grid;
    const OctetQParams *a = fusion->residual_first ? &residual->qparams : from;
    const OctetQParams *b = fusion->residual_first ? from : &residual->qparams;
    OctQ8Epilogue *epilogue = &finish->epilogue;
    epilogue->has_add = true;
    epilogue->residual_is_a = fusion->residual_first;
    epilogue->add = oct_q8_add_params(a->scale[0], a->zero_point[0], b->scale[0], b->zero_point[0],
                                      to->scale[0], to->zero_point[0]);
    oct_activation_u8(&fusion->activation, to, &epilogue->add.minimum, &epilogue->add.maximum);
    finish->residual = node->input_count - 1;
    return OCTET_OK;
}

/* A float bias before a float output is no integer anywhere: it is added to the dequantized sum. */
static OctetStatus open_real_bias(const OctPrepare *prepare, size_t channels, OctQ8Finish *finish) {
    const OctValue *value = oct_layer_bias(prepare->node);
    const OctetTensor *tensor = value ? oct_value_tensor(value) : NULL;
    size_t count = tensor ? tensor->bytes / sizeof(float) : 0;
    if (count == 0 || tensor->dtype != OCTET_F32 || channels % count != 0) {
        return OCTET_OK;
    }
    finish->real_bias = oct_calloc(channels, sizeof *finish->real_bias);
    if (!finish->real_bias) {
        return oct_fail_memory(prepare->diagnostic);
    }
    for (size_t c = 0; c < channels; c++) {
        finish->real_bias[c] = ((const float *)tensor->data)[c % count];
    }
    return OCTET_OK;
}

OctetStatus oct_q8_finish_open(const OctPrepare *prepare, size_t channels, OctQ8Finish *finish) {
    const OctNode *node = prepare->node;
    const OctetQParams *grid = oct_q8_grid(node);
    *finish = (OctQ8Finish){.residual = -1, .channel_count = channels};
    if (!oct_is_u8(node->inputs[0]) || (grid && !oct_is_u8(node->outputs[0]))) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "its grids are not u8 with one scale");
    }
    if (!grid) {
        finish->kind = OCT_Q8_OUT_F32;
        finish->epilogue = (OctQ8Epilogue){.kind = OCT_Q8_OUT_F32, .maximum = 255};
        finish->clamps = node->activation.kind != OCT_ACTIVATION_NONE;
        oct_activation_bounds(&node->activation, &finish->minimum, &finish->maximum);
        return open_real_bias(prepare, channels, finish);
    }
    finish->epilogue = oct_q8_epilogue_u8((uint8_t)grid->zero_point[0]);
    oct_activation_u8(&node->activation, grid, &finish->epilogue.minimum,
                      &finish->epilogue.maximum);
    if (node->fusion) {
        finish->epilogue.table = node->fusion->table;
        if (node->fusion->has_residual) {
            OCT_TRY(bind_residual(prepare, grid, finish));
        }
    }
    finish->mode = prepare->requantize;
    finish->separate = finish->mode != OCTET_REQUANTIZE_ONNX;
    finish->output = (OctRequantizeOutput){.zero_point = finish->epilogue.zero_point,
                                           .minimum = finish->epilogue.minimum,
                                           .maximum = finish->epilogue.maximum};
    finish->kind = finish->separate ? OCT_Q8_OUT_S32 : OCT_Q8_OUT_U8;
    if (finish->separate) {
        finish->channels = oct_calloc(channels, sizeof *finish->channels);
        if (!finish->channels) {
            return oct_fail_memory(prepare->diagnostic);
        }
    }
    return OCTET_OK;
}

void oct_q8_finish_close(OctQ8Finish *finish) {
    oct_free(finish->channels);
    oct_free(finish->real_bias);
    finish->channels = NULL;
    finish->real_bias = NULL;
}

static uint64_t bits_of(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    return bits;
}

void oct_q8_finish_key(const OctPrepare *prepare, const OctQ8Finish *finish, OctPackKey *key,
                       int first) {
    const OctetQParams *grid = oct_q8_grid(prepare->node);
    const OctValue *x = prepare->node->inputs[0];
    key->parameters[first] =
        bits_of(oct_value_scale(x)) << 32 | (uint64_t)(uint32_t)oct_value_zero_point(x);
    key->parameters[first + 1] = grid ? bits_of(grid->scale[0]) : 0;
    key->parameters[first + 2] = (uint64_t)(finish->real_bias != NULL) << 32 |
                                 (uint64_t)prepare->cpu << 16 | (uint64_t)finish->kind << 8 |
                                 (uint64_t)finish->mode;
}

/* ---- numbers ---- */

const OctValue *oct_layer_bias(const OctNode *node) {
    bool residual = node->fusion && node->fusion->has_residual && node->input_count == 3;
    return residual ? NULL : oct_node_input(node, 2);
}

/* One channel's bias as it was given. */
typedef struct Bias {
    bool is_integer;
    int32_t integer;
    double integer_scale; /* 0: the product of the scales, as the convention is */
    float real;
} Bias;

static OctetStatus check_bias(const OctPrepare *prepare, const OctValue *value, size_t channels) {
    const OctetTensor *tensor = oct_value_tensor(value);
    int64_t count;
    if (!tensor || !octet_shape_count(&value->shape, &count) || (size_t)count != channels ||
        (tensor->dtype != OCTET_F32 && tensor->dtype != OCTET_S32)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, prepare->node,
                           "int8 needs a constant bias with one number an output channel");
    }
    return OCTET_OK;
}

static OctetStatus read_bias(const OctPrepare *prepare, const OctValue *value, size_t channel,
                             Bias *bias) {
    const OctetTensor *tensor = oct_value_tensor(value);
    const OctetQParams *qparams = &value->qparams;
    *bias = (Bias){.is_integer = tensor->dtype == OCTET_S32};
    if (!bias->is_integer) {
        bias->real = ((const float *)tensor->data)[channel];
        return OCTET_OK;
    }
    bias->integer = ((const int32_t *)tensor->data)[channel];
    if (qparams->dtype != OCTET_DTYPE_NONE) {
        size_t index = qparams->count == 1 ? 0 : channel;
        int64_t shifted = (int64_t)bias->integer - qparams->zero_point[index];
        bias->integer_scale = qparams->scale[index];
        if ((size_t)qparams->count <= index || shifted > INT32_MAX || shifted < INT32_MIN) {
            return oct_fail_op(prepare->diagnostic, OCTET_ERROR_NUMERIC, prepare->node,
                               "the bias of channel %zu does not fit int32", channel);
        }
        bias->integer = (int32_t)shifted;
    }
    return OCTET_OK;
}

/* The integer at scale sx * sw that the accumulator gets. */
static OctetStatus integer_bias(const OctPrepare *prepare, OctetRequantize mode, const Bias *bias,
                                size_t channel, float input_scale, float weight_scale,
                                int32_t *integer) {
    double product = (double)input_scale * (double)weight_scale;
    bool fits = true;
    if (!bias->is_integer) {
        double exact = (double)bias->real / product;
        fits = fabs(exact) < 0x1p31;
        *integer = fits ? oct_bias_integer(mode, bias->real, input_scale, weight_scale) : 0;
    } else {
        fits =
            oct_bias_stored(bias->integer, bias->integer_scale, input_scale, weight_scale, integer);
    }
    return fits ? OCTET_OK
                : oct_fail_op(prepare->diagnostic, OCTET_ERROR_NUMERIC, prepare->node,
                              "the bias of channel %zu does not fit int32 at scale %g; raise that "
                              "channel's weight scale",
                              channel, product);
}

static float real_of(const Bias *bias, float input_scale, float weight_scale) {
    return bias->is_integer
               ? oct_bias_real(bias->integer, bias->integer_scale, input_scale, weight_scale)
               : bias->real;
}

/* A channel for the modes that requantize in a pass of their own. fbgemm takes biases in float: of
 * an integer one, the number that it stands for. */
static OctetStatus separate_channel(const OctPrepare *prepare, OctQ8Finish *finish, size_t channel,
                                    const Bias *bias, float weight_scale, int32_t *integer) {
    const OctNode *node = prepare->node;
    bool real = bias && finish->mode == OCTET_REQUANTIZE_FBGEMM;
    float input_scale = oct_value_scale(node->inputs[0]);
    float real_bias = real ? real_of(bias, input_scale, weight_scale) : 0.0f;
    OctRequantizeInput input = {.input_scale = input_scale,
                                .weight_scale = weight_scale,
                                .output_scale = oct_q8_grid(node)->scale[0],
                                .has_float_bias = real,
                                .bias = real_bias};
    /* The kernel adds integer biases itself, and proves that the sum fits. */
    *integer = real ? 0 : *integer;
    return oct_fail_in_node(prepare->diagnostic,
                            oct_requantize_prepare(finish->mode, &input, &finish->channels[channel],
                                                   prepare->diagnostic),
                            node->name);
}

static OctetStatus fill_numbers(const OctPrepare *prepare, const OctQ8Weights *weights,
                                const OctValue *bias_value, OctQ8Finish *finish, int32_t *bias,
                                float *multipliers) {
    const OctetQParams *grid = oct_q8_grid(prepare->node);
    float input_scale = oct_value_scale(prepare->node->inputs[0]);
    size_t own_channels = weights->channels / weights->repeats;
    if (bias_value) {
        OCT_TRY(check_bias(prepare, bias_value, own_channels));
    }
    for (size_t c = 0, at = 0; c < weights->channels;
         c++, at = at + 1 < own_channels ? at + 1 : 0) {
        float product = input_scale * weights->scales[c];
        multipliers[c] = grid ? product / grid->scale[0] : product;
        Bias own = {0};
        if (bias_value) {
            OCT_TRY(read_bias(prepare, bias_value, at, &own));
        }
        if (bias_value && !finish->real_bias) {
            OCT_TRY(integer_bias(prepare, finish->mode, &own, c, input_scale, weights->scales[c],
                                 &bias[c]));
        }
        if (finish->separate) {
            OCT_TRY(separate_channel(prepare, finish, c, bias_value ? &own : NULL,
                                     weights->scales[c], &bias[c]));
        }
    }
    return OCTET_OK;
}

OctetStatus oct_q8_layer_numbers(const OctPrepare *prepare, const OctQ8Weights *weights,
                                 const OctValue *bias_value, OctQ8Finish *finish, int32_t **bias,
                                 float **multipliers) {
    *bias = oct_calloc(weights->channels, sizeof **bias);
    *multipliers = oct_calloc(weights->channels, sizeof **multipliers);
    OctetStatus status = *bias && *multipliers ? fill_numbers(prepare, weights, bias_value, finish,
                                                              *bias, *multipliers)
                                               : oct_fail_memory(prepare->diagnostic);
    if (status != OCTET_OK) {
        oct_free(*bias);
        oct_free(*multipliers);
        *bias = NULL;
        *multipliers = NULL;
    }
    return status;
}

/* ---- behind the kernel ---- */

enum { ROWS = 64 };

typedef struct Work {
    const OctQ8Finish *finish;
    OctetCpu cpu;
    const int32_t *accumulators;
    size_t rows;
    const uint8_t *residual;
    void *output;
} Work;

static void finish_floats(const OctQ8Finish *finish, OctetCpu cpu, float *y, size_t rows) {
    size_t channels = finish->channel_count;
    for (size_t r = 0; r < rows && finish->real_bias; r++) {
        for (size_t c = 0; c < channels; c++) {
            y[r * channels + c] += finish->real_bias[c];
        }
    }
    if (finish->clamps) {
        oct_f32_vector_select(cpu)->clamp(y, y, rows * channels, finish->minimum, finish->maximum);
    }
}

static void finish_rows(void *user, size_t index) {
    const Work *work = user;
    const OctQ8Finish *finish = work->finish;
    const OctQ8Epilogue *epilogue = &finish->epilogue;
    const OctQ8VectorOps *vector = oct_q8_vector_ops(work->cpu);
    size_t first = index * ROWS, rest = work->rows - first, rows = rest < ROWS ? rest : ROWS;
    size_t at = first * finish->channel_count, count = rows * finish->channel_count;
    if (finish->kind == OCT_Q8_OUT_F32) {
        finish_floats(finish, work->cpu, (float *)work->output + at, rows);
        return;
    }
    uint8_t *y = (uint8_t *)work->output + at;
    if (finish->separate) {
        oct_requantize_rows(finish->mode, work->accumulators + at, (int64_t)rows,
                            (int64_t)finish->channel_count, finish->channels, &finish->output,
                            OCTET_U8, y);
        if (epilogue->table) {
            vector->lookup(epilogue->table, y, y, count);
        }
    }
    if (epilogue->has_add) {
        const uint8_t *residual = work->residual + at;
        bool first_operand = epilogue->residual_is_a;
        vector->add(&epilogue->add, first_operand ? residual : y, first_operand ? y : residual, y,
                    count);
    }
}

void oct_q8_finish_run(const OctQ8Finish *finish, OctetCpu cpu, const int32_t *accumulators,
                       size_t rows, const uint8_t *residual, void *output, OctetThreadPool *pool) {
    if (finish->separate || finish->clamps || finish->real_bias || finish->late_add) {
        Work work = {finish, cpu, accumulators, rows, residual, output};
        oct_parallel_for(pool, finish_rows, &work, (rows + ROWS - 1) / ROWS);
    }
}
