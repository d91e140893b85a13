/* The options that raise and lower limits, and Ctrl-C in the middle of a run. */
#include "cli.h"

#include "onnx_models.h"

#include <signal.h>
#include <time.h>

#include "octet/data.h"

/* A Loop without an end. */
static void write_endless(void) {
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    Onnx__GraphProto *body = new_graph_proto();
    size_t size;
    body->name = (char *)"body";
    add_input(body, "i", OCTET_S64, "");
    add_input(body, "go", OCTET_BOOL, "");
    add_input(body, "v", OCTET_F32, "4");
    add_node(body, "Identity", "go", "on");
    add_node(body, "Neg", "v", "next");
    add_output(body, "on", OCTET_BOOL, "");
    add_output(body, "next", OCTET_F32, "4");
    add_input(g, "x", OCTET_F32, "4");
    Onnx__NodeProto *node = add_node(g, "Loop", "- - x", "y");
    node->name = (char *)"forever";
    add_graph(node, "body", body);
    add_output(g, "y", OCTET_F32, "4");
    uint8_t *bytes = pack_model(model, &size);
    write_bytes(cli_path("endless.onnx"), bytes, size);
}

/* 64 MB that a few bytes ask for. */
static void write_large(void) {
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    size_t size;
    add_input(g, "x", OCTET_F32, "4");
    add_tensor(g, "n", OCTET_S64, "2", (int64_t[]){4 << 20, 4}, 16);
    add_node(g, "Expand", "x n", "wide")->name = (char *)"widen";
    add_node(g, "ReduceMax", "wide", "y");
    add_output(g, "y", OCTET_F32, NULL);
    uint8_t *bytes = pack_model(model, &size);
    write_bytes(cli_path("large.onnx"), bytes, size);
}

static int set_up(void **state) {
    OctetTensor *x;
    OctetShape shape = {.rank = 1, .dims = {4}};
    if (cli_make_folder(state) != 0 ||
        octet_tensor_create(OCTET_F32, &shape, &x, NULL) != OCTET_OK) {
        return -1;
    }
    OctetStatus status = octet_npy_write(cli_path("x.npy"), x, NULL);
    octet_tensor_free(x);
    write_endless();
    write_large();
    empty_pool();
    return status == OCTET_OK ? 0 : -1;
}

static int run(const char *model, const char *options) {
    return cli("run %s --input %s %s", cli_path(model), cli_path("x.npy"), options);
}

static void test_loops(void **state) {
    (void)state;
    assert_int_equal(run("endless.onnx", "--max-iterations 1000"), 1);
    cli_assert_one_line("node forever");
    cli_assert_one_line("more than 1000 iterations; raise max_iterations (--max-iterations)");
    assert_int_equal(run("endless.onnx", "--max-iterations 1000000000000 --max-seconds 1"), 1);
    cli_assert_one_line("--max-seconds");
}

static void test_memory(void **state) {
    (void)state;
    assert_int_equal(run("large.onnx", "--max-memory 32M"), 1);
    cli_assert_one_line("node widen");
    cli_assert_one_line("more than the limit of 33554432; raise max_memory_bytes (--max-memory)");
    assert_int_equal(run("large.onnx", "--max-memory 1G"), 0);
}

static void test_packing(void **state) {
    (void)state;
    assert_int_equal(cli("pack %s --output %s --max-memory 32M", cli_path("large.onnx"),
                         cli_path("packed.onnx")),
                     1);
    cli_assert_one_line("node widen");
    cli_assert_one_line("raise max_memory_bytes (--max-memory)");
    assert_int_equal(cli_count("packed"), 0);
    assert_int_equal(
        cli("pack %s --output %s --max-memory 1G", cli_path("large.onnx"), cli_path("packed.onnx")),
        0);
    assert_int_equal(cli_count("packed"), 1);
}

static void test_loading(void **state) {
    (void)state;
    assert_int_equal(run("endless.onnx", "--max-nodes 2"), 1);
    cli_assert_one_line("--max-nodes");
    assert_int_equal(cli("inspect %s --max-file 100", cli_path("endless.onnx")), 1);
    cli_assert_one_line("--max-file");
}

static void test_wrong_sizes(void **state) {
    (void)state;
    static const char *const sizes[] = {"0", "-1", "4X", "4GG", "G", "99999999999T", "1.5G"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        char option[64];
        snprintf(option, sizeof option, "--max-memory %s", sizes[i]);
        assert_int_equal(run("large.onnx", option), 2);
        cli_assert_one_line("--max-memory needs a number of bytes such as 500M or 4G");
    }
}

/* Ctrl-C while the loop runs: one line, exit code 130, no file. */
static void test_interrupt(void **state) {
    (void)state;
    char line[1024];
    snprintf(line, sizeof line,
             "run %s --input %s --output %s --max-iterations 1000000000000 --max-seconds 60",
             cli_path("endless.onnx"), cli_path("x.npy"), cli_path("never.npy"));
    pid_t child = cli_start(line);
    cli_wait_until_busy(child);
    assert_int_equal(kill(child, SIGINT), 0);
    assert_int_equal(cli_wait(child), 130);
    cli_assert_one_line("interrupted; nothing was written");
    assert_int_equal(cli_count("never"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_loops),       cmocka_unit_test(test_memory),
        cmocka_unit_test(test_packing),     cmocka_unit_test(test_loading),
        cmocka_unit_test(test_wrong_sizes), cmocka_unit_test(test_interrupt),
    };
    return cmocka_run_group_tests(tests, set_up, cli_remove_folder);
}
