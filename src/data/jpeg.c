#include "data/rows.h"

#include "base/diag.h"

#include <setjmp.h>
#include <stdio.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

/* A progressive file can make the decoder go over the image once a scan; real ones have about ten.
 */
enum { SCANS_MAX = 200 };

typedef struct Decoder {
    struct jpeg_error_mgr errors; /* first: libjpeg passes a pointer to it */
    struct jpeg_progress_mgr progress;
    jmp_buf escape;
    char message[JMSG_LENGTH_MAX];
} Decoder;

static void on_error(j_common_ptr common) {
    Decoder *decoder = (Decoder *)(void *)common->err;
    (*common->err->format_message)(common, decoder->message);
    longjmp(decoder->escape, 1);
}

/* libjpeg fills a cut-off image with gray and goes on; half an image is no sample. */
static void on_message(j_common_ptr common, int level) {
    if (level == -1 && common->err->msg_code == JWRN_JPEG_EOF) {
        Decoder *decoder = (Decoder *)(void *)common->err;
        snprintf(decoder->message, sizeof decoder->message, "the file is cut off");
        longjmp(decoder->escape, 1);
    }
}

static void on_progress(j_common_ptr common) {
    if (((j_decompress_ptr)common)->input_scan_number > SCANS_MAX) {
        Decoder *decoder = (Decoder *)(void *)common->err;
        snprintf(decoder->message, sizeof decoder->message, "the file has too many scans");
        longjmp(decoder->escape, 1);
    }
}

/* x * y / 255, rounded, as Pillow multiplies. */
static uint8_t multiply(uint32_t x, uint32_t y) {
    uint32_t product = x * y + 128;
    return (uint8_t)(((product >> 8) + product) >> 8);
}

/* One row of CMYK to RGB. Adobe's files hold ink inverted. */
static void convert_cmyk(const uint8_t *from, uint8_t *to, int32_t width, bool inverted) {
    for (int32_t x = 0; x < width; x++, from += 4, to += 3) {
        uint8_t black = inverted ? (uint8_t)(255 - from[3]) : from[3];
        uint32_t light = 255u - black;
        for (int c = 0; c < 3; c++) {
            uint8_t ink = inverted ? (uint8_t)(255 - from[c]) : from[c];
            to[c] = (uint8_t)(light - multiply(ink, light));
        }
    }
}

/* Everything that can jump; `rows`, `ink` and `image` are the caller's, so that nothing leaks. */
static OctetStatus decode(struct jpeg_decompress_struct *info, const uint8_t *data, size_t bytes,
                          const OctRowPlanner *planner, OctImage *image, OctRows *rows,
                          OctImage *ink, OctetDiagnostic *diagnostic) {
    jpeg_mem_src(info, data, (unsigned long)bytes);
    jpeg_read_header(info, TRUE);
    bool gray = info->jpeg_color_space == JCS_GRAYSCALE;
    bool cmyk = info->jpeg_color_space == JCS_CMYK || info->jpeg_color_space == JCS_YCCK;
    if (gray) {
        info->out_color_space = JCS_GRAYSCALE;
    } else {
        info->out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    }
    OCT_TRY(oct_rows_open(planner, info->image_width, info->image_height, gray ? 1 : 3, image, rows,
                          diagnostic));
    if (cmyk) {
        OCT_TRY(oct_image_create(info->image_width, 1, 4, ink, diagnostic));
    }
    jpeg_start_decompress(info);
    while (info->output_scanline < info->output_height) {
        JSAMPROW into = cmyk ? ink->pixels : rows->row;
        if (jpeg_read_scanlines(info, &into, 1) != 1) {
            break;
        }
        if (cmyk) {
            convert_cmyk(ink->pixels, rows->row, rows->width, info->saw_Adobe_marker);
        }
        oct_rows_push(rows);
    }
    jpeg_finish_decompress(info);
    return OCTET_OK;
}

OctetStatus oct_jpeg_decode(const uint8_t *data, size_t bytes, const OctRowPlanner *planner,
                            OctImage *image, OctetDiagnostic *diagnostic) {
    struct jpeg_decompress_struct info;
    Decoder decoder;
    OctRows rows = {0};
    OctImage ink = {0};
    memset(&info, 0, sizeof info);
    memset(&decoder, 0, sizeof decoder);
    *image = (OctImage){0};
    info.err = jpeg_std_error(&decoder.errors);
    decoder.errors.error_exit = on_error;
    decoder.errors.emit_message = on_message;
    decoder.progress.progress_monitor = on_progress;
    OctetStatus status;
    if (setjmp(decoder.escape) == 0) {
        jpeg_create_decompress(&info);
        info.progress = &decoder.progress;
        status = decode(&info, data, bytes, planner, image, &rows, &ink, diagnostic);
    } else {
        status = oct_fail(diagnostic, OCTET_ERROR_FORMAT, "the JPEG can't be decoded: %s",
                          decoder.message);
    }
    jpeg_destroy_decompress(&info);
    oct_rows_close(&rows);
    oct_image_free(&ink);
    if (status != OCTET_OK) {
        oct_image_free(image);
    }
    return status;
}
