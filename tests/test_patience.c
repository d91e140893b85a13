/* Being asked to stop, and time that is up: in loops, in threads, within single nodes. */
#include "onnx_models.h"

#include "base/patience.h"
#include "base/threads.h"
#include "octet/octet.h"

#include <pthread.h>

/* ---- polls: counted, so that no test depends on time ---- */

typedef struct Polls {
    long asked;
    long stop_at; /* that poll and all after it say stop; below 0: none does */
} Polls;

static bool count_poll(void *user) {
    Polls *polls = user;
    return polls->asked++ >= polls->stop_at && polls->stop_at >= 0;
}

static void begin_polls(OctPatience *patience, Polls *polls, long stop_at) {
    *polls = (Polls){0, stop_at};
    oct_patience_begin(patience, count_poll, polls, 1e9);
}

/* ---- the thread's patience ---- */

static void nobody_asks_without_patience(void **state) {
    (void)state;
    OctetDiagnostic diagnostic = {0};
    assert_false(oct_is_over());
    assert_false(oct_is_noted_over());
    assert_int_equal(oct_go_on(&diagnostic), OCTET_OK);
}

static void what_was_noted_stays(void **state) {
    (void)state;
    OctPatience patience;
    Polls polls;
    OctetDiagnostic diagnostic = {0};
    begin_polls(&patience, &polls, 2);
    assert_false(oct_is_over());
    assert_int_equal(oct_go_on(&diagnostic), OCTET_OK);
    assert_int_equal(oct_noted_go_on(&diagnostic), OCTET_OK);
    assert_true(oct_is_over());
    assert_int_equal(oct_noted_go_on(&diagnostic), OCTET_ERROR_CANCELED);
    assert_non_null(strstr(diagnostic.message, "interrupted"));
    long asked = polls.asked;
    assert_true(oct_is_over());
    assert_int_equal(polls.asked, asked);
    oct_patience_end(&patience);
    assert_false(oct_is_over());
}

static void a_call_within_a_call(void **state) {
    (void)state;
    OctPatience outer;
    OctPatience inner;
    Polls polls;
    OctetDiagnostic diagnostic = {0};
    begin_polls(&outer, &polls, 0);
    oct_patience_begin(&inner, NULL, NULL, 0);
    assert_int_equal(oct_go_on(&diagnostic), OCTET_ERROR_CANCELED);
    oct_patience_end(&inner);
    assert_true(oct_is_noted_over());
    oct_patience_end(&outer);
    /* an inner one that is over says nothing of the outer one */
    begin_polls(&outer, &polls, -1);
    Polls first;
    begin_polls(&inner, &first, 0);
    assert_true(oct_is_over());
    oct_patience_end(&inner);
    assert_false(oct_is_over());
    oct_patience_end(&outer);
}

static void time_that_is_up(void **state) {
    (void)state;
    OctPatience patience;
    OctetDiagnostic diagnostic = {0};
    oct_patience_begin(&patience, NULL, NULL, 1e-9);
    while (!oct_is_over()) { /* until the clock ticks */
    }
    assert_int_equal(oct_go_on(&diagnostic), OCTET_ERROR_LIMIT);
    assert_non_null(strstr(diagnostic.message, "--max-seconds"));
    oct_patience_end(&patience);
}

static void short_steps_ask_seldom(void **state) {
    (void)state;
    OctPatience patience;
    Polls polls;
    size_t stint = 0;
    begin_polls(&patience, &polls, -1);
    for (int i = 0; i < 1000; i++) {
        assert_false(oct_is_over_after(&stint, OCT_STINT / 100));
    }
    assert_int_equal(polls.asked, 10);
    oct_patience_end(&patience);
}

/* A loop of short loops: what the inner one hears ends the outer one, too. */
static void outer_loops_hear_it(void **state) {
    (void)state;
    OctPatience patience;
    Polls polls;
    size_t stint = 0;
    int outer = 0;
    begin_polls(&patience, &polls, 0);
    for (; outer < 100 && !oct_is_over_after(&stint, 1); outer++) {
        for (int inner = 0; inner < 100 && !oct_is_over_after(&stint, OCT_STINT / 50); inner++) {
        }
    }
    assert_int_equal(outer, 1);
    assert_int_equal(polls.asked, 1);
    oct_patience_end(&patience);
}

/* ---- loops ---- */

enum { TASKS = 1000 };
static atomic_int done;
static Polls *task_polls; /* stops when the task TASKS / 2 of one thread runs */

static void task(void *user, size_t index) {
    (void)user;
    atomic_fetch_add(&done, 1);
    if (task_polls && index == TASKS / 2) {
        task_polls->stop_at = 0;
    }
}

static void a_loop_alone_ends_early(void **state) {
    (void)state;
    OctPatience patience;
    Polls polls;
    begin_polls(&patience, &polls, -1);
    task_polls = &polls;
    atomic_store(&done, 0);
    oct_parallel_for(NULL, task, NULL, TASKS);
    task_polls = NULL;
    assert_int_equal(atomic_load(&done), TASKS / 2 + 1);
    assert_true(oct_is_noted_over());
    oct_patience_end(&patience);
    atomic_store(&done, 0);
    oct_parallel_for(NULL, task, NULL, TASKS);
    assert_int_equal(atomic_load(&done), TASKS);
}

typedef struct Elsewhere {
    OctetParallelWork work;
    void *user;
    size_t count;
} Elsewhere;

static void *run_elsewhere(void *user) {
    const Elsewhere *loop = user;
    for (size_t i = 0; i < loop->count; i++) {
        loop->work(loop->user, i);
    }
    assert_null(oct_patience_of_thread()); /* it was lent */
    return NULL;
}

static void on_another_thread(void *pool, OctetParallelWork work, void *user, size_t count) {
    (void)pool;
    pthread_t thread;
    Elsewhere loop = {work, user, count};
    assert_int_equal(pthread_create(&thread, NULL, run_elsewhere, &loop), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

/* Loops that begin when it is over do nothing, whoever runs them; only the owner is asked. */
static void threads_share_patience(void **state) {
    (void)state;
    OctetThreadPool *pools[3];
    assert_int_equal(octet_thread_pool_create(1, &pools[0], NULL), OCTET_OK);
    assert_int_equal(octet_thread_pool_create(3, &pools[1], NULL), OCTET_OK);
    assert_int_equal(octet_thread_pool_wrap(on_another_thread, NULL, 2, &pools[2], NULL), OCTET_OK);
    for (int i = 0; i < 3; i++) {
        OctPatience patience;
        Polls polls;
        begin_polls(&patience, &polls, 0);
        assert_true(oct_is_over());
        atomic_store(&done, 0);
        oct_parallel_for(pools[i], task, NULL, TASKS);
        assert_int_equal(atomic_load(&done), 0);
        oct_patience_end(&patience);
        begin_polls(&patience, &polls, -1);
        oct_parallel_for(pools[i], task, NULL, TASKS);
        assert_int_equal(atomic_load(&done), TASKS);
        assert_true(i < 2 || polls.asked == 0);
        oct_patience_end(&patience);
        octet_thread_pool_free(pools[i]);
    }
}

/* ---- single nodes ---- */

typedef struct Long {
    const char *op_type, *inputs, *outputs;
    const char *attributes; /* "name=1,2 other=text" */
    struct {
        const char *dims;
        OctetDType dtype;
    } given[6];         /* in order, of names a, b, c, ... */
    int64_t numbers[8]; /* of the constant "n" */
    int32_t number_count;
} Long;

static const Long nodes[] = {
    {"MatMul", "a b", "y", "", {{"1024,512", OCTET_F32}, {"512,512", OCTET_F32}}, {0}, 0},
    {"MatMul", "a b", "y", "", {{"1200,40", OCTET_S32}, {"40,500", OCTET_S32}}, {0}, 0},
    {"MatMulInteger", "a b", "y", "", {{"1024,512", OCTET_U8}, {"512,512", OCTET_S8}}, {0}, 0},
    {"Conv", "a b", "y", "", {{"1,64,66,66", OCTET_F32}, {"64,64,3,3", OCTET_F32}}, {0}, 0},
    {"ConvTranspose",
     "a b",
     "y",
     "",
     {{"1,64,64,64", OCTET_F32}, {"64,64,3,3", OCTET_F32}},
     {0},
     0},
    {"Einsum",
     "a b c",
     "y",
     "equation=ij,kj,ik->i",
     {{"200,1000", OCTET_F32}, {"30,1000", OCTET_F32}, {"200,30", OCTET_F32}},
     {0},
     0},
    {"DFT", "a", "y", "axis=1", {{"1,100003,2", OCTET_F32}}, {0}, 0},
    {"DFT", "a", "y", "axis=1", {{"100,4096,1", OCTET_F32}}, {0}, 0},
    {"STFT", "a n - m", "y", "", {{"1,60000,1", OCTET_F32}}, {100}, 0},
    {"TopK", "a n", "y z", "", {{"1,200000", OCTET_F32}}, {100000}, 1},
    {"Unique", "a", "y", "", {{"200000", OCTET_F32}}, {0}, 0},
    {"NonMaxSuppression",
     "a b n",
     "y",
     "",
     {{"1,3000,4", OCTET_F32}, {"1,2,3000", OCTET_F32}},
     {3000},
     1},
    {"RoiAlign",
     "a b c",
     "y",
     "sampling_ratio=200 output_height=5 output_width=5",
     {{"1,3,40,40", OCTET_F32}, {"2,4", OCTET_F32}, {"2", OCTET_S64}},
     {0},
     0},
    {"MaxPool", "a", "y", "kernel_shape=41,41", {{"1,1,120,120", OCTET_F32}}, {0}, 0},
    {"LpPool", "a", "y", "kernel_shape=41,41", {{"1,1,120,120", OCTET_F32}}, {0}, 0},
    {"LRN", "a", "y", "size=2001", {{"1,2000,2,2", OCTET_F32}}, {0}, 0},
    {"Det", "a", "y", "", {{"2,250,250", OCTET_F32}}, {0}, 0},
    {"GridSample", "a b", "y", "", {{"1,4,50,50", OCTET_F32}, {"1,200,200,2", OCTET_F32}}, {0}, 0},
    {"CumSum", "a n", "y", "", {{"1000,1000", OCTET_F32}}, {0}, 0},
    {"Gather", "a b", "y", "", {{"100,100", OCTET_F32}, {"100000", OCTET_S64}}, {0}, 0},
    {"ScatterElements",
     "a b c",
     "y",
     "",
     {{"100000", OCTET_F32}, {"100000", OCTET_S64}, {"100000", OCTET_F32}},
     {0},
     0},
    {"LSTM",
     "a b c",
     "y",
     "hidden_size=32",
     {{"2000,1,32", OCTET_F32}, {"1,128,32", OCTET_F32}, {"1,128,32", OCTET_F32}},
     {0},
     0},
    {"Softmax", "a", "y", "axis=-1", {{"3000,500", OCTET_F32}}, {0}, 0},
    {"Exp", "a", "y", "", {{"1000,1000", OCTET_F32}}, {0}, 0},
};

static void add_attributes(Onnx__NodeProto *node, const char *text) {
    char *copy = keep(strdup(text));
    char *rest = NULL;
    for (char *part = strtok_r(copy, " ", &rest); part; part = strtok_r(NULL, " ", &rest)) {
        char *value = strchr(part, '=');
        *value++ = 0;
        int64_t numbers[4];
        size_t count = 0;
        char *end = value;
        do {
            numbers[count++] = strtoll(*end == ',' ? end + 1 : end, &end, 10);
        } while (*end == ',');
        if (*end) {
            add_string(node, part, value);
        } else if (count > 1) {
            add_ints(node, part, numbers, count);
        } else {
            add_int(node, part, numbers[0]);
        }
    }
}

static Onnx__ModelProto *long_model(const Long *wanted) {
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *graph = model->graph;
    for (int i = 0; i < 6 && wanted->given[i].dims; i++) {
        char *name = keep(strdup("a"));
        name[0] = (char)('a' + i);
        add_input(graph, name, wanted->given[i].dtype, wanted->given[i].dims);
    }
    char dims[8];
    snprintf(dims, sizeof dims, wanted->number_count ? "%d" : "", (int)wanted->number_count);
    add_tensor(graph, "n", OCTET_S64, dims, wanted->numbers, 8);
    add_tensor(graph, "m", OCTET_S64, "", (int64_t[]){997}, 8);
    Onnx__NodeProto *node = add_node(graph, wanted->op_type, wanted->inputs, wanted->outputs);
    node->name = (char *)"the node";
    add_attributes(node, wanted->attributes);
    add_output(graph, "y", OCTET_F32, NULL);
    return model;
}

static OctetTensor *make_input(const OctetValue *value) {
    OctetShape shape = octet_value_shape(value);
    OctetTensor *tensor;
    assert_int_equal(octet_tensor_create(octet_value_dtype(value), &shape, &tensor, NULL),
                     OCTET_OK);
    for (size_t i = 0; tensor->dtype == OCTET_F32 && i < tensor->bytes / sizeof(float); i++) {
        ((float *)tensor->data)[i] = (float)(i * 2654435761u % 4096) / 4096;
    }
    return tensor;
}

/* Runs with a number of polls, and counts them from the node's beginning on. */
static OctetStatus run_polled(const OctetGraph *graph, Polls *polls, OctetDiagnostic *diagnostic) {
    OctetSession *session;
    OctetSessionOptions options = {.limits = {.max_seconds = 1e9,
                                              .max_memory_bytes = 1 << 30,
                                              .canceled = count_poll,
                                              .canceled_user = polls}};
    OctetTensor *inputs[6];
    OctetShape shapes[6];
    const OctetTensor *outputs[2];
    size_t count = octet_graph_input_count(graph);
    for (size_t i = 0; i < count; i++) {
        inputs[i] = make_input(octet_graph_input_at(graph, i));
        shapes[i] = inputs[i]->shape;
    }
    long stop_at = polls->stop_at;
    polls->stop_at = -1;
    assert_int_equal(octet_session_create(graph, &options, &session, diagnostic), OCTET_OK);
    assert_int_equal(octet_session_plan(session, shapes, count, diagnostic), OCTET_OK);
    *polls = (Polls){0, stop_at};
    OctetStatus status = octet_session_run(session, (const OctetTensor *const *)inputs, count,
                                           outputs, octet_graph_output_count(graph), diagnostic);
    octet_session_free(session);
    for (size_t i = 0; i < count; i++) {
        octet_tensor_free(inputs[i]);
    }
    return status;
}

static void check_node(const Long *wanted) {
    size_t size;
    OctetGraph *graph;
    OctetDiagnostic diagnostic = {0};
    uint8_t *bytes = pack_model(long_model(wanted), &size);
    if (octet_model_load_memory(bytes, size, "m", NULL, &graph, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", wanted->op_type, diagnostic.message);
    }
    Polls polls = {0, -1};
    if (run_polled(graph, &polls, &diagnostic) != OCTET_OK) {
        fail_msg("%s: %s", wanted->op_type, diagnostic.message);
    }
    long all = polls.asked;
    if (all < 6) { /* one or two before the node, and at least some within */
        fail_msg("%s: asked only %ld times", wanted->op_type, all);
    }
    for (long stop = 1; stop < all; stop += 1 + all / 7) {
        polls.stop_at = stop;
        diagnostic = (OctetDiagnostic){0};
        if (run_polled(graph, &polls, &diagnostic) != OCTET_ERROR_CANCELED) {
            fail_msg("%s goes on after poll %ld of %ld", wanted->op_type, stop, all);
        }
        /* whoever is asked again after that has not listened */
        assert_int_equal(polls.asked, stop + 1);
        /* or a conversion of its input's layout */
        assert_true(stop < 2 || diagnostic.node[0] != '\0');
    }
    octet_graph_free(graph);
    empty_pool();
}

static void long_nodes_listen(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof nodes / sizeof *nodes; i++) {
        check_node(&nodes[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nobody_asks_without_patience),
        cmocka_unit_test(what_was_noted_stays),
        cmocka_unit_test(a_call_within_a_call),
        cmocka_unit_test(time_that_is_up),
        cmocka_unit_test(short_steps_ask_seldom),
        cmocka_unit_test(outer_loops_hear_it),
        cmocka_unit_test(a_loop_alone_ends_early),
        cmocka_unit_test(threads_share_patience),
        cmocka_unit_test(long_nodes_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
