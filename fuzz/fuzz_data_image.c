/* Any bytes as a JPEG or a PNG: resampled and cut while they are decoded, then decoded as they are.
 * Images of many pixels are refused when their header is read: libjpeg fills in what a file of a
 * few bytes lacks, which takes seconds an input and finds nothing that small ones don't. */
#include "data/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_PIXELS = 1 << 14 };

static OctetStatus plan(void *user, int32_t width, int32_t height, OctRowPlan *rows,
                        OctetDiagnostic *diagnostic) {
    (void)diagnostic;
    bool *small = user;
    *small = (int64_t)width * height <= MOST_PIXELS;
    if (!*small) {
        return OCTET_ERROR_LIMIT;
    }
    int32_t length = 1 + (width * 5 + height) % 97;
    *rows = (OctRowPlan){.channels = width % 2 ? 1 : 3,
                         .length = length,
                         .first = length / 3,
                         .count = length - length / 3};
    return OCTET_OK;
}

static void decode(const uint8_t *data, size_t size, const OctRowPlanner *planner) {
    OctImage image;
    if (oct_image_decode(data, size, planner, &image, NULL) == OCTET_OK) {
        if (oct_image_resize(&image, 13, 7, NULL) != OCTET_OK ||
            oct_image_center_crop(&image, 9, 9, NULL) != OCTET_OK) {
            __builtin_trap(); /* what was decoded has a size that can be resized */
        }
    } else if (image.pixels) {
        __builtin_trap();
    }
    oct_image_free(&image);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    bool small = false;
    const OctRowPlanner planner = {.plan = plan, .user = &small};
    decode(data, size, &planner);
    if (small) {
        decode(data, size, NULL);
    }
    return 0;
}
