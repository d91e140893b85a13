/* Runs one operator without the engine: builds a graph of one node, resolves, infers, prepares and
 * runs it. For tests of operators only; needs cmocka's header before this one.
 *
 *     OpHarness h;
 *     op_begin(&h, "", "Add", 14, 1);
 *     op_input(&h, OCTET_F32, SHAPE(2, 3), data);
 *     op_constant(&h, OCTET_F32, SHAPE(3), bias);
 *     op_run_ok(&h);
 *     op_expect_f32(&h, 0, SHAPE(2, 3), expected, 0.0f);
 *     op_end(&h);
 *
 * Inputs given with op_input are known to the operator only when it runs, constants already when
 * it is prepared. */
#ifndef OCTET_TESTS_OP_HARNESS_H
#define OCTET_TESTS_OP_HARNESS_H

#include "base/diag.h"
#include "base/mem.h"
#include "base/tensor.h"
#include "ir/graph.h"
#include "ir/op.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OP_MAX_VALUES 48

typedef struct OpHarness {
    OctGraph *graph;
    OctNode *node;
    OctPrepare prepare;
    OctPreparedOp prepared;
    OctView inputs[OP_MAX_VALUES];
    OctView outputs[OP_MAX_VALUES];
    OctetTensor *owned[OP_MAX_VALUES]; /* of inputs that are no constants */
    OctetThreadPool *pool;             /* set before op_run to run on threads */
    OctetRequantize requantize;        /* likewise */
    OctetDiagnostic diagnostic;
} OpHarness;

/* SHAPE(2, 3) and SCALAR as a pointer to a shape. */
#define OP_COUNT(...) ((int32_t)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)))
#define SHAPE(...) (&(OctetShape){.rank = OP_COUNT(__VA_ARGS__), .dims = {__VA_ARGS__}})
#define SCALAR (&(OctetShape){.rank = 0})

static inline void op_begin(OpHarness *h, const char *domain, const char *op_type, int opset,
                            int32_t output_count) {
    memset(h, 0, sizeof *h);
    h->graph = oct_graph_create();
    assert_non_null(h->graph);
    OctValue *outputs[OP_MAX_VALUES];
    for (int32_t k = 0; k < output_count; k++) {
        char name[16];
        snprintf(name, sizeof name, "y%d", (int)k);
        outputs[k] = oct_graph_add_value(h->graph, name);
        assert_non_null(outputs[k]);
        assert_true(oct_graph_add_output(h->graph, outputs[k]));
    }
    assert_true(oct_graph_set_opset(h->graph, domain, opset));
    h->node = oct_graph_add_node(h->graph, op_type, domain, "node", NULL, 0, outputs, output_count);
    assert_non_null(h->node);
    h->node->opset = opset;
}

static inline OctetTensor *op_tensor(OctetDType dtype, const OctetShape *shape, const void *data) {
    OctetTensor *tensor = NULL;
    assert_int_equal(octet_tensor_create(dtype, shape, &tensor, NULL), OCTET_OK);
    if (data && tensor->bytes > 0) {
        memcpy(tensor->data, data, tensor->bytes);
    }
    return tensor;
}

/* Appends an input whose data the operator sees only when it runs. */
static inline OctValue *op_input(OpHarness *h, OctetDType dtype, const OctetShape *shape,
                                 const void *data) {
    int32_t k = h->node->input_count;
    assert_true(k < OP_MAX_VALUES);
    char name[16];
    snprintf(name, sizeof name, "x%d", (int)k);
    OctValue *value = oct_graph_add_value(h->graph, name);
    assert_non_null(value);
    value->dtype = dtype;
    value->shape = *shape;
    assert_true(oct_graph_add_input(h->graph, value));
    assert_true(oct_node_set_input(h->graph, h->node, k, value));
    h->owned[k] = op_tensor(dtype, shape, data);
    h->inputs[k] = (OctView){h->owned[k]->data, dtype, *shape};
    return value;
}

static inline OctValue *op_constant(OpHarness *h, OctetDType dtype, const OctetShape *shape,
                                    const void *data) {
    int32_t k = h->node->input_count;
    assert_true(k < OP_MAX_VALUES);
    OctValue *value = oct_graph_add_constant(h->graph, NULL, op_tensor(dtype, shape, data));
    assert_non_null(value);
    assert_true(oct_node_set_input(h->graph, h->node, k, value));
    h->inputs[k] = (OctView){oct_constant_tensor(value->constant)->data, dtype, *shape};
    return value;
}

/* An input that is left out. */
static inline void op_absent(OpHarness *h) {
    int32_t k = h->node->input_count;
    assert_true(oct_node_set_input(h->graph, h->node, k, NULL));
    if (h->node->input_count == k) { /* setting NULL at the end need not lengthen the list */
        OctValue *value = oct_graph_add_value(h->graph, NULL);
        assert_true(oct_node_set_input(h->graph, h->node, k, value));
        h->node->inputs[k] = NULL;
    }
}

static inline void op_quantize(OpHarness *h, OctValue *value, OctetDType dtype, float scale,
                               int32_t zero_point) {
    OctetQParams qparams = {
        .dtype = dtype, .axis = -1, .count = 1, .scale = &scale, .zero_point = &zero_point};
    assert_true(oct_graph_set_qparams(h->graph, value, &qparams));
}

/* Appends a quantized input of u8 or s8 integers. */
static inline OctValue *op_input_q(OpHarness *h, OctetDType dtype, const OctetShape *shape,
                                   const void *data, float scale, int32_t zero_point) {
    OctValue *value = op_input(h, dtype, shape, data);
    value->dtype = OCTET_F32;
    op_quantize(h, value, dtype, scale, zero_point);
    return value;
}

static inline OctetStatus op_give_output(OpHarness *h, int32_t k, const OctetShape *shape) {
    OctView *view = &h->outputs[k];
    size_t bytes = 0;
    OctetStatus status = oct_tensor_bytes(view->dtype, shape, &bytes, &h->diagnostic);
    if (status != OCTET_OK) {
        return status;
    }
    oct_aligned_free(view->data);
    view->data = oct_aligned_alloc(bytes);
    assert_non_null(view->data);
    memset(view->data, 0xa5, bytes);
    view->shape = *shape;
    return OCTET_OK;
}

static inline OctetStatus op_resize(const OctRun *run, int32_t k, const OctetShape *shape) {
    return op_give_output(run->engine, k, shape);
}

static inline OctetStatus op_infer(OpHarness *h) {
    OctetStatus status = oct_graph_resolve(h->graph, &h->diagnostic);
    return status == OCTET_OK ? oct_graph_infer(h->graph, &h->diagnostic) : status;
}

/* Prepares and runs a node that is resolved and inferred. */
static inline OctetStatus op_run_resolved(OpHarness *h) {
    OctetStatus status = OCTET_OK;
    for (int32_t k = 0; k < h->node->output_count && status == OCTET_OK; k++) {
        OctValue *value = h->node->outputs[k];
        assert_int_not_equal(value->dtype, OCTET_DTYPE_NONE);
        h->outputs[k].dtype = oct_value_storage(value);
        if (oct_value_has_static_shape(value)) {
            status = op_give_output(h, k, &value->shape);
        } else {
            assert_true(h->node->op->flags & OCT_OP_DYNAMIC);
            h->outputs[k].shape = value->shape;
        }
    }
    h->prepare = (OctPrepare){.graph = h->graph,
                              .node = h->node,
                              .cpu = octet_get_cpu(),
                              .requantize = h->requantize,
                              .threads = h->pool ? octet_thread_pool_size(h->pool) : 1,
                              .table_limit = UINT64_MAX,
                              .diagnostic = &h->diagnostic};
    if (status == OCTET_OK) {
        status = h->node->op->prepare(&h->prepare, &h->prepared);
    }
    if (status == OCTET_OK) {
        OctRun run = {.inputs = h->inputs,
                      .outputs = h->outputs,
                      .input_count = h->node->input_count,
                      .output_count = h->node->output_count,
                      .workspace = oct_aligned_alloc(h->prepared.workspace_bytes),
                      .pool = h->pool,
                      .diagnostic = &h->diagnostic,
                      .resize_output = op_resize,
                      .table_limit = UINT64_MAX,
                      .engine = h};
        assert_non_null(run.workspace);
        status = h->prepared.run(h->prepared.state, &run);
        oct_aligned_free(run.workspace);
    }
    return status;
}

static inline OctetStatus op_run(OpHarness *h) {
    OctetStatus status = op_infer(h);
    return status == OCTET_OK ? op_run_resolved(h) : status;
}

static inline void op_run_ok(OpHarness *h) {
    OctetStatus status = op_run(h);
    if (status != OCTET_OK) {
        fail_msg("%s: %s", octet_status_name(status), h->diagnostic.message);
    }
}

static inline void op_end(OpHarness *h) {
    if (h->prepared.destroy) {
        h->prepared.destroy(h->prepared.state);
    }
    for (int32_t k = 0; k < OP_MAX_VALUES; k++) {
        octet_tensor_free(h->owned[k]);
        oct_aligned_free(h->outputs[k].data);
    }
    oct_graph_free(h->graph);
}

static inline int64_t op_expect_shape(OpHarness *h, int32_t k, OctetDType dtype,
                                      const OctetShape *shape) {
    int64_t count = 0;
    assert_string_equal(octet_dtype_name(h->outputs[k].dtype), octet_dtype_name(dtype));
    if (!octet_shape_equal(&h->outputs[k].shape, shape)) {
        char got[100];
        octet_shape_format(&h->outputs[k].shape, got, sizeof got);
        fail_msg("output %d has shape %s", (int)k, got);
    }
    assert_true(octet_shape_count(shape, &count));
    return count;
}

/* The output equals `expected` to the byte. */
static inline void op_expect(OpHarness *h, int32_t k, OctetDType dtype, const OctetShape *shape,
                             const void *expected) {
    int64_t count = op_expect_shape(h, k, dtype, shape);
    if (expected && count > 0) {
        assert_memory_equal(h->outputs[k].data, expected, (size_t)count * octet_dtype_size(dtype));
    }
}

/* |got - expected| <= tolerance * max(1, |expected|); NaN equals NaN. */
static inline void op_expect_f32(OpHarness *h, int32_t k, const OctetShape *shape,
                                 const float *expected, float tolerance) {
    int64_t count = op_expect_shape(h, k, OCTET_F32, shape);
    const float *got = h->outputs[k].data;
    for (int64_t i = 0; i < count; i++) {
        if (got[i] == expected[i] || (isnan(got[i]) && isnan(expected[i]))) {
            continue;
        }
        if (!(fabsf(got[i] - expected[i]) <= tolerance * fmaxf(1.0f, fabsf(expected[i])))) {
            fail_msg("element %d is %.9g, not %.9g", (int)i, (double)got[i], (double)expected[i]);
        }
    }
}

#endif
