#include "octet/data.h"

#include "base/diag.h"
#include "base/file.h"
#include "base/mem.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { LABEL_BYTES_MAX = 256 << 20 };

typedef struct Label {
    const char *name; /* NULL: by its line */
    int64_t label;
} Label;

struct OctetLabels {
    char *text; /* names point into it */
    Label *labels;
    int32_t count;
    int32_t capacity;
    bool named;
};

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == ',';
}

static const char *base_name(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

static int by_name(const void *left, const void *right) {
    return strcmp(((const Label *)left)->name, ((const Label *)right)->name);
}

/* "class" or "file class"; a file's name may have spaces. Changes the line. */
static bool parse_line(char *line, Label *label) {
    size_t length = strlen(line);
    while (length > 0 && is_space(line[length - 1])) {
        line[--length] = '\0';
    }
    char *last = line + length;
    while (last > line && !is_space(last[-1])) {
        last--;
    }
    char *end;
    errno = 0;
    long long value = strtoll(last, &end, 10);
    if (end == last || *end != '\0' || errno != 0 || value < 0) {
        return false;
    }
    label->label = value;
    while (last > line && is_space(last[-1])) {
        *--last = '\0';
    }
    while (is_space(*line)) {
        line++;
    }
    label->name = last > line ? base_name(line) : NULL;
    return true;
}

static OctetStatus parse(OctetLabels *labels, OctetDiagnostic *diagnostic) {
    int line_number = 0;
    for (char *line = labels->text; line;) {
        char *next = strchr(line, '\n');
        if (next) {
            *next++ = '\0';
        }
        line_number++;
        if (line[strspn(line, " \t\r")] != '\0') {
            if (!oct_grow(&labels->labels, &labels->capacity, labels->count + 1,
                          sizeof(*labels->labels))) {
                return oct_fail_memory(diagnostic);
            }
            Label *label = &labels->labels[labels->count];
            if (!parse_line(line, label)) {
                return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                                "line %d is neither 'class' nor 'file class' (a class is a number "
                                "from 0)",
                                line_number);
            }
            if (labels->count > 0 && labels->named != (label->name != NULL)) {
                return oct_fail(diagnostic, OCTET_ERROR_FORMAT,
                                "line %d: some lines have a file's name and some have none",
                                line_number);
            }
            labels->named = label->name != NULL;
            labels->count++;
        }
        line = next;
    }
    if (labels->count == 0) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "the file has no labels");
    }
    if (labels->named) {
        qsort(labels->labels, (size_t)labels->count, sizeof(*labels->labels), by_name);
    }
    return OCTET_OK;
}

OctetStatus octet_labels_read(const char *path, OctetLabels **labels, OctetDiagnostic *diagnostic) {
    *labels = NULL;
    uint8_t *text;
    size_t bytes;
    OCT_TRY(oct_file_read(path, LABEL_BYTES_MAX, &text, &bytes, diagnostic));
    OctetLabels *made = oct_calloc(1, sizeof(*made));
    if (!made) {
        oct_free(text);
        return oct_fail_memory(diagnostic);
    }
    made->text = (char *)text;
    OctetStatus status = memchr(text, 0, bytes)
                             ? oct_fail(diagnostic, OCTET_ERROR_FORMAT, "the labels are no text")
                             : parse(made, diagnostic);
    if (status != OCTET_OK) {
        octet_labels_free(made);
        return oct_fail_in_file(diagnostic, status, path);
    }
    *labels = made;
    return OCTET_OK;
}

int64_t octet_labels_count(const OctetLabels *labels) {
    return labels->count;
}

bool octet_labels_named(const OctetLabels *labels) {
    return labels->named;
}

bool octet_labels_find(const OctetLabels *labels, const char *name, int64_t index, int64_t *label) {
    if (labels->named) {
        if (!name) {
            return false;
        }
        Label wanted = {.name = base_name(name)};
        const Label *found = bsearch(&wanted, labels->labels, (size_t)labels->count,
                                     sizeof(*labels->labels), by_name);
        if (!found) {
            return false;
        }
        *label = found->label;
        return true;
    }
    if (index < 0 || index >= labels->count) {
        return false;
    }
    *label = labels->labels[index].label;
    return true;
}

void octet_labels_free(OctetLabels *labels) {
    if (!labels) {
        return;
    }
    oct_free(labels->labels);
    oct_free(labels->text);
    oct_free(labels);
}
