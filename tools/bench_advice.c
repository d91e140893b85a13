/* octet bench --per-node: the three things that would help most. Nodes that are alike (operator,
 * kernel, reason) are one thing: a network's layers come in dozens. */
#include "bench_steps.h"
#include "common.h"
#include "report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef enum AdviceKind {
    ADVICE_FLOAT = 0,  /* computes in float and could be int8 */
    ADVICE_SLOW,       /* int8, slower than the machine allows */
    ADVICE_CONVERSION, /* between float and int8, or from grid to grid */
    ADVICE_LAYOUT      /* moves data from one order to another */
} AdviceKind;

typedef struct Advice {
    AdviceKind kind;
    OctetNodeInfo info; /* of the slowest of them */
    double slowest;
    size_t count;
    double seconds, possible; /* of all together, a run */
    bool arithmetic;          /* what limits the slowest */
} Advice;

typedef struct AdviceList {
    Advice *items;
    size_t count;
} AdviceList;

static bool named(const OctetNodeInfo *info, const char *const *names, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (strcmp(info->op_type, names[i]) == 0) {
            return true;
        }
    }
    return false;
}

static AdviceKind kind_of(const OctetNodeInfo *info) {
    static const char *const conversions[] = {"Quantize", "Dequantize", "Requantize",
                                              "QuantizeLinear", "DequantizeLinear"};
    static const char *const movers[] = {"Transpose", "DepthToSpace", "SpaceToDepth"};
    if (named(info, conversions, sizeof conversions / sizeof *conversions)) {
        return ADVICE_CONVERSION;
    }
    if (named(info, movers, sizeof movers / sizeof *movers)) {
        return ADVICE_LAYOUT;
    }
    return info->int8 ? ADVICE_SLOW : ADVICE_FLOAT;
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static Advice *find(AdviceList *list, AdviceKind kind, const OctetNodeInfo *info) {
    for (size_t i = 0; i < list->count; i++) {
        Advice *advice = &list->items[i];
        bool alike = kind == ADVICE_CONVERSION || kind == ADVICE_LAYOUT ||
                     (strcmp(advice->info.op_type, info->op_type) == 0 &&
                      same_text(advice->info.kernel, info->kernel) &&
                      same_text(advice->info.float_reason, info->float_reason));
        if (advice->kind == kind && alike) {
            return advice;
        }
    }
    list->items[list->count] = (Advice){.kind = kind};
    return &list->items[list->count++];
}

/* What a step could take at best, by what can be told of it. */
static double possible_seconds(const BenchContext *context, const BenchStep *step,
                               AdviceKind kind) {
    double limit = step->at_peak > step->at_bandwidth ? step->at_peak : step->at_bandwidth;
    switch (kind) {
    case ADVICE_CONVERSION:
    case ADVICE_LAYOUT:
        return 0;
    case ADVICE_SLOW:
        return limit * 1.1;
    default:
        /* what has no multiplications moves a quarter of the bytes as int8 */
        return step->info.macs > 0 ? step->info.macs / bench_peak(context, true) * 1.25
                                   : step->seconds / 4;
    }
}

static int most_saved_first(const void *a, const void *b) {
    const Advice *x = a;
    const Advice *y = b;
    double left = x->seconds - x->possible;
    double right = y->seconds - y->possible;
    return (left < right) - (left > right);
}

/* All there is to say, the best first. */
static AdviceList collect(const BenchContext *context) {
    size_t count = octet_session_node_count(context->session);
    AdviceList list = {checked_calloc(count + 1, sizeof(Advice)), 0};
    for (size_t i = 0; i < count; i++) {
        BenchStep step = bench_step(context, i);
        AdviceKind kind = kind_of(&step.info);
        double possible = possible_seconds(context, &step, kind);
        if (step.seconds <= possible) {
            continue;
        }
        Advice *advice = find(&list, kind, &step.info);
        advice->count++;
        advice->seconds += step.seconds;
        advice->possible += possible;
        if (step.seconds > advice->slowest) {
            advice->slowest = step.seconds;
            advice->info = step.info;
            advice->arithmetic = step.at_peak > step.at_bandwidth;
        }
    }
    qsort(list.items, list.count, sizeof *list.items, most_saved_first);
    return list;
}

/* "node conv1 (Conv)", or "the 12 nodes like conv1 (Conv, q8_conv)". */
static void name_nodes(const Advice *advice, char *text, size_t size) {
    const OctetNodeInfo *info = &advice->info;
    bool kernel = advice->kind == ADVICE_SLOW && info->kernel[0];
    if (advice->count == 1) {
        snprintf(text, size, "node %.150s (%s%s%s)", info->name, info->op_type, kernel ? ", " : "",
                 kernel ? info->kernel : "");
    } else {
        snprintf(text, size, "%zu nodes like %.150s (%s%s%s)", advice->count, info->name,
                 info->op_type, kernel ? ", " : "", kernel ? info->kernel : "");
    }
}

static void put_in_words(const BenchContext *context, const Advice *advice, char *text,
                         size_t size) {
    char nodes[300];
    bool one = advice->count == 1;
    double saved = (advice->seconds - advice->possible) * 1e3;
    const char *reason = advice->info.float_reason;
    if (!context->quantized) {
        reason = "the model is not quantized";
    }
    name_nodes(advice, nodes, sizeof nodes);
    switch (advice->kind) {
    case ADVICE_FLOAT:
        snprintf(text, size, "%s run%s in float%s%s; making %s int8 would save about %.3g ms",
                 nodes, one ? "s" : "", reason ? " because " : "", reason ? reason : "",
                 one ? "it" : "them", saved);
        break;
    case ADVICE_SLOW:
        snprintf(text, size,
                 "%s take%s %.3g ms where %s would allow %.3g ms; kernels that suit %s shape%s "
                 "would save up to %.3g ms",
                 nodes, one ? "s" : "", advice->seconds * 1e3,
                 advice->arithmetic ? "the peak of the arithmetic" : "memory",
                 advice->possible / 1.1 * 1e3, one ? "its" : "their", one ? "" : "s", saved);
        break;
    case ADVICE_CONVERSION:
        snprintf(text, size,
                 "%zu conversion%s between float and int8 or from one grid to another (%s%.150s) "
                 "take%s %.3g ms; they are where a layer runs in float, or where grids differ",
                 advice->count, one ? "" : "s", one ? "" : "the longest: ", advice->info.name,
                 one ? "s" : "", saved);
        break;
    default:
        snprintf(text, size,
                 "%s bring%s data from one order to another in %.3g ms; a model that keeps its "
                 "layout would save that",
                 nodes, one ? "s" : "", saved);
    }
}

enum { MOST_ADVICE = 3 };

void bench_print_advice(const BenchContext *context) {
    AdviceList list = collect(context);
    char text[700];
    printf("\nWhat would help most:\n");
    for (size_t i = 0; i < list.count && i < MOST_ADVICE; i++) {
        put_in_words(context, &list.items[i], text, sizeof text);
        printf("  %zu. %s\n", i + 1, text);
    }
    free(list.items);
}

json_t *bench_advice_json(const BenchContext *context) {
    AdviceList list = collect(context);
    json_t *array = json_new_array();
    char text[700];
    for (size_t i = 0; i < list.count && i < MOST_ADVICE; i++) {
        json_t *object = json_new_object();
        put_in_words(context, &list.items[i], text, sizeof text);
        json_add(object, "saved_ms",
                 json_number((list.items[i].seconds - list.items[i].possible) * 1e3));
        json_add(object, "text", json_text(text));
        json_push(array, object);
    }
    free(list.items);
    return array;
}
