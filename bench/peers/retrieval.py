"""Times faiss, for comparison with the example library: IVFFlat (inverted file) and Flat (exact search).

    python bench/peers/retrieval.py FOLDER WIDTH THREADS

FOLDER has vectors.f32 and queries.f32. Prints facts, then times one query for each line "ivf" or "flat".
"""

import json
import platform
import resource
import sys
import time
from itertools import count
from pathlib import Path

import faiss
import numpy as np

folder, width, threads = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
faiss.omp_set_num_threads(threads)
k = 10
vectors = np.memmap(folder / "vectors.f32", dtype=np.float32, mode="r").reshape(-1, width)
queries = np.fromfile(folder / "queries.f32", dtype=np.float32).reshape(-1, width)

start = time.perf_counter()
cells = max(1, round(len(vectors) ** 0.5))
ivf = faiss.index_factory(width, f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT)
ivf.train(np.array(vectors[:: max(1, len(vectors) // (cells * 64))]))
for at in range(0, len(vectors), 50_000):
    ivf.add(np.array(vectors[at : at + 50_000]))
seconds = time.perf_counter() - start
flat = faiss.IndexFlatIP(width)
for at in range(0, len(vectors), 50_000):
    flat.add(np.array(vectors[at : at + 50_000]))
ivf.nprobe = 24

truth, found = flat.search(queries, k)[1], ivf.search(queries, k)[1]
recall = float(np.mean([len(set(a) & set(b)) / k for a, b in zip(truth, found)]))
versions = {"python": platform.python_version(), "faiss": faiss.__version__}
print(json.dumps({"seconds": round(seconds, 2), "recall": round(recall, 4), "versions": versions}), flush=True)

turn = {"ivf": count(), "flat": count()}
for line in sys.stdin:
    name = line.strip()
    query = queries[next(turn[name]) % len(queries)][None]
    start = time.perf_counter()
    (ivf if name == "ivf" else flat).search(query, k)
    print(json.dumps({"ms": (time.perf_counter() - start) * 1e3}), flush=True)
print(json.dumps({"peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
