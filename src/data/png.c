#include "data/rows.h"

#include "base/diag.h"
#include "base/mem.h"

#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <string.h>

enum { CHUNK_BYTES_MAX = 64 << 20 };

typedef struct Decoder {
    const uint8_t *data;
    size_t left;
    jmp_buf escape;
    char message[128];
} Decoder;

static void on_error(png_structp png, png_const_charp message) {
    Decoder *decoder = png_get_error_ptr(png);
    snprintf(decoder->message, sizeof decoder->message, "%s", message);
    longjmp(decoder->escape, 1);
}

static void on_warning(png_structp png, png_const_charp message) {
    (void)png;
    (void)message;
}

static void on_read(png_structp png, png_bytep buffer, png_size_t bytes) {
    Decoder *decoder = png_get_io_ptr(png);
    if (bytes > decoder->left) {
        png_error(png, "the file is cut off");
    }
    memcpy(buffer, decoder->data, bytes);
    decoder->data += bytes;
    decoder->left -= bytes;
}

/* What decoding owns. */
typedef struct Buffers {
    OctRows rows;
    uint8_t *whole; /* of interlaced files, which come in passes over the image */
} Buffers;

/* Reads rows one by one, or, where they come in passes, all of them before any is used. */
static OctetStatus read_rows(png_structp png, int passes, size_t height, size_t stride,
                             Buffers *buffers, OctetDiagnostic *diagnostic) {
    if (passes > 1) {
        buffers->whole = oct_calloc(height, stride);
        if (!buffers->whole) {
            return oct_fail_memory(diagnostic);
        }
    }
    for (int pass = 0; pass < passes; pass++) {
        for (size_t y = 0; y < height; y++) {
            uint8_t *row = passes > 1 ? buffers->whole + y * stride : buffers->rows.row;
            png_read_row(png, row, NULL);
            if (pass == passes - 1) {
                if (passes > 1) {
                    memcpy(buffers->rows.row, row, stride);
                }
                oct_rows_push(&buffers->rows);
            }
        }
    }
    return OCTET_OK;
}

/* To 8 bits, gray or RGB, without alpha: palettes looked up, 1 to 4 bits spread over the range, the
 * high byte of 16 bits taken. No gamma correction, as Pillow has none. */
static OctetStatus read_pixels(png_structp png, png_infop info, const OctRowPlanner *planner,
                               OctImage *image, Buffers *buffers, OctetDiagnostic *diagnostic) {
    png_read_info(png, info);
    int type = png_get_color_type(png, info);
    png_set_strip_16(png);
    if (type == PNG_COLOR_TYPE_PALETTE) {
        png_set_palette_to_rgb(png);
    }
    if (type == PNG_COLOR_TYPE_GRAY && png_get_bit_depth(png, info) < 8) {
        png_set_expand_gray_1_2_4_to_8(png);
    }
    png_set_strip_alpha(png);
    int passes = png_set_interlace_handling(png);
    png_read_update_info(png, info);
    size_t width = png_get_image_width(png, info);
    size_t height = png_get_image_height(png, info);
    int32_t channels = (type & PNG_COLOR_MASK_COLOR) ? 3 : 1;
    OCT_TRY(oct_rows_open(planner, (int64_t)width, (int64_t)height, channels, image, &buffers->rows,
                          diagnostic));
    size_t stride = width * (size_t)channels;
    if (png_get_rowbytes(png, info) != stride) {
        return oct_fail(diagnostic, OCTET_ERROR_UNSUPPORTED, "an unknown kind of PNG");
    }
    return read_rows(png, passes, height, stride, buffers, diagnostic);
}

static OctetStatus decode(Decoder *decoder, png_structp png, png_infop info,
                          const OctRowPlanner *planner, OctImage *image, Buffers *buffers,
                          OctetDiagnostic *diagnostic) {
    if (setjmp(decoder->escape) != 0) {
        return oct_fail(diagnostic, OCTET_ERROR_FORMAT, "the PNG can't be decoded: %s",
                        decoder->message);
    }
    png_set_read_fn(png, decoder, on_read);
    png_set_user_limits(png, OCTET_MAX_PIXELS, OCTET_MAX_PIXELS);
    png_set_chunk_malloc_max(png, CHUNK_BYTES_MAX);
    return read_pixels(png, info, planner, image, buffers, diagnostic);
}

OctetStatus oct_png_decode(const uint8_t *data, size_t bytes, const OctRowPlanner *planner,
                           OctImage *image, OctetDiagnostic *diagnostic) {
    *image = (OctImage){0};
    Decoder decoder = {.data = data, .left = bytes};
    Buffers buffers = {0};
    png_infop info = NULL;
    png_structp png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &decoder, on_error, on_warning);
    if (png) {
        info = png_create_info_struct(png);
    }
    OctetStatus status = info ? decode(&decoder, png, info, planner, image, &buffers, diagnostic)
                              : oct_fail_memory(diagnostic);
    png_destroy_read_struct(&png, &info, NULL);
    oct_rows_close(&buffers.rows);
    oct_free(buffers.whole);
    if (status != OCTET_OK) {
        oct_image_free(image);
    }
    return status;
}
