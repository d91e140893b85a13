/* Commands and their options as tables: one table makes both the parser and the help text. */
#ifndef OCTET_TOOLS_OPTIONS_H
#define OCTET_TOOLS_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { EXIT_USAGE = 2 };

typedef enum OptionKind {
    OPTION_FLAG,   /* bool, no value */
    OPTION_TEXT,   /* const char * */
    OPTION_CHOICE, /* const char *, one of `choices` */
    OPTION_COUNT,  /* int64_t, from 1 */
    OPTION_INDEX,  /* int64_t, from 0 */
    OPTION_BYTES,  /* int64_t, from 1, with K, M, G or T behind it for 2^10, 2^20, ... */
    OPTION_LIST    /* TextList: may be given several times */
} OptionKind;

typedef struct TextList {
    const char **items; /* point into argv */
    size_t count;
} TextList;

typedef struct Option {
    const char *name; /* without the dashes */
    OptionKind kind;
    size_t offset;              /* of the field that takes the value */
    const char *value;          /* what the help calls it: FILE */
    const char *help;           /* wrapped to the terminal's usual 80 columns */
    const char *const *choices; /* NULL-terminated */
} Option;

/* Options that belong together; `options` ends with a NULL name. */
typedef struct OptionGroup {
    const char *title;
    const Option *options;
    size_t offset; /* of the struct that they fill, in the command's settings */
} OptionGroup;

typedef struct Command {
    const char *name;
    const char *summary;       /* one line, for `octet help` */
    const char *usage;         /* what follows "octet NAME" */
    const char *description;   /* paragraphs */
    const char *examples;      /* lines, each beginning with "octet" */
    const OptionGroup *groups; /* ends with a NULL title */
    bool takes_model;          /* then it has the options of limits.h, too */
    size_t settings_size;
    size_t operands_offset; /* of a TextList */
    size_t operands_least, operands_most;
    int (*run)(const void *settings); /* returns the exit code */
} Command;

/* Fills `settings` (zeroed, settings_size bytes) from the arguments behind the command's name.
 * Returns 0, or an exit code after an error was printed; *help is set by --help. */
int options_parse(const Command *command, int count, char **arguments, void *settings, bool *help);
/* The name of the first option of a list that was given, NULL if none was: for options that mean
 * nothing without another one. An OPTION_INDEX is not told from one that is 0. `settings` is what
 * the list's offsets count from. */
const char *option_given(const Option *list, const void *settings);
/* Frees the lists that options_parse made. */
void options_release(const Command *command, void *settings);
void options_print_help(const Command *command);
/* The candidate (NULL-terminated list) that `text` may be a misspelling of, or NULL. */
const char *closest(const char *text, const char *const *candidates);
/* Prints "octet NAME: message (see octet NAME --help)" and returns EXIT_USAGE. */
int usage_error(const char *command, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
