/* The octet command: finds the command and runs it. */
#include "commands.h"
#include "options.h"
#include "plugins.h"
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Command *const commands[] = {
    &quantize_command,  &run_command,     &eval_command,  &compare_command, &inspect_command,
    &explain_command,   &observe_command, &bench_command, &pack_command,    &test_command,
    &operators_command, &version_command, NULL,
};

static const Command *find_command(const char *name) {
    for (const Command *const *command = commands; *command; command++) {
        if (strcmp((*command)->name, name) == 0) {
            return *command;
        }
    }
    return NULL;
}

static int fail_unknown(const char *name) {
    const char *names[32];
    size_t count = 0;
    for (const Command *const *command = commands; *command; command++) {
        names[count++] = (*command)->name;
    }
    names[count++] = "help";
    names[count] = NULL;
    const char *meant = closest(name, names);
    if (meant) {
        fprintf(stderr, "octet: unknown command '%s'; did you mean '%s'?\n", name, meant);
    } else {
        fprintf(stderr, "octet: unknown command '%s' (see octet help)\n", name);
    }
    return EXIT_USAGE;
}

static void print_overview(FILE *stream) {
    fputs("octet makes int8 networks of float ONNX models, runs and examines them.\n\n"
          "Usage: octet COMMAND [arguments]\n\nCommands:\n",
          stream);
    for (const Command *const *command = commands; *command; command++) {
        fprintf(stream, "  %-10s %s\n", (*command)->name, (*command)->summary);
    }
    fputs("  help       Explain a command: octet help COMMAND.\n\n"
          "Every command takes --plugin FILE: a shared object with custom operators.\n\n"
          "The two commands to begin with:\n"
          "  octet quantize model.onnx --calib images/ --preprocess imagenet --output int8.onnx\n"
          "  octet eval int8.onnx --data images/ --labels labels.txt --against model.onnx\n",
          stream);
}

static int help(int count, char **arguments) {
    if (count == 0) {
        print_overview(stdout);
        return 0;
    }
    const Command *command = find_command(arguments[0]);
    if (!command) {
        return fail_unknown(arguments[0]);
    }
    options_print_help(command);
    return 0;
}

static int run(const Command *command, int count, char **arguments) {
    void *settings = checked_calloc(1, command->settings_size);
    bool wants_help;
    report_start(command->name);
    int code = options_parse(command, count, arguments, settings, &wants_help);
    if (code == 0 && wants_help) {
        options_print_help(command);
    } else if (code == 0) {
        code = command->run(settings);
    }
    options_release(command, settings);
    free(settings);
    return code;
}

int main(int count, char **arguments) {
    report_start("help");
    int code = plugins_take(&count, arguments);
    if (code != 0) {
        return code;
    }
    if (count < 2) {
        print_overview(stderr);
        return EXIT_USAGE;
    }
    const char *name = arguments[1];
    if (strcmp(name, "help") == 0 || strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0) {
        return report_finish(help(count - 2, arguments + 2));
    }
    if (strcmp(name, "--version") == 0) {
        name = "version";
    }
    const Command *command = find_command(name);
    if (!command) {
        return fail_unknown(name);
    }
    return report_finish(run(command, count - 2, arguments + 2));
}
