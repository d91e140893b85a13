/* What becomes of an image's rows while it is decoded: channels are converted and the row is
 * resampled at once, so that memory does not grow with the size of the images in a folder. */
#ifndef OCT_DATA_ROWS_H
#define OCT_DATA_ROWS_H

#include "data/filter.h"
#include "data/image.h"

typedef struct OctRowPlan {
    int32_t channels; /* 1 or 3 */
    int32_t length;   /* what the width becomes */
    int32_t first;    /* the pixels [first, first + count) of it are kept */
    int32_t count;
} OctRowPlan;

/* Makes the plan when the header has told the size. */
typedef struct OctRowPlanner {
    OctetStatus (*plan)(void *user, int32_t width, int32_t height, OctRowPlan *plan,
                        OctetDiagnostic *diagnostic);
    void *user;
} OctRowPlanner;

/* Where a decoder puts its rows. Zero-initialize it; oct_rows_close in any case. */
typedef struct OctRows {
    OctImage *image; /* what is made */
    OctFilter filter;
    int32_t width;    /* of the rows that come in */
    int32_t channels; /* of them */
    size_t pushed;
    uint8_t *row;       /* takes the next row: width * channels bytes */
    uint8_t *converted; /* the row with the wanted channels; NULL: they are as wanted */
} OctRows;

/* planner NULL: rows stay as they are. */
OctetStatus oct_rows_open(const OctRowPlanner *planner, int64_t width, int64_t height,
                          int32_t channels, OctImage *image, OctRows *rows,
                          OctetDiagnostic *diagnostic);
/* Takes what is in rows->row as the next row. */
void oct_rows_push(OctRows *rows);
void oct_rows_close(OctRows *rows);

#endif
