/* octet compare: what a layer adds itself, what that costs at the output, and the --skip that
 * helps. And the parts of a graph that it is made of. */
#include "cli.h"

#include "octet/data.h"
#include "octet/octet.h"

#include <math.h>

enum { CHANNELS = 4, SIZE = 6, SAMPLES = 6 };

static uint32_t random_state = 99;

static float random_value(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / (float)(1 << 23) - 1.0f;
}

/* Three convolutions. The second has weights so large that per-tensor weights leave little of the
 * others, but they multiply a channel that is always 0. */
static OctetGraph *make_graph(void) {
    float weight[3][CHANNELS * CHANNELS], bias[CHANNELS], dead[CHANNELS];
    for (int i = 0; i < CHANNELS * CHANNELS; i++) {
        for (int k = 0; k < 3; k++) {
            weight[k][i] = random_value();
        }
    }
    for (int i = 0; i < CHANNELS; i++) {
        bias[i] = random_value();
        dead[i] = i == 0 ? -50.0f : bias[i];
        weight[1][i * CHANNELS] = 60.0f;
    }
    OctetGraph *graph = octet_graph_create();
    OctetShape shape = {.rank = 4, .dims = {-1, CHANNELS, SIZE, SIZE}};
    OctetConvOptions conv = {.out_channels = CHANNELS, .kernel = {1, 1}};
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    x = octet_graph_relu(graph, "relu",
                         octet_graph_conv(graph, "first", x, &conv, weight[0], dead));
    x = octet_graph_conv(graph, "it's bad", x, &conv, weight[1], bias);
    octet_graph_output(graph, octet_graph_conv(graph, "last", x, &conv, weight[2], bias), "y");
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_graph_finish(graph, &diagnostic), OCTET_OK);
    return graph;
}

static OctetTensor *make_input(int64_t samples) {
    OctetShape shape = {.rank = 4, .dims = {samples, CHANNELS, SIZE, SIZE}};
    OctetTensor *x;
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &x, NULL), OCTET_OK);
    for (size_t i = 0; i < x->bytes / sizeof(float); i++) {
        ((float *)x->data)[i] = random_value();
    }
    return x;
}

static int set_up(void **state) {
    if (cli_make_folder(state) != 0) {
        return -1;
    }
    OctetGraph *graph = make_graph();
    OctetTensor *x = make_input(SAMPLES);
    assert_int_equal(octet_model_save(graph, cli_path("float.onnx"), NULL, NULL), OCTET_OK);
    assert_int_equal(octet_npy_write(cli_path("x.npy"), x, NULL), OCTET_OK);
    octet_tensor_free(x);
    octet_graph_free(graph);
    return 0;
}

static json_t *compare(const char *int8) {
    if (cli("compare %s %s --data %s --json", cli_path("float.onnx"), cli_path(int8),
            cli_path("x.npy")) != 0) {
        fail_msg("%s", cli_err);
    }
    return cli_json();
}

static const json_t *layer_of(const json_t *object, const char *name) {
    const json_t *layers = json_object_get(object, "layers");
    for (size_t i = 0; i < json_array_size(layers); i++) {
        const json_t *layer = json_array_get(layers, i);
        if (strcmp(json_string_value(json_object_get(layer, "name")), name) == 0) {
            return layer;
        }
    }
    fail_msg("%s is not there", name);
    return NULL;
}

/* The mean of a list's entries at `key`. */
static double mean_of(const json_t *layer, const char *key) {
    const json_t *list = json_object_get(layer, key);
    double sum = 0;
    assert_int_equal(json_array_size(list), CHANNELS);
    for (size_t i = 0; i < CHANNELS; i++) {
        sum += json_number_value(json_array_get(list, i));
    }
    return sum / CHANNELS;
}

static void layers_are_ranked_by_what_they_cost(void **state) {
    (void)state;
    assert_int_equal(cli("quantize %s --calib %s --per-tensor --output %s", cli_path("float.onnx"),
                         cli_path("x.npy"), cli_path("int8.onnx")),
                     0);
    json_t *object = compare("int8.onnx");
    json_t *layers = json_object_get(object, "layers");
    assert_int_equal(json_array_size(layers), 3);
    const json_t *bad = json_array_get(layers, 0);
    assert_string_equal(json_string_value(json_object_get(bad, "name")), "it's bad");
    assert_string_equal(json_string_value(json_object_get(object, "skip")),
                        "--skip='it'\\''s bad'");
    const json_t *first = layer_of(object, "first"), *last = layer_of(object, "last");
    /* its inputs are the float model's anyway */
    assert_true(cli_number(first, "own_sqnr_db") == cli_number(first, "sqnr_db"));
    assert_true(mean_of(first, "own_mean_shift") == mean_of(first, "mean_shift"));
    assert_true(mean_of(first, "own_channel_sqnr_db") == mean_of(first, "channel_sqnr_db"));
    assert_true(mean_of(last, "own_channel_sqnr_db") > mean_of(last, "channel_sqnr_db"));
    assert_true(mean_of(last, "own_channel_cosine") > mean_of(last, "channel_cosine"));
    /* the last one has the error of the second before it */
    assert_true(cli_number(last, "own_sqnr_db") > cli_number(last, "sqnr_db") + 6);
    assert_true(cli_number(bad, "output_sqnr_db") < cli_number(first, "output_sqnr_db"));
    assert_int_equal(cli_number(object, "output_samples"), 4);
    json_decref(object);
}

/* The last layer's cost is its own error, where all samples count. */
static void the_last_layer_costs_its_own_error(void **state) {
    (void)state;
    assert_int_equal(cli("compare %s %s --data %s --json --output-samples %d",
                         cli_path("float.onnx"), cli_path("int8.onnx"), cli_path("x.npy"), SAMPLES),
                     0);
    json_t *object = cli_json();
    const json_t *last = layer_of(object, "last");
    assert_true(cli_number(last, "output_sqnr_db") == cli_number(last, "own_sqnr_db"));
    assert_true(cli_number(last, "output_cosine") == cli_number(last, "own_cosine"));
    json_decref(object);
}

static void the_skip_helps(void **state) {
    (void)state;
    json_t *object = compare("int8.onnx");
    double before = cli_number(layer_of(object, "last"), "sqnr_db");
    json_decref(object);
    /* no shell here, so the name's space is a ? */
    assert_int_equal(cli("quantize %s --calib %s --per-tensor --skip it's?bad --output %s",
                         cli_path("float.onnx"), cli_path("x.npy"), cli_path("skipped.onnx")),
                     0);
    object = compare("skipped.onnx");
    assert_true(json_is_false(json_object_get(layer_of(object, "it's bad"), "int8")));
    assert_true(cli_number(layer_of(object, "last"), "sqnr_db") > before + 6);
    json_decref(object);
}

static void equal_models_lose_nothing(void **state) {
    (void)state;
    json_t *object = compare("float.onnx");
    const json_t *layer = layer_of(object, "last");
    assert_true(json_is_null(json_object_get(layer, "sqnr_db")));
    assert_true(cli_number(layer, "cosine") > 0.999999);
    assert_true(mean_of(layer, "mean_shift") == 0);
    assert_true(json_is_null(json_object_get(object, "skip")));
    json_decref(object);
}

static void text_names_the_worst(void **state) {
    (void)state;
    assert_int_equal(cli("compare %s %s --data %s --worst 1", cli_path("float.onnx"),
                         cli_path("int8.onnx"), cli_path("x.npy")),
                     0);
    assert_non_null(strstr(cli_out, "\nit's bad"));
    assert_non_null(strstr(cli_out, "1 of 3 layers, those that cost most at the output first"));
    assert_non_null(strstr(cli_out, "--skip='it'\\''s bad'\n"));
}

/* ---- octet_graph_extract ---- */

typedef struct Taken {
    const OctetValue *value;
    OctetTensor *tensor;
} Taken;

static OctetStatus take(void *user, const OctetValue *value, const OctetTensor *tensor) {
    (void)value;
    return octet_tensor_copy(tensor, &((Taken *)user)->tensor, NULL);
}

static bool is_taken(void *user, const OctetValue *value) {
    return ((const Taken *)user)->value == value;
}

static void parts_make_the_whole(void **state) {
    (void)state;
    OctetGraph *graph = make_graph(), *head, *tail;
    OctetTensor *x = make_input(2), *kept;
    OctetSession *session, *parts[2];
    const OctetTensor *y, *half, *end;
    OctetDiagnostic diagnostic = {0};
    const OctetValue *in = octet_graph_input_at(graph, 0), *out = octet_graph_output_at(graph, 0);
    const OctetValue *cut = octet_node_output(octet_graph_find_node(graph, "it's bad"), 0);
    Taken middle = {.value = cut};
    OctetSessionOptions options = {
        .observe = take, .observe_filter = is_taken, .observe_user = &middle};
    assert_int_equal(octet_session_create(graph, &options, &session, &diagnostic), OCTET_OK);
    assert_int_equal(octet_session_run(session, (const OctetTensor *[]){x}, 1, &y, 1, &diagnostic),
                     OCTET_OK);
    assert_non_null(middle.tensor);
    assert_int_equal(octet_tensor_copy(y, &kept, NULL), OCTET_OK);
    assert_int_equal(octet_graph_extract(graph, &in, 1, &cut, 1, &head, &diagnostic), OCTET_OK);
    const OctetValue *both[] = {in, cut}; /* the first is not needed */
    assert_int_equal(octet_graph_extract(graph, both, 2, &out, 1, &tail, &diagnostic), OCTET_OK);
    assert_int_equal(octet_graph_node_count(tail), 1);
    assert_int_equal(octet_graph_input_count(tail), 2);
    assert_int_equal(octet_session_create(head, NULL, &parts[0], &diagnostic), OCTET_OK);
    assert_int_equal(octet_session_create(tail, NULL, &parts[1], &diagnostic), OCTET_OK);
    assert_int_equal(
        octet_session_run(parts[0], (const OctetTensor *[]){x}, 1, &half, 1, &diagnostic),
        OCTET_OK);
    assert_memory_equal(half->data, middle.tensor->data, middle.tensor->bytes);
    assert_int_equal(
        octet_session_run(parts[1], (const OctetTensor *[]){x, half}, 2, &end, 1, &diagnostic),
        OCTET_OK);
    assert_memory_equal(end->data, kept->data, kept->bytes);
    for (int i = 0; i < 2; i++) {
        octet_session_free(parts[i]);
    }
    octet_session_free(session);
    octet_graph_free(head);
    octet_graph_free(tail);
    octet_graph_free(graph);
    octet_tensor_free(kept);
    octet_tensor_free(middle.tensor);
    octet_tensor_free(x);
}

static void parts_need_their_inputs(void **state) {
    (void)state;
    OctetGraph *graph = make_graph(), *part;
    OctetDiagnostic diagnostic = {0};
    const OctetValue *out = octet_graph_output_at(graph, 0);
    assert_int_equal(octet_graph_extract(graph, NULL, 0, &out, 1, &part, &diagnostic),
                     OCTET_ERROR_INVALID_ARGUMENT);
    assert_non_null(strstr(diagnostic.message, "needs the value x"));
    assert_null(part);
    const OctetValue *weight = octet_node_input(octet_graph_find_node(graph, "last"), 1);
    assert_int_equal(octet_graph_extract(graph, &weight, 1, &out, 1, &part, NULL),
                     OCTET_ERROR_INVALID_ARGUMENT);
    octet_graph_free(graph);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layers_are_ranked_by_what_they_cost),
        cmocka_unit_test(the_last_layer_costs_its_own_error),
        cmocka_unit_test(the_skip_helps),
        cmocka_unit_test(equal_models_lose_nothing),
        cmocka_unit_test(text_names_the_worst),
        cmocka_unit_test(parts_make_the_whole),
        cmocka_unit_test(parts_need_their_inputs),
    };
    return cmocka_run_group_tests(tests, set_up, cli_remove_folder);
}
