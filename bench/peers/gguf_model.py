"""Writes a Chameleon model of random weights in 4 bits (Q4_0) as llama.cpp reads it.

    python bench/peers/gguf_model.py --output FILE --hidden 4096 --layers 32 --heads 32 --ff 11008 --vocab 65536 --positions 4096
"""

import argparse
import os

import gguf
import numpy as np

# Numbers per block, and bytes: a float16 scale and 16 bytes of codes.
BLOCK, BLOCK_BYTES = 32, 18
DEVIATION = 0.0156


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", required=True)
    for name in ["hidden", "layers", "heads", "ff", "vocab", "positions"]:
        parser.add_argument(f"--{name}", type=int, required=True)
    options = parser.parse_args()
    hidden, ff, vocab = options.hidden, options.ff, options.vocab
    partial = f"{options.output}.partial"
    writer = gguf.GGUFWriter(partial, "chameleon")
    writer.add_context_length(options.positions)
    writer.add_embedding_length(hidden)
    writer.add_block_count(options.layers)
    writer.add_feed_forward_length(ff)
    writer.add_head_count(options.heads)
    writer.add_head_count_kv(options.heads)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(hidden // options.heads)
    writer.add_rope_freq_base(10_000.0)
    writer.add_vocab_size(vocab)
    writer.add_swin_norm(False)
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_Q4_0)
    writer.add_tokenizer_model("llama")
    control = ["<unk>", "<s>", "</s>"]
    single = [f"<0x{byte:02X}>" for byte in range(256)]
    words = [f"t{i}" for i in range(vocab - len(control) - len(single))]
    kinds = gguf.TokenType
    writer.add_token_list([*control, *single, *words])
    writer.add_token_scores([0.0] * vocab)
    writer.add_token_types([kinds.UNKNOWN, kinds.CONTROL, kinds.CONTROL, *[kinds.BYTE] * 256, *[kinds.NORMAL] * len(words)])

    random = np.random.default_rng(7)
    pools: dict[tuple[int, int], np.ndarray] = {}

    def matrix(rows: int, columns: int) -> np.ndarray:
        """Random codes and scales. Matrices of one shape are the same: only their time matters here."""
        if (rows, columns) not in pools:
            blocks = rows * columns // BLOCK
            data = random.integers(0, 256, (blocks, BLOCK_BYTES), dtype=np.uint8)
            scales = np.full(blocks, DEVIATION / 4.6, dtype=np.float16)  # 4.6 is the deviation of random codes
            data[:, :2] = scales.view(np.uint8).reshape(blocks, 2)
            pools[rows, columns] = data.reshape(rows, columns // BLOCK * BLOCK_BYTES)
        return pools[rows, columns]

    def add(name: str, rows: int, columns: int) -> None:
        writer.add_tensor(f"{name}.weight", matrix(rows, columns), raw_dtype=gguf.GGMLQuantizationType.Q4_0)

    def norm(name: str, *shape: int) -> None:
        writer.add_tensor(f"{name}.weight", np.ones(shape, dtype=np.float32))

    add("token_embd", vocab, hidden)
    norm("output_norm", hidden)
    add("output", vocab, hidden)
    for layer in range(options.layers):
        at = f"blk.{layer}"
        norm(f"{at}.attn_norm", hidden)
        norm(f"{at}.ffn_norm", hidden)
        for each in ["q", "k", "v", "output"]:
            add(f"{at}.attn_{each}", hidden, hidden)
        for each in ["q", "k"]:
            norm(f"{at}.attn_{each}_norm", options.heads, hidden // options.heads)
            writer.add_tensor(f"{at}.attn_{each}_norm.bias", np.zeros((options.heads, hidden // options.heads), dtype=np.float32))
        add(f"{at}.ffn_gate", ff, hidden)
        add(f"{at}.ffn_up", ff, hidden)
        add(f"{at}.ffn_down", hidden, ff)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    os.replace(partial, options.output)


main()
