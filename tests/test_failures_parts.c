/* What the life of a plain network does not come by (tests/test_every_failure.c): packed files,
 * sequences, loops and branches, functions, custom operators, shapes that the data decide, every
 * observer, both formats. Each from its beginning to its end, with every allocation failing once,
 * every read and write, and with a no at every poll. */
#include "custom_operator.h"
#include "onnx_models.h"

#include "faults.h"
#include "octet/octet.h"

static char folder[] = "/tmp/octet-parts-XXXXXX";

static const char *in_folder(const char *name) {
    static char paths[4][320];
    static int next;
    next = (next + 1) % 4;
    snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
    return paths[next];
}

/* ---- models ---- */

static Onnx__GraphProto *branch(const char *op_type) {
    Onnx__GraphProto *graph = new_graph_proto();
    graph->name = (char *)op_type;
    add_node(graph, op_type, "x", "b");
    add_output(graph, "b", OCTET_F32, "8");
    return graph;
}

/* x + 1 while there are iterations, collecting each. */
static Onnx__GraphProto *loop_body(void) {
    Onnx__GraphProto *body = new_graph_proto();
    body->name = (char *)"body";
    add_input(body, "i", OCTET_S64, "");
    add_input(body, "go", OCTET_BOOL, "");
    add_input(body, "v", OCTET_F32, "8");
    add_node(body, "Identity", "go", "go_on");
    add_node(body, "Add", "v one", "next");
    add_node(body, "Identity", "next", "kept");
    add_output(body, "go_on", OCTET_BOOL, "");
    add_output(body, "next", OCTET_F32, "8");
    add_output(body, "kept", OCTET_F32, "8");
    return body;
}

static void write_model(const Onnx__ModelProto *model, const char *name) {
    size_t size;
    const uint8_t *bytes = pack_model(model, &size);
    write_bytes(in_folder(name), bytes, size);
}

static Onnx__ModelProto *model_of_x(void) {
    Onnx__ModelProto *model = new_model(17);
    add_input(model->graph, "x", OCTET_F32, "8");
    add_output(model->graph, "y", OCTET_F32, NULL);
    return model;
}

static void write_control(void) {
    Onnx__ModelProto *model = model_of_x();
    Onnx__GraphProto *g = model->graph;
    add_scalar_f32(g, "one", 1);
    add_tensor(g, "many", OCTET_S64, "", (int64_t[]){3}, 8);
    add_tensor(g, "zero", OCTET_S64, "1", (int64_t[]){0}, 8);
    add_int(add_node(g, "ReduceSum", "x", "sum"), "keepdims", 0);
    add_node(g, "Less", "one sum", "c");
    Onnx__NodeProto *choice = add_node(g, "If", "c", "chosen");
    add_graph(choice, "then_branch", branch("Relu"));
    add_graph(choice, "else_branch", branch("Exp"));
    add_graph(add_node(g, "Loop", "many - chosen", "last all"), "body", loop_body());
    add_node(g, "ReduceMax", "all", "top");
    add_node(g, "Add", "top last", "y");
    write_model(model, "control.onnx");
}

static void write_sequences(void) {
    Onnx__ModelProto *model = model_of_x();
    Onnx__GraphProto *g = model->graph;
    add_tensor(g, "at", OCTET_S64, "", (int64_t[]){1}, 8);
    add_node(g, "Neg", "x", "n");
    add_node(g, "SequenceConstruct", "x n", "s");
    add_node(g, "SequenceInsert", "s x at", "t");
    add_node(g, "SequenceErase", "t at", "u");
    add_node(g, "SequenceAt", "u at", "v");
    add_int(add_node(g, "ConcatFromSequence", "t", "w"), "axis", 0);
    add_node(g, "ReduceSum", "w", "r");
    add_node(g, "Add", "r v", "y");
    write_model(model, "sequences.onnx");
}

/* Shapes that the data decide, and operators with memory of their own. */
static void write_dynamic(void) {
    Onnx__ModelProto *model = model_of_x();
    Onnx__GraphProto *g = model->graph;
    add_tensor(g, "k", OCTET_S64, "1", (int64_t[]){3}, 8);
    add_tensor(g, "line", OCTET_S64, "3", (int64_t[]){1, -1, 1}, 24);
    add_node(g, "NonZero", "x", "where");
    add_node(g, "Squeeze", "where", "places");
    add_node(g, "Gather", "x places", "found");
    add_node(g, "Unique", "found", "unique");
    add_node(g, "TopK", "unique k", "best order");
    add_node(g, "Reshape", "found line", "signal");
    add_int(add_node(g, "DFT", "signal", "spectrum"), "axis", 1);
    add_node(g, "ReduceSum", "spectrum", "sum");
    add_node(g, "Flatten", "sum", "flat");
    add_node(g, "Add", "flat best", "y");
    write_model(model, "dynamic.onnx");
}

static void write_custom(void) {
    Onnx__ModelProto *model = model_of_x();
    add_opset(model, "test.parts", 1);
    Onnx__NodeProto *node = add_node(model->graph, "Twice", "x", "y");
    node->domain = (char *)"test.parts";
    write_model(model, "custom.onnx");
}

static void write_layers(void) {
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    static float weights[40 * 64];
    static float rows[64 * 40];
    for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
        weights[i] = (float)((int)(i * 7 % 11) - 5) * 0.05f;
        rows[i] = (float)((int)(i * 5 % 13) - 6) * 0.03f;
    }
    add_input(g, "x", OCTET_F32, "1,40");
    add_tensor(g, "w", OCTET_F32, "40,64", weights, sizeof weights);
    add_tensor(g, "v", OCTET_F32, "64,40", rows, sizeof rows);
    add_node(g, "MatMul", "x w", "a");
    add_node(g, "Relu", "a", "r");
    add_node(g, "MatMul", "r v", "b");
    add_int(add_node(g, "Softmax", "b", "y"), "axis", -1);
    add_output(g, "y", OCTET_F32, "1,40");
    write_model(model, "layers.onnx");
}

/* ---- scenes ---- */

static OctetTensor *input; /* of x, for all */
static OctetTensor *row;   /* of the layers */

static OctetStatus load(const char *name, bool copy, OctetGraph **graph,
                        OctetDiagnostic *diagnostic) {
    const OctetLoadOptions options = {.copy_file = copy, .canceled = stops};
    return octet_model_load(in_folder(name), &options, graph, diagnostic);
}

static OctetStatus run_graph(const OctetGraph *graph, const OctetTensor *given,
                             OctetDiagnostic *diagnostic) {
    const OctetSessionOptions options = {.limits = patient, .per_node_times = true};
    OctetSession *session = NULL;
    const OctetTensor *output;
    OctetStatus status = octet_session_create(graph, &options, &session, diagnostic);
    for (int i = 0; i < 2 && status == OCTET_OK; i++) {
        status = octet_session_run(session, &given, 1, &output, 1, diagnostic);
    }
    octet_session_free(session);
    return status;
}

static OctetStatus load_and_run(const char *name, const OctetTensor *given,
                                OctetDiagnostic *diagnostic) {
    OctetGraph *graph = NULL;
    OctetStatus status = load(name, true, &graph, diagnostic);
    if (status == OCTET_OK) {
        status = octet_fuse(graph, diagnostic);
    }
    if (status == OCTET_OK) {
        status = run_graph(graph, given, diagnostic);
    }
    octet_graph_free(graph);
    return status;
}

static OctetStatus run_control(OctetDiagnostic *diagnostic) {
    return load_and_run("control.onnx", input, diagnostic);
}
static OctetStatus run_sequences(OctetDiagnostic *diagnostic) {
    return load_and_run("sequences.onnx", input, diagnostic);
}
static OctetStatus run_dynamic(OctetDiagnostic *diagnostic) {
    return load_and_run("dynamic.onnx", input, diagnostic);
}
static OctetStatus run_custom(OctetDiagnostic *diagnostic) {
    return load_and_run("custom.onnx", input, diagnostic);
}

static void forget_findings(const OctetFinding *findings, size_t count, uint64_t left_out,
                            void *user) {
    (void)findings;
    (void)count;
    (void)left_out;
    (void)user;
}

static OctetStatus load_rich(OctetDiagnostic *diagnostic) {
    const OctetLoadOptions options = {
        .copy_file = true, .lenient = true, .canceled = stops, .on_findings = forget_findings};
    OctetGraph *graph = NULL;
    OctetStatus status = octet_model_load(in_folder("rich.onnx"), &options, &graph, diagnostic);
    for (int form = 0; form < 2 && status == OCTET_OK; form++) {
        const OctetSaveOptions save = {.format = form ? OCTET_FORMAT_QOPERATOR : OCTET_FORMAT_QDQ};
        status = octet_model_save(graph, in_folder("out.onnx"), &save, diagnostic);
    }
    octet_graph_free(graph);
    return status;
}

/* Float to int8 with one observer, written in both formats. */
static OctetStatus quantize_with(OctetObserverType type, OctetDiagnostic *diagnostic) {
    const OctetPrepareOptions options = {.limits = patient};
    OctetQConfigMapping *mapping = NULL;
    OctetQConfig qconfig = octet_qconfig_default();
    OctetGraph *graph = NULL;
    OctetGraph *quantized = NULL;
    OctetPrepared *prepared = NULL;
    qconfig.activation = octet_observer_options(type);
    OctetStatus status = load("layers.onnx", true, &graph, diagnostic);
    if (status == OCTET_OK) {
        status = octet_qconfig_mapping_create(&mapping, diagnostic);
    }
    if (status == OCTET_OK) {
        status = octet_qconfig_mapping_set_global(mapping, &qconfig, diagnostic);
    }
    if (status == OCTET_OK) {
        status = octet_prepare(graph, mapping, &options, &prepared, diagnostic);
    }
    int passes = status == OCTET_OK ? octet_calibrate_passes(prepared) : 0;
    for (int pass = 0; pass < passes && status == OCTET_OK; pass++) {
        if (pass > 0) {
            status = octet_calibrate_next_pass(prepared, diagnostic);
        }
        if (status == OCTET_OK) {
            status = octet_calibrate(prepared, (const OctetTensor *const[]){row}, 1, diagnostic);
        }
    }
    if (status == OCTET_OK) {
        status = octet_convert(prepared, NULL, &quantized, NULL, diagnostic);
    }
    for (int form = 0; form < 2 && status == OCTET_OK; form++) {
        const OctetSaveOptions save = {.format = form ? OCTET_FORMAT_QOPERATOR : OCTET_FORMAT_QDQ};
        status = octet_model_save(quantized, in_folder("out.onnx"), &save, diagnostic);
    }
    octet_prepared_free(prepared);
    octet_qconfig_mapping_free(mapping);
    octet_graph_free(quantized);
    octet_graph_free(graph);
    return status;
}

static OctetStatus quantize_percentile(OctetDiagnostic *diagnostic) {
    return quantize_with(OCTET_OBSERVER_PERCENTILE, diagnostic);
}
static OctetStatus quantize_entropy(OctetDiagnostic *diagnostic) {
    return quantize_with(OCTET_OBSERVER_ENTROPY, diagnostic);
}
static OctetStatus quantize_mse(OctetDiagnostic *diagnostic) {
    return quantize_with(OCTET_OBSERVER_MSE, diagnostic);
}
static OctetStatus quantize_torch(OctetDiagnostic *diagnostic) {
    return quantize_with(OCTET_OBSERVER_TORCH_HISTOGRAM, diagnostic);
}

/* Mapped, since only what is mapped is packed. */
static OctetStatus pack_int8(OctetDiagnostic *diagnostic) {
    OctetGraph *graph = NULL;
    OctetStatus status = load("int8.onnx", false, &graph, diagnostic);
    if (status == OCTET_OK) {
        status = octet_model_pack(graph, &row->shape, 1, &patient, in_folder("out.onnx"), NULL,
                                  diagnostic);
    }
    octet_graph_free(graph);
    return status;
}

static OctetStatus run_packed(OctetDiagnostic *diagnostic) {
    OctetGraph *graph = NULL;
    OctetStatus status = load("packed.onnx", false, &graph, diagnostic);
    if (status == OCTET_OK) {
        status = run_graph(graph, row, diagnostic);
    }
    octet_graph_free(graph);
    return status;
}

typedef struct Scene {
    const char *name;
    OctetStatus (*act)(OctetDiagnostic *diagnostic);
} Scene;

static const Scene scenes[] = {
    {"control flow", run_control},   {"sequences", run_sequences},
    {"dynamic shapes", run_dynamic}, {"custom operator", run_custom},
    {"rich model", load_rich},       {"percentile", quantize_percentile},
    {"entropy", quantize_entropy},   {"mse", quantize_mse},
    {"torch", quantize_torch},       {"pack", pack_int8},
    {"packed", run_packed},
};

/* ---- what they start from ---- */

static OctetStatus run_twice(void *user, const OctetNode *node, const OctetTensor *const *inputs,
                             size_t input_count, OctetTensor *const *outputs, size_t output_count,
                             OctetDiagnostic *diagnostic) {
    (void)user;
    (void)node;
    (void)input_count;
    (void)output_count;
    (void)diagnostic;
    for (size_t i = 0; i < inputs[0]->bytes / sizeof(float); i++) {
        ((float *)outputs[0]->data)[i] = 2 * ((const float *)inputs[0]->data)[i];
    }
    return OCTET_OK;
}

static OctetTensor *make_tensor(const OctetShape *shape) {
    OctetTensor *tensor;
    assert_int_equal(octet_tensor_create(OCTET_F32, shape, &tensor, NULL), OCTET_OK);
    for (size_t i = 0; i < tensor->bytes / sizeof(float); i++) {
        ((float *)tensor->data)[i] = (float)((int)(i * 5 % 11) - 4) * 0.25f;
    }
    return tensor;
}

static void silent(OctetLogLevel level, const char *message, void *user) {
    (void)level;
    (void)message;
    (void)user;
}

static int begin(void **state) {
    static const OctetCustomOperator twice = {.domain = "test.parts",
                                              .name = "Twice",
                                              .since = 1,
                                              .min_inputs = 1,
                                              .max_inputs = 1,
                                              .min_outputs = 1,
                                              .max_outputs = 1,
                                              .infer = infer_same,
                                              .run = run_twice};
    OctetDiagnostic diagnostic = {0};
    (void)state;
    if (!mkdtemp(folder)) {
        return -1;
    }
    octet_set_allocator(failing_reallocate, counting_release, NULL);
    octet_set_log_callback(silent, NULL, OCTET_LOG_ERROR);
    assert_int_equal(octet_register_operator(&twice, NULL), OCTET_OK);
    input = make_tensor(&(OctetShape){.rank = 1, .dims = {8}});
    row = make_tensor(&(OctetShape){.rank = 2, .dims = {1, 40}});
    write_control();
    write_sequences();
    write_dynamic();
    write_custom();
    write_layers();
    write_model(rich_model(), "rich.onnx");
    assert_int_equal(quantize_with(OCTET_OBSERVER_MINMAX, &diagnostic), OCTET_OK);
    assert_int_equal(rename(in_folder("out.onnx"), in_folder("int8.onnx")), 0);
    if (pack_int8(&diagnostic) != OCTET_OK) {
        fail_msg("%s", diagnostic.message);
    }
    return rename(in_folder("out.onnx"), in_folder("packed.onnx"));
}

static int end(void **state) {
    char command[400];
    (void)state;
    octet_tensor_free(input);
    octet_tensor_free(row);
    octet_set_allocator(NULL, NULL, NULL);
    empty_pool();
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

/* ---- failures ---- */

/* One attempt at a scene in which the n-th allocation (NO_FAULT), call or poll fails; whether it
 * came to that. */
static bool attempt(const Scene *scene, Fault kind, long n) {
    OctetDiagnostic diagnostic = {0};
    long before = living;
    unlink(in_folder("out.onnx"));
    arm(kind, n);
    OctetStatus status = scene->act(&diagnostic);
    bool happened = has_struck(kind);
    arm(NO_FAULT, -1);
    bool right = !happened || kind == ENDS ? status != OCTET_ERROR_INTERNAL
                 : kind == NO_FAULT        ? status == OCTET_ERROR_OUT_OF_MEMORY
                 : kind == STOPS           ? status == OCTET_ERROR_CANCELED
                                           : status == OCTET_ERROR_IO;
    if (!right || (!happened && status != OCTET_OK)) {
        fail_msg("%s, failure %ld: %s: %s", scene->name, n, octet_status_name(status),
                 diagnostic.message);
    }
    if (living != before) {
        fail_msg("%s, failure %ld: %ld allocations are lost", scene->name, n, living - before);
    }
    return happened;
}

static void fail_everywhere(Fault kind, long least) {
    long failures = 0;
    for (size_t i = 0; i < sizeof scenes / sizeof *scenes; i++) {
        for (long n = 0; attempt(&scenes[i], kind, n); n++) {
            failures++;
        }
    }
    print_message("%ld failures\n", failures);
    assert_true(failures > least);
}

static void every_allocation(void **state) {
    (void)state;
    fail_everywhere(NO_FAULT, 2000);
}

static void every_read_and_write(void **state) {
    (void)state;
    fail_everywhere(FAILS, 50);
    fail_everywhere(ENDS, 10);
}

static void every_poll(void **state) {
    (void)state;
    fail_everywhere(STOPS, 300);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation),
        cmocka_unit_test(every_read_and_write),
        cmocka_unit_test(every_poll),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
