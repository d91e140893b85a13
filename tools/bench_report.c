#include "bench_report.h"
#include "bench_steps.h"

#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Below this a step's time is mostly that of calling it. */
static const double overhead_seconds = 1e-6;

double bench_peak(const BenchContext *context, bool int8) {
    double peak = int8 ? context->peak.int8_macs_per_second : context->peak.f32_macs_per_second;
    return peak * context->threads;
}

BenchStep bench_step(const BenchContext *context, size_t index) {
    BenchStep step = {0};
    octet_session_node_info(context->session, index, &step.info);
    double peak = bench_peak(context, step.info.int8);
    double bandwidth = context->peak.bytes_per_second;
    step.seconds = context->node_seconds[index];
    step.at_peak = peak > 0 ? step.info.macs / peak : 0;
    step.at_bandwidth = bandwidth > 0 ? step.info.bytes / bandwidth : 0;
    return step;
}

static const char *bound_of(const BenchStep *step) {
    if (step->seconds < overhead_seconds) {
        return "call";
    }
    return step->at_peak > step->at_bandwidth ? "arithmetic" : "memory";
}

static double total_seconds(const BenchContext *context) {
    double total = 0;
    for (size_t i = 0; i < octet_session_node_count(context->session); i++) {
        total += bench_step(context, i).seconds;
    }
    return total;
}

/* The end of a name that is too long, where names differ. */
static const char *short_name(const char *name, char *buffer, size_t size) {
    size_t length = strlen(name);
    if (length < size) {
        return name;
    }
    snprintf(buffer, size, "..%s", name + length - (size - 3));
    return buffer;
}

static void print_node(const BenchContext *context, const BenchStep *step, double total) {
    const OctetNodeInfo *info = &step->info;
    char name[37];
    char bytes[32];
    char speed[16] = "";
    char share[16] = "";
    if (info->macs > 0 && step->seconds > 0) {
        snprintf(speed, sizeof speed, "%.1f", info->macs / step->seconds * 1e-9);
        snprintf(share, sizeof share, "%.0f%%", 100 * step->at_peak / step->seconds);
    }
    printf("  %-36s %-20s %-24s %-11s %5s %9.1f %5.1f%% %8s %6s %9s  %s",
           short_name(info->name, name, sizeof name), info->op_type, info->kernel, info->cpu,
           info->int8 ? "int8" : "float", step->seconds * 1e6,
           total > 0 ? 100 * step->seconds / total : 0, speed, share,
           format_bytes((uint64_t)info->bytes, bytes, sizeof bytes), bound_of(step));
    printf(!info->int8 && info->float_reason && context->quantized ? " (float: %s)\n" : "\n",
           info->float_reason);
}

void bench_print_nodes(const BenchContext *context) {
    double total = total_seconds(context);
    printf("\n  %-36s %-20s %-24s %-11s %5s %9s %6s %8s %6s %9s  %s\n", "node", "operator",
           "kernel", "level", "type", "us", "share", "GMAC/s", "peak", "bytes", "bound by");
    for (size_t i = 0; i < octet_session_node_count(context->session); i++) {
        BenchStep step = bench_step(context, i);
        print_node(context, &step, total);
    }
    printf("  %.1f us in all nodes\n", total * 1e6);
    if (!context->quantized) {
        printf("  All nodes run in float because the model is not quantized.\n");
    }
}

json_t *bench_nodes_json(const BenchContext *context) {
    json_t *array = json_new_array();
    for (size_t i = 0; i < octet_session_node_count(context->session); i++) {
        BenchStep step = bench_step(context, i);
        json_t *object = json_new_object();
        json_add(object, "name", json_text(step.info.name));
        json_add(object, "op_type", json_text(step.info.op_type));
        json_add(object, "kernel", json_text(step.info.kernel));
        json_add(object, "cpu", json_text(step.info.cpu));
        json_add(object, "int8", json_boolean(step.info.int8));
        json_add(object, "float_reason", json_text(step.info.float_reason));
        json_add(object, "us", json_number(step.seconds * 1e6));
        json_add(object, "macs", json_number(step.info.macs));
        json_add(object, "bytes", json_number(step.info.bytes));
        json_add(object, "gmacs_per_second",
                 json_number(step.seconds > 0 ? step.info.macs / step.seconds * 1e-9 : 0));
        json_add(object, "peak_share",
                 json_number(step.seconds > 0 ? step.at_peak / step.seconds : 0));
        json_add(object, "bound_by", json_text(bound_of(&step)));
        json_push(array, object);
    }
    return array;
}
