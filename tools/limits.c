#include "limits.h"

#include "report.h"

LimitSettings limit_settings;

const Option limit_options[] = {
    {"max-memory", OPTION_BYTES, offsetof(LimitSettings, memory), "SIZE",
     "Memory that a run may take for activations, such as 500M or 4G (default: half of this "
     "machine's).",
     NULL},
    {"max-seconds", OPTION_COUNT, offsetof(LimitSettings, seconds), "N",
     "Time that loading, planning and each single run may take (600).", NULL},
    {"max-iterations", OPTION_COUNT, offsetof(LimitSettings, iterations), "N",
     "Iterations that all loops of a run may make (10000000).", NULL},
    {"max-nodes", OPTION_COUNT, offsetof(LimitSettings, nodes), "N",
     "Nodes that a model may have (1000000).", NULL},
    {"max-depth", OPTION_COUNT, offsetof(LimitSettings, depth), "N",
     "Levels of subgraphs and functions, up to 256 (32).", NULL},
    {"max-file", OPTION_BYTES, offsetof(LimitSettings, file), "SIZE",
     "Bytes of a model with its external data (4G).", NULL},
    {0},
};

static bool is_interrupted(void *user) {
    (void)user;
    return interrupted();
}

OctetLimits run_limits(void) {
    return (OctetLimits){.max_memory_bytes = (uint64_t)limit_settings.memory,
                         .max_iterations = (uint64_t)limit_settings.iterations,
                         .max_seconds = (double)limit_settings.seconds,
                         .canceled = is_interrupted};
}

OctetLoadOptions load_limits(void) {
    int64_t depth = limit_settings.depth;
    return (OctetLoadOptions){.max_nodes = (uint64_t)limit_settings.nodes,
                              .max_depth = depth < UINT32_MAX ? (uint32_t)depth : UINT32_MAX,
                              .max_file_bytes = (uint64_t)limit_settings.file,
                              .on_findings = report_findings,
                              .max_seconds = (double)limit_settings.seconds,
                              .canceled = is_interrupted};
}
