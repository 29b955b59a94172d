/**
 * @file Compressing examples: each example is a forward pass of its own; the keys and values of its XP block are kept.
 */
import type { Chameleon } from "../chameleon/chameleon.ts";
import type { CacheBlock } from "../chameleon/model/cache.ts";
import { headWidth } from "../chameleon/model/transformer.ts";
import type { Pixels } from "../chameleon/tokenizers/image-tokenizer.ts";
import { UsageError, XPromptError } from "../errors.ts";
import { sha256 } from "../hash.ts";
import { type ColourSums, colourSums } from "../image/example-colours.ts";
import { loadPicture } from "../image/picture.ts";
import { Once } from "../runtime/once.ts";
import type { ModelConfig } from "./config.ts";
import type { CompressOptions, Example } from "./options.ts";
import { VisualPrompt } from "./prompt.ts";
import type { PromptCache } from "./prompt-cache.ts";
import { type EncodedExample, exampleTokens, textLimit } from "./sequence.ts";

/** Examples whose pictures are in memory at the same time. */
const AT_ONCE = 32;

/** A preprocessed example. */
interface PreparedExample {
  readonly input: Pixels;
  readonly output: Pixels;
  /** Text tokens. */
  readonly instruction: readonly number[];
  colours(): Promise<ColourSums>;
}

interface CodedExample extends EncodedExample {
  readonly colours: ColourSums;
}

export class Compressor {
  private readonly emptyExample = new Once(() => this.encode([null]));

  /** @param cache cache of compressed examples, keyed by content */
  constructor(
    private readonly config: ModelConfig,
    private readonly fingerprint: string,
    private readonly base: Chameleon,
    private readonly cache?: PromptCache,
  ) {}

  /** @throws XPromptError for a picture that cannot be read; UsageError without examples */
  async compress(examples: readonly Example[], options: CompressOptions): Promise<VisualPrompt> {
    if (!Array.isArray(examples) || examples.length === 0)
      throw new UsageError(
        `compressing: expected an array of at least one example, got ${Array.isArray(examples) ? "none" : "something else"}`,
      );
    const parts: VisualPrompt[] = [];
    for (let done = 0; done < examples.length; done += AT_ONCE) {
      options.signal?.throwIfAborted();
      const some = examples.slice(done, done + AT_ONCE);
      parts.push(await this.compressSome(some, done, examples.length, options));
    }
    return VisualPrompt.join(parts);
  }

  /** The prompt of the empty example, compressed once. */
  empty(): Promise<VisualPrompt> {
    return this.emptyExample.get();
  }

  /**
   * Joins all prompts of a request.
   * @param doing for errors: "generating"
   * @throws XPromptError for a prompt of another model
   */
  joined(
    doing: string,
    prompt: VisualPrompt | readonly VisualPrompt[] | undefined,
  ): VisualPrompt | undefined {
    const prompts = prompt === undefined ? [] : [prompt].flat();
    if (prompts.length === 0) return undefined;
    for (const each of prompts)
      if (!(each instanceof VisualPrompt))
        throw new UsageError(
          `${doing}: prompt: expected a prompt from compress or VisualPrompt.load, got something else`,
        );
    const joined = VisualPrompt.join(prompts);
    if (joined.model === this.fingerprint && joined.blocks.every((block) => this.fits(block))) return joined;
    throw new XPromptError(
      `using a prompt: expected a prompt of this model (${this.fingerprint}), got a prompt of ${joined.model} (compress the examples again with this model)`,
      { code: "ERR_MISMATCH" },
    );
  }

  /**
   * Text tokens of an instruction in a sequence with `pictures` pictures, cut at the length the model was trained on.
   */
  words(text: string, pictures: number): number[] {
    const limit = textLimit(this.config.xprompt, pictures, this.base.codesPerImage);
    return this.tokenized(text).slice(0, limit);
  }

  /** Number of tokens that `words` cuts off. */
  unreadTokens(text: string, pictures: number): number {
    return this.tokenized(text).length - this.words(text, pictures).length;
  }

  private tokenized(text: string): number[] {
    return this.base.tokenizer.encodeText(text.trim().toLowerCase());
  }

  private fits({ length, heads, layers }: CacheBlock): boolean {
    const { decoder, xprompt } = this.config;
    const size = heads * length * headWidth(decoder);
    return (
      (length === xprompt.tokens || (xprompt.mask === "causal" && length > xprompt.tokens)) &&
      heads === decoder.keyValueHeads &&
      layers.length === decoder.layers &&
      layers.every(({ keys, values }) => keys.length === size && values.length === size)
    );
  }

  /** Compresses some of the examples of a call; the first has number `first`. */
  private async compressSome(
    examples: readonly Example[],
    first: number,
    total: number,
    { onProgress, signal }: CompressOptions,
  ): Promise<VisualPrompt> {
    for (const [i, example] of examples.entries())
      if (example?.instruction !== undefined && typeof example.instruction !== "string")
        throw new UsageError(
          `compressing: examples[${first + i}].instruction: expected a text, got ${example.instruction === null ? "null" : typeof example.instruction}`,
        );
    const pictures = await Promise.all(
      examples.flatMap((example, i) =>
        (["input", "output"] as const).map((side) =>
          this.base.pixels(example?.[side], `examples[${first + i}].${side}`),
        ),
      ),
    );
    signal?.throwIfAborted();
    const prepared = examples.map((example, i): PreparedExample => {
      const pair = { input: pictures[2 * i]!, output: pictures[2 * i + 1]! };
      const instruction = this.words(example.instruction ?? "", 2);
      return { ...pair, instruction, colours: () => this.coloursOf(pair, example) };
    });
    const progress = (done: number) => onProgress?.({ done: first + done, examples: total });
    if (!this.cache)
      return this.encode(await this.codesOf(prepared), { signal, onProgress: ({ done }) => progress(done) });
    const prompts: VisualPrompt[] = [];
    for (const example of prepared) {
      signal?.throwIfAborted();
      prompts.push(await this.cached(example, this.cache, signal));
      await progress(prompts.length);
    }
    return VisualPrompt.join(prompts);
  }

  /** Takes an example from the cache, or compresses it once for all concurrent callers. */
  private cached(
    example: PreparedExample,
    cache: PromptCache,
    asked: AbortSignal | undefined,
  ): Promise<VisualPrompt> {
    const make = async (signal: AbortSignal) => this.encode(await this.codesOf([example]), { signal });
    return cache.getOrMake(contentOf(example), make, asked);
  }

  /** What the pair tells about colours. The values that the processor of a checkpoint made are no colours. */
  private async coloursOf(
    { input, output }: Pick<PreparedExample, "input" | "output">,
    example: Example,
  ): Promise<ColourSums> {
    if ("data" in input && "data" in output) return colourSums(input, output);
    const { size } = this.base;
    return colourSums(
      await loadPicture(example.input, { size }),
      await loadPicture(example.output, { size }),
    );
  }

  private async codesOf(examples: readonly PreparedExample[]): Promise<CodedExample[]> {
    const codes = await this.base.tokenizer.encodeImages(
      examples.flatMap(({ input, output }) => [input, output]),
    );
    const coded: CodedExample[] = [];
    for (const [i, { instruction, colours }] of examples.entries())
      coded.push({ input: codes[2 * i]!, output: codes[2 * i + 1]!, instruction, colours: await colours() });
    return coded;
  }

  private async encode(
    examples: readonly (CodedExample | null)[],
    { onProgress, signal }: CompressOptions = {},
  ): Promise<VisualPrompt> {
    const { tokens: xpTokens, mask } = this.config.xprompt;
    const blocks = [];
    for (const example of examples) {
      signal?.throwIfAborted();
      const tokens = exampleTokens(this.base.tokenizer.vocabulary, example, xpTokens);
      const kept = mask === "causal" ? tokens.length : xpTokens;
      const block = await this.base.decoder.encodeExample({ tokens, positions: [...tokens.keys()] }, kept);
      blocks.push({ ...block, ...(example && { colours: example.colours }) });
      await onProgress?.({ done: blocks.length, examples: examples.length });
    }
    return VisualPrompt.of(this.fingerprint, blocks);
  }
}

/** Cache key: a hash of the pixels and the instruction. */
function contentOf({ input, output, instruction }: PreparedExample): string {
  const dataOf = (pixels: Pixels) => ("data" in pixels ? pixels.data : pixels);
  return sha256(JSON.stringify(instruction), dataOf(input), dataOf(output));
}
