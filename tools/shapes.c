#include "shapes.h"

#include "common.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

/* Reads "1x3x224x224" (or with commas); false if it is none. */
static bool parse_shape(const char *text, OctetShape *shape) {
    *shape = (OctetShape){0, {0}};
    while (*text) {
        char *end;
        long long dim = strtoll(text, &end, 10);
        if (end == text || !isdigit((unsigned char)*text) || shape->rank == OCTET_MAX_RANK) {
            return false;
        }
        shape->dims[shape->rank++] = dim;
        text = *end == 'x' || *end == ',' ? end + 1 : end;
        if (*end != '\0' && *end != 'x' && *end != ',') {
            return false;
        }
    }
    return shape->rank > 0;
}

OctetStatus input_shape(const TextList *shapes, const OctetValue *value, size_t input_count,
                        OctetShape *shape, OctetDiagnostic *diagnostic) {
    const char *name = octet_value_name(value);
    size_t length = strlen(name);
    *shape = octet_value_shape(value);
    for (size_t i = 0; i < shapes->count; i++) {
        const char *text = shapes->items[i];
        bool named = strncmp(text, name, length) == 0 && text[length] == '=';
        if (named || (input_count == 1 && !strchr(text, '='))) {
            if (!parse_shape(named ? text + length + 1 : text, shape)) {
                return fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, NULL,
                            "--shape %s: a shape looks like 1x3x224x224", text);
            }
        }
    }
    if (shape->rank < 0) {
        return fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, NULL,
                    "the shape of input %s is not known; give it with --shape %s=...", name, name);
    }
    for (int32_t i = 0; i < shape->rank; i++) {
        shape->dims[i] = shape->dims[i] < 0 ? 1 : shape->dims[i];
    }
    return OCTET_OK;
}
