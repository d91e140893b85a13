#include "options.h"

#include "limits.h"
#include "report.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TEXT_WIDTH = 80, HELP_COLUMN = 24, WORD_MAX = 32 };

static size_t least(size_t a, size_t b, size_t c) {
    size_t smaller = a < b ? a : b;
    return smaller < c ? smaller : c;
}

/* Levenshtein's distance; words longer than WORD_MAX count as far. */
static size_t distance(const char *a, const char *b) {
    size_t a_length = strlen(a), b_length = strlen(b);
    size_t row[WORD_MAX + 1];
    if (a_length > WORD_MAX || b_length > WORD_MAX) {
        return WORD_MAX;
    }
    for (size_t j = 0; j <= b_length; j++) {
        row[j] = j;
    }
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t above = row[j];
            row[j] = least(above + 1, row[j - 1] + 1, diagonal + (a[i - 1] != b[j - 1]));
            diagonal = above;
        }
    }
    return row[b_length];
}

const char *closest(const char *text, const char *const *candidates) {
    const char *best = NULL;
    size_t best_distance = strlen(text) < 5 ? 2 : 3; /* exclusive */
    for (; *candidates; candidates++) {
        size_t found = distance(text, *candidates);
        if (found < best_distance) {
            best_distance = found;
            best = *candidates;
        }
    }
    return best;
}

int usage_error(const char *command, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "octet %s: %s (see octet %s --help)\n", command, text, command);
    return EXIT_USAGE;
}

static const Option help_option = {
    .name = "help", .kind = OPTION_FLAG, .help = "Print this help and exit."};

static const Option *find_in(const Option *options, const char *name) {
    for (const Option *option = options; option->name; option++) {
        if (strcmp(option->name, name) == 0) {
            return option;
        }
    }
    return NULL;
}

/* *field: where its value goes. */
static const Option *find_option(const Command *command, const char *name, void *settings,
                                 void **field) {
    *field = NULL;
    if (strcmp(name, help_option.name) == 0) {
        return &help_option;
    }
    for (const OptionGroup *group = command->groups; group->title; group++) {
        const Option *option = find_in(group->options, name);
        if (option) {
            *field = (char *)settings + group->offset + option->offset;
            return option;
        }
    }
    const Option *limit = command->takes_model ? find_in(limit_options, name) : NULL;
    if (limit) {
        *field = (char *)&limit_settings + limit->offset;
    }
    return limit;
}

static int fail_unknown(const Command *command, const char *name) {
    const char *names[128] = {help_option.name};
    size_t count = 1;
    for (const OptionGroup *group = command->groups; group->title; group++) {
        for (const Option *option = group->options; option->name && count < 127; option++) {
            names[count++] = option->name;
        }
    }
    for (const Option *limit = limit_options; command->takes_model && limit->name && count < 127;
         limit++) {
        names[count++] = limit->name;
    }
    const char *meant = closest(name, names);
    if (meant) {
        return usage_error(command->name, "unknown option '--%s'; did you mean '--%s'?", name,
                           meant);
    }
    return usage_error(command->name, "unknown option '--%s'", name);
}

static void append(TextList *list, const char *text) {
    list->items = realloc(list->items, (list->count + 1) * sizeof(*list->items));
    if (!list->items) {
        die_out_of_memory();
    }
    list->items[list->count++] = text;
}

static int fail_choice(const Command *command, const Option *option, const char *value) {
    char known[256] = "";
    for (const char *const *choice = option->choices; *choice; choice++) {
        size_t used = strlen(known);
        snprintf(known + used, sizeof known - used, "%s%s", used ? ", " : "", *choice);
    }
    const char *meant = closest(value, option->choices);
    if (meant) {
        return usage_error(command->name, "--%s can't be '%s'; did you mean '%s'? There are %s",
                           option->name, value, meant, known);
    }
    return usage_error(command->name, "--%s can't be '%s'; there are %s", option->name, value,
                       known);
}

static bool parse_bytes(const char *text, int64_t *bytes) {
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (end == text || errno != 0 || number < 1) {
        return false;
    }
    const char *unit = *end ? strchr(units, *end) : NULL;
    int shift = unit ? 10 * (int)(unit - units + 1) : 0;
    if ((*end && !unit) || (unit && end[1]) || number > INT64_MAX >> shift) {
        return false;
    }
    *bytes = (int64_t)number << shift;
    return true;
}

static int set_value(const Command *command, const Option *option, const char *value, void *field) {
    char *end;
    errno = 0;
    switch (option->kind) {
    case OPTION_FLAG:
        *(bool *)field = true;
        return 0;
    case OPTION_TEXT:
        *(const char **)field = value;
        return 0;
    case OPTION_CHOICE:
        for (const char *const *choice = option->choices; *choice; choice++) {
            if (strcmp(value, *choice) == 0) {
                *(const char **)field = value;
                return 0;
            }
        }
        return fail_choice(command, option, value);
    case OPTION_COUNT:
    case OPTION_INDEX: {
        int64_t from = option->kind == OPTION_COUNT ? 1 : 0;
        long long number = strtoll(value, &end, 10);
        if (end == value || *end != '\0' || errno != 0 || number < from) {
            return usage_error(command->name, "--%s needs a whole number from %d, not '%s'",
                               option->name, (int)from, value);
        }
        *(int64_t *)field = number;
        return 0;
    }
    case OPTION_BYTES:
        if (!parse_bytes(value, field)) {
            return usage_error(command->name,
                               "--%s needs a number of bytes such as 500M or 4G, not '%s'",
                               option->name, value);
        }
        return 0;
    case OPTION_LIST:
        append(field, value);
        return 0;
    }
    return EXIT_USAGE;
}

/* One "--name", "--name value" or "--name=value"; *at moves over a value of its own. */
static int parse_option(const Command *command, int count, char **arguments, int *at,
                        void *settings, bool *help) {
    char name[64];
    const char *text = arguments[*at] + 2;
    const char *value = strchr(text, '=');
    size_t length = value ? (size_t)(value - text) : strlen(text);
    void *field;
    snprintf(name, sizeof name, "%.*s", (int)(length < sizeof name ? length : sizeof name - 1),
             text);
    const Option *option = find_option(command, name, settings, &field);
    if (!option) {
        return fail_unknown(command, name);
    }
    if (option == &help_option) {
        *help = true;
        return 0;
    }
    if (option->kind == OPTION_FLAG && value) {
        return usage_error(command->name, "--%s takes no value", name);
    }
    if (option->kind != OPTION_FLAG) {
        if (value) {
            value++;
        } else if (*at + 1 < count) {
            value = arguments[++*at];
        } else {
            return usage_error(command->name, "--%s needs a value: %s", name, option->value);
        }
    }
    return set_value(command, option, value, field);
}

int options_parse(const Command *command, int count, char **arguments, void *settings, bool *help) {
    TextList *operands = (TextList *)(void *)((char *)settings + command->operands_offset);
    bool only_operands = false;
    *help = false;
    for (int at = 0; at < count; at++) {
        const char *argument = arguments[at];
        if (only_operands || argument[0] != '-' || argument[1] == '\0') {
            append(operands, argument);
        } else if (strcmp(argument, "--") == 0) {
            only_operands = true;
        } else if (strcmp(argument, "-h") == 0) {
            *help = true;
        } else if (argument[1] != '-') {
            return usage_error(command->name, "unknown option '%s'", argument);
        } else {
            int code = parse_option(command, count, arguments, &at, settings, help);
            if (code != 0) {
                return code;
            }
        }
    }
    if (*help) {
        return 0;
    }
    if (operands->count < command->operands_least) {
        return usage_error(command->name, "usage: octet %s %s", command->name, command->usage);
    }
    if (operands->count > command->operands_most) {
        return usage_error(command->name, "unexpected argument '%s'",
                           operands->items[command->operands_most]);
    }
    return 0;
}

static bool is_given(const Option *option, const void *field) {
    switch (option->kind) {
    case OPTION_FLAG:
        return *(const bool *)field;
    case OPTION_TEXT:
    case OPTION_CHOICE:
        return *(const char *const *)field != NULL;
    case OPTION_LIST:
        return ((const TextList *)field)->count > 0;
    default:
        return *(const int64_t *)field != 0;
    }
}

const char *option_given(const Option *list, const void *settings) {
    for (; list->name; list++) {
        if (is_given(list, (const char *)settings + list->offset)) {
            return list->name;
        }
    }
    return NULL;
}

void options_release(const Command *command, void *settings) {
    TextList *operands = (TextList *)(void *)((char *)settings + command->operands_offset);
    free(operands->items);
    *operands = (TextList){0};
    for (const OptionGroup *group = command->groups; group->title; group++) {
        for (const Option *option = group->options; option->name; option++) {
            if (option->kind == OPTION_LIST) {
                TextList *list =
                    (TextList *)(void *)((char *)settings + group->offset + option->offset);
                free(list->items);
                *list = (TextList){0};
            }
        }
    }
}

/* Prints words so that no line exceeds the width; the cursor is at `column`, and further lines are
 * indented to `indent`. */
static void print_wrapped(const char *text, size_t column, size_t indent) {
    while (*text) {
        size_t length = strcspn(text, " \n");
        if (column > indent && column + 1 + length > TEXT_WIDTH) {
            printf("\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            putchar(' ');
            column++;
        }
        printf("%.*s", (int)length, text);
        column += length;
        text += length;
        if (*text == '\n') {
            printf("\n%*s", (int)indent, "");
            column = indent;
        }
        text += *text != '\0';
    }
    putchar('\n');
}

static void print_option(const Option *option) {
    char left[64];
    int length = snprintf(left, sizeof left, "  --%s%s%s", option->name, option->value ? " " : "",
                          option->value ? option->value : "");
    printf("%s", left);
    if (length >= HELP_COLUMN) {
        printf("\n%*s", HELP_COLUMN, "");
    } else {
        printf("%*s", HELP_COLUMN - length, "");
    }
    print_wrapped(option->help, HELP_COLUMN, HELP_COLUMN);
}

void options_print_help(const Command *command) {
    printf("Usage: octet %s %s\n\n", command->name, command->usage);
    print_wrapped(command->description, 0, 0);
    for (const OptionGroup *group = command->groups; group->title; group++) {
        printf("\n%s:\n", group->title);
        for (const Option *option = group->options; option->name; option++) {
            print_option(option);
        }
    }
    if (command->takes_model) {
        printf("\nLimits:\n");
        for (const Option *option = limit_options; option->name; option++) {
            print_option(option);
        }
    }
    printf("\nHelp:\n");
    print_option(&help_option);
    printf("\nExamples:\n%s", command->examples);
}
