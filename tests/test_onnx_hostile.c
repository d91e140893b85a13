/* Files that nobody vouches for: real models cut off and with flipped bytes, and memory that runs
 * out at every single place. An error or a result each time, never a crash. */
#include "onnx_models.h"

#include "base/file.h"
#include "base/mem.h"

#include <unistd.h>

static uint8_t *read_shared(const char *name, size_t *size) {
    const char *root = getenv("OCTET_SHARED");
    char path[1024];
    uint8_t *data;
    snprintf(path, sizeof path, "%s/models/%s.onnx", root ? root : OCTET_SOURCE_DIR "/../shared",
             name);
    if (access(path, R_OK) != 0) {
        print_message("skipped: %s is not there\n", path);
        skip();
    }
    assert_int_equal(oct_file_read(path, 1 << 28, &data, size, NULL), OCTET_OK);
    return data;
}

static void expect_no_crash(const uint8_t *data, size_t size, bool lenient) {
    OctetGraph *graph = NULL;
    OctetDiagnostic diagnostic = {0};
    OctetLoadOptions options = {.lenient = lenient};
    OctetStatus status =
        octet_model_load_memory(data, size, "hostile.onnx", &options, &graph, &diagnostic);
    assert_true((status == OCTET_OK) == (graph != NULL));
    assert_true(status == OCTET_OK || diagnostic.message[0] != 0);
    assert_int_not_equal(status, OCTET_ERROR_INTERNAL);
    octet_graph_free(graph);
}

static void silent(OctetLogLevel level, const char *message, void *user) {
    (void)level;
    (void)message;
    (void)user;
}

static const char *const models[] = {
    "mlperf_kws_dscnn", "mlperf_kws_dscnn_tflite_int8", "mlperf_ic_resnet8_tflite_int8",
    "mnist_cntk",       "mlperf_vww_mobilenet",         "ultraface_rfb320",
};
enum { MODELS = sizeof models / sizeof models[0], CUTS = 60, FLIPS = 200 };

static void truncated_models_give_errors(void **state) {
    (void)state;
    for (size_t m = 0; m < MODELS; m++) {
        size_t size;
        uint8_t *data = read_shared(models[m], &size);
        for (size_t i = 0; i < CUTS; i++) {
            size_t cut = size * i / CUTS;
            uint8_t *copy = malloc(cut + 1); /* so that a sanitizer sees the end */
            memcpy(copy, data, cut);
            expect_no_crash(copy, cut, (i & 1) != 0);
            free(copy);
        }
        oct_free(data);
    }
}

static void flipped_bytes_give_errors_or_results(void **state) {
    (void)state;
    uint64_t random = 88172645463325252u;
    for (size_t m = 0; m < MODELS; m++) {
        size_t size;
        uint8_t *data = read_shared(models[m], &size);
        for (size_t i = 0; i < FLIPS; i++) {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            size_t at = (size_t)(random % size);
            uint8_t old = data[at];
            data[at] ^= (uint8_t)(1 + (random >> 40) % 255);
            expect_no_crash(data, size, (i & 1) != 0);
            data[at] = old;
        }
        oct_free(data);
    }
}

/* ---- memory that runs out ---- */

static long allocations_left = -1; /* below 0: without end */
static long live;

static void *failing_reallocate(void *pointer, size_t size, void *user) {
    (void)user;
    if (allocations_left == 0) {
        return NULL;
    }
    allocations_left -= allocations_left > 0;
    live += !pointer;
    return realloc(pointer, size);
}

static void failing_release(void *pointer, void *user) {
    (void)user;
    live -= pointer != NULL;
    free(pointer);
}

static OctetStatus load_and_save(const uint8_t *bytes, size_t size, const char *path) {
    OctetGraph *graph = NULL;
    OctetDiagnostic diagnostic = {0};
    OctetLoadOptions load = {.lenient = true};
    OctetStatus status =
        octet_model_load_memory(bytes, size, "rich.onnx", &load, &graph, &diagnostic);
    for (int form = 0; form < 4 && status == OCTET_OK; form++) {
        OctetSaveOptions options = {.format = form & 1 ? OCTET_FORMAT_QOPERATOR : OCTET_FORMAT_QDQ,
                                    .io = form == 3 ? OCTET_IO_INT8 : OCTET_IO_FLOAT32,
                                    .external_data = form == 2};
        status = octet_model_save(graph, path, &options, &diagnostic);
    }
    octet_graph_free(graph);
    return status;
}

/* Nodes that become others when they are read. */
static Onnx__ModelProto *old_model(void) {
    Onnx__ModelProto *model = new_model(6);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "1,2,3,4");
    add_tensor(g, "v", OCTET_F32, "2", (float[]){1, 2}, 8);
    float places[24] = {1};
    add_tensor(g, "w", OCTET_F32, "2,3,4", places, sizeof places);
    Onnx__NodeProto *add = add_node(g, "Add", "x v", "a");
    add_int(add, "broadcast", 1);
    add_int(add, "axis", 1);
    add_int(add_node(g, "BatchNormalization", "a w w w w", "b"), "spatial", 0);
    add_node(g, "PRelu", "a v", "p");
    Onnx__NodeProto *scaler = add_node(g, "ImageScaler", "p", "s");
    Onnx__AttributeProto *bias = add_attribute(scaler, "bias", 6);
    bias->n_floats = 2;
    bias->floats = fresh(2 * sizeof(float));
    add_ints(add_node(g, "Crop", "s", "c"), "border", (int64_t[]){0, 1, 0, 1}, 4);
    add_node(g, "ConstantFill", "c", "f");
    add_node(g, "Sub", "c f", "y")->doc_string = (char *)"documented";
    add_output(g, "y", OCTET_F32, NULL);
    add_output(g, "b", OCTET_F32, NULL);
    return model;
}

/* Faults of several kinds, which are told in the end. */
static Onnx__ModelProto *faulty_model(void) {
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "2,3");
    add_node(g, "Foo", "x", "a");
    add_float(add_node(g, "Concat", "x x", "b"), "axis", 1);
    add_int(add_node(g, "Flatten", "x", "c"), "axis", 9);
    add_node(g, "Relu", "nothing", "d");
    for (const char *const *name = (const char *const[]){"a", "b", "c", "d", NULL}; *name; name++) {
        add_output(g, *name, OCTET_F32, NULL);
    }
    return model;
}

/* Until all of it is there, and it ends as it does with enough memory. */
static void fail_everywhere(const Onnx__ModelProto *model, OctetStatus end, const char *path) {
    size_t size;
    uint8_t *bytes = pack_model(model, &size);
    octet_set_allocator(failing_reallocate, failing_release, NULL);
    live = 0;
    bool done = false;
    long n = 0;
    for (; !done; n++) {
        allocations_left = n;
        OctetStatus status = load_and_save(bytes, size, path);
        done = status == end;
        allocations_left = -1;
        if (!done && status != OCTET_ERROR_OUT_OF_MEMORY) {
            print_error("allocation %ld: status %d\n", n, (int)status);
        }
        assert_true(done || status == OCTET_ERROR_OUT_OF_MEMORY);
        assert_int_equal(live, 0);
    }
    assert_true(n > 10);
    octet_set_allocator(NULL, NULL, NULL);
}

static void every_allocation_may_fail(void **state) {
    (void)state;
    char folder[] = "/tmp/octet_hostile_XXXXXX";
    char path[200];
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/out.onnx", folder);
    fail_everywhere(rich_model(), OCTET_OK, path);
    fail_everywhere(old_model(), OCTET_OK, path);
    fail_everywhere(faulty_model(), OCTET_ERROR_FORMAT, path);
    unlink(path);
    snprintf(path, sizeof path, "%s/out.onnx.data", folder);
    unlink(path);
    assert_int_equal(rmdir(folder), 0); /* and nothing is left beside it */
    empty_pool();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(truncated_models_give_errors),
        cmocka_unit_test(flipped_bytes_give_errors_or_results),
        cmocka_unit_test(every_allocation_may_fail),
    };
    octet_set_log_callback(silent, NULL, OCTET_LOG_ERROR);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
