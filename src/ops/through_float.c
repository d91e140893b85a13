#include "ops/through_float.h"
#include "ops/layout.h"
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
    Port *ports; /* inputs, then outputs */
    size_t inner_offset;
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
    if (node->fusion || node->input_count > MAX_PORTS || node->output_count > MAX_PORTS) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_UNSUPPORTED, node,
                           "can't be fused in this form");
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
        oct_calloc((size_t)(node->input_count + node->output_count), sizeof *through->ports);
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
    OCT_TRY(prepare_float(prepare, &through->inner));
    prepared->kernel = through->inner.kernel;
    prepared->cpu = through->inner.cpu;
    prepared->macs = through->inner.macs;
    return oct_workspace_add(&prepared->workspace_bytes, through->inner.workspace_bytes,
                             &through->inner_offset, prepare->diagnostic);
}
