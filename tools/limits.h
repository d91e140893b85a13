/* Limits on what a model may take, the same options for every command that takes one. */
#ifndef OCTET_TOOLS_LIMITS_H
#define OCTET_TOOLS_LIMITS_H

#include "octet/octet.h"
#include "options.h"

/* 0: the library's default. */
typedef struct LimitSettings {
    int64_t memory, seconds, iterations, nodes, depth, file;
} LimitSettings;
extern LimitSettings limit_settings; /* of this process; filled by options_parse */
extern const Option limit_options[];

/* For sessions; they end when this process is interrupted. */
OctetLimits run_limits(void);
OctetLoadOptions load_limits(void);

#endif
