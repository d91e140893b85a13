/* Operators that pick, place, order and reduce. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "op_harness.h"

static const float ramp[24] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10, 11,
                               12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23};

/* ---- Where ---- */

static void where_broadcasts_three_ways(void **state) {
    (void)state;
    const uint8_t condition[] = {1, 0};
    const float a[] = {1, 2, 3};
    const float b = 9;
    const float expected[] = {1, 2, 3, 9, 9, 9};
    OpHarness h;
    op_begin(&h, "", "Where", 9, 1);
    op_input(&h, OCTET_BOOL, SHAPE(2, 1), condition);
    op_input(&h, OCTET_F32, SHAPE(3), a);
    op_input(&h, OCTET_F32, SCALAR, &b);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 3), expected);
    op_end(&h);
}

/* The target of an Expand as exporters write it: Where(shape == -1, ones, shape). */
static void where_follows_symbols(void **state) {
    (void)state;
    OpHarness h;
    const int64_t minus[] = {-1, -1};
    const int64_t ones[] = {1, 1};
    op_begin(&h, "", "Where", 9, 1);
    OctValue *x = oct_graph_add_value(h.graph, "x");
    x->dtype = OCTET_F32;
    x->shape = *SHAPE(oct_graph_symbol(h.graph, "N"), 5);
    assert_true(oct_graph_add_input(h.graph, x));
    OctValue *shape = oct_graph_add_value(h.graph, "shape");
    OctValue *equal = oct_graph_add_value(h.graph, "equal");
    OctValue *minus_one =
        oct_graph_add_constant(h.graph, NULL, op_tensor(OCTET_S64, SHAPE(2), minus));
    OctValue *one = oct_graph_add_constant(h.graph, NULL, op_tensor(OCTET_S64, SHAPE(2), ones));
    OctValue *pair[] = {shape, minus_one};
    oct_graph_insert_node(h.graph, h.node, "Shape", "", NULL, &x, 1, &shape, 1)->opset = 13;
    oct_graph_insert_node(h.graph, h.node, "Equal", "", NULL, pair, 2, &equal, 1)->opset = 13;
    oct_node_set_input(h.graph, h.node, 0, equal);
    oct_node_set_input(h.graph, h.node, 1, one);
    oct_node_set_input(h.graph, h.node, 2, shape);
    assert_int_equal(op_infer(&h), OCTET_OK);
    int64_t known[2];
    assert_int_equal(oct_value_known_ints(h.node->outputs[0], known, 2), 2);
    assert_true(oct_dim_of_known(known[0]) == x->shape.dims[0]);
    assert_int_equal(known[1], 5);
    op_end(&h);
}

/* ---- Gather and Scatter ---- */

static void gather_takes_slices(void **state) {
    (void)state;
    const int64_t indices[] = {-1, 0};
    const float rows[] = {4, 5, 0, 1};
    const float columns[] = {1, 0, 3, 2, 5, 4};
    OpHarness h;
    op_begin(&h, "", "Gather", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(3, 2), ramp);
    op_input(&h, OCTET_S64, SHAPE(2), indices);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 2), rows);
    op_end(&h);
    op_begin(&h, "", "Gather", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(3, 2), ramp);
    op_input(&h, OCTET_S64, SHAPE(1, 2), indices);
    oct_node_set_int(h.graph, h.node, "axis", 1);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(3, 1, 2), columns);
    op_end(&h);
    const int32_t scalar = 1;
    op_begin(&h, "", "Gather", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(3, 2), ramp);
    op_input(&h, OCTET_S32, SCALAR, &scalar);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2), ramp + 2);
    op_end(&h);
    const int64_t outside[] = {3};
    op_begin(&h, "", "Gather", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(3, 2), ramp);
    op_input(&h, OCTET_S64, SHAPE(1), outside);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

static void gather_elements_and_tuples(void **state) {
    (void)state;
    const int64_t elements[] = {1, 2, 0, 2, 0, 0};
    const float picked[] = {3, 7, 2, 6, 1, 2};
    OpHarness h;
    op_begin(&h, "", "GatherElements", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(3, 3), ramp);
    op_input(&h, OCTET_S64, SHAPE(2, 3), elements);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 3), picked);
    op_end(&h);
    const int64_t tuples[] = {0, 1, 1, -1};
    const float cells[] = {2, 3, 6, 7};
    op_begin(&h, "", "GatherND", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2, 2), ramp);
    op_input(&h, OCTET_S64, SHAPE(2, 2), tuples);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 2), cells);
    op_end(&h);
    const int64_t batched[] = {1, 0};
    const float rows[] = {2, 3, 4, 5};
    op_begin(&h, "", "GatherND", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2, 2), ramp);
    op_input(&h, OCTET_S64, SHAPE(2, 1), batched);
    oct_node_set_int(h.graph, h.node, "batch_dims", 1);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 2), rows);
    op_end(&h);
}

static void scatter_writes_and_combines(void **state) {
    (void)state;
    const int64_t indices[] = {1, 0, -1, 1};
    const float updates[] = {10, 20, 30, 40};
    const float none[] = {20, 40, 2, 30};
    const float add[] = {20, 51, 2, 33};
    const float largest[] = {20, 40, 2, 30};
    const char *const reductions[] = {"none", "add", "max"};
    const float *const expected[] = {none, add, largest};
    for (int i = 0; i < 3; i++) {
        OpHarness h;
        op_begin(&h, "", "ScatterElements", 18, 1);
        op_input(&h, OCTET_F32, SHAPE(4), ramp);
        op_input(&h, OCTET_S64, SHAPE(4), indices);
        op_input(&h, OCTET_F32, SHAPE(4), updates);
        oct_node_set_string(h.graph, h.node, "reduction", reductions[i]);
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_F32, SHAPE(4), expected[i]);
        op_end(&h);
    }
    const int64_t rows[] = {1, 1};
    const int32_t data[] = {1, 2, 3, 4};
    const int32_t factors[] = {2, 3, 10, 10};
    const int32_t product[] = {1, 2, 60, 120};
    OpHarness h;
    op_begin(&h, "", "ScatterND", 18, 1);
    op_input(&h, OCTET_S32, SHAPE(2, 2), data);
    op_input(&h, OCTET_S64, SHAPE(2, 1), rows);
    op_input(&h, OCTET_S32, SHAPE(2, 2), factors);
    oct_node_set_string(h.graph, h.node, "reduction", "mul");
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S32, SHAPE(2, 2), product);
    op_end(&h);
    const int64_t outside[] = {2};
    op_begin(&h, "", "ScatterND", 18, 1);
    op_input(&h, OCTET_S32, SHAPE(2, 2), data);
    op_input(&h, OCTET_S64, SHAPE(1, 1), outside);
    op_input(&h, OCTET_S32, SHAPE(1, 2), factors);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

/* ---- made of data ---- */

static void compress_and_nonzero_find_out_how_much(void **state) {
    (void)state;
    const uint8_t condition[] = {0, 1, 1};
    const float columns[] = {1, 2, 4, 5};
    OpHarness h;
    op_begin(&h, "", "Compress", 11, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3), ramp);
    op_input(&h, OCTET_BOOL, SHAPE(3), condition);
    oct_node_set_int(h.graph, h.node, "axis", 1);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 2), columns);
    op_end(&h);
    op_begin(&h, "", "Compress", 11, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3), ramp);
    op_input(&h, OCTET_BOOL, SHAPE(3), condition);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2), ramp + 1);
    op_end(&h);
    const float data[] = {1, 0, -0.0f, 2};
    const int64_t found[] = {0, 1, 0, 1};
    op_begin(&h, "", "NonZero", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 2), data);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S64, SHAPE(2, 2), found);
    op_end(&h);
}

static void triangles(void **state) {
    (void)state;
    const struct {
        int64_t upper, k;
        float expected[6];
    } cases[] = {{1, 0, {0, 1, 2, 0, 4, 5}},  {1, 1, {0, 1, 2, 0, 0, 5}},
                 {1, -1, {0, 1, 2, 3, 4, 5}}, {0, 0, {0, 0, 0, 3, 4, 0}},
                 {0, -1, {0, 0, 0, 3, 0, 0}}, {0, 100, {0, 1, 2, 3, 4, 5}},
                 {1, 100, {0, 0, 0, 0, 0, 0}}};
    for (size_t i = 0; i < 7; i++) {
        OpHarness h;
        op_begin(&h, "", "Trilu", 14, 1);
        op_input(&h, OCTET_F32, SHAPE(2, 3), ramp);
        op_input(&h, OCTET_S64, SCALAR, &cases[i].k);
        oct_node_set_int(h.graph, h.node, "upper", cases[i].upper);
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_F32, SHAPE(2, 3), cases[i].expected);
        op_end(&h);
    }
}

static void sequences_are_reversed(void **state) {
    (void)state;
    const int64_t lengths[] = {1, 3};
    const float expected[] = {0, 5, 2, 3, 4, 1};
    OpHarness h;
    op_begin(&h, "", "ReverseSequence", 10, 1);
    op_input(&h, OCTET_F32, SHAPE(3, 2), ramp);
    op_input(&h, OCTET_S64, SHAPE(2), lengths);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(3, 2), expected);
    op_end(&h);
}

static void onehot_and_its_axis(void **state) {
    (void)state;
    const int64_t indices[] = {1, -1, 5};
    const int64_t depth = 3;
    const float values[] = {0, 2};
    const float last[] = {0, 2, 0, 0, 0, 2, 0, 0, 0};
    const float first[] = {0, 0, 0, 2, 0, 0, 0, 2, 0};
    for (int64_t axis = -1; axis <= 0; axis++) {
        OpHarness h;
        op_begin(&h, "", "OneHot", 11, 1);
        op_input(&h, OCTET_S64, SHAPE(3), indices);
        op_input(&h, OCTET_S64, SCALAR, &depth);
        op_input(&h, OCTET_F32, SHAPE(2), values);
        oct_node_set_int(h.graph, h.node, "axis", axis);
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_F32, SHAPE(3, 3), axis ? last : first);
        op_end(&h);
    }
}

static void generators(void **state) {
    (void)state;
    const int64_t shape[] = {2, 1};
    const int32_t seven = 7;
    const int32_t sevens[] = {7, 7};
    OpHarness h;
    for (int constant = 0; constant < 2; constant++) {
        op_begin(&h, "", "ConstantOfShape", 9, 1);
        if (constant) {
            op_constant(&h, OCTET_S64, SHAPE(2), shape);
        } else {
            op_input(&h, OCTET_S64, SHAPE(2), shape);
        }
        oct_node_set_tensor(h.graph, h.node, "value",
                            oct_constant_create(op_tensor(OCTET_S32, SHAPE(1), &seven)));
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_S32, SHAPE(2, 1), sevens);
        op_end(&h);
    }
    const int64_t bounds[] = {10, 3, -3};
    const int64_t range[] = {10, 7, 4};
    op_begin(&h, "", "Range", 11, 1);
    op_input(&h, OCTET_S64, SCALAR, &bounds[0]);
    op_constant(&h, OCTET_S64, SCALAR, &bounds[1]);
    op_constant(&h, OCTET_S64, SCALAR, &bounds[2]);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S64, SHAPE(3), range);
    op_end(&h);
    const float steps[] = {1, 2, 0.25f};
    const float quarters[] = {1, 1.25f, 1.5f, 1.75f};
    op_begin(&h, "", "Range", 11, 1);
    for (int i = 0; i < 3; i++) {
        op_constant(&h, OCTET_F32, SCALAR, &steps[i]);
    }
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(4), quarters);
    op_end(&h);
    const int64_t zero[] = {0, 1, 0};
    op_begin(&h, "", "Range", 11, 1);
    for (int i = 0; i < 3; i++) {
        op_constant(&h, OCTET_S64, SCALAR, &zero[i]);
    }
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
    const float eye[] = {0, 1, 0, 0, 0, 1};
    op_begin(&h, "", "EyeLike", 9, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3), ramp);
    oct_node_set_int(h.graph, h.node, "k", 1);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 3), eye);
    op_end(&h);
    const int64_t tail[] = {3, 4};
    op_begin(&h, "", "Shape", 15, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3, 4), ramp);
    oct_node_set_int(h.graph, h.node, "start", -2);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S64, SHAPE(2), tail);
    op_end(&h);
}

/* ---- order ---- */

static void arg_finds_the_first_or_last(void **state) {
    (void)state;
    const float data[] = {1, 5, 5, -2, -2, 0};
    const int64_t first[] = {1, 2};
    const int64_t last[] = {2, 2};
    const int64_t lowest[] = {1, 1, 1};
    OpHarness h;
    op_begin(&h, "", "ArgMax", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3), data);
    oct_node_set_int(h.graph, h.node, "axis", 1);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S64, SHAPE(2, 1), first);
    op_end(&h);
    op_begin(&h, "", "ArgMax", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3), data);
    oct_node_set_int(h.graph, h.node, "axis", -1);
    oct_node_set_int(h.graph, h.node, "select_last_index", 1);
    oct_node_set_int(h.graph, h.node, "keepdims", 0);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S64, SHAPE(2), last);
    op_end(&h);
    op_begin(&h, "", "ArgMin", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3), data);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S64, SHAPE(1, 3), lowest);
    op_end(&h);
}

static void topk_sorts_and_breaks_ties_by_index(void **state) {
    (void)state;
    const float data[] = {3, 7, 7, -1, 5, NAN};
    const int64_t k = 4;
    const float largest[] = {NAN, 7, 7, 5};
    const int64_t largest_at[] = {5, 1, 2, 4};
    const float smallest[] = {-1, 3, 5, 7};
    const int64_t smallest_at[] = {3, 0, 4, 1};
    for (int form = 0; form < 3; form++) {
        OpHarness h;
        op_begin(&h, "", "TopK", form == 0 ? 9 : 11, 2);
        op_input(&h, OCTET_F32, SHAPE(6), data);
        if (form == 0) {
            oct_node_set_int(h.graph, h.node, "k", k);
        } else {
            op_input(&h, OCTET_S64, SHAPE(1), &k);
            oct_node_set_int(h.graph, h.node, "largest", form == 1);
        }
        op_run_ok(&h);
        op_expect_f32(&h, 0, SHAPE(4), form == 2 ? smallest : largest, 0);
        op_expect(&h, 1, OCTET_S64, SHAPE(4), form == 2 ? smallest_at : largest_at);
        op_end(&h);
    }
    const int64_t too_many = 7;
    OpHarness h;
    op_begin(&h, "", "TopK", 11, 2);
    op_input(&h, OCTET_F32, SHAPE(6), data);
    op_input(&h, OCTET_S64, SHAPE(1), &too_many);
    assert_int_equal(op_run(&h), OCTET_ERROR_SHAPE);
    op_end(&h);
}

static void unique_with_and_without_order(void **state) {
    (void)state;
    const float data[] = {2, 1, 1, 3, 4, 3};
    const float sorted[] = {1, 2, 3, 4};
    const int64_t first[] = {1, 0, 3, 4};
    const int64_t inverse[] = {1, 0, 0, 2, 3, 2};
    const int64_t counts[] = {2, 1, 2, 1};
    const float unsorted[] = {2, 1, 3, 4};
    OpHarness h;
    op_begin(&h, "", "Unique", 11, 4);
    op_input(&h, OCTET_F32, SHAPE(6), data);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(4), sorted);
    op_expect(&h, 1, OCTET_S64, SHAPE(4), first);
    op_expect(&h, 2, OCTET_S64, SHAPE(6), inverse);
    op_expect(&h, 3, OCTET_S64, SHAPE(4), counts);
    op_end(&h);
    op_begin(&h, "", "Unique", 11, 1);
    op_input(&h, OCTET_F32, SHAPE(6), data);
    oct_node_set_int(h.graph, h.node, "sorted", 0);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(4), unsorted);
    op_end(&h);
    const float rows[] = {1, 0, 1, 0, 2, 3};
    const float two[] = {1, 0, 2, 3};
    op_begin(&h, "", "Unique", 11, 1);
    op_input(&h, OCTET_F32, SHAPE(3, 2), rows);
    oct_node_set_int(h.graph, h.node, "axis", 0);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 2), two);
    op_end(&h);
}

static void running_sums(void **state) {
    (void)state;
    const int64_t axis = -1;
    const struct {
        int64_t exclusive, reverse;
        float expected[3];
    } cases[] = {{0, 0, {1, 3, 6}}, {1, 0, {0, 1, 3}}, {0, 1, {6, 5, 3}}, {1, 1, {5, 3, 0}}};
    for (size_t i = 0; i < 4; i++) {
        OpHarness h;
        op_begin(&h, "", "CumSum", 14, 1);
        op_input(&h, OCTET_F32, SHAPE(1, 3), ramp + 1);
        op_input(&h, OCTET_S64, SCALAR, &axis);
        oct_node_set_int(h.graph, h.node, "exclusive", cases[i].exclusive);
        oct_node_set_int(h.graph, h.node, "reverse", cases[i].reverse);
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_F32, SHAPE(1, 3), cases[i].expected);
        op_end(&h);
    }
    const int32_t data[] = {1, 2, 3, 4};
    const int32_t zero = 0;
    const int32_t down[] = {1, 2, 4, 6};
    OpHarness h;
    op_begin(&h, "", "CumSum", 14, 1);
    op_input(&h, OCTET_S32, SHAPE(2, 2), data);
    op_input(&h, OCTET_S32, SCALAR, &zero);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_S32, SHAPE(2, 2), down);
    op_end(&h);
}

/* ---- reductions ---- */

typedef struct Accumulator {
    double sum, absolute, squares, product, low, high, exponentials;
    int count;
} Accumulator;

static double result_of(const char *name, const Accumulator *a) {
    if (strcmp(name, "ReduceSum") == 0) {
        return a->sum;
    }
    if (strcmp(name, "ReduceMean") == 0) {
        return a->sum / a->count;
    }
    if (strcmp(name, "ReduceMax") == 0) {
        return a->high;
    }
    if (strcmp(name, "ReduceMin") == 0) {
        return a->low;
    }
    if (strcmp(name, "ReduceProd") == 0) {
        return a->product;
    }
    if (strcmp(name, "ReduceL1") == 0) {
        return a->absolute;
    }
    if (strcmp(name, "ReduceL2") == 0) {
        return sqrt(a->squares);
    }
    if (strcmp(name, "ReduceSumSquare") == 0) {
        return a->squares;
    }
    return strcmp(name, "ReduceLogSum") == 0 ? log(a->sum) : log(a->exponentials);
}

/* A tensor of 3 x 4 x 5 reduced over every set of axes. */
static void reductions_over_every_set_of_axes(void **state) {
    (void)state;
    static const char *const names[] = {
        "ReduceSum", "ReduceMean", "ReduceMax",       "ReduceMin",    "ReduceProd",
        "ReduceL1",  "ReduceL2",   "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp"};
    const int dims[] = {3, 4, 5};
    float data[60];
    for (int i = 0; i < 60; i++) {
        data[i] = 0.5f + (float)(i * 37 % 60) / 60;
    }
    for (int mask = 1; mask < 8; mask++) {
        for (int name = 0; name < 10; name++) {
            Accumulator all[60] = {0};
            int64_t axes[3];
            int axis_count = 0;
            OctetShape shape = {.rank = 3};
            for (int i = 0; i < 3; i++) {
                shape.dims[i] = mask >> i & 1 ? 1 : dims[i];
                if (mask >> i & 1) {
                    axes[axis_count++] = i - (name % 2 ? 3 : 0);
                }
            }
            float expected[60];
            for (int i = 0; i < 60; i++) {
                int at[] = {i / 20, i / 5 % 4, i % 5};
                int64_t to = 0;
                for (int j = 0; j < 3; j++) {
                    to = to * shape.dims[j] + (mask >> j & 1 ? 0 : at[j]);
                }
                Accumulator *a = &all[to];
                double x = (double)data[i];
                a->low = a->count ? fmin(a->low, x) : x;
                a->high = a->count ? fmax(a->high, x) : x;
                a->product = a->count ? a->product * x : x;
                a->sum += x;
                a->absolute += fabs(x);
                a->squares += x * x;
                a->exponentials += exp(x);
                a->count++;
                expected[to] = (float)result_of(names[name], a);
            }
            OpHarness h;
            bool as_input = mask % 2;
            op_begin(&h, "", names[name], as_input ? 18 : 11, 1);
            op_input(&h, OCTET_F32, SHAPE(3, 4, 5), data);
            if (as_input && mask % 4 == 1) {
                op_input(&h, OCTET_S64, SHAPE(axis_count), axes);
            } else if (as_input) {
                op_constant(&h, OCTET_S64, SHAPE(axis_count), axes);
            } else {
                oct_node_set_ints(h.graph, h.node, "axes", axes, axis_count);
            }
            op_run_ok(&h);
            op_expect_f32(&h, 0, &shape, expected, 2e-6f);
            op_end(&h);
        }
    }
}

static void reductions_of_everything_and_nothing(void **state) {
    (void)state;
    const float sum = 15;
    OpHarness h;
    op_begin(&h, "", "ReduceSum", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3), ramp);
    oct_node_set_int(h.graph, h.node, "keepdims", 0);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SCALAR, &sum);
    op_end(&h);
    op_begin(&h, "", "ReduceSum", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2, 3), ramp);
    op_constant(&h, OCTET_S64, SHAPE(0), NULL);
    oct_node_set_int(h.graph, h.node, "noop_with_empty_axes", 1);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_F32, SHAPE(2, 3), ramp);
    op_end(&h);
    const int64_t axis = 1;
    const struct {
        const char *name;
        float expected;
    } empty[] = {{"ReduceSum", 0},
                 {"ReduceProd", 1},
                 {"ReduceMax", -INFINITY},
                 {"ReduceMin", INFINITY},
                 {"ReduceMean", NAN},
                 {"ReduceLogSum", -INFINITY},
                 {"ReduceLogSumExp", -INFINITY}};
    for (size_t i = 0; i < 7; i++) {
        const float expected[] = {empty[i].expected, empty[i].expected};
        op_begin(&h, "", empty[i].name, 18, 1);
        op_input(&h, OCTET_F32, SHAPE(2, 0), NULL);
        op_constant(&h, OCTET_S64, SHAPE(1), &axis);
        op_run_ok(&h);
        op_expect_f32(&h, 0, SHAPE(2, 1), expected, 0);
        op_end(&h);
    }
    const float huge[] = {1000, 1000};
    const float result = 1000.6931472f;
    op_begin(&h, "", "ReduceLogSumExp", 13, 1);
    op_input(&h, OCTET_F32, SHAPE(2), huge);
    op_run_ok(&h);
    op_expect_f32(&h, 0, SHAPE(1), &result, 1e-7f);
    op_end(&h);
}

static void integers_are_reduced_exactly(void **state) {
    (void)state;
    const int64_t data[] = {INT64_MAX, 2, -7, 4, 0, 9};
    const int64_t axes[] = {0};
    const struct {
        const char *name;
        int64_t expected[2];
    } cases[] = {{"ReduceSum", {INT64_MAX - 7, 15}},
                 {"ReduceMax", {INT64_MAX, 9}},
                 {"ReduceMin", {-7, 2}},
                 {"ReduceProd", {0, 72}},
                 {"ReduceMean", {(INT64_MAX - 7) / 3, 5}}};
    for (size_t i = 0; i < 5; i++) {
        OpHarness h;
        op_begin(&h, "", cases[i].name, 12, 1);
        op_input(&h, OCTET_S64, SHAPE(3, 2), data);
        oct_node_set_ints(h.graph, h.node, "axes", axes, 1);
        oct_node_set_int(h.graph, h.node, "keepdims", 0);
        op_run_ok(&h);
        op_expect(&h, 0, OCTET_S64, SHAPE(2), cases[i].expected);
        op_end(&h);
    }
    const uint8_t bytes[] = {3, 200, 100, 7};
    const uint8_t largest[] = {200, 100};
    const int64_t last[] = {1};
    OpHarness h;
    op_begin(&h, "", "ReduceMax", 13, 1);
    op_input_q(&h, OCTET_U8, SHAPE(2, 2), bytes, 0.1f, 3);
    op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.1f, 3);
    oct_node_set_ints(h.graph, h.node, "axes", last, 1);
    oct_node_set_int(h.graph, h.node, "keepdims", 0);
    op_run_ok(&h);
    op_expect(&h, 0, OCTET_U8, SHAPE(2), largest);
    op_end(&h);
}

static void means_of_bytes(void **state) {
    (void)state;
    uint8_t data[60];
    for (int i = 0; i < 60; i++) {
        data[i] = (uint8_t)(i * 53 % 256);
    }
    const int64_t sets[][2] = {{1, 2}, {0, 1}, {0, 2}};
    for (int s = 0; s < 3; s++) {
        const int dims[] = {3, 4, 5};
        double sums[60] = {0};
        OctetShape shape = {.rank = 3, .dims = {3, 4, 5}};
        shape.dims[sets[s][0]] = shape.dims[sets[s][1]] = 1;
        int count = dims[sets[s][0]] * dims[sets[s][1]];
        for (int i = 0; i < 60; i++) {
            int64_t at[] = {i / 20, i / 5 % 4, i % 5};
            at[sets[s][0]] = at[sets[s][1]] = 0;
            sums[(at[0] * shape.dims[1] + at[1]) * shape.dims[2] + at[2]] += (data[i] - 100) * 0.1;
        }
        OpHarness h;
        op_begin(&h, "", "ReduceMean", 13, 1);
        op_input_q(&h, OCTET_U8, SHAPE(3, 4, 5), data, 0.1f, 100);
        op_quantize(&h, h.node->outputs[0], OCTET_U8, 0.05f, 120);
        oct_node_set_ints(h.graph, h.node, "axes", sets[s], 2);
        op_run_ok(&h);
        const uint8_t *got = h.outputs[0].data;
        for (int i = 0; i < 60 / count; i++) {
            double q = fmin(fmax(rint(sums[i] / count / 0.05) + 120, 0), 255);
            assert_true(fabs(got[i] - q) <= 1);
        }
        op_end(&h);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(where_broadcasts_three_ways),
        cmocka_unit_test(where_follows_symbols),
        cmocka_unit_test(gather_takes_slices),
        cmocka_unit_test(gather_elements_and_tuples),
        cmocka_unit_test(scatter_writes_and_combines),
        cmocka_unit_test(compress_and_nonzero_find_out_how_much),
        cmocka_unit_test(triangles),
        cmocka_unit_test(sequences_are_reversed),
        cmocka_unit_test(onehot_and_its_axis),
        cmocka_unit_test(generators),
        cmocka_unit_test(arg_finds_the_first_or_last),
        cmocka_unit_test(topk_sorts_and_breaks_ties_by_index),
        cmocka_unit_test(unique_with_and_without_order),
        cmocka_unit_test(running_sums),
        cmocka_unit_test(reductions_over_every_set_of_axes),
        cmocka_unit_test(reductions_of_everything_and_nothing),
        cmocka_unit_test(integers_are_reduced_exactly),
        cmocka_unit_test(means_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
