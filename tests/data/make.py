#!/usr/bin/env python3
"""Makes the images and arrays of this folder, and what Pillow and NumPy read from them.

Needs python3-numpy and python3-pil. Run it in the root of the repository.
"""
import glob
import os
import struct
import zlib

import numpy as np
from PIL import Image

IMAGES = 'tests/data/images/'
ARRAYS = 'tests/data/arrays/'
WIDTH, HEIGHT = 23, 17


def chunk(kind, content):
    return struct.pack('>I', len(content)) + kind + content + struct.pack(
        '>I', zlib.crc32(kind + content))


def write_png(name, color, depth, rows, extra=b''):
    """For the kinds of PNG that Pillow does not write."""
    header = struct.pack('>IIBBBBB', WIDTH, HEIGHT, depth, color, 0, 0, 0)
    content = zlib.compress(b''.join(b'\0' + row for row in rows), 9)
    with open(IMAGES + name, 'wb') as file:
        file.write(b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', header) + extra +
                   chunk(b'IDAT', content) + chunk(b'IEND', b''))


def make_images():
    random = np.random.RandomState(3)
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    rgb = np.stack([x * 11 % 256, y * 15 % 256, x * y * 3 % 256], -1).astype(np.uint8)
    alpha = ((x + y) * 6).astype(np.uint8)
    image = Image.fromarray(rgb)
    for name, picture in {
            'rgb': image,
            'rgba': Image.fromarray(np.dstack([rgb, alpha])),
            'gray': Image.fromarray(rgb[..., 0]),
            'gray_alpha': Image.fromarray(np.dstack([rgb[..., 0], alpha]), 'LA'),
            'bits1': Image.fromarray((x + y) % 3 == 0),
            'palette4': image.quantize(11)}.items():
        picture.save(f'{IMAGES}{name}.png', optimize=True)
    palette = random.randint(0, 256, 768).astype(np.uint8).tobytes()
    indices = ((x + y * 2) % 200).astype(np.uint8)
    write_png('palette_transparent.png', 3, 8, [row.tobytes() for row in indices],
              chunk(b'PLTE', palette) + chunk(b'tRNS', bytes(range(200))))
    deep = (rgb * 257 + random.randint(-100, 100, rgb.shape)).clip(0, 65535).astype('>u2')
    write_png('rgb16.png', 2, 16, [row.tobytes() for row in deep])
    write_png('gray16.png', 0, 16, [row[:, 0].tobytes() for row in deep])
    image.save(IMAGES + 'rgb.jpg', quality=80)
    image.convert('L').save(IMAGES + 'gray.jpg', quality=80)
    image.convert('CMYK').save(IMAGES + 'cmyk.jpg', quality=80)
    image.save(IMAGES + 'progressive.jpg', quality=80, progressive=True, subsampling=0)
    for name in glob.glob(IMAGES + '*.*g'):
        pixels = np.asarray(Image.open(name).convert('RGB'))
        if name.endswith('gray16.png'):  # Pillow clips 16 bits of gray; the high byte is meant
            pixels = np.repeat((deep[..., :1] >> 8).astype(np.uint8), 3, -1)
        np.save(name + '.npy', pixels)
    for width, height in [(7, 5), (64, 40), (23, 4)]:
        resized = image.resize((width, height), Image.BILINEAR)
        np.save(f'{IMAGES}resized_{width}x{height}.npy', np.asarray(resized))


def make_arrays():
    ids = np.arange(12, dtype=np.int64).reshape(4, 3)
    pixels = np.arange(4 * 30, dtype=np.float32).reshape(4, 5, 6) / 8
    np.savez(ARRAYS + 'stored.npz', **{'ids': ids, 'pixels:0': pixels})
    np.savez_compressed(ARRAYS + 'deflated.npz', **{'ids': ids, 'pixels:0': pixels})
    np.save(ARRAYS + 'fortran.npy', np.asfortranarray(pixels))
    np.save(ARRAYS + 'big_endian.npy', pixels.astype('>f8'))


os.makedirs(IMAGES, exist_ok=True)
os.makedirs(ARRAYS, exist_ok=True)
make_images()
make_arrays()
