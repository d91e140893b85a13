#include "ops/evaluate.h"
#include "base/cpu.h"
#include "base/patience.h"
#include "ops/ops.h"

#include <string.h>

/* What a node that is run once to fold it may take: a few seconds, and some times its result. */
enum { WORKSPACE_FACTOR = 8 };
#define MOST_MACS 1e10

bool oct_node_is_evaluable(const OctNode *node) {
    if (node->dead || !node->op || !node->op->prepare ||
        (node->op->flags & (OCT_OP_RANDOM | OCT_OP_ENGINE))) {
        return false;
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        if (node->inputs[k] && !node->inputs[k]->constant) {
            return false;
        }
    }
    for (int32_t i = 0; i < node->attribute_count; i++) {
        if (node->attributes[i].type == OCT_ATTRIBUTE_GRAPH) {
            return false;
        }
    }
    return true;
}

typedef struct Evaluation {
    const OctNode *node;
    OctetTensor **outputs;
    OctView *input_views;
    OctView *output_views;
    size_t max_bytes;
    OctetDiagnostic *diagnostic;
} Evaluation;

static OctetStatus give_output(Evaluation *evaluation, int32_t k, const OctetShape *shape) {
    const OctValue *value = evaluation->node->outputs[k];
    size_t bytes;
    OCT_TRY(oct_tensor_bytes(oct_value_storage(value), shape, &bytes, evaluation->diagnostic));
    if (bytes > evaluation->max_bytes) {
        return oct_fail_node(evaluation->diagnostic, OCTET_ERROR_LIMIT, evaluation->node->name,
                             "its result of %zu bytes is above the limit", bytes);
    }
    octet_tensor_free(evaluation->outputs[k]);
    evaluation->outputs[k] = NULL;
    OCT_TRY(octet_tensor_create(oct_value_storage(value), shape, &evaluation->outputs[k],
                                evaluation->diagnostic));
    evaluation->output_views[k] =
        (OctView){evaluation->outputs[k]->data, evaluation->outputs[k]->dtype, *shape};
    return OCTET_OK;
}

static OctetStatus resize_output(const OctRun *run, int32_t k, const OctetShape *shape) {
    return give_output(run->engine, k, shape);
}

static OctetStatus bind(Evaluation *evaluation) {
    const OctNode *node = evaluation->node;
    for (int32_t k = 0; k < node->input_count; k++) {
        const OctetTensor *tensor = oct_value_tensor(node->inputs[k]);
        if (tensor) {
            evaluation->input_views[k] = (OctView){tensor->data, tensor->dtype, tensor->shape};
        }
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        const OctValue *value = node->outputs[k];
        if (!value) {
            continue;
        }
        if (value->dtype == OCTET_DTYPE_NONE) {
            return oct_fail_node(evaluation->diagnostic, OCTET_ERROR_UNSUPPORTED, node->name,
                                 "the type of its output %s is not known", value->name);
        }
        if (oct_value_has_static_shape(value)) {
            OCT_TRY(give_output(evaluation, k, &value->shape));
        } else if (!(node->op->flags & OCT_OP_DYNAMIC)) {
            return oct_fail_node(evaluation->diagnostic, OCTET_ERROR_SHAPE, node->name,
                                 "the shape of its output %s is not known", value->name);
        }
    }
    return OCTET_OK;
}

static OctetStatus run_prepared(Evaluation *evaluation, OctPreparedOp *prepared) {
    const OctNode *node = evaluation->node;
    void *workspace = NULL;
    if (prepared->workspace_bytes > WORKSPACE_FACTOR * evaluation->max_bytes ||
        prepared->macs > MOST_MACS) {
        return oct_fail_node(
            evaluation->diagnostic, OCTET_ERROR_LIMIT, node->name,
            "it takes %zu bytes of work space and %.3g multiply-accumulates, which "
            "is above the limit",
            prepared->workspace_bytes, prepared->macs);
    }
    if (prepared->workspace_bytes) {
        workspace = oct_aligned_alloc(prepared->workspace_bytes);
        if (!workspace) {
            return oct_fail_memory(evaluation->diagnostic);
        }
    }
    OctRun run = {.inputs = evaluation->input_views,
                  .outputs = evaluation->output_views,
                  .input_count = node->input_count,
                  .output_count = node->output_count,
                  .workspace = workspace,
                  .diagnostic = evaluation->diagnostic,
                  .resize_output = resize_output,
                  .table_limit = WORKSPACE_FACTOR * (uint64_t)evaluation->max_bytes,
                  .engine = evaluation};
    OctetStatus status = prepared->run(prepared->state, &run);
    oct_aligned_free(workspace);
    return status == OCTET_OK ? oct_noted_go_on(evaluation->diagnostic) : status;
}

OctetStatus oct_node_evaluate(OctGraph *graph, OctNode *node, size_t max_bytes,
                              OctetTensor **outputs, OctetDiagnostic *diagnostic) {
    Evaluation evaluation = {
        .node = node, .outputs = outputs, .max_bytes = max_bytes, .diagnostic = diagnostic};
    OctPreparedOp prepared = {0};
    OctPrepare prepare = {.graph = graph,
                          .node = node,
                          .cpu = octet_get_cpu(),
                          .threads = 1,
                          .table_limit = WORKSPACE_FACTOR * (uint64_t)max_bytes,
                          .diagnostic = diagnostic};
    OctetStatus status = OCTET_OK;
    memset(outputs, 0, (size_t)node->output_count * sizeof *outputs);
    evaluation.input_views = oct_calloc((size_t)node->input_count + 1, sizeof(OctView));
    evaluation.output_views = oct_calloc((size_t)node->output_count + 1, sizeof(OctView));
    if (!evaluation.input_views || !evaluation.output_views) {
        status = oct_fail_memory(diagnostic);
    }
    if (status == OCTET_OK) {
        status = bind(&evaluation);
    }
    if (status == OCTET_OK) {
        status = oct_check_float8(node, diagnostic);
    }
    if (status == OCTET_OK) {
        status = node->op->prepare(&prepare, &prepared);
    }
    if (status == OCTET_OK) {
        status = run_prepared(&evaluation, &prepared);
    }
    if (prepared.destroy) {
        prepared.destroy(prepared.state);
    }
    for (int32_t k = 0; k < node->output_count && status == OCTET_OK; k++) {
        if (outputs[k]) {
            status = octet_tensor_set_qparams(outputs[k], &node->outputs[k]->qparams, diagnostic);
        }
    }
    for (int32_t k = 0; k < node->output_count && status != OCTET_OK; k++) {
        octet_tensor_free(outputs[k]);
        outputs[k] = NULL;
    }
    oct_free(evaluation.input_views);
    oct_free(evaluation.output_views);
    return status;
}
