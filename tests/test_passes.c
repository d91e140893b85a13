/* Each pass on a small graph: what is left, and that running gives the same numbers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "ir/op.h"
#include "octet/octet.h"
#include "passes/passes.h"

static OctetDiagnostic diagnostic;

static OctetValue *constant(OctetGraph *graph, const char *name, OctetDType dtype, OctetShape shape,
                            const void *data, size_t bytes) {
    OctetTensor *tensor;
    assert_int_equal(octet_tensor_create(dtype, &shape, &tensor, NULL), OCTET_OK);
    assert_int_equal(tensor->bytes, bytes);
    memcpy(tensor->data, data, bytes);
    OctetValue *value = octet_graph_constant(graph, name, tensor);
    octet_tensor_free(tensor);
    assert_non_null(value);
    return value;
}

static void finish(OctetGraph *graph) {
    memset(&diagnostic, 0, sizeof diagnostic);
    OctetStatus status = octet_graph_finish(graph, &diagnostic);
    if (status != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
}

static void apply(OctPass pass, OctetGraph *graph) {
    memset(&diagnostic, 0, sizeof diagnostic);
    OctetStatus status = oct_pass_run(pass, graph, &diagnostic);
    if (status == OCTET_OK) {
        status = oct_graph_verify(graph, &diagnostic);
    }
    if (status != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
}

/* Runs a network of one input and output on counted-up numbers; the caller frees. */
static OctetTensor *run(const OctetGraph *graph, OctetShape shape) {
    OctetSession *session;
    OctetTensor *input;
    OctetTensor *copy;
    const OctetTensor *output;
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &input, NULL), OCTET_OK);
    for (size_t i = 0; i < input->bytes / sizeof(float); i++) {
        ((float *)input->data)[i] = (float)((int)(i * 7 % 23) - 11) * 0.25f;
    }
    memset(&diagnostic, 0, sizeof diagnostic);
    OctetStatus status = octet_session_create(graph, NULL, &session, &diagnostic);
    if (status == OCTET_OK) {
        status =
            octet_session_run(session, (const OctetTensor *[]){input}, 1, &output, 1, &diagnostic);
    }
    if (status != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    assert_int_equal(octet_tensor_copy(output, &copy, NULL), OCTET_OK);
    octet_session_free(session);
    octet_tensor_free(input);
    return copy;
}

static void assert_close(const OctetTensor *a, const OctetTensor *b) {
    assert_true(octet_shape_equal(&a->shape, &b->shape));
    for (size_t i = 0; i < a->bytes / sizeof(float); i++) {
        float x = ((const float *)a->data)[i];
        float y = ((const float *)b->data)[i];
        if (fabsf(x - y) > 4e-6f * (1 + fabsf(x))) {
            fail_msg("element %zu: %g is not %g", i, (double)x, (double)y);
        }
    }
}

static int count_nodes(const OctetGraph *graph, const char *op_type) {
    int count = 0;
    for (size_t i = 0; i < octet_graph_node_count(graph); i++) {
        count += strcmp(octet_node_op_type(octet_graph_node_at(graph, i)), op_type) == 0;
    }
    return count;
}

static OctetValue *conv(OctetGraph *graph, OctetValue *x, bool with_bias) {
    static float weight[4 * 3 * 3 * 3];
    static const float bias[4] = {0.5f, -1, 2, 0.25f};
    for (size_t i = 0; i < sizeof weight / sizeof weight[0]; i++) {
        weight[i] = (float)((int)(i * 5 % 17) - 8) * 0.125f;
    }
    OctetConvOptions options = {.out_channels = 4, .kernel = {3, 3}, .padding = {1, 1}};
    return octet_graph_conv(graph, "conv", x, &options, weight, with_bias ? bias : NULL);
}

static OctetValue *batch_norm(OctetGraph *graph, OctetValue *x) {
    static const float scale[4] = {1.5f, 0.5f, -1, 2}, shift[4] = {0.25f, 0, 1, -2};
    static const float mean[4] = {0.5f, -0.25f, 0, 3}, variance[4] = {0.5f, 1, 2, 0.01f};
    OctetShape shape = {1, {4}};
    OctetValue *inputs[5] = {
        x, constant(graph, "scale", OCTET_F32, shape, scale, sizeof scale),
        constant(graph, "shift", OCTET_F32, shape, shift, sizeof shift),
        constant(graph, "mean", OCTET_F32, shape, mean, sizeof mean),
        constant(graph, "variance", OCTET_F32, shape, variance, sizeof variance)};
    return octet_graph_operator(graph, "BatchNormalization", "norm", inputs, 5);
}

static const OctetShape image = {4, {1, 3, 5, 5}};

static void folds_batch_norm_into_conv(void **state) {
    (void)state;
    for (int with_bias = 0; with_bias < 2; with_bias++) {
        OctetGraph *graph = octet_graph_create();
        OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
        octet_graph_output(graph, batch_norm(graph, conv(graph, x, with_bias)), "y");
        finish(graph);
        OctetTensor *before = run(graph, image);
        apply(oct_pass_fold_batch_norm, graph);
        assert_int_equal(octet_graph_node_count(graph), 1);
        assert_string_equal(octet_value_name(octet_graph_output_at(graph, 0)), "y");
        OctetTensor *after = run(graph, image);
        assert_close(before, after);
        octet_tensor_free(before);
        octet_tensor_free(after);
        octet_graph_free(graph);
    }
}

static void leaves_batch_norm_of_a_shared_conv(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *y = conv(graph, octet_graph_input(graph, "x", OCTET_F32, &image), true);
    octet_graph_output(graph, octet_graph_add(graph, "sum", batch_norm(graph, y), y), "z");
    finish(graph);
    apply(oct_pass_fold_batch_norm, graph);
    assert_int_equal(count_nodes(graph, "BatchNormalization"), 1);
    octet_graph_free(graph);
}

static void turns_matmul_and_add_into_gemm(void **state) {
    (void)state;
    const float matrix[6] = {1, 2, 3, 4, 5, 6}, vector[2] = {0.5f, -0.5f};
    OctetShape shape = {2, {4, 3}};
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    OctetValue *w = constant(graph, "w", OCTET_F32, (OctetShape){2, {3, 2}}, matrix, sizeof matrix);
    OctetValue *b = constant(graph, "b", OCTET_F32, (OctetShape){1, {2}}, vector, sizeof vector);
    OctetValue *product = octet_graph_operator(graph, "MatMul", "m", (OctetValue *[]){x, w}, 2);
    octet_graph_output(graph, octet_graph_add(graph, "a", product, b), "y");
    finish(graph);
    OctetTensor *before = run(graph, shape);
    apply(oct_pass_matmul_to_gemm, graph);
    apply(oct_pass_fold_batch_norm, graph);
    assert_int_equal(octet_graph_node_count(graph), 1);
    assert_int_equal(count_nodes(graph, "Gemm"), 1);
    OctetTensor *after = run(graph, shape);
    assert_close(before, after);
    octet_tensor_free(before);
    octet_tensor_free(after);
    octet_graph_free(graph);
}

static void fuses_relu_and_clip(void **state) {
    (void)state;
    const float low = -1, high = 1.5f;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetValue *bounds[2] = {
        constant(graph, "low", OCTET_F32, (OctetShape){0, {0}}, &low, sizeof low),
        constant(graph, "high", OCTET_F32, (OctetShape){0, {0}}, &high, sizeof high)};
    OctetValue *y = octet_graph_relu(graph, "relu", conv(graph, x, true));
    OctetValue *z =
        octet_graph_operator(graph, "Clip", "clip", (OctetValue *[]){y, bounds[0], bounds[1]}, 3);
    octet_graph_output(graph, z, "z");
    finish(graph);
    OctetTensor *before = run(graph, image);
    apply(oct_pass_fuse_activations, graph);
    assert_int_equal(octet_graph_node_count(graph), 1);
    const OctNode *node = octet_graph_node_at(graph, 0);
    assert_true(node->activation.minimum == 0 && node->activation.maximum == 1.5f);
    OctetTensor *after = run(graph, image);
    assert_close(before, after);
    octet_tensor_free(before);
    octet_tensor_free(after);
    octet_graph_free(graph);
}

static void keeps_relu_whose_input_is_seen(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *y = conv(graph, octet_graph_input(graph, "x", OCTET_F32, &image), true);
    octet_graph_output(graph, octet_graph_relu(graph, "relu", y), "z");
    octet_graph_output(graph, y, "y");
    finish(graph);
    apply(oct_pass_fuse_activations, graph);
    assert_int_equal(count_nodes(graph, "Relu"), 1);
    octet_graph_free(graph);
}

/* reshape(x, concat(shape(x)[0:1], [-1])), as exporters write x.flatten(1). */
static void folds_shape_chains(void **state) {
    (void)state;
    const int64_t zero = 0, minus_one = -1;
    OctetShape one = {1, {1}};
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetValue *shape = octet_graph_operator(graph, "Shape", "shape", &x, 1);
    OctetValue *index = constant(graph, "zero", OCTET_S64, (OctetShape){0, {0}}, &zero, 8);
    OctetValue *axes = constant(graph, "axes", OCTET_S64, one, &zero, 8);
    OctetValue *rest = constant(graph, "rest", OCTET_S64, one, &minus_one, 8);
    OctetValue *batch =
        octet_graph_operator(graph, "Gather", "gather", (OctetValue *[]){shape, index}, 2);
    OctetValue *list =
        octet_graph_operator(graph, "Unsqueeze", "unsqueeze", (OctetValue *[]){batch, axes}, 2);
    OctetValue *target =
        octet_graph_operator(graph, "Concat", "concat", (OctetValue *[]){list, rest}, 2);
    octet_graph_set_int(graph, target, "axis", 0);
    OctetValue *flat =
        octet_graph_operator(graph, "Reshape", "reshape", (OctetValue *[]){x, target}, 2);
    octet_graph_output(graph, octet_graph_relu(graph, "relu", flat), "y");
    finish(graph);
    apply(oct_pass_fold_constants, graph);
    apply(oct_pass_remove_dead, graph);
    assert_int_equal(octet_graph_node_count(graph), 2);
    assert_int_equal(octet_graph_output_at(graph, 0)->shape.dims[1], 75);
    octet_graph_free(graph);
}

static void removes_identities(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetValue *a = octet_graph_operator(graph, "Identity", "i", &x, 1);
    OctetValue *b = octet_graph_operator(graph, "Dropout", "d", &a, 1);
    OctetValue *c = octet_graph_relu(graph, "relu", b);
    octet_graph_output(graph, octet_graph_operator(graph, "Identity", "last", &c, 1), "y");
    finish(graph);
    apply(oct_pass_remove_identities, graph);
    assert_int_equal(octet_graph_node_count(graph), 1);
    assert_string_equal(octet_value_name(octet_graph_output_at(graph, 0)), "y");
    octet_graph_free(graph);
}

static void keeps_an_identity_from_input_to_output(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    octet_graph_output(graph, octet_graph_operator(graph, "Identity", "i", &x, 1), "y");
    finish(graph);
    apply(oct_pass_remove_identities, graph);
    assert_int_equal(octet_graph_node_count(graph), 1);
    octet_graph_free(graph);
}

/* Identities in a row between a Relu and outputs: the first output that can takes the Relu's place
 * under its own name, the others stay. */
static void removes_identities_in_a_row(void **state) {
    (void)state;
    enum { MANY = 2000, OUTPUTS = 3 };
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetValue *last = octet_graph_relu(graph, "relu", x);
    for (int i = 0; i < MANY; i++) {
        last = octet_graph_operator(graph, "Identity", NULL, &last, 1);
    }
    OctetValue *other = octet_graph_operator(graph, "Exp", "exp", &last, 1);
    octet_graph_output(graph, other, "e");
    for (int i = 0; i < OUTPUTS; i++) {
        char name[16];
        snprintf(name, sizeof name, "y%d", i);
        octet_graph_output(graph, octet_graph_operator(graph, "Identity", NULL, &last, 1), name);
    }
    finish(graph);
    apply(oct_pass_remove_identities, graph);
    /* Relu, Exp, and the Identities of all outputs but the first */
    assert_int_equal(octet_graph_node_count(graph), 1 + OUTPUTS);
    assert_string_equal(graph->outputs[0]->name, "e");
    for (int i = 0; i < OUTPUTS; i++) {
        const OctNode *producer = graph->outputs[1 + i]->producer;
        char name[16];
        snprintf(name, sizeof name, "y%d", i);
        assert_string_equal(graph->outputs[1 + i]->name, name);
        assert_ptr_equal(oct_graph_find_value(graph, name), graph->outputs[1 + i]);
        assert_string_equal(producer->op_type, i == 0 ? "Relu" : "Identity");
        assert_true(i == 0 || producer->inputs[0] == graph->outputs[1]);
    }
    assert_ptr_equal(oct_graph_find_node(graph, "exp")->inputs[0], graph->outputs[1]);
    octet_graph_free(graph);
}

/* What a branch takes from outside and gives on as its own output stays. */
static void keeps_an_identity_that_a_branch_gives_on(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetValue *c = octet_graph_input(graph, "c", OCTET_BOOL, &(OctetShape){.rank = 0});
    OctetValue *relu = octet_graph_relu(graph, "relu", x);
    OctetValue *direct = octet_graph_operator(graph, "Identity", "direct", &relu, 1);
    OctetValue *used = octet_graph_operator(graph, "Identity", "used", &relu, 1);
    OctValue *y = octet_graph_operator(graph, "If", "if", &c, 1);
    OctGraph *then = oct_graph_create_child(graph);
    OctGraph *other = oct_graph_create_child(graph);
    OctValue *inner = oct_graph_add_value(other, "inner");
    assert_non_null(oct_graph_add_node(other, "Exp", "", "inner", &used, 1, &inner, 1));
    assert_true(oct_graph_add_output(then, direct) && oct_graph_add_output(other, inner));
    assert_true(oct_node_set_graph(graph, y->producer, "then_branch", then) &&
                oct_node_set_graph(graph, y->producer, "else_branch", other));
    octet_graph_output(graph, y, "y");
    apply(oct_pass_remove_identities, graph);
    assert_non_null(oct_graph_find_node(graph, "direct"));
    assert_null(oct_graph_find_node(graph, "used"));
    assert_ptr_equal(then->outputs[0], direct);
    assert_ptr_equal(other->nodes[0]->inputs[0], relu);
    octet_graph_free(graph);
}

static void merges_what_is_computed_twice(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetValue *a = octet_graph_relu(graph, "a", x);
    OctetValue *b = octet_graph_relu(graph, "b", x);
    octet_graph_output(graph, octet_graph_add(graph, "sum", a, b), "y");
    finish(graph);
    OctetTensor *before = run(graph, image);
    apply(oct_pass_merge_common, graph);
    assert_int_equal(octet_graph_node_count(graph), 2);
    OctetTensor *after = run(graph, image);
    assert_close(before, after);
    octet_tensor_free(before);
    octet_tensor_free(after);
    octet_graph_free(graph);
}

static void does_not_merge_what_differs(void **state) {
    (void)state;
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetValue *a = octet_graph_operator(graph, "LeakyRelu", "a", &x, 1);
    OctetValue *b = octet_graph_operator(graph, "LeakyRelu", "b", &x, 1);
    octet_graph_set_float(graph, a, "alpha", 0.1f);
    octet_graph_set_float(graph, b, "alpha", 0.2f);
    octet_graph_output(graph, octet_graph_add(graph, "sum", a, b), "y");
    finish(graph);
    apply(oct_pass_merge_common, graph);
    assert_int_equal(octet_graph_node_count(graph), 3);
    octet_graph_free(graph);
}

static void moves_pads_into_the_conv(void **state) {
    (void)state;
    const int64_t pads[8] = {0, 0, 1, 2, 0, 0, 0, 1};
    OctetGraph *graph = octet_graph_create();
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &image);
    OctetValue *amounts =
        constant(graph, "pads", OCTET_S64, (OctetShape){1, {8}}, pads, sizeof pads);
    OctetValue *padded = octet_graph_operator(graph, "Pad", "pad", (OctetValue *[]){x, amounts}, 2);
    padded->dtype = OCTET_F32;
    padded->shape = (OctetShape){4, {1, 3, 6, 8}};
    octet_graph_output(graph, conv(graph, padded, true), "y");
    finish(graph);
    OctetTensor *before = run(graph, image);
    apply(oct_pass_fold_pads, graph);
    apply(oct_pass_remove_dead, graph);
    assert_int_equal(octet_graph_node_count(graph), 1);
    OctetTensor *after = run(graph, image);
    assert_close(before, after);
    octet_tensor_free(before);
    octet_tensor_free(after);
    octet_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(folds_batch_norm_into_conv),
        cmocka_unit_test(leaves_batch_norm_of_a_shared_conv),
        cmocka_unit_test(turns_matmul_and_add_into_gemm),
        cmocka_unit_test(fuses_relu_and_clip),
        cmocka_unit_test(keeps_relu_whose_input_is_seen),
        cmocka_unit_test(folds_shape_chains),
        cmocka_unit_test(removes_identities),
        cmocka_unit_test(removes_identities_in_a_row),
        cmocka_unit_test(keeps_an_identity_that_a_branch_gives_on),
        cmocka_unit_test(keeps_an_identity_from_input_to_output),
        cmocka_unit_test(merges_what_is_computed_twice),
        cmocka_unit_test(does_not_merge_what_differs),
        cmocka_unit_test(moves_pads_into_the_conv),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
