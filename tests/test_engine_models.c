/* Whole networks through the engine: the same bytes whatever the number of threads, the batch, the
 * CPU level and the observers; memory close to what is needed; sessions side by side. The networks
 * are the shared models (OCTET_SHARED or ../shared); without them the tests say "skipped". */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "octet/octet.h"

typedef struct Network {
    const char *name;
    int64_t channels, height, width; /* height 0: a vector */
    float low, high;                 /* of the inputs */
} Network;

static const Network networks[] = {
    {"cifar_resnet20", 3, 32, 32, -2, 2},
    {"mlperf_ic_resnet8", 3, 32, 32, 0, 255},
    {"mlperf_kws_dscnn", 1, 49, 10, -20, 20},
    {"mlperf_vww_mobilenet", 3, 96, 96, 0, 1},
    {"mlperf_ad_autoencoder", 640, 0, 0, -2, 2},
    {"mlperf_ic_resnet8_tflite_int8", 3, 32, 32, 0, 255},
    {"mlperf_kws_dscnn_tflite_int8", 1, 49, 10, -20, 20},
};
enum { NETWORKS = sizeof networks / sizeof networks[0], BATCH = 3 };

static const char *model_path(const char *name) {
    static char path[512];
    const char *shared = getenv("OCTET_SHARED");
    snprintf(path, sizeof path, "%s/models/%s.onnx", shared ? shared : "../shared", name);
    return access(path, R_OK) == 0 ? path : NULL;
}

static OctetGraph *load(const Network *network) {
    const char *path = model_path(network->name);
    OctetGraph *graph = NULL;
    OctetDiagnostic diagnostic = {0};
    if (!path) {
        print_message("skipped: no model %s\n", network->name);
        return NULL;
    }
    if (octet_model_load(path, NULL, &graph, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s %s", network->name, diagnostic.node, diagnostic.message);
    }
    return graph;
}

static OctetTensor *random_input(const Network *network, int64_t batch) {
    OctetShape shape = {.rank = network->height ? 4 : 2,
                        .dims = {batch, network->channels, network->height, network->width}};
    OctetTensor *tensor;
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &tensor, NULL), OCTET_OK);
    uint32_t seed = 12345;
    float *data = tensor->data;
    for (size_t i = 0; i < tensor->bytes / sizeof *data; i++) {
        seed = seed * 1664525u + 1013904223u;
        data[i] = network->low + (network->high - network->low) * (float)(seed >> 8) / 16777216.0f;
    }
    return tensor;
}

static OctetSession *open_session(const OctetGraph *graph, const OctetSessionOptions *options) {
    OctetSession *session = NULL;
    OctetDiagnostic diagnostic = {0};
    if (octet_session_create(graph, options, &session, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    return session;
}

/* A copy of output 0. */
static OctetTensor *run(OctetSession *session, const OctetTensor *input) {
    const OctetTensor *outputs[1];
    OctetTensor *copy;
    OctetDiagnostic diagnostic = {0};
    if (octet_session_run(session, &input, 1, outputs, 1, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    assert_int_equal(octet_tensor_copy(outputs[0], &copy, NULL), OCTET_OK);
    return copy;
}

static OctetTensor *run_once(const OctetGraph *graph, const OctetSessionOptions *options,
                             const OctetTensor *input) {
    OctetSession *session = open_session(graph, options);
    OctetTensor *output = run(session, input);
    octet_session_free(session);
    return output;
}

static void expect_same(const OctetTensor *a, const OctetTensor *b) {
    assert_true(octet_shape_equal(&a->shape, &b->shape));
    assert_memory_equal(a->data, b->data, a->bytes);
}

/* Calls `check` for every network that is there, with a random batch. */
static void for_each(void (*check)(const Network *network, const OctetGraph *graph,
                                   const OctetTensor *input)) {
    for (int i = 0; i < NETWORKS; i++) {
        OctetGraph *graph = load(&networks[i]);
        if (graph) {
            OctetTensor *input = random_input(&networks[i], BATCH);
            check(&networks[i], graph, input);
            octet_tensor_free(input);
            octet_graph_free(graph);
        }
    }
}

static void check_threads(const Network *network, const OctetGraph *graph,
                          const OctetTensor *input) {
    (void)network;
    OctetTensor *one = run_once(graph, NULL, input);
    for (size_t threads = 2; threads <= 3; threads++) {
        OctetSessionOptions options = {0};
        assert_int_equal(octet_thread_pool_create(threads, &options.pool, NULL), OCTET_OK);
        OctetTensor *many = run_once(graph, &options, input);
        expect_same(one, many);
        octet_tensor_free(many);
        octet_thread_pool_free(options.pool);
    }
    octet_tensor_free(one);
}

static void test_threads(void **state) {
    (void)state;
    for_each(check_threads);
}

/* Each sample alone gives what it gives in a batch. The plans of both sizes are used in turn. */
static void check_batch(const Network *network, const OctetGraph *graph, const OctetTensor *input) {
    (void)network;
    OctetSession *session = open_session(graph, NULL);
    OctetTensor *batch = run(session, input);
    size_t sample = input->bytes / BATCH;
    size_t result = batch->bytes / BATCH;
    for (size_t i = 0; i < BATCH; i++) {
        OctetShape shape = input->shape;
        OctetTensor *alone;
        shape.dims[0] = 1;
        assert_int_equal(octet_tensor_wrap(OCTET_F32, &shape, (char *)input->data + i * sample,
                                           sample, &alone, NULL),
                         OCTET_OK);
        OctetTensor *output = run(session, alone);
        assert_int_equal(output->bytes, result);
        assert_memory_equal(output->data, (char *)batch->data + i * result, result);
        octet_tensor_free(output);
        octet_tensor_free(alone);
    }
    OctetTensor *again = run(session, input);
    expect_same(batch, again);
    octet_tensor_free(again);
    octet_tensor_free(batch);
    octet_session_free(session);
}

static void test_batch(void **state) {
    (void)state;
    for_each(check_batch);
}

static void check_levels(const Network *network, const OctetGraph *graph,
                         const OctetTensor *input) {
    (void)network;
    static const OctetCpu levels[] = {OCTET_CPU_PORTABLE, OCTET_CPU_AVX2, OCTET_CPU_AVX2_VNNI,
                                      OCTET_CPU_NEON};
    OctetCpu best = octet_get_cpu();
    OctetTensor *expected = run_once(graph, NULL, input);
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (levels[i] < best && octet_set_cpu(levels[i]) == OCTET_OK) {
            OctetTensor *output = run_once(graph, NULL, input);
            expect_same(expected, output);
            octet_tensor_free(output);
            assert_int_equal(octet_set_cpu(best), OCTET_OK);
        }
    }
    octet_tensor_free(expected);
}

static void test_levels(void **state) {
    (void)state;
    for_each(check_levels);
}

/* Observing leaves out what would hide values, and changes nothing else. */
typedef struct Seen {
    int values;
    const OctetTensor *input;
} Seen;

static OctetStatus see(void *user, const OctetValue *value, const OctetTensor *tensor) {
    Seen *seen = user;
    const OctetQParams *qparams = octet_value_qparams(value);
    OctetShape shape = octet_value_shape(value);
    seen->values++;
    assert_int_equal(tensor->dtype, qparams ? qparams->dtype : octet_value_dtype(value));
    assert_int_equal(tensor->shape.rank, shape.rank);
    for (int32_t i = 0; i < shape.rank; i++) {
        /* in the graph's own order of axes */
        assert_true(shape.dims[i] < 0 || shape.dims[i] == tensor->shape.dims[i]);
    }
    return OCTET_OK;
}

static void check_observed(const Network *network, const OctetGraph *graph,
                           const OctetTensor *input) {
    (void)network;
    Seen seen = {0};
    OctetSessionOptions options = {.observe = see, .observe_user = &seen};
    OctetTensor *plain = run_once(graph, NULL, input);
    OctetTensor *observed = run_once(graph, &options, input);
    assert_true(seen.values > 5);
    if (octet_graph_is_quantized(graph)) {
        expect_same(plain, observed);
    }
    octet_tensor_free(plain);
    octet_tensor_free(observed);
}

static void test_observed(void **state) {
    (void)state;
    for_each(check_observed);
}

static void check_memory(const Network *network, const OctetGraph *graph,
                         const OctetTensor *input) {
    OctetSession *session = open_session(graph, NULL);
    OctetMemoryInfo memory;
    assert_int_equal(octet_session_plan(session, &input->shape, 1, NULL), OCTET_OK);
    assert_int_equal(octet_session_memory(session, &memory), OCTET_OK);
    if ((double)memory.arena_bytes > 1.1 * (double)memory.lower_bound_bytes) {
        fail_msg("%s: %llu bytes where %llu are needed", network->name,
                 (unsigned long long)memory.arena_bytes,
                 (unsigned long long)memory.lower_bound_bytes);
    }
    octet_session_free(session);
}

static void test_memory(void **state) {
    (void)state;
    for_each(check_memory);
}

/* ---- sessions on several threads ---- */

typedef struct Worker {
    const OctetGraph *graph;
    const OctetTensor *input, *expected;
    bool same;
} Worker;

static void *work(void *user) {
    Worker *worker = user;
    OctetSession *session = NULL;
    const OctetTensor *output;
    worker->same = octet_session_create(worker->graph, NULL, &session, NULL) == OCTET_OK;
    for (int i = 0; i < 3 && worker->same; i++) {
        worker->same =
            octet_session_run(session, &worker->input, 1, &output, 1, NULL) == OCTET_OK &&
            memcmp(output->data, worker->expected->data, output->bytes) == 0;
    }
    octet_session_free(session);
    return NULL;
}

static void check_concurrent(const Network *network, const OctetGraph *graph,
                             const OctetTensor *input) {
    (void)network;
    enum { WORKERS = 3 };
    pthread_t threads[WORKERS];
    Worker workers[WORKERS];
    OctetTensor *expected = run_once(graph, NULL, input);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (Worker){graph, input, expected, false};
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_true(workers[i].same);
    }
    octet_tensor_free(expected);
}

static void test_concurrent(void **state) {
    (void)state;
    for_each(check_concurrent);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_threads), cmocka_unit_test(test_batch),
        cmocka_unit_test(test_levels),  cmocka_unit_test(test_observed),
        cmocka_unit_test(test_memory),  cmocka_unit_test(test_concurrent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
