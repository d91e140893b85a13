#include "quantize_report.h"

#include "common.h"
#include "report.h"

#include <stdio.h>

/* Calls visit for every node that is left in float with a reason to name. */
static void each_float_node(const OctetGraph *graph,
                            void (*visit)(const OctetNode *node, const char *reason, void *user),
                            void *user) {
    for (size_t i = 0; graph && i < octet_graph_node_count(graph); i++) {
        const OctetNode *node = octet_graph_node_at(graph, i);
        const char *reason = octet_node_float_reason(node);
        if (!node_in_int8(node) && reason) {
            visit(node, reason, user);
        }
    }
}

static void add_float_node(const OctetNode *node, const char *reason, void *user) {
    json_t *object = json_new_object();
    json_add(object, "name", json_text(octet_node_name(node)));
    json_add(object, "op_type", json_text(octet_node_op_type(node)));
    json_add(object, "reason", json_text(reason));
    json_push(user, object);
}

static void print_float_node(const OctetNode *node, const char *reason, void *user) {
    (void)user;
    printf("    %s (%s): %s\n", octet_node_name(node), octet_node_op_type(node), reason);
}

static json_t *json_repairs(const OctetConvertReport *report) {
    json_t *array = json_new_array();
    for (size_t i = 0; i < report->repair_count; i++) {
        const OctetBiasRepair *repair = &report->repairs[i];
        json_t *object = json_new_object();
        json_add(object, "node", json_text(repair->node));
        json_add(object, "channel", json_integer(repair->channel));
        json_add(object, "bias", json_number((double)repair->bias));
        json_add(object, "scale_before", json_number((double)repair->scale_before));
        json_add(object, "scale_after", json_number((double)repair->scale_after));
        json_add(object, "bias_before", json_number(repair->bias_before));
        json_add(object, "bias_after", json_integer(repair->bias_after));
        json_push(array, object);
    }
    return array;
}

void quantize_print_json(const QuantizeResult *result) {
    json_t *object = json_new_object();
    json_t *float_nodes = json_new_array();
    each_float_node(result->quantized, add_float_node, float_nodes);
    json_add(object, "output", json_text(result->output));
    json_add(object, "quantized_nodes", json_integer((json_int_t)result->report.quantized_nodes));
    json_add(object, "float_nodes", float_nodes);
    json_add(object, "repaired_biases", json_repairs(&result->report));
    json_add(object, "bytes_before", json_integer((json_int_t)file_bytes(result->model)));
    json_add(object, "bytes_after",
             result->output ? json_integer((json_int_t)file_bytes(result->output)) : json_null());
    json_add(object, "samples", json_integer(result->calibrated));
    json_add(object, "skipped", json_integer(result->skipped));
    json_add(object, "seconds", json_number(result->seconds));
    json_add(object, "calibration_seconds", json_number(result->calibration_seconds));
    json_add(object, "peak_rss_bytes", json_integer((json_int_t)peak_rss_bytes()));
    json_print(object);
}

static void print_repairs(const OctetConvertReport *report) {
    enum { SHOWN = 10 };
    for (size_t i = 0; i < report->repair_count && i < SHOWN; i++) {
        const OctetBiasRepair *repair = &report->repairs[i];
        printf("    %s, channel %lld: bias %g did not fit (%.4g); weight scale %g -> %g\n",
               repair->node, (long long)repair->channel, (double)repair->bias, repair->bias_before,
               (double)repair->scale_before, (double)repair->scale_after);
    }
    if (report->repair_count > SHOWN) {
        printf("    and %zu more (--json lists all)\n", report->repair_count - SHOWN);
    }
}

void quantize_print_text(const QuantizeResult *result) {
    char before[32], after[32], time[32], calibration[32], memory[32];
    if (result->save_stats) {
        printf("%s: statistics of %lld samples\n", result->save_stats,
               (long long)result->calibrated);
    }
    if (result->output) {
        uint64_t bytes_before = file_bytes(result->model);
        uint64_t bytes_after = file_bytes(result->output);
        printf("%s:\n", result->output);
        printf("  in int8          %zu layers\n", result->report.quantized_nodes);
        printf("  left in float    %zu layers\n", result->report.float_nodes);
        each_float_node(result->quantized, print_float_node, NULL);
        printf("  biases repaired  %zu\n", result->report.repair_count);
        print_repairs(&result->report);
        printf("  size             %s -> %s (%.1f %%)\n",
               format_bytes(bytes_before, before, sizeof before),
               format_bytes(bytes_after, after, sizeof after),
               bytes_before ? 100.0 * (double)bytes_after / (double)bytes_before : 0.0);
    }
    if (result->calib) {
        printf("  calibrated on    %lld samples", (long long)result->calibrated);
        if (result->skipped > 0) {
            printf(", %lld unreadable ones skipped", (long long)result->skipped);
        }
        printf(", in %s\n",
               format_seconds(result->calibration_seconds, calibration, sizeof calibration));
    }
    printf("  time             %s, peak memory %s\n",
           format_seconds(result->seconds, time, sizeof time),
           format_bytes(peak_rss_bytes(), memory, sizeof memory));
}
