/* A custom operator in a shared object: com.example.Scaled multiplies by its attribute `factor`.
 *
 *     cc -shared -fPIC -I include examples/plugin/scaled.c -o scaled.so
 *     octet run model.onnx --plugin scaled.so --input x.npy --output y.npy */
#include "octet/octet.h"

static OctetPluginHost octet;

static OctetStatus infer(void *user, const OctetNode *node, const OctetTensorInfo *inputs,
                         size_t input_count, OctetTensorInfo *outputs, size_t output_count,
                         OctetDiagnostic *diagnostic) {
    (void)user;
    (void)node;
    (void)input_count;
    (void)output_count;
    (void)diagnostic;
    outputs[0] = inputs[0];
    return OCTET_OK;
}

static OctetStatus run(void *user, const OctetNode *node, const OctetTensor *const *inputs,
                       size_t input_count, OctetTensor *const *outputs, size_t output_count,
                       OctetDiagnostic *diagnostic) {
    (void)user;
    (void)input_count;
    (void)output_count;
    (void)diagnostic;
    float factor = octet.attribute_float(node, "factor", 1.0f);
    const float *x = inputs[0]->data;
    float *y = outputs[0]->data;
    for (size_t i = 0; i < inputs[0]->bytes / sizeof(float); i++) {
        y[i] = factor * x[i];
    }
    return OCTET_OK;
}

OCTET_PLUGIN_EXPORT OctetStatus octet_plugin(const OctetPluginHost *host,
                                             OctetDiagnostic *diagnostic);

OctetStatus octet_plugin(const OctetPluginHost *host, OctetDiagnostic *diagnostic) {
    static const OctetCustomOperator scaled = {.domain = "com.example",
                                               .name = "Scaled",
                                               .since = 1,
                                               .min_inputs = 1,
                                               .max_inputs = 1,
                                               .min_outputs = 1,
                                               .max_outputs = 1,
                                               .infer = infer,
                                               .run = run};
    octet = *host;
    return host->register_operator(&scaled, diagnostic);
}
