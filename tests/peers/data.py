"""Random resized crops a second and core, by Pillow and torchvision: what `earlybird bench data
--stream DIR --against-pytorch` puts beside its own. Prints JSON: name, images a second.

    python data.py DIR IMAGES SIZE ROUNDS
"""

import glob
import json
import statistics
import sys
import time

import torch
from PIL import Image
from torchvision import transforms as v1
from torchvision.io import ImageReadMode, decode_jpeg, read_file
from torchvision.transforms import v2

torch.set_num_threads(1)


def rate(files, make, rounds):
    """The median of some rounds, by the thread's own time."""
    rates = []
    for _ in range(rounds):
        began = time.thread_time()
        for file in files:
            make(file)
        rates.append(len(files) / (time.thread_time() - began))
    return statistics.median(rates)


def main():
    """Times all of them."""
    folder, count, size, rounds = sys.argv[1], *map(int, sys.argv[2:5])
    files = sorted(glob.glob(f"{folder}/train/*/*.jpg"))[:count]
    tensor_crop = v2.Compose(
        [v2.RandomResizedCrop(size, antialias=True), v2.RandomHorizontalFlip()]
    )
    image_crop = v1.Compose(
        [v1.RandomResizedCrop(size), v1.RandomHorizontalFlip(), v1.PILToTensor()]
    )

    def by_torchvision(file):
        return tensor_crop(decode_jpeg(read_file(file), mode=ImageReadMode.RGB))

    def by_pillow(file):
        with Image.open(file) as image:
            return image_crop(image.convert("RGB"))

    simd = ".post" in Image.__version__
    print(
        json.dumps(
            {
                "torchvision, decode_jpeg and v2": rate(files, by_torchvision, rounds),
                ("Pillow-SIMD" if simd else "Pillow") + " and transforms": rate(
                    files, by_pillow, rounds
                ),
            }
        )
    )


if __name__ == "__main__":
    main()
