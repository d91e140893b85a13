/* Every network gives the same output bytes at every CPU level, with 1, 2 and 3 threads, alone and
 * in a batch of 8, and on every machine: the digests of tests/golden/digests.txt hold for x86 and
 * for ARM (scripts/test_aarch64) alike. The networks are those of networks.h and the demo's, and
 * the shared models where they are; each in float and quantized here, so that quantizing is under
 * test as well. The two whose files say a batch of 1 run as they are and with their batch opened.
 * OCTET_WRITE_DIGESTS=FILE writes the table anew, for when numbers change on purpose.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <inttypes.h>
#include <stdbool.h>
#include <unistd.h>

#include "golden.h"
#include "ir/graph.h"
#include "networks.h"

enum { BATCH = 8, MAX_OUTPUTS = 4, MAX_THREADS = 3 };

typedef struct Results {
    OctetTensor *tensors[MAX_OUTPUTS];
    size_t count;
} Results;

static FILE *written; /* the new table, or NULL */
/* Of all pairs of a level and a number of threads, only one a level. */
static bool in_turn;

/* ARM is emulated. */
#if defined(__aarch64__) || defined(__SANITIZE_ADDRESS__)
enum { SLOW_MACHINE = 1 };
#else
enum { SLOW_MACHINE = 0 };
#endif

static bool slow(void) {
    const char *wish = getenv("OCTET_SAME_BYTES");
    return SLOW_MACHINE && (!wish || strcmp(wish, "full") != 0);
}

static void free_results(Results *results) {
    for (size_t i = 0; i < results->count; i++) {
        octet_tensor_free(results->tensors[i]);
    }
}

static Results run(OctetSession *session, const OctetGraph *graph, const OctetTensor *input) {
    Results results = {.count = octet_graph_output_count(graph)};
    const OctetTensor *outputs[MAX_OUTPUTS];
    OctetDiagnostic diagnostic = {0};
    assert_true(results.count <= MAX_OUTPUTS);
    if (octet_session_run(session, &input, 1, outputs, results.count, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    for (size_t i = 0; i < results.count; i++) {
        assert_int_equal(octet_tensor_copy(outputs[i], &results.tensors[i], NULL), OCTET_OK);
    }
    return results;
}

static OctetSession *open_session(const OctetGraph *graph, OctetThreadPool *pool) {
    OctetSession *session = NULL;
    OctetDiagnostic diagnostic = {0};
    /* emulators are slow, and machines stop for others */
    OctetSessionOptions options = {.pool = pool, .limits.max_seconds = 36000};
    if (octet_session_create(graph, &options, &session, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", diagnostic.node, diagnostic.message);
    }
    return session;
}

/* One sample of a batch; borrows its data. */
static OctetTensor *sample_of(const OctetTensor *batch, size_t index) {
    OctetShape shape = batch->shape;
    OctetTensor *sample;
    size_t bytes = batch->bytes / BATCH;
    shape.dims[0] = 1;
    assert_int_equal(octet_tensor_wrap(batch->dtype, &shape, (char *)batch->data + index * bytes,
                                       bytes, &sample, NULL),
                     OCTET_OK);
    return sample;
}

static void expect_part(const Results *part, const Results *whole, size_t index, const char *what) {
    for (size_t i = 0; i < part->count; i++) {
        size_t bytes = part->tensors[i]->bytes;
        assert_int_equal(bytes * BATCH, whole->tensors[i]->bytes);
        if (memcmp(part->tensors[i]->data, (char *)whole->tensors[i]->data + index * bytes,
                   bytes) != 0) {
            fail_msg("%s: sample %zu of output %zu differs", what, index, i);
        }
    }
}

/* A batch of 8, and two of its samples alone, on one, two and three threads. */
static void check_level(const char *name, OctetCpu cpu, const OctetGraph *graph,
                        const OctetTensor *input, const Results *expected) {
    char what[128];
    for (size_t threads = 1; threads <= MAX_THREADS; threads++) {
        if (in_turn && threads != 1 + (size_t)cpu % MAX_THREADS) {
            continue;
        }
        OctetThreadPool *pool;
        assert_int_equal(octet_thread_pool_create(threads, &pool, NULL), OCTET_OK);
        OctetSession *session = open_session(graph, pool);
        snprintf(what, sizeof what, "%s at %s on %zu threads", name, octet_cpu_name(cpu), threads);
        Results batch = run(session, graph, input);
        for (size_t i = 0; i < batch.count; i++) {
            assert_true(octet_shape_equal(&batch.tensors[i]->shape, &expected->tensors[i]->shape));
            if (memcmp(batch.tensors[i]->data, expected->tensors[i]->data,
                       batch.tensors[i]->bytes) != 0) {
                fail_msg("%s: output %zu of a batch differs", what, i);
            }
        }
        free_results(&batch);
        for (size_t index = 0; index < BATCH; index += BATCH - 1) {
            OctetTensor *sample = sample_of(input, index);
            Results alone = run(session, graph, sample);
            expect_part(&alone, expected, index, what);
            free_results(&alone);
            octet_tensor_free(sample);
        }
        octet_session_free(session);
        octet_thread_pool_free(pool);
    }
}

static uint64_t digest_of(const Results *results) {
    uint64_t digest = 0xcbf29ce484222325u; /* FNV-1a */
    for (size_t i = 0; i < results->count; i++) {
        const uint8_t *bytes = results->tensors[i]->data;
        for (size_t k = 0; k < results->tensors[i]->bytes; k++) {
            digest = (digest ^ bytes[k]) * 0x100000001b3u;
        }
    }
    return digest;
}

static void check_digest(const char *name, uint64_t digest) {
    char line[256];
    char found[128];
    uint64_t expected;
    if (written) {
        fprintf(written, "%-40s %016" PRIx64 "\n", name, digest);
        return;
    }
    FILE *file = open_golden("digests.txt");
    while (fgets(line, sizeof line, file)) {
        if (sscanf(line, "%127s %" SCNx64, found, &expected) == 2 && strcmp(found, name) == 0) {
            fclose(file);
            if (digest != expected) {
                fail_msg("%s: outputs have the digest %016" PRIx64 " and not %016" PRIx64
                         " as elsewhere",
                         name, digest, expected);
            }
            return;
        }
    }
    fclose(file);
    fail_msg("tests/golden/digests.txt has no line for %s", name);
}

static const OctetCpu levels[] = {
#if defined(__aarch64__)
    OCTET_CPU_PORTABLE,
    OCTET_CPU_NEON,
    OCTET_CPU_NEON_DOT,
#else
    OCTET_CPU_PORTABLE,
    OCTET_CPU_AVX2,
    OCTET_CPU_AVX2_VNNI,
    OCTET_CPU_AVX512_VNNI,
#endif
};

static void check_graph(const char *name, const OctetGraph *graph, const OctetTensor *input) {
    OctetSession *session = open_session(graph, NULL);
    Results expected = run(session, graph, input);
    octet_session_free(session);
    check_digest(name, digest_of(&expected));
    OctetCpu best = octet_get_cpu();
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        if (octet_set_cpu(levels[i]) == OCTET_OK) {
            check_level(name, levels[i], graph, input, &expected);
        } else {
            print_message("skipped: this CPU lacks %s\n", octet_cpu_name(levels[i]));
        }
        assert_int_equal(octet_set_cpu(best), OCTET_OK);
    }
    free_results(&expected);
}

#define OK(call)                                                                                   \
    do {                                                                                           \
        if ((call) != OCTET_OK) {                                                                  \
            fail_msg("%s: %s: %s", #call, diagnostic.node, diagnostic.message);                    \
        }                                                                                          \
    } while (0)

static OctetGraph *quantize(const OctetGraph *graph, const OctetTensor *input) {
    OctetDiagnostic diagnostic = {0};
    OctetGraph *fused;
    OctetGraph *quantized;
    OctetPrepared *prepared;
    OK(octet_graph_clone(graph, &fused, &diagnostic));
    OK(octet_fuse(fused, &diagnostic));
    OK(octet_prepare(fused, NULL, NULL, &prepared, &diagnostic));
    OK(octet_calibrate(prepared, &input, 1, &diagnostic));
    if (octet_calibrate_passes(prepared) == 2) {
        OK(octet_calibrate_next_pass(prepared, &diagnostic));
        OK(octet_calibrate(prepared, &input, 1, &diagnostic));
    }
    OK(octet_convert(prepared, NULL, &quantized, NULL, &diagnostic));
    octet_prepared_free(prepared);
    octet_graph_free(fused);
    return quantized;
}

/* Values of low to high. */
static OctetTensor *random_batch(const OctetShape *sample, float low, float high) {
    OctetShape shape = {sample->rank + 1, {BATCH}};
    OctetTensor *tensor;
    uint32_t seed = 7;
    memcpy(shape.dims + 1, sample->dims, (size_t)sample->rank * sizeof *sample->dims);
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &tensor, NULL), OCTET_OK);
    for (size_t i = 0; i < tensor->bytes / sizeof(float); i++) {
        float unit = (next_number(&seed) + 1) / 2;
        ((float *)tensor->data)[i] = low + (high - low) * unit;
    }
    return tensor;
}

/* The float network, and what becomes of it; one that comes quantized as it is. Frees all. */
static void check_network(const char *name, OctetGraph *graph, OctetTensor *input) {
    char full[96];
    if (octet_graph_is_quantized(graph)) {
        check_graph(name, graph, input);
    } else {
        OctetGraph *quantized = quantize(graph, input);
        snprintf(full, sizeof full, "%s.float", name);
        check_graph(full, graph, input);
        snprintf(full, sizeof full, "%s.int8", name);
        check_graph(full, quantized, input);
        octet_graph_free(quantized);
    }
    octet_graph_free(graph);
    octet_tensor_free(input);
}

static void built(void **state) {
    (void)state;
    for (int i = 0; i < BUILT_NETWORKS; i++) {
        const BuiltNetwork *network = &built_networks[i];
        check_network(network->name, build_network(network), random_batch(&network->sample, -2, 2));
    }
}

static OctetGraph *load(const char *path) {
    OctetGraph *graph;
    OctetDiagnostic diagnostic = {0};
    OK(octet_model_load(path, NULL, &graph, &diagnostic));
    return graph;
}

static void demo(void **state) {
    (void)state;
    OctetGraph *graph = load(OCTET_SOURCE_DIR "/examples/demo/digits.onnx");
    OctetShape shape = octet_value_shape(octet_graph_input_at(graph, 0));
    OctetShape sample = {shape.rank - 1, {0}};
    memcpy(sample.dims, shape.dims + 1, (size_t)sample.rank * sizeof *sample.dims);
    check_network("digits", graph, random_batch(&sample, 0, 1));
}

/* Lets a network whose file says that its batch is 1 take any batch: its input's first dimension
 * becomes a symbol, and Reshapes to [1, ...] keep the batch that they are given. */
static void open_batch(OctetGraph *graph) {
    OctetDiagnostic diagnostic = {0};
    for (int32_t i = 0; i < graph->node_count; i++) {
        OctNode *node = graph->nodes[i];
        const OctetTensor *wanted = oct_value_tensor(oct_node_input(node, 1));
        if (strcmp(node->op_type, "Reshape") != 0 || !wanted || ((int64_t *)wanted->data)[0] != 1) {
            continue;
        }
        OctetTensor *kept;
        assert_int_equal(octet_tensor_copy(wanted, &kept, NULL), OCTET_OK);
        ((int64_t *)kept->data)[0] = 0;
        assert_true(
            oct_node_set_input(graph, node, 1, oct_graph_add_constant(graph, "kept", kept)));
    }
    for (int32_t i = 0; i < graph->value_count; i++) {
        if (!graph->values[i]->constant && !graph->values[i]->is_input) {
            graph->values[i]->shape = (OctetShape){.rank = -1};
            graph->values[i]->known = NULL;
        }
    }
    assert_int_equal(graph->inputs[0]->shape.dims[0], 1);
    graph->inputs[0]->shape.dims[0] = oct_graph_symbol(graph, "batch");
    OK(oct_graph_infer(graph, &diagnostic));
}

/* The network with the batch of its file and the one with an open batch agree. */
static void check_fixed(const char *name, const OctetGraph *fixed, const OctetGraph *open,
                        const OctetTensor *input) {
    OctetSession *session = open_session(fixed, NULL);
    OctetSession *other = open_session(open, NULL);
    OctetTensor *sample = sample_of(input, 0);
    Results alone = run(session, fixed, sample);
    Results batch = run(other, open, input);
    expect_part(&alone, &batch, 0, name);
    free_results(&alone);
    free_results(&batch);
    octet_tensor_free(sample);
    octet_session_free(session);
    octet_session_free(other);
}

typedef struct SharedModel {
    const char *name;
    OctetShape sample;
    float low, high; /* of the inputs */
    bool large;
    bool fixed; /* the file's batch is 1 */
} SharedModel;

static const SharedModel shared_models[] = {
    {"mlperf_ic_resnet8", {3, {3, 32, 32}}, 0, 255, false, false},
    {"mlperf_kws_dscnn", {3, {1, 49, 10}}, -20, 20, false, false},
    {"mlperf_ad_autoencoder", {1, {640}}, -2, 2, false, false},
    {"mlperf_ic_resnet8_tflite_int8", {3, {3, 32, 32}}, 0, 255, false, false},
    {"mlperf_kws_dscnn_tflite_int8", {3, {1, 49, 10}}, -20, 20, false, false},
    {"mlperf_vww_mobilenet", {3, {3, 96, 96}}, 0, 1, true, false},
    {"cifar_resnet20", {3, {3, 32, 32}}, -2, 2, true, false},
    {"cifar_resnet56", {3, {3, 32, 32}}, -2, 2, true, false},
    {"ultraface_rfb320", {3, {3, 240, 320}}, -1, 1, true, true},
    {"imagenet_squeezenet1_1", {3, {3, 224, 224}}, -120, 150, true, true},
};

static void shared(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof shared_models / sizeof shared_models[0]; i++) {
        const SharedModel *model = &shared_models[i];
        const char *folder = getenv("OCTET_SHARED");
        char path[512];
        snprintf(path, sizeof path, "%s/models/%s.onnx", folder ? folder : "../shared",
                 model->name);
        if (access(path, R_OK) != 0) {
            print_message("skipped: no model %s\n", path);
            continue;
        }
        if (model->large && slow()) {
            print_message("skipped: %s takes long here; OCTET_SAME_BYTES=full\n", model->name);
            continue;
        }
        in_turn = SLOW_MACHINE && (model->large || slow());
        OctetGraph *graph = load(path);
        OctetTensor *input = random_batch(&model->sample, model->low, model->high);
        if (model->fixed) {
            OctetGraph *fixed = load(path);
            open_batch(graph);
            check_fixed(model->name, fixed, graph, input);
            octet_graph_free(fixed);
        }
        check_network(model->name, graph, input);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(built), cmocka_unit_test(demo),
                                       cmocka_unit_test(shared)};
    const char *path = getenv("OCTET_WRITE_DIGESTS");
    written = path ? fopen(path, "w") : NULL;
    if (written) {
        fputs("# Digests (FNV-1a, 64 bits) of the outputs of whole networks; see "
              "tests/test_same_bytes.c.\n",
              written);
    }
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    if (written) {
        fclose(written);
    }
    return failed;
}
