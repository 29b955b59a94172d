"""A small Chameleon-style decoder in plain PyTorch, and a training step of it in several modes."""

from collections.abc import Callable
from functools import partial

import torch
import torch.nn.functional as F
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
    """Token ids `[B, T]` → mean −log p of `targets` `[B, t]` after the last t tokens, plus `z_loss` · log² Z."""

    def __init__(self, vocab: int, hidden: int, layers: int, heads: int, ff: int, positions: Tensor, z_loss: float = 0.0):
        super().__init__()
        self.z_loss = z_loss
        self.embed = nn.Embedding(vocab, hidden)
        self.layers = nn.ModuleList(Block(hidden, heads, ff) for _ in range(layers))
        self.norm = nn.RMSNorm(hidden, 1e-5)
        self.head = nn.Linear(hidden, vocab, bias=False)
        cos, sin = rotary_tables(int(positions.max()) + 1, hidden // heads)
        self.register_buffer("cos", cos[positions])
        self.register_buffer("sin", sin[positions])

    def forward(self, ids: Tensor, targets: Tensor, mask: Tensor | None) -> Tensor:
        x = self.embed(ids)
        for layer in self.layers:
            x = layer(x, self.cos, self.sin, mask)
        logits = self.head(self.norm(x[:, -targets.shape[1]:])).flatten(0, 1).float()
        loss = F.cross_entropy(logits, targets.flatten())
        return loss + self.z_loss * logits.logsumexp(-1).square().mean() if self.z_loss else loss


def step(model: nn.Module, loss_of: Callable[..., Tensor], optimizer: torch.optim.Optimizer, batch: tuple, half: bool) -> None:
    """Forward, backward, gradient clipping, AdamW; with `half` under bfloat16 autocast."""
    optimizer.zero_grad(set_to_none=True)
    with torch.autocast("cpu", torch.bfloat16, enabled=half):
        loss = loss_of(*batch)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0, foreach=True)
    optimizer.step()


def works(model: Decoder, batch: tuple, compiled: bool) -> dict[str, Callable[[], None]]:
    """The step by mode: `fused`, `foreach`, `bf16-fused`, `bf16-foreach`, and with `compiled` each under torch.compile."""
    forms = {"": model}
    if compiled:
        forms["compiled-"] = torch.compile(model)
    found = {}
    for prefix, loss_of in forms.items():
        for precision, half in (("", False), ("bf16-", True)):
            for adamw in ("fused", "foreach"):
                optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.1, **{adamw: True})
                found[f"{prefix}{precision}{adamw}"] = partial(step, model, loss_of, optimizer, batch, half)
    return found
