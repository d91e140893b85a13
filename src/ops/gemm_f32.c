/* Float matrix products: binds a node to the driver of kernels/f32_matmul.h. */
#include "base/patience.h"
#include "engine/pack.h"
#include "kernels/f32_matmul.h"
#include "kernels/transpose.h"
#include "ops/fused_activation.h"
#include "ops/gemm.h"
#include "ops/quantized.h"
#include "ops/rows.h"

#include <math.h>
#include <string.h>

/* How C enters: y = alpha * (A x B) + beta * C. */
typedef enum SummandKind {
    SUMMAND_NONE,
    SUMMAND_BIAS,     /* a value a column: where the kernel's sums start */
    SUMMAND_RESIDUAL, /* of the output's shape: added by the kernel */
    SUMMAND_SEPARATE  /* by a pass over the output */
} SummandKind;

typedef struct GemmF32 {
    OctProduct product;
    OctF32GemmSpec spec; /* b and bias are set when running */
    OctetCpu cpu;
    OctPack *pack; /* NULL when B is known only when running */
    SummandKind summand;
    bool separate; /* alpha or C need a pass over the output */
    float alpha, beta;
    size_t c_row_stride, c_column_stride; /* SUMMAND_SEPARATE */
    OctFusedActivation activation;
    /* Products that threads compute at a time, each in a part of the workspace. With 1, threads
     * share the work of one product after the other. */
    size_t slots, slot_bytes;
    size_t transposed_offset, pack_offset; /* in a slot's part */
} GemmF32;

static void destroy(void *state) {
    GemmF32 *gemm = state;
    oct_pack_release(gemm->pack);
    oct_free(gemm);
}

typedef struct Pass {
    const GemmF32 *gemm;
    const float *c;
    float *y;
} Pass;

static void finish_row(void *user, size_t row) {
    const Pass *pass = user;
    const GemmF32 *gemm = pass->gemm;
    size_t n = (size_t)gemm->product.n;
    float *y = pass->y + row * n;
    const float *c = pass->c ? pass->c + row * gemm->c_row_stride : NULL;
    for (size_t i = 0; i < n; i++) {
        float value = gemm->alpha * y[i];
        if (c) {
            value += gemm->beta * c[i * gemm->c_column_stride];
        }
        y[i] = oct_f32_clamp(value, gemm->activation.minimum, gemm->activation.maximum);
    }
}

typedef struct Work {
    const GemmF32 *gemm;
    const OctRun *run;
    OctetThreadPool *pool; /* within one product */
} Work;

static void multiply(const Work *work, const OctF32GemmCall *call, const float *b, size_t slot) {
    const GemmF32 *gemm = work->gemm;
    if (gemm->product.k == 0) {
        memset(call->output, 0, call->m * gemm->spec.n * sizeof(float));
    } else if (gemm->pack) {
        oct_f32_gemm_run(oct_pack_data(gemm->pack), call, work->pool);
    } else {
        OctF32GemmSpec spec = gemm->spec;
        spec.b = b;
        spec.bias = gemm->summand == SUMMAND_BIAS ? work->run->inputs[2].data : NULL;
        oct_f32_matmul_run(gemm->cpu, &spec, call,
                           oct_workspace_at(work->run, slot * gemm->slot_bytes + gemm->pack_offset),
                           work->pool);
    }
}

static void run_product(const Work *work, size_t index, size_t slot) {
    const GemmF32 *gemm = work->gemm;
    const OctRun *run = work->run;
    const OctProduct *product = &gemm->product;
    const float *a = run->inputs[0].data, *b = run->inputs[1].data;
    float *y = run->outputs[0].data;
    size_t m = (size_t)product->m, k = (size_t)product->k, n = (size_t)product->n;
    int64_t a_matrix, b_matrix;
    oct_product_matrices(product, (int64_t)index, &a_matrix, &b_matrix);
    OctF32GemmCall call = {.m = m,
                           .a = a + (size_t)a_matrix * m * k,
                           .a_stride = k,
                           .output = y + index * m * n,
                           .output_stride = n,
                           .minimum = gemm->separate ? -INFINITY : gemm->activation.minimum,
                           .maximum = gemm->separate ? INFINITY : gemm->activation.maximum};
    if (product->a_transposed) {
        float *copy = oct_workspace_at(run, slot * gemm->slot_bytes + gemm->transposed_offset);
        oct_transpose_matrix(sizeof(float), 1, k, m, call.a, copy, work->pool);
        call.a = copy;
    }
    if (gemm->summand == SUMMAND_RESIDUAL) {
        call.residual = run->inputs[2].data;
    }
    multiply(work, &call, b + (size_t)b_matrix * k * n, slot);
}

static void run_slot(void *user, size_t slot) {
    const Work *work = user;
    size_t begin, end;
    oct_split_range((size_t)work->gemm->product.batch, work->gemm->slots, slot, &begin, &end);
    for (size_t index = begin; index < end && !(index > begin && oct_is_over()); index++) {
        run_product(work, index, slot);
    }
}

static OctetStatus run_gemm(void *state, const OctRun *run) {
    const GemmF32 *gemm = state;
    const OctProduct *product = &gemm->product;
    size_t rows = (size_t)product->batch * (size_t)product->m, n = (size_t)product->n;
    Work work = {gemm, run, gemm->slots > 1 ? NULL : run->pool};
    if (rows * n == 0) {
        return OCTET_OK;
    }
    oct_parallel_for(run->pool, run_slot, &work, gemm->slots);
    if (gemm->separate) {
        bool has_c = gemm->summand == SUMMAND_SEPARATE;
        Pass pass = {gemm, has_c ? run->inputs[2].data : NULL, run->outputs[0].data};
        oct_parallel_for(run->pool, finish_row, &pass, rows);
    }
    oct_fused_activation_run(&gemm->activation, gemm->cpu, run->outputs[0].data, rows * n,
                             run->pool);
    return OCTET_OK;
}

typedef struct PackRequest {
    OctF32GemmSpec spec;
    const OctNode *node;
    bool bias;
    OctetCpu cpu;
    OctPackStore *packs;
} PackRequest;

static OctetStatus make(void *user, void **object, size_t *bytes, OctetDiagnostic *diagnostic) {
    PackRequest *request = user;
    OctConstantF32 b, bias = {0};
    OctF32Gemm *gemm = NULL;
    OCT_TRY(oct_constant_f32_open(request->node->inputs[1], &b, diagnostic));
    OctetStatus status = OCTET_OK;
    if (request->bias) {
        status = oct_constant_f32_open(request->node->inputs[2], &bias, diagnostic);
    }
    if (status == OCTET_OK) {
        request->spec.b = b.data;
        request->spec.bias = bias.data;
        request->spec.blocks = oct_pack_blocks(request->packs);
        status = oct_f32_gemm_create(&request->spec, request->cpu, &gemm, diagnostic);
    }
    oct_constant_f32_close(&bias);
    oct_constant_f32_close(&b);
    if (status == OCTET_OK) {
        *object = gemm;
        *bytes = oct_f32_gemm_bytes(gemm);
    }
    return status;
}

static void free_gemm(void *object) {
    oct_f32_gemm_free(object);
}

static OctetStatus pack_b(const OctPrepare *prepare, GemmF32 *gemm) {
    const OctNode *node = prepare->node;
    bool bias = gemm->summand == SUMMAND_BIAS;
    PackRequest request = {.spec = gemm->spec,
                           .node = node,
                           .bias = bias,
                           .cpu = prepare->cpu,
                           .packs = prepare->packs};
    OctPackKey key = {.kernel = "f32_gemm",
                      .constants = {oct_constant_id(node->inputs[1]->constant),
                                    bias ? oct_constant_id(node->inputs[2]->constant) : 0},
                      .parameters = {(uint64_t)prepare->cpu, gemm->spec.k, gemm->spec.n,
                                     gemm->spec.b_transposed}};
    return oct_pack_object(prepare->packs, &key, make, free_gemm, &request, &gemm->pack,
                           prepare->diagnostic);
}

/* Chooses how C enters. It broadcasts to m x n from the right. */
static OctetStatus bind_summand(const OctPrepare *prepare, bool constant_b, GemmF32 *gemm) {
    const OctNode *node = prepare->node;
    const OctValue *c = oct_node_input(node, 2);
    gemm->separate = gemm->alpha != 1.0f;
    if (!c) {
        return OCTET_OK;
    }
    int64_t m = gemm->product.m, n = gemm->product.n;
    int32_t rank = c->shape.rank;
    int64_t rows = rank > 1 ? c->shape.dims[rank - 2] : 1;
    int64_t columns = rank > 0 ? c->shape.dims[rank - 1] : 1;
    if (rank > 2 || (rows != 1 && rows != m) || (columns != 1 && columns != n)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "C does not broadcast to the product's shape");
    }
    bool plain = gemm->alpha == 1.0f && gemm->beta == 1.0f && gemm->product.k > 0;
    if (plain && rows == 1 && columns == n && constant_b == oct_is_constant(c)) {
        gemm->summand = SUMMAND_BIAS;
    } else if (plain && rows == m && columns == n) {
        gemm->summand = SUMMAND_RESIDUAL;
    } else {
        gemm->summand = SUMMAND_SEPARATE;
        gemm->separate = true;
        gemm->c_row_stride = rows == 1 ? 0 : (size_t)columns;
        gemm->c_column_stride = columns == 1 ? 0 : 1;
    }
    return OCTET_OK;
}

/* A slot's part of the workspace. */
static OctetStatus reserve(const OctPrepare *prepare, bool constant_b, GemmF32 *gemm) {
    const OctProduct *product = &gemm->product;
    size_t bytes = (size_t)product->m * (size_t)product->k * sizeof(float);
    if (product->a_transposed) {
        OCT_TRY(oct_workspace_add(&gemm->slot_bytes, bytes, &gemm->transposed_offset,
                                  prepare->diagnostic));
    }
    if (constant_b) {
        return OCTET_OK;
    }
    if (!oct_f32_matmul_workspace_bytes(prepare->cpu, gemm->spec.k, gemm->spec.n, &bytes)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_LIMIT, prepare->node, "B is too large");
    }
    return oct_workspace_add(&gemm->slot_bytes, bytes, &gemm->pack_offset, prepare->diagnostic);
}

OctetStatus oct_gemm_prepare_f32(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    GemmF32 *gemm = oct_prepare_state(prepare, prepared, sizeof *gemm);
    if (!gemm) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_gemm;
    prepared->destroy = destroy;
    prepared->kernel = "f32_gemm";
    prepared->cpu = prepare->cpu;
    OCT_TRY(oct_product_of(node, &gemm->product, prepare->diagnostic));
    OctProduct *product = &gemm->product;
    prepared->macs = oct_product_macs(product);
    oct_product_collapse(product);
    gemm->cpu = prepare->cpu;
    gemm->alpha = oct_node_float(node, "alpha", 1.0f);
    gemm->beta = oct_node_float(node, "beta", 1.0f);
    gemm->spec =
        (OctF32GemmSpec){.k = (size_t)product->k,
                         .n = (size_t)product->n,
                         .b_stride = (size_t)(product->b_transposed ? product->k : product->n),
                         .b_transposed = product->b_transposed};
    bool constant_b = oct_is_constant(node->inputs[1]) && product->b_count == 1;
    OCT_TRY(oct_fused_activation_read(node, &gemm->activation, prepare->diagnostic));
    OCT_TRY(bind_summand(prepare, constant_b, gemm));
    bool many = prepare->threads > 1 && (uint64_t)product->batch >= 2 * prepare->threads;
    gemm->slots = many ? prepare->threads : 1;
    if (product->m == 0 || product->n == 0 || product->k == 0) {
        return OCTET_OK;
    }
    OCT_TRY(reserve(prepare, constant_b, gemm));
    if (constant_b) {
        OCT_TRY(pack_b(prepare, gemm));
        prepared->kernel = oct_f32_gemm_kernel_name(oct_pack_data(gemm->pack));
    }
    return oct_mul_size(gemm->slot_bytes, gemm->slots, &prepared->workspace_bytes)
               ? OCTET_OK
               : oct_fail_op(prepare->diagnostic, OCTET_ERROR_LIMIT, node, "is too large");
}
