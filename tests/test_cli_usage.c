/* The command's help, its manual page, and what it says to wrong arguments. */
#include "cli.h"

static const char *const commands[] = {"quantize", "run",   "eval",   "compare",
                                       "inspect",  "bench", "version"};
enum { COMMANDS = sizeof commands / sizeof *commands };

static void test_version(void **state) {
    (void)state;
    assert_int_equal(cli("version"), 0);
    assert_non_null(strstr(cli_out, OCTET_VERSION_STRING));
    assert_int_equal(cli("--version"), 0);
    assert_int_equal(cli("version --json"), 0);
    json_t *object = cli_json();
    assert_string_equal(json_string_value(json_object_get(object, "version")),
                        OCTET_VERSION_STRING);
    json_decref(object);
}

static void test_help(void **state) {
    (void)state;
    assert_int_equal(cli("help"), 0);
    char *text = strdup(cli_out);
    assert_int_equal(cli("--help"), 0);
    assert_string_equal(cli_out, text);
    for (int i = 0; i < COMMANDS; i++) {
        assert_non_null(strstr(text, commands[i]));
        assert_int_equal(cli("help %s", commands[i]), 0);
        char *help = strdup(cli_out);
        assert_non_null(strstr(help, "Examples:\n  octet"));
        assert_int_equal(cli("%s --help", commands[i]), 0);
        assert_string_equal(cli_out, help);
        assert_string_equal(cli_err, "");
        free(help);
    }
    free(text);
}

/* Every option that a help text names is in the manual page. */
static void test_manual(void **state) {
    (void)state;
    static char manual[1 << 16];
    FILE *file = fopen(OCTET_SOURCE_DIR "/docs/octet.1", "r");
    assert_non_null(file);
    size_t length = fread(manual, 1, sizeof manual - 1, file);
    manual[length] = '\0';
    fclose(file);
    int options = 0;
    for (int i = 0; i < COMMANDS; i++) {
        assert_int_equal(cli("help %s", commands[i]), 0);
        for (char *at = cli_out; (at = strstr(at, "\n  --")) != NULL;) {
            char name[64] = "";
            size_t used = 0;
            for (at += 3; *at == '-' || (*at >= 'a' && *at <= 'z'); at++) {
                /* a dash is written \- there */
                used += (size_t)snprintf(name + used, sizeof name - used, *at == '-' ? "\\-" : "%c",
                                         *at);
            }
            options++;
            if (!strstr(manual, name)) {
                fail_msg("docs/octet.1 lacks %s of octet %s", name, commands[i]);
            }
        }
    }
    assert_true(options > 40);
}

static void test_wrong_use(void **state) {
    (void)state;
    static const char *const cases[][2] = {
        {"inspct x", "did you mean 'inspect'"},
        {"frobnicate", "unknown command"},
        {"inspect", "usage: octet inspect MODEL.onnx"},
        {"inspect a b", "unexpected argument 'b'"},
        {"inspect a --jsn", "did you mean '--json'"},
        {"inspect a -x", "unknown option '-x'"},
        {"inspect a --json=1", "takes no value"},
        {"quantize a --output o", "--calib DATA is needed"},
        {"quantize a --calib x", "--output OUT.onnx is needed"},
        {"quantize a --calib x --output", "--output needs a value: FILE"},
        {"quantize a --calib x --output a", "would replace the float model"},
        {"quantize a --calib x --output o --samples 0", "--samples needs a whole number from 1"},
        {"quantize a --calib x --output o --samples 9x", "--samples needs a whole number from 1"},
        {"quantize a --calib x --output o --observer minmx", "did you mean 'minmax'"},
        {"quantize a --calib x --output o --qconfig fbgem", "did you mean 'fbgemm'"},
        {"quantize a --calib x --output o --format tflite", "there are qdq, qoperator"},
        {"quantize a --calib x --output o --mean 1,x", "--mean is '1,x'"},
        {"quantize a --calib x --output o --resize=0x0", "--resize is '0x0'"},
        {"quantize a --calib x --load-stats y --output o", "exclude each other"},
        {"eval a --labels l", "--data DATA is needed"},
        {"eval a --data d", "--labels FILE or --against OTHER.onnx is needed"},
        {"compare a --data d", "usage: octet compare FLOAT.onnx INT8.onnx"},
        {"compare a b", "--data DATA is needed"},
        {"run a", "--input FILE is needed"},
        /* options that would be ignored */
        {"inspect a --skip b", "--skip needs --plan"},
        {"inspect a --per-tensor", "--per-tensor needs --plan"},
        {"inspect a --qconfig fbgemm --fused", "--qconfig needs --plan"},
        {"inspect a --shape 1x2", "--shape needs --plan"},
        {"inspect a --fused --plan", "--fused and --plan exclude each other"},
        {"quantize a --load-stats s --output o --samples 3", "--samples needs --calib"},
        {"quantize a --load-stats s --output o --strict", "--strict needs --calib"},
        {"quantize a --calib x --save-stats s --format qdq", "--format needs --output"},
        {"quantize a --calib x --save-stats s --bias keep", "--bias needs --output"},
        {"explain a --resize 3", "--resize needs --input"},
        {"run a --input x --output y --classes c", "--classes is for results that are printed"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        int code = cli("%s", cases[i][0]);
        if (code != 2) {
            fail_msg("octet %s: exit code %d", cases[i][0], code);
        }
        cli_assert_one_line(cases[i][1]);
    }
    assert_int_equal(cli("%s", ""), 2);
    assert_int_equal(cli("help nothing"), 2);
}

static void test_missing_files(void **state) {
    (void)state;
    static const char *const cases[] = {
        "inspect %s/none.onnx",
        "run %s/none.onnx --input x.npy",
        "eval %s/none.onnx --data x.npy --labels y.txt",
        "compare %s/none.onnx b.onnx --data x.npy",
        "quantize %s/none.onnx --calib x.npy --output /tmp/octet-never.onnx",
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char line[512];
        snprintf(line, sizeof line, cases[i], cli_folder);
        assert_int_equal(cli("%s", line), 1);
        cli_assert_one_line("none.onnx: can't open the file: No such file or directory");
    }
}

static void test_unwritable_output(void **state) {
    (void)state;
    assert_int_equal(cli("version > /dev/null"), 2); /* no shell here: just an argument */
    char command[512];
    snprintf(command, sizeof command, "%s/octet help > /dev/full 2> %s", OCTET_BINARY_DIR,
             cli_path("stderr.txt"));
    int status = system(command);
    assert_int_equal(WEXITSTATUS(status), 1);
    cli_read("stderr.txt", cli_err, sizeof cli_err);
    assert_non_null(strstr(cli_err, "can't write to standard output: No space left"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_version),       cmocka_unit_test(test_help),
        cmocka_unit_test(test_manual),        cmocka_unit_test(test_wrong_use),
        cmocka_unit_test(test_missing_files), cmocka_unit_test(test_unwritable_output),
    };
    return cmocka_run_group_tests(tests, cli_make_folder, cli_remove_folder);
}
