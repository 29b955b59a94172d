"""Times Hugging Face transformers sampling an image token by token with a Chameleon model on the CPU.

    python bench/peers/generate.py --threads 2 [--model FOLDER | --hidden 256 --layers 6 …] [--static] [--compile] [--serve]

Greedy decoding of `tokens` ids after a prefill of `prefill`, several ways: `generate()` with its growing cache, a
hand-written loop around the model, (--static) that loop with a preallocated cache, and (--compile) with a preallocated
cache and a compiled model. Prints one JSON object.
The prefill gives the first id, so msPerToken = (wholeImageMs − prefillMs) / (tokens − 1).
With --serve it times the work that standard input names.
"""

import argparse

import torch
import transformers
from timing import milliseconds, report, serve
from transformers import ChameleonConfig, ChameleonForConditionalGeneration, DynamicCache, StaticCache


def random_model(options: argparse.Namespace) -> ChameleonForConditionalGeneration:
    """Random weights; ids 4 … 515 are image tokens. The image tokenizer is small and never used."""
    letters = str.maketrans("0123456789", "ABCDEFGHIJ")
    names = {f"IMGIMG{str(code).translate(letters)}Z": 4 + code for code in range(min(512, options.vocab // 2))}
    config = ChameleonConfig(
        vocab_size=options.vocab,
        hidden_size=options.hidden,
        intermediate_size=options.ff,
        num_hidden_layers=options.layers,
        num_attention_heads=options.heads,
        num_key_value_heads=options.heads,
        vocabulary_map={"<image>": 3, **names},
        vq_config={"base_channels": 32, "embed_dim": 32, "latent_channels": 32, "num_embeddings": 512},
    )
    torch.manual_seed(0)
    return ChameleonForConditionalGeneration(config)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", help="folder of a Chameleon checkpoint in Hugging Face's layout")
    for name, default in [("hidden", 256), ("layers", 6), ("heads", 8), ("ff", 688), ("vocab", 1024), ("batch", 1),
                          ("prefill", 128), ("tokens", 64), ("threads", 2), ("repeats", 5)]:
        parser.add_argument(f"--{name}", type=int, default=default, help=f"Defaults to {default}.")
    parser.add_argument("--static", action="store_true", help="also time a preallocated cache")
    parser.add_argument("--compile", action="store_true",
                        help="also time a preallocated cache with torch.compile (needs a C++ compiler)")
    parser.add_argument("--rooms", type=lambda text: [int(room) for room in text.split(",")], default=[],
                        help="with --serve: slots that preallocated caches reserve, separated by commas")
    parser.add_argument("--serve", action="store_true", help="time the work that standard input names: prefill, generate, "
                        "loop, loop-ROOM for every preallocated cache, and compiled")
    return parser.parse_args()


@torch.inference_mode()
def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    if options.model:
        model = ChameleonForConditionalGeneration.from_pretrained(options.model, dtype=torch.float32)
    else:
        model = random_model(options)
    model.eval()
    model.generation_config.eos_token_id = None  # always the full number of tokens
    config = model.config
    prompt = torch.randint(4, config.vocab_size, (options.batch, options.prefill))

    def dynamic_cache() -> DynamicCache:
        return DynamicCache(config=config)

    def static_cache() -> StaticCache:
        return StaticCache(config=config, max_cache_len=options.prefill + options.tokens)

    def forward(ids, cache, run=model):
        return run(input_ids=ids, past_key_values=cache, use_cache=True, logits_to_keep=1).logits[:, -1].argmax(-1)

    def loop(new_cache, run=model):
        cache = new_cache()
        ids = forward(prompt, cache)
        drawn = [ids]
        for _ in range(options.tokens - 1):
            ids = forward(ids[:, None], cache, run)
            drawn.append(ids)
        return torch.stack(drawn, 1)

    def generate():
        mask = torch.ones_like(prompt)
        ids = model.generate(prompt, attention_mask=mask, max_new_tokens=options.tokens, do_sample=False)
        return ids[:, options.prefill :]

    def preallocated(room, run=model):
        """The loop with a cache of `room` slots that is made beforehand, as a server would do it."""
        cache = StaticCache(config=config, max_cache_len=room)

        def emptied():
            cache.reset()
            return cache

        return lambda: loop(emptied, run)

    def compiled():
        """The same with a compiled model, and a cache that is as long as the picture needs."""
        return preallocated(options.prefill + options.tokens, torch.compile(model))

    assert torch.equal(generate(), loop(dynamic_cache)), "generate() and the loop must draw the same tokens"
    facts = {
        "parameters": sum(p.numel() for name, p in model.named_parameters() if ".vqmodel." not in f".{name}"),
        "hidden": config.hidden_size,
        "layers": config.num_hidden_layers,
        "heads": config.num_attention_heads,
        "ff": config.intermediate_size,
        "vocab": config.vocab_size,
        "batch": options.batch,
        "prefill": options.prefill,
        "tokens": options.tokens,
    }
    if options.serve:
        for room in options.rooms:
            assert torch.equal(preallocated(room)(), loop(dynamic_cache)), "every cache must draw the same tokens"
        works = {
            "prefill": lambda: forward(prompt, dynamic_cache()),
            "generate": generate,
            "loop": lambda: loop(dynamic_cache),
            **{f"loop-{room}": preallocated(room) for room in options.rooms},
            **({"compiled": compiled()} if options.compile else {}),
        }
        serve("generate", facts, works, transformers=transformers.__version__)
        return
    prefill = milliseconds(lambda: forward(prompt, dynamic_cache()), options.repeats)

    def timed(work) -> dict:
        whole = milliseconds(work, options.repeats, warm_up=1)
        per_token = {key: round((whole[key] - prefill[key]) / (options.tokens - 1), 3) for key in ("median", "min")}
        return {"wholeImageMs": whole, "msPerToken": per_token}

    report("generate", {
        **facts,
        "prefillMs": prefill,
        "generate": timed(generate),
        "loop": timed(lambda: loop(dynamic_cache)),
        "staticCacheLoop": timed(lambda: loop(static_cache)) if options.static else None,
        "compiledLoop": timed(compiled()) if options.compile else None,
    }, transformers=transformers.__version__)


main()
