/* Memory for packed weights. A kernel family asks for a block and says of what its content is a
 * function; a block that a packed file holds comes filled. */
#ifndef OCT_BASE_BLOCKS_H
#define OCT_BASE_BLOCKS_H

#include "base/mapping.h"

typedef struct OctBlocks OctBlocks;

typedef struct OctBlockPart {
    const void *data; /* NULL for a part that is absent */
    size_t bytes;
} OctBlockPart;

enum { OCT_BLOCK_PARTS = 5 };

typedef struct OctBlockRequest {
    const char *kernel; /* the bundle's name */
    size_t bytes;
    /* All that the content is a function of: sizes, weights, bias, ... Weights may be large: where
     * they lie in the model's file their place stands for them, and samples of their bytes. */
    OctBlockPart parts[OCT_BLOCK_PARTS];
} OctBlockRequest;

/* Aligned to 64 bytes, with 64 readable bytes behind its end. */
typedef struct OctBlock {
    uint8_t *data;
    bool filled; /* holds its content already and is read-only */
    bool owned;  /* by whoever asked: no OctBlocks was there */
} OctBlock;

/* With blocks NULL the block is the caller's own. Blocks of an OctBlocks live as long as that.
 * One caller at a time. */
OctetStatus oct_block_get(OctBlocks *blocks, const OctBlockRequest *request, OctBlock *block,
                          OctetDiagnostic *diagnostic);
void oct_block_free(OctBlock *block);

/* `file` (may be NULL; a reference is kept) is the model's, `section` the packed section in it: the
 * blocks that oct_blocks_section wrote. One that is damaged or of another version is left alone,
 * with a warning. NULL when out of memory. */
OctBlocks *oct_blocks_create(OctMapping *file, const uint8_t *section, size_t section_bytes);
void oct_blocks_free(OctBlocks *blocks); /* NULL is fine */
/* Bytes that come from the section so far. From any thread. */
uint64_t oct_blocks_filled_bytes(const OctBlocks *blocks);

/* Whether there is a section to take blocks from, and: all of it is going to be read. From any
 * thread. */
bool oct_blocks_are_given(const OctBlocks *blocks);
void oct_blocks_expect(const OctBlocks *blocks);

/* From now on all blocks are noted, for oct_blocks_section. */
void oct_blocks_record(OctBlocks *blocks);
uint64_t oct_blocks_recorded_bytes(const OctBlocks *blocks);
/* The section of all blocks noted, as it must stand at `offset` (of its first byte) in the file;
 * free it with oct_free. */
OctetStatus oct_blocks_section(const OctBlocks *blocks, uint64_t offset, uint8_t **section,
                               size_t *bytes, OctetDiagnostic *diagnostic);

#endif
