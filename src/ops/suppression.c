/* NonMaxSuppression. */
#include "base/patience.h"
#include "ops/ops.h"

#include <string.h>

static OctetStatus infer_nms(OctGraph *graph, OctNode *node, OctetDiagnostic *diagnostic) {
    (void)graph;
    (void)diagnostic;
    const OctetShape shape = {.rank = 2, .dims = {OCT_DIM_UNKNOWN, 3}};
    oct_set_output(node, 0, OCTET_S64, &shape);
    return OCTET_OK;
}

typedef struct Box {
    float top, left, bottom, right;
} Box;

static Box box_at(const float *boxes, int64_t i, bool centered) {
    const float *b = boxes + 4 * i;
    if (centered) { /* x, y, width, height */
        return (Box){b[1] - b[3] / 2, b[0] - b[2] / 2, b[1] + b[3] / 2, b[0] + b[2] / 2};
    }
    /* two opposite corners, in any order */
    return (Box){b[0] < b[2] ? b[0] : b[2], b[1] < b[3] ? b[1] : b[3], b[0] < b[2] ? b[2] : b[0],
                 b[1] < b[3] ? b[3] : b[1]};
}

static float area(const Box *box) {
    return (box->bottom - box->top) * (box->right - box->left);
}

/* Intersection over union above the threshold. */
static bool overlaps(const Box *a, const Box *b, float threshold) {
    float top = a->top > b->top ? a->top : b->top;
    float left = a->left > b->left ? a->left : b->left;
    float bottom = a->bottom < b->bottom ? a->bottom : b->bottom;
    float right = a->right < b->right ? a->right : b->right;
    float height = bottom - top;
    float width = right - left;
    if (!(height > 0 && width > 0) || area(a) <= 0 || area(b) <= 0) {
        return false;
    }
    float common = height * width;
    return common / (area(a) + area(b) - common) > threshold;
}

typedef struct Candidate {
    float score;
    int64_t index;
} Candidate;

static bool better(const Candidate *a, const Candidate *b) {
    return a->score > b->score || (a->score == b->score && a->index < b->index);
}

/* Heap order: the best candidate on top. */
static void sift(Candidate *heap, int64_t count, int64_t root) {
    Candidate moving = heap[root];
    for (;;) {
        int64_t child = 2 * root + 1;
        if (child >= count) {
            break;
        }
        child += child + 1 < count && better(&heap[child + 1], &heap[child]);
        if (!better(&heap[child], &moving)) {
            break;
        }
        heap[root] = heap[child];
        root = child;
    }
    heap[root] = moving;
}

typedef struct Selection {
    int64_t (*rows)[3];
    int32_t count, capacity;
} Selection;

typedef struct Settings {
    bool centered;
    int64_t limit; /* of one class */
    float overlap, score;
    bool has_score;
} Settings;

/* One class of one image. Kept boxes are remembered in `kept`. */
static bool suppress(const Settings *settings, const float *boxes, const float *scores,
                     int64_t box_count, Candidate *heap, int64_t *kept, const int64_t *where,
                     Selection *selection) {
    int64_t left = 0;
    int64_t kept_count = 0;
    size_t stint = 0;
    for (int64_t i = 0; i < box_count; i++) {
        if (!settings->has_score || scores[i] > settings->score) {
            heap[left++] = (Candidate){scores[i], i};
        }
    }
    for (int64_t i = left / 2 - 1; i >= 0; i--) {
        sift(heap, left, i);
    }
    while (left > 0 && kept_count < settings->limit &&
           !oct_is_over_after(&stint, 50 + 4 * (size_t)kept_count)) {
        int64_t index = heap[0].index;
        Box box = box_at(boxes, index, settings->centered);
        bool keep = true;
        heap[0] = heap[--left];
        if (left > 0) {
            sift(heap, left, 0);
        }
        for (int64_t i = 0; keep && i < kept_count; i++) {
            Box other = box_at(boxes, kept[i], settings->centered);
            keep = !overlaps(&box, &other, settings->overlap);
        }
        if (!keep) {
            continue;
        }
        kept[kept_count++] = index;
        if (!oct_grow(&selection->rows, &selection->capacity, selection->count + 1,
                      sizeof selection->rows[0])) {
            return false;
        }
        int64_t *row = selection->rows[selection->count++];
        row[0] = where[0];
        row[1] = where[1];
        row[2] = index;
    }
    return true;
}

static OctetStatus read_settings(const OctNode *node, const OctRun *run, Settings *settings) {
    *settings = (Settings){.centered = oct_node_int(node, "center_point_box", 0) != 0};
    for (int32_t k = 2; k < run->input_count; k++) {
        const OctView *view = &run->inputs[k];
        if (!view->data || oct_view_count(view) == 0) {
            continue;
        }
        if (k == 2) {
            OCT_TRY(oct_convert(OCTET_S64, &settings->limit, view->dtype, view->data, 1,
                                run->diagnostic));
        } else {
            OCT_TRY(oct_convert(OCTET_F32, k == 3 ? &settings->overlap : &settings->score,
                                view->dtype, view->data, 1, run->diagnostic));
            settings->has_score |= k == 4;
        }
    }
    return OCTET_OK;
}

static OctetStatus run_nms(void *state, const OctRun *run) {
    const OctNode *node = state;
    const OctetShape *boxes = &run->inputs[0].shape;
    const OctetShape *scores = &run->inputs[1].shape;
    Settings settings;
    Selection selection = {0};
    OCT_TRY(read_settings(node, run, &settings));
    Candidate *heap = run->workspace;
    int64_t *kept = (int64_t *)(void *)(heap + boxes->dims[1]);
    bool ok = true;
    for (int64_t b = 0; b < scores->dims[0]; b++) {
        for (int64_t c = 0; c < scores->dims[1] && !oct_is_over(); c++) {
            const int64_t where[2] = {b, c};
            ok = ok &&
                 suppress(&settings, (const float *)run->inputs[0].data + b * boxes->dims[1] * 4,
                          (const float *)run->inputs[1].data +
                              (b * scores->dims[1] + c) * scores->dims[2],
                          boxes->dims[1], heap, kept, where, &selection);
        }
    }
    const OctetShape shape = {.rank = 2, .dims = {selection.count, 3}};
    OctetStatus status = ok ? oct_run_output(run, 0, &shape) : oct_fail_memory(run->diagnostic);
    if (status == OCTET_OK && selection.count > 0) {
        memcpy(run->outputs[0].data, selection.rows,
               (size_t)selection.count * sizeof selection.rows[0]);
    }
    oct_free(selection.rows);
    return status;
}

static OctetStatus prepare_nms(const OctPrepare *prepare, OctPreparedOp *prepared) {
    const OctNode *node = prepare->node;
    const OctetShape *boxes = oct_input_shape(node, 0);
    const OctetShape *scores = oct_input_shape(node, 1);
    if (boxes->rank != 3 || scores->rank != 3 || boxes->dims[2] != 4 ||
        boxes->dims[0] != scores->dims[0] || boxes->dims[1] != scores->dims[2]) {
        return oct_fail_op(prepare->diagnostic, OCTET_ERROR_SHAPE, node,
                           "has boxes and scores that do not fit each other");
    }
    prepared->run = run_nms;
    prepared->kernel = "nms";
    prepared->state = (void *)(uintptr_t)node;
    return oct_mul_size((size_t)boxes->dims[1], sizeof(Candidate) + sizeof(int64_t),
                        &prepared->workspace_bytes)
               ? OCTET_OK
               : oct_fail_memory(prepare->diagnostic);
}

const OctOp oct_ops_suppression[] = {
    {"", "NonMaxSuppression", 10, 0, OCT_OP_DYNAMIC, 2, 5, 1, 1, NULL, infer_nms, prepare_nms},
};
OCT_OPS_COUNT(suppression);
