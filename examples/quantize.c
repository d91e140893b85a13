/* quantize MODEL.onnx SAMPLES OUT.onnx: a float model and sample data become an int8 model.
 * SAMPLES is a folder of images, an .npy or .npz file: whatever octet_dataset_open reads. */
#include <octet/data.h>
#include <octet/octet.h>

#include <stdio.h>

/* One pass of all samples through the prepared network. */
static OctetStatus feed(OctetPrepared *prepared, OctetDataset *dataset,
                        OctetDiagnostic *diagnostic) {
    for (int64_t i = 0; i < octet_dataset_count(dataset); i++) {
        OctetTensor *sample;
        bool skipped;
        OctetStatus status = octet_dataset_read(dataset, i, &sample, &skipped, diagnostic);
        if (status == OCTET_OK && !skipped) {
            status = octet_calibrate(prepared, (const OctetTensor *[]){sample}, 1, diagnostic);
            octet_tensor_free(sample);
        }
        if (status != OCTET_OK) {
            return status;
        }
    }
    return OCTET_OK;
}

int main(int argc, char **argv) {
    OctetDiagnostic diagnostic = {0};
    OctetGraph *graph = NULL;
    OctetGraph *quantized = NULL;
    OctetPrepared *prepared = NULL;
    OctetDataset *dataset = NULL;
    OctetDataInput input = {0};
    OctetDatasetOptions data = {.inputs = &input, .input_count = 1};
    OctetStatus status;
    if (argc != 4) {
        fprintf(stderr, "usage: quantize MODEL.onnx SAMPLES OUT.onnx\n");
        return 2;
    }
    if ((status = octet_model_load(argv[1], NULL, &graph, &diagnostic)) != OCTET_OK ||
        (status = octet_fuse(graph, &diagnostic)) != OCTET_OK ||
        (status = octet_prepare(graph, NULL, NULL, &prepared, &diagnostic)) != OCTET_OK) {
        goto done;
    }
    const OctetValue *value = octet_graph_input_at(graph, 0);
    input.name = octet_value_name(value);
    input.dtype = octet_value_dtype(value);
    input.shape = octet_value_shape(value);
    octet_preprocess_preset("raw", &data.preprocess);
    if ((status = octet_dataset_open(argv[2], &data, &dataset, &diagnostic)) != OCTET_OK) {
        goto done;
    }
    for (int pass = 0; pass < octet_calibrate_passes(prepared); pass++) {
        if ((pass > 0 && (status = octet_calibrate_next_pass(prepared, &diagnostic)) != OCTET_OK) ||
            (status = feed(prepared, dataset, &diagnostic)) != OCTET_OK) {
            goto done;
        }
    }
    if ((status = octet_convert(prepared, NULL, &quantized, NULL, &diagnostic)) == OCTET_OK) {
        status = octet_model_save(quantized, argv[3], NULL, &diagnostic);
    }
done:
    octet_dataset_free(dataset);
    octet_prepared_free(prepared);
    octet_graph_free(quantized);
    octet_graph_free(graph);
    if (status != OCTET_OK) {
        char text[1500];
        octet_diagnostic_format(&diagnostic, text, sizeof text);
        fprintf(stderr, "quantize: %s\n", text);
    }
    return status == OCTET_OK ? 0 : 1;
}
