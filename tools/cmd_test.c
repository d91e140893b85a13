/* octet test: folders in ONNX's test layout. */
#include "commands.h"
#include "common.h"
#include "conformance.h"
#include "report.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct Settings {
    TextList operands;
    GeneralOptions general;
    RunOptions run;
    const char *relative, *absolute;
} Settings;

/* Folders with a model, in order. */
typedef struct Cases {
    char **folders;
    size_t count, capacity;
} Cases;

static bool has_model(const char *folder) {
    char path[4160];
    snprintf(path, sizeof path, "%.4096s/model.onnx", folder);
    return access(path, F_OK) == 0;
}

static void add_case(Cases *cases, const char *folder) {
    if (cases->count == cases->capacity) {
        size_t capacity = cases->capacity ? 2 * cases->capacity : 64;
        char **grown = realloc(cases->folders, capacity * sizeof *grown);
        if (!grown) {
            die_out_of_memory();
        }
        cases->folders = grown;
        cases->capacity = capacity;
    }
    cases->folders[cases->count++] = checked_strdup(folder);
}

static void free_cases(Cases *cases) {
    for (size_t i = 0; i < cases->count; i++) {
        free(cases->folders[i]);
    }
    free(cases->folders);
}

/* A folder with a model is a case; of any other, the folders in it that are. */
static int find_cases(const char *folder, Cases *cases) {
    struct dirent **entries;
    size_t before = cases->count;
    if (has_model(folder)) {
        add_case(cases, folder);
        return 0;
    }
    int count = scandir(folder, &entries, NULL, alphasort);
    if (count < 0) {
        return report_error("%s: it can't be read as a folder", folder);
    }
    for (int i = 0; i < count; i++) {
        char path[4500];
        snprintf(path, sizeof path, "%.4096s/%s", folder, entries[i]->d_name);
        if (entries[i]->d_name[0] != '.' && has_model(path)) {
            add_case(cases, path);
        }
        free(entries[i]);
    }
    free(entries);
    return cases->count > before
               ? 0
               : report_error("%s: there is no model.onnx in it or in a folder of it", folder);
}

static bool read_tolerance(const char *text, double fallback, double *value) {
    char *end;
    *value = fallback;
    if (!text) {
        return true;
    }
    *value = strtod(text, &end);
    return end != text && *end == '\0' && *value >= 0;
}

static const char *const result_names[] = {"passed", "failed", "unsupported"};

static void report_case(const Settings *settings, const char *folder, const CaseOutcome *outcome,
                        json_t *list) {
    if (settings->general.json) {
        json_t *object = json_new_object();
        json_add(object, "case", json_text(folder));
        json_add(object, "result", json_text(result_names[outcome->result]));
        json_add(object, "reason", outcome->reason[0] ? json_text(outcome->reason) : json_null());
        json_push(list, object);
    } else if (outcome->result == CASE_PASSED) {
        printf("passed       %s\n", folder);
    } else {
        printf("%-11s  %s: %s\n", result_names[outcome->result], folder, outcome->reason);
    }
}

static int run_cases(const Settings *settings, const Cases *cases, const Tolerance *tolerance,
                     OctetThreadPool *pool) {
    json_int_t counts[3] = {0};
    json_t *list = json_new_array();
    for (size_t i = 0; i < cases->count && !interrupted(); i++) {
        CaseOutcome outcome;
        conformance_run(cases->folders[i], tolerance, pool, &outcome);
        counts[outcome.result]++;
        report_case(settings, cases->folders[i], &outcome, list);
    }
    if (settings->general.json) {
        json_t *object = json_new_object();
        for (int i = 0; i < 3; i++) {
            json_add(object, result_names[i], json_integer(counts[i]));
        }
        json_add(object, "cases", list);
        json_print(object);
    } else {
        json_decref(list);
        printf("%lld passed, %lld failed, %lld unsupported\n", (long long)counts[0],
               (long long)counts[1], (long long)counts[2]);
    }
    if (interrupted()) {
        return interrupted_exit_code();
    }
    return counts[CASE_FAILED] > 0 ? EXIT_ERROR : 0;
}

static int run_test(const void *given) {
    const Settings *settings = given;
    Tolerance tolerance;
    if (!read_tolerance(settings->relative, 1e-3, &tolerance.relative) ||
        !read_tolerance(settings->absolute, 1e-7, &tolerance.absolute)) {
        return usage_error("test", "--rtol and --atol are numbers of at least 0");
    }
    Cases cases = {0};
    int code = 0;
    for (size_t i = 0; i < settings->operands.count && code == 0; i++) {
        code = find_cases(settings->operands.items[i], &cases);
    }
    OctetThreadPool *pool = NULL;
    OctetDiagnostic diagnostic = {0};
    if (code == 0 && pool_create(&settings->run, &pool, &diagnostic) != OCTET_OK) {
        code = report_failure(&diagnostic);
    }
    if (code == 0) {
        report_set_quiet(settings->general.quiet);
        report_set_json(settings->general.json);
        code = run_cases(settings, &cases, &tolerance, pool);
    }
    octet_thread_pool_free(pool);
    free_cases(&cases);
    return code;
}

static const Option options[] = {
    {"rtol", OPTION_TEXT, offsetof(Settings, relative), "X",
     "Relative tolerance of floats (default 1e-3).", NULL},
    {"atol", OPTION_TEXT, offsetof(Settings, absolute), "X",
     "Absolute tolerance of floats (default 1e-7). Integers must be equal.", NULL},
    {0},
};

static const OptionGroup groups[] = {
    {"Comparing", options, 0},
    {"Running", thread_options, offsetof(Settings, run)},
    {"General", general_options, offsetof(Settings, general)},
    {0},
};

const Command test_command = {
    .name = "test",
    .summary = "Run models on recorded inputs and compare with recorded outputs.",
    .usage = "DIR... [options]",
    .description =
        "Each DIR is a folder in ONNX's test layout (model.onnx and test_data_set_0, 1, ... with "
        "input_K.pb and output_K.pb), or a folder of such folders. Says for each whether it "
        "passed, failed (with the first difference) or is not supported (with what is missing). "
        "The exit code is 1 if one failed.",
    .examples = "  octet test onnx-cases/test_add onnx-cases/test_conv\n"
                "  octet test onnx-cases --json\n",
    .groups = groups,
    .takes_model = true,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .operands_least = 1,
    .operands_most = SIZE_MAX,
    .run = run_test,
};
