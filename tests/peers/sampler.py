"""Weighted draws with replacement, as many as there are weights: torch.multinomial or numpy's choice. Prints one JSON line."""

import argparse
import json
import resource
import time

import numpy as np
import torch

a = argparse.ArgumentParser()
a.add_argument("--samples", type=int, default=10_000_000)
a.add_argument("--what", choices=["multinomial", "choice"], default="multinomial")
o = a.parse_args()
weights = torch.rand(o.samples, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
if o.what == "multinomial":
    began = time.perf_counter()
    torch.multinomial(weights, o.samples, replacement=True)
else:
    p = (weights / weights.sum()).numpy()
    began = time.perf_counter()
    np.random.default_rng(0).choice(o.samples, o.samples, p=p)
seconds = time.perf_counter() - began
print(json.dumps({
    "what": o.what, "samples": o.samples, "draws_per_s": o.samples / seconds,
    "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
