#include "conformance.h"
#include "limits.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void fail_case(CaseOutcome *outcome, CaseResult result, const OctetDiagnostic *diagnostic) {
    outcome->result = result;
    octet_diagnostic_format(diagnostic, outcome->reason, sizeof outcome->reason);
}

/* ---- comparing ---- */

static double float8_at(const OctetTensor *tensor, int64_t i) {
    const OctetShape scalar = {.rank = 0};
    OctetTensor *one = NULL, *wide = NULL;
    double value = NAN;
    if (octet_tensor_wrap(tensor->dtype, &scalar, (char *)tensor->data + i, 1, &one, NULL) ==
            OCTET_OK &&
        octet_tensor_cast(one, OCTET_F64, &wide, NULL) == OCTET_OK) {
        value = *(const double *)wide->data;
    }
    octet_tensor_free(wide);
    octet_tensor_free(one);
    return value;
}

static double number_at(const OctetTensor *tensor, int64_t i) {
    const char *at = (const char *)tensor->data + (size_t)i * octet_dtype_size(tensor->dtype);
    float f32;
    double f64;
    int64_t wide = 0;
    switch (tensor->dtype) {
    case OCTET_F32:
        memcpy(&f32, at, sizeof f32);
        return (double)f32;
    case OCTET_F64:
        memcpy(&f64, at, sizeof f64);
        return f64;
    case OCTET_S8:
        return *(const int8_t *)at;
    case OCTET_S16:
        return *(const int16_t *)(const void *)at;
    case OCTET_S32:
        return *(const int32_t *)(const void *)at;
    case OCTET_S64:
        memcpy(&wide, at, sizeof wide);
        return (double)wide;
    case OCTET_F8E4M3FN:
    case OCTET_F8E4M3FNUZ:
    case OCTET_F8E5M2:
    case OCTET_F8E5M2FNUZ:
        return float8_at(tensor, i);
    default: /* unsigned, on a little-endian machine */
        memcpy(&wide, at, octet_dtype_size(tensor->dtype));
        return (double)(uint64_t)wide;
    }
}

static bool close_enough(double got, double expected, const Tolerance *tolerance) {
    if (got == expected || (isnan(got) && isnan(expected))) {
        return true;
    }
    return isfinite(got) && isfinite(expected) &&
           fabs(got - expected) <= tolerance->absolute + tolerance->relative * fabs(expected);
}

/* Writes the first difference; false if there is one. */
static bool compare_tensors(const char *name, const OctetTensor *got, const OctetTensor *expected,
                            const Tolerance *tolerance, CaseOutcome *outcome) {
    char got_shape[100];
    char expected_shape[100];
    octet_shape_format(&got->shape, got_shape, sizeof got_shape);
    octet_shape_format(&expected->shape, expected_shape, sizeof expected_shape);
    outcome->result = CASE_FAILED;
    if (got->dtype != expected->dtype || !octet_shape_equal(&got->shape, &expected->shape)) {
        snprintf(outcome->reason, sizeof outcome->reason, "output %s is %s %s, expected %s %s",
                 name, octet_dtype_name(got->dtype), got_shape, octet_dtype_name(expected->dtype),
                 expected_shape);
        return false;
    }
    int64_t count = 0;
    octet_shape_count(&got->shape, &count);
    size_t size = octet_dtype_size(got->dtype);
    bool real = got->dtype == OCTET_F32 || got->dtype == OCTET_F64;
    for (int64_t i = 0; i < count; i++) {
        double a = number_at(got, i);
        double b = number_at(expected, i);
        bool same = real ? close_enough(a, b, tolerance)
                         : memcmp((const char *)got->data + (size_t)i * size,
                                  (const char *)expected->data + (size_t)i * size, size) == 0;
        if (!same) {
            snprintf(outcome->reason, sizeof outcome->reason,
                     "output %s, element %" PRId64 " of %s: %.9g, expected %.9g", name, i,
                     got_shape, a, b);
            return false;
        }
    }
    outcome->result = CASE_PASSED;
    return true;
}

static const char *kind_name(const OctetTensor *value) {
    return value->kind == OCTET_KIND_SEQUENCE   ? "a sequence"
           : value->kind == OCTET_KIND_OPTIONAL ? "absent"
                                                : "a tensor";
}

static bool compare(const char *name, const OctetTensor *got, const OctetTensor *expected,
                    const Tolerance *tolerance, CaseOutcome *outcome) {
    outcome->result = CASE_FAILED;
    if (got->kind != expected->kind) {
        snprintf(outcome->reason, sizeof outcome->reason, "output %s is %s, expected %s", name,
                 kind_name(got), kind_name(expected));
        return false;
    }
    if (got->kind == OCTET_KIND_TENSOR) {
        return compare_tensors(name, got, expected, tolerance, outcome);
    }
    if (got->item_count != expected->item_count) {
        snprintf(outcome->reason, sizeof outcome->reason, "output %s has %zu tensors, expected %zu",
                 name, got->item_count, expected->item_count);
        return false;
    }
    outcome->result = CASE_PASSED;
    for (size_t i = 0; i < got->item_count; i++) {
        char item[200];
        snprintf(item, sizeof item, "%.150s[%zu]", name, i);
        if (!compare_tensors(item, got->items[i], expected->items[i], tolerance, outcome)) {
            return false;
        }
    }
    return true;
}

/* ---- running ---- */

static bool exists(const char *path) {
    return access(path, R_OK) == 0;
}

static bool read_values(const char *folder, const OctetGraph *graph, bool inputs, size_t count,
                        OctetTensor **values, CaseOutcome *outcome) {
    for (size_t k = 0; k < count; k++) {
        char path[4200];
        OctetDiagnostic diagnostic = {0};
        uint32_t kind = octet_value_kind(inputs ? octet_graph_input_at(graph, k)
                                                : octet_graph_output_at(graph, k));
        snprintf(path, sizeof path, inputs ? "%s/input_%zu.pb" : "%s/output_%zu.pb", folder, k);
        OctetStatus status = octet_value_load_pb(path, kind, &values[k], &diagnostic);
        if (status != OCTET_OK) {
            bool lacks = status == OCTET_ERROR_UNSUPPORTED;
            fail_case(outcome, lacks ? CASE_UNSUPPORTED : CASE_FAILED, &diagnostic);
            return false;
        }
    }
    return true;
}

typedef struct Set {
    size_t input_count, output_count;
    OctetTensor **inputs, **expected;
    const OctetTensor **outputs;
} Set;

static void free_set(Set *set) {
    for (size_t k = 0; set->inputs && k < set->input_count; k++) {
        octet_tensor_free(set->inputs[k]);
    }
    for (size_t k = 0; set->expected && k < set->output_count; k++) {
        octet_tensor_free(set->expected[k]);
    }
    free(set->inputs);
    free(set->expected);
    free(set->outputs);
}

static void run_set(const char *folder, const OctetGraph *graph, OctetSession *session,
                    const Tolerance *tolerance, CaseOutcome *outcome) {
    Set set = {.input_count = octet_graph_input_count(graph),
               .output_count = octet_graph_output_count(graph)};
    set.inputs = calloc(set.input_count + 1, sizeof *set.inputs);
    set.expected = calloc(set.output_count + 1, sizeof *set.expected);
    set.outputs = calloc(set.output_count + 1, sizeof *set.outputs);
    OctetDiagnostic diagnostic = {0};
    if (!set.inputs || !set.expected || !set.outputs) {
        outcome->result = CASE_FAILED;
        snprintf(outcome->reason, sizeof outcome->reason, "out of memory");
    } else if (read_values(folder, graph, true, set.input_count, set.inputs, outcome) &&
               read_values(folder, graph, false, set.output_count, set.expected, outcome)) {
        OctetStatus status =
            octet_session_run(session, (const OctetTensor *const *)set.inputs, set.input_count,
                              set.outputs, set.output_count, &diagnostic);
        if (status != OCTET_OK) {
            bool lacks = status == OCTET_ERROR_UNSUPPORTED;
            fail_case(outcome, lacks ? CASE_UNSUPPORTED : CASE_FAILED, &diagnostic);
        }
        for (size_t k = 0; status == OCTET_OK && k < set.output_count; k++) {
            const char *name = octet_value_name(octet_graph_output_at(graph, k));
            if (!compare(name, set.outputs[k], set.expected[k], tolerance, outcome)) {
                break;
            }
        }
    }
    free_set(&set);
}

void conformance_run(const char *folder, const Tolerance *tolerance, OctetThreadPool *pool,
                     CaseOutcome *outcome) {
    char path[4160];
    OctetGraph *graph = NULL;
    OctetSession *session = NULL;
    OctetDiagnostic diagnostic = {0};
    const OctetLoadOptions load = load_limits();
    const OctetSessionOptions options = {
        .pool = pool, .limits = run_limits(), .int8_outputs = true};
    *outcome = (CaseOutcome){.result = CASE_PASSED};
    snprintf(path, sizeof path, "%s/model.onnx", folder);
    OctetStatus status = octet_model_load(path, &load, &graph, &diagnostic);
    if (status == OCTET_OK) {
        status = octet_session_create(graph, &options, &session, &diagnostic);
    }
    if (status != OCTET_OK) {
        bool lacks = status == OCTET_ERROR_UNSUPPORTED;
        fail_case(outcome, lacks ? CASE_UNSUPPORTED : CASE_FAILED, &diagnostic);
    }
    for (int n = 0; outcome->result == CASE_PASSED; n++) {
        snprintf(path, sizeof path, "%s/test_data_set_%d", folder, n);
        if (!exists(path)) {
            if (n == 0) {
                outcome->result = CASE_FAILED;
                snprintf(outcome->reason, sizeof outcome->reason, "there is no test_data_set_0");
            }
            break;
        }
        run_set(path, graph, session, tolerance, outcome);
    }
    octet_session_free(session);
    octet_graph_free(graph);
}
