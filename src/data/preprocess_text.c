/* Preprocessing as a text: presets, parts, the form that is kept in a model's metadata. */
#include "octet/data.h"

#include "base/diag.h"

#include <errno.h>
#include <locale.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const OctetPreprocess raw = {.divide = 1.0f, .mean_count = 1, .std_count = 1, .std = {1.0f}};

bool octet_preprocess_preset(const char *name, OctetPreprocess *preprocess) {
    OctetPreprocess made = raw;
    if (strcmp(name, "imagenet") == 0) {
        made = (OctetPreprocess){.resize_short = 256,
                                 .crop = 224,
                                 .channels = OCTET_CHANNELS_RGB,
                                 .divide = 255.0f,
                                 .mean_count = 3,
                                 .std_count = 3,
                                 .mean = {0.485f, 0.456f, 0.406f},
                                 .std = {0.229f, 0.224f, 0.225f}};
    } else if (strcmp(name, "caffe") == 0) {
        made = (OctetPreprocess){.resize_short = 256,
                                 .crop = 224,
                                 .channels = OCTET_CHANNELS_BGR,
                                 .divide = 1.0f,
                                 .mean_count = 3,
                                 .std_count = 1,
                                 .mean = {104.0f, 117.0f, 123.0f},
                                 .std = {1.0f}};
    } else if (strcmp(name, "unit") == 0) {
        made.divide = 255.0f;
    } else if (strcmp(name, "raw") != 0) {
        return false;
    }
    *preprocess = made;
    return true;
}

/* Numbers in files have a decimal point whatever the host program's locale is. */
static bool parse_numbers(const char *text, float *numbers, int32_t most, int32_t *count) {
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    if (!plain) {
        return false;
    }
    bool good = true;
    *count = 0;
    for (;;) {
        char *end;
        float value = strtof_l(text, &end, plain);
        good = end != text && *text != ' ' && isfinite(value) && *count < most;
        if (!good) {
            break;
        }
        numbers[(*count)++] = value;
        if (*end == '\0') {
            break;
        }
        good = *end == ',';
        if (!good) {
            break;
        }
        text = end + 1;
    }
    freelocale(plain);
    return good;
}

/* A length in pixels; *end is set behind it. */
static bool parse_length(const char *text, char **end, int32_t *length) {
    if (*text < '0' || *text > '9') {
        return false;
    }
    errno = 0;
    long value = strtol(text, end, 10);
    if (errno != 0 || value < 1 || value > OCTET_MAX_PIXELS) {
        return false;
    }
    *length = (int32_t)value;
    return true;
}

static bool set_resize(OctetPreprocess *preprocess, const char *value) {
    int32_t width = 0, height = 0;
    char *end;
    bool none = strcmp(value, "none") == 0 || strcmp(value, "0") == 0;
    if (!none) {
        if (!parse_length(value, &end, &width)) {
            return false;
        }
        if (*end == 'x' && !parse_length(end + 1, &end, &height)) {
            return false;
        }
        if (*end != '\0') {
            return false;
        }
    }
    preprocess->resize_short = height ? 0 : width;
    preprocess->resize_width = height ? width : 0;
    preprocess->resize_height = height;
    return true;
}

static bool set_crop(OctetPreprocess *preprocess, const char *value) {
    char *end;
    if (strcmp(value, "none") == 0 || strcmp(value, "0") == 0) {
        preprocess->crop = 0;
        return true;
    }
    int32_t length;
    if (!parse_length(value, &end, &length) || *end != '\0') {
        return false;
    }
    preprocess->crop = length;
    return true;
}

static const char *const channel_names[] = {"auto", "rgb", "bgr", "gray"};

static bool set_channels(OctetPreprocess *preprocess, const char *value) {
    for (int i = 0; i < 4; i++) {
        if (strcmp(value, channel_names[i]) == 0) {
            preprocess->channels = (OctetChannels)i;
            return true;
        }
    }
    return false;
}

static bool set_numbers(float *numbers, int32_t *count, const char *value, bool may_be_zero) {
    float parsed[OCTET_MAX_CHANNELS];
    int32_t parsed_count;
    if (!parse_numbers(value, parsed, OCTET_MAX_CHANNELS, &parsed_count)) {
        return false;
    }
    for (int32_t i = 0; i < parsed_count; i++) {
        if (parsed[i] == 0.0f && !may_be_zero) {
            return false;
        }
    }
    memcpy(numbers, parsed, (size_t)parsed_count * sizeof(float));
    *count = parsed_count;
    return true;
}

OctetStatus octet_preprocess_set(OctetPreprocess *preprocess, const char *key, const char *value,
                                 OctetDiagnostic *diagnostic) {
    bool good;
    const char *wanted;
    float divide;
    int32_t count;
    if (strcmp(key, "resize") == 0) {
        good = set_resize(preprocess, value);
        wanted = "a length (256), a width and height (320x240), or none";
    } else if (strcmp(key, "crop") == 0) {
        good = set_crop(preprocess, value);
        wanted = "a length (224) or none";
    } else if (strcmp(key, "channels") == 0) {
        good = set_channels(preprocess, value);
        wanted = "rgb, bgr, gray or auto";
    } else if (strcmp(key, "divide") == 0) {
        good = parse_numbers(value, &divide, 1, &count) && divide != 0.0f;
        preprocess->divide = good ? divide : preprocess->divide;
        wanted = "a number other than 0, such as 255";
    } else if (strcmp(key, "mean") == 0) {
        good = set_numbers(preprocess->mean, &preprocess->mean_count, value, true);
        wanted = "1 to 4 numbers, such as 0.485,0.456,0.406";
    } else if (strcmp(key, "std") == 0) {
        good = set_numbers(preprocess->std, &preprocess->std_count, value, false);
        wanted = "1 to 4 numbers other than 0, such as 0.229,0.224,0.225";
    } else if (strcmp(key, "floats") == 0) {
        good = strcmp(value, "0") == 0 || strcmp(value, "1") == 0;
        preprocess->float_arrays = good ? *value == '1' : preprocess->float_arrays;
        wanted = "0 or 1";
    } else {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "preprocessing has no part '%s'; it has resize, crop, channels, divide, "
                        "mean, std",
                        key);
    }
    if (!good) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT, "%s is '%s'; it must be %s", key,
                        value, wanted);
    }
    return OCTET_OK;
}

/* Appends like snprintf; `used` counts what the whole text has. */
static void append(char *buffer, size_t size, size_t *used, const char *format, ...)
    OCTET_PRINTF(4, 5);
static void append(char *buffer, size_t size, size_t *used, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    size_t at = *used < size ? *used : size;
    int length = vsnprintf(size > at ? buffer + at : NULL, size - at, format, arguments);
    va_end(arguments);
    *used += length > 0 ? (size_t)length : 0;
}

static void append_numbers(char *buffer, size_t size, size_t *used, const char *key,
                           const float *numbers, int32_t count) {
    append(buffer, size, used, " %s=", key);
    for (int32_t i = 0; i < count; i++) {
        /* the shortest form that reads back to the same float */
        int digits = 1;
        char text[32];
        do {
            snprintf(text, sizeof text, "%.*g", digits, (double)numbers[i]);
        } while (strtof(text, NULL) != numbers[i] && digits++ < 9);
        append(buffer, size, used, "%s%s", i ? "," : "", text);
    }
}

int octet_preprocess_format(const OctetPreprocess *preprocess, char *buffer, size_t size) {
    locale_t plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    locale_t kept = plain ? uselocale(plain) : (locale_t)0;
    size_t used = 0;
    if (preprocess->resize_short > 0) {
        append(buffer, size, &used, "resize=%d", preprocess->resize_short);
    } else if (preprocess->resize_width > 0) {
        append(buffer, size, &used, "resize=%dx%d", preprocess->resize_width,
               preprocess->resize_height);
    } else {
        append(buffer, size, &used, "resize=none");
    }
    if (preprocess->crop > 0) {
        append(buffer, size, &used, " crop=%d", preprocess->crop);
    }
    if (preprocess->channels != OCTET_CHANNELS_AUTO) {
        append(buffer, size, &used, " channels=%s", channel_names[preprocess->channels]);
    }
    append_numbers(buffer, size, &used, "divide", &preprocess->divide, 1);
    append_numbers(buffer, size, &used, "mean", preprocess->mean, preprocess->mean_count);
    append_numbers(buffer, size, &used, "std", preprocess->std, preprocess->std_count);
    if (preprocess->float_arrays) {
        append(buffer, size, &used, " floats=1");
    }
    if (plain) {
        uselocale(kept);
        freelocale(plain);
    }
    return (int)used;
}

OctetStatus octet_preprocess_parse(const char *text, OctetPreprocess *preprocess,
                                   OctetDiagnostic *diagnostic) {
    OctetPreprocess made = raw;
    char part[160];
    while (*text) {
        size_t length = strcspn(text, " ");
        if (length >= sizeof part) {
            return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "the preprocessing is malformed");
        }
        memcpy(part, text, length);
        part[length] = '\0';
        text += length + strspn(text + length, " ");
        char *value = strchr(part, '=');
        if (value) {
            *value = '\0';
            OCT_TRY(octet_preprocess_set(&made, part, value + 1, diagnostic));
        } else if (length > 0 && !octet_preprocess_preset(part, &made)) {
            return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                            "there is no preprocessing '%s'; there are imagenet, caffe, unit, raw",
                            part);
        }
    }
    *preprocess = made;
    return OCTET_OK;
}
