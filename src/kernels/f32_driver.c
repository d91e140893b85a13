#include "kernels/f32_driver.h"
#include "base/cpu.h"
#include "base/patience.h"
#include "base/threads.h"
#include "kernels/f32_blocks.h"

#include <math.h>
#include <string.h>

enum {
    MAX_TAPS = OCT_F32_BLOCK_TAPS, /* pointers of so many taps are held at once, on the stack */
    TASKS_PER_THREAD = 4,          /* enough for an even finish */
    L1_WAY = 4096, /* bytes that map to all sets of L1 once, on every CPU in question */
    L1_WAYS = 8,
    COPY_STRIDE = OCT_F32_BLOCK + 16,
    MACS_PER_NS = 16 /* about */
};

typedef struct Split {
    const OctF32Job *job;
    size_t mr, nr;
    size_t pixels, tiles, panels;
    size_t tiles_per_task, panels_per_task;
    size_t tile_tasks, panel_tasks;
    OctF32Cut cut;
    size_t dense[OCT_F32_MAX_ROWS]; /* offsets of rows of nr columns */
    bool copy;                      /* the rows of a tile would evict one another from L1 */
} Split;

static size_t divide_up(size_t a, size_t b) {
    return (a + b - 1) / b;
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Rows at a distance that is a multiple of a large power of two share few of L1's sets. */
static bool rows_collide(const Split *split) {
    const OctF32Window *window = &split->job->window;
    size_t distance = window->input_pixel * sizeof(float);
    distance *= window->linear ? 1 : (size_t)window->axis[2].stride;
    size_t sets = L1_WAY;
    while (sets > 1 && distance % sets) {
        sets /= 2;
    }
    size_t different = L1_WAY / sets;
    return window->channels >= 64 && split->mr > different * (L1_WAYS - 1);
}

/* A task walks its tiles with all of its panels, so the panels should stay in most of L2. */
static void plan_split(Split *split, size_t threads) {
    const OctF32Job *job = split->job;
    split->pixels = oct_f32_window_pixels(&job->window);
    split->tiles = divide_up(split->pixels, split->mr);
    size_t k = oct_f32_window_taps(&job->window) * job->window.channels;
    split->panels = divide_up(job->columns, split->nr);
    size_t fitting =
        oct_cpu_l2_bytes() / 4 * 3 / (oct_f32_gemm_panel_floats(job->gemm, k) * sizeof(float));
    split->panels_per_task = smaller(split->panels, fitting ? fitting : 1);
    split->tiles_per_task = split->tiles;
    if (threads > 1) {
        size_t wanted = threads * TASKS_PER_THREAD;
        size_t outer = job->batch * job->groups * divide_up(split->panels, split->panels_per_task);
        size_t cuts = divide_up(wanted, outer);
        split->tiles_per_task = divide_up(split->tiles, smaller(cuts, split->tiles));
        outer *= divide_up(split->tiles, split->tiles_per_task);
        cuts = divide_up(wanted, outer);
        size_t cut_panels = divide_up(split->panels_per_task, cuts);
        split->panels_per_task = smaller(split->panels_per_task, cut_panels);
    }
    split->copy = rows_collide(split);
    split->cut = oct_f32_cut(oct_f32_window_taps(&job->window), (size_t)job->window.axis[2].taps,
                             job->window.channels);
    for (size_t row = 0; row < OCT_F32_MAX_ROWS; row++) {
        split->dense[row] = row * split->nr;
    }
    split->tile_tasks = divide_up(split->tiles, split->tiles_per_task);
    split->panel_tasks = divide_up(split->panels, split->panels_per_task);
}

/* Where a tile's rows are, and what they read. */
typedef struct Source {
    const OctF32WindowTile *window_tile;
    const float *input;
    const float **rows; /* [MAX_TAPS][mr]: of all taps if `fits`, else filled block by block */
    bool fits;
} Source;

/* All blocks of a panel of a tile; between them the sums are in a buffer of their own, since the
 * residual may lie where the output goes. */
static void run_panel(const Split *split, const Source *source, const OctF32Tile *whole) {
    const OctF32Job *job = split->job;
    bool joined = source->window_tile->joined;
    float sums[OCT_F32_MAX_ROWS * OCT_F32_MAX_COLUMNS];
    OctF32Tile tile = *whole;
    tile.before = tile.output = sums;
    tile.offsets = tile.before_offsets = split->dense;
    tile.residual = NULL;
    tile.minimum = -INFINITY;
    tile.maximum = INFINITY;
    OctF32Block block = oct_f32_first_block(&split->cut, joined);
    for (;; oct_f32_next_block(&split->cut, joined, &block)) {
        if (!source->fits) {
            oct_f32_window_rows(&job->window, source->window_tile, source->input, job->zero,
                                split->mr, block.first_tap, block.taps, source->rows);
        }
        tile.rows = source->rows + (source->fits ? block.first_tap * split->mr : 0);
        tile.taps = block.taps;
        tile.skip = block.skip;
        tile.depth = block.depth;
        tile.weights = whole->weights + block.k * split->nr;
        if (block.last) {
            tile.output = whole->output;
            tile.offsets = whole->offsets;
            tile.residual = whole->residual;
            tile.minimum = whole->minimum;
            tile.maximum = whole->maximum;
        }
        job->gemm->kernel(&tile);
        tile.bias = NULL;
        if (block.last) {
            return;
        }
    }
}

/* Where panel `panel` of a group begins, and what a tile takes from it. */
static void set_panel(const Split *split, const OctF32Tile *whole, const float *packed,
                      size_t panel, OctF32Tile *tile) {
    const OctF32Job *job = split->job;
    size_t k = oct_f32_window_taps(&job->window) * job->window.channels;
    tile->bias = packed + panel * oct_f32_gemm_panel_floats(job->gemm, k);
    tile->weights = tile->bias + split->nr;
    tile->output = whole->output + panel * split->nr;
    tile->residual = whole->residual ? whole->residual + panel * split->nr : NULL;
    tile->column_count = smaller(split->nr, job->columns - panel * split->nr);
}

/* A block of each row of a tile, as one tap. */
static void copy_rows(const Split *split, const OctF32Block *block, const float *const *rows,
                      size_t row_count, float *copy) {
    for (size_t row = 0; row < row_count; row++) {
        float *to = copy + row * COPY_STRIDE;
        for (size_t tap = 0; tap < block->taps; tap++, to += block->depth) {
            const float *from = rows[(block->first_tap + tap) * split->mr + row] + block->skip;
            memcpy(to, from, block->depth * sizeof(float));
        }
    }
}

/* The panels of a tile with its rows copied block by block to where they don't collide; between
 * the blocks the sums stay in the output. */
static void run_copied(const Split *split, const OctF32Tile *whole, const float *packed,
                       bool joined, size_t first_panel, size_t end_panel, size_t *stint) {
    float copy[OCT_F32_MAX_ROWS * COPY_STRIDE];
    const float *rows[OCT_F32_MAX_ROWS];
    for (size_t row = 0; row < whole->row_count; row++) {
        rows[row] = copy + row * COPY_STRIDE;
    }
    OctF32Tile tile = *whole;
    tile.rows = rows;
    tile.taps = 1;
    tile.before_offsets = whole->offsets;
    size_t columns = (end_panel - first_panel) * split->nr;
    OctF32Block block = oct_f32_first_block(&split->cut, joined);
    for (;; oct_f32_next_block(&split->cut, joined, &block)) {
        if (oct_is_over_after(stint, split->mr * columns * OCT_F32_BLOCK / MACS_PER_NS)) {
            return;
        }
        tile.depth = block.taps * block.depth;
        tile.minimum = block.last ? whole->minimum : -INFINITY;
        tile.maximum = block.last ? whole->maximum : INFINITY;
        copy_rows(split, &block, whole->rows, whole->row_count, copy);
        for (size_t panel = first_panel; panel < end_panel; panel++) {
            set_panel(split, whole, packed, panel, &tile);
            tile.weights += block.k * split->nr;
            tile.bias = block.k ? NULL : tile.bias;
            tile.before = tile.output;
            tile.residual = block.last ? tile.residual : NULL;
            split->job->gemm->kernel(&tile);
        }
        if (block.last) {
            return;
        }
    }
}

static void run_gemm_tiles(const Split *split, size_t group, const float *input, float *output,
                           const float *residual, size_t first_tile, size_t end_tile,
                           size_t first_panel, size_t end_panel) {
    const OctF32Job *job = split->job;
    const OctF32Window *window = &job->window;
    const float *packed = job->packed + group * job->group_floats;
    const float *rows[MAX_TAPS * OCT_F32_MAX_ROWS];
    size_t offsets[OCT_F32_MAX_ROWS];
    OctF32WindowTile window_tile;
    OctF32Tile whole = {.rows = rows,
                        .output = output,
                        .residual = residual,
                        .offsets = offsets,
                        .minimum = job->minimum,
                        .maximum = job->maximum};
    size_t stint = 0;
    for (size_t i = first_tile; i < end_tile; i++) {
        size_t first = i * split->mr;
        whole.row_count = smaller(split->mr, split->pixels - first);
        oct_f32_window_tile(window, first, whole.row_count, true, &window_tile, offsets);
        whole.taps = window_tile.taps;
        whole.depth = window->channels * (window_tile.joined ? (size_t)window->axis[2].taps : 1);
        const Source source = {&window_tile, input, rows, whole.taps <= MAX_TAPS};
        if (source.fits) {
            oct_f32_window_rows(window, &window_tile, input, job->zero, split->mr, 0, whole.taps,
                                rows);
        }
        /* unfinished sums must not overwrite a residual that is still to be read */
        if (source.fits && split->copy && whole.row_count >= L1_WAYS &&
            (!residual || split->cut.whole)) {
            run_copied(split, &whole, packed, window_tile.joined, first_panel, end_panel, &stint);
            continue;
        }
        OctF32Tile tile = whole;
        for (size_t panel = first_panel; panel < end_panel; panel++) {
            if (oct_is_over_after(&stint,
                                  split->mr * split->nr * whole.taps * whole.depth / MACS_PER_NS)) {
                return;
            }
            set_panel(split, &whole, packed, panel, &tile);
            if (source.fits && split->cut.whole) {
                job->gemm->kernel(&tile);
            } else {
                run_panel(split, &source, &tile);
            }
        }
    }
}

static void run_task(void *user, size_t index) {
    const Split *split = user;
    const OctF32Job *job = split->job;
    size_t tile_task = index % split->tile_tasks;
    index /= split->tile_tasks;
    size_t image = index % job->batch;
    index /= job->batch;
    size_t panel_task = index % split->panel_tasks;
    size_t group = index / split->panel_tasks;
    size_t first_tile = tile_task * split->tiles_per_task;
    size_t end_tile = smaller(first_tile + split->tiles_per_task, split->tiles);
    const float *input = job->input + image * job->input_image + group * job->window.channels;
    size_t output_at = image * job->output_image + group * job->columns;
    const float *residual = job->residual ? job->residual + output_at : NULL;
    size_t first_panel = panel_task * split->panels_per_task;
    size_t end_panel = smaller(first_panel + split->panels_per_task, split->panels);
    run_gemm_tiles(split, group, input, job->output + output_at, residual, first_tile, end_tile,
                   first_panel, end_panel);
}

void oct_f32_job_run(const OctF32Job *job, OctetThreadPool *pool) {
    Split split = {
        .job = job, .mr = job->depthwise ? job->depthwise->mr : job->gemm->mr, .nr = job->gemm->nr};
    if (oct_f32_window_pixels(&job->window) == 0 || job->columns == 0 || job->batch == 0) {
        return;
    }
    plan_split(&split, oct_pool_size(pool));
    oct_parallel_for(pool, run_task, &split,
                     split.tile_tasks * split.panel_tasks * job->batch * job->groups);
}
