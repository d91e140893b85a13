#include "bench_report.h"

#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Below this a step's time is mostly that of calling it. */
static const double overhead_seconds = 1e-6;

typedef struct Step {
    OctetNodeInfo info;
    double seconds;      /* of one run */
    double at_peak;      /* that its multiplications take at the peak */
    double at_bandwidth; /* that its bytes take from main memory */
} Step;

static double peak_of(const BenchContext *context, bool int8) {
    double peak = int8 ? context->peak.int8_macs_per_second : context->peak.f32_macs_per_second;
    return peak * context->threads;
}

static Step read_step(const BenchContext *context, size_t index) {
    Step step = {0};
    octet_session_node_info(context->session, index, &step.info);
    double peak = peak_of(context, step.info.int8);
    double bandwidth = context->peak.bytes_per_second;
    step.seconds = step.info.runs ? step.info.seconds / (double)step.info.runs : 0;
    step.at_peak = peak > 0 ? step.info.macs / peak : 0;
    step.at_bandwidth = bandwidth > 0 ? step.info.bytes / bandwidth : 0;
    return step;
}

static const char *bound_of(const Step *step) {
    if (step->seconds < overhead_seconds) {
        return "call";
    }
    return step->at_peak > step->at_bandwidth ? "arithmetic" : "memory";
}

static bool is_conversion(const OctetNodeInfo *info) {
    static const char *const names[] = {"Quantize",       "Dequantize",       "Requantize",
                                        "QuantizeLinear", "DequantizeLinear", "Transpose"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (strcmp(info->op_type, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static double total_seconds(const BenchContext *context) {
    double total = 0;
    for (size_t i = 0; i < octet_session_node_count(context->session); i++) {
        total += read_step(context, i).seconds;
    }
    return total;
}

void bench_print_nodes(const BenchContext *context) {
    double total = total_seconds(context);
    printf("\n  %-32s %-16s %-22s %5s %9s %6s %8s %6s %9s  %s\n", "node", "operator", "kernel",
           "type", "us", "share", "GMAC/s", "peak", "bytes", "bound by");
    for (size_t i = 0; i < octet_session_node_count(context->session); i++) {
        Step step = read_step(context, i);
        const OctetNodeInfo *info = &step.info;
        char bytes[32];
        char speed[16] = "";
        char share[16] = "";
        if (info->macs > 0 && step.seconds > 0) {
            snprintf(speed, sizeof speed, "%.1f", info->macs / step.seconds * 1e-9);
            snprintf(share, sizeof share, "%.0f%%", 100 * step.at_peak / step.seconds);
        }
        printf("  %-32.32s %-16.16s %-22.22s %5s %9.1f %5.1f%% %8s %6s %9s  %s", info->name,
               info->op_type, info->kernel ? info->kernel : "", info->int8 ? "int8" : "float",
               step.seconds * 1e6, total > 0 ? 100 * step.seconds / total : 0, speed, share,
               format_bytes((uint64_t)info->bytes, bytes, sizeof bytes), bound_of(&step));
        printf(!info->int8 && info->float_reason ? " (float: %s)\n" : "\n", info->float_reason);
    }
    printf("  %.1f us in all nodes\n", total * 1e6);
}

/* One way to be faster. */
typedef struct Advice {
    double saved; /* seconds a run, as far as can be told */
    char text[512];
} Advice;

typedef struct AdviceList {
    Advice items[3];
    size_t count;
} AdviceList;

static void consider(AdviceList *list, const Advice *advice) {
    size_t place = list->count < 3 ? list->count++ : 3;
    while (place > 0 && list->items[place - 1].saved < advice->saved) {
        if (place < 3) {
            list->items[place] = list->items[place - 1];
        }
        place--;
    }
    if (place < 3) {
        list->items[place] = *advice;
    }
}

static void advise_float(const BenchContext *context, const Step *step, AdviceList *list) {
    Advice advice = {0};
    double at_int8 = step->info.macs / peak_of(context, true);
    /* what has no multiplications moves a quarter of the bytes as int8 */
    double possible = step->info.macs > 0 ? at_int8 * 1.25 : step->seconds / 4;
    advice.saved = step->seconds - possible;
    snprintf(advice.text, sizeof advice.text,
             "node %s (%s) runs in float%s%s; making it int8 would save about %.3g ms",
             step->info.name, step->info.op_type, step->info.float_reason ? " because " : "",
             step->info.float_reason ? step->info.float_reason : "", advice.saved * 1e3);
    consider(list, &advice);
}

static void advise_slow(const Step *step, AdviceList *list) {
    Advice advice = {0};
    double limit = step->at_peak > step->at_bandwidth ? step->at_peak : step->at_bandwidth;
    advice.saved = step->seconds - limit * 1.1;
    snprintf(advice.text, sizeof advice.text,
             "node %s (%s, %s) takes %.3g ms where %s would allow %.3g ms; a better kernel for "
             "its shape would save up to %.3g ms",
             step->info.name, step->info.op_type, step->info.kernel ? step->info.kernel : "?",
             step->seconds * 1e3,
             step->at_peak > step->at_bandwidth ? "the peak of the arithmetic" : "memory",
             limit * 1e3, advice.saved * 1e3);
    consider(list, &advice);
}

static AdviceList collect(const BenchContext *context) {
    AdviceList list = {0};
    Advice conversions = {0};
    size_t count = 0;
    for (size_t i = 0; i < octet_session_node_count(context->session); i++) {
        Step step = read_step(context, i);
        if (step.seconds < overhead_seconds) {
            continue;
        }
        if (is_conversion(&step.info)) {
            conversions.saved += step.seconds;
            count++;
        } else if (!step.info.int8) {
            advise_float(context, &step, &list);
        } else {
            advise_slow(&step, &list);
        }
    }
    if (count > 0) {
        snprintf(conversions.text, sizeof conversions.text,
                 "%zu conversion%s between float and int8 or between layouts take%s %.3g ms; they "
                 "stand at the borders of the layers that run in float",
                 count, count == 1 ? "" : "s", count == 1 ? "s" : "", conversions.saved * 1e3);
        consider(&list, &conversions);
    }
    return list;
}

void bench_print_advice(const BenchContext *context) {
    AdviceList list = collect(context);
    printf("\nWhat would help most:\n");
    for (size_t i = 0; i < list.count; i++) {
        if (list.items[i].saved > 0) {
            printf("  %zu. %s\n", i + 1, list.items[i].text);
        }
    }
}

json_t *bench_advice_json(const BenchContext *context) {
    AdviceList list = collect(context);
    json_t *array = json_new_array();
    for (size_t i = 0; i < list.count; i++) {
        json_t *object = json_new_object();
        json_add(object, "saved_ms", json_number(list.items[i].saved * 1e3));
        json_add(object, "text", json_text(list.items[i].text));
        json_push(array, object);
    }
    return array;
}

json_t *bench_nodes_json(const BenchContext *context) {
    json_t *array = json_new_array();
    for (size_t i = 0; i < octet_session_node_count(context->session); i++) {
        Step step = read_step(context, i);
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
