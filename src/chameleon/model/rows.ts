/** @file Sequences that go on together: prompts are read once, then every row takes one token a step. */
import { requireRoom } from "../../runtime/memory.ts";
import type { CacheBlock, KeyValueCache } from "./cache.ts";
import type { Decoder } from "./decoder.ts";
import { sequencesMemory } from "./memory.ts";

/** What some rows begin with. */
export interface Stem {
  /** Keys and values that the rows see before their tokens. */
  readonly blocks: readonly CacheBlock[];
  readonly tokens: readonly number[];
  /** Position of the first token. */
  readonly position: number;
  /** How many rows begin so. */
  readonly rows: number;
}

export class Rows {
  private constructor(
    private readonly decoder: Decoder,
    private readonly cache: KeyValueCache,
    /** Position of each row's next token. */
    private readonly positions: number[],
    /** Logits of what follows in each row, `[rows, vocabulary]`. */
    private logits: Float32Array,
  ) {}

  /**
   * Reads each stem once, for all its rows.
   * @param doing what this is for, in errors
   * @param tokens that each row will take at most
   * @throws XPromptError when the rows would take more memory than there is
   */
  static async start(
    decoder: Decoder,
    stems: readonly Stem[],
    { doing, tokens: most }: { readonly doing: string; readonly tokens: number },
  ): Promise<Rows> {
    await requireRoomFor(decoder, stems, doing, most);
    const positions = stems.flatMap(({ position, tokens, rows }) =>
      Array<number>(rows).fill(position + tokens.length),
    );
    if (positions.length === 1) {
      const { cache, logits } = await read(decoder, stems[0]!);
      return new Rows(decoder, cache, positions, logits);
    }
    const cache = decoder.newCache(positions.length);
    const { vocabularySize } = decoder.config;
    const logits = new Float32Array(positions.length * vocabularySize);
    let row = 0;
    for (const stem of stems) {
      const one = await read(decoder, stem);
      const block = one.cache.block(0, 0, one.cache.lengths[0]!);
      for (const end = row + stem.rows; row < end; row++) {
        cache.append(row, block);
        logits.set(one.logits, row * vocabularySize);
      }
    }
    return new Rows(decoder, cache, positions, logits);
  }

  /** The logits of `ids` as a row's next token. */
  logitsOf(row: number, ids: Int32Array): Float32Array {
    const start = row * this.decoder.config.vocabularySize;
    return Float32Array.from(ids, (id) => this.logits[start + id]!);
  }

  /** Takes the next token of every row. */
  async read(tokens: readonly number[]): Promise<void> {
    const stretches = tokens.map((token, row) => ({ tokens: [token], positions: [this.positions[row]!++] }));
    this.logits = await this.decoder.read(stretches, this.cache);
  }
}

async function read(decoder: Decoder, { blocks, tokens, position }: Stem) {
  const cache = decoder.newCache(1);
  for (const block of blocks) cache.append(0, block);
  const logits = await decoder.read([{ tokens, positions: tokens.map((_, i) => position + i) }], cache);
  return { cache, logits };
}

async function requireRoomFor(
  { config }: Decoder,
  stems: readonly Stem[],
  doing: string,
  most: number,
): Promise<void> {
  const rows = stems.reduce((sum, stem) => sum + stem.rows, 0);
  const begun = stems.map(({ blocks, tokens }) =>
    blocks.reduce((sum, { length }) => sum + length, tokens.length),
  );
  const length = Math.max(...begun) + most;
  await requireRoom(
    doing,
    sequencesMemory(config, rows, length),
    `${rows} sequences of ${length} tokens, one for each sample and condition of its guidance`,
    "ask for fewer samples, give fewer examples or a shorter prompt, or no guidance",
  );
}
