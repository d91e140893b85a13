/* Quantized models as other tools write them: every combination loads as one int8 layer and
 * computes what its nodes say, node by node. Scales are powers of two, so that the reference is
 * exact. */
#include "onnx_models.h"

#include "octet/ptq.h"
#include "octet/session.h"

#include <math.h>

enum { IN = 3, OUT = 4, SIZE = 5, TAPS = IN * 9, PIXELS = SIZE * SIZE };

typedef enum { BIAS_NONE, BIAS_S32, BIAS_FLOAT, BIAS_ODD_FLOAT, BIASES } Bias;

typedef struct Variant {
    int64_t opset;
    bool s8;        /* activations */
    bool channels;  /* a scale for each output channel of the weights */
    bool raw;       /* weights as float, then Q, then DQ */
    Bias bias;      /* BIAS_ODD_FLOAT: values that are no multiple of the accumulator's scale */
    bool float_out; /* no QDQ behind the layer */
    bool twice;     /* two pairs of differing scales behind the layer */
    bool shared;    /* a second copy of the input's Q, for a second layer's output */
} Variant;

static const float in_scale = 1.0f / 16, out_scale = 1.0f / 8, second_scale = 1.0f / 2;
static float input[IN * PIXELS];
static int8_t weight[OUT * TAPS];
static float weight_scale[OUT];
static float bias[OUT];

static void fill(const Variant *v) {
    uint8_t bytes[OUT * TAPS];
    fill_bytes(bytes, sizeof bytes, (uint32_t)v->opset * 77 + v->bias);
    for (int i = 0; i < OUT * TAPS; i++) {
        weight[i] = (int8_t)(bytes[i] % 21 - 10);
    }
    for (int i = 0; i < IN * PIXELS; i++) {
        input[i] = (float)((i * 53 + 7) % 201 - 100) * 0.07f;
    }
    for (int i = 0; i < OUT; i++) {
        weight_scale[i] = v->channels ? 1.0f / (float)(16 << i) : 1.0f / 64;
        bias[i] = (float)(i - 2) * (v->bias == BIAS_ODD_FLOAT ? 0.7130001f : 0.25f);
    }
}

static double on_grid(double x, double scale, int zero_point, int low) {
    double q = nearbyint(x / scale) + zero_point;
    q = q < low ? low : q > low + 255 ? low + 255 : q;
    return (q - zero_point) * scale;
}

static void expect(const Variant *v, double *output) {
    int low = v->s8 ? -128 : 0;
    int in_zero = v->s8 ? -5 : 123, out_zero = v->s8 ? 4 : 132;
    for (int o = 0; o < OUT; o++) {
        for (int p = 0; p < PIXELS; p++) {
            double sum = v->bias == BIAS_NONE ? 0 : bias[o];
            for (int t = 0; t < TAPS; t++) {
                int c = t / 9, y = p / SIZE + t % 9 / 3 - 1, x = p % SIZE + t % 3 - 1;
                if (y >= 0 && y < SIZE && x >= 0 && x < SIZE) {
                    sum += on_grid(input[c * PIXELS + y * SIZE + x], in_scale, in_zero, low) *
                           weight[o * TAPS + t] * weight_scale[o];
                }
            }
            if (!v->float_out) {
                sum = on_grid(sum, out_scale, out_zero, low);
            }
            output[o * PIXELS + p] = v->twice ? on_grid(sum, second_scale, out_zero, low) : sum;
        }
    }
}

static void add_grid(Onnx__GraphProto *g, const char *scale, const char *zero_point, float value,
                     int32_t dtype, int zero) {
    int8_t byte = (int8_t)zero;
    add_scalar_f32(g, scale, value);
    add_tensor(g, zero_point, dtype, "", &byte, 1);
}

static void add_weight(Onnx__GraphProto *g, const Variant *v) {
    static const int8_t zeros[OUT];
    const char *dims = v->channels ? "4" : "";
    size_t count = v->channels ? OUT : 1;
    float values[OUT * TAPS];
    add_tensor(g, "ws", OCTET_F32, dims, weight_scale, count * sizeof(float));
    add_tensor(g, "wz", OCTET_S8, dims, zeros, count);
    for (int i = 0; i < OUT * TAPS; i++) {
        values[i] = (float)weight[i] * weight_scale[i / TAPS];
    }
    if (v->raw) {
        add_tensor(g, "w", OCTET_F32, "4,3,3,3", values, sizeof values);
        Onnx__NodeProto *node = add_node(g, "QuantizeLinear", "w ws wz", "wq");
        if (v->channels) {
            add_int(node, "axis", 0);
        }
    } else {
        add_tensor(g, "wq", OCTET_S8, "4,3,3,3", weight, sizeof weight);
    }
    Onnx__NodeProto *node = add_node(g, "DequantizeLinear", "wq ws wz", "wd");
    if (v->channels) {
        add_int(node, "axis", 0);
    }
}

static const char *add_bias(Onnx__GraphProto *g, const Variant *v) {
    int32_t integers[OUT];
    float scales[OUT];
    if (v->bias == BIAS_NONE) {
        return "xd wd";
    }
    if (v->bias != BIAS_S32) {
        add_tensor(g, "b", OCTET_F32, "4", bias, sizeof bias);
        return "xd wd b";
    }
    for (int i = 0; i < OUT; i++) {
        scales[i] = in_scale * weight_scale[i];
        integers[i] = (int32_t)lrintf(bias[i] / scales[i]);
    }
    add_tensor(g, "b", OCTET_S32, "4", integers, sizeof integers);
    add_tensor(g, "bs", OCTET_F32, v->channels ? "4" : "", scales,
               (v->channels ? OUT : 1) * sizeof(float));
    Onnx__NodeProto *node = add_node(g, "DequantizeLinear", "b bs", "bd");
    if (v->channels) {
        add_int(node, "axis", 0);
    }
    return "xd wd bd";
}

static Onnx__ModelProto *model_of(const Variant *v) {
    Onnx__ModelProto *model = new_model(v->opset);
    Onnx__GraphProto *g = model->graph;
    int32_t dtype = v->s8 ? OCTET_S8 : OCTET_U8;
    add_input(g, "x", OCTET_F32, "1,3,5,5");
    add_grid(g, "xs", "xz", in_scale, dtype, v->s8 ? -5 : 123);
    add_grid(g, "ys", "yz", out_scale, dtype, v->s8 ? 4 : 132);
    add_grid(g, "vs", "vz", second_scale, dtype, v->s8 ? 4 : 132);
    add_node(g, "QuantizeLinear", "x xs xz", "xq");
    add_node(g, "DequantizeLinear", "xq xs xz", "xd");
    add_weight(g, v);
    const char *inputs = add_bias(g, v);
    Onnx__NodeProto *node = add_node(g, "Conv", inputs, v->float_out ? "y" : "c");
    node->name = (char *)"layer";
    add_ints(node, "pads", (int64_t[]){1, 1, 1, 1}, 4);
    if (!v->float_out) {
        add_node(g, "QuantizeLinear", "c ys yz", "cq");
        add_node(g, "DequantizeLinear", "cq ys yz", v->twice ? "cd" : "y");
    }
    if (v->twice) {
        add_node(g, "QuantizeLinear", "cd vs vz", "vq");
        add_node(g, "DequantizeLinear", "vq vs vz", "y");
    }
    add_output(g, "y", OCTET_F32, "1,4,5,5");
    if (v->shared) {
        add_node(g, "QuantizeLinear", "x xs xz", "xq2");
        add_node(g, "DequantizeLinear", "xq2 xs xz", "xd2");
        add_node(g, "DequantizeLinear", "xq xs xz", "xd3");
        add_node(g, "Add", "xd2 xd3", "a");
        add_output(g, "a", OCTET_F32, "1,3,5,5");
    }
    return model;
}

static void check(const Variant *v) {
    double expected[OUT * PIXELS];
    OctetGraph *graph = NULL;
    OctetSession *session = NULL;
    OctetTensor *x;
    const OctetTensor *outputs[2];
    OctetDiagnostic diagnostic = {0};
    fill(v);
    expect(v, expected);
    if (try_load(model_of(v), false, &graph, &diagnostic) != OCTET_OK ||
        octet_fuse(graph, &diagnostic) != OCTET_OK ||
        octet_session_create(graph, NULL, &session, &diagnostic) != OCTET_OK) {
        fail_msg("opset %d: %s", (int)v->opset, diagnostic.message);
    }
    assert_true(octet_graph_is_quantized(graph));
    const OctetNode *layer = octet_graph_find_node(graph, "layer");
    assert_non_null(layer);
    assert_int_equal(octet_value_qparams(octet_node_input(layer, 1))->dtype, OCTET_S8);
    if (!v->float_out && !octet_node_is_int8(layer)) {
        fail_msg("float: %s", octet_node_float_reason(layer));
    }
    OctetShape shape = {4, {1, IN, SIZE, SIZE}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &x, NULL), OCTET_OK);
    memcpy(x->data, input, sizeof input);
    assert_int_equal(octet_session_run(session, (const OctetTensor *[]){x}, 1, outputs,
                                       v->shared ? 2 : 1, &diagnostic),
                     OCTET_OK);
    const float *y = outputs[0]->data;
    int off = 0;
    for (int i = 0; i < OUT * PIXELS; i++) {
        double difference = fabs(y[i] - expected[i]);
        double step = v->twice ? second_scale : out_scale;
        /* an odd bias becomes the nearest integer of the accumulator if integers leave the layer */
        if (v->float_out ? difference > 2e-6 * (1 + fabs(expected[i])) : difference > 0) {
            off++;
        }
        if (difference > (v->float_out ? 1e-5 : 1.0001 * step) ||
            (off && v->bias != BIAS_ODD_FLOAT) || (off && v->float_out) || off > 2) {
            fail_msg("opset %d, s8 %d, channels %d, raw %d, bias %d, float_out %d, twice %d: "
                     "[%d] %.9g instead of %.9g",
                     (int)v->opset, v->s8, v->channels, v->raw, v->bias, v->float_out, v->twice, i,
                     y[i], expected[i]);
        }
    }
    if (v->shared) {
        const float *a = outputs[1]->data;
        for (int i = 0; i < IN * PIXELS; i++) {
            double once = on_grid(input[i], in_scale, v->s8 ? -5 : 123, v->s8 ? -128 : 0);
            assert_true(a[i] == (float)(2 * once));
        }
    }
    octet_tensor_free(x);
    octet_session_free(session);
    octet_graph_free(graph);
    empty_pool();
}

/* Scales per channel came with opset 13. */
static void every_combination(void **state) {
    (void)state;
    int count = 0;
    for (int64_t opset = 10; opset <= 22; opset++) {
        for (int bits = 0; bits < 16 * BIASES; bits++) {
            Variant v = {.opset = opset,
                         .s8 = bits & 1,
                         .channels = bits & 2,
                         .raw = bits & 4,
                         .float_out = bits & 8,
                         .bias = (Bias)(bits / 16)};
            if (opset >= 13 || !v.channels) {
                check(&v);
                count++;
            }
        }
    }
    assert_int_equal(count, 3 * 8 * BIASES + 10 * 16 * BIASES);
}

static void pairs_in_a_row(void **state) {
    (void)state;
    for (int bits = 0; bits < 4; bits++) {
        check(&(Variant){.opset = 13, .s8 = bits & 1, .channels = bits & 2, .twice = true});
    }
}

static void shared_and_doubled_nodes(void **state) {
    (void)state;
    for (int bits = 0; bits < 4; bits++) {
        check(&(Variant){
            .opset = 17, .s8 = bits & 1, .bias = BIAS_S32, .float_out = bits & 2, .shared = true});
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_combination),
        cmocka_unit_test(pairs_in_a_row),
        cmocka_unit_test(shared_and_doubled_nodes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
