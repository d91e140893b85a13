/* Sequences of tensors and optional values, from the caller's tensors to the caller's tensors. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ir/op.h"
#include "octet/octet.h"

static const OctetShape scalar = {.rank = 0};
static const OctetShape unknown = {.rank = -1};

static OctetShape vector_shape(int64_t count) {
    return (OctetShape){.rank = 1, .dims = {count}};
}

static OctValue *named_input(OctGraph *graph, const char *name, OctetDType dtype, uint32_t kind,
                             const OctetShape *shape) {
    OctValue *value = oct_graph_add_value(graph, name);
    assert_non_null(value);
    value->dtype = dtype;
    value->kind = kind;
    value->shape = *shape;
    assert_true(oct_graph_add_input(graph, value));
    return value;
}

static OctValue *integer(OctGraph *graph, int64_t number) {
    OctetTensor *tensor;
    assert_int_equal(octet_tensor_create(OCTET_S64, &scalar, &tensor, NULL), OCTET_OK);
    *(int64_t *)tensor->data = number;
    OctValue *value = oct_graph_add_constant(graph, "number", tensor);
    assert_non_null(value);
    return value;
}

static OctValue *apply(OctGraph *graph, const char *op_type, OctValue *a, OctValue *b,
                       OctValue *c) {
    OctValue *inputs[] = {a, b, c};
    OctValue *output = oct_graph_add_value(graph, op_type);
    assert_non_null(output);
    OctNode *made = oct_graph_add_node(graph, op_type, "", op_type, inputs,
                                       c   ? 3
                                       : b ? 2
                                       : a ? 1
                                           : 0,
                                       &output, 1);
    assert_non_null(made);
    made->opset = 17;
    return output;
}

static OctGraph *new_graph(void) {
    OctGraph *graph = oct_graph_create();
    assert_non_null(graph);
    assert_true(oct_graph_set_opset(graph, "", 17));
    return graph;
}

static void finish(OctGraph *graph) {
    OctetDiagnostic diagnostic = {0};
    if (oct_graph_resolve(graph, &diagnostic) != OCTET_OK ||
        oct_graph_infer(graph, &diagnostic) != OCTET_OK ||
        oct_graph_verify(graph, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
}

static OctetSession *open_session(const OctGraph *graph) {
    OctetSession *session = NULL;
    OctetDiagnostic diagnostic = {0};
    if (octet_session_create(graph, NULL, &session, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    return session;
}

static OctetTensor *floats(const OctetShape *shape, const float *data) {
    OctetTensor *tensor;
    assert_int_equal(octet_tensor_create(OCTET_F32, shape, &tensor, NULL), OCTET_OK);
    if (tensor->bytes) {
        memcpy(tensor->data, data, tensor->bytes);
    }
    return tensor;
}

static void expect_floats(const OctetTensor *tensor, int64_t count, const float *expected) {
    OctetShape shape = vector_shape(count);
    assert_int_equal(tensor->kind, OCTET_KIND_TENSOR);
    assert_int_equal(tensor->dtype, OCTET_F32);
    assert_true(octet_shape_equal(&tensor->shape, &shape));
    if (count) {
        assert_memory_equal(tensor->data, expected, (size_t)count * sizeof(float));
    }
}

static OctetStatus run(OctetSession *session, const OctetTensor *const *inputs, size_t input_count,
                       const OctetTensor **outputs, size_t output_count) {
    return octet_session_run(session, inputs, input_count, outputs, output_count, NULL);
}

/* ---- a tensor cut to pieces of 2, of which the first goes to the end ---- */

static OctGraph *rotation(void) {
    OctGraph *graph = new_graph();
    OctetShape open = vector_shape(oct_graph_symbol(graph, "N"));
    OctValue *x = named_input(graph, "x", OCTET_F32, OCTET_KIND_TENSOR, &open);
    OctValue *pieces = apply(graph, "SplitToSequence", x, integer(graph, 2), NULL);
    OctValue *first = apply(graph, "SequenceAt", pieces, integer(graph, 0), NULL);
    OctValue *rest = apply(graph, "SequenceErase", pieces, integer(graph, 0), NULL);
    OctValue *turned = apply(graph, "SequenceInsert", rest, first, NULL);
    OctValue *passed = apply(graph, "Identity", turned, NULL, NULL);
    OctValue *y = apply(graph, "ConcatFromSequence", passed, NULL, NULL);
    assert_true(oct_node_set_int(graph, y->producer, "axis", 0));
    OctValue *negative = apply(graph, "Neg", y, NULL, NULL);
    OctValue *length = apply(graph, "SequenceLength", turned, NULL, NULL);
    assert_true(oct_graph_add_output(graph, negative) && oct_graph_add_output(graph, length) &&
                oct_graph_add_output(graph, turned));
    finish(graph);
    return graph;
}

static void check_rotation(const OctGraph *graph) {
    OctetSession *session = open_session(graph);
    const float data[] = {1, 2, 3, 4, 5, 6, 7};
    const float odd[] = {-3, -4, -5, -6, -7, -1, -2}, even[] = {-3, -4, -1, -2}, last[] = {1, 2};
    const int64_t sizes[] = {7, 4, 7};
    for (int round = 0; round < 3; round++) {
        OctetShape shape = vector_shape(sizes[round]);
        OctetTensor *x = floats(&shape, data);
        const OctetTensor *outputs[3];
        assert_int_equal(run(session, (const OctetTensor *const *)&x, 1, outputs, 3), OCTET_OK);
        expect_floats(outputs[0], sizes[round], sizes[round] == 7 ? odd : even);
        size_t count = sizes[round] == 7 ? 4 : 2;
        assert_int_equal(*(const int64_t *)outputs[1]->data, count);
        assert_int_equal(outputs[2]->kind, OCTET_KIND_SEQUENCE);
        assert_int_equal(outputs[2]->item_count, count);
        expect_floats(outputs[2]->items[count - 1], 2, last);
        octet_tensor_free(x);
    }
    octet_session_free(session);
}

static void test_rotation(void **state) {
    (void)state;
    OctGraph *graph = rotation();
    check_rotation(graph);
    octet_graph_free(graph);
}

/* The file says what is a sequence. */
static void test_file(void **state) {
    (void)state;
    char path[] = "/tmp/octet_sequence_XXXXXX";
    OctetDiagnostic diagnostic = {0};
    int file = mkstemp(path);
    assert_true(file >= 0);
    close(file);
    OctGraph *graph = rotation();
    OctGraph *loaded;
    assert_int_equal(octet_model_save(graph, path, NULL, &diagnostic), OCTET_OK);
    if (octet_model_load(path, NULL, &loaded, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    assert_int_equal(octet_value_kind(octet_graph_output_at(loaded, 2)), OCTET_KIND_SEQUENCE);
    check_rotation(loaded);
    octet_graph_free(loaded);
    octet_graph_free(graph);
    unlink(path);
}

/* ---- sequences and optional values from outside ---- */

static void test_inputs(void **state) {
    (void)state;
    OctGraph *graph = new_graph();
    OctValue *list = named_input(graph, "list", OCTET_F32, OCTET_KIND_SEQUENCE, &unknown);
    OctValue *maybe = named_input(graph, "maybe", OCTET_F32, OCTET_KIND_OPTIONAL, &unknown);
    OctValue *at = apply(graph, "SequenceAt", list, integer(graph, -1), NULL);
    OctValue *has = apply(graph, "OptionalHasElement", maybe, NULL, NULL);
    assert_true(oct_graph_add_output(graph, apply(graph, "Neg", at, NULL, NULL)) &&
                oct_graph_add_output(graph, has) &&
                oct_graph_add_output(graph, apply(graph, "Identity", maybe, NULL, NULL)) &&
                oct_graph_add_output(graph, apply(graph, "Identity", list, NULL, NULL)));
    finish(graph);
    OctetSession *session = open_session(graph);
    const float data[] = {1, 2, 3}, negative[] = {-1, -2};
    OctetShape three = vector_shape(3), two = vector_shape(2);
    OctetTensor *items[] = {floats(&three, data), floats(&two, data)};
    OctetTensor *sequence, *absent, *empty;
    assert_int_equal(octet_sequence_create(OCTET_F32, items, 2, &sequence, NULL), OCTET_OK);
    assert_int_equal(octet_sequence_create(OCTET_F32, NULL, 0, &empty, NULL), OCTET_OK);
    assert_int_equal(octet_absent_create(OCTET_F32, &absent, NULL), OCTET_OK);
    OctetTensor *wrong;
    assert_int_equal(octet_sequence_create(OCTET_S64, items, 2, &wrong, NULL),
                     OCTET_ERROR_INVALID_ARGUMENT);
    const OctetTensor *outputs[4];
    for (int round = 0; round < 4; round++) {
        bool there = round % 2 != 0;
        const OctetTensor *inputs[] = {sequence, there ? items[0] : absent};
        assert_int_equal(run(session, inputs, 2, outputs, 4), OCTET_OK);
        expect_floats(outputs[0], 2, negative);
        assert_int_equal(*(const uint8_t *)outputs[1]->data, there);
        assert_int_equal(outputs[2]->kind, there ? OCTET_KIND_TENSOR : OCTET_KIND_OPTIONAL);
        assert_int_equal(outputs[3]->item_count, 2);
        expect_floats(outputs[3]->items[0], 3, data);
    }
    const OctetTensor *bad[][2] = {
        {items[0], absent}, {sequence, sequence}, {absent, absent}, {empty, absent}};
    for (int i = 0; i < 4; i++) {
        assert_int_equal(run(session, bad[i], 2, outputs, 4), OCTET_ERROR_SHAPE);
    }
    octet_tensor_free(sequence);
    octet_tensor_free(empty);
    octet_tensor_free(absent);
    octet_session_free(session);
    octet_graph_free(graph);
}

/* ---- what types can't say must not lead to reading other bytes ---- */

static OctetStatus run_two(OctGraph *graph, OctetDType second_dtype) {
    OctetShape one = vector_shape(1);
    const float value = 1;
    OctetTensor *a = floats(&one, &value);
    OctetTensor *b;
    assert_int_equal(octet_tensor_create(second_dtype, &one, &b, NULL), OCTET_OK);
    const OctetTensor *inputs[] = {a, b};
    const OctetTensor *output;
    OctetSession *session = open_session(graph);
    OctetStatus status = run(session, inputs, 2, &output, 1);
    octet_session_free(session);
    octet_tensor_free(a);
    octet_tensor_free(b);
    octet_graph_free(graph);
    return status;
}

static void test_mixed_types(void **state) {
    (void)state;
    OctetShape one = vector_shape(1);
    OctGraph *graph = new_graph();
    OctValue *a = named_input(graph, "a", OCTET_F32, OCTET_KIND_TENSOR, &one);
    OctValue *b = named_input(graph, "b", OCTET_U8, OCTET_KIND_TENSOR, &one);
    OctValue *list = apply(graph, "SequenceConstruct", a, b, NULL);
    OctValue *at = apply(graph, "SequenceAt", list, integer(graph, 1), NULL);
    assert_true(oct_graph_add_output(graph, apply(graph, "Neg", at, NULL, NULL)));
    finish(graph);
    assert_int_equal(run_two(graph, OCTET_U8), OCTET_ERROR_SHAPE);
}

/* The branches of an If give different types; what follows counts on the first. */
static void test_mixed_branches(void **state) {
    (void)state;
    OctetShape one = vector_shape(1);
    OctGraph *graph = new_graph();
    OctValue *a = named_input(graph, "a", OCTET_F32, OCTET_KIND_TENSOR, &one);
    OctValue *which = named_input(graph, "which", OCTET_BOOL, OCTET_KIND_TENSOR, &one);
    OctValue *y = apply(graph, "If", which, NULL, NULL);
    OctGraph *yes = oct_graph_create_child(graph), *no = oct_graph_create_child(graph);
    assert_true(oct_graph_add_output(yes, apply(yes, "Neg", a, NULL, NULL)) &&
                oct_graph_add_output(no, apply(no, "Not", which, NULL, NULL)));
    assert_true(oct_node_set_graph(graph, y->producer, "then_branch", yes) &&
                oct_node_set_graph(graph, y->producer, "else_branch", no));
    assert_true(oct_graph_add_output(graph, apply(graph, "Abs", y, NULL, NULL)));
    finish(graph);
    assert_int_equal(run_two(graph, OCTET_BOOL), OCTET_ERROR_SHAPE);
}

static void test_tensor_operator(void **state) {
    (void)state;
    OctetShape one = vector_shape(1);
    OctGraph *graph = new_graph();
    OctValue *a = named_input(graph, "a", OCTET_F32, OCTET_KIND_TENSOR, &one);
    OctValue *b = named_input(graph, "b", OCTET_F32, OCTET_KIND_TENSOR, &one);
    OctValue *list = apply(graph, "SequenceConstruct", a, b, NULL);
    assert_true(oct_graph_add_output(graph, apply(graph, "Neg", list, NULL, NULL)));
    finish(graph);
    assert_int_equal(run_two(graph, OCTET_F32), OCTET_ERROR_SHAPE);
}

/* ---- SequenceMap: the lengths of lists ---- */

static void test_map(void **state) {
    (void)state;
    OctGraph *graph = new_graph();
    OctValue *list = named_input(graph, "list", OCTET_F32, OCTET_KIND_SEQUENCE, &unknown);
    OctValue *lengths = apply(graph, "SequenceMap", list, NULL, NULL);
    OctGraph *body = oct_graph_create_child(graph);
    OctValue *item = named_input(body, "item", OCTET_F32, OCTET_KIND_TENSOR, &unknown);
    assert_true(oct_graph_add_output(body, apply(body, "Shape", item, NULL, NULL)));
    assert_true(oct_node_set_graph(graph, lengths->producer, "body", body));
    assert_true(oct_graph_add_output(graph, lengths));
    finish(graph);
    assert_int_equal(octet_value_dtype(lengths), OCTET_S64);
    OctetSession *session = open_session(graph);
    const float data[] = {1, 2, 3};
    OctetShape shapes[] = {vector_shape(3), vector_shape(0), vector_shape(2)};
    OctetTensor *items[3], *sequence;
    for (int i = 0; i < 3; i++) {
        items[i] = floats(&shapes[i], data);
    }
    assert_int_equal(octet_sequence_create(OCTET_F32, items, 3, &sequence, NULL), OCTET_OK);
    const OctetTensor *output;
    assert_int_equal(run(session, (const OctetTensor *const *)&sequence, 1, &output, 1), OCTET_OK);
    assert_int_equal(output->item_count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(*(const int64_t *)output->items[i]->data, shapes[i].dims[0]);
    }
    octet_tensor_free(sequence);
    octet_session_free(session);
    octet_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rotation),
        cmocka_unit_test(test_file),
        cmocka_unit_test(test_inputs),
        cmocka_unit_test(test_mixed_types),
        cmocka_unit_test(test_mixed_branches),
        cmocka_unit_test(test_tensor_operator),
        cmocka_unit_test(test_map),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
