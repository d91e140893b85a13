/* What graphs are made of: names, arenas, copies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "ir/graph.h"
#include "octet/quant.h"

enum { NAMES = 3000, NAME = 48 };

static char names_of[NAMES][NAME];

/* Long, and different only at the end, as those of real networks are. */
static void name_all(void) {
    for (int i = 0; i < NAMES; i++) {
        snprintf(names_of[i], NAME, "/features/layer/block/Conv_output_%d", i);
    }
}

static void names_are_found(void **state) {
    (void)state;
    OctNames names = {0};
    name_all();
    assert_null(oct_names_find(&names, "any"));
    assert_true(oct_names_reserve(&names, NAMES / 4));
    for (int i = 0; i < NAMES; i++) {
        assert_true(oct_names_set(&names, names_of[i], names_of[i]));
    }
    for (int i = 0; i < NAMES; i += 2) {
        assert_true(oct_names_set(&names, names_of[i], NULL));
    }
    uint32_t capacity = names.capacity;
    assert_true(oct_names_reserve(&names, 10));
    assert_int_equal(names.capacity, capacity);
    for (int i = 0; i < NAMES; i++) {
        char copy[NAME];
        memcpy(copy, names_of[i], NAME);
        assert_ptr_equal(oct_names_find(&names, copy), i % 2 ? names_of[i] : NULL);
    }
    assert_null(oct_names_find(&names, "/features/layer/block/Conv_output_"));
    oct_names_free(&names);
}

static void reserved_names_stay_in_place(void **state) {
    (void)state;
    OctNames names = {0};
    name_all();
    assert_true(oct_names_reserve(&names, NAMES));
    const OctName *slots = names.slots;
    for (int i = 0; i < NAMES; i++) {
        assert_true(oct_names_set(&names, names_of[i], names_of[i]));
    }
    assert_ptr_equal(names.slots, slots);
    oct_names_free(&names);
}

static void hashes_tell_bytes_apart(void **state) {
    (void)state;
    static uint8_t bytes[300];
    uint64_t zeros = oct_hash_bytes(0, bytes, sizeof bytes);
    assert_true(zeros != oct_hash_bytes(0, bytes, sizeof bytes - 1));
    assert_true(zeros != oct_hash_bytes(1, bytes, sizeof bytes));
    for (size_t i = 0; i < sizeof bytes; i++) {
        bytes[i] = 0x80;
        uint64_t other = oct_hash_bytes(0, bytes, sizeof bytes);
        assert_true((other ^ zeros) & 0xffff); /* the bits that choose a slot */
        bytes[i] = 0;
    }
}

static void cleared_arenas_are_zero(void **state) {
    (void)state;
    OctArena *arena = oct_arena_create();
    assert_non_null(arena);
    oct_arena_clear(arena);
    for (int round = 0; round < 3; round++) {
        for (size_t size = 1; size < 100000; size *= 3) {
            uint8_t *data = oct_arena_alloc(arena, size);
            assert_non_null(data);
            for (size_t i = 0; i < size; i++) {
                assert_int_equal(data[i], 0);
            }
            memset(data, 0xff, size);
        }
        oct_arena_clear(arena);
    }
    oct_arena_free(arena);
}

/* A convolution over quantized weights with a list, a text and a tensor among its attributes. */
static OctGraph *make_graph(void) {
    OctGraph *graph = oct_graph_create();
    OctetShape shape = {4, {2, 1, 1, 1}};
    OctetTensor *weights, *extra;
    OctetQParams grid;
    const int64_t pads[] = {0, 1, 2, 3};
    assert_non_null(graph);
    assert_int_equal(octet_tensor_create(OCTET_S8, &shape, &weights, NULL), OCTET_OK);
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &extra, NULL), OCTET_OK);
    assert_int_equal(octet_qparams_create(OCTET_S8, 0, 2, &grid, NULL), OCTET_OK);
    grid.scale[1] = 0.5f;
    assert_int_equal(octet_tensor_set_qparams(weights, &grid, NULL), OCTET_OK);
    octet_qparams_clear(&grid);
    OctValue *inputs[] = {oct_graph_add_value(graph, "x"),
                          oct_graph_add_constant(graph, "w", weights)};
    OctValue *output = oct_graph_add_value(graph, "y");
    assert_true(inputs[0] && inputs[1] && output);
    inputs[0]->dtype = OCTET_F32;
    assert_true(oct_graph_add_input(graph, inputs[0]));
    OctNode *node = oct_graph_add_node(graph, "Conv", "", "conv", inputs, 2, &output, 1);
    assert_non_null(node);
    assert_true(oct_node_set_ints(graph, node, "pads", pads, 4));
    assert_true(oct_node_set_string(graph, node, "auto_pad", "NOTSET"));
    assert_true(oct_node_set_strings(graph, node, "words", (const char *[]){"a", "bc"}, 2));
    assert_true(oct_node_set_tensor(graph, node, "extra", oct_constant_create(extra)));
    assert_true(oct_graph_add_output(graph, output));
    assert_int_equal(oct_graph_verify(graph, NULL), OCTET_OK);
    return graph;
}

static void check_copy(const OctGraph *copy) {
    const int64_t *pads;
    assert_int_equal(oct_graph_verify(copy, NULL), OCTET_OK);
    const OctNode *node = oct_graph_find_node(copy, "conv");
    assert_non_null(node);
    assert_string_equal(node->op_type, "Conv");
    assert_ptr_equal(node->inputs[0], copy->inputs[0]);
    assert_ptr_equal(node->outputs[0], copy->outputs[0]);
    assert_ptr_equal(node->inputs[1], oct_graph_find_value(copy, "w"));
    assert_float_equal(node->inputs[1]->qparams.scale[1], 0.5f, 0);
    assert_int_equal(oct_node_ints(node, "pads", &pads), 4);
    assert_int_equal(pads[3], 3);
    assert_string_equal(oct_node_string(node, "auto_pad", ""), "NOTSET");
    const OctAttribute *words = oct_node_attribute(node, "words");
    assert_true(words && words->count == 2);
    assert_string_equal(words->v.strings[1], "bc");
    assert_non_null(oct_node_attribute(node, "extra"));
}

static void deep_copies_stand_alone(void **state) {
    (void)state;
    OctGraph *graph = make_graph(), *copy;
    assert_int_equal(oct_graph_clone(graph, &copy, NULL), OCTET_OK);
    oct_graph_free(graph);
    check_copy(copy);
    oct_graph_free(copy);
}

/* Whatever is done to a copy that borrows, the original is as it was. */
static void borrowing_copies_leave_the_original(void **state) {
    (void)state;
    const int64_t other[] = {9, 9, 9, 9};
    OctGraph *graph = make_graph(), *copy;
    assert_int_equal(oct_graph_clone_borrowing(graph, &copy, NULL), OCTET_OK);
    check_copy(copy);
    OctNode *node = oct_graph_find_node(copy, "conv");
    assert_ptr_equal(node->name, oct_graph_find_node(graph, "conv")->name);
    assert_true(oct_node_set_ints(copy, node, "pads", other, 4));
    assert_true(oct_node_set_int(copy, node, "group", 1));
    oct_node_remove_attribute(node, "extra");
    node->inputs[0] = NULL;
    assert_true(oct_graph_set_qparams(copy, node->inputs[1], &(OctetQParams){.axis = -1}));
    assert_non_null(oct_graph_add_value(copy, "x"));
    oct_graph_remove_node(copy, node);
    oct_graph_free(copy);
    check_copy(graph);
    oct_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_found),
        cmocka_unit_test(reserved_names_stay_in_place),
        cmocka_unit_test(hashes_tell_bytes_apart),
        cmocka_unit_test(cleared_arenas_are_zero),
        cmocka_unit_test(deep_copies_stand_alone),
        cmocka_unit_test(borrowing_copies_leave_the_original),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
