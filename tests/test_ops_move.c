/* Operators that only move data: shapes, axes, pieces, repetition, padding. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_harness.h"

static const float ramp[24] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                               12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

/* ---- Reshape, Flatten, Squeeze, Unsqueeze ---- */

static void reshape_copies_and_infers_dimensions(void **state) {
    (void)state;
    const int64_t target[] = {0, -1, 2};
    for (int constant = 0; constant < 2; constant++) {
        OpHarness h;
        op_begin(&h, "", "Reshape", 14, 1);
        op_input(&h, OCTET_F32, SHAPE(2, 3, 4), ramp);
        if (constant) {
            op_constant(&h, OCTET_S64, SHAPE(3), target);
        } else {
            op_input(&h, OCTET_S64, SHAPE(3), target);
        }
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_F32, SHAPE(2, 6, 2), ramp);
        op_end(&h);
    }
}

static void reshape_of_nothing_with_allowzero(void **state) {
    (void)state;
    const int64_t target[] = {3, 0, 2};
    OpHarness h;
    op_begin(&h, "", "Reshape", 14, 1);
    op_input(&h, OCTET_F32, SHAPE(0, 5), ramp);
    op_constant(&h, OCTET_S64, SHAPE(3), target);
    oct_node_set_int(h.graph, h.node, "allowzero", 1);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(3, 0, 2), NULL);
    op_end(&h);
}

static void reshape_to_scalar_and_back(void **state) {
    (void)state;
    OpHarness h;
    op_begin(&h, "", "Reshape", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1), ramp + 5);
    op_constant(&h, OCTET_S64, SHAPE(0), NULL);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SCALAR, ramp + 5);
    op_end(&h);
}

static void reshape_refuses_what_does_not_fit(void **state) {
    (void)state;
    const int64_t targets[][2] = {{5, 5}, {-1, 5}, {-1, -1}, {-2, 12}};
    for (size_t i = 0; i < 4; i++) {
        OpHarness h;
        op_begin(&h, "", "Reshape", 13, 1);
        op_input(&h, OCTET_F32, SHAPE(2, 3, 4), ramp);
        op_constant(&h, OCTET_S64, SHAPE(2), targets[i]);
        assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
        op_end(&h);
    }
}

/* x: [N, 3, 4] to [N, -1] with the target joined from Shape, Gather and a constant. */
static void reshape_follows_symbols(void **state) {
    (void)state;
    OctGraph *graph = oct_graph_create();
    OctValue *x = oct_graph_add_value(graph, "x");
    x->dtype = OCTET_F32;
    x->shape = *SHAPE(oct_graph_symbol(graph, "N"), 3, 4);
    assert_true(oct_graph_add_input(graph, x));
    const int64_t zero[] = {0};
    const int64_t minus_one[] = {-1};
    OctValue *index = oct_graph_add_constant(graph, NULL, op_tensor(OCTET_S64, SCALAR, zero));
    OctValue *axes = oct_graph_add_constant(graph, NULL, op_tensor(OCTET_S64, SHAPE(1), zero));
    OctValue *rest = oct_graph_add_constant(graph, NULL, op_tensor(OCTET_S64, SHAPE(1), minus_one));
    OctValue *v[5];
    for (int i = 0; i < 5; i++) {
        v[i] = oct_graph_add_value(graph, NULL);
    }
    OctValue *gather[] = {v[0], index};
    OctValue *unsqueeze[] = {v[1], axes};
    OctValue *concat[] = {v[2], rest};
    OctValue *reshape[] = {x, v[3]};
    oct_graph_add_node(graph, "Shape", "", NULL, &x, 1, &v[0], 1)->opset = 13;
    oct_graph_add_node(graph, "Gather", "", NULL, gather, 2, &v[1], 1)->opset = 13;
    oct_graph_add_node(graph, "Unsqueeze", "", NULL, unsqueeze, 2, &v[2], 1)->opset = 13;
    OctNode *join = oct_graph_add_node(graph, "Concat", "", NULL, concat, 2, &v[3], 1);
    join->opset = 13;
    oct_node_set_int(graph, join, "axis", 0);
    oct_graph_add_node(graph, "Reshape", "", NULL, reshape, 2, &v[4], 1)->opset = 13;
    assert_int_equal(oct_graph_resolve(graph, NULL), OCTET_OK);
    assert_int_equal(oct_graph_infer(graph, NULL), OCTET_OK);
    assert_int_equal(v[4]->shape.rank, 2);
    assert_int_equal(v[4]->shape.dims[0], x->shape.dims[0]);
    assert_int_equal(v[4]->shape.dims[1], 12);
    oct_graph_free(graph);
}

static void flatten_splits_at_its_axis(void **state) {
    (void)state;
    const int64_t axes[] = {0, 1, 2, 3, -1};
    const int64_t expected[][2] = {{1, 24}, {2, 12}, {6, 4}, {24, 1}, {6, 4}};
    for (size_t i = 0; i < 5; i++) {
        OpHarness h;
        op_begin(&h, "", "Flatten", 13, 1);
        op_input(&h, OCTET_F32, SHAPE(2, 3, 4), ramp);
        oct_node_set_int(h.graph, h.node, "axis", axes[i]);
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_F32, SHAPE(expected[i][0], expected[i][1]), ramp);
        op_end(&h);
    }
}

static void squeeze_and_unsqueeze_in_old_and_new_form(void **state) {
    (void)state;
    const int64_t axes[] = {0, -1};
    for (int opset = 11; opset <= 13; opset += 2) {
        OpHarness h;
        op_begin(&h, "", "Squeeze", opset, 1);
        op_input(&h, OCTET_F32, SHAPE(1, 3, 1, 1), ramp);
        if (opset < 13) {
            oct_node_set_ints(h.graph, h.node, "axes", axes, 2);
        } else {
            op_constant(&h, OCTET_S64, SHAPE(2), axes);
        }
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_F32, SHAPE(3, 1), ramp);
        op_end(&h);
        op_begin(&h, "", "Unsqueeze", opset, 1);
        op_input(&h, OCTET_F32, SHAPE(3), ramp);
        if (opset < 13) {
            oct_node_set_ints(h.graph, h.node, "axes", axes, 2);
        } else {
            op_input(&h, OCTET_S64, SHAPE(2), axes);
        }
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_F32, SHAPE(1, 3, 1), ramp);
        op_end(&h);
    }
    OpHarness h;
    op_begin(&h, "", "Squeeze", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 3, 1, 2), ramp);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(3, 2), ramp);
    op_end(&h);
    const int64_t one = 1;
    op_begin(&h, "", "Squeeze", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 3), ramp);
    op_constant(&h, OCTET_S64, SHAPE(1), &one);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

/* ---- Transpose, DepthToSpace, SpaceToDepth ---- */

static void transpose_permutes(void **state) {
    (void)state;
    const int64_t perm[] = {1, 0, 2};
    const float expected[] = {0, 1, 4, 5, 8, 9, 2, 3, 6, 7, 10, 11};
    OpHarness h;
    op_begin(&h, "", "Transpose", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(3, 2, 2), ramp);
    oct_node_set_ints(h.graph, h.node, "perm", perm, 3);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 3, 2), expected);
    op_end(&h);
    const uint8_t bytes[] = {1, 2, 3, 4, 5, 6};
    const uint8_t turned[] = {1, 4, 2, 5, 3, 6};
    op_begin(&h, "", "Transpose", 13, 1);
    op_input(&h, OCTET_U8, SHAPE(2, 3), bytes);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_U8, SHAPE(3, 2), turned);
    op_end(&h);
    const int64_t twice[] = {0, 0, 1};
    op_begin(&h, "", "Transpose", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(3, 2, 2), ramp);
    oct_node_set_ints(h.graph, h.node, "perm", twice, 3);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

static void depth_to_space(OpHarness *h, const char *mode, bool channels_last,
                           const OctetShape *shape) {
    op_begin(h, "", "DepthToSpace", 13, 1);
    op_input(h, OCTET_F32, shape, ramp);
    oct_node_set_int(h->graph, h->node, "blocksize", 2);
    oct_node_set_string(h->graph, h->node, "mode", mode);
    oct_node_set_int(h->graph, h->node, "channels_last", channels_last);
    op_run_ok(h);
}

static void depth_becomes_space_in_both_modes(void **state) {
    (void)state;
    /* 8 channels of 1x3; DCR: channel = (row, column, depth) */
    const float dcr[] = {0, 6, 1, 7,  2, 8,  12, 18, 13, 19, 14, 20,
                         3, 9, 4, 10, 5, 11, 15, 21, 16, 22, 17, 23};
    const float crd[] = {0,  3,  1,  4,  2,  5,  6,  9,  7,  10, 8,  11,
                         12, 15, 13, 16, 14, 17, 18, 21, 19, 22, 20, 23};
    OpHarness h;
    depth_to_space(&h, "DCR", false, SHAPE(1, 8, 1, 3));
    op_expect(&h, 0, OCTET_F32, SHAPE(1, 2, 2, 6), dcr);
    op_end(&h);
    depth_to_space(&h, "CRD", false, SHAPE(1, 8, 1, 3));
    op_expect(&h, 0, OCTET_F32, SHAPE(1, 2, 2, 6), crd);
    op_end(&h);
    /* channels-last: pixel 0 holds 0..7 */
    const float last_dcr[] = {0, 1, 2, 3, 8,  9,  10, 11, 16, 17, 18, 19,
                              4, 5, 6, 7, 12, 13, 14, 15, 20, 21, 22, 23};
    depth_to_space(&h, "DCR", true, SHAPE(1, 1, 3, 8));
    op_expect(&h, 0, OCTET_F32, SHAPE(1, 2, 6, 2), last_dcr);
    op_end(&h);
}

static void space_becomes_depth(void **state) {
    (void)state;
    const float expected[] = {0, 2, 1, 3, 4, 6, 5, 7};
    OpHarness h;
    op_begin(&h, "", "SpaceToDepth", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 2, 4), ramp);
    oct_node_set_int(h.graph, h.node, "blocksize", 2);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(1, 4, 1, 2), expected);
    op_end(&h);
    op_begin(&h, "", "SpaceToDepth", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 1, 3, 4), ramp);
    oct_node_set_int(h.graph, h.node, "blocksize", 2);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

/* ---- Concat, Split ---- */

static void concat_joins_along_an_axis(void **state) {
    (void)state;
    const float expected[] = {0, 1, 10, 2, 3, 11};
    OpHarness h;
    op_begin(&h, "", "Concat", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), ramp);
    op_input(&h, OCTET_F32, SHAPE(2, 0), NULL);
    op_input(&h, OCTET_F32, SHAPE(2, 1), ramp + 10);
    oct_node_set_int(h.graph, h.node, "axis", -1);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 3), expected);
    op_end(&h);
    op_begin(&h, "", "Concat", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), ramp);
    op_input(&h, OCTET_F32, SHAPE(3, 1), ramp);
    oct_node_set_int(h.graph, h.node, "axis", 1);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

static void concat_requantizes_other_grids(void **state) {
    (void)state;
    const uint8_t a[] = {0, 10, 255};
    const uint8_t b[] = {0, 3, 255};
    /* b on a's grid: (q - 1) * 0.5 / 0.25 + 4 */
    const uint8_t expected[] = {0, 10, 255, 2, 8, 255};
    OpHarness h;
    op_begin(&h, "", "Concat", 13, 1);
    op_input_q(&h, OCTET_U8, SHAPE(3), a, 0.25f, 4);
    op_input_q(&h, OCTET_U8, SHAPE(3), b, 0.5f, 1);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.25f, 4);
    oct_node_set_int(h.graph, h.node, "axis", 0);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_U8, SHAPE(6), expected);
    op_end(&h);
}

static void split_cuts_in_every_form(void **state) {
    (void)state;
    const int64_t sizes[] = {1, 0, 3};
    const float first[] = {0, 4};
    const float rest[] = {1, 2, 3, 5, 6, 7};
    for (int form = 0; form < 3; form++) {
        OpHarness h;
        op_begin(&h, "", "Split", form == 0 ? 11 : 13, 3);
        op_input(&h, OCTET_F32, SHAPE(2, 4), ramp);
        oct_node_set_int(h.graph, h.node, "axis", 1);
        if (form == 0) {
            oct_node_set_ints(h.graph, h.node, "split", sizes, 3);
        } else if (form == 1) {
            op_constant(&h, OCTET_S64, SHAPE(3), sizes);
        } else {
            op_input(&h, OCTET_S64, SHAPE(3), sizes);
        }
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_F32, SHAPE(2, 1), first);
        op_expect(&h, 1, OCTET_F32, SHAPE(2, 0), NULL);
        op_expect(&h, 2, OCTET_F32, SHAPE(2, 3), rest);
        op_end(&h);
    }
    OpHarness h;
    op_begin(&h, "", "Split", 18, 3);
    op_input(&h, OCTET_F32, SHAPE(7), ramp);
    oct_node_set_int(h.graph, h.node, "num_outputs", 3);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(3), ramp);
    op_expect(&h, 2, OCTET_F32, SHAPE(1), ramp + 6);
    op_end(&h);
    op_begin(&h, "", "Split", 13, 3);
    op_input(&h, OCTET_F32, SHAPE(7), ramp);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
    const int64_t wrong[] = {5, -2, 4};
    op_begin(&h, "", "Split", 13, 3);
    op_input(&h, OCTET_F32, SHAPE(7), ramp);
    op_input(&h, OCTET_S64, SHAPE(3), wrong);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

/* ---- Slice ---- */

static void slice_1d(int64_t start, int64_t end, int64_t step, bool constant,
                     const OctetShape *shape, const float *expected) {
    const int64_t axis = -1;
    OpHarness h;
    op_begin(&h, "", "Slice", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 6), ramp);
    OctValue *(*add)(OpHarness *, OctetDType, const OctetShape *, const void *) =
        constant ? op_constant : op_input;
    add(&h, OCTET_S64, SHAPE(1), &start);
    add(&h, OCTET_S64, SHAPE(1), &end);
    add(&h, OCTET_S64, SHAPE(1), &axis);
    add(&h, OCTET_S64, SHAPE(1), &step);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, shape, expected);
    op_end(&h);
}

static void slice_takes_python_ranges(void **state) {
    (void)state;
    const float backward[] = {5, 4, 3, 2, 1, 0};
    const float by_two[] = {1, 3, 5};
    const float back_two[] = {5, 3, 1};
    for (int constant = 0; constant < 2; constant++) {
        slice_1d(1, 4, 1, constant, SHAPE(1, 3), ramp + 1);
        slice_1d(-2, INT64_MAX, 1, constant, SHAPE(1, 2), ramp + 4);
        slice_1d(-100, 2, 1, constant, SHAPE(1, 2), ramp);
        slice_1d(1, 100, 2, constant, SHAPE(1, 3), by_two);
        slice_1d(-1, INT64_MIN, -1, constant, SHAPE(1, 6), backward);
        slice_1d(100, -100, -2, constant, SHAPE(1, 3), back_two);
        slice_1d(4, 2, 1, constant, SHAPE(1, 0), NULL);
        slice_1d(2, 3, INT64_MAX, constant, SHAPE(1, 1), ramp + 2);
        slice_1d(2, 1, INT64_MIN, constant, SHAPE(1, 1), ramp + 2);
    }
}

static void slice_in_its_old_form(void **state) {
    (void)state;
    const int64_t starts[] = {1, 1};
    const int64_t ends[] = {1000, -1};
    const float expected[] = {17, 18, 21, 22};
    OpHarness h;
    op_begin(&h, "", "Slice", 7, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3, 4), ramp);
    oct_node_set_ints(h.graph, h.node, "starts", starts, 2);
    oct_node_set_ints(h.graph, h.node, "ends", ends, 2);
    const int64_t axes[] = {1, 2};
    oct_node_set_ints(h.graph, h.node, "axes", axes, 2);
    op_run_ok(&h);
    const float both[] = {5, 6, 9, 10, 17, 18, 21, 22};
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 2, 2), both);
    op_end(&h);
    op_begin(&h, "", "Slice", 7, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3, 4), ramp);
    const int64_t three[] = {1, 1, 1};
    const int64_t three_ends[] = {2, 3, 3};
    oct_node_set_ints(h.graph, h.node, "starts", three, 3);
    oct_node_set_ints(h.graph, h.node, "ends", three_ends, 3);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(1, 2, 2), expected);
    op_end(&h);
}

static void slice_refuses_a_step_of_zero(void **state) {
    (void)state;
    const int64_t zero = 0;
    OpHarness h;
    op_begin(&h, "", "Slice", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(6), ramp);
    for (int i = 0; i < 4; i++) {
        op_input(&h, OCTET_S64, SHAPE(1), &zero);
    }
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

/* ---- Expand, Tile ---- */

static void expand_broadcasts_both_ways(void **state) {
    (void)state;
    const int64_t target[] = {2, 1, 2};
    const float expected[] = {0, 0, 1, 1, 2, 2, 0, 0, 1, 1, 2, 2};
    for (int constant = 0; constant < 2; constant++) {
        OpHarness h;
        op_begin(&h, "", "Expand", 13, 1);
        op_input(&h, OCTET_F32, SHAPE(3, 1), ramp);
        if (constant) {
            op_constant(&h, OCTET_S64, SHAPE(3), target);
        } else {
            op_input(&h, OCTET_S64, SHAPE(3), target);
        }
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_F32, SHAPE(2, 3, 2), expected);
        op_end(&h);
    }
}

static void tile_repeats(void **state) {
    (void)state;
    const int64_t repeats[] = {2, 2};
    const float expected[] = {0, 1, 0, 1, 2, 3, 2, 3, 0, 1, 0, 1, 2, 3, 2, 3};
    OpHarness h;
    op_begin(&h, "", "Tile", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), ramp);
    op_input(&h, OCTET_S64, SHAPE(2), repeats);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(4, 4), expected);
    op_end(&h);
    const int64_t none[] = {0, 3};
    op_begin(&h, "", "Tile", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), ramp);
    op_constant(&h, OCTET_S64, SHAPE(2), none);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(0, 6), NULL);
    op_end(&h);
}

/* ---- Pad ---- */

static void pad_1d(const char *mode, int64_t begin, int64_t end, bool constant,
                   const OctetShape *shape, const float *expected) {
    const int64_t pads[] = {0, begin, 0, end};
    const float value = 9;
    OpHarness h;
    op_begin(&h, "", "Pad", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(1, 4), ramp);
    if (constant) {
        op_constant(&h, OCTET_S64, SHAPE(4), pads);
        op_constant(&h, OCTET_F32, SCALAR, &value);
    } else {
        op_input(&h, OCTET_S64, SHAPE(4), pads);
        op_input(&h, OCTET_F32, SCALAR, &value);
    }
    oct_node_set_string(h.graph, h.node, "mode", mode);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, shape, expected);
    op_end(&h);
}

static void pad_in_every_mode(void **state) {
    (void)state;
    const float constant[] = {9, 0, 1, 2, 3, 9, 9};
    const float cut[] = {1, 2, 3, 9};
    const float reflect[] = {3, 2, 1, 0, 1, 2, 3, 2};
    const float edge[] = {0, 0, 0, 1, 2, 3, 3};
    const float wrap[] = {3, 0, 1, 2, 3, 0, 1, 2, 3, 0};
    for (int known = 0; known < 2; known++) {
        pad_1d("constant", 1, 2, known, SHAPE(1, 7), constant);
        pad_1d("constant", -1, 1, known, SHAPE(1, 4), cut);
        pad_1d("constant", -1, -1, known, SHAPE(1, 2), ramp + 1);
        pad_1d("reflect", 3, 1, known, SHAPE(1, 8), reflect);
        pad_1d("edge", 2, 1, known, SHAPE(1, 7), edge);
        pad_1d("edge", -1, -1, known, SHAPE(1, 2), ramp + 1);
        pad_1d("wrap", 1, 5, known, SHAPE(1, 10), wrap);
    }
}

static void pad_several_axes(void **state) {
    (void)state;
    const int64_t pads[] = {1, 0, 0, 1};
    const float expected[] = {0, 0, 0, 0, 1, 0, 2, 3, 0};
    const float edge[] = {0, 1, 1, 0, 1, 1, 2, 3, 3};
    OpHarness h;
    op_begin(&h, "", "Pad", 2, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), ramp);
    oct_node_set_ints(h.graph, h.node, "pads", pads, 4);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(3, 3), expected);
    op_end(&h);
    op_begin(&h, "", "Pad", 2, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), ramp);
    oct_node_set_ints(h.graph, h.node, "pads", pads, 4);
    oct_node_set_string(h.graph, h.node, "mode", "edge");
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(3, 3), edge);
    op_end(&h);
    const int64_t axis = -1;
    const int64_t two[] = {1, 0};
    const float last[] = {0, 0, 1, 0, 2, 3};
    op_begin(&h, "", "Pad", 18, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), ramp);
    op_constant(&h, OCTET_S64, SHAPE(2), two);
    op_absent(&h);
    op_constant(&h, OCTET_S64, SHAPE(1), &axis);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 3), last);
    op_end(&h);
}

static void pad_of_bytes_fills_with_the_zero_point(void **state) {
    (void)state;
    const uint8_t data[] = {1, 2};
    const int64_t pads[] = {1, 1};
    const uint8_t expected[] = {77, 1, 2, 77};
    OpHarness h;
    op_begin(&h, "", "Pad", 13, 1);
    op_input_q(&h, OCTET_U8, SHAPE(2), data, 0.5f, 77);
    op_constant(&h, OCTET_S64, SHAPE(2), pads);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.5f, 77);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_U8, SHAPE(4), expected);
    op_end(&h);
}

static void pad_refuses_what_has_no_source(void **state) {
    (void)state;
    const int64_t pads[][2] = {{4, 0}, {INT64_MAX, 1}, {-5, 2}};
    for (size_t i = 0; i < 3; i++) {
        OpHarness h;
        op_begin(&h, "", "Pad", 13, 1);
        op_input(&h, OCTET_F32, SHAPE(4), ramp);
        op_constant(&h, OCTET_S64, SHAPE(2), pads[i]);
        oct_node_set_string(h.graph, h.node, "mode", "reflect");
        assert_int_not_equal(op_run(&h), OCTET_OK);
        op_end(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reshape_copies_and_infers_dimensions),
        cmocka_unit_test(reshape_of_nothing_with_allowzero),
        cmocka_unit_test(reshape_to_scalar_and_back),
        cmocka_unit_test(reshape_refuses_what_does_not_fit),
        cmocka_unit_test(reshape_follows_symbols),
        cmocka_unit_test(flatten_splits_at_its_axis),
        cmocka_unit_test(squeeze_and_unsqueeze_in_old_and_new_form),
        cmocka_unit_test(transpose_permutes),
        cmocka_unit_test(depth_becomes_space_in_both_modes),
        cmocka_unit_test(space_becomes_depth),
        cmocka_unit_test(concat_joins_along_an_axis),
        cmocka_unit_test(concat_requantizes_other_grids),
        cmocka_unit_test(split_cuts_in_every_form),
        cmocka_unit_test(slice_takes_python_ranges),
        cmocka_unit_test(slice_in_its_old_form),
        cmocka_unit_test(slice_refuses_a_step_of_zero),
        cmocka_unit_test(expand_broadcasts_both_ways),
        cmocka_unit_test(tile_repeats),
        cmocka_unit_test(pad_in_every_mode),
        cmocka_unit_test(pad_several_axes),
        cmocka_unit_test(pad_of_bytes_fills_with_the_zero_point),
        cmocka_unit_test(pad_refuses_what_has_no_source),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
