#include "kernels/f32_blocks.h"

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

OctF32Cut oct_f32_cut(size_t taps, size_t width, size_t channels) {
    OctF32Cut cut = {.lines = width ? taps / width : 0,
                     .width = width,
                     .channels = channels,
                     .block_taps = 1,
                     .block_channels = channels};
    if (taps == 0 || channels == 0) {
        cut.whole = true;
        cut.block_lines = cut.lines;
        return cut;
    }
    if (channels > OCT_F32_BLOCK) {
        size_t parts = (channels - 1) / OCT_F32_BLOCK + 1;
        cut.block_channels = (channels - 1) / parts + 1;
        return cut;
    }
    cut.block_taps = smaller(OCT_F32_BLOCK / channels, OCT_F32_BLOCK_TAPS);
    cut.block_lines = cut.block_taps / width;
    cut.whole = cut.block_lines >= cut.lines;
    return cut;
}

/* The block at block->line, tap and channel; moves these on. */
static void take(const OctF32Cut *cut, bool joined, OctF32Block *block) {
    size_t line_taps = joined ? 1 : cut->width;
    if (cut->block_lines > 0) {
        size_t lines = smaller(cut->block_lines, cut->lines - block->line);
        block->first_tap = block->line * line_taps;
        block->taps = lines * line_taps;
        block->depth = joined ? cut->width * cut->channels : cut->channels;
        block->line += lines;
    } else {
        size_t taps = smaller(cut->block_taps, cut->width - block->tap);
        size_t channels = smaller(cut->block_channels, cut->channels - block->channel);
        block->first_tap = block->line * line_taps + (joined ? 0 : block->tap);
        block->taps = joined ? 1 : taps;
        block->skip = block->channel + (joined ? block->tap * cut->channels : 0);
        block->depth = joined ? taps * channels : channels;
        block->channel += channels;
        if (block->channel == cut->channels) {
            block->channel = 0;
            block->tap += taps;
        }
        if (block->tap == cut->width) {
            block->tap = 0;
            block->line++;
        }
    }
    block->last = block->line == cut->lines;
}

OctF32Block oct_f32_first_block(const OctF32Cut *cut, bool joined) {
    OctF32Block block = {.last = true};
    if (cut->lines > 0) {
        take(cut, joined, &block);
    }
    return block;
}

void oct_f32_next_block(const OctF32Cut *cut, bool joined, OctF32Block *block) {
    block->k += block->taps * block->depth;
    take(cut, joined, block);
}
