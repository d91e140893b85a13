/* Operators that pass their input on: Identity, Dropout when inferring. */
#include "ops/dropout.h"
#include "ops/ops.h"

#include <string.h>

static OctetStatus infer_identity(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    OCT_TRY(oct_infer_same(graph, node, diagnostic));
    OctValue *output = oct_node_output(node, 0);
    if (output) {
        output->kind = node->inputs[0]->kind;
    }
    int64_t known[OCT_MAX_INTS];
    int32_t count = output ? oct_value_known_ints(node->inputs[0], known, OCT_MAX_INTS) : -1;
    return count >= 0 ? oct_set_known(graph, output, known, count, diagnostic) : OCTET_OK;
}

/* The mask says which elements are kept: all of them. Before opset 10 it has the input's type. */
static OctetStatus infer_dropout(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    OctetDType mask = node->opset < 10 ? oct_input_dtype(node, 0) : OCTET_BOOL;
    oct_set_output(node, 1, mask, oct_input_shape(node, 0));
    return infer_identity(graph, node, diagnostic);
}

bool oct_dropout_passes(const OctNode *node) {
    const OctValue *training = oct_node_input(node, 2);
    const OctetTensor *mode = oct_value_tensor(training);
    const OctetTensor *ratio = oct_value_tensor(oct_node_input(node, 1));
    if (!training || (mode && mode->bytes == 1 && *(const uint8_t *)mode->data == 0)) {
        return true;
    }
    return ratio && ratio->dtype == OCTET_F32 && ratio->bytes > 0 &&
           *(const float *)ratio->data == 0.0f;
}

static OctetStatus check_dropout(const OctGraph *graph, const OctNode *node,
                                 OctetDiagnostic *diagnostic) {
    (void)graph;
    const OctetTensor *training = oct_value_tensor(oct_node_input(node, 2));
    if (training && training->bytes > 0 && !oct_dropout_passes(node)) {
        return oct_fail_op(diagnostic, OCTET_ERROR_UNSUPPORTED, node, "is in training mode");
    }
    return OCTET_OK;
}

static OctetStatus run_copy(void *state, const OctRun *run) {
    (void)state;
    size_t bytes = 0;
    OCT_TRY(oct_run_output(run, 0, &run->inputs[0].shape));
    OCT_TRY(oct_tensor_bytes(run->inputs[0].dtype, &run->inputs[0].shape, &bytes, run->diagnostic));
    if (bytes > 0 && run->outputs[0].data != run->inputs[0].data) {
        memcpy(run->outputs[0].data, run->inputs[0].data, bytes);
    }
    if (run->output_count > 1 && run->outputs[1].data) {
        int64_t one = 1;
        size_t size = octet_dtype_size(run->outputs[1].dtype);
        char *mask = run->outputs[1].data;
        for (int64_t i = 0; i < oct_view_count(&run->inputs[0]); i++, mask += size) {
            OCT_TRY(oct_convert(run->outputs[1].dtype, mask, OCTET_S64, &one, 1, run->diagnostic));
        }
    }
    return OCTET_OK;
}

/* Whether it is training is known only now. */
static OctetStatus run_dropout(void *state, const OctRun *run) {
    if (run->inputs[2].data && *(const uint8_t *)run->inputs[2].data != 0) {
        return oct_fail_op(run->diagnostic, OCTET_ERROR_UNSUPPORTED, state, "is in training mode");
    }
    return run_copy(state, run);
}

static OctetStatus prepare_copy(const OctPrepare *prepare, OctPreparedOp *prepared) {
    prepared->state = (void *)(uintptr_t)prepare->node;
    prepared->run = run_copy;
    prepared->kernel = "copy";
    return OCTET_OK;
}

static OctetStatus prepare_dropout(const OctPrepare *prepare, OctPreparedOp *prepared) {
    OCT_TRY(prepare_copy(prepare, prepared));
    if (!oct_dropout_passes(prepare->node)) {
        prepared->run = run_dropout;
    }
    return OCTET_OK;
}

#define FLAGS                                                                                      \
    (OCT_OP_FLOAT8 | OCT_OP_ELEMENTWISE | OCT_OP_MOVES_DATA | OCT_OP_INT8 | OCT_OP_INPLACE |       \
     OCT_OP_VIEW)

const OctOp oct_ops_identity[] = {
    {"", "Identity", 1, 0, FLAGS, 1, 1, 1, 1, NULL, infer_identity, prepare_copy},
    {"", "Dropout", 7, 0, FLAGS, 1, 3, 1, 2, check_dropout, infer_dropout, prepare_dropout},
};
OCT_OPS_COUNT(identity);
