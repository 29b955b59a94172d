"""Times a complete training step of a small Chameleon-style decoder in plain PyTorch on the CPU.

    python bench/peers/train_step.py --threads 2 [--compile] [--dense-mask] [--serve]

One step: forward, cross-entropy, backward, gradient clipping, AdamW. Prints one JSON object; notes go to standard
error. It uses the faster of AdamW's fused and foreach variants. With --serve it times the work that standard input names.
"""

import argparse
import sys
from functools import partial

import torch
import torch.nn.functional as F
from timing import gflops, milliseconds, product, report, serve, sgemm
from torch import Tensor, nn


def rotary_tables(length: int, width: int, theta: float = 10000.0) -> tuple[Tensor, Tensor]:
    """cos and sin `[length, width]` with equal halves (the rotate-half convention)."""
    frequencies = theta ** (-torch.arange(0, width, 2) / width)
    angles = torch.arange(length)[:, None] * frequencies.repeat(2)
    return angles.cos(), angles.sin()


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    first, second = x.chunk(2, dim=-1)
    return x * cos + torch.cat((-second, first), dim=-1) * sin


class HeadNorm(nn.Module):
    """LayerNorm over the head width, with separate weight and bias per head."""

    def __init__(self, heads: int, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(heads, width))
        self.bias = nn.Parameter(torch.zeros(heads, width))

    def forward(self, x: Tensor) -> Tensor:  # [B, T, heads, width]
        return F.layer_norm(x, x.shape[-1:]) * self.weight + self.bias


class Block(nn.Module):
    def __init__(self, hidden: int, heads: int, ff: int):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.mlp_norm = nn.RMSNorm(hidden, 1e-5), nn.RMSNorm(hidden, 1e-5)
        self.q, self.k, self.v, self.o = (nn.Linear(hidden, hidden, bias=False) for _ in range(4))
        self.q_norm, self.k_norm = HeadNorm(heads, hidden // heads), HeadNorm(heads, hidden // heads)
        self.gate, self.up = (nn.Linear(hidden, ff, bias=False) for _ in range(2))
        self.down = nn.Linear(ff, hidden, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None) -> Tensor:
        normed = self.attention_norm(x)
        q, k, v = (project(normed).unflatten(-1, (self.heads, -1)) for project in (self.q, self.k, self.v))
        q, k = (rotate(y.transpose(1, 2), cos, sin) for y in (self.q_norm(q), self.k_norm(k)))
        y = F.scaled_dot_product_attention(q, k, v.transpose(1, 2), mask, is_causal=mask is None)
        x = x + self.o(y.transpose(1, 2).flatten(2))
        normed = self.mlp_norm(x)
        return x + self.down(F.silu(self.gate(normed)) * self.up(normed))


class Decoder(nn.Module):
    def __init__(self, vocab: int, hidden: int, layers: int, heads: int, ff: int, length: int):
        super().__init__()
        self.embed = nn.Embedding(vocab, hidden)
        self.layers = nn.ModuleList(Block(hidden, heads, ff) for _ in range(layers))
        self.norm = nn.RMSNorm(hidden, 1e-5)
        self.head = nn.Linear(hidden, vocab, bias=False)
        cos, sin = rotary_tables(length, hidden // heads)
        self.register_buffer("cos", cos)
        self.register_buffer("sin", sin)

    def forward(self, ids: Tensor, targets: Tensor, mask: Tensor | None) -> Tensor:
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin, mask)
        return F.cross_entropy(self.head(self.norm(x)).flatten(0, 1), targets.flatten())


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in [("hidden", 256), ("layers", 6), ("heads", 8), ("ff", 688), ("vocab", 1024), ("batch", 4),
                          ("length", 512), ("threads", 2), ("repeats", 10)]:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"Defaults to {default}.")
    parser.add_argument("--compile", action="store_true", help="also time torch.compile (needs a C++ compiler)")
    parser.add_argument("--dense-mask", action="store_true", help="a T × T mask instead of the causal fast path")
    parser.add_argument("--serve", action="store_true", help="time the work that standard input names: fused, foreach, "
                        "compiled-fused, compiled-foreach, sgemm")
    return parser.parse_args()


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    length = options.length
    model = Decoder(options.vocab, options.hidden, options.layers, options.heads, options.ff, length)
    ids = torch.randint(options.vocab, (options.batch, length + 1))
    mask = torch.ones(length, length, dtype=torch.bool).tril() if options.dense_mask else None
    tokens = options.batch * length
    parameters = sum(p.numel() for p in model.parameters())
    # A weight costs 2 operations per token forward and 4 backward; the embedding lookup costs none. Attention scores and
    # weighted sums count in full, T × T, although a causal kernel may skip half of them.
    multiplied = parameters - model.embed.weight.numel()
    operations = 6 * multiplied * tokens + 12 * options.layers * options.hidden * length * tokens

    def step(loss_of, optimizer: torch.optim.Optimizer) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss_of(ids[:, :-1], ids[:, 1:], mask).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
        optimizer.step()

    def adamw(form: str) -> torch.optim.Optimizer:
        return torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, **{form: True})

    shape = {key: getattr(options, key) for key in ("hidden", "layers", "heads", "ff", "vocab", "batch", "length")}
    facts = {"parameters": parameters, **shape, "denseMask": options.dense_mask, "gflopPerStep": round(operations / 1e9, 2)}
    if options.serve:
        works = {form: partial(step, model, adamw(form)) for form in ("fused", "foreach")}
        if options.compile:
            compiled = torch.compile(model)
            works |= {f"compiled-{form}": partial(step, compiled, adamw(form)) for form in ("fused", "foreach")}
        serve("train_step", facts, {**works, "sgemm": product(1024)})
        return

    def timed(loss_of) -> dict:
        best = None
        for form in ("fused", "foreach"):
            optimizer = adamw(form)
            ms = milliseconds(lambda: step(loss_of, optimizer), options.repeats)
            print(f"adamw {form}: {ms}", file=sys.stderr)
            if best is None or ms["min"] < best["msPerStep"]["min"]:
                best = {"msPerStep": ms, "adamw": form}
        median = best["msPerStep"]["median"]
        rates = {"tokensPerSecond": round(tokens / median * 1e3), "gflopsPerSecond": gflops(operations, median)}
        return {**best, **rates}

    results = {"eager": timed(model), "compiled": None}
    if options.compile:
        try:
            results["compiled"] = timed(torch.compile(model))
        except Exception as error:  # noqa: BLE001 a missing compiler must not lose the eager numbers
            print(f"torch.compile: {error}", file=sys.stderr)
    report("train_step", {**facts, **results, "sgemmGflopsPerSecond": sgemm()})


main()
