/* From a float file to the int8 network's result, step by step; in each step every allocation fails
 * once, and every read and write, and the caller asks to stop at every poll: an error each time,
 * nothing lost, no file half-written, and the next attempt works. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "faults.h"
#include "octet/data.h"
#include "octet/octet.h"

#define DATA OCTET_SOURCE_DIR "/tests/data/"

/* ---- the steps ---- */

enum { CHANNELS = 4, SIZE = 6, HIDDEN = 128, FEATURES = CHANNELS * SIZE * SIZE };

typedef struct Life {
    OctetGraph *graph, *quantized, *loaded;
    OctetPrepared *prepared;
    OctetSession *session;
    OctetTensor *input, *sample;
    OctetDataset *dataset;
    bool copies; /* files are read, not mapped */
    float result[HIDDEN];
} Life;

static char folder[] = "/tmp/octet-failure-XXXXXX";

static const char *in_folder(const char *name) {
    static char paths[4][320];
    static int next;
    next = (next + 1) % 4;
    snprintf(paths[next], sizeof paths[next], "%s/%s", folder, name);
    return paths[next];
}

static OctetStatus load_file(const Life *life, const char *name, OctetGraph **graph,
                             OctetDiagnostic *diagnostic) {
    const OctetLoadOptions options = {.copy_file = life->copies, .canceled = stops};
    OctetStatus status = octet_model_load(in_folder(name), &options, graph, diagnostic);
    if (status == OCTET_OK) {
        status = octet_fuse(*graph, diagnostic);
    }
    if (status != OCTET_OK) {
        octet_graph_free(*graph);
        *graph = NULL;
    }
    return status;
}

static OctetStatus load(Life *life, OctetDiagnostic *diagnostic) {
    return load_file(life, "float.onnx", &life->graph, diagnostic);
}

static void unload(Life *life) {
    octet_graph_free(life->graph);
    life->graph = NULL;
}

static OctetStatus prepare(Life *life, OctetDiagnostic *diagnostic) {
    OctetQConfigMapping *mapping = NULL;
    const OctetPrepareOptions options = {.limits = patient};
    OctetQConfig qconfig = octet_qconfig_default();
    qconfig.activation = octet_observer_options(OCTET_OBSERVER_HISTOGRAM);
    OctetStatus status = octet_qconfig_mapping_create(&mapping, diagnostic);
    if (status == OCTET_OK) {
        status = octet_qconfig_mapping_set_global(mapping, &qconfig, diagnostic);
    }
    if (status == OCTET_OK) {
        status = octet_prepare(life->graph, mapping, &options, &life->prepared, diagnostic);
    }
    octet_qconfig_mapping_free(mapping);
    return status;
}

static void unprepare(Life *life) {
    octet_prepared_free(life->prepared);
    life->prepared = NULL;
}

static OctetStatus calibrate(Life *life, OctetDiagnostic *diagnostic) {
    const OctetTensor *inputs[] = {life->input};
    OctetStatus status = octet_calibrate(life->prepared, inputs, 1, diagnostic);
    if (status == OCTET_OK && octet_calibrate_passes(life->prepared) > 1) {
        status = octet_calibrate_next_pass(life->prepared, diagnostic);
        if (status == OCTET_OK) {
            status = octet_calibrate(life->prepared, inputs, 1, diagnostic);
        }
    }
    return status;
}

static OctetStatus save_statistics(Life *life, OctetDiagnostic *diagnostic) {
    return octet_stats_save(life->prepared, in_folder("stats.json"), diagnostic);
}

static OctetStatus merge_statistics(Life *life, OctetDiagnostic *diagnostic) {
    return octet_stats_merge(life->prepared, in_folder("stats.json"), diagnostic);
}

static OctetStatus convert(Life *life, OctetDiagnostic *diagnostic) {
    return octet_convert(life->prepared, NULL, &life->quantized, NULL, diagnostic);
}

static void unconvert(Life *life) {
    octet_graph_free(life->quantized);
    life->quantized = NULL;
}

static OctetStatus save(Life *life, OctetDiagnostic *diagnostic) {
    return octet_model_save(life->quantized, in_folder("int8.onnx"), NULL, diagnostic);
}

static OctetStatus save_outside(Life *life, OctetDiagnostic *diagnostic) {
    const OctetSaveOptions options = {.external_data = true};
    return octet_model_save(life->quantized, in_folder("apart.onnx"), &options, diagnostic);
}

static OctetStatus reload(Life *life, OctetDiagnostic *diagnostic) {
    return load_file(life, "int8.onnx", &life->loaded, diagnostic);
}

static void forget(Life *life) {
    octet_graph_free(life->loaded);
    life->loaded = NULL;
}

static OctetStatus pack(Life *life, OctetDiagnostic *diagnostic) {
    return life->copies ? OCTET_OK
                        : octet_model_pack(life->loaded, &life->input->shape, 1, &patient,
                                           in_folder("packed.onnx"), NULL, diagnostic);
}

static OctetStatus run(Life *life, OctetDiagnostic *diagnostic) {
    const OctetTensor *output;
    const OctetSessionOptions options = {.limits = patient};
    OctetStatus status = octet_session_create(life->loaded, &options, &life->session, diagnostic);
    if (status == OCTET_OK) {
        status = octet_session_run(life->session, (const OctetTensor *[]){life->input}, 1, &output,
                                   1, diagnostic);
    }
    if (status == OCTET_OK) {
        assert_int_equal(output->bytes, sizeof life->result);
        memcpy(life->result, output->data, sizeof life->result);
    }
    return status;
}

static void end_run(Life *life) {
    octet_session_free(life->session);
    life->session = NULL;
}

/* ---- readers of data ---- */

static void close_set(Life *life) {
    octet_dataset_free(life->dataset);
    octet_tensor_free(life->sample);
    life->dataset = NULL;
    life->sample = NULL;
}

static OctetStatus read_set(Life *life, const char *path, const OctetDataInput *input,
                            OctetDiagnostic *diagnostic) {
    OctetDatasetOptions options = {.inputs = input, .input_count = 1, .strict = true};
    bool skipped;
    close_set(life);
    (void)octet_preprocess_preset("unit", &options.preprocess);
    OctetStatus status = octet_dataset_open(path, &options, &life->dataset, diagnostic);
    for (int64_t i = 0; status == OCTET_OK && i < octet_dataset_count(life->dataset); i++) {
        status = octet_dataset_read(life->dataset, i, &life->sample, &skipped, diagnostic);
        octet_tensor_free(life->sample);
        life->sample = NULL;
    }
    return status;
}

static OctetStatus read_images(Life *life, OctetDiagnostic *diagnostic) {
    const OctetDataInput input = {
        .name = "x", .dtype = OCTET_F32, .shape = {.rank = 4, .dims = {-1, 3, 8, 8}}};
    return read_set(life, DATA "images", &input, diagnostic);
}

static OctetStatus read_rows(Life *life, OctetDiagnostic *diagnostic) {
    const OctetDataInput input = {
        .name = "x", .dtype = OCTET_F32, .shape = {.rank = 2, .dims = {-1, 36}}};
    return read_set(life, in_folder("rows.npy"), &input, diagnostic);
}

static OctetStatus read_archives(Life *life, OctetDiagnostic *diagnostic) {
    const OctetDataInput input = {
        .name = "x", .dtype = OCTET_F32, .shape = {.rank = 2, .dims = {-1, -1}}};
    OctetStatus status = read_set(life, DATA "arrays/deflated.npz", &input, diagnostic);
    /* the array in it may be named otherwise, which is a failure of another kind */
    return status == OCTET_ERROR_OUT_OF_MEMORY || status == OCTET_ERROR_IO ? status : OCTET_OK;
}

static OctetStatus read_array(Life *life, OctetDiagnostic *diagnostic) {
    close_set(life);
    return octet_npy_read(DATA "arrays/fortran.npy", &life->sample, diagnostic);
}

static OctetStatus write_array(Life *life, OctetDiagnostic *diagnostic) {
    return octet_npy_write(in_folder("written.npy"), life->input, diagnostic);
}

static OctetStatus read_labels(Life *life, OctetDiagnostic *diagnostic) {
    OctetLabels *labels = NULL;
    (void)life;
    OctetStatus status = octet_labels_read(in_folder("labels.txt"), &labels, diagnostic);
    octet_labels_free(labels);
    return status;
}

typedef struct Step {
    const char *name;
    OctetStatus (*act)(Life *life, OctetDiagnostic *diagnostic);
    void (*undo)(Life *life); /* NULL: nothing to */
    int again;                /* the first step that an attempt begins with */
    const char *output;       /* file that is there afterwards, and only then */
} Step;

static const Step steps[] = {
    {"load", load, unload, 0, NULL},
    {"prepare", prepare, unprepare, 1, NULL},
    {"calibrate", calibrate, NULL, 1, NULL},
    {"save statistics", save_statistics, NULL, 3, "stats.json"},
    {"merge statistics", merge_statistics, NULL, 1, NULL},
    {"convert", convert, unconvert, 1, NULL},
    {"save", save, NULL, 6, "int8.onnx"},
    {"save outside", save_outside, NULL, 7, "apart.onnx"},
    {"reload", reload, forget, 8, NULL},
    {"pack", pack, NULL, 8, "packed.onnx"},
    {"run", run, end_run, 10, NULL},
    {"images", read_images, close_set, 11, NULL},
    {"rows", read_rows, close_set, 12, NULL},
    {"archive", read_archives, close_set, 13, NULL},
    {"read array", read_array, close_set, 14, NULL},
    {"write array", write_array, NULL, 15, "written.npy"},
    {"labels", read_labels, NULL, 16, NULL},
};
enum { STEPS = sizeof steps / sizeof *steps };

static void undo(Life *life, int first, int last) {
    for (int i = last; i >= first; i--) {
        if (steps[i].undo) {
            steps[i].undo(life);
        }
    }
}

static void do_steps(Life *life, int first, int last) {
    for (int i = first; i <= last; i++) {
        OctetDiagnostic diagnostic = {0};
        if (steps[i].act(life, &diagnostic) != OCTET_OK) {
            fail_msg("%s: %s: %s: %s", steps[i].name, diagnostic.file, diagnostic.node,
                     diagnostic.message);
        }
    }
}

/* Files of the folder that are not whole. */
static int half_files(void) {
    DIR *stream = opendir(folder);
    int count = 0;
    assert_non_null(stream);
    for (struct dirent *entry; (entry = readdir(stream)) != NULL;) {
        count += strstr(entry->d_name, ".tmp") != NULL;
    }
    closedir(stream);
    return count;
}

/* ---- a life, and what it starts from ---- */

static OctetGraph *network(void) {
    static float weight[CHANNELS * CHANNELS * 9];
    static float bias[CHANNELS];
    static float dense[HIDDEN * FEATURES];
    OctetGraph *graph = octet_graph_create();
    OctetShape shape = {.rank = 4, .dims = {-1, CHANNELS, SIZE, SIZE}};
    OctetConvOptions options = {.out_channels = CHANNELS, .kernel = {3, 3}, .padding = {1, 1}};
    for (size_t i = 0; i < sizeof weight / sizeof *weight; i++) {
        weight[i] = (float)((int)(i * 7 % 11) - 5) * 0.05f;
    }
    for (size_t i = 0; i < sizeof dense / sizeof *dense; i++) {
        dense[i] = (float)((int)(i * 5 % 13) - 6) * 0.02f;
    }
    OctetValue *x = octet_graph_input(graph, "x", OCTET_F32, &shape);
    OctetValue *a = octet_graph_conv(graph, "a", x, &options, weight, bias);
    OctetValue *r = octet_graph_relu(graph, "r", a);
    OctetValue *b = octet_graph_conv(graph, "b", r, &options, weight, NULL);
    OctetValue *s = octet_graph_add(graph, "s", b, r);
    OctetValue *f = octet_graph_operator(graph, "Flatten", "f", &s, 1);
    octet_graph_output(graph, octet_graph_linear(graph, "y", f, FEATURES, HIDDEN, dense, NULL),
                       "y");
    assert_int_equal(octet_graph_finish(graph, NULL), OCTET_OK);
    return graph;
}

static void write_labels(void) {
    FILE *file = fopen(in_folder("labels.txt"), "w");
    assert_non_null(file);
    fputs("a.png 1\nb.png 2\nc.png 3\n", file);
    assert_int_equal(fclose(file), 0);
}

static int begin(void **state) {
    (void)state;
    OctetTensor *rows;
    OctetShape shape = {.rank = 2, .dims = {5, 36}};
    if (!mkdtemp(folder)) {
        return -1;
    }
    octet_set_allocator(failing_reallocate, counting_release, NULL);
    OctetGraph *graph = network();
    assert_int_equal(octet_model_save(graph, in_folder("float.onnx"), NULL, NULL), OCTET_OK);
    octet_graph_free(graph);
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &rows, NULL), OCTET_OK);
    assert_int_equal(octet_npy_write(in_folder("rows.npy"), rows, NULL), OCTET_OK);
    octet_tensor_free(rows);
    write_labels();
    return 0;
}

static int end(void **state) {
    char command[400];
    (void)state;
    octet_set_allocator(NULL, NULL, NULL);
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static void start_life(Life *life, bool copies) {
    OctetShape shape = {.rank = 4, .dims = {1, CHANNELS, SIZE, SIZE}};
    *life = (Life){.copies = copies};
    assert_int_equal(octet_tensor_create(OCTET_F32, &shape, &life->input, NULL), OCTET_OK);
    for (size_t i = 0; i < life->input->bytes / sizeof(float); i++) {
        ((float *)life->input->data)[i] = (float)(i % 17) * 0.1f - 0.6f;
    }
    do_steps(life, 0, STEPS - 1);
}

static void end_life(Life *life) {
    undo(life, 0, STEPS - 1);
    octet_tensor_free(life->input);
}

/* ---- failures ---- */

/* One attempt at a step in which the n-th allocation (NO_FAULT) or call fails; whether it came to
 * that. */
static bool attempt(Life *life, int i, Fault kind, long n) {
    const Step *step = &steps[i];
    OctetDiagnostic diagnostic = {0};
    undo(life, step->again, STEPS - 1);
    long before = living;
    if (step->output) {
        unlink(in_folder(step->output));
    }
    do_steps(life, step->again, i - 1);
    arm(kind, n);
    OctetStatus status = step->act(life, &diagnostic);
    bool happened = has_struck(kind);
    arm(NO_FAULT, -1);
    if (status == OCTET_OK && happened && kind != ENDS) {
        fail_msg("%s, failure %ld went unnoticed", step->name, n);
    }
    if (status != OCTET_OK) {
        bool wrong = kind == NO_FAULT ? status != OCTET_ERROR_OUT_OF_MEMORY
                     : kind == STOPS  ? status != OCTET_ERROR_CANCELED
                                      : status == OCTET_ERROR_INTERNAL;
        if (wrong || !happened || !diagnostic.message[0]) {
            fail_msg("%s, failure %ld: %s: %s", step->name, n, octet_status_name(status),
                     diagnostic.message);
        }
        if (step->output && access(in_folder(step->output), F_OK) == 0) {
            fail_msg("%s, failure %ld: there is a file", step->name, n);
        }
        undo(life, step->again, i);
        if (living != before) {
            fail_msg("%s, failure %ld: %ld allocations are lost", step->name, n, living - before);
        }
        do_steps(life, step->again, i);
    }
    assert_int_equal(half_files(), 0);
    return happened;
}

static void fail_everywhere(Fault first, Fault last, long least) {
    Life life;
    float expected[HIDDEN];
    long failures = 0;
    start_life(&life, first != NO_FAULT);
    memcpy(expected, life.result, sizeof expected);
    for (int i = 0; i < STEPS; i++) {
        for (int kind = (int)first; kind <= (int)last; kind++) {
            for (long n = 0; attempt(&life, i, (Fault)kind, n); n++) {
                failures++;
            }
        }
    }
    print_message("%ld failures\n", failures);
    assert_true(failures > least);
    assert_memory_equal(life.result, expected, sizeof expected);
    end_life(&life);
}

static void every_allocation(void **state) {
    (void)state;
    fail_everywhere(NO_FAULT, NO_FAULT, 500);
}

static void every_read_and_write(void **state) {
    (void)state;
    fail_everywhere(FAILS, ENDS, 50);
}

static void every_poll(void **state) {
    (void)state;
    fail_everywhere(STOPS, STOPS, 100);
}

/* Interrupted calls and short ones are no failures. */
static void short_reads_and_writes(void **state) {
    (void)state;
    Life plain, life;
    start_life(&plain, true);
    end_life(&plain);
    fault = INTERRUPTED;
    start_life(&life, true);
    end_life(&life);
    fault = NO_FAULT;
    assert_memory_equal(plain.result, life.result, sizeof life.result);
}

static void a_full_disk(void **state) {
    (void)state;
    Life life;
    OctetDiagnostic diagnostic = {0};
    start_life(&life, false);
    assert_int_equal(octet_model_save(life.quantized, "/dev/full", NULL, &diagnostic),
                     OCTET_ERROR_IO);
    assert_string_equal(diagnostic.file, "/dev/full");
    assert_int_equal(octet_stats_save(life.prepared, "/dev/full", NULL), OCTET_ERROR_IO);
    assert_int_equal(octet_npy_write("/dev/full", life.input, NULL), OCTET_ERROR_IO);
    end_life(&life);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_allocation), cmocka_unit_test(every_read_and_write),
        cmocka_unit_test(every_poll),       cmocka_unit_test(short_reads_and_writes),
        cmocka_unit_test(a_full_disk),
    };
    return cmocka_run_group_tests(tests, begin, end);
}
