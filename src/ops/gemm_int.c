/* MatMul and Gemm on 32- and 64-bit integers, which wrap as ONNX Runtime's do. */
#include "base/patience.h"
#include "ops/gemm.h"

typedef struct GemmInt {
    OctProduct product;
    size_t size; /* bytes an element */
    bool has_c;
    size_t c_row_stride, c_column_stride;
} GemmInt;

typedef struct Work {
    const GemmInt *gemm;
    const OctRun *run;
} Work;

/* Two's complement makes signed and unsigned products the same bits. */
static uint64_t load(size_t size, const void *data, size_t i) {
    return size == 4 ? ((const uint32_t *)data)[i] : ((const uint64_t *)data)[i];
}

static void store(size_t size, void *data, size_t i, uint64_t value) {
    if (size == 4) {
        ((uint32_t *)data)[i] = (uint32_t)value;
    } else {
        ((uint64_t *)data)[i] = value;
    }
}

static void run_row(void *user, size_t index) {
    const Work *work = user;
    const GemmInt *gemm = work->gemm;
    const OctProduct *product = &gemm->product;
    const OctView *inputs = work->run->inputs;
    size_t m = (size_t)product->m, k = (size_t)product->k, n = (size_t)product->n;
    size_t row = index % m, size = gemm->size;
    int64_t a_matrix, b_matrix;
    oct_product_matrices(product, (int64_t)(index / m), &a_matrix, &b_matrix);
    size_t a = (size_t)a_matrix * m * k + (product->a_transposed ? row : row * k);
    size_t a_step = product->a_transposed ? m : 1;
    size_t stint = 0;
    for (size_t column = 0; column < n && !oct_is_over_after(&stint, 2 * k); column++) {
        size_t b = (size_t)b_matrix * k * n + (product->b_transposed ? column * k : column);
        size_t b_step = product->b_transposed ? 1 : n;
        uint64_t sum = gemm->has_c ? load(size, inputs[2].data,
                                          row * gemm->c_row_stride + column * gemm->c_column_stride)
                                   : 0;
        for (size_t i = 0; i < k; i++) {
            sum += load(size, inputs[0].data, a + i * a_step) *
                   load(size, inputs[1].data, b + i * b_step);
        }
        store(size, work->run->outputs[0].data, index * n + column, sum);
    }
}

static OctetStatus run_gemm(void *state, const OctRun *run) {
    const GemmInt *gemm = state;
    Work work = {gemm, run};
    size_t rows = (size_t)(gemm->product.batch * gemm->product.m);
    oct_parallel_for(run->pool, run_row, &work, gemm->product.n > 0 ? rows : 0);
    return OCTET_OK;
}

OctetStatus oct_gemm_prepare_integer(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    OctetDType dtype = node->inputs[0]->dtype;
    const OctValue *c = oct_node_input(node, 2);
    GemmInt *gemm = oct_prepare_state(prepare, prepared, sizeof *gemm);
    if (!gemm) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_gemm;
    prepared->kernel = "gemm";
    gemm->size = octet_dtype_size(dtype);
    bool plain =
        oct_node_float(node, "alpha", 1.0f) == 1.0f && oct_node_float(node, "beta", 1.0f) == 1.0f;
    if (!plain || !oct_dtype_is_integer(dtype) || gemm->size < 4 ||
        node->inputs[1]->dtype != dtype || (c && c->dtype != dtype)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "is not supported on %s in this form", octet_dtype_name(dtype));
    }
    OCT_TRY(oct_product_of(node, &gemm->product, prepare->diagnostic));
    prepared->macs = oct_product_macs(&gemm->product);
    if (!c) {
        return OCTET_OK;
    }
    int32_t rank = c->shape.rank;
    int64_t rows = rank > 1 ? c->shape.dims[rank - 2] : 1;
    int64_t columns = rank > 0 ? c->shape.dims[rank - 1] : 1;
    if (rank > 2 || (rows != 1 && rows != gemm->product.m) ||
        (columns != 1 && columns != gemm->product.n)) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "C does not broadcast to the product's shape");
    }
    gemm->has_c = true;
    gemm->c_row_stride = rows == 1 ? 0 : (size_t)columns;
    gemm->c_column_stride = columns == 1 ? 0 : 1;
    return OCTET_OK;
}
