/* octet bench: how fast a model runs, and where its time goes. */
#include "bench_report.h"
#include "commands.h"
#include "common.h"
#include "report.h"
#include "shapes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Settings {
    TextList operands;
    GeneralOptions general;
    int64_t threads, runs, warmup;
    TextList shapes;
    bool per_node;
} Settings;

typedef struct Job {
    const Settings *settings;
    OctetThreadPool *pool;
    OctetGraph *graph;
    OctetSession *session;
    OctetTensor **inputs;
    const OctetTensor **outputs;
    size_t input_count, output_count;
    double *seconds; /* of each run, sorted afterwards */
    int64_t runs;
    double load_seconds, first_seconds;
    double int8_macs, float_macs;
    double *node_seconds; /* with --per-node, of each run and node; then a node's median */
    size_t node_count;
    uint64_t rss_bytes; /* before the peak is measured, which takes memory of its own */
} Job;

enum { DEFAULT_RUNS = 30, DEFAULT_WARMUP = 3 };

static void release(Job *job) {
    for (size_t i = 0; job->inputs && i < job->input_count; i++) {
        octet_tensor_free(job->inputs[i]);
    }
    free(job->inputs);
    free(job->outputs);
    free(job->seconds);
    free(job->node_seconds);
    octet_session_free(job->session);
    octet_graph_free(job->graph);
    octet_thread_pool_free(job->pool);
}

/* Numbers around 0 that look like no constant. */
static void fill(OctetTensor *tensor) {
    uint32_t state = 1;
    size_t count = tensor->bytes / octet_dtype_size(tensor->dtype);
    for (size_t i = 0; i < count; i++) {
        state = state * 1664525u + 1013904223u;
        if (tensor->dtype == OCTET_F32) {
            ((float *)tensor->data)[i] = (float)(state >> 8) / 8388608.0f - 1;
        } else if (tensor->dtype == OCTET_U8 || tensor->dtype == OCTET_S8) {
            ((uint8_t *)tensor->data)[i] = (uint8_t)(state >> 24);
        }
    }
}

static OctetStatus make_inputs(Job *job, OctetDiagnostic *diagnostic) {
    OctetStatus status = OCTET_OK;
    job->input_count = octet_graph_input_count(job->graph);
    job->output_count = octet_graph_output_count(job->graph);
    job->inputs = checked_calloc(job->input_count + 1, sizeof *job->inputs);
    job->outputs = checked_calloc(job->output_count + 1, sizeof *job->outputs);
    for (size_t i = 0; i < job->input_count && status == OCTET_OK; i++) {
        const OctetValue *value = octet_graph_input_at(job->graph, i);
        OctetShape shape;
        status = input_shape(&job->settings->shapes, value, job->input_count, &shape, diagnostic);
        if (status == OCTET_OK) {
            status =
                octet_tensor_create(octet_value_dtype(value), &shape, &job->inputs[i], diagnostic);
        }
        if (status == OCTET_OK) {
            fill(job->inputs[i]);
        }
    }
    return status;
}

static OctetStatus run_once(Job *job, double *seconds, OctetDiagnostic *diagnostic) {
    double start = seconds_now();
    OctetStatus status =
        octet_session_run(job->session, (const OctetTensor *const *)job->inputs, job->input_count,
                          job->outputs, job->output_count, diagnostic);
    *seconds = seconds_now() - start;
    return status;
}

static OctetStatus open_model(Job *job, OctetDiagnostic *diagnostic) {
    const Settings *settings = job->settings;
    RunOptions run = {.threads = settings->threads ? settings->threads : 1};
    OctetStatus status = pool_create(&run, &job->pool, diagnostic);
    double start = seconds_now();
    if (status == OCTET_OK) {
        status = model_load(settings->operands.items[0], &job->graph, diagnostic);
    }
    OctetSessionOptions options = {
        .pool = job->pool, .limits = run_limits(), .per_node_times = settings->per_node};
    if (status == OCTET_OK) {
        status = octet_session_create(job->graph, &options, &job->session, diagnostic);
    }
    job->load_seconds = seconds_now() - start;
    if (status == OCTET_OK) {
        status = make_inputs(job, diagnostic);
    }
    return status == OCTET_OK ? run_once(job, &job->first_seconds, diagnostic) : status;
}

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a;
    double y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Notes what each node has taken so far, in the row of a run: [-1] is the warm-up. */
static void note_nodes(Job *job, int64_t run) {
    if (!job->settings->per_node) {
        return;
    }
    if (!job->node_seconds) {
        job->node_count = octet_session_node_count(job->session);
        job->node_seconds = checked_calloc((size_t)(job->runs + 1) * job->node_count + 1,
                                           sizeof *job->node_seconds);
    }
    for (size_t i = 0; i < job->node_count; i++) {
        OctetNodeInfo info;
        octet_session_node_info(job->session, i, &info);
        job->node_seconds[(size_t)(run + 1) * job->node_count + i] = info.seconds;
    }
}

/* Medians over the runs, in the first row. A pause that the system makes falls on some node. */
static void settle_nodes(Job *job) {
    double *seconds = checked_calloc((size_t)job->runs + 1, sizeof *seconds);
    for (size_t i = 0; i < job->node_count; i++) {
        const double *column = job->node_seconds + i;
        for (int64_t run = 0; run < job->runs; run++) {
            seconds[run] =
                column[(size_t)(run + 1) * job->node_count] - column[(size_t)run * job->node_count];
        }
        qsort(seconds, (size_t)job->runs, sizeof *seconds, compare_doubles);
        job->node_seconds[i] = seconds[job->runs / 2];
    }
    free(seconds);
}

static OctetStatus measure(Job *job, OctetDiagnostic *diagnostic) {
    const Settings *settings = job->settings;
    int64_t warmup = settings->warmup ? settings->warmup : DEFAULT_WARMUP;
    double ignored;
    OctetStatus status = OCTET_OK;
    job->runs = settings->runs ? settings->runs : DEFAULT_RUNS;
    job->seconds = checked_calloc((size_t)job->runs, sizeof *job->seconds);
    for (int64_t i = 0; i < warmup && status == OCTET_OK; i++) {
        status = run_once(job, &ignored, diagnostic);
    }
    note_nodes(job, -1);
    progress_start("benchmarking", job->runs);
    for (int64_t i = 0; i < job->runs && status == OCTET_OK; i++) {
        status = run_once(job, &job->seconds[i], diagnostic);
        note_nodes(job, i);
        if (status == OCTET_OK) {
            status = check_interrupt(diagnostic);
        }
        progress_step(i + 1);
    }
    progress_end();
    qsort(job->seconds, (size_t)job->runs, sizeof *job->seconds, compare_doubles);
    settle_nodes(job);
    for (size_t i = 0; i < octet_session_node_count(job->session); i++) {
        OctetNodeInfo info;
        octet_session_node_info(job->session, i, &info);
        *(info.int8 ? &job->int8_macs : &job->float_macs) += info.macs;
    }
    return status;
}

static double median_of(const Job *job) {
    int64_t half = job->runs / 2;
    return job->runs % 2 ? job->seconds[half] : (job->seconds[half - 1] + job->seconds[half]) / 2;
}

static double percentile_90(const Job *job) {
    int64_t place = (job->runs * 9 + 9) / 10 - 1;
    return job->seconds[place < 0 ? 0 : place];
}

/* The time that all multiplications would take at the peak, over the time that they took. */
static double peak_share(const Job *job, const BenchContext *context) {
    double ideal = 0;
    if (context->peak.int8_macs_per_second > 0) {
        ideal += job->int8_macs / context->peak.int8_macs_per_second;
    }
    if (context->peak.f32_macs_per_second > 0) {
        ideal += job->float_macs / context->peak.f32_macs_per_second;
    }
    return ideal / context->threads / median_of(job);
}

static void print_json(const Job *job, const BenchContext *context) {
    json_t *object = json_new_object();
    OctetMemoryInfo memory = {0};
    octet_session_memory(job->session, &memory);
    json_add(object, "median_ms", json_number(median_of(job) * 1e3));
    json_add(object, "min_ms", json_number(job->seconds[0] * 1e3));
    json_add(object, "p90_ms", json_number(percentile_90(job) * 1e3));
    json_add(object, "load_ms", json_number(job->load_seconds * 1e3));
    json_add(object, "first_run_ms", json_number(job->first_seconds * 1e3));
    json_add(object, "runs", json_integer(job->runs));
    json_add(object, "threads", json_integer((json_int_t)context->threads));
    json_add(object, "cpu", json_text(octet_cpu_name(octet_get_cpu())));
    json_add(object, "peak_rss_bytes", json_integer((json_int_t)job->rss_bytes));
    json_add(object, "arena_bytes", json_integer((json_int_t)memory.arena_bytes));
    json_add(object, "arena_lower_bound_bytes", json_integer((json_int_t)memory.lower_bound_bytes));
    json_add(object, "gmacs",
             json_number((job->int8_macs + job->float_macs) / median_of(job) * 1e-9));
    json_add(object, "peak_share", json_number(peak_share(job, context)));
    json_add(object, "int8_macs", json_number(job->int8_macs));
    json_add(object, "float_macs", json_number(job->float_macs));
    json_add(object, "peak_int8_gmacs", json_number(context->peak.int8_macs_per_second * 1e-9));
    json_add(object, "peak_f32_gmacs", json_number(context->peak.f32_macs_per_second * 1e-9));
    json_add(object, "peak_gbytes", json_number(context->peak.bytes_per_second * 1e-9));
    if (job->settings->per_node) {
        json_add(object, "nodes", bench_nodes_json(context));
        json_add(object, "advice", bench_advice_json(context));
    }
    json_print(object);
}

static void print_text(const Job *job, const BenchContext *context) {
    OctetMemoryInfo memory = {0};
    char arena[32];
    char bound[32];
    char rss[32];
    octet_session_memory(job->session, &memory);
    printf("%s on %s, %.0f thread%s\n", job->settings->operands.items[0],
           octet_cpu_name(octet_get_cpu()), context->threads, context->threads == 1 ? "" : "s");
    printf("  median %.3f ms, minimum %.3f, 90%% below %.3f (%lld runs)\n", median_of(job) * 1e3,
           job->seconds[0] * 1e3, percentile_90(job) * 1e3, (long long)job->runs);
    printf("  loaded in %.1f ms, first run %.1f ms\n", job->load_seconds * 1e3,
           job->first_seconds * 1e3);
    printf("  %.1f GMAC/s (%.3f GMAC in int8, %.3f in float), %.0f%% of the peak\n",
           (job->int8_macs + job->float_macs) / median_of(job) * 1e-9, job->int8_macs * 1e-9,
           job->float_macs * 1e-9, 100 * peak_share(job, context));
    printf("  one core's peak: int8 %.1f GMAC/s, float %.1f GMAC/s, memory %.1f GB/s\n",
           context->peak.int8_macs_per_second * 1e-9, context->peak.f32_macs_per_second * 1e-9,
           context->peak.bytes_per_second * 1e-9);
    printf("  activations %s (at least %s), peak memory %s\n",
           format_bytes(memory.arena_bytes, arena, sizeof arena),
           format_bytes(memory.lower_bound_bytes, bound, sizeof bound),
           format_bytes(job->rss_bytes, rss, sizeof rss));
    if (job->settings->per_node) {
        bench_print_nodes(context);
        bench_print_advice(context);
    }
}

static int run_bench(const void *given) {
    const Settings *settings = given;
    OctetDiagnostic diagnostic = {0};
    Job job = {.settings = settings};
    BenchContext context = {0};
    int code = 0;
    report_set_quiet(settings->general.quiet);
    report_set_json(settings->general.json);
    OctetStatus status = open_model(&job, &diagnostic);
    if (status == OCTET_OK) {
        status = measure(&job, &diagnostic);
    }
    if (status == OCTET_OK) {
        context.session = job.session;
        context.threads = (double)octet_thread_pool_size(job.pool);
        context.quantized = octet_graph_is_quantized(job.graph);
        context.node_seconds = job.node_seconds;
        job.rss_bytes = peak_rss_bytes();
        octet_measure_peak(&context.peak);
        if (settings->general.json) {
            print_json(&job, &context);
        } else {
            print_text(&job, &context);
        }
    } else {
        code = report_failure(&diagnostic);
    }
    release(&job);
    return code;
}

static const Option options[] = {
    {"threads", OPTION_COUNT, offsetof(Settings, threads), "N", "Threads to run on (default: 1).",
     NULL},
    {"runs", OPTION_COUNT, offsetof(Settings, runs), "N", "Runs that are timed (default: 30).",
     NULL},
    {"warmup", OPTION_COUNT, offsetof(Settings, warmup), "N",
     "Runs before them that are not (default: 3).", NULL},
    {"shape", OPTION_LIST, offsetof(Settings, shapes), "[NAME=]SHAPE",
     "The shape of an input, such as data=1x3x224x224; open dimensions count as 1 without it.",
     NULL},
    {"per-node", OPTION_FLAG, offsetof(Settings, per_node), NULL,
     "Time every node, and say what would help most.", NULL},
    {0},
};

static const OptionGroup groups[] = {
    {"Options", options, 0},
    {"Output", general_options, offsetof(Settings, general)},
    {0},
};

const Command bench_command = {
    .name = "bench",
    .summary = "Measure a model's speed and where its time goes.",
    .usage = "MODEL.onnx [--threads N] [--runs N] [--shape NAME=1x3x224x224] [--per-node]",
    .description =
        "Runs a model on random input and prints median, minimum and 90th percentile of the time "
        "of one run, and which share of this machine's own peak that is: the multiplications, "
        "float and int8, and the bytes from memory that one core can do are measured first. With "
        "--per-node it prints for every node the kernel, whether it runs in int8 or in float and "
        "why, its time and what limits it. OCTET_CPU=avx2 and the like lower the CPU level.",
    .examples = "  octet bench int8.onnx\n"
                "  octet bench int8.onnx --threads 2 --shape 8x3x224x224 --json\n"
                "  octet bench int8.onnx --per-node\n",
    .groups = groups,
    .takes_model = true,
    .settings_size = sizeof(Settings),
    .operands_offset = offsetof(Settings, operands),
    .operands_least = 1,
    .operands_most = 1,
    .run = run_bench,
};
