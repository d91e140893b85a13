#include "ops/tile_u8.h"

#include <string.h>

enum {
    TILE = 4096,        /* bytes that the row is written out to */
    LONGEST = TILE / 4, /* a longer row gains nothing */
    TASK = 32 * 1024    /* bytes of output that a thread takes at a time */
};

typedef struct Tiles {
    const OctBroadcast *plan;
    OctTileFunction function;
    const void *context;
    const uint8_t *operands[2];
    uint8_t *y;
    int32_t repeated;                       /* which operand repeats */
    size_t rows, row, rows_per_task, tasks; /* of one block of rows */
} Tiles;

static int32_t repeated_operand(const OctBroadcast *plan) {
    int32_t last = plan->rank - 1;
    for (int32_t k = 0; k < 2; k++) {
        if (plan->strides[k][last - 1] == 0 && plan->strides[1 - k][last - 1] == plan->dims[last]) {
            return k;
        }
    }
    return -1;
}

bool oct_tile_possible(const OctBroadcast *plan) {
    int32_t last = plan->rank - 1;
    return plan->operands == 2 && last >= 1 && plan->count > 0 && plan->dims[last] <= LONGEST &&
           plan->dims[last - 1] > 1 && plan->strides[0][last] == 1 && plan->strides[1][last] == 1 &&
           repeated_operand(plan) >= 0;
}

static void run_task(void *user, size_t index) {
    const Tiles *tiles = user;
    const OctBroadcast *plan = tiles->plan;
    size_t block = index / tiles->tasks, first = index % tiles->tasks * tiles->rows_per_task;
    size_t left = tiles->rows - first;
    size_t rows = left < tiles->rows_per_task ? left : tiles->rows_per_task;
    const uint8_t *from[2] = {tiles->operands[0], tiles->operands[1]};
    size_t rest = block;
    for (int32_t i = plan->rank - 3; i >= 0; i--) {
        size_t at = rest % (size_t)plan->dims[i];
        rest /= (size_t)plan->dims[i];
        from[0] += at * (size_t)plan->strides[0][i];
        from[1] += at * (size_t)plan->strides[1][i];
    }
    uint8_t tile[TILE];
    size_t most = TILE / tiles->row;
    most = most < rows ? most : rows;
    for (size_t r = 0; r < most; r++) {
        memcpy(tile + r * tiles->row, from[tiles->repeated], tiles->row);
    }
    const uint8_t *other = from[1 - tiles->repeated] + first * tiles->row;
    uint8_t *y = tiles->y + (block * tiles->rows + first) * tiles->row;
    for (size_t r = 0; r < rows; r += most) {
        size_t count = (rows - r < most ? rows - r : most) * tiles->row;
        const uint8_t *next = other + r * tiles->row;
        tiles->function(tiles->context, tiles->repeated == 0 ? tile : next,
                        tiles->repeated == 0 ? next : tile, y + r * tiles->row, count);
    }
}

void oct_tile_run(const OctBroadcast *plan, OctTileFunction function, const void *context,
                  const uint8_t *a, const uint8_t *b, uint8_t *y, OctetThreadPool *pool) {
    size_t row = (size_t)plan->dims[plan->rank - 1], rows = (size_t)plan->dims[plan->rank - 2];
    Tiles tiles = {.plan = plan,
                   .function = function,
                   .context = context,
                   .operands = {a, b},
                   .y = y,
                   .repeated = repeated_operand(plan),
                   .rows = rows,
                   .row = row,
                   .rows_per_task = (TASK + row - 1) / row};
    tiles.tasks = (rows + tiles.rows_per_task - 1) / tiles.rows_per_task;
    oct_parallel_for(pool, run_task, &tiles, (size_t)plan->count / (rows * row) * tiles.tasks);
}
