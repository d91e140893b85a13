/* The commands, each in a file of its own. */
#ifndef OCTET_TOOLS_COMMANDS_H
#define OCTET_TOOLS_COMMANDS_H

#include "options.h"

extern const Command quantize_command;
extern const Command run_command;
extern const Command eval_command;
extern const Command compare_command;
extern const Command inspect_command;
extern const Command explain_command;
extern const Command observe_command;
extern const Command bench_command;
extern const Command pack_command;
extern const Command test_command;
extern const Command operators_command;
extern const Command version_command;

#endif
