"""Common parts of the peers: timing, the description of the machine, one JSON object on standard output."""

import json
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable

import torch
from torch import Tensor


def milliseconds(work: Callable[[], object], repeats: int, warm_up: int = 3) -> dict:
    """Runs `work` `warm_up` times unmeasured, then `repeats` times. Returns median and min, because other programs may run."""
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return {"median": round(statistics.median(times), 3), "min": round(min(times), 3), "repeats": repeats}


def product(size: int) -> Callable[[], Tensor]:
    """float32 torch.mm, size × size × size."""
    x, y = torch.randn(size, size), torch.randn(size, size)
    return lambda: torch.mm(x, y)


def sgemm(size: int = 1024) -> dict:
    """GFLOP/s of float32 torch.mm: the upper bound of PyTorch on this machine."""
    ms = milliseconds(product(size), repeats=15)
    operations = 2 * size**3
    return {"size": size, "median": gflops(operations, ms["median"]), "best": gflops(operations, ms["min"])}


def gflops(operations: float, ms: float) -> float:
    return round(operations / ms / 1e6, 1)


def cpu() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} × {len(names)}" if names else platform.processor()


def report(name: str, results: dict, **versions: str) -> None:
    print(json.dumps(described(name, results, **versions), ensure_ascii=False))


def described(name: str, results: dict, **versions: str) -> dict:
    machine = {"cpu": cpu(), "threads": torch.get_num_threads()}
    versions = {"python": platform.python_version(), "torch": torch.__version__, **versions}
    return {"benchmark": name, **results, "machine": machine, "versions": versions}


def serve(name: str, facts: dict, works: dict[str, Callable[[], object]], **versions: str) -> None:
    """For benchmarks that alternate between programs: prints `facts`, then runs and times the work that each line of
    standard input names, and prints one JSON object per line, until the input ends."""
    print(json.dumps(described(name, facts, **versions), ensure_ascii=False), flush=True)
    for line in sys.stdin:
        work = works[line.strip()]
        start = time.perf_counter()
        work()
        print(json.dumps({"ms": (time.perf_counter() - start) * 1e3}), flush=True)
    print(json.dumps({"peakBytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}))
