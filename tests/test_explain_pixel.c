/* octet_explain_pixel: every output, worked out from the stored integers, is the byte that a
 * session computes, in every mode. */
#include "onnx_models.h"

#include "ir/graph.h"
#include "octet/explain.h"
#include "octet/session.h"

typedef struct Layer {
    const char *op, *input, *weight, *output; /* shapes */
    int64_t bias;                             /* elements; 0 for none */
    int64_t weight_dtype, weight_zero_point;
    int64_t input_zero_point;
    const char *ints; /* "strides 2 2; pads 1 0 1 0; group 2": attributes of many or one integers */
} Layer;

static int64_t elements(const char *dims) {
    int64_t count = 1;
    for (const char *at = dims; at; at = strchr(at, ','), at += at != NULL) {
        count *= strtoll(at, NULL, 10);
    }
    return count;
}

static void add_attributes(Onnx__NodeProto *node, const char *text) {
    while (*text) {
        char name[32];
        int64_t values[8];
        size_t count = 0;
        int length;
        assert_int_equal(sscanf(text, " %31[a-zA-Z_]%n", name, &length), 1);
        for (text += length; *text && *text != ';';) {
            char *end;
            values[count++] = strtoll(text, &end, 10);
            text = end;
        }
        text += *text == ';';
        char *kept = fresh(strlen(name) + 1);
        strcpy(kept, name);
        bool list = strchr(name, 's') && strcmp(name, "transA") != 0 && strcmp(name, "transB") != 0;
        if (list) {
            add_ints(node, kept, values, count);
        } else {
            add_int(node, kept, values[0]);
        }
    }
}

static OctetGraph *make_graph(const Layer *layer) {
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *graph = model->graph;
    int64_t weights = elements(layer->weight);
    uint8_t *bytes = fresh((size_t)weights);
    uint8_t input_zero = (uint8_t)layer->input_zero_point;
    uint8_t weight_zero = (uint8_t)layer->weight_zero_point, output_zero = 101;
    fill_bytes(bytes, (size_t)weights, 3);
    add_input(graph, "x", OCTET_F32, layer->input);
    add_scalar_f32(graph, "xs", 0.02f);
    add_tensor(graph, "xz", OCTET_U8, "", &input_zero, 1);
    add_node(graph, "QuantizeLinear", "x xs xz", "xq");
    add_node(graph, "DequantizeLinear", "xq xs xz", "xr");
    add_tensor(graph, "w", (int32_t)layer->weight_dtype, layer->weight, bytes, (size_t)weights);
    add_scalar_f32(graph, "ws", 0.003f);
    add_tensor(graph, "wz", (int32_t)layer->weight_dtype, "", &weight_zero, 1);
    add_node(graph, "DequantizeLinear", "w ws wz", "wr");
    if (layer->bias) {
        int32_t *bias = fresh((size_t)layer->bias * sizeof *bias);
        char *dims = fresh(24);
        for (int64_t i = 0; i < layer->bias; i++) {
            bias[i] = (int32_t)(i * 7919 % 20001) - 10000;
        }
        snprintf(dims, 24, "%lld", (long long)layer->bias);
        add_tensor(graph, "b", OCTET_S32, dims, bias, (size_t)layer->bias * sizeof *bias);
        add_scalar_f32(graph, "bs", 0.02f * 0.003f);
        add_node(graph, "DequantizeLinear", "b bs", "br");
    }
    Onnx__NodeProto *node = add_node(graph, layer->op, layer->bias ? "xr wr br" : "xr wr", "o");
    node->name = (char *)"layer";
    add_attributes(node, layer->ints);
    add_scalar_f32(graph, "os", 0.11f);
    add_tensor(graph, "oz", OCTET_U8, "", &output_zero, 1);
    add_node(graph, "QuantizeLinear", "o os oz", "oq");
    add_node(graph, "DequantizeLinear", "oq os oz", "y");
    add_output(graph, "y", OCTET_F32, layer->output);
    OctetGraph *loaded = load_model(model);
    empty_pool();
    return loaded;
}

static void expect_pixels(const OctetGraph *graph, const OctetTensor *x, const OctetTensor *y,
                          OctetRequantize mode) {
    const OctetNode *node = octet_graph_find_node(graph, "layer");
    bool product = strcmp(node->op_type, "MatMul") == 0;
    int32_t axis = y->shape.rank > 2 && !product ? 1 : y->shape.rank - 1;
    for (int64_t i = 0; i < (int64_t)y->bytes; i++) {
        int64_t position[OCTET_MAX_RANK], rest = i;
        OctetPixelExplanation pixel;
        OctetDiagnostic diagnostic = {0};
        for (int32_t k = y->shape.rank - 1; k >= 0; k--) {
            position[k] = rest % y->shape.dims[k];
            rest /= y->shape.dims[k];
        }
        int64_t channel = position[axis];
        position[axis] = -1; /* not looked at */
        OctetStatus status =
            octet_explain_pixel(node, NULL, mode, x, channel, position, &pixel, &diagnostic);
        if (status != OCTET_OK) {
            print_error("%s\n", diagnostic.message);
        }
        assert_int_equal(status, OCTET_OK);
        assert_int_equal(pixel.position[axis], channel);
        assert_int_equal(pixel.channel.example_output, ((const uint8_t *)y->data)[i]);
        int64_t sum = 0;
        for (int64_t k = 0; k < pixel.count; k++) {
            sum += (int64_t)(pixel.inputs[k] - pixel.channel.input_zero_point) *
                   (pixel.weights[k] - pixel.channel.weight_zero_point);
        }
        assert_int_equal(sum, pixel.channel.example_accumulator);
        octet_pixel_clear(&pixel);
    }
}

static OctetTensor *make_input(const OctetGraph *graph) {
    OctetTensor *x;
    OctetShape shape = octet_value_shape(octet_graph_input_at(graph, 0));
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &x, NULL), OCTET_OK);
    for (size_t i = 0; i < x->bytes / sizeof(float); i++) {
        ((float *)x->data)[i] = (float)((int)(i * 7919 % 255) - 100) * 0.02f;
    }
    return x;
}

static void outputs_are_what_sessions_compute(void **state) {
    (void)state;
    static const Layer layers[] = {
        {"Conv", "2,4,7,6", "6,2,3,2", "2,6,4,4", 6, OCTET_S8, 0, 90,
         "strides 2 2; pads 1 1 1 1; group 2"},
        {"Conv", "1,3,9,8", "5,3,3,3", "1,5,5,4", 5, OCTET_U8, 131, 0, "dilations 2 2"},
        {"Conv", "1,4,11", "4,1,3", "1,4,9", 0, OCTET_S8, -3, 7, "group 4"},
        {"Conv", "1,2,4,5,3", "3,2,2,2,2", "1,3,3,4,2", 3, OCTET_S8, 0, 128, ""},
        {"ConvTranspose", "1,4,3,4", "4,3,3,2", "1,6,6,7", 6, OCTET_S8, 0, 90,
         "strides 2 2; pads 1 1 0 0; group 2"},
        {"Gemm", "3,20", "20,7", "3,7", 7, OCTET_S8, 0, 90, ""},
        {"Gemm", "3,20", "7,20", "3,7", 7, OCTET_U8, 100, 90, "transB 1"},
        {"MatMul", "2,3,20", "20,7", "2,3,7", 0, OCTET_S8, 0, 5, ""},
    };
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        OctetGraph *graph = make_graph(&layers[i]);
        OctetTensor *x = make_input(graph);
        for (int mode = 0; mode <= OCTET_REQUANTIZE_TFLITE_SINGLE; mode++) {
            const OctetSessionOptions options = {.requantize = (OctetRequantize)mode,
                                                 .int8_outputs = true};
            OctetSession *session;
            const OctetTensor *y;
            assert_int_equal(octet_session_create(graph, &options, &session, NULL), OCTET_OK);
            assert_int_equal(octet_session_run(session, (const OctetTensor *[]){x}, 1, &y, 1, NULL),
                             OCTET_OK);
            assert_int_equal(y->dtype, OCTET_U8);
            expect_pixels(graph, x, y, (OctetRequantize)mode);
            octet_session_free(session);
        }
        octet_tensor_free(x);
        octet_graph_free(graph);
    }
}

static void the_middle_is_the_default(void **state) {
    (void)state;
    const Layer layer = {"Conv", "2,3,9,8", "5,3,3,3", "2,5,7,6", 0, OCTET_S8, 0, 9, ""};
    OctetGraph *graph = make_graph(&layer);
    OctetTensor *x = make_input(graph);
    OctetPixelExplanation pixel;
    const OctetNode *node = octet_graph_find_node(graph, "layer");
    assert_int_equal(
        octet_explain_pixel(node, NULL, OCTET_REQUANTIZE_ONNX, x, 4, NULL, &pixel, NULL), OCTET_OK);
    static const int64_t expected[] = {0, 4, 3, 3};
    assert_int_equal(pixel.rank, 4);
    assert_memory_equal(pixel.position, expected, sizeof expected);
    assert_int_equal(pixel.count, 27);
    octet_pixel_clear(&pixel);
    octet_tensor_free(x);
    octet_graph_free(graph);
}

static void wrong_places_are_errors(void **state) {
    (void)state;
    const Layer layer = {"Conv", "1,3,9,8", "5,3,3,3", "1,5,7,6", 0, OCTET_S8, 0, 9, ""};
    OctetGraph *graph = make_graph(&layer);
    OctetTensor *x = make_input(graph), *other;
    OctetPixelExplanation pixel;
    OctetDiagnostic diagnostic = {0};
    const OctetNode *node = octet_graph_find_node(graph, "layer");
    const int64_t outside[] = {0, 0, 7, 0};
    assert_int_equal(
        octet_explain_pixel(node, NULL, OCTET_REQUANTIZE_ONNX, x, 0, outside, &pixel, &diagnostic),
        OCTET_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(diagnostic.message, "1x5x7x6"));
    assert_int_equal(
        octet_explain_pixel(node, NULL, OCTET_REQUANTIZE_ONNX, x, 5, NULL, &pixel, &diagnostic),
        OCTET_ERROR_INVALID_ARGUMENT);
    OctetShape shape = {4, {1, 4, 9, 8}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &other, NULL), OCTET_OK);
    assert_int_equal(
        octet_explain_pixel(node, NULL, OCTET_REQUANTIZE_ONNX, other, 0, NULL, &pixel, &diagnostic),
        OCTET_ERROR_SHAPE);
    octet_tensor_free(other);
    assert_int_equal(octet_tensor_create(OCTET_S8, &shape, &other, NULL), OCTET_OK);
    assert_int_equal(
        octet_explain_pixel(node, NULL, OCTET_REQUANTIZE_ONNX, other, 0, NULL, &pixel, &diagnostic),
        OCTET_ERROR_INVALID_ARGUMENT);
    octet_tensor_free(other);
    octet_tensor_free(x);
    octet_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(outputs_are_what_sessions_compute),
        cmocka_unit_test(the_middle_is_the_default),
        cmocka_unit_test(wrong_places_are_errors),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
