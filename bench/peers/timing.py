"""What the peers' benchmarks share: timing, the machine's description, one JSON object on standard output."""

import json
import platform
import statistics
import time
from collections.abc import Callable

import torch


def milliseconds(work: Callable[[], object], repeats: int, warm_up: int = 3) -> dict:
    """Runs `work` `warm_up` times unmeasured, then `repeats` times: median and min, because others use the machine."""
    for _ in range(warm_up):
        work()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        work()
        times.append((time.perf_counter() - start) * 1e3)
    return {"median": round(statistics.median(times), 3), "min": round(min(times), 3), "repeats": repeats}


def sgemm(size: int = 1024) -> dict:
    """GFLOP/s of float32 torch.mm, size × size × size: what this machine's PyTorch can do at best."""
    x, y = torch.randn(size, size), torch.randn(size, size)
    ms = milliseconds(lambda: torch.mm(x, y), repeats=15)
    operations = 2 * size**3
    return {"size": size, "median": gflops(operations, ms["median"]), "best": gflops(operations, ms["min"])}


def gflops(operations: float, ms: float) -> float:
    return round(operations / ms / 1e6, 1)


def cpu() -> str:
    with open("/proc/cpuinfo", encoding="utf-8") as lines:
        names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0]} × {len(names)}" if names else platform.processor()


def report(name: str, results: dict, **versions: str) -> None:
    machine = {"cpu": cpu(), "threads": torch.get_num_threads()}
    versions = {"python": platform.python_version(), "torch": torch.__version__, **versions}
    print(json.dumps({"benchmark": name, **results, "machine": machine, "versions": versions}, ensure_ascii=False))
