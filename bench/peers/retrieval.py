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
vectors = folder / "vectors.f32"
count_of_vectors = vectors.stat().st_size // (4 * width)
AT_ONCE = 50_000
queries = np.fromfile(folder / "queries.f32", dtype=np.float32).reshape(-1, width)



def pieces():
    """The vectors, read piece by piece: a mapped file would count as memory of the process."""
    with open(vectors, "rb") as file:
        while len(piece := np.fromfile(file, dtype=np.float32, count=AT_ONCE * width)) > 0:
            yield piece.reshape(-1, width)


start = time.perf_counter()
cells = max(1, round(count_of_vectors**0.5))
ivf = faiss.index_factory(width, f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT)
every = max(1, count_of_vectors // (cells * 64))
ivf.train(np.concatenate([piece[::every] for piece in pieces()]))
for piece in pieces():
    ivf.add(piece)
seconds = time.perf_counter() - start
# Before there is the exact index, which holds the vectors once more.
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
flat = faiss.IndexFlatIP(width)
for piece in pieces():
    flat.add(piece)
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
print(json.dumps({"peakBytes": peak}))
