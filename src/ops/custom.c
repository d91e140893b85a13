/* Operators that the user of the library brings along. */
#include "octet/operators.h"
#include "ops/ops.h"

#include <string.h>

enum { MAX_CUSTOM = 256 };

typedef struct Custom {
    OctOp op; /* first, so that node->op leads to the rest */
    OctetCustomOperator custom;
} Custom;

static Custom registered[MAX_CUSTOM];
static int registered_count;

const OctOp *oct_custom_find(const char *domain, const char *name, int64_t opset) {
    for (int i = 0; i < registered_count; i++) {
        const OctOp *op = &registered[i].op;
        if (strcmp(op->name, name) == 0 && strcmp(op->domain, domain) == 0 && opset >= op->since &&
            (op->until == 0 || opset <= op->until)) {
            return op;
        }
    }
    return NULL;
}

static const OctetCustomOperator *custom_of(const OctNode *node) {
    return &((const Custom *)(const void *)node->op)->custom;
}

/* ---- infer ---- */

static OctetStatus infer_custom(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    const OctetCustomOperator *custom = custom_of(node);
    (void)graph;
    size_t inputs = (size_t)node->input_count;
    size_t outputs = (size_t)node->output_count;
    OctetTensorInfo *infos = oct_calloc(inputs + outputs + 1, sizeof *infos);
    if (!infos) {
        return oct_fail_memory(diagnostic);
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        infos[k] = (OctetTensorInfo){oct_input_dtype(node, k), *oct_input_shape(node, k)};
    }
    for (size_t k = 0; k < outputs; k++) {
        infos[inputs + k].shape.rank = -1;
    }
    OctetStatus status =
        custom->infer(custom->user, node, infos, inputs, infos + inputs, outputs, diagnostic);
    for (int32_t k = 0; k < node->output_count && status == OCTET_OK; k++) {
        const OctetTensorInfo *info = &infos[inputs + (size_t)k];
        if (info->shape.rank > OCTET_MAX_RANK) {
            status = oct_fail_op(diagnostic, OCTET_ERROR_SHAPE, node, "infers a rank above %d",
                                 OCTET_MAX_RANK);
        } else {
            oct_set_output(node, k, oct_dtype_computed(info->dtype), &info->shape);
        }
    }
    oct_free(infos);
    return status;
}

/* ---- run ---- */

/* Tensors over the views of a run; everything lies behind this struct. */
typedef struct Prepared {
    const OctNode *node;
    OctetTensor *tensors;
    const OctetTensor **inputs;
    OctetTensor **outputs;
} Prepared;

static OctetStatus run_custom(void *state, const OctRun *run) {
    const Prepared *prepared = state;
    const OctetCustomOperator *custom = custom_of(prepared->node);
    for (int32_t k = 0; k < run->input_count + run->output_count; k++) {
        bool input = k < run->input_count;
        const OctView *view = input ? &run->inputs[k] : &run->outputs[k - run->input_count];
        OctetTensor *tensor = &prepared->tensors[k];
        *tensor = (OctetTensor){.dtype = view->dtype, .shape = view->shape, .data = view->data};
        tensor->qparams.axis = -1;
        bool there = view->data != NULL;
        if (there) {
            OCT_TRY(oct_tensor_bytes(view->dtype, &view->shape, &tensor->bytes, run->diagnostic));
        }
        if (input) {
            prepared->inputs[k] = there ? tensor : NULL;
        } else {
            prepared->outputs[k - run->input_count] = there ? tensor : NULL;
        }
    }
    return custom->run(custom->user, prepared->node, prepared->inputs, (size_t)run->input_count,
                       prepared->outputs, (size_t)run->output_count, run->diagnostic);
}

static OctetStatus prepare_custom(const OctPrepare *prepare, OctPreparedOp *op) {
    const OctNode *node = prepare->node;
    size_t inputs = (size_t)node->input_count;
    size_t outputs = (size_t)node->output_count;
    size_t bytes = sizeof(Prepared) + (inputs + outputs) * (sizeof(OctetTensor) + sizeof(void *));
    Prepared *prepared = oct_prepare_state(prepare, op, bytes);
    if (!prepared) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->node = node;
    prepared->tensors = (OctetTensor *)(void *)(prepared + 1);
    prepared->inputs = (const OctetTensor **)(void *)(prepared->tensors + inputs + outputs);
    prepared->outputs = (OctetTensor **)(void *)(prepared->inputs + inputs);
    op->run = run_custom;
    op->kernel = "custom";
    return OCTET_OK;
}

/* ---- registering ---- */

OctetStatus octet_register_operator(const OctetCustomOperator *custom,
                                    OctetDiagnostic *diagnostic) {
    if (!custom || !custom->domain || !custom->name || !custom->name[0] || !custom->infer ||
        !custom->run || custom->min_inputs < 0 || custom->min_outputs < 0) {
        return oct_fail(diagnostic, OCTET_ERROR_INVALID_ARGUMENT,
                        "a custom operator needs a domain, a name, an infer and a run function");
    }
    if (oct_op_find(custom->domain, custom->name, custom->since)) {
        return oct_fail(diagnostic, OCTET_ERROR_STATE, "there is an operator %s.%s already",
                        custom->domain, custom->name);
    }
    if (registered_count == MAX_CUSTOM) {
        return oct_fail(diagnostic, OCTET_ERROR_LIMIT, "there are %d custom operators already",
                        MAX_CUSTOM);
    }
    registered[registered_count++] = (Custom){.op = {.domain = custom->domain,
                                                     .name = custom->name,
                                                     .since = custom->since,
                                                     .until = custom->until,
                                                     .flags = OCT_OP_FLOAT8,
                                                     .min_inputs = custom->min_inputs,
                                                     .max_inputs = custom->max_inputs,
                                                     .min_outputs = custom->min_outputs,
                                                     .max_outputs = custom->max_outputs,
                                                     .infer = infer_custom,
                                                     .prepare = prepare_custom},
                                              .custom = *custom};
    return OCTET_OK;
}

/* ---- attributes ---- */

int64_t octet_node_attribute_int(const OctetNode *node, const char *name, int64_t fallback) {
    return oct_node_int(node, name, fallback);
}

float octet_node_attribute_float(const OctetNode *node, const char *name, float fallback) {
    return oct_node_float(node, name, fallback);
}

const char *octet_node_attribute_string(const OctetNode *node, const char *name,
                                        const char *fallback) {
    return oct_node_string(node, name, fallback);
}

size_t octet_node_attribute_ints(const OctetNode *node, const char *name, const int64_t **ints) {
    return (size_t)oct_node_ints(node, name, ints);
}
