/* Networks that ask for more memory, iterations or time than a run may take: one error each, which
 * names the node, what it wanted and the option that raises the limit. */
#include "onnx_models.h"

#include "ir/graph.h"
#include "octet/octet.h"

enum { MEGABYTE = 1 << 20 };

static const OctetLimits small = {
    .max_memory_bytes = 16 * MEGABYTE, .max_iterations = 1000, .max_seconds = 60};

/* Loads and runs with these inputs. */
static OctetStatus run_model(const Onnx__ModelProto *model, const OctetLimits *limits,
                             const OctetTensor *const *inputs, size_t count,
                             OctetDiagnostic *diagnostic) {
    OctetGraph *graph;
    OctetSession *session = NULL;
    const OctetTensor *outputs[4];
    OctetSessionOptions options = {.limits = *limits};
    OctetStatus status = try_load(model, false, &graph, diagnostic);
    if (status == OCTET_OK) {
        status = octet_session_create(graph, &options, &session, diagnostic);
        if (status == OCTET_OK) {
            status = octet_session_run(session, inputs, count, outputs,
                                       octet_graph_output_count(graph), diagnostic);
        }
        octet_session_free(session);
        octet_graph_free(graph);
    }
    return status;
}

static void expect_limit(const Onnx__ModelProto *model, const OctetLimits *limits,
                         const OctetTensor *const *inputs, size_t count, const char *node,
                         const char *part) {
    OctetDiagnostic diagnostic = {0};
    OctetStatus status = run_model(model, limits, inputs, count, &diagnostic);
    if (status != OCTET_ERROR_LIMIT || strcmp(diagnostic.node, node) != 0 ||
        !strstr(diagnostic.message, part)) {
        fail_msg("%s: got %s, node '%s', '%s'", node, octet_status_name(status), diagnostic.node,
                 diagnostic.message);
    }
}

static OctetTensor *integers(const int64_t *values, int64_t count) {
    OctetTensor *tensor;
    OctetShape shape = {.rank = 1, .dims = {count}};
    assert_int_equal(octet_tensor_create(OCTET_S64, &shape, &tensor, NULL), OCTET_OK);
    memcpy(tensor->data, values, (size_t)count * sizeof *values);
    return tensor;
}

/* ---- outputs of any size ---- */

/* One operator whose second input decides how large its output is. */
typedef struct Growing {
    const char *op_type, *inputs; /* "n" is the sizes, "x" 1x2x2, "one" a scalar, "-" nothing */
    int64_t sizes[6];
    int64_t count;
} Growing;

static const Growing growing[] = {
    {"ConstantOfShape", "n", {40000, 40000, 1}, 3},  {"Expand", "x n", {10000, 1000, 1, 1}, 4},
    {"Tile", "x n", {1000, 1000, 100}, 3},           {"Range", "zero n one", {1000000000000}, 0},
    {"Pad", "x n", {0, 100000, 0, 0, 0, 100000}, 6}, {"Resize", "x - - n", {1, 100000, 20000}, 3},
};

/* fixed: the sizes are a constant, else an input of the network. */
static Onnx__ModelProto *growing_model(const Growing *growth, bool fixed) {
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    char dims[8];
    snprintf(dims, sizeof dims, growth->count ? "%d" : "", (int)growth->count);
    if (fixed) {
        add_tensor(g, "n", OCTET_S64, dims, growth->sizes,
                   sizeof(int64_t) * (size_t)(growth->count ? growth->count : 1));
    } else {
        add_input(g, "n", OCTET_S64, dims);
    }
    add_input(g, "x", OCTET_F32, "1,2,2");
    add_tensor(g, "zero", OCTET_S64, "", (int64_t[]){0}, 8);
    add_tensor(g, "one", OCTET_S64, "", (int64_t[]){1}, 8);
    add_node(g, growth->op_type, growth->inputs, "y")->name = (char *)"the grower";
    add_output(g, "y", strcmp(growth->op_type, "Range") == 0 ? OCTET_S64 : OCTET_F32, NULL);
    return model;
}

static void test_outputs_of_any_size(void **state) {
    (void)state;
    OctetTensor *x;
    OctetShape shape = {.rank = 3, .dims = {1, 2, 2}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &x, NULL), OCTET_OK);
    for (size_t i = 0; i < sizeof growing / sizeof *growing; i++) {
        OctetTensor *n = integers(growing[i].sizes, growing[i].count ? growing[i].count : 1);
        n->shape.rank = growing[i].count ? 1 : 0;
        const OctetTensor *both[] = {n, x};
        const OctetTensor *alone[] = {x};
        expect_limit(growing_model(&growing[i], true), &small, alone, 1, "the grower",
                     "--max-memory");
        expect_limit(growing_model(&growing[i], false), &small, both, 2, "the grower",
                     "--max-memory");
        octet_tensor_free(n);
    }
    octet_tensor_free(x);
    empty_pool();
}

/* 8 MB of output and 16 of tables, which say where each element comes from. */
static void test_tables_count(void **state) {
    (void)state;
    const Growing wide = {"Resize", "x - - n", {1, 1, 2000000}, 3};
    OctetTensor *x;
    OctetTensor *n = integers(wide.sizes, wide.count);
    OctetShape shape = {.rank = 3, .dims = {1, 2, 2}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &x, NULL), OCTET_OK);
    const OctetTensor *both[] = {n, x};
    OctetLimits enough = small;
    enough.max_memory_bytes = 32 * MEGABYTE;
    for (int fixed = 0; fixed < 2; fixed++) {
        const OctetTensor *const *inputs = both + fixed;
        size_t count = 2 - (size_t)fixed;
        OctetDiagnostic diagnostic = {0};
        expect_limit(growing_model(&wide, fixed), &small, inputs, count, "the grower",
                     "--max-memory");
        assert_int_equal(
            run_model(growing_model(&wide, fixed), &enough, inputs, count, &diagnostic), OCTET_OK);
    }
    octet_tensor_free(n);
    octet_tensor_free(x);
    empty_pool();
}

/* Sizes whose product no integer holds. */
static void test_sizes_that_overflow(void **state) {
    (void)state;
    const Growing beyond = {"ConstantOfShape", "n", {1ll << 40, 1ll << 40}, 2};
    OctetTensor *x;
    OctetTensor *n = integers(beyond.sizes, 2);
    OctetShape shape = {.rank = 3, .dims = {1, 2, 2}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &x, NULL), OCTET_OK);
    const OctetTensor *both[] = {n, x};
    expect_limit(growing_model(&beyond, false), &small, both, 2, "the grower", "too large");
    octet_tensor_free(n);
    octet_tensor_free(x);
    empty_pool();
}

/* ---- loops ---- */

/* x + 1 in every iteration; collects x if asked to. */
static Onnx__GraphProto *counting_body(bool collects) {
    Onnx__GraphProto *body = new_graph_proto();
    body->name = (char *)"body";
    add_input(body, "i", OCTET_S64, "");
    add_input(body, "go", OCTET_BOOL, "");
    add_input(body, "v", OCTET_F32, "64");
    add_node(body, "Identity", "go", "go_on");
    add_node(body, "Add", "v step", "next");
    add_output(body, "go_on", OCTET_BOOL, "");
    add_output(body, "next", OCTET_F32, "64");
    if (collects) {
        add_node(body, "Identity", "next", "kept");
        add_output(body, "kept", OCTET_F32, "64");
    }
    return body;
}

static Onnx__ModelProto *loop_model(int64_t iterations, bool collects) {
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    add_tensor(g, "many", OCTET_S64, "", &iterations, sizeof iterations);
    add_input(g, "x", OCTET_F32, "64");
    add_scalar_f32(g, "step", 1);
    Onnx__NodeProto *node = add_node(g, "Loop", "many - x", collects ? "last all" : "last");
    node->name = (char *)"the loop";
    add_graph(node, "body", counting_body(collects));
    add_output(g, "last", OCTET_F32, "64");
    if (collects) {
        add_output(g, "all", OCTET_F32, NULL);
    }
    return model;
}

static OctetTensor *ones(void) {
    OctetTensor *x;
    OctetShape shape = {.rank = 1, .dims = {64}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &x, NULL), OCTET_OK);
    for (int i = 0; i < 64; i++) {
        ((float *)x->data)[i] = 1;
    }
    return x;
}

static void test_loop_limits(void **state) {
    (void)state;
    OctetTensor *x = ones();
    const OctetTensor *inputs[] = {x};
    OctetDiagnostic diagnostic = {0};
    OctetLimits limits = small;
    expect_limit(loop_model(INT64_MAX, false), &limits, inputs, 1, "the loop", "--max-iterations");
    assert_int_equal(run_model(loop_model(1000, false), &limits, inputs, 1, &diagnostic), OCTET_OK);
    expect_limit(loop_model(1001, false), &limits, inputs, 1, "the loop", "more than 1000");
    limits.max_iterations = UINT64_MAX;
    limits.max_seconds = 0.02;
    OctetStatus status = run_model(loop_model(INT64_MAX, false), &limits, inputs, 1, &diagnostic);
    assert_int_equal(status, OCTET_ERROR_LIMIT);
    assert_non_null(strstr(diagnostic.message, "--max-seconds"));
    assert_true(diagnostic.node[0] != '\0');
    limits.max_seconds = 60;
    limits.max_memory_bytes = MEGABYTE;
    status = run_model(loop_model(INT64_MAX, true), &limits, inputs, 1,
                       &(OctetDiagnostic){.status = OCTET_OK});
    assert_int_equal(status, OCTET_ERROR_LIMIT);
    diagnostic = (OctetDiagnostic){0};
    (void)run_model(loop_model(INT64_MAX, true), &limits, inputs, 1, &diagnostic);
    assert_non_null(strstr(diagnostic.message, "--max-memory"));
    limits.max_memory_bytes = 64 * MEGABYTE;
    diagnostic = (OctetDiagnostic){0};
    status = run_model(loop_model(10000, true), &limits, inputs, 1, &diagnostic);
    assert_int_equal(status, OCTET_OK);
    octet_tensor_free(x);
    empty_pool();
}

/* 40 iterations of 40 each: neither loop is long, together they are. */
static void test_nested_loops(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    Onnx__GraphProto *outer = new_graph_proto();
    outer->name = (char *)"outer";
    add_input(outer, "k", OCTET_S64, "");
    add_input(outer, "on", OCTET_BOOL, "");
    add_input(outer, "w", OCTET_F32, "64");
    add_node(outer, "Identity", "on", "stay");
    Onnx__NodeProto *node = add_node(outer, "Loop", "many - w", "wn");
    node->name = (char *)"the inner loop";
    add_graph(node, "body", counting_body(false));
    add_output(outer, "stay", OCTET_BOOL, "");
    add_output(outer, "wn", OCTET_F32, "64");
    add_tensor(g, "many", OCTET_S64, "", (int64_t[]){40}, 8);
    add_scalar_f32(g, "step", 1);
    add_input(g, "x", OCTET_F32, "64");
    node = add_node(g, "Loop", "many - x", "y");
    add_graph(node, "body", outer);
    add_output(g, "y", OCTET_F32, "64");
    OctetTensor *x = ones();
    OctetLimits limits = small;
    OctetDiagnostic diagnostic = {0};
    expect_limit(model, &limits, (const OctetTensor *[]){x}, 1, "the inner loop",
                 "--max-iterations");
    limits.max_iterations = 40 + 40 * 40;
    assert_int_equal(run_model(model, &limits, (const OctetTensor *[]){x}, 1, &diagnostic),
                     OCTET_OK);
    octet_tensor_free(x);
    empty_pool();
}

/* Slices without elements: a Scan of any length takes no memory. */
static void test_scan_of_nothing(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    Onnx__GraphProto *body = new_graph_proto();
    body->name = (char *)"body";
    add_input(body, "s", OCTET_F32, "0");
    add_node(body, "Identity", "s", "t");
    add_output(body, "t", OCTET_F32, "0");
    add_input(g, "x", OCTET_F32, "N,0");
    Onnx__NodeProto *node = add_node(g, "Scan", "x", "y");
    node->name = (char *)"the scan";
    add_graph(node, "body", body);
    add_int(node, "num_scan_inputs", 1);
    add_output(g, "y", OCTET_F32, NULL);
    OctetTensor *x;
    OctetShape shape = {.rank = 2, .dims = {1ll << 40, 0}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &x, NULL), OCTET_OK);
    expect_limit(model, &small, (const OctetTensor *[]){x}, 1, "the scan", "--max-iterations");
    octet_tensor_free(x);
    empty_pool();
}

/* ---- work ---- */

static void test_more_work_than_time(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "10000");
    Onnx__NodeProto *node = add_node(g, "Einsum", "x x x x", "y");
    node->name = (char *)"the product";
    add_string(node, "equation", "i,j,k,l->");
    add_output(g, "y", OCTET_F32, NULL);
    OctetTensor *x;
    OctetShape shape = {.rank = 1, .dims = {10000}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &x, NULL), OCTET_OK);
    expect_limit(model, &small, (const OctetTensor *[]){x}, 1, "the product", "--max-seconds");
    octet_tensor_free(x);
    empty_pool();
}

/* A hundred constants of 32 MB that a few bytes describe. */
static void test_folding_is_bounded(void **state) {
    (void)state;
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    add_tensor(g, "n", OCTET_S64, "1", (int64_t[]){8 * MEGABYTE}, 8);
    add_input(g, "x", OCTET_F32, "1");
    char last[16] = "x";
    for (int i = 0; i < 100; i++) {
        char names[48];
        char constant[16];
        char sum[16];
        snprintf(constant, sizeof constant, "c%d", i);
        snprintf(sum, sizeof sum, "s%d", i);
        add_node(g, "ConstantOfShape", "n", constant);
        snprintf(names, sizeof names, "%s %s", last, constant);
        add_node(g, "Add", names, sum);
        snprintf(last, sizeof last, "%s", sum);
    }
    add_output(g, "s99", OCTET_F32, NULL);
    OctetGraph *graph = load_model(model);
    assert_int_equal(octet_fuse(graph, NULL), OCTET_OK);
    size_t bytes = 0;
    for (int32_t i = 0; i < graph->value_count; i++) {
        const OctetTensor *tensor = oct_value_tensor(graph->values[i]);
        bytes += tensor ? tensor->bytes : 0;
    }
    assert_true(bytes <= (size_t)257 * MEGABYTE);
    assert_true(bytes >= (size_t)32 * MEGABYTE);
    octet_graph_free(graph);
    empty_pool();
}

/* ---- being asked to stop ---- */

static bool after_some(void *user) {
    return --*(int *)user < 0;
}

static void test_cancel(void **state) {
    (void)state;
    OctetTensor *x = ones();
    int polls = 500;
    OctetLimits limits = {.max_iterations = UINT64_MAX,
                          .max_seconds = 1e9,
                          .canceled = after_some,
                          .canceled_user = &polls};
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(run_model(loop_model(INT64_MAX, false), &limits, (const OctetTensor *[]){x}, 1,
                               &diagnostic),
                     OCTET_ERROR_CANCELED);
    assert_non_null(strstr(diagnostic.message, "interrupted"));
    /* a network without loops, before its first node */
    Onnx__ModelProto *model = new_model(17);
    add_input(model->graph, "x", OCTET_F32, "64");
    add_node(model->graph, "Exp", "x", "y");
    add_output(model->graph, "y", OCTET_F32, "64");
    polls = 0;
    assert_int_equal(run_model(model, &limits, (const OctetTensor *[]){x}, 1, &diagnostic),
                     OCTET_ERROR_CANCELED);
    polls = 100;
    assert_int_equal(run_model(model, &limits, (const OctetTensor *[]){x}, 1, &diagnostic),
                     OCTET_OK);
    octet_tensor_free(x);
    empty_pool();
}

/* ---- loading ---- */

static void expect_load_limit(const Onnx__ModelProto *model, const OctetLoadOptions *options,
                              const char *part) {
    size_t size;
    uint8_t *bytes = pack_model(model, &size);
    OctetGraph *graph;
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_model_load_memory(bytes, size, "m", options, &graph, &diagnostic),
                     OCTET_ERROR_LIMIT);
    if (!strstr(diagnostic.message, part)) {
        fail_msg("%s is not in: %s", part, diagnostic.message);
    }
}

static void test_load_limits(void **state) {
    (void)state;
    const Onnx__ModelProto *model = loop_model(3, true);
    expect_load_limit(model, &(OctetLoadOptions){.max_nodes = 3}, "--max-nodes");
    expect_load_limit(model, &(OctetLoadOptions){.max_file_bytes = 10}, "--max-file");
    Onnx__ModelProto *deep = new_model(17);
    Onnx__GraphProto *g = deep->graph;
    add_input(g, "c", OCTET_BOOL, "");
    for (int i = 0; i < 5; i++) {
        Onnx__GraphProto *branch = new_graph_proto();
        branch->name = (char *)"branch";
        Onnx__NodeProto *node = add_node(g, "If", "c", "y");
        add_graph(node, "then_branch", branch);
        add_output(g, "y", OCTET_BOOL, NULL);
        g = branch;
    }
    add_node(g, "Identity", "c", "y");
    add_output(g, "y", OCTET_BOOL, NULL);
    expect_load_limit(deep, &(OctetLoadOptions){.max_depth = 3}, "--max-depth");
    empty_pool();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outputs_of_any_size),
        cmocka_unit_test(test_tables_count),
        cmocka_unit_test(test_sizes_that_overflow),
        cmocka_unit_test(test_loop_limits),
        cmocka_unit_test(test_nested_loops),
        cmocka_unit_test(test_scan_of_nothing),
        cmocka_unit_test(test_more_work_than_time),
        cmocka_unit_test(test_folding_is_bounded),
        cmocka_unit_test(test_cancel),
        cmocka_unit_test(test_load_limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
