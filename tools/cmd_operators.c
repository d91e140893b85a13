/* octet operators: what Octet can run. */
#include "commands.h"
#include "report.h"

#include <stdio.h>

typedef struct Settings {
    TextList operands;
    bool json;
} Settings;

static int run_operators(const void *given) {
    const Settings *settings = given;
    OctetOperatorInfo info;
    json_t *list = json_new_array();
    for (size_t i = 0; octet_operator_at(i, &info); i++) {
        if (!settings->json) {
            char opsets[32];
            snprintf(opsets, sizeof opsets, info.until ? "%d to %d" : "%d on", (int)info.since,
                     (int)info.until);
            printf("%-16s %-34s %-10s %s\n", info.domain[0] ? info.domain : "ai.onnx", info.name,
                   opsets, info.int8 ? "float, int8" : "float");
            continue;
        }
        json_t *object = json_new_object();
        json_add(object, "domain", json_text(info.domain));
        json_add(object, "name", json_text(info.name));
        json_add(object, "since", json_integer(info.since));
        json_add(object, "until", info.until ? json_integer(info.until) : json_null());
        json_add(object, "int8", json_boolean(info.int8));
        json_push(list, object);
    }
    if (settings->json) {
        json_t *object = json_new_object();
        json_add(object, "operators", list);
        json_print(object);
    } else {
        json_decref(list);
    }
    return 0;
}

static const Option options[] = {
    {"json", OPTION_FLAG, offsetof(Settings, json), NULL, "Print one JSON object.", NULL},
    {0},
};

static const OptionGroup groups[] = {{"Options", options, 0}, {0}};

const Command operators_command = {
    .name = "operators",
    .summary = "List the operators that Octet runs, with their opsets.",
    .usage = "[--json]",
    .description = "Prints domain, name, the versions of the operator set, and whether there are "
                   "int8 kernels beside the float ones. docs/operators.md says more.",
    .examples = "  octet operators\n",
    .groups = groups,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .run = run_operators,
};
