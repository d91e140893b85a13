#include "quant/text.h"
#include "base/mem.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void oct_text_add(OctText *text, const char *added, size_t length) {
    size_t needed;
    if (text->failed || !oct_add_size(text->length, length, &needed) ||
        !oct_add_size(needed, 1, &needed)) {
        text->failed = true;
        return;
    }
    if (needed > text->capacity) {
        size_t capacity = needed > SIZE_MAX / 2 ? needed : 2 * needed;
        char *grown = oct_realloc(text->chars, capacity);
        if (!grown) {
            text->failed = true;
            return;
        }
        text->chars = grown;
        text->capacity = capacity;
    }
    memcpy(text->chars + text->length, added, length);
    text->length += length;
    text->chars[text->length] = '\0';
}

void oct_text_put(OctText *text, const char *added) {
    oct_text_add(text, added, strlen(added));
}

void oct_text_repeat(OctText *text, char character, int64_t count) {
    for (int64_t i = 0; i < count; i++) {
        oct_text_add(text, &character, 1);
    }
}

void oct_text_format(OctText *text, const char *format, ...) {
    char buffer[512];
    va_list arguments;
    va_start(arguments, format);
    int length = vsnprintf(buffer, sizeof buffer, format, arguments);
    va_end(arguments);
    if (length < 0 || (size_t)length >= sizeof buffer) {
        text->failed = true;
        return;
    }
    oct_text_add(text, buffer, (size_t)length);
}

/* Digits and exponent of the shortest "d.ddde+XX" that reads back as `value`. */
static int shortest(double value, char digits[32]) {
    char buffer[40];
    for (int precision = 0; precision <= 16; precision++) {
        snprintf(buffer, sizeof buffer, "%.*e", precision, value);
        if (strtod(buffer, NULL) == value) {
            break;
        }
    }
    char *e = strchr(buffer, 'e');
    size_t length = 0;
    for (const char *at = buffer; at < e; at++) {
        if (*at >= '0' && *at <= '9') {
            digits[length++] = *at;
        }
    }
    digits[length] = '\0';
    return atoi(e + 1);
}

void oct_text_repr(OctText *text, double value) {
    char digits[32];
    if (isnan(value) || isinf(value)) {
        oct_text_put(text, isnan(value) ? "nan" : value > 0 ? "inf" : "-inf");
        return;
    }
    if (signbit(value)) {
        oct_text_put(text, "-");
        value = -value;
    }
    int exponent = shortest(value, digits), length = (int)strlen(digits);
    if (exponent < -4 || exponent >= 16) {
        oct_text_add(text, digits, 1);
        if (length > 1) {
            oct_text_format(text, ".%s", digits + 1);
        }
        oct_text_format(text, "e%c%02d", exponent < 0 ? '-' : '+', abs(exponent));
    } else if (exponent < 0) {
        oct_text_put(text, "0.");
        oct_text_repeat(text, '0', -exponent - 1);
        oct_text_put(text, digits);
    } else {
        int whole = exponent + 1;
        oct_text_add(text, digits, (size_t)(length < whole ? length : whole));
        oct_text_repeat(text, '0', whole - length);
        oct_text_format(text, ".%s", length > whole ? digits + whole : "0");
    }
}
