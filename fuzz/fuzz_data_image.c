/* Any bytes as a JPEG or a PNG: decoded as they are, and resampled and cut while they are. */
#include "data/rows.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static OctetStatus plan(void *user, int32_t width, int32_t height, OctRowPlan *rows,
                        OctetDiagnostic *diagnostic) {
    (void)user;
    (void)diagnostic;
    int32_t length = 1 + (width * 5 + height) % 97;
    *rows = (OctRowPlan){.channels = width % 2 ? 1 : 3,
                         .length = length,
                         .first = length / 3,
                         .count = length - length / 3};
    return OCTET_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    const OctRowPlanner planner = {.plan = plan};
    const OctRowPlanner *planners[] = {NULL, &planner};
    for (int i = 0; i < 2; i++) {
        OctImage image;
        if (oct_image_decode(data, size, planners[i], &image, NULL) == OCTET_OK) {
            if (oct_image_resize(&image, 13, 7, NULL) != OCTET_OK ||
                oct_image_center_crop(&image, 9, 9, NULL) != OCTET_OK) {
                __builtin_trap(); /* what was decoded has a size that can be resized */
            }
        } else if (image.pixels) {
            __builtin_trap();
        }
        oct_image_free(&image);
    }
    return 0;
}
