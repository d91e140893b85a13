/* octet_model_pack: a file with packed weights gives what the file without gives, whatever happens
 * to the section. */
#include "onnx_models.h"

#include "base/file.h"
#include "ir/graph.h"
#include "octet/session.h"

#include <unistd.h>

enum { K = 300, N = 1000, OUT = 64 };

static char folder[] = "/tmp/octet-pack-XXXXXX";
static OctetThreadPool *pool; /* of two threads */
static char plain[64], packed[64], again[64];

/* A name that lives as long as the model. */
static const char *name_of(const char *name, const char *suffix) {
    size_t size = strlen(name) + strlen(suffix) + 1;
    char *made = fresh(size);
    snprintf(made, size, "%s%s", name, suffix);
    return made;
}

static void add_grid(Onnx__GraphProto *graph, const char *from, const char *to, const char *name,
                     float scale) {
    uint8_t zero_point = 120;
    char inputs[100];
    const char *scale_name = name_of(name, "_s"), *zero_name = name_of(name, "_z");
    const char *integers = name_of(name, "_q");
    add_scalar_f32(graph, scale_name, scale);
    add_tensor(graph, zero_name, OCTET_U8, "", &zero_point, 1);
    snprintf(inputs, sizeof inputs, "%s %s %s", from, scale_name, zero_name);
    add_node(graph, "QuantizeLinear", name_of(inputs, ""), integers);
    snprintf(inputs, sizeof inputs, "%s %s %s", integers, scale_name, zero_name);
    add_node(graph, "DequantizeLinear", name_of(inputs, ""), to);
}

/* Two matrix products: s8 weights as they are, and u8 ones whose zero point makes them s8. */
static int write_model(void **state) {
    (void)state;
    static uint8_t first[K * N], second[N * OUT];
    uint8_t zero_point = 128;
    size_t size;
    if (!mkdtemp(folder) || octet_thread_pool_create(2, &pool, NULL) != OCTET_OK) {
        return -1;
    }
    snprintf(plain, sizeof plain, "%s/plain.onnx", folder);
    snprintf(packed, sizeof packed, "%s/packed.onnx", folder);
    snprintf(again, sizeof again, "%s/again.onnx", folder);
    fill_bytes(first, sizeof first, 1);
    fill_bytes(second, sizeof second, 2);
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *graph = model->graph;
    add_input(graph, "x", OCTET_F32, "N,300");
    add_grid(graph, "x", "xr", "x", 0.02f);
    add_tensor(graph, "w", OCTET_S8, "300,1000", first, sizeof first);
    add_scalar_f32(graph, "ws", 0.01f);
    add_node(graph, "DequantizeLinear", "w ws", "wr");
    add_node(graph, "MatMul", "xr wr", "h");
    add_grid(graph, "h", "hr", "h", 0.3f);
    add_tensor(graph, "v", OCTET_U8, "1000,64", second, sizeof second);
    add_scalar_f32(graph, "vs", 0.02f);
    add_tensor(graph, "vz", OCTET_U8, "", &zero_point, 1);
    add_node(graph, "DequantizeLinear", "v vs vz", "vr");
    add_node(graph, "MatMul", "hr vr", "o");
    add_grid(graph, "o", "y", "o", 3);
    add_output(graph, "y", OCTET_F32, "N,64");
    uint8_t *bytes = pack_model(model, &size);
    write_bytes(plain, bytes, size);
    empty_pool();
    return 0;
}

/* Float layers: a matrix product and a convolution. */
static void write_float_model(void) {
    static float first[K * N], second[OUT * N], bias[OUT];
    size_t size;
    for (size_t i = 0; i < K * N; i++) {
        first[i] = (float)((int)(i * 31 % 113) - 56) * 0.01f;
    }
    for (size_t i = 0; i < OUT * N; i++) {
        second[i] = (float)((int)(i * 17 % 97) - 48) * 0.01f;
    }
    for (size_t i = 0; i < OUT; i++) {
        bias[i] = (float)i;
    }
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *graph = model->graph;
    add_input(graph, "x", OCTET_F32, "N,300");
    add_tensor(graph, "w", OCTET_F32, "300,1000", first, sizeof first);
    add_node(graph, "MatMul", "x w", "h");
    add_tensor(graph, "axis", OCTET_S64, "1", (int64_t[]){2}, 8);
    add_node(graph, "Unsqueeze", "h axis", "image");
    add_tensor(graph, "v", OCTET_F32, "64,1000,1", second, sizeof second);
    add_tensor(graph, "b", OCTET_F32, "64", bias, sizeof bias);
    add_node(graph, "Conv", "image v b", "o");
    add_node(graph, "Squeeze", "o axis", "y");
    add_output(graph, "y", OCTET_F32, "N,64");
    uint8_t *bytes = pack_model(model, &size);
    write_bytes(again, bytes, size);
    empty_pool();
}

static int remove_all(void **state) {
    (void)state;
    octet_thread_pool_free(pool);
    unlink(plain);
    unlink(packed);
    unlink(again);
    return rmdir(folder);
}

/* Runs the file's model on three rows and two threads; returns the bytes of weights that came from
 * the file. */
static uint64_t run_file(const char *path, float *y) {
    OctetDiagnostic diagnostic = {0};
    OctetGraph *graph;
    OctetSession *session;
    OctetSessionOptions options = {.pool = pool};
    OctetTensor *x;
    const OctetTensor *output;
    OctetMemoryInfo memory;
    OctetShape shape = {2, {3, K}};
    OctetStatus status = octet_model_load(path, NULL, &graph, &diagnostic);
    if (status != OCTET_OK) {
        print_error("%s\n", diagnostic.message);
    }
    assert_int_equal(status, OCTET_OK);
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &x, NULL), OCTET_OK);
    for (size_t i = 0; i < 3 * K; i++) {
        ((float *)x->data)[i] = (float)((int)(i * 37 % 101) - 50) * 0.04f;
    }
    const OctetTensor *inputs[] = {x};
    assert_int_equal(octet_session_create(graph, &options, &session, NULL), OCTET_OK);
    assert_int_equal(octet_session_run(session, inputs, 1, &output, 1, NULL), OCTET_OK);
    assert_int_equal(output->bytes, 3 * OUT * sizeof(float));
    memcpy(y, output->data, output->bytes);
    assert_int_equal(octet_session_memory(session, &memory), OCTET_OK);
    assert_true(memory.mapped_weight_bytes <= memory.packed_weight_bytes);
    octet_session_free(session);
    octet_tensor_free(x);
    octet_graph_free(graph);
    return memory.mapped_weight_bytes;
}

static OctetStatus pack_file(const char *from, const char *to, uint64_t *bytes) {
    OctetGraph *graph;
    OctetShape shape = {2, {1, K}};
    assert_int_equal(octet_model_load(from, NULL, &graph, NULL), OCTET_OK);
    OctetStatus status = octet_model_pack(graph, &shape, 1, NULL, to, bytes, NULL);
    octet_graph_free(graph);
    return status;
}

static void results_are_the_same(void **state) {
    (void)state;
    float expected[3 * OUT], y[3 * OUT];
    uint64_t bytes;
    assert_int_equal(run_file(plain, expected), 0);
    assert_true(expected[0] != expected[1] || expected[1] != expected[2]);
    assert_int_equal(pack_file(plain, packed, &bytes), OCTET_OK);
    assert_true(bytes > K * N);
    assert_int_equal(run_file(packed, y), bytes);
    assert_memory_equal(y, expected, sizeof y);
    /* weights packed for one level are of no use at another */
    OctetCpu best = octet_get_cpu();
    if (octet_set_cpu(OCTET_CPU_PORTABLE) == OCTET_OK && best != OCTET_CPU_PORTABLE) {
        assert_int_equal(run_file(packed, y), 0);
        assert_memory_equal(y, expected, sizeof y);
    }
    octet_set_cpu(best);
}

static void float_weights_are_packed_too(void **state) {
    (void)state;
    float expected[3 * OUT], y[3 * OUT];
    uint64_t bytes;
    write_float_model();
    assert_int_equal(run_file(again, expected), 0);
    assert_true(expected[0] != expected[1] || expected[1] != expected[2]);
    assert_int_equal(pack_file(again, packed, &bytes), OCTET_OK);
    assert_true(bytes >= (K * N + N * OUT) * sizeof(float));
    assert_int_equal(run_file(packed, y), bytes);
    assert_memory_equal(y, expected, sizeof y);
}

static void packing_again_changes_nothing(void **state) {
    (void)state;
    uint8_t *first, *second;
    size_t first_bytes, second_bytes;
    assert_int_equal(pack_file(plain, packed, NULL), OCTET_OK);
    assert_int_equal(pack_file(packed, again, NULL), OCTET_OK);
    assert_int_equal(oct_file_read(packed, SIZE_MAX, &first, &first_bytes, NULL), OCTET_OK);
    assert_int_equal(oct_file_read(again, SIZE_MAX, &second, &second_bytes, NULL), OCTET_OK);
    assert_int_equal(first_bytes, second_bytes);
    assert_memory_equal(first, second, first_bytes);
    oct_free(first);
    oct_free(second);
}

static void what_cannot_be_packed_is_an_error(void **state) {
    (void)state;
    OctetGraph *graph;
    OctetSession *session;
    OctetShape shape = {2, {1, K}};
    OctetDiagnostic diagnostic = {0};
    OctetLoadOptions copy = {.copy_file = true};
    assert_int_equal(octet_model_load(plain, NULL, &graph, NULL), OCTET_OK);
    assert_int_equal(octet_session_create(graph, NULL, &session, NULL), OCTET_OK);
    assert_int_equal(octet_model_pack(graph, &shape, 1, NULL, again, NULL, &diagnostic),
                     OCTET_ERROR_STATE);
    octet_session_free(session);
    assert_int_equal(octet_model_pack(graph, &shape, 1, NULL, "/nowhere/at/all", NULL, &diagnostic),
                     OCTET_ERROR_IO);
    octet_graph_free(graph);
    assert_int_equal(octet_model_load(plain, &copy, &graph, NULL), OCTET_OK);
    assert_int_equal(octet_model_pack(graph, &shape, 1, NULL, again, NULL, &diagnostic),
                     OCTET_ERROR_INVALID_ARGUMENT);
    octet_graph_free(graph);
}

/* Every byte of header and table set to other values: the section is used as far as it is sound,
 * and what doesn't fit is packed. */
static void damaged_sections_do_no_harm(void **state) {
    (void)state;
    static const uint8_t values[] = {0x00, 0x01, 0x7f, 0x80, 0xff};
    float expected[3 * OUT], y[3 * OUT];
    uint8_t *bytes;
    size_t size, unused = 0;
    run_file(plain, expected);
    assert_int_equal(pack_file(plain, packed, NULL), OCTET_OK);
    assert_int_equal(oct_file_read(packed, SIZE_MAX, &bytes, &size, NULL), OCTET_OK);
    size_t at = 0;
    while (at + 16 <= size && memcmp(bytes + at, "octet packed", 12) != 0) {
        at++;
    }
    assert_true(at + 100 < size);
    for (size_t i = 0; i < 40 + 2 * 24; i++) {
        uint8_t before = bytes[at + i];
        for (size_t v = 0; v < sizeof values; v++) {
            bytes[at + i] = values[v];
            write_bytes(again, bytes, size);
            unused += run_file(again, y) == 0;
            if (bytes[at + i] == before) {
                assert_memory_equal(y, expected, sizeof y);
            }
        }
        bytes[at + i] = before;
    }
    assert_true(unused > 16);
    oct_free(bytes);
}

/* Writes to `to` the file `from` with the first product's weights negated, all else as it was. */
static void change_weights(const char *from, const char *to) {
    static uint8_t weights[K * N];
    uint8_t *bytes;
    size_t size, at = 0;
    fill_bytes(weights, sizeof weights, 1);
    assert_int_equal(oct_file_read(from, SIZE_MAX, &bytes, &size, NULL), OCTET_OK);
    while (at + sizeof weights <= size && memcmp(bytes + at, weights, sizeof weights) != 0) {
        at++;
    }
    assert_true(at + sizeof weights <= size);
    for (size_t i = 0; i < sizeof weights; i++) {
        bytes[at + i] = (uint8_t)~bytes[at + i];
    }
    write_bytes(to, bytes, size);
    oct_free(bytes);
}

/* A program that does not know the field may keep it while it changes the weights. */
static void changed_weights_are_packed_anew(void **state) {
    (void)state;
    float before[3 * OUT], expected[3 * OUT], y[3 * OUT];
    uint64_t bytes;
    assert_int_equal(pack_file(plain, packed, &bytes), OCTET_OK);
    run_file(packed, before);
    change_weights(plain, again);
    run_file(again, expected);
    assert_memory_not_equal(expected, before, sizeof before);
    change_weights(packed, again);
    assert_in_range(run_file(again, y), 1, bytes - K * N);
    assert_memory_equal(y, expected, sizeof y);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(results_are_the_same),
        cmocka_unit_test(float_weights_are_packed_too),
        cmocka_unit_test(packing_again_changes_nothing),
        cmocka_unit_test(what_cannot_be_packed_is_an_error),
        cmocka_unit_test(damaged_sections_do_no_harm),
        cmocka_unit_test(changed_weights_are_packed_anew),
    };
    return cmocka_run_group_tests(tests, write_model, remove_all);
}
