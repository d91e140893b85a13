#include "ops/through_float.h"
#include "ops/layout.h"
#include "ops/q8_layer.h"
#include "ops/quantize.h"

/* One tensor that is converted. */
typedef struct Port {
    bool converted;
    OctGrid grid;
    const OctetQParams *qparams;
    size_t offset; /* of its floats in the workspace */
} Port;

typedef struct ThroughFloat {
    OctPreparedOp inner;
    OctetCpu cpu;
    int32_t input_count, output_count;
    int32_t inner_input_count; /* without a fused residual */
    Port *ports;               /* inputs, then outputs */
    size_t inner_offset;
    bool fused;         /* the engine's fusion is done behind the rounding */
    OctQ8Finish finish; /* its table and residual */
} ThroughFloat;

static void destroy(void *state) {
    ThroughFloat *through = state;
    if (through->inner.destroy) {
        through->inner.destroy(through->inner.state);
    }
    oct_free(through->ports);
    oct_free(through);
}

enum { MAX_PORTS = 8 };

static OctetStatus run_through(void *state, const OctRun *run) {
    const ThroughFloat *through = state;
    OctView views[2 * MAX_PORTS];
    OctView *inputs = views, *outputs = views + MAX_PORTS;
    for (int32_t k = 0; k < through->input_count; k++) {
        const Port *port = &through->ports[k];
        inputs[k] = run->inputs[k];
        if (port->converted) {
            inputs[k].data = oct_workspace_at(run, port->offset);
            inputs[k].dtype = OCTET_F32;
            oct_grid_dequantize(&port->grid, through->cpu, port->qparams->scale,
                                port->qparams->zero_point, run->inputs[k].data, inputs[k].data,
                                run->pool);
        }
    }
    for (int32_t k = 0; k < through->output_count; k++) {
        const Port *port = &through->ports[through->input_count + k];
        outputs[k] = run->outputs[k];
        if (port->converted) {
            outputs[k].data = oct_workspace_at(run, port->offset);
            outputs[k].dtype = OCTET_F32;
        }
    }
    OctRun inner = *run;
    inner.inputs = inputs;
    inner.outputs = outputs;
    inner.input_count = through->inner_input_count;
    inner.workspace = oct_workspace_at(run, through->inner_offset);
    OCT_TRY(through->inner.run(through->inner.state, &inner));
    for (int32_t k = 0; k < through->output_count; k++) {
        const Port *port = &through->ports[through->input_count + k];
        if (port->converted) {
            oct_grid_quantize(&port->grid, through->cpu, port->qparams->scale,
                              port->qparams->zero_point, outputs[k].data, run->outputs[k].data,
                              run->pool);
        }
    }
    if (through->fused) {
        int32_t residual = through->finish.residual;
        size_t count = (size_t)oct_view_count(&run->outputs[0]),
               row = through->finish.channel_count;
        if (through->finish.epilogue.table) {
            oct_table_apply(through->cpu, through->finish.epilogue.table, run->outputs[0].data,
                            count, run->pool);
        }
        oct_q8_finish_run(&through->finish, through->cpu, NULL, row ? count / row : 0,
                          residual >= 0 ? run->inputs[residual].data : NULL, run->outputs[0].data,
                          run->pool);
    }
    return OCTET_OK;
}

/* A node without its fusion, for the float operator. */
static OctNode without_fusion(const OctNode *node) {
    OctNode plain = *node;
    if (node->fusion) {
        plain.input_count -= node->fusion->has_residual;
        plain.fusion = NULL;
    }
    return plain;
}

/* The first rounding is to the fusion's grid; table and residual follow as bytes. */
static OctetStatus bind_fusion(const OctPrepare *prepare, ThroughFloat *through) {
    const OctetShape *shape = &prepare->node->outputs[0]->shape;
    OctPrepare as_onnx = *prepare; /* the rounding is this operator's own */
    as_onnx.requantize = OCTET_REQUANTIZE_ONNX;
    if (!prepare->node->fusion) {
        return OCTET_OK;
    }
    through->fused = true;
    OCT_TRY(oct_q8_finish_open(&as_onnx, (size_t)(shape->rank ? shape->dims[shape->rank - 1] : 1),
                               &through->finish));
    through->finish.late_add = through->finish.epilogue.has_add;
    through->ports[through->input_count].qparams = oct_q8_grid(prepare->node);
    return OCTET_OK;
}

static OctetStatus bind_port(const OctPrepare *prepare, const OctValue *value, Port *port,
                             size_t *workspace) {
    size_t bytes;
    if (!value || !oct_value_quantized(value)) {
        return OCTET_OK;
    }
    port->converted = true;
    port->qparams = &value->qparams;
    OCT_TRY(oct_grid_of_value(prepare->node, value, &port->grid, prepare->diagnostic));
    OCT_TRY(oct_tensor_bytes(OCTET_F32, &value->shape, &bytes, prepare->diagnostic));
    return oct_workspace_add(workspace, bytes, &port->offset, prepare->diagnostic);
}

OctetStatus oct_prepare_through_float(const OctPrepare *prepare, OctPreparedOp *prepared,
                                      OctetStatus (*prepare_float)(const OctPrepare *,
                                                                   OctPreparedOp *)) {
    const OctNode *node = prepare->node;
    if (node->input_count > MAX_PORTS || node->output_count > MAX_PORTS) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "has too many inputs or outputs");
    }
    ThroughFloat *through = oct_prepare_state(prepare, prepared, sizeof *through);
    if (!through) {
        return OCTET_ERROR_OUT_OF_MEMORY;
    }
    prepared->run = run_through;
    prepared->destroy = destroy;
    through->cpu = prepare->cpu;
    through->input_count = node->input_count;
    through->output_count = node->output_count;
    through->ports =
        oct_calloc((size_t)node->input_count + (size_t)node->output_count, sizeof *through->ports);
    if (!through->ports) {
        return oct_fail_memory(prepare->diagnostic);
    }
    for (int32_t k = 0; k < node->input_count; k++) {
        OCT_TRY(
            bind_port(prepare, node->inputs[k], &through->ports[k], &prepared->workspace_bytes));
    }
    for (int32_t k = 0; k < node->output_count; k++) {
        OCT_TRY(bind_port(prepare, node->outputs[k], &through->ports[node->input_count + k],
                          &prepared->workspace_bytes));
    }
    OCT_TRY(bind_fusion(prepare, through));
    OctNode plain = without_fusion(node);
    OctPrepare inner = *prepare;
    inner.node = &plain;
    through->inner_input_count = plain.input_count;
    OCT_TRY(prepare_float(&inner, &through->inner));
    prepared->kernel = through->inner.kernel;
    prepared->cpu = through->inner.cpu;
    prepared->macs = through->inner.macs;
    return oct_workspace_add(&prepared->workspace_bytes, through->inner.workspace_bytes,
                             &through->inner_offset, prepare->diagnostic);
}
