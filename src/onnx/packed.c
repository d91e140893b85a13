#include "onnx/packed.h"

#include "base/diag.h"
#include "base/file.h"
#include "base/mem.h"
#include "onnx/proto.h"

enum { LENGTH_DELIMITED = 2, VARINT_BYTES = 10 };

static size_t put_varint(uint8_t *to, uint64_t value) {
    size_t size = 0;
    for (; value >= 0x80; value >>= 7) {
        to[size++] = (uint8_t)(value | 0x80);
    }
    to[size++] = (uint8_t)value;
    return size;
}

/* The model as it is, but for a section that it has already. */
static OctetStatus copy_model(OctSpan model, OctFileWriter *writer, OctetDiagnostic *diagnostic) {
    OctField field;
    bool malformed;
    while (oct_wire_next(&model, &field, &malformed)) {
        if (field.number != OCT_MODEL_PACKED) {
            OCT_TRY(oct_file_write(writer, field.whole.data, field.whole.size, diagnostic));
        }
    }
    return OCTET_OK;
}

/* The section's place depends on how long its length is written, and the other way round: the
 * length is written with as many bytes as it can ever take. */
static OctetStatus append_section(const OctBlocks *blocks, OctFileWriter *writer,
                                  OctetDiagnostic *diagnostic) {
    uint8_t head[2 * VARINT_BYTES];
    uint8_t *section;
    size_t bytes;
    size_t tag = put_varint(head, (uint64_t)OCT_MODEL_PACKED << 3 | LENGTH_DELIMITED);
    uint64_t offset = oct_file_writer_offset(writer) + tag + VARINT_BYTES;
    OCT_TRY(oct_blocks_section(blocks, offset, &section, &bytes, diagnostic));
    for (size_t i = 0; i < VARINT_BYTES; i++) {
        uint64_t part = i < VARINT_BYTES - 1 ? bytes >> 7 * i & 0x7f : bytes >> 63;
        head[tag + i] = (uint8_t)(part | (i < VARINT_BYTES - 1 ? 0x80 : 0));
    }
    OctetStatus status = oct_file_write(writer, head, tag + VARINT_BYTES, diagnostic);
    if (status == OCTET_OK) {
        status = oct_file_write(writer, section, bytes, diagnostic);
    }
    oct_free(section);
    return status;
}

OctetStatus oct_packed_write(const OctGraph *graph, const OctBlocks *blocks, const char *output,
                             OctetDiagnostic *diagnostic) {
    OctSpan model = {oct_mapping_data(graph->file), oct_mapping_bytes(graph->file)};
    OctFileWriter *writer;
    OCT_TRY(oct_file_writer_open(output, &writer, diagnostic));
    OctetStatus status = copy_model(model, writer, diagnostic);
    if (status == OCTET_OK) {
        status = append_section(blocks, writer, diagnostic);
    }
    if (status == OCTET_OK) {
        status = oct_file_writer_commit(writer, diagnostic);
    }
    oct_file_writer_free(writer);
    return status;
}
