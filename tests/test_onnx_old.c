/* Files of opsets 1 to 6, and operators that exporters wrote without ONNX's consent: what they
 * compute, and that they are written as newer ones. */
#include "onnx_models.h"

#include "ir/graph.h"
#include "octet/octet.h"

#include <math.h>

enum { C = 3, H = 4, W = 2, COUNT = C * H * W };

static float x_at(int i) {
    return (float)(i * 7 % 11 - 5) / 2;
}

static Onnx__ModelProto *old_model(int64_t opset) {
    Onnx__ModelProto *model = new_model(opset);
    model->has_ir_version = 0; /* such files may lack it */
    add_input(model->graph, "x", OCTET_F32, "1,3,4,2");
    add_output(model->graph, "y", OCTET_F32, NULL);
    return model;
}

static void run(const OctetGraph *graph, float *y, size_t count) {
    OctetSession *session;
    OctetTensor *input;
    const OctetTensor *output;
    OctetDiagnostic diagnostic = {0};
    OctetShape shape = {.rank = 4, .dims = {1, C, H, W}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &input, NULL), OCTET_OK);
    for (int i = 0; i < COUNT; i++) {
        ((float *)input->data)[i] = x_at(i);
    }
    assert_int_equal(octet_session_create(graph, NULL, &session, &diagnostic), OCTET_OK);
    OctetStatus status =
        octet_session_run(session, (const OctetTensor *[]){input}, 1, &output, 1, &diagnostic);
    if (status != OCTET_OK) {
        print_error("%s\n", diagnostic.message);
    }
    assert_int_equal(status, OCTET_OK);
    assert_int_equal(output->dtype, OCTET_F32);
    assert_int_equal(output->bytes, count * sizeof *y);
    memcpy(y, output->data, output->bytes);
    octet_session_free(session);
    octet_tensor_free(input);
}

/* As it is read, and as it is read from what was written. */
static void expect(const Onnx__ModelProto *model, const float *expected, size_t count) {
    static char path[] = "/tmp/octet-old-XXXXXX";
    float y[256];
    OctetGraph *graph;
    OctetGraph *back;
    OctetDiagnostic diagnostic;
    OctetStatus status = try_load(model, false, &graph, &diagnostic);
    if (status != OCTET_OK) {
        print_error("%s\n", diagnostic.message);
    }
    assert_int_equal(status, OCTET_OK);
    strcpy(path, "/tmp/octet-old-XXXXXX");
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(octet_model_save(graph, path, NULL, &diagnostic), OCTET_OK);
    assert_int_equal(octet_model_load(path, NULL, &back, &diagnostic), OCTET_OK);
    assert_true(oct_graph_opset(back, "") >= 7);
    for (int i = 0; i < back->node_count; i++) {
        assert_null(oct_node_attribute(back->nodes[i], "consumed_inputs"));
    }
    for (int k = 0; k < 2; k++) {
        run(k ? back : graph, y, count);
        for (size_t i = 0; i < count; i++) {
            assert_true(fabsf(y[i] - expected[i]) <= 1e-6f * (1 + fabsf(expected[i])));
        }
    }
    octet_graph_free(back);
    octet_graph_free(graph);
    remove(path);
    empty_pool();
}

static void add_vector(Onnx__GraphProto *g, const char *name, size_t count, float step) {
    float numbers[COUNT];
    char dims[16];
    snprintf(dims, sizeof dims, "%zu", count);
    for (size_t i = 0; i < count; i++) {
        numbers[i] = 1 + step * (float)i;
    }
    add_tensor(g, name, OCTET_F32, dims, numbers, count * sizeof *numbers);
}

/* An operand that stands along one axis, in the middle or at the front. */
static void broadcasting_along_an_axis(void **state) {
    (void)state;
    static const char *const types[] = {"Add", "Sub", "Mul", "Div"};
    float expected[COUNT];
    for (int t = 0; t < 4; t++) {
        for (int64_t axis = 1; axis < 4; axis++) {
            Onnx__ModelProto *model = old_model(t < 2 ? 6 : 1);
            Onnx__GraphProto *g = model->graph;
            /* a layer between, whose rank has to be known without shapes */
            add_node(g, "Identity", "x", "h");
            add_vector(g, "b", axis == 1 ? C : axis == 2 ? H : W, 0.5f);
            Onnx__NodeProto *node = add_node(g, types[t], "h b", "y");
            add_int(node, "broadcast", 1);
            add_int(node, "axis", axis);
            for (int i = 0; i < COUNT; i++) {
                int at = axis == 1 ? i / (H * W) : axis == 2 ? i / W % H : i % W;
                float a = x_at(i), b = 1 + 0.5f * (float)at;
                expected[i] = (float[]){a + b, a - b, a * b, a / b}[t];
            }
            expect(model, expected, COUNT);
        }
    }
    Onnx__ModelProto *model = old_model(6);
    add_vector(model->graph, "b", 3, 1);
    Onnx__NodeProto *node = add_node(model->graph, "Add", "x b", "y");
    add_int(node, "broadcast", 1);
    add_int(node, "axis", 9);
    expect_failure(model, OCTET_ERROR_SHAPE, "has an axis outside its input");
    empty_pool();
}

static void consumed(Onnx__NodeProto *node) {
    add_ints(node, "consumed_inputs", (int64_t[]){0}, 1);
}

static void chains_of_the_first_opset(void **state) {
    (void)state;
    float expected[COUNT];
    Onnx__ModelProto *model = old_model(1);
    Onnx__GraphProto *g = model->graph;
    add_vector(g, "slope", C, 0.25f);
    consumed(add_node(g, "PRelu", "x slope", "a"));
    Onnx__NodeProto *clip = add_node(g, "Clip", "a", "b");
    add_float(clip, "min", -1);
    add_float(clip, "max", 2);
    consumed(clip);
    add_string(add_node(g, "Cast", "b", "i"), "to", "INT32");
    add_string(add_node(g, "Cast", "i", "f"), "to", "FLOAT");
    Onnx__NodeProto *drop = add_node(g, "Dropout", "f", "d");
    add_int(drop, "is_test", 1);
    add_float(drop, "ratio", 0.5f);
    add_ints(add_node(g, "Reshape", "d", "y"), "shape", (int64_t[]){0, -1}, 2);
    for (int i = 0; i < COUNT; i++) {
        float a = x_at(i) < 0 ? x_at(i) * (1 + 0.25f * (float)(i / (H * W))) : x_at(i);
        expected[i] = truncf(fmaxf(fminf(a, 2), -1));
    }
    expect(model, expected, COUNT);
}

static void batch_normalization(void **state) {
    (void)state;
    float expected[COUNT];
    for (int places = 0; places < 2; places++) { /* a parameter for each place of a channel */
        Onnx__ModelProto *model = old_model(places ? 7 : 6);
        Onnx__GraphProto *g = model->graph;
        static const char *const names[] = {"scale", "shift", "mean", "variance"};
        for (int k = 0; k < 4; k++) {
            add_vector(g, names[k], places ? COUNT : C, 0.125f * (float)(k + 1));
        }
        Onnx__NodeProto *node =
            add_node(g, "BatchNormalization", "x scale shift mean variance", "y");
        if (places) {
            add_int(node, "spatial", 0);
            for (int k = 0; k < 4; k++) {
                g->initializer[k]->n_dims = 3;
                g->initializer[k]->dims = fresh(3 * sizeof(int64_t));
                memcpy(g->initializer[k]->dims, (int64_t[]){C, H, W}, 3 * sizeof(int64_t));
            }
        } else {
            add_int(node, "is_test", 1);
        }
        for (int i = 0; i < COUNT; i++) {
            float at = (float)(places ? i : i / (H * W));
            expected[i] =
                (x_at(i) - (1 + 0.375f * at)) / sqrtf(1 + 0.5f * at + 1e-5f) * (1 + 0.125f * at) +
                (1 + 0.25f * at);
        }
        expect(model, expected, COUNT);
    }
}

static void tiling_and_magnifying(void **state) {
    (void)state;
    float expected[4 * COUNT];
    Onnx__ModelProto *model = old_model(1);
    add_scalar_f32(model->graph, "times", 2);
    add_scalar_f32(model->graph, "axis", 1);
    add_node(model->graph, "Tile", "x times axis", "y");
    for (int i = 0; i < 2 * COUNT; i++) {
        expected[i] = x_at(i % COUNT);
    }
    expect(model, expected, 2 * COUNT);
    model = old_model(1);
    Onnx__NodeProto *up = add_node(model->graph, "Upsample", "x", "y");
    add_float(up, "height_scale", 2);
    add_float(up, "width_scale", 2);
    for (int i = 0; i < 4 * COUNT; i++) {
        int c = i / (4 * H * W), h = i / (2 * W) % (2 * H), w = i % (2 * W);
        expected[i] = x_at((c * H + h / 2) * W + w / 2);
    }
    expect(model, expected, 4 * COUNT);
}

static void gemm_and_concat(void **state) {
    (void)state;
    Onnx__ModelProto *model = old_model(1);
    Onnx__GraphProto *g = model->graph;
    float weights[COUNT], expected[2] = {0.75f, 0.75f};
    for (int i = 0; i < COUNT; i++) {
        weights[i] = (float)(i % 5) / 4;
        expected[0] += x_at(i) * weights[i];
    }
    expected[1] = expected[0];
    add_tensor(g, "w", OCTET_F32, "24,1", weights, sizeof weights);
    add_tensor(g, "b", OCTET_F32, "1", (float[]){0.75f}, 4);
    add_node(g, "Flatten", "x", "f");
    add_int(add_node(g, "Gemm", "f w b", "a"), "broadcast", 1);
    add_node(g, "Concat", "a a", "y"); /* along axis 1, unless it says otherwise */
    expect(model, expected, 2);
}

static void operators_of_other_exporters(void **state) {
    (void)state;
    float expected[COUNT];
    Onnx__ModelProto *model = old_model(7);
    Onnx__GraphProto *g = model->graph;
    Onnx__NodeProto *node = add_node(g, "ImageScaler", "x", "a");
    add_float(node, "scale", 0.5f);
    Onnx__AttributeProto *bias = add_attribute(node, "bias", 6);
    bias->n_floats = C;
    bias->floats = fresh(C * sizeof(float));
    memcpy(bias->floats, (float[]){1, 2, 3}, C * sizeof(float));
    node = add_node(g, "Affine", "a", "b");
    add_float(node, "alpha", 2);
    add_float(node, "beta", -1);
    node = add_node(g, "ScaledTanh", "b", "c");
    add_float(node, "alpha", 1.5f);
    add_float(node, "beta", 0.25f);
    node = add_node(g, "ConstantFill", "c", "two");
    add_float(node, "value", 2);
    add_node(g, "Mul", "c two", "d");
    node = add_node(g, "Crop", "d", "y");
    add_ints(node, "border", (int64_t[]){1, 1, 0, 2}, 4); /* left, top, right, bottom */
    int count = 0;
    for (int i = 0; i < COUNT; i++) {
        float a = 2 * (0.5f * x_at(i) + (float)(1 + i / (H * W))) - 1;
        int h = i / W % H, w = i % W;
        if (h >= 1 && h < H - 2 && w >= 1) {
            expected[count++] = 2 * 1.5f * tanhf(0.25f * a);
        }
    }
    assert_int_equal(count, C);
    expect(model, expected, (size_t)count);
}

/* What no rewriting helps is said plainly. */
static void others_are_named(void **state) {
    (void)state;
    Onnx__ModelProto *model = old_model(9);
    add_opset(model, "ai.onnx.ml", 2);
    add_node(model->graph, "Scaler", "x", "a")->domain = (char *)"ai.onnx.ml";
    add_node(model->graph, "ATen", "a", "y")->domain = (char *)"org.pytorch.aten";
    expect_failure(model, OCTET_ERROR_UNSUPPORTED, "operator ai.onnx.ml.Scaler of opset 2");
    expect_failure(model, OCTET_ERROR_UNSUPPORTED, "operator org.pytorch.aten.ATen of opset 1");
    empty_pool();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(broadcasting_along_an_axis),
        cmocka_unit_test(chains_of_the_first_opset),
        cmocka_unit_test(batch_normalization),
        cmocka_unit_test(tiling_and_magnifying),
        cmocka_unit_test(gemm_and_concat),
        cmocka_unit_test(operators_of_other_exporters),
        cmocka_unit_test(others_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
