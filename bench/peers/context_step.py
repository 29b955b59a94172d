"""Times a training step on X-Prompt's contexts in plain PyTorch, as one would write it in an afternoon: a context is one
sequence, its examples and then its TODO parts, with one dense mask over all of it.

    python bench/peers/context_step.py --threads 2 [--compile] --serve

The step and its modes are those of train_step.py. With --serve it times the mode that standard input names.
"""

import argparse

import torch
from decoder import Decoder, works
from timing import serve
from torch import Tensor


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name in ("hidden", "layers", "heads", "ff", "vocab", "threads", "contexts", "examples", "example-length",
                 "xp-tokens", "todos", "todo-length", "todo-position"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--compile", action="store_true", help="also with torch.compile (needs a C++ compiler)")
    parser.add_argument("--serve", action="store_true")
    return parser.parse_args()


def dense_mask(examples: int, example_length: int, xp_tokens: int, todos: int, todo_length: int) -> Tensor:
    """`[T, T]`, true where a row sees a key: causally within its own part, and TODO parts also all XP tokens."""
    part = torch.cat([torch.arange(examples).repeat_interleave(example_length),
                      examples + torch.arange(todos).repeat_interleave(todo_length)])
    place = torch.cat([torch.arange(example_length).repeat(examples), torch.arange(todo_length).repeat(todos)])
    row = torch.arange(len(part))
    own = (part[:, None] == part[None]) & (row[None] <= row[:, None])
    is_xp = (part < examples) & (place >= example_length - xp_tokens)
    return own | ((part >= examples)[:, None] & is_xp[None])


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    sizes = (options.examples, options.example_length, options.xp_tokens, options.todos, options.todo_length)
    positions = torch.cat([torch.arange(options.example_length).repeat(options.examples),
                           options.todo_position + torch.arange(options.todo_length).repeat(options.todos)])
    model = Decoder(options.vocab, options.hidden, options.layers, options.heads, options.ff, positions, z_loss=1e-5)
    ids = torch.randint(options.vocab, (options.contexts, len(positions)))
    targets = torch.randint(options.vocab, (options.contexts, options.todos * options.todo_length))
    parameters = sum(p.numel() for p in model.parameters())
    serve("context_step", {"parameters": parameters, "tokens": ids.numel()},
          works(model, (ids, targets, dense_mask(*sizes)), options.compile))


main()
