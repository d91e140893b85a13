/* Int8 layers with constant weights (Conv, ConvTranspose, Gemm, MatMul): from the node's grids to
 * what the kernels take, and what is left to do behind them. */
#ifndef OCT_OPS_Q8_LAYER_H
#define OCT_OPS_Q8_LAYER_H

#include "engine/pack.h"
#include "kernels/q8_conv_run.h"
#include "ops/quantized.h"
#include "quant/requantize.h"

/* Weights as s8, one row of `depth` an output channel. */
typedef struct OctQ8Weights {
    size_t channels, depth;
    int8_t *data;         /* to be filled by the operator, from oct_q8_weight */
    int32_t *zero_points; /* one a channel */
    float *scales;        /* likewise */
    bool has_zero_points; /* any that is not 0 */
    size_t repeats;       /* how often the layer's channels stand one after the other; 1 */
    const uint8_t *source;
    uint8_t flip; /* 0x80 for u8: 128 off integers and zero points */
} OctQ8Weights;

/* Whether the constant is of 4 or 8 bits with one scale, or one an index of `axis` (repeated over
 * groups where that has fewer than `channels`). */
bool oct_q8_weights_usable(const OctValue *value, int32_t axis, size_t channels);
/* Allocates, and reads scales and zero points. OCTET_ERROR_UNSUPPORTED for weights that are not
 * usable. */
OctetStatus oct_q8_weights_open(const OctNode *node, const OctValue *value, int32_t axis,
                                size_t channels, size_t depth, OctQ8Weights *weights,
                                OctetDiagnostic *diagnostic);
void oct_q8_weights_close(OctQ8Weights *weights);
static inline int8_t oct_q8_weight(const OctQ8Weights *weights, size_t index) {
    return (int8_t)(weights->source[index] ^ weights->flip);
}

/* How the accumulators of a node become its output. */
typedef struct OctQ8Finish {
    OctQ8OutputKind kind; /* of the kernel */
    OctQ8Epilogue epilogue;
    float *real_bias; /* a float output's float bias, one a channel: added behind the kernel; or
                         NULL */
    bool clamps;      /* a float output's activation */
    float minimum, maximum;
    int32_t residual; /* input, -1 for none */
    bool late_add;    /* the kernel can't add: the residual is added behind it */
    /* Requantization modes other than `onnx`: a pass of its own over s32 accumulators. */
    bool separate;
    OctetRequantize mode;
    OctRequantizeChannel *channels;
    OctRequantizeOutput output;
    size_t channel_count;
} OctQ8Finish;

/* Reads output, activation and fusion of the node; `channels` outputs. */
OctetStatus oct_q8_finish_open(const OctPrepare *prepare, size_t channels, OctQ8Finish *finish);
void oct_q8_finish_close(OctQ8Finish *finish);
/* Adds what the kernel's numbers depend on (scales, zero points, mode) to a key's parameters at
 * [first, first + 3). */
void oct_q8_finish_key(const OctPrepare *prepare, const OctQ8Finish *finish, OctPackKey *key,
                       int first);
/* The grid that the accumulators are rounded to, NULL for a float output. */
const OctetQParams *oct_q8_grid(const OctNode *node);

/* Input 2 of a layer, unless that is a fused residual; NULL if there is none. */
const OctValue *oct_layer_bias(const OctNode *node);

/* Bias and multipliers for the kernel; arrays of `channels`, freed with oct_free. *bias is NULL if
 * the kernel adds none. bias_value (a constant: s32 of any scale, s32 integers or f32) may be NULL.
 * A bias whose scale is not sx * sw is brought there exactly. OCTET_ERROR_NUMERIC where that can't
 * be done. Fills finish->channels. */
OctetStatus oct_q8_layer_numbers(const OctPrepare *prepare, const OctQ8Weights *weights,
                                 const OctValue *bias_value, OctQ8Finish *finish, int32_t **bias,
                                 float **multipliers);

/* Behind the kernel: `rows` rows of `channels`. accumulators are only read if finish->separate. */
void oct_q8_finish_run(const OctQ8Finish *finish, OctetCpu cpu, const int32_t *accumulators,
                       size_t rows, const uint8_t *residual, void *output, OctetThreadPool *pool);

#endif
