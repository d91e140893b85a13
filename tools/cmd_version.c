#include "commands.h"
#include "report.h"

#include <stdio.h>

typedef struct Settings {
    TextList operands;
    bool json;
} Settings;

static int run_version(const void *given) {
    const Settings *settings = given;
    const char *cpu = octet_cpu_name(octet_get_cpu());
    if (settings->json) {
        json_t *object = json_new_object();
        json_add(object, "version", json_text(octet_version()));
        json_add(object, "cpu", json_text(cpu));
        json_print(object);
    } else {
        printf("octet %s (kernels: %s)\n", octet_version(), cpu);
    }
    return 0;
}

static const Option options[] = {
    {"json", OPTION_FLAG, offsetof(Settings, json), NULL, "Print one JSON object.", NULL},
    {0},
};

static const OptionGroup groups[] = {{"Options", options, 0}, {0}};

const Command version_command = {
    .name = "version",
    .summary = "Print the version and the kernels that this machine gets.",
    .usage = "[--json]",
    .description = "Prints the version and the level of CPU instructions that kernels are chosen "
                   "for. The environment variable OCTET_CPU lowers the level: portable, avx2, "
                   "avx2-vnni, avx512-vnni, neon, neon-dot.",
    .examples = "  octet version\n  OCTET_CPU=portable octet version --json\n",
    .groups = groups,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .run = run_version,
};
