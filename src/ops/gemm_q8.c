/* Int8 matrix products. Constant weights are a 1x1 convolution of kernels/q8_conv_run.h; a product
 * of two activations packs its right side on every run. */
#include "base/patience.h"
#include "kernels/transpose.h"
#include "ops/gemm.h"
#include "ops/q8_layer.h"
#include "ops/rows.h"
#include "ops/through_float.h"

typedef struct GemmQ8 {
    OctProduct product;
    OctQ8Finish finish;
    OctetCpu cpu;
    OctPack **packs; /* one a matrix of B; NULL when B is an activation */
    OctQ8ConvSetup setup;
    OctQ8Matmul matmul; /* what does not change between products */
    /* Products that threads compute at a time, each in a part of the workspace. With 1, threads
     * share the work of one product after the other. */
    size_t slots, slot_bytes;
    size_t transposed_offset, kernel_offset, accumulator_offset; /* in a slot's part */
} GemmQ8;

static void destroy(void *state) {
    GemmQ8 *gemm = state;
    for (int64_t i = 0; gemm->packs && i < gemm->product.b_count; i++) {
        oct_pack_release(gemm->packs[i]);
    }
    oct_free(gemm->packs);
    oct_q8_finish_close(&gemm->finish);
    oct_free(gemm);
}

typedef struct Work {
    const GemmQ8 *gemm;
    const OctRun *run;
    OctetThreadPool *pool; /* within one product */
} Work;

static void run_product(const Work *work, size_t index, size_t slot) {
    const GemmQ8 *gemm = work->gemm;
    const OctRun *run = work->run;
    const OctProduct *product = &gemm->product;
    const OctQ8Finish *finish = &gemm->finish;
    size_t m = (size_t)product->m, k = (size_t)product->k, n = (size_t)product->n;
    size_t element = finish->kind == OCT_Q8_OUT_F32 ? sizeof(float) : 1;
    size_t base = slot * gemm->slot_bytes;
    void *workspace = oct_workspace_at(run, base + gemm->kernel_offset);
    int64_t a_matrix, b_matrix;
    oct_product_matrices(product, (int64_t)index, &a_matrix, &b_matrix);
    const uint8_t *a = (const uint8_t *)run->inputs[0].data + (size_t)a_matrix * m * k;
    void *y = (char *)run->outputs[0].data + index * m * n * element;
    void *sums = finish->separate ? oct_workspace_at(run, base + gemm->accumulator_offset) : y;
    const uint8_t *residual = NULL;
    if (finish->residual >= 0) {
        residual = (const uint8_t *)run->inputs[finish->residual].data + index * m * n;
    }
    if (product->a_transposed) {
        uint8_t *copy = oct_workspace_at(run, base + gemm->transposed_offset);
        oct_transpose_matrix(1, 1, k, m, a, copy, work->pool);
        a = copy;
    }
    if (gemm->packs) {
        oct_q8_conv_run(oct_pack_data(gemm->packs[b_matrix]), &gemm->setup, a, sums, residual,
                        workspace, work->pool);
    } else {
        OctQ8Matmul matmul = gemm->matmul;
        matmul.a = a;
        matmul.b = (const uint8_t *)run->inputs[1].data + (size_t)b_matrix * k * n;
        matmul.output = sums;
        oct_q8_matmul_run(gemm->cpu, &matmul, workspace, work->pool);
    }
    oct_q8_finish_run(finish, gemm->cpu, sums, m, residual, y, work->pool);
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
    const GemmQ8 *gemm = state;
    Work work = {gemm, run, gemm->slots > 1 ? NULL : run->pool};
    if (gemm->product.m * gemm->product.n * gemm->product.batch > 0) {
        oct_parallel_for(run->pool, run_slot, &work, gemm->slots);
    }
    return OCTET_OK;
}

/* ---- packing ---- */

typedef struct PackRequest {
    const OctPrepare *prepare;
    GemmQ8 *gemm;
    size_t matrix;
    int32_t axis; /* of B's columns */
} PackRequest;

static OctetStatus make_with(PackRequest *request, OctQ8Weights *weights, void **object,
                             size_t *bytes, OctetDiagnostic *diagnostic) {
    GemmQ8 *gemm = request->gemm;
    size_t k = weights->depth, n = weights->channels;
    OctQ8Conv *made;
    int32_t *bias;
    float *multipliers;
    size_t first = request->matrix * k * n;
    bool transposed = gemm->product.b_transposed;
    bool in_place = !weights->has_zero_points && k > 1;
    for (size_t i = 0; i < k * n && !in_place; i++) {
        size_t at = transposed ? i : i % k * n + i / k;
        weights->data[i] = oct_q8_weight(weights, first + at);
    }
    OCT_TRY(oct_q8_layer_numbers(request->prepare, weights, oct_layer_bias(request->prepare->node),
                                 &gemm->finish, &bias, &multipliers));
    OctQ8ConvParams params = oct_q8_conv_params(k, n);
    if (in_place) {
        params.weights = (const int8_t *)weights->source + first;
        params.weight_strides[0] = transposed ? k : 1;
        params.weight_strides[1] = transposed ? 1 : n;
        params.weight_flip = weights->flip;
    } else {
        params.weights = weights->data;
    }
    params.blocks = gemm->finish.separate ? NULL : oct_pack_blocks(request->prepare->packs);
    params.weight_zero_points = weights->has_zero_points ? weights->zero_points : NULL;
    params.weight_zero_point_count = weights->has_zero_points ? n : 0;
    params.bias = bias;
    params.multipliers = multipliers;
    params.input_zero_point = (uint8_t)oct_value_zero_point(request->prepare->node->inputs[0]);
    params.epilogue = gemm->finish.epilogue;
    params.epilogue.kind = gemm->finish.kind;
    OctetStatus status = oct_q8_conv_create(&params, gemm->cpu, &made, diagnostic);
    oct_free(bias);
    oct_free(multipliers);
    if (status == OCTET_OK) {
        *object = made;
        *bytes = oct_q8_conv_packed_bytes(made);
    }
    return oct_fail_in_node(diagnostic, status, request->prepare->node->name);
}

static OctetStatus make(void *user, void **object, size_t *bytes, OctetDiagnostic *diagnostic) {
    PackRequest *request = user;
    const OctNode *node = request->prepare->node;
    OctQ8Weights weights;
    OCT_TRY(oct_q8_weights_open(node, node->inputs[1], request->axis,
                                (size_t)request->gemm->product.n, (size_t)request->gemm->product.k,
                                &weights, diagnostic));
    OctetStatus status = make_with(request, &weights, object, bytes, diagnostic);
    oct_q8_weights_close(&weights);
    return status;
}

static void free_conv(void *object) {
    oct_q8_conv_free(object);
}

static OctetStatus pack_all(const OctPrepare *prepare, int32_t axis, GemmQ8 *gemm) {
    const OctNode *node = prepare->node;
    const OctValue *bias = oct_layer_bias(node);
    const OctProduct *product = &gemm->product;
    gemm->packs = oct_calloc((size_t)product->b_count, sizeof(OctPack *));
    if (!gemm->packs) {
        return oct_fail_memory(prepare->diagnostic);
    }
    for (size_t i = 0; i < (size_t)product->b_count; i++) {
        PackRequest request = {prepare, gemm, i, axis};
        OctPackKey key = {
            .kernel = "q8_gemm",
            .constants = {oct_constant_id(node->inputs[1]->constant),
                          bias ? oct_constant_id(bias->constant) : 0},
            .parameters = {(uint64_t)product->k, (uint64_t)product->n, product->b_transposed, i}};
        oct_q8_finish_key(prepare, &gemm->finish, &key, 4);
        OctPackStore *store = gemm->finish.separate ? NULL : prepare->packs;
        OCT_TRY(oct_pack_object(store, &key, make, free_conv, &request, &gemm->packs[i],
                                prepare->diagnostic));
    }
    OCT_TRY(oct_q8_conv_setup(oct_pack_data(gemm->packs[0]), 1, 1, (size_t)product->m, 0, 0, 0,
                              &gemm->setup, prepare->diagnostic));
    oct_q8_conv_use_epilogue(oct_pack_data(gemm->packs[0]), &gemm->finish.epilogue,
                             gemm->finish.kind, &gemm->setup);
    return OCTET_OK;
}

/* ---- two activations ---- */

static OctetStatus bind_matmul(const OctPrepare *prepare, GemmQ8 *gemm, size_t *workspace) {
    const OctNode *node = prepare->node;
    const OctValue *a = node->inputs[0], *b = node->inputs[1];
    const OctProduct *product = &gemm->product;
    const OctetQParams *grid = oct_q8_grid(node);
    size_t n = (size_t)product->n, k = (size_t)product->k;
    float scale = oct_value_scale(a) * oct_value_scale(b);
    gemm->matmul = (OctQ8Matmul){.m = (size_t)product->m,
                                 .n = n,
                                 .k = k,
                                 .a_stride = k,
                                 .a_zero_point = (uint8_t)oct_value_zero_point(a),
                                 .b_stride_k = product->b_transposed ? 1 : n,
                                 .b_stride_n = product->b_transposed ? k : 1,
                                 .b_zero_point = (uint8_t)oct_value_zero_point(b),
                                 .multiplier = grid ? scale / grid->scale[0] : scale,
                                 .epilogue = gemm->finish.epilogue,
                                 .output_stride = n};
    gemm->matmul.epilogue.kind = gemm->finish.kind;
    gemm->matmul.epilogue.has_add = false;
    gemm->matmul.epilogue.bounded =
        oct_q8_epilogue_is_bounded(&gemm->matmul.epilogue, &gemm->matmul.multiplier, 1);
    gemm->finish.late_add = gemm->finish.epilogue.has_add;
    for (size_t c = 0; gemm->finish.separate && c < n; c++) {
        OctRequantizeInput input = {.input_scale = oct_value_scale(a),
                                    .weight_scale = oct_value_scale(b),
                                    .output_scale = grid->scale[0]};
        OCT_TRY(oct_requantize_prepare(gemm->finish.mode, &input, &gemm->finish.channels[c],
                                       prepare->diagnostic));
    }
    *workspace = oct_q8_matmul_workspace(gemm->cpu, gemm->matmul.m, n, k);
    return *workspace > 0 ? OCTET_OK
                          : oct_fail_op(prepare->diagnostic, OCTET_ERROR_NUMERIC, node,
                                        "sums of %zu products can leave int32", k);
}

/* ---- preparation ---- */

/* Whether integers can do it; else it goes through float. */
static bool fits_kernels(const OctNode *node, const OctProduct *product, int32_t axis) {
    const OctValue *b = node->inputs[1], *bias = oct_layer_bias(node);
    int64_t bias_count = 0;
    bool plain =
        oct_node_float(node, "alpha", 1.0f) == 1.0f && oct_node_float(node, "beta", 1.0f) == 1.0f;
    bool bias_fits = !bias || (bias->constant && octet_shape_count(&bias->shape, &bias_count) &&
                               bias_count == product->n && bias->shape.rank > 0 &&
                               bias->shape.dims[bias->shape.rank - 1] == product->n);
    bool b_fits =
        b->constant ? oct_q8_weights_usable(b, axis, (size_t)product->n) : oct_is_u8(b) && !bias;
    return plain && bias_fits && b_fits && product->k > 0 && product->m > 0 && product->n > 0 &&
           oct_is_u8(node->inputs[0]) &&
           (oct_is_u8(node->outputs[0]) || !oct_value_quantized(node->outputs[0]));
}

OctetStatus oct_gemm_prepare_q8(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctetDiagnostic *diagnostic = prepare->diagnostic;
    OctProduct product;
    OCT_TRY(oct_product_of(node, &product, diagnostic));
    int32_t b_rank = node->inputs[1]->shape.rank;
    int32_t axis = product.b_transposed ? b_rank - 2 : b_rank - 1;
    if (!fits_kernels(node, &product, axis)) {
        return oct_prepare_through_float(prepare, prepared, oct_gemm_prepare_f32);
    }
    GemmQ8 *gemm = oct_prepare_state(prepare, prepared, sizeof *gemm);
    if (!gemm) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_gemm;
    prepared->destroy = destroy;
    prepared->cpu = gemm->cpu = prepare->cpu;
    prepared->macs = oct_product_macs(&product);
    prepared->kernel = "q8_matmul";
    oct_product_collapse(&product);
    gemm->product = product;
    OCT_TRY(oct_q8_finish_open(prepare, (size_t)product.n, &gemm->finish));
    size_t kernel_bytes, *workspace = &gemm->slot_bytes;
    if (node->inputs[1]->constant) {
        OCT_TRY(pack_all(prepare, axis, gemm));
        kernel_bytes = gemm->setup.workspace_bytes;
        prepared->kernel = oct_q8_conv_kernel_name(oct_pack_data(gemm->packs[0]));
    } else {
        OCT_TRY(bind_matmul(prepare, gemm, &kernel_bytes));
    }
    OCT_TRY(oct_workspace_add(workspace, kernel_bytes, &gemm->kernel_offset, diagnostic));
    if (product.a_transposed) {
        OCT_TRY(oct_workspace_add(workspace, (size_t)(product.m * product.k),
                                  &gemm->transposed_offset, diagnostic));
    }
    if (gemm->finish.separate) {
        OCT_TRY(oct_workspace_add(workspace, (size_t)(product.m * product.n) * sizeof(int32_t),
                                  &gemm->accumulator_offset, diagnostic));
    }
    bool many = prepare->threads > 1 && (uint64_t)product.batch >= 2 * prepare->threads;
    gemm->slots = many ? prepare->threads : 1;
    return oct_mul_size(gemm->slot_bytes, gemm->slots, &prepared->workspace_bytes)
               ? OCTET_OK
               : oct_fail_op(diagnostic, OCTET_ERROR_LIMIT, node, "is too large");
}
