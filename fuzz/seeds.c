/* Writes the first inputs of the fuzzers to a folder: small models of each kind. */
#include "../tests/onnx_models.h"

static void write_seed(const char *folder, const char *name, const Onnx__ModelProto *model) {
    char path[1024];
    size_t size;
    uint8_t *bytes = pack_model(model, &size);
    snprintf(path, sizeof path, "%s/%s.onnx", folder, name);
    FILE *file = fopen(path, "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) {
        perror(path);
        exit(1);
    }
}

/* The same models as Octet writes them: other paths of the import. */
static void write_forms(const char *folder, const char *name, const Onnx__ModelProto *model) {
    OctetGraph *graph = load_model(model);
    for (int form = 0; form < 3; form++) {
        static const char *const forms[] = {"qdq", "qoperator", "integers"};
        OctetSaveOptions options = {.format = form == 1 ? OCTET_FORMAT_QOPERATOR : OCTET_FORMAT_QDQ,
                                    .io = form == 2 ? OCTET_IO_GRID : OCTET_IO_FLOAT32};
        char path[1024];
        snprintf(path, sizeof path, "%s/%s_%s.onnx", folder, name, forms[form]);
        if (octet_model_save(graph, path, &options, NULL) != OCTET_OK) {
            fprintf(stderr, "%s can't be written\n", path);
            exit(1);
        }
    }
    octet_graph_free(graph);
}

static Onnx__ModelProto *pool_model(void) {
    Onnx__ModelProto *model = new_model(13);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "N,2,8,8");
    add_tensor(g, "w", OCTET_F32, "3,2,3,3", (float[54]){1, -1, 0.5f}, 216);
    add_tensor(g, "b", OCTET_F32, "3", (float[]){1, 2, 3}, 12);
    Onnx__NodeProto *node = add_node(g, "Conv", "x w b", "c");
    add_ints(node, "pads", (int64_t[]){1, 1, 1, 1}, 4);
    add_ints(node, "strides", (int64_t[]){2, 2}, 2);
    add_node(g, "Relu", "c", "r");
    node = add_node(g, "MaxPool", "r", "m");
    add_ints(node, "kernel_shape", (int64_t[]){2, 2}, 2);
    add_node(g, "GlobalAveragePool", "m", "p");
    add_int(add_node(g, "Flatten", "p", "f"), "axis", 1);
    add_tensor(g, "fw", OCTET_F32, "3,4", (float[12]){1, 2, 3}, 48);
    add_node(g, "MatMul", "f fw", "mm");
    add_int(add_node(g, "Softmax", "mm", "y"), "axis", -1);
    add_output(g, "y", OCTET_F32, "N,4");
    return model;
}

static Onnx__ModelProto *shape_model(void) {
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "N,3,4");
    add_node(g, "Shape", "x", "s");
    add_tensor(g, "i", OCTET_S64, "", (int64_t[]){0}, 8);
    add_node(g, "Gather", "s i", "n");
    add_tensor(g, "ax", OCTET_S64, "1", (int64_t[]){0}, 8);
    add_node(g, "Unsqueeze", "n ax", "n1");
    add_tensor(g, "rest", OCTET_S64, "1", (int64_t[]){-1}, 8);
    add_int(add_node(g, "Concat", "n1 rest", "shape"), "axis", 0);
    add_node(g, "Reshape", "x shape", "r");
    add_tensor(g, "starts", OCTET_S64, "1", (int64_t[]){1}, 8);
    add_tensor(g, "ends", OCTET_S64, "1", (int64_t[]){9}, 8);
    add_tensor(g, "axes", OCTET_S64, "1", (int64_t[]){1}, 8);
    add_node(g, "Slice", "r starts ends axes", "sl");
    add_tensor(g, "perm", OCTET_S64, "2", (int64_t[]){2, 1}, 16);
    add_node(g, "Tile", "sl perm", "t");
    add_ints(add_node(g, "Transpose", "t", "tt"), "perm", (int64_t[]){1, 0}, 2);
    add_node(g, "ReduceSum", "tt axes", "y");
    add_output(g, "y", OCTET_F32, NULL);
    return model;
}

static Onnx__ModelProto *integer_model(void) {
    Onnx__ModelProto *model = new_model(21);
    Onnx__GraphProto *g = model->graph;
    add_opset(model, "com.microsoft", 1);
    add_input(g, "x", OCTET_U8, "1,2,4,4");
    add_scalar_f32(g, "s", 0.5f);
    add_tensor(g, "z", OCTET_U8, "", (uint8_t[]){3}, 1);
    add_tensor(g, "w", OCTET_S8, "2,2,1,1", (int8_t[]){1, 2, 3, 4}, 4);
    add_tensor(g, "ws", OCTET_F32, "2", (float[]){0.5f, 0.25f}, 8);
    add_tensor(g, "wz", OCTET_S8, "2", (int8_t[]){0, 0}, 2);
    add_tensor(g, "b", OCTET_S32, "2", (int32_t[]){5, 6}, 8);
    add_node(g, "QLinearConv", "x s z w ws wz s z b", "c");
    add_node(g, "QLinearAdd", "c s z c s z s z", "a")->domain = (char *)"com.microsoft";
    add_node(g, "DequantizeLinear", "a s z", "y");
    add_output(g, "y", OCTET_F32, NULL);
    add_tensor(g, "w4", OCTET_S4, "4,1", (uint8_t[]){0x21, 0x43}, 2);
    add_tensor(g, "w4s", OCTET_F32, "2,1", (float[]){1, 2}, 8);
    Onnx__NodeProto *node = add_node(g, "DequantizeLinear", "w4 w4s", "w4f");
    add_int(node, "axis", 0);
    add_int(node, "block_size", 2);
    add_node(g, "MatMul", "y w4f", "m");
    add_output(g, "m", OCTET_F32, NULL);
    return model;
}

static Onnx__ModelProto *float8_model(void) {
    Onnx__ModelProto *model = new_model(21);
    Onnx__GraphProto *g = model->graph;
    add_input(g, "x", OCTET_F32, "2,3");
    add_input(g, "e", OCTET_F8E5M2FNUZ, "2,3");
    add_scalar_f32(g, "s", 0.5f);
    add_tensor(g, "z", OCTET_F8E4M3FN, "", (uint8_t[]){0}, 1);
    add_tensor(g, "w", OCTET_F8E4M3FN, "3,2", (uint8_t[]){1, 0x38, 0x7e, 0x7f, 0x80, 0xb0}, 6);
    add_tensor(g, "ws", OCTET_F32, "2", (float[]){0.5f, 0.25f}, 8);
    add_int(add_node(g, "QuantizeLinear", "x s z", "q"), "saturate", 0);
    add_node(g, "Transpose", "q", "t");
    add_node(g, "Transpose", "t", "u");
    add_node(g, "DequantizeLinear", "u s z", "d");
    add_node(g, "DequantizeLinear", "w ws", "wd");
    add_node(g, "MatMul", "d wd", "m");
    add_int(add_node(g, "Cast", "m", "c"), "to", OCTET_F8E4M3FNUZ);
    add_node(g, "CastLike", "x e", "l");
    add_output(g, "c", OCTET_F8E4M3FNUZ, NULL);
    add_output(g, "l", OCTET_F8E5M2FNUZ, NULL);
    return model;
}

static Onnx__ModelProto *sequence_model(void) {
    Onnx__ModelProto *model = new_model(18);
    Onnx__GraphProto *g = model->graph;
    Onnx__TypeProto *list = new_type_proto();
    list->value_case = ONNX__TYPE_PROTO__VALUE_SEQUENCE_TYPE;
    list->sequence_type = new_type_proto__sequence();
    list->sequence_type->elem_type = new_tensor_type(OCTET_F32, "2,2");
    APPEND(g->n_input, g->input, new_info("list", list));
    add_input(g, "x", OCTET_F32, "5,2");
    add_tensor(g, "two", OCTET_S64, "", (int64_t[]){2}, 8);
    add_tensor(g, "zero", OCTET_S64, "", (int64_t[]){0}, 8);
    add_node(g, "SplitToSequence", "x two", "parts");
    add_node(g, "SequenceAt", "list zero", "first");
    add_node(g, "SequenceInsert", "parts first zero", "more");
    add_node(g, "SequenceErase", "more two", "fewer");
    add_int(add_node(g, "ConcatFromSequence", "fewer", "y"), "axis", 0);
    add_node(g, "SequenceLength", "fewer", "n");
    add_node(g, "Optional", "more", "maybe");
    add_node(g, "OptionalHasElement", "maybe", "has");
    add_node(g, "OptionalGetElement", "maybe", "got");
    add_node(g, "SequenceConstruct", "first first", "pair");
    add_int(add_node(g, "ConcatFromSequence", "pair", "z"), "new_axis", 1);
    add_output(g, "y", OCTET_F32, NULL);
    add_output(g, "n", OCTET_S64, NULL);
    add_output(g, "has", OCTET_BOOL, NULL);
    add_output(g, "got", OCTET_F32, NULL);
    return model;
}

static Onnx__GraphProto *branch(const char *op_type, const char *inputs) {
    Onnx__GraphProto *g = new_graph_proto();
    g->name = (char *)op_type;
    add_node(g, op_type, inputs, "result");
    add_output(g, "result", OCTET_F32, NULL);
    return g;
}

/* Loop, Scan and If over one another's results. */
static Onnx__ModelProto *control_model(void) {
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    Onnx__GraphProto *body = new_graph_proto();
    body->name = (char *)"body";
    add_input(body, "i", OCTET_S64, "");
    add_input(body, "go", OCTET_BOOL, "");
    add_input(body, "v", OCTET_F32, "3,2");
    add_node(body, "Identity", "go", "on");
    add_node(body, "Add", "v x", "next");
    add_node(body, "ReduceSum", "next", "each");
    add_output(body, "on", OCTET_BOOL, "");
    add_output(body, "next", OCTET_F32, NULL);
    add_output(body, "each", OCTET_F32, NULL);
    Onnx__GraphProto *scanned = new_graph_proto();
    scanned->name = (char *)"scanned";
    add_input(scanned, "state", OCTET_F32, "2");
    add_input(scanned, "row", OCTET_F32, "2");
    add_node(scanned, "Mul", "state row", "after");
    add_node(scanned, "Neg", "after", "kept");
    add_output(scanned, "after", OCTET_F32, "2");
    add_output(scanned, "kept", OCTET_F32, "2");
    add_input(g, "x", OCTET_F32, "3,2");
    add_tensor(g, "trips", OCTET_S64, "", (int64_t[]){3}, 8);
    add_tensor(g, "first", OCTET_F32, "2", (float[]){1, 2}, 8);
    add_graph(add_node(g, "Loop", "trips - x", "last all"), "body", body);
    Onnx__NodeProto *node = add_node(g, "Scan", "first last", "state_end rows");
    add_graph(node, "body", scanned);
    add_int(node, "num_scan_inputs", 1);
    add_node(g, "ReduceMax", "rows", "most");
    add_node(g, "Cast", "most", "choose");
    add_int(g->node[g->n_node - 1], "to", OCTET_BOOL);
    add_node(g, "Reshape", "choose none", "chosen");
    add_tensor(g, "none", OCTET_S64, "0", (int64_t[]){0}, 0);
    node = add_node(g, "If", "chosen", "y");
    add_graph(node, "then_branch", branch("Relu", "rows"));
    add_graph(node, "else_branch", branch("Exp", "last"));
    add_output(g, "y", OCTET_F32, NULL);
    add_output(g, "all", OCTET_F32, NULL);
    return model;
}

static Onnx__ModelProto *recurrent_model(void) {
    Onnx__ModelProto *model = new_model(17);
    Onnx__GraphProto *g = model->graph;
    static float numbers[64];
    for (int i = 0; i < 64; i++) {
        numbers[i] = (float)(i % 5) / 4 - 0.5f;
    }
    add_input(g, "x", OCTET_F32, "2,1,2");
    add_tensor(g, "w", OCTET_F32, "1,8,2", numbers, 64);
    add_tensor(g, "r", OCTET_F32, "1,8,2", numbers, 64);
    Onnx__NodeProto *node = add_node(g, "LSTM", "x w r", "all last");
    add_int(node, "hidden_size", 2);
    add_tensor(g, "gw", OCTET_F32, "1,6,2", numbers, 48);
    node = add_node(g, "GRU", "x gw gw", "gru");
    add_int(node, "hidden_size", 2);
    node = add_node(g, "Einsum", "all gru", "e");
    add_string(node, "equation", "abcd,abcd->acd");
    add_tensor(g, "sizes", OCTET_S64, "3", (int64_t[]){2, 3, 4}, 24);
    node = add_node(g, "Resize", "e - - sizes", "big");
    add_string(node, "mode", "linear");
    add_tensor(g, "k", OCTET_S64, "1", (int64_t[]){2}, 8);
    add_node(g, "TopK", "big k", "best where");
    add_node(g, "GatherElements", "big where", "picked");
    add_node(g, "CumSum", "picked k0", "sums");
    add_tensor(g, "k0", OCTET_S64, "", (int64_t[]){0}, 8);
    add_node(g, "NonZero", "sums", "places");
    add_output(g, "sums", OCTET_F32, NULL);
    add_output(g, "places", OCTET_S64, NULL);
    return model;
}

int main(int argc, char **argv) {
    if (argc != 2) {
        fprintf(stderr, "usage: %s FOLDER\n", argv[0]);
        return 2;
    }
    const struct {
        const char *name;
        Onnx__ModelProto *model;
    } seeds[] = {
        {"rich", rich_model()},           {"pool", pool_model()},
        {"shape", shape_model()},         {"integer", integer_model()},
        {"sequence", sequence_model()},   {"control", control_model()},
        {"recurrent", recurrent_model()}, {"float8", float8_model()},
    };
    for (size_t i = 0; i < sizeof seeds / sizeof seeds[0]; i++) {
        write_seed(argv[1], seeds[i].name, seeds[i].model);
        write_forms(argv[1], seeds[i].name, seeds[i].model);
    }
    empty_pool();
    return 0;
}
