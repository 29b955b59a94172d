"""Times a complete training step of a small Chameleon-style decoder in plain PyTorch on the CPU.

    python bench/peers/train_step.py --threads 2 [--compile] [--serve]

One step: forward, cross-entropy, backward, gradient clipping, AdamW; in float32 and under bfloat16 autocast, each with
AdamW's fused and foreach variants. Prints one JSON object. With --serve it times the work that standard input names.
"""

import argparse

import torch
from decoder import Decoder, works
from timing import gflops, milliseconds, product, report, serve, sgemm


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in [("hidden", 256), ("layers", 6), ("heads", 8), ("ff", 688), ("vocab", 1024), ("batch", 4),
                          ("length", 512), ("threads", 2), ("repeats", 10)]:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"Defaults to {default}.")
    parser.add_argument("--compile", action="store_true", help="also with torch.compile (needs a C++ compiler)")
    parser.add_argument("--serve", action="store_true", help="time the work that standard input names: a mode, or sgemm")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    length = options.length
    model = Decoder(options.vocab, options.hidden, options.layers, options.heads, options.ff, torch.arange(length))
    ids = torch.randint(options.vocab, (options.batch, length + 1))
    tokens = options.batch * length
    parameters = sum(p.numel() for p in model.parameters())
    # A weight costs 2 operations per token forward and 4 backward; the embedding lookup costs none. Attention scores and
    # weighted sums count in full, T × T, although a causal kernel may skip half of them.
    multiplied = parameters - model.embed.weight.numel()
    operations = 6 * multiplied * tokens + 12 * options.layers * options.hidden * length * tokens
    shape = {key: getattr(options, key) for key in ("hidden", "layers", "heads", "ff", "vocab", "batch", "length")}
    facts = {"parameters": parameters, **shape, "gflopPerStep": round(operations / 1e9, 2)}
    modes = works(model, (ids[:, :-1], ids[:, 1:], None), options.compile)
    if options.serve:
        serve("train_step", facts, {**modes, "sgemm": product(1024)})
        return
    found = {}
    for name, work in modes.items():
        ms = milliseconds(work, options.repeats)
        found[name] = {"msPerStep": ms, "tokensPerSecond": round(tokens / ms["median"] * 1e3),
                       "gflopsPerSecond": gflops(operations, ms["median"])}
    report("train_step", {**facts, "modes": found, "sgemmGflopsPerSecond": sgemm()})


main()
