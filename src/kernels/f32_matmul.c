#include "kernels/f32_matmul.h"
#include "base/diag.h"
#include "base/mem.h"
#include "base/threads.h"
#include "kernels/f32_driver.h"

struct OctF32Gemm {
    const OctF32GemmBundle *bundle;
    size_t k, n;
    OctBlock packed;
    size_t bytes;
};

typedef struct PackJob {
    const OctF32GemmBundle *bundle;
    OctF32MatrixView view;
    const float *bias;
    float *packed;
} PackJob;

static OctF32MatrixView view_b(const OctF32GemmSpec *spec) {
    return (OctF32MatrixView){.data = spec->b,
                              .depth_stride = spec->b_transposed ? 1 : spec->b_stride,
                              .column_stride = spec->b_transposed ? spec->b_stride : 1,
                              .taps = 1,
                              .depth = spec->k,
                              .columns = spec->n};
}

static bool packed_bytes(const OctF32GemmBundle *bundle, size_t k, size_t n, size_t *bytes) {
    size_t floats;
    return oct_f32_gemm_packed_floats(bundle, k, n, &floats) &&
           oct_mul_size(floats, sizeof(float), bytes) && *bytes < INT64_MAX;
}

/* Memory for the packed matrix, and what that is a function of. */
static OctetStatus get_block(const OctF32GemmSpec *spec, OctF32Gemm *gemm,
                             OctetDiagnostic *diagnostic) {
    const uint64_t sizes[] = {spec->k, spec->n, spec->b_stride, spec->b_transposed};
    size_t lines = spec->b_transposed ? spec->n : spec->k;
    size_t width = spec->b_transposed ? spec->k : spec->n;
    size_t floats = lines > 0 ? (lines - 1) * spec->b_stride + width : 0;
    const OctBlockRequest request = {
        .kernel = gemm->bundle->name,
        .bytes = gemm->bytes,
        .parts = {{sizes, sizeof sizes},
                  {spec->b, floats * sizeof(float)},
                  {spec->bias, spec->bias ? spec->n * sizeof(float) : 0}}};
    return oct_block_get(spec->blocks, &request, &gemm->packed, diagnostic);
}

OctetStatus oct_f32_gemm_create(const OctF32GemmSpec *spec, OctetCpu cpu, OctF32Gemm **gemm,
                                OctetDiagnostic *diagnostic) {
    *gemm = NULL;
    const OctF32GemmBundle *bundle = oct_f32_gemm_select(cpu);
    size_t bytes;
    if (!packed_bytes(bundle, spec->k, spec->n, &bytes)) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "a matrix of %zu x %zu is too big", spec->k,
                        spec->n);
    }
    OctF32Gemm *made = oct_calloc(1, sizeof *made);
    if (!made) {
        return oct_fail_memory(diagnostic);
    }
    *made = (OctF32Gemm){.bundle = bundle, .k = spec->k, .n = spec->n, .bytes = bytes};
    OctetStatus status = get_block(spec, made, diagnostic);
    if (status != OCTET_OK) {
        oct_free(made);
        return status;
    }
    if (!made->packed.filled) {
        OctF32MatrixView view = view_b(spec);
        oct_f32_gemm_pack(bundle, &view, spec->bias, (float *)(void *)made->packed.data);
    }
    *gemm = made;
    return OCTET_OK;
}

void oct_f32_gemm_free(OctF32Gemm *gemm) {
    if (gemm) {
        oct_block_free(&gemm->packed);
        oct_free(gemm);
    }
}

size_t oct_f32_gemm_bytes(const OctF32Gemm *gemm) {
    return gemm->bytes;
}

const char *oct_f32_gemm_kernel_name(const OctF32Gemm *gemm) {
    return gemm->bundle->name;
}

/* A's rows are the pixels of an image of one line. */
static void run_packed(const OctF32GemmBundle *bundle, size_t k, size_t n, const float *packed,
                       const OctF32GemmCall *call, OctetThreadPool *pool) {
    OctF32WindowAxis one = {1, 1, 1, 0, 1, 1, 0, 1, 1};
    OctF32WindowAxis rows = one;
    rows.input = rows.count = rows.output = (int64_t)call->m;
    OctF32Job job = {.gemm = bundle,
                     .window = {.axis = {one, one, rows},
                                .input_pixel = call->a_stride,
                                .output_pixel = call->output_stride,
                                .channels = k,
                                .linear = true},
                     .batch = 1,
                     .groups = 1,
                     .columns = n,
                     .packed = packed,
                     .input = call->a,
                     .residual = call->residual,
                     .output = call->output,
                     .minimum = call->minimum,
                     .maximum = call->maximum};
    oct_f32_job_run(&job, pool);
}

void oct_f32_gemm_run(const OctF32Gemm *gemm, const OctF32GemmCall *call, OctetThreadPool *pool) {
    run_packed(gemm->bundle, gemm->k, gemm->n, (const float *)(const void *)gemm->packed.data, call,
               pool);
}

bool oct_f32_matmul_workspace_bytes(OctetCpu cpu, size_t k, size_t n, size_t *bytes) {
    return packed_bytes(oct_f32_gemm_select(cpu), k, n, bytes);
}

static void pack_one(void *user, size_t panel) {
    const PackJob *job = user;
    oct_f32_gemm_pack_panel(job->bundle, &job->view, job->bias, panel,
                            job->packed +
                                panel * oct_f32_gemm_panel_floats(job->bundle, job->view.depth));
}

void oct_f32_matmul_run(OctetCpu cpu, const OctF32GemmSpec *spec, const OctF32GemmCall *call,
                        void *workspace, OctetThreadPool *pool) {
    PackJob job = {.bundle = oct_f32_gemm_select(cpu),
                   .view = view_b(spec),
                   .bias = spec->bias,
                   .packed = workspace};
    oct_parallel_for(pool, pack_one, &job, (spec->n + job.bundle->nr - 1) / job.bundle->nr);
    run_packed(job.bundle, spec->k, spec->n, workspace, call, pool);
}
