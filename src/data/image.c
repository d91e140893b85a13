#include "data/image.h"
#include "data/rows.h"

#include "base/diag.h"
#include "base/file.h"
#include "base/mem.h"

#include <string.h>

/* JPEG's own limit; a longer side would also need a filter of many megabytes. */
enum { SIDE_MAX = 65535 };

OctetStatus oct_image_check_size(int64_t width, int64_t height, OctetDiagnostic *diagnostic) {
    if (width < 1 || height < 1 || width > SIDE_MAX || height > SIDE_MAX ||
        width * height > OCTET_MAX_PIXELS) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT,
                        "an image of %lld x %lld pixels; up to %d megapixels are accepted, and "
                        "%d pixels a side",
                        (long long)width, (long long)height, OCTET_MAX_PIXELS / 1000000, SIDE_MAX);
    }
    return OCTET_OK;
}

OctetStatus oct_image_create(int64_t width, int64_t height, int32_t channels, OctImage *image,
                             OctetDiagnostic *diagnostic) {
    *image = (OctImage){0};
    OCT_TRY(oct_image_check_size(width, height, diagnostic));
    uint8_t *pixels = oct_calloc((size_t)(width * height), (size_t)channels);
    if (!pixels) {
        return oct_fail_memory(diagnostic);
    }
    *image = (OctImage){(int32_t)width, (int32_t)height, channels, pixels};
    return OCTET_OK;
}

void oct_image_free(OctImage *image) {
    oct_free(image->pixels);
    *image = (OctImage){0};
}

bool oct_is_jpeg(const uint8_t *data, size_t bytes) {
    return bytes >= 3 && data[0] == 0xff && data[1] == 0xd8 && data[2] == 0xff;
}

bool oct_is_png(const uint8_t *data, size_t bytes) {
    return bytes >= 8 && memcmp(data, "\x89PNG\r\n\x1a\n", 8) == 0;
}

OctetStatus oct_image_probe(const char *path, bool *image, OctetDiagnostic *diagnostic) {
    OctFile *file;
    uint8_t head[8];
    *image = false;
    OCT_TRY(oct_file_open(path, &file, diagnostic));
    OctetStatus status = OCTET_OK;
    if (oct_file_size(file) >= sizeof head) {
        status = oct_file_read_at(file, 0, head, sizeof head, diagnostic);
        *image =
            status == OCTET_OK && (oct_is_jpeg(head, sizeof head) || oct_is_png(head, sizeof head));
    }
    oct_file_close(file);
    return status;
}

bool octet_is_image(const char *path) {
    bool image;
    return oct_image_probe(path, &image, NULL) == OCTET_OK && image;
}

OctetStatus oct_image_decode(const uint8_t *data, size_t bytes, const OctRowPlanner *planner,
                             OctImage *image, OctetDiagnostic *diagnostic) {
    *image = (OctImage){0};
    if (oct_is_jpeg(data, bytes)) {
        return oct_jpeg_decode(data, bytes, planner, image, diagnostic);
    }
    if (oct_is_png(data, bytes)) {
        return oct_png_decode(data, bytes, planner, image, diagnostic);
    }
    return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "this is neither a JPEG nor a PNG");
}
