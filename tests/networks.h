/* Small networks built in C which together run every family of kernels: dense, 1x1, grouped,
 * depthwise and transposed convolutions, matrix products, tables, residuals, gates, normalizations,
 * pooling, resizing, movers, recurrent cells. Weights are pseudo-random and the same on every
 * machine. */
#ifndef OCT_TESTS_NETWORKS_H
#define OCT_TESTS_NETWORKS_H

#include "octet/octet.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Net {
    OctetGraph *graph;
    uint32_t seed;
    int count; /* of layers, for their names */
} Net;

typedef OctetValue *Value;

static inline float next_number(uint32_t *seed) {
    *seed = *seed * 1664525u + 1013904223u;
    return (float)(*seed >> 8) / 8388608.0f - 1;
}

static inline Value constant_of(Net *net, OctetDType dtype, const OctetShape *shape,
                                const void *data) {
    OctetTensor *tensor;
    char name[32];
    assert_int_equal(octet_tensor_create(dtype, shape, &tensor, NULL), OCTET_OK);
    memcpy(tensor->data, data, tensor->bytes);
    snprintf(name, sizeof name, "constant%d", net->count++);
    Value value = octet_graph_constant(net->graph, name, tensor);
    octet_tensor_free(tensor);
    return value;
}

/* Numbers of middle +- spread. */
static inline Value numbers(Net *net, OctetShape shape, float middle, float spread) {
    int64_t count = 1;
    for (int32_t i = 0; i < shape.rank; i++) {
        count *= shape.dims[i];
    }
    float *data = malloc((size_t)count * sizeof *data);
    assert_non_null(data);
    for (int64_t i = 0; i < count; i++) {
        data[i] = middle + spread * next_number(&net->seed);
    }
    Value value = constant_of(net, OCTET_F32, &shape, data);
    free(data);
    return value;
}

static inline Value scalar(Net *net, float number) {
    return constant_of(net, OCTET_F32, &(OctetShape){.rank = 0}, &number);
}

#define INTEGERS(net, ...)                                                                         \
    constant_of(net, OCTET_S64,                                                                    \
                &(OctetShape){1, {sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)}},            \
                (int64_t[]){__VA_ARGS__})

static inline Value apply(Net *net, const char *op_type, const Value *inputs, size_t count) {
    char name[48];
    snprintf(name, sizeof name, "%s%d", op_type, net->count++);
    return octet_graph_operator(net->graph, op_type, name, inputs, count);
}

#define OP(net, op_type, ...)                                                                      \
    apply(net, op_type, (const Value[]){__VA_ARGS__},                                              \
          sizeof((const Value[]){__VA_ARGS__}) / sizeof(Value))
#define SET_INTS(net, value, name, ...)                                                            \
    octet_graph_set_ints((net)->graph, value, name, (int64_t[]){__VA_ARGS__},                      \
                         sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
#define SET_INT(net, value, name, number) octet_graph_set_int((net)->graph, value, name, number)

typedef struct Window {
    int64_t kernel, stride, groups, dilation; /* 0 counts as 1 */
} Window;

static inline void set_window(Net *net, Value y, const Window *window) {
    int64_t kernel = window->kernel;
    int64_t stride = window->stride ? window->stride : 1;
    int64_t dilation = window->dilation ? window->dilation : 1;
    int64_t pad = dilation * (kernel - 1) / 2;
    SET_INTS(net, y, "kernel_shape", kernel, kernel);
    SET_INTS(net, y, "strides", stride, stride);
    SET_INTS(net, y, "pads", pad, pad, pad, pad);
}

static inline Value conv(Net *net, Value x, int64_t in, int64_t out, Window window) {
    int64_t groups = window.groups ? window.groups : 1;
    int64_t kernel = window.kernel;
    float fan_in = (float)(kernel * kernel * in / groups);
    Value w =
        numbers(net, (OctetShape){4, {out, in / groups, kernel, kernel}}, 0, sqrtf(3 / fan_in));
    Value y = OP(net, "Conv", x, w, numbers(net, (OctetShape){1, {out}}, 0, 0.1f));
    set_window(net, y, &window);
    SET_INT(net, y, "group", groups);
    if (window.dilation) {
        SET_INTS(net, y, "dilations", window.dilation, window.dilation);
    }
    return y;
}

static inline Value pool(Net *net, const char *op_type, Value x, Window window) {
    Value y = OP(net, op_type, x);
    set_window(net, y, &window);
    return y;
}

static inline Value relu(Net *net, Value x) {
    return OP(net, "Relu", x);
}

/* x times a function of x. */
static inline Value gated(Net *net, const char *op_type, Value x) {
    return OP(net, "Mul", x, OP(net, op_type, x));
}

static inline Value concat(Net *net, Value a, Value b, int64_t axis) {
    Value y = OP(net, "Concat", a, b);
    SET_INT(net, y, "axis", axis);
    return y;
}

static inline Value slice(Net *net, Value x, int64_t axis, int64_t begin, int64_t end) {
    return OP(net, "Slice", x, INTEGERS(net, begin), INTEGERS(net, end), INTEGERS(net, axis));
}

#define RESHAPE(net, x, ...) OP(net, "Reshape", x, INTEGERS(net, __VA_ARGS__))

static inline Value transpose(Net *net, Value x, const int64_t *order, size_t rank) {
    Value y = OP(net, "Transpose", x);
    octet_graph_set_ints(net->graph, y, "perm", order, rank);
    return y;
}
#define TRANSPOSE(net, x, ...)                                                                     \
    transpose(net, x, (int64_t[]){__VA_ARGS__}, sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t))

/* x times a matrix of `in` rows, plus a bias. */
static inline Value linear(Net *net, Value x, int64_t in, int64_t out) {
    Value w = numbers(net, (OctetShape){2, {in, out}}, 0, sqrtf(3 / (float)in));
    return OP(net, "Add", OP(net, "MatMul", x, w), numbers(net, (OctetShape){1, {out}}, 0, 0.1f));
}

static inline Value classify(Net *net, Value x, int64_t in, int64_t out) {
    Value flat = OP(net, "Flatten", OP(net, "GlobalAveragePool", x));
    Value w = numbers(net, (OctetShape){2, {out, in}}, 0, sqrtf(3 / (float)in));
    Value y = OP(net, "Gemm", flat, w, numbers(net, (OctetShape){1, {out}}, 0, 0.1f));
    SET_INT(net, y, "transB", 1);
    return y;
}

/* ---- ResNet's way: 7x7 stem, bottlenecks, a strided shortcut; ragged channels ---- */

static inline Value bottleneck(Net *net, Value x, int64_t in, int64_t inner, int64_t out,
                               int64_t stride) {
    Value shortcut = in == out && stride == 1
                         ? x
                         : conv(net, x, in, out, (Window){.kernel = 1, .stride = stride});
    Value y = relu(net, conv(net, x, in, inner, (Window){.kernel = 1}));
    y = relu(net, conv(net, y, inner, inner, (Window){.kernel = 3, .stride = stride}));
    y = conv(net, y, inner, out, (Window){.kernel = 1});
    return relu(net, OP(net, "Add", y, shortcut));
}

static inline Value residual(Net *net, Value x) {
    x = relu(net, conv(net, x, 3, 24, (Window){.kernel = 7, .stride = 2}));
    x = pool(net, "MaxPool", x, (Window){.kernel = 3, .stride = 2});
    x = bottleneck(net, x, 24, 20, 72, 1);
    x = bottleneck(net, x, 72, 20, 72, 1);
    x = bottleneck(net, x, 72, 40, 136, 2);
    return OP(net, "Softmax", classify(net, x, 136, 33));
}

/* ---- MobileNet's and EfficientNet's: depthwise windows, gates, activations as tables ---- */

static inline Value squeeze(Net *net, Value x, int64_t channels, const char *gate) {
    Value y = OP(net, "GlobalAveragePool", x);
    y = relu(net, conv(net, y, channels, 8, (Window){.kernel = 1}));
    return OP(net, "Mul", x, OP(net, gate, conv(net, y, 8, channels, (Window){.kernel = 1})));
}

static inline Value mobile(Net *net, Value x) {
    x = OP(net, "HardSwish", conv(net, x, 3, 16, (Window){.kernel = 3, .stride = 2}));
    Value y = OP(net, "Clip", conv(net, x, 16, 48, (Window){.kernel = 1}), scalar(net, 0),
                 scalar(net, 6));
    y = relu(net, conv(net, y, 48, 48, (Window){.kernel = 3, .stride = 1, .groups = 48}));
    y = squeeze(net, y, 48, "HardSigmoid");
    x = OP(net, "Add", x, conv(net, y, 48, 16, (Window){.kernel = 1}));
    y = gated(net, "Sigmoid", conv(net, x, 16, 52, (Window){.kernel = 1}));
    y = gated(net, "Sigmoid",
              conv(net, y, 52, 52, (Window){.kernel = 5, .stride = 2, .groups = 52}));
    y = squeeze(net, y, 52, "Sigmoid");
    x = conv(net, y, 52, 24, (Window){.kernel = 1});
    y = OP(net, "LeakyRelu",
           conv(net, x, 24, 24, (Window){.kernel = 7, .stride = 1, .groups = 24}));
    y = gated(net, "HardSigmoid",
              conv(net, y, 24, 24, (Window){.kernel = 3, .stride = 2, .groups = 24}));
    y = OP(net, "Tanh", conv(net, y, 24, 24, (Window){.kernel = 5, .stride = 1, .groups = 24}));
    y = OP(net, "Elu",
           conv(net, y, 24, 48,
                (Window){.kernel = 3,
                         .stride = 1,
                         .groups = 24,
                         .dilation = 2})); /* two outputs a channel */
    return classify(net, y, 48, 10);
}

/* ---- ShuffleNet's, DenseNet's, Inception's: slices, shuffles, Concats, groups, dilation ---- */

static inline Value normalize(Net *net, Value x, int64_t channels) {
    OctetShape shape = {1, {channels}};
    return OP(net, "BatchNormalization", x, numbers(net, shape, 1, 0.5f),
              numbers(net, shape, 0, 0.3f), numbers(net, shape, 0, 0.3f),
              numbers(net, shape, 1, 0.5f));
}

static inline Value branches(Net *net, Value x) {
    x = relu(net, conv(net, x, 3, 32, (Window){.kernel = 3, .stride = 2}));
    Value left = slice(net, x, 1, 0, 16);
    Value right = slice(net, x, 1, 16, 32);
    right = relu(net, conv(net, right, 16, 16, (Window){.kernel = 1}));
    right = conv(net, right, 16, 16, (Window){.kernel = 3, .stride = 1, .groups = 16});
    x = concat(net, left, relu(net, conv(net, right, 16, 16, (Window){.kernel = 1})), 1);
    x = RESHAPE(net, x, 0, 2, 16, 12, 12);
    x = RESHAPE(net, TRANSPOSE(net, x, 0, 2, 1, 3, 4), 0, 32, 12, 12);
    Value grown = relu(net, normalize(net, x, 32));
    grown = conv(net, grown, 32, 12, (Window){.kernel = 3});
    x = concat(net, x, grown, 1);
    x = pool(net, "AveragePool", relu(net, normalize(net, x, 44)),
             (Window){.kernel = 3, .stride = 2});
    Value a = relu(net, conv(net, x, 44, 36, (Window){.kernel = 3, .stride = 1, .groups = 4}));
    Value b = relu(
        net, conv(net, x, 44, 20, (Window){.kernel = 3, .stride = 1, .groups = 1, .dilation = 2}));
    Value c = pool(net, "MaxPool", x, (Window){.kernel = 3});
    x = concat(net, concat(net, a, b, 1), c, 1);
    x = relu(net, conv(net, x, 100, 28, (Window){.kernel = 5, .stride = 2}));
    return classify(net, x, 28, 10);
}

/* ---- vision transformer: patches, LayerNorm, attention, GELU ---- */

/* LayerNorm as exporters before opset 17 write it. */
static inline Value spelt_layer_norm(Net *net, Value x, int64_t width) {
    Value mean = OP(net, "ReduceMean", x);
    SET_INTS(net, mean, "axes", -1);
    Value centered = OP(net, "Sub", x, mean);
    Value variance = OP(net, "ReduceMean", OP(net, "Pow", centered, scalar(net, 2)));
    SET_INTS(net, variance, "axes", -1);
    Value deviation = OP(net, "Sqrt", OP(net, "Add", variance, scalar(net, 1e-5f)));
    Value y = OP(net, "Mul", OP(net, "Div", centered, deviation),
                 numbers(net, (OctetShape){1, {width}}, 1, 0.5f));
    return OP(net, "Add", y, numbers(net, (OctetShape){1, {width}}, 0, 0.2f));
}

static inline Value layer_norm(Net *net, Value x, int64_t width) {
    OctetShape shape = {1, {width}};
    Value y = OP(net, "LayerNormalization", x, numbers(net, shape, 1, 0.5f),
                 numbers(net, shape, 0, 0.2f));
    SET_INT(net, y, "axis", -1);
    return y;
}

static inline Value gelu(Net *net, Value x) {
    Value e = OP(net, "Erf", OP(net, "Div", x, scalar(net, 1.41421356f)));
    Value y = OP(net, "Mul", x, OP(net, "Add", e, scalar(net, 1)));
    return OP(net, "Mul", y, scalar(net, 0.5f));
}

static inline Value heads_of(Net *net, Value x) {
    return TRANSPOSE(net, RESHAPE(net, linear(net, x, 40, 40), 0, 16, 4, 10), 0, 2, 1, 3);
}

static inline Value attention(Net *net, Value x) {
    Value q = heads_of(net, x);
    Value k = TRANSPOSE(net, heads_of(net, x), 0, 1, 3, 2);
    Value v = heads_of(net, x);
    Value scores = OP(net, "Div", OP(net, "MatMul", q, k), scalar(net, 3.1622777f));
    scores = OP(net, "Softmax", scores);
    SET_INT(net, scores, "axis", -1);
    Value mixed = TRANSPOSE(net, OP(net, "MatMul", scores, v), 0, 2, 1, 3);
    return linear(net, RESHAPE(net, mixed, 0, 16, 40), 40, 40);
}

static inline Value transformer(Net *net, Value x) {
    Value w = numbers(net, (OctetShape){4, {40, 3, 8, 8}}, 0, 0.12f);
    x = OP(net, "Conv", x, w);
    SET_INTS(net, x, "strides", 8, 8);
    x = TRANSPOSE(net, RESHAPE(net, x, 0, 40, 16), 0, 2, 1);
    x = OP(net, "Add", x, numbers(net, (OctetShape){3, {1, 16, 40}}, 0, 0.2f));
    x = OP(net, "Add", x, attention(net, spelt_layer_norm(net, x, 40)));
    Value y = gelu(net, linear(net, layer_norm(net, x, 40), 40, 96));
    x = OP(net, "Add", x, linear(net, y, 96, 40));
    x = OP(net, "ReduceMean", x);
    SET_INTS(net, x, "axes", 1);
    SET_INT(net, x, "keepdims", 0);
    return OP(net, "Softmax", linear(net, x, 40, 10));
}

/* ---- image to image: ConvTranspose, Resize, Pad, DepthToSpace, PRelu, InstanceNorm ---- */

static inline Value resize(Net *net, Value x, const char *mode) {
    Value scales = constant_of(net, OCTET_F32, &(OctetShape){1, {4}}, (float[]){1, 1, 2, 2});
    Value y = OP(net, "Resize", x, NULL, scales);
    octet_graph_set_string(net->graph, y, "mode", mode);
    return y;
}

static inline Value upscale(Net *net, Value x, int64_t in, int64_t out, int64_t kernel) {
    Value w = numbers(net, (OctetShape){4, {in, out, kernel, kernel}}, 0, 0.15f);
    Value y = OP(net, "ConvTranspose", x, w, numbers(net, (OctetShape){1, {out}}, 0, 0.1f));
    int64_t pad = (kernel - 2) / 2;
    SET_INTS(net, y, "strides", 2, 2);
    SET_INTS(net, y, "pads", pad, pad, pad, pad);
    return y;
}

static inline Value images(Net *net, Value x) {
    Value padded = OP(net, "Pad", x, INTEGERS(net, 0, 0, 1, 1, 0, 0, 1, 1));
    octet_graph_set_string(net->graph, padded, "mode", "reflect");
    x = OP(net, "PRelu", conv(net, padded, 3, 20, (Window){.kernel = 4, .stride = 2}),
           numbers(net, (OctetShape){3, {20, 1, 1}}, 0.2f, 0.1f));
    Value low = relu(net, conv(net, x, 20, 24, (Window){.kernel = 3, .stride = 2}));
    low = OP(net, "InstanceNormalization", low, numbers(net, (OctetShape){1, {24}}, 1, 0.3f),
             numbers(net, (OctetShape){1, {24}}, 0, 0.3f));
    Value up = relu(net, upscale(net, low, 24, 20, 4));
    up = slice(net, slice(net, up, 2, 0, 10), 3, 0, 10);
    x = OP(net, "Add", slice(net, slice(net, x, 2, 0, 10), 3, 0, 10), up);
    x = concat(net, resize(net, x, "linear"), resize(net, up, "nearest"), 1);
    x = relu(net, conv(net, x, 40, 16, (Window){.kernel = 3}));
    x = OP(net, "DepthToSpace", x);
    SET_INT(net, x, "blocksize", 2);
    return OP(net, "Sigmoid", conv(net, x, 4, 3, (Window){.kernel = 1}));
}

/* ---- sound and text: one dimension, recurrent cells ---- */

static inline Value recurrent(Net *net, const char *op_type, Value x, int64_t in, int64_t hidden,
                              int64_t gates) {
    Value w = numbers(net, (OctetShape){3, {2, gates * hidden, in}}, 0, 0.3f);
    Value r = numbers(net, (OctetShape){3, {2, gates * hidden, hidden}}, 0, 0.3f);
    Value b = numbers(net, (OctetShape){2, {2, 2 * gates * hidden}}, 0, 0.2f);
    Value y = OP(net, op_type, x, w, r, b);
    octet_graph_set_string(net->graph, y, "direction", "bidirectional");
    SET_INT(net, y, "hidden_size", hidden);
    /* steps, directions, batch, hidden -> steps, batch, both */
    return RESHAPE(net, TRANSPOSE(net, y, 0, 2, 1, 3), 0, -1, 2 * hidden);
}

static inline Value sequence(Net *net, Value x) {
    Value w = numbers(net, (OctetShape){3, {24, 6, 5}}, 0, 0.3f);
    x = OP(net, "Conv", x, w, numbers(net, (OctetShape){1, {24}}, 0, 0.1f));
    SET_INTS(net, x, "pads", 2, 2);
    SET_INTS(net, x, "strides", 2);
    x = TRANSPOSE(net, relu(net, x), 2, 0, 1);
    x = recurrent(net, "LSTM", x, 24, 17, 4);
    x = recurrent(net, "GRU", x, 34, 12, 3);
    x = TRANSPOSE(net, x, 1, 0, 2);
    x = OP(net, "LogSoftmax", linear(net, x, 24, 11));
    return x;
}

typedef struct BuiltNetwork {
    const char *name;
    Value (*build)(Net *net, Value x);
    OctetShape sample; /* of one sample, without the batch */
} BuiltNetwork;

static const BuiltNetwork built_networks[] = {
    {"residual", residual, {3, {3, 29, 25}}}, {"mobile", mobile, {3, {3, 40, 40}}},
    {"branches", branches, {3, {3, 24, 24}}}, {"transformer", transformer, {3, {3, 32, 32}}},
    {"images", images, {3, {3, 20, 20}}},     {"sequence", sequence, {2, {6, 40}}},
};
enum { BUILT_NETWORKS = sizeof built_networks / sizeof built_networks[0] };

/* The float network; whoever asks frees it. */
static inline OctetGraph *build_network(const BuiltNetwork *network) {
    Net net = {.graph = octet_graph_create(), .seed = 1};
    OctetDiagnostic diagnostic = {0};
    OctetShape shape = {network->sample.rank + 1, {-1}};
    for (int32_t i = 0; i < network->sample.rank; i++) {
        shape.dims[i + 1] = network->sample.dims[i];
    }
    Value x = octet_graph_input(net.graph, "x", OCTET_F32, &shape);
    octet_graph_output(net.graph, network->build(&net, x), "y");
    if (octet_graph_finish(net.graph, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s: %s", network->name, diagnostic.node, diagnostic.message);
    }
    return net.graph;
}

#endif
