/* The commands on a small network: numbers, files, failures, interrupts. */
#include "cli.h"

#include "octet/data.h"
#include "octet/octet.h"

#include <math.h>
#include <signal.h>
#include <time.h>

enum { SAMPLES = 24, CLASSES = 5, PIXELS = 3 * 12 * 12 };

static uint32_t random_state = 12345;

static float random_value(void) {
    random_state = random_state * 1664525u + 1013904223u;
    return (float)(random_state >> 8) / (float)(1 << 23) - 1.0f;
}

/* conv 3x3 + relu, depthwise 3x3 + relu, global average, linear. */
static void write_model(const char *path) {
    float weight[8 * 3 * 9], depthwise[8 * 9], matrix[CLASSES * 8], bias[8];
    for (size_t i = 0; i < sizeof weight / sizeof *weight; i++) {
        weight[i] = random_value() * 0.4f;
    }
    for (size_t i = 0; i < sizeof depthwise / sizeof *depthwise; i++) {
        depthwise[i] = random_value();
    }
    for (size_t i = 0; i < sizeof matrix / sizeof *matrix; i++) {
        matrix[i] = random_value() * 2;
    }
    for (size_t i = 0; i < 8; i++) {
        bias[i] = random_value();
    }
    OctetGraph *graph = octet_graph_create();
    OctetShape shape = {.rank = 4, .dims = {-1, 3, 12, 12}};
    OctetConvOptions conv = {.out_channels = 8, .kernel = {3, 3}, .padding = {1, 1}};
    OctetValue *x = octet_graph_input(graph, "image", OCTET_F32, &shape);
    x = octet_graph_conv(graph, "first", x, &conv, weight, bias);
    x = octet_graph_relu(graph, "first_relu", x);
    conv.groups = 8;
    x = octet_graph_conv(graph, "second", x, &conv, depthwise, bias);
    x = octet_graph_relu(graph, "second_relu", x);
    x = octet_graph_operator(graph, "GlobalAveragePool", "pool", &x, 1);
    x = octet_graph_operator(graph, "Flatten", "flat", &x, 1);
    x = octet_graph_linear(graph, "head", x, 8, CLASSES, matrix, bias);
    octet_graph_output(graph, x, "scores");
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_graph_finish(graph, &diagnostic), OCTET_OK);
    assert_int_equal(octet_model_save(graph, path, NULL, &diagnostic), OCTET_OK);
    octet_graph_free(graph);
}

static void write_array(const char *path, OctetDType dtype, int64_t samples, bool pixels) {
    OctetShape shape = {.rank = 4, .dims = {samples, 3, 12, 12}};
    OctetTensor *values, *cast;
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &values, NULL), OCTET_OK);
    for (size_t i = 0; i < values->bytes / sizeof(float); i++) {
        float value = random_value();
        ((float *)values->data)[i] = pixels ? floorf((value + 1) * 127.9f) : value;
    }
    assert_int_equal(octet_tensor_cast(values, dtype, &cast, NULL), OCTET_OK);
    assert_int_equal(octet_npy_write(path, cast, NULL), OCTET_OK);
    octet_tensor_free(values);
    octet_tensor_free(cast);
}

/* Labels that the float model itself gives. */
static void write_labels(const char *scores, const char *path) {
    OctetTensor *tensor;
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(octet_npy_read(scores, &tensor, NULL), OCTET_OK);
    assert_int_equal(tensor->shape.dims[0], SAMPLES);
    assert_int_equal(tensor->shape.dims[1], CLASSES);
    const float *row = tensor->data;
    for (int i = 0; i < SAMPLES; i++, row += CLASSES) {
        int best = 0;
        for (int k = 1; k < CLASSES; k++) {
            best = row[k] > row[best] ? k : best;
        }
        fprintf(file, "%d\n", best);
    }
    fclose(file);
    octet_tensor_free(tensor);
}

static int set_up(void **state) {
    if (cli_make_folder(state) != 0) {
        return -1;
    }
    write_model(cli_path("float.onnx"));
    write_array(cli_path("x.npy"), OCTET_F32, SAMPLES, false);
    write_array(cli_path("pixels.npy"), OCTET_U8, SAMPLES, true);
    return 0;
}

static void quantize_x(void) {
    assert_int_equal(cli("quantize %s --calib %s --output %s", cli_path("float.onnx"),
                         cli_path("x.npy"), cli_path("int8.onnx")),
                     0);
}

static void test_run(void **state) {
    (void)state;
    assert_int_equal(cli("run %s --input %s --output %s", cli_path("float.onnx"), cli_path("x.npy"),
                         cli_path("y.npy")),
                     0);
    assert_string_equal(cli_out, "");
    write_labels(cli_path("y.npy"), cli_path("labels.txt"));
    /* by name, and one sample at a time through a thread count that must not matter */
    assert_int_equal(cli("run %s --input image=%s --output scores=%s --threads 1",
                         cli_path("float.onnx"), cli_path("x.npy"), cli_path("z.npy")),
                     0);
    char command[1024];
    snprintf(command, sizeof command, "cmp %s %s", cli_path("y.npy"), cli_path("z.npy"));
    assert_int_equal(system(command), 0);
    assert_int_equal(cli("run %s --input %s", cli_path("float.onnx"), cli_path("x.npy")), 0);
    assert_non_null(strstr(cli_out, "scores  f32 24x5\n sample 0\n"));
    assert_int_equal(cli("run %s --input %s --json", cli_path("float.onnx"), cli_path("x.npy")), 0);
    json_t *object = cli_json();
    json_t *output = json_array_get(json_object_get(object, "outputs"), 0);
    json_t *top = json_array_get(json_object_get(output, "top5"), SAMPLES - 1);
    assert_int_equal(json_array_size(top), 5);
    assert_true(cli_number(json_array_get(top, 0), "score") >=
                cli_number(json_array_get(top, 1), "score"));
    json_decref(object);
}

static void test_quantize(void **state) {
    (void)state;
    assert_int_equal(cli("quantize %s --calib %s --output %s --json", cli_path("float.onnx"),
                         cli_path("x.npy"), cli_path("int8.onnx")),
                     0);
    assert_string_equal(cli_err, "");
    json_t *object = cli_json();
    assert_true(cli_number(object, "quantized_nodes") >= 3);
    assert_true(json_is_array(json_object_get(object, "float_nodes")));
    assert_int_equal(json_array_size(json_object_get(object, "repaired_biases")), 0);
    assert_int_equal(cli_number(object, "samples"), SAMPLES);
    assert_true(cli_number(object, "bytes_before") > 1000);
    assert_true(cli_number(object, "bytes_after") > 100);
    assert_true(cli_number(object, "seconds") > 0);
    assert_true(cli_number(object, "peak_rss_bytes") > 1e6);
    json_decref(object);

    quantize_x();
    assert_non_null(strstr(cli_out, "left in float"));
    assert_non_null(strstr(cli_out, "biases repaired  0"));
    assert_non_null(strstr(cli_out, "calibrated on    24 samples"));

    assert_int_equal(cli("inspect %s --json", cli_path("int8.onnx")), 0);
    object = cli_json();
    assert_true(json_is_true(json_object_get(object, "quantized")));
    assert_string_equal(json_string_value(json_object_get(object, "preprocess")),
                        "resize=none divide=1 mean=0 std=1");
    json_decref(object);
    assert_int_equal(cli("inspect %s", cli_path("int8.onnx")), 0);
    assert_non_null(strstr(cli_out, "Nx3x12x12"));
}

static void test_eval(void **state) {
    (void)state;
    quantize_x();
    assert_int_equal(cli("eval %s --data %s --labels %s --json", cli_path("float.onnx"),
                         cli_path("x.npy"), cli_path("labels.txt")),
                     0);
    json_t *object = cli_json();
    assert_int_equal(cli_number(object, "n"), SAMPLES);
    assert_true(cli_number(object, "top1") == 1.0);
    assert_true(cli_number(object, "top5") == 1.0);
    assert_true(json_is_null(json_object_get(object, "agreement")));
    assert_true(json_is_null(json_object_get(object, "sqnr_db")));
    json_decref(object);

    assert_int_equal(cli("eval %s --data %s --labels %s --against %s --json", cli_path("int8.onnx"),
                         cli_path("x.npy"), cli_path("labels.txt"), cli_path("float.onnx")),
                     0);
    object = cli_json();
    /* the labels are the float model's own choices */
    assert_true(cli_number(object, "top1") == cli_number(object, "agreement"));
    assert_true(cli_number(object, "agreement") > 0.8);
    double decibels = cli_number(object, "sqnr_db");
    assert_true(decibels > 20 && decibels < 80);
    assert_true(cli_number(object, "ms_per_sample") > 0);
    json_decref(object);
    /* the float model is the signal whichever side it is on */
    assert_int_equal(cli("eval %s --data %s --against %s --json", cli_path("float.onnx"),
                         cli_path("x.npy"), cli_path("int8.onnx")),
                     0);
    object = cli_json();
    assert_true(cli_number(object, "sqnr_db") == decibels);
    json_decref(object);
    /* a part of the samples needs only its labels */
    assert_int_equal(cli("eval %s --data %s --labels %s --samples 7", cli_path("int8.onnx"),
                         cli_path("x.npy"), cli_path("labels.txt")),
                     0);
    assert_non_null(strstr(cli_out, "samples        7\n"));
}

static void test_compare(void **state) {
    (void)state;
    quantize_x();
    assert_int_equal(cli("compare %s %s --data %s --json", cli_path("float.onnx"),
                         cli_path("int8.onnx"), cli_path("x.npy")),
                     0);
    json_t *object = cli_json();
    json_t *layers = json_object_get(object, "layers");
    assert_true(json_array_size(layers) >= 3);
    double last = -1000;
    for (size_t i = 0; i < json_array_size(layers); i++) {
        json_t *layer = json_array_get(layers, i);
        double decibels = cli_number(layer, "output_sqnr_db");
        assert_true(decibels >= last);
        assert_true(decibels > 15);
        assert_true(cli_number(layer, "sqnr_db") > 15);
        assert_true(json_is_true(json_object_get(layer, "int8")));
        assert_true(cli_number(layer, "cosine") > 0.98);
        last = decibels;
    }
    json_decref(object);
    assert_int_equal(cli("compare %s %s --data %s --worst 2", cli_path("float.onnx"),
                         cli_path("int8.onnx"), cli_path("x.npy")),
                     0);
    assert_non_null(strstr(cli_out, "\n2 of "));
}

/* The preprocessing is kept with the model: eval then needs no options for it. */
static void test_preprocessing(void **state) {
    (void)state;
    assert_int_equal(cli("quantize %s --calib %s --divide 255 --mean 0.5,0.4,0.3 --output %s",
                         cli_path("float.onnx"), cli_path("pixels.npy"), cli_path("p.onnx")),
                     0);
    double decibels[2];
    static const char *const options[] = {"", "--divide 255 --mean 0.5,0.4,0.3"};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(cli("eval %s --data %s --against %s --json %s", cli_path("p.onnx"),
                             cli_path("pixels.npy"), cli_path("float.onnx"), options[i]),
                         0);
        json_t *object = cli_json();
        decibels[i] = cli_number(object, "sqnr_db");
        json_decref(object);
    }
    assert_true(decibels[0] == decibels[1]);
    assert_true(decibels[0] > 20);
    /* floats are taken as ready, unless the model was calibrated with floats that were scaled */
    assert_int_equal(cli("quantize %s --calib %s --divide 2 --output %s", cli_path("float.onnx"),
                         cli_path("x.npy"), cli_path("f.onnx")),
                     0);
    assert_int_equal(cli("inspect %s", cli_path("f.onnx")), 0);
    assert_non_null(strstr(cli_out, "divide=2 mean=0 std=1 floats=1"));
}

/* Integers at the border: data are scaled and quantized before, outputs compared as real numbers.
 */
static void test_int8_border(void **state) {
    (void)state;
    double decibels[3];
    static const char *const io[] = {"float32", "int8", "uint8"};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(cli("quantize %s --calib %s --divide 255 --qconfig onednn --observer "
                             "minmax --io %s --output %s",
                             cli_path("float.onnx"), cli_path("pixels.npy"), io[i],
                             cli_path("io.onnx")),
                         0);
        assert_int_equal(cli("eval %s --data %s --against %s --json", cli_path("io.onnx"),
                             cli_path("pixels.npy"), cli_path("float.onnx")),
                         0);
        json_t *object = cli_json();
        decibels[i] = cli_number(object, "sqnr_db");
        json_decref(object);
        assert_int_equal(cli("run %s --input %s --output %s", cli_path("io.onnx"),
                             cli_path("pixels.npy"), cli_path("io.npy")),
                         0);
        OctetTensor *tensor;
        assert_int_equal(octet_npy_read(cli_path("io.npy"), &tensor, NULL), OCTET_OK);
        assert_int_equal(tensor->dtype, ((OctetDType[]){OCTET_F32, OCTET_S8, OCTET_U8})[i]);
        octet_tensor_free(tensor);
    }
    assert_true(decibels[0] == decibels[1] && decibels[0] == decibels[2]);
    assert_true(decibels[0] > 15);
}

/* Calibrating once and converting from the statistics gives the same file. */
static void test_stats(void **state) {
    (void)state;
    char command[1024];
    assert_int_equal(cli("quantize %s --calib %s --output %s --save-stats %s",
                         cli_path("float.onnx"), cli_path("x.npy"), cli_path("a.onnx"),
                         cli_path("x.stats")),
                     0);
    assert_int_equal(cli("quantize %s --load-stats %s --output %s", cli_path("float.onnx"),
                         cli_path("x.stats"), cli_path("b.onnx")),
                     0);
    assert_int_equal(cli("run %s --input %s --output %s", cli_path("a.onnx"), cli_path("x.npy"),
                         cli_path("a.npy")),
                     0);
    assert_int_equal(cli("run %s --input %s --output %s", cli_path("b.onnx"), cli_path("x.npy"),
                         cli_path("b.npy")),
                     0);
    snprintf(command, sizeof command, "cmp %s %s", cli_path("a.npy"), cli_path("b.npy"));
    assert_int_equal(system(command), 0);
}

static void test_skip(void **state) {
    (void)state;
    assert_int_equal(cli("quantize %s --calib %s --output %s --skip sec* --skip-type Gemm --json",
                         cli_path("float.onnx"), cli_path("x.npy"), cli_path("s.onnx")),
                     0);
    json_t *object = cli_json();
    json_t *nodes = json_object_get(object, "float_nodes");
    bool second = false, head = false;
    for (size_t i = 0; i < json_array_size(nodes); i++) {
        json_t *node = json_array_get(nodes, i);
        const char *name = json_string_value(json_object_get(node, "name"));
        second = second || strstr(name, "second");
        head = head || strstr(name, "head");
        assert_true(strlen(json_string_value(json_object_get(node, "reason"))) > 3);
    }
    assert_true(second);
    assert_true(head);
    json_decref(object);
    assert_int_equal(cli("quantize %s --calib %s --output %s --skip third", cli_path("float.onnx"),
                         cli_path("x.npy"), cli_path("never.onnx")),
                     1);
    cli_assert_one_line("--skip third: the model has no such node");
}

static void test_failures(void **state) {
    (void)state;
    /* a wrong shape */
    OctetShape shape = {.rank = 4, .dims = {2, 3, 9, 12}};
    OctetTensor *tensor;
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &tensor, NULL), OCTET_OK);
    assert_int_equal(octet_npy_write(cli_path("narrow.npy"), tensor, NULL), OCTET_OK);
    octet_tensor_free(tensor);
    assert_int_equal(cli("quantize %s --calib %s --output %s", cli_path("float.onnx"),
                         cli_path("narrow.npy"), cli_path("never.onnx")),
                     1);
    cli_assert_one_line("narrow.npy: the data has shape 1x3x9x12, input 'image' needs");
    /* a folder that is not there */
    assert_int_equal(cli("quantize %s --calib %s --output %s/none/never.onnx",
                         cli_path("float.onnx"), cli_path("x.npy"), cli_folder),
                     1);
    cli_assert_one_line("never.onnx: can't create the file: No such file or directory");
    /* a full disk */
    assert_int_equal(
        cli("quantize %s --calib %s --output /dev/full", cli_path("float.onnx"), cli_path("x.npy")),
        1);
    cli_assert_one_line("No space left on device");
    /* a file that must not grow so far */
    char command[1024];
    snprintf(command, sizeof command,
             "(ulimit -f 1; exec %s/octet quantize %s --calib %s --output %s 2> %s)",
             OCTET_BINARY_DIR, cli_path("float.onnx"), cli_path("x.npy"), cli_path("never.onnx"),
             cli_path("stderr.txt"));
    int status = system(command);
    assert_int_equal(WEXITSTATUS(status), 1);
    cli_read("stderr.txt", cli_err, sizeof cli_err);
    assert_non_null(strstr(cli_err, "never.onnx: can't write the file: File too large"));
    /* a cut-off model */
    snprintf(command, sizeof command, "head -c 900 %s > %s", cli_path("float.onnx"),
             cli_path("cut.onnx"));
    assert_int_equal(system(command), 0);
    assert_int_equal(cli("quantize %s --calib %s --output %s", cli_path("cut.onnx"),
                         cli_path("x.npy"), cli_path("never.onnx")),
                     1);
    cli_assert_one_line("cut.onnx: ");
    /* labels that don't fit */
    snprintf(command, sizeof command, "echo 7 > %s", cli_path("bad.txt"));
    assert_int_equal(system(command), 0);
    assert_int_equal(cli("eval %s --data %s --labels %s", cli_path("float.onnx"), cli_path("x.npy"),
                         cli_path("bad.txt")),
                     1);
    cli_assert_one_line("bad.txt: 1 labels for 24 samples");
    snprintf(command, sizeof command, "seq 1 30 > %s", cli_path("bad.txt"));
    assert_int_equal(system(command), 0);
    assert_int_equal(cli("eval %s --data %s --labels %s", cli_path("float.onnx"), cli_path("x.npy"),
                         cli_path("bad.txt")),
                     1);
    cli_assert_one_line("bad.txt: 30 labels for 24 samples; if the first ones are theirs, say "
                        "--samples 24");
    snprintf(command, sizeof command, "echo 7 > %s", cli_path("bad.txt"));
    assert_int_equal(system(command), 0);
    assert_int_equal(cli("eval %s --data %s --labels %s --samples 1", cli_path("float.onnx"),
                         cli_path("x.npy"), cli_path("bad.txt")),
                     1);
    cli_assert_one_line("bad.txt: class 7 of sample 0");
    /* a model that is quantized already */
    quantize_x();
    assert_int_equal(cli("quantize %s --calib %s --output %s", cli_path("int8.onnx"),
                         cli_path("x.npy"), cli_path("never.onnx")),
                     1);
    assert_int_equal(cli("run %s --input other=%s", cli_path("float.onnx"), cli_path("x.npy")), 1);
    assert_int_equal(cli_count("never"), 0);
    assert_int_equal(cli_count(".tmp"), 0);
}

static void test_images(void **state) {
    (void)state;
    char command[1024];
    snprintf(command, sizeof command,
             "mkdir %s && cp " OCTET_SOURCE_DIR "/tests/data/images/rgb* %s && rm -f %s/*.npy && "
             "echo no image > %s/broken.png",
             cli_path("pictures"), cli_path("pictures"), cli_path("pictures"),
             cli_path("pictures"));
    assert_int_equal(system(command), 0);
    assert_int_equal(cli("quantize %s --calib %s --preprocess unit --output %s --json",
                         cli_path("float.onnx"), cli_path("pictures"), cli_path("i.onnx")),
                     0);
    assert_non_null(strstr(cli_err, "skipped "));
    assert_non_null(strstr(cli_err, "/broken.png: "));
    json_t *object = cli_json();
    assert_int_equal(cli_number(object, "samples"), 4);
    assert_int_equal(cli_number(object, "skipped"), 1);
    json_decref(object);
    assert_int_equal(cli("quantize %s --calib %s --preprocess unit --output %s --strict",
                         cli_path("float.onnx"), cli_path("pictures"), cli_path("never.onnx")),
                     1);
    cli_assert_one_line("/broken.png: this is neither a JPEG nor a PNG");
    assert_int_equal(cli_count("never"), 0);
    assert_int_equal(
        cli("run %s --input %s/rgb.jpg --json", cli_path("i.onnx"), cli_path("pictures")), 0);
}

/* A great many samples of zeros, in a file that takes no room. */
static void write_many(const char *path) {
    const long long samples = 4000000;
    char header[128];
    memset(header, ' ', sizeof header);
    memcpy(header, "\x93NUMPY\x01\x00\x76\x00", 10);
    int length =
        snprintf(header + 10, sizeof header - 10,
                 "{'descr': '|u1', 'fortran_order': False, 'shape': (%lld, 3, 12, 12), }", samples);
    header[10 + length] = ' ';
    header[127] = '\n';
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(header, 1, sizeof header, file), sizeof header);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(truncate(path, (off_t)sizeof header + samples * PIXELS), 0);
}

/* Ctrl-C while it calibrates: one line, exit code 130, no file. */
static void test_interrupt(void **state) {
    (void)state;
    char line[2048];
    write_many(cli_path("many.npy"));
    snprintf(line, sizeof line, "quantize %s --calib %s --divide 255 --output %s",
             cli_path("float.onnx"), cli_path("many.npy"), cli_path("never.onnx"));
    pid_t child = cli_start(line);
    cli_wait_until_busy(child);
    assert_int_equal(kill(child, SIGINT), 0);
    assert_int_equal(cli_wait(child), 130);
    cli_assert_one_line("interrupted; nothing was written");
    assert_int_equal(cli_count("never"), 0);
    assert_int_equal(cli_count(".tmp"), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_run),           cmocka_unit_test(test_quantize),
        cmocka_unit_test(test_eval),          cmocka_unit_test(test_compare),
        cmocka_unit_test(test_int8_border),   cmocka_unit_test(test_stats),
        cmocka_unit_test(test_preprocessing), cmocka_unit_test(test_skip),
        cmocka_unit_test(test_failures),      cmocka_unit_test(test_images),
        cmocka_unit_test(test_interrupt),
    };
    return cmocka_run_group_tests(tests, set_up, cli_remove_folder);
}
