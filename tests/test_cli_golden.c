/* octet quantize --qconfig qnnpack and octet run --requantize qnnpack --int-repr give the bytes
 * that PyTorch's qnnpack gives (tests/golden/command.txt). */
#include "cli.h"
#include "golden.h"

#include "octet/data.h"
#include "octet/octet.h"

enum { LINE = 1 << 17, FIELDS = 14, NUMBERS = 9 };

typedef struct Case {
    int64_t inputs, outputs, kernel, stride, padding, groups, relu, bias, size;
} Case;

/* Bytes out of hex digits; returns how many. */
static size_t read_hex(const char *text, void *bytes, size_t size) {
    size_t count = strlen(text) / 2;
    assert_true(count <= size);
    for (size_t i = 0; i < count; i++) {
        unsigned byte;
        assert_int_equal(sscanf(text + 2 * i, "%2x", &byte), 1);
        ((uint8_t *)bytes)[i] = (uint8_t)byte;
    }
    return count;
}

static void write_model(const Case *c, const char *weight_hex, const char *bias_hex) {
    float weight[512], bias[16];
    read_hex(weight_hex, weight, sizeof weight);
    if (c->bias) {
        read_hex(bias_hex, bias, sizeof bias);
    }
    OctetGraph *graph = octet_graph_create();
    OctetShape shape = {.rank = 4, .dims = {-1, c->inputs, c->size, c->size}};
    OctetConvOptions options = {.out_channels = c->outputs,
                                .kernel = {c->kernel, c->kernel},
                                .stride = {c->stride, c->stride},
                                .padding = {c->padding, c->padding},
                                .groups = c->groups};
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    x = octet_graph_conv(graph, "conv", x, &options, weight, c->bias ? bias : NULL);
    x = c->relu ? octet_graph_relu(graph, "relu", x) : x;
    octet_graph_output(graph, x, "y");
    OctetDiagnostic diagnostic = {0};
    assert_int_equal(octet_graph_finish(graph, &diagnostic), OCTET_OK);
    assert_int_equal(octet_model_save(graph, cli_path("float.onnx"), NULL, &diagnostic), OCTET_OK);
    octet_graph_free(graph);
}

static void write_data(const Case *c, const char *hex, const char *name) {
    OctetTensor *tensor;
    OctetShape shape = {.rank = 4, .dims = {2, c->inputs, c->size, c->size}};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &tensor, NULL), OCTET_OK);
    assert_int_equal(read_hex(hex, tensor->data, tensor->bytes), tensor->bytes);
    assert_int_equal(octet_npy_write(cli_path(name), tensor, NULL), OCTET_OK);
    octet_tensor_free(tensor);
}

static size_t check_case(const Case *c, char **fields) {
    static uint8_t expected[1 << 14];
    write_model(c, fields[0], fields[1]);
    write_data(c, fields[2], "data.npy");
    write_data(c, fields[3], "test.npy");
    size_t count = read_hex(fields[4], expected, sizeof expected);
    if (cli("quantize %s --calib %s --qconfig qnnpack --observer minmax --output %s",
            cli_path("float.onnx"), cli_path("data.npy"), cli_path("int8.onnx")) != 0 ||
        cli("run %s --requantize qnnpack --int-repr --input %s --output %s", cli_path("int8.onnx"),
            cli_path("test.npy"), cli_path("y.npy")) != 0) {
        fail_msg("%s", cli_err);
    }
    OctetTensor *y;
    assert_int_equal(octet_npy_read(cli_path("y.npy"), &y, NULL), OCTET_OK);
    assert_int_equal(y->dtype, OCTET_U8);
    assert_int_equal(y->bytes, count);
    assert_memory_equal(y->data, expected, count);
    octet_tensor_free(y);
    return count;
}

static void the_command_gives_qnnpacks_bytes(void **state) {
    (void)state;
    static char line[LINE];
    FILE *file = open_golden("command.txt");
    size_t cases = 0, bytes = 0;
    while (fgets(line, sizeof line, file)) {
        char *fields[FIELDS], *save = NULL;
        int64_t numbers[NUMBERS];
        size_t count = 0;
        if (line[0] == '#') {
            continue;
        }
        for (char *field = strtok_r(line, " \n", &save); field;
             field = strtok_r(NULL, " \n", &save)) {
            assert_true(count < FIELDS);
            fields[count++] = field;
        }
        assert_int_equal(count, FIELDS);
        for (int i = 0; i < NUMBERS; i++) {
            numbers[i] = strtoll(fields[i], NULL, 10);
        }
        Case c = {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4],
                  numbers[5], numbers[6], numbers[7], numbers[8]};
        bytes += check_case(&c, fields + NUMBERS);
        cases++;
    }
    fclose(file);
    assert_int_equal(cases, 5);
    assert_true(bytes > 2000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_command_gives_qnnpacks_bytes),
    };
    return cmocka_run_group_tests(tests, cli_make_folder, cli_remove_folder);
}
