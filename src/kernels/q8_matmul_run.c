/* A matrix product of two activations: B is packed at run time. */
#include "base/mem.h"
#include "base/threads.h"
#include "kernels/q8_conv.h"
#include "kernels/q8_conv_run.h"
#include "kernels/q8_vector.h"

enum { UNIT_ROWS = 144, ROWS_TO_SUM = 16 };

/* The workspace: packed B, multipliers[n], row_bias[m]; each part aligned to 64. */
typedef struct Parts {
    size_t packed, multipliers, row_bias, total;
} Parts;

static bool lay_out(const OctQ8ConvBundle *bundle, size_t m, size_t n, size_t k, Parts *parts) {
    size_t packed = bundle->packed_bytes(n, 1, k);
    if (packed == 0 || m > SIZE_MAX / 16 || n > SIZE_MAX / 16 || k > 33025) {
        return false;
    }
    *parts = (Parts){.packed = 0, .multipliers = (packed + 63) / 64 * 64};
    size_t n_bytes = (4 * n + 63) / 64 * 64, m_bytes = (4 * m + 63) / 64 * 64;
    return oct_add_size(parts->multipliers, n_bytes, &parts->row_bias) &&
           oct_add_size(parts->row_bias, m_bytes, &parts->total);
}

size_t oct_q8_matmul_workspace(OctetCpu cpu, size_t m, size_t n, size_t k) {
    Parts parts;
    return m && n && k && lay_out(oct_q8_conv_select(cpu), m, n, k, &parts) ? parts.total : 0;
}

typedef struct Run {
    const OctQ8Matmul *matmul;
    const OctQ8ConvBundle *bundle;
    const OctQ8VectorOps *ops;
    uint8_t *packed;
    float *multipliers;
    int32_t *row_bias;
    size_t splits, channels_per_split;
} Run;

static void pack_panel(void *user, size_t index) {
    const Run *run = user;
    const OctQ8Matmul *matmul = run->matmul;
    size_t nr = run->bundle->nr, first = index * nr;
    OctQ8PackSource source = {
        .weights = (const int8_t *)matmul->b + first * matmul->b_stride_n,
        .channel_stride = matmul->b_stride_n,
        .tap_stride = 0,
        .k_stride = matmul->b_stride_k,
        .flip = 0x80,
        .channels = matmul->n - first < nr ? matmul->n - first : nr,
        .taps = 1,
        .k = matmul->k,
        .multipliers = run->multipliers + first,
        .input_zero_point = matmul->a_zero_point,
    };
    run->bundle->pack(&source, run->packed + index * run->bundle->packed_bytes(nr, 1, matmul->k));
}

/* B is stored minus 128, so its zero point zb is b_zero_point - 128, and
 * sum((a - za)(b - zb)) = sum(ab) - za sum(b) [the packing's part] - zb (sum(a) - k za). */
static void sum_rows(void *user, size_t index) {
    const Run *run = user;
    const OctQ8Matmul *matmul = run->matmul;
    int32_t zero = matmul->b_zero_point - 128;
    size_t first = index * ROWS_TO_SUM;
    for (size_t i = first; i < matmul->m && i < first + ROWS_TO_SUM; i++) {
        int32_t sum = run->ops->sum(matmul->a + i * matmul->a_stride, matmul->k);
        run->row_bias[i] = -zero * (sum - (int32_t)matmul->k * matmul->a_zero_point);
    }
}

static void run_unit(void *user, size_t index) {
    const Run *run = user;
    const OctQ8Matmul *matmul = run->matmul;
    size_t first = index / run->splits * UNIT_ROWS;
    size_t channel = index % run->splits * run->channels_per_split;
    size_t element = matmul->epilogue.kind == OCT_Q8_OUT_U8 ? 1 : 4;
    OctQ8ConvArgs args = {
        .pixels = matmul->m - first < UNIT_ROWS ? matmul->m - first : UNIT_ROWS,
        .taps = 1,
        .k = matmul->k,
        .input = matmul->a + first * matmul->a_stride,
        .input_stride = matmul->a_stride,
        .packed = run->packed,
        .first_channel = channel,
        .channels = matmul->n - channel < run->channels_per_split ? matmul->n - channel
                                                                  : run->channels_per_split,
        .output = (uint8_t *)matmul->output + (first * matmul->output_stride + channel) * element,
        .output_stride = matmul->output_stride,
        .row_bias = run->row_bias + first,
        .epilogue = &matmul->epilogue,
    };
    run->bundle->kernel(&args);
}

void oct_q8_matmul_run(OctetCpu cpu, const OctQ8Matmul *matmul, void *workspace,
                       OctetThreadPool *pool) {
    const OctQ8ConvBundle *bundle = oct_q8_conv_select(cpu);
    Parts parts;
    if (matmul->m == 0 || matmul->n == 0 ||
        !lay_out(bundle, matmul->m, matmul->n, matmul->k, &parts)) {
        return;
    }
    uint8_t *base = workspace;
    Run run = {
        .matmul = matmul,
        .bundle = bundle,
        .ops = oct_q8_vector_ops(cpu),
        .packed = base,
        .multipliers = (float *)(void *)(base + parts.multipliers),
        .row_bias = (int32_t *)(void *)(base + parts.row_bias),
    };
    for (size_t i = 0; i < matmul->n; i++) {
        run.multipliers[i] = matmul->multiplier;
    }
    size_t panels = (matmul->n + bundle->nr - 1) / bundle->nr;
    size_t units = (matmul->m + UNIT_ROWS - 1) / UNIT_ROWS, threads = oct_pool_size(pool);
    oct_parallel_for(pool, pack_panel, &run, panels);
    oct_parallel_for(pool, sum_rows, &run, (matmul->m + ROWS_TO_SUM - 1) / ROWS_TO_SUM);
    run.splits = threads > 1 && units < 4 * threads ? (4 * threads + units - 1) / units : 1;
    run.splits = oct_q8_splits(run.splits, UNIT_ROWS * matmul->n * matmul->k, panels);
    size_t panels_per_split = (panels + run.splits - 1) / run.splits;
    run.splits = (panels + panels_per_split - 1) / panels_per_split;
    run.channels_per_split = panels_per_split * bundle->nr;
    oct_parallel_for(pool, run_unit, &run, units * run.splits);
}
