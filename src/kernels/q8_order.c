#include "kernels/q8_order.h"

/* Below this share of the pixels, 1 / so many, borders are not worth an order of their own: a third
 * of their products is padding if the kernel is 3x3. */
enum { SMALLEST_SHARE = 16 };

void oct_q8_order_rows(OctQ8Order *order, size_t height, size_t width) {
    *order = (OctQ8Order){.count = 1, .rectangles = {{.width = width, .height = height}}};
}

static void append(OctQ8Order *order, size_t batch, OctQ8Rectangle rectangle) {
    if (rectangle.width == 0 || rectangle.height == 0) {
        return;
    }
    if (order->count > 0) {
        const OctQ8Rectangle *last = &order->rectangles[order->count - 1];
        rectangle.first = last->first + batch * last->height * last->width;
    }
    order->rectangles[order->count++] = rectangle;
}

/* How much of `length` makes whole tiles, a unit of it being `pixels` pixels. */
static size_t whole_tiles(size_t length, size_t pixels, size_t tile) {
    while (length * pixels % tile != 0) {
        length--;
    }
    return length;
}

void oct_q8_order_borders(OctQ8Order *order, size_t batch, size_t height, size_t width,
                          OctQ8Borders borders, size_t tile) {
    size_t top = borders.top, bottom = borders.bottom, left = borders.left, right = borders.right;
    size_t around = height * width;
    if (top + bottom < height && left + right < width) {
        around -= (height - top - bottom) * (width - left - right);
    }
    if (around == height * width || around < height * width / SMALLEST_SHARE) {
        oct_q8_order_rows(order, height, width);
        return;
    }
    /* Every border takes the corner at one of its ends, and leaves what makes no whole tile at
     * the other. */
    size_t tops = whole_tiles(width - right, top * batch, tile);
    size_t rights = whole_tiles(height - bottom, right * batch, tile);
    size_t bottoms = whole_tiles(width - left, bottom * batch, tile);
    size_t lefts = whole_tiles(height - top, left * batch, tile);
    const OctQ8Rectangle parts[9] = {
        {0, 0, 0, tops, top},
        {0, width - right, 0, right, rights},
        {0, width - bottoms, height - bottom, bottoms, bottom},
        {0, 0, height - lefts, left, lefts},
        {0, left, top, width - left - right, height - top - bottom},
        {0, tops, 0, width - right - tops, top},
        {0, width - right, rights, right, height - bottom - rights},
        {0, left, height - bottom, width - left - bottoms, bottom},
        {0, 0, top, left, height - top - lefts},
    };
    *order = (OctQ8Order){.count = 0};
    for (size_t i = 0; i < 9; i++) {
        append(order, batch, parts[i]);
    }
}
