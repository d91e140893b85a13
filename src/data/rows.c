#include "data/rows.h"

#include "base/diag.h"
#include "base/mem.h"

#include <string.h>

/* Gray or RGB, as Pillow's convert("L") and convert("RGB"). */
static void convert(const uint8_t *from, uint8_t *to, int32_t width, int32_t channels) {
    for (int32_t x = 0; x < width; x++) {
        if (channels == 1) {
            /* ITU-R 601-2 in 16-bit fixed point */
            uint32_t luma = from[0] * 19595u + from[1] * 38470u + from[2] * 7471u + 0x8000u;
            *to++ = (uint8_t)(luma >> 16);
            from += 3;
        } else {
            to[0] = to[1] = to[2] = *from++;
            to += 3;
        }
    }
}

OctetStatus oct_rows_open(const OctRowPlanner *planner, int64_t width, int64_t height,
                          int32_t channels, OctImage *image, OctRows *rows,
                          OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_image_check_size(width, height, diagnostic));
    int32_t own = (int32_t)width;
    OctRowPlan plan = {.channels = channels, .length = own, .first = 0, .count = own};
    if (planner) {
        OCT_TRY(planner->plan(planner->user, own, (int32_t)height, &plan, diagnostic));
    }
    *rows = (OctRows){.image = image, .width = own, .channels = channels};
    OCT_TRY(oct_image_create(plan.count, height, plan.channels, image, diagnostic));
    if (plan.length != own || plan.count != own) {
        OCT_TRY(
            oct_filter_create(own, plan.length, plan.first, plan.count, &rows->filter, diagnostic));
    }
    rows->row = oct_calloc((size_t)own, (size_t)channels);
    if (plan.channels != channels) {
        rows->converted = oct_calloc((size_t)own, (size_t)plan.channels);
    }
    if (!rows->row || (plan.channels != channels && !rows->converted)) {
        return oct_fail_memory(diagnostic);
    }
    return OCTET_OK;
}

void oct_rows_push(OctRows *rows) {
    OctImage *image = rows->image;
    size_t stride = (size_t)image->width * (size_t)image->channels;
    uint8_t *to = image->pixels + rows->pushed++ * stride;
    const uint8_t *row = rows->row;
    if (rows->converted) {
        convert(row, rows->converted, rows->width, image->channels);
        row = rows->converted;
    }
    if (rows->filter.length > 0) {
        oct_filter_row(&rows->filter, image->channels, row, to);
    } else {
        memcpy(to, row, stride);
    }
}

void oct_rows_close(OctRows *rows) {
    oct_filter_free(&rows->filter);
    oct_free(rows->row);
    oct_free(rows->converted);
    *rows = (OctRows){0};
}
