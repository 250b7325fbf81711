#!/usr/bin/env python3
"""Makes an image folder of synthetic photos: JPEGs of mixed sizes whose classes can be told apart.

    python3 scripts/photos.py FOLDER [--images 20000] [--classes 10] [--test 1000] [--seed 0]

For measuring how images are read; needs numpy and Pillow. Sizes are like ImageNet's: short sides
from 250 to 500 pixels, 3:4, 4:3 and square. Every image has texture, so that its JPEG is about as
large as a photo's (100 kB).
"""

import argparse
import concurrent.futures
import os

import numpy as np
from PIL import Image

SHAPES = [(500, 375), (375, 500), (500, 333), (400, 300), (320, 240), (500, 500), (640, 480)]


def picture(seed, label, classes):
    """An image of class `label`: blobs of its colour over texture of many scales."""
    rng = np.random.default_rng(seed)
    w, h = SHAPES[rng.integers(len(SHAPES))]
    image = np.full((h, w, 3), 110.0)
    for scale in (2, 5, 12, 40):
        grid = rng.normal(0, 16, (h // scale + 2, w // scale + 2, 3))
        image += np.kron(grid, np.ones((scale, scale, 1)))[:h, :w]
    hue = 2 * np.pi * label / classes
    colour = 70 * np.array([np.cos(hue), np.cos(hue - 2.1), np.cos(hue + 2.1)])
    y, x = np.mgrid[:h, :w]
    for _ in range(3):
        cx, cy, r = rng.uniform(0, w), rng.uniform(0, h), rng.uniform(0.1, 0.3) * min(w, h)
        image += colour * np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * r * r))[..., None]
    return Image.fromarray(np.clip(image, 0, 255).astype(np.uint8))


def write(job):
    """Writes one image."""
    path, seed, label, classes = job
    picture(seed, label, classes).save(path, quality=85)


def main():
    """Writes the folder with all cores."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--images", type=int, default=20_000)
    parser.add_argument("--test", type=int, default=1_000)
    parser.add_argument("--classes", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    jobs = []
    for split, count, first in (("train", a.images, 0), ("test", a.test, a.images)):
        for label in range(a.classes):
            os.makedirs(f"{a.folder}/{split}/class{label:03}", exist_ok=True)
        for i in range(count):
            label, seed = i % a.classes, a.seed * 10_000_000 + first + i
            path = f"{a.folder}/{split}/class{label:03}/{i:07}.jpg"
            jobs.append((path, seed, label, a.classes))
    with concurrent.futures.ProcessPoolExecutor() as pool:
        for _ in pool.map(write, jobs, chunksize=64):
            pass


if __name__ == "__main__":
    main()
