/**
 * @file Turning the contexts of a recipe into tokens, once, so that training does no work on pictures. The work is
 * divided into shards: any number of machines make them, each whole or not at all, and the last one writes the manifest.
 */
import { readWeights } from "../../chameleon/checkpoint/folder.ts";
import { isOfImages } from "../../chameleon/tokenizers/image-tokenizer.ts";
import { UsageError, XPromptError } from "../../errors.ts";
import { sha256 } from "../../hash.ts";
import { buildWith, type Resources } from "../../runtime/resources.ts";
import { openStorage } from "../../runtime/storage/open.ts";
import type { Storage } from "../../runtime/storage/storage.ts";
import { moduleBeside } from "../../runtime/threads.ts";
import type { Skipped } from "../../tasks/datasets/index.ts";
import type { Codes } from "../../xprompt/sequence.ts";
import { SampleStream } from "../run/workers.ts";
import {
  type ContextBatch,
  type ContextSettings,
  closeSets,
  digestsOf,
  openSources,
} from "../transformer/contexts.ts";
import { heldOutContexts } from "../transformer/held-out.ts";
import {
  checkMix,
  checkWorlds,
  contextSettings,
  heldOutParts,
  preparedMix,
  withPrototypes,
} from "../transformer/parts.ts";
import type { TransformerRecipe } from "../transformer/recipe.ts";
import { type Sequences, sequencesOf } from "../transformer/start.ts";
import type { EncodedBatch } from "./encode.ts";
import { heldOutRows } from "./held-out-rows.ts";
import {
  digestOf,
  HELD_OUT,
  MANIFEST,
  type Manifest,
  manifestOf,
  type Plan,
  readRecord,
  type Shard,
  settingsOf,
  shardName,
  shardRange,
  shardSchema,
  tokenizersDigest,
} from "./manifest.ts";
import { encodeRows, parquetWriter } from "./parquet.ts";
import { rowsOf, type TokenRow } from "./rows.ts";

/** Batches per shard, unless `shards` says otherwise. */
const BATCHES_PER_SHARD = 256;

export interface TokenizeOptions {
  readonly recipe: TransformerRecipe;
  /** A folder, or `s3://bucket/prefix`. */
  readonly destination: string;
  /** Batches to make. Defaults to the recipe's steps. */
  readonly batches?: number;
  /** Files to divide them into. Defaults to one per 256 batches. */
  readonly shards?: number;
  /** Called for every broken record that is left out. */
  readonly onSkip?: (skipped: Skipped) => void;
}

export interface ShardOptions {
  readonly signal?: AbortSignal;
  /** Called after each batch. */
  readonly onBatch?: () => void;
}

/**
 * @example
 * await using work = await Tokenization.open({ recipe, destination: "s3://data/tokens" });
 * for (const index of await work.missing()) await work.shard(index);
 * await work.finish();
 */
export class Tokenization {
  private constructor(
    readonly plan: Plan,
    private readonly storage: Storage,
    private readonly recipe: TransformerRecipe,
    private readonly sequences: Sequences,
    private readonly settings: ContextSettings,
    private readonly onSkip: (skipped: Skipped) => void,
    private readonly resources: Resources,
  ) {}

  /** @throws XPromptError when data or tokenizers cannot be read, or the destination holds data of another plan */
  static open({
    recipe: given,
    destination,
    onSkip = () => {},
    ...sizes
  }: TokenizeOptions): Promise<Tokenization> {
    return buildWith(async (resources) => {
      const recipe = withPrototypes(given);
      checkMix(recipe);
      if (recipe.data.tokenized !== undefined)
        throw new UsageError(
          "tokenizing: expected a recipe that samples its contexts, got data.tokenized (leave it out)",
        );
      if (recipe.window !== undefined)
        throw new UsageError("tokenizing: expected a recipe of whole pictures, got window (leave it out)");
      const { batches = recipe.steps, shards = Math.ceil(batches / BATCHES_PER_SHARD) } = sizes;
      for (const [name, count] of Object.entries({ batches, shards }))
        if (!Number.isSafeInteger(count) || count < 1)
          throw new UsageError(`tokenizing: ${name}: expected a whole number from 1, got ${count}`);
      if (shards > batches)
        throw new UsageError(
          `tokenizing: expected at most one shard per batch, got ${shards} for ${batches}`,
        );
      await parquetWriter(); // before long work
      const storage = resources.own(await openStorage(destination));
      const sequences = await sequencesOf(recipe, { threads: recipe.threads });
      resources.own(sequences.tokenizers.image);
      const mix = await preparedMix(recipe);
      const settings = contextSettings(recipe, mix, sequences, "train");
      const sources = await openSources(settings, onSkip);
      await closeSets(sources.sets); // the threads open their own
      checkWorlds(recipe, sources.worlds);
      const plan: Plan = {
        tokenizers: tokenizersDigest(
          await readWeights(sequences.folder, undefined, isOfImages),
          sequences.tokenizers,
        ),
        seed: recipe.seed,
        sets: digestsOf(sources),
        settings: settingsOf(recipe, sequences),
        ...{ batches, shards },
      };
      return new Tokenization(plan, storage, recipe, sequences, settings, onSkip, resources);
    });
  }

  /** The shards that are not there yet, counted from 0. @throws XPromptError when there are some of another plan */
  async missing(): Promise<number[]> {
    const found = await this.records();
    return [...found.keys()].filter((index) => !found[index]);
  }

  /** Batches of a shard. */
  sizeOf(index: number): number {
    const { from, to } = shardRange(index, this.plan);
    return to - from;
  }

  /** Makes a shard, and writes it whole or not at all. */
  async shard(index: number, { signal, onBatch }: ShardOptions = {}): Promise<Shard> {
    const { from, to } = shardRange(index, this.plan);
    const rows: TokenRow[] = [];
    await using stream = new SampleStream<EncodedBatch>({
      module: moduleBeside(import.meta.url, "encode"),
      options: this.settings,
      workers: this.recipe.workers,
      from,
    });
    for (let batch = from; batch < to; batch++) {
      signal?.throwIfAborted();
      const encoded = await stream.next();
      encoded.skipped.forEach(this.onSkip);
      rows.push(...this.rows("train", batch, encoded));
      onBatch?.();
    }
    return this.write(shardName(index, this.plan.shards), rows, to - from);
  }

  /**
   * Adds the held-out contexts and the manifest once all shards are there.
   * @returns the manifest; undefined while shards are missing
   */
  async finish(): Promise<Manifest | undefined> {
    const shards = await this.records();
    if (!shards.every((each) => each !== undefined)) return undefined;
    const manifest = manifestOf(this.plan, shards, (await this.record(HELD_OUT)) ?? (await this.heldOut()));
    await this.storage.write(MANIFEST, `${JSON.stringify(manifest, null, 2)}\n`);
    return manifest;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.resources.release();
  }

  private async heldOut(): Promise<Shard> {
    const { recipe, sequences, settings } = this;
    const parts = heldOutParts(recipe, settings.mix, sequences);
    const contexts = await heldOutContexts(parts, recipe.heldOutBatches, sequences.tokenizers, this.onSkip);
    const rows = heldOutRows(contexts, (part, index, batch) => this.rows(part, index, batch));
    return this.write(HELD_OUT, rows, new Set(rows.map(({ part, batch }) => `${part} ${batch}`)).size);
  }

  private rows(part: string, index: number, batch: ContextBatch<Codes>): TokenRow[] {
    const { xprompt, tokenizers } = this.sequences;
    return rowsOf(part, index, batch, xprompt.tokens, tokenizers.text.vocabulary);
  }

  /** The file first, then the record that says it is there. */
  private async write(name: string, rows: readonly TokenRow[], batches: number): Promise<Shard> {
    const bytes = await encodeRows(rows);
    const shard: Shard = {
      ...{ name, plan: digestOf(this.plan), batches, contexts: rows.length },
      tokens: rows.reduce((sum, { tokens }) => sum + tokens.length, 0),
      bytes: bytes.length,
      sha256: sha256(bytes),
    };
    await this.storage.write(`${name}.parquet`, bytes);
    await this.storage.write(`${name}.json`, `${JSON.stringify(shard, null, 2)}\n`);
    return shard;
  }

  private async records(): Promise<(Shard | undefined)[]> {
    const found = new Set(await this.storage.list(""));
    const isOther = [...found]
      .sort()
      .find((name) => /^shard-\d+-of-(\d+)\.json$/.exec(name)?.[1] !== undefined && !this.names.has(name));
    if (isOther) throw this.otherPlan(isOther);
    const records = await Promise.allSettled(
      [...this.names].map((name) => (found.has(name) ? this.record(name.replace(/\.json$/, "")) : undefined)),
    );
    // All are read before the first that is wrong is reported, so that it is the same one every time.
    return records.map((record) => {
      if (record.status === "rejected") throw record.reason;
      return record.value;
    });
  }

  private get names(): ReadonlySet<string> {
    const { shards } = this.plan;
    return new Set(Array.from({ length: shards }, (_, index) => `${shardName(index, shards)}.json`));
  }

  private async record(name: string): Promise<Shard | undefined> {
    const shard = await readRecord(this.storage, `${name}.json`, shardSchema);
    if (shard && shard.plan !== digestOf(this.plan)) throw this.otherPlan(`${name}.json`);
    return shard;
  }

  private otherPlan(name: string): XPromptError {
    return new XPromptError(
      `tokenizing into ${this.storage.place}: expected shards of this recipe, its data and ${this.plan.shards} shards of ${this.plan.batches} batches, got ${name} of others (use the same settings, or choose another place)`,
    );
  }
}

/**
 * Makes shard `index` (counted from 0) of `shards`, unless it is there, and the manifest with the last one: the work of
 * one of many machines.
 * @returns the manifest; undefined while shards of others are missing
 */
export async function tokenizeShard(
  index: number,
  options: TokenizeOptions & ShardOptions,
): Promise<Manifest | undefined> {
  await using work = await Tokenization.open(options);
  if (!Number.isInteger(index) || index < 0 || index >= work.plan.shards)
    throw new UsageError(`tokenizing: expected a shard from 0 to ${work.plan.shards - 1}, got ${index}`);
  if ((await work.missing()).includes(index)) await work.shard(index, options);
  return await work.finish(); // before the work is released
}
