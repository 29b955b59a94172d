/** @file Tokenized contexts as training reads them: shard by shard, in an order that depends on the seed alone. */
import type { Tokenizers } from "../../chameleon/checkpoint/folder.ts";
import { XPromptError } from "../../errors.ts";
import { Random } from "../../random.ts";
import type { Codes } from "../../xprompt/sequence.ts";
import { alone, partOf, type Share } from "../distributed/collective.ts";
import type { ContextBatch, ContextStream } from "../transformer/contexts.ts";
import { digestOf, type Manifest, readManifest } from "./manifest.ts";
import { readBatches, readFrom } from "./read.ts";

/** Where a batch is. */
interface Place {
  readonly shard: number;
  readonly index: number;
}

/**
 * The order of the batches: a function of the step, the seed and the manifest. Each epoch has every batch once. With
 * the seed of the plan the first epoch is what a run that samples its contexts sees; all others go through the shards,
 * and through the batches of each, in random orders.
 */
class BatchOrder {
  private epoch = -1;
  private shards: readonly number[] = [];
  private readonly batches = new Map<number, readonly number[]>();

  constructor(
    private readonly seed: number,
    private readonly manifest: Manifest,
  ) {}

  at(step: number): Place {
    const { plan, shards } = this.manifest;
    const epoch = Math.floor(step / plan.batches);
    if (epoch !== this.epoch) this.begin(epoch);
    let rest = step % plan.batches;
    for (const shard of this.shards) {
      const count = shards[shard]!.batches;
      if (rest < count) return { shard, index: this.within(shard, count)[rest]! };
      rest -= count;
    }
    throw new RangeError(`tokenized data: no batch of step ${step}`);
  }

  private begin(epoch: number): void {
    this.epoch = epoch;
    this.batches.clear();
    const all = [...this.manifest.shards.keys()];
    this.shards = this.isAsSampled ? all : Random.of(this.seed, "shards", epoch).shuffle(all);
  }

  private within(shard: number, count: number): readonly number[] {
    const known = this.batches.get(shard);
    if (known) return known;
    const all = Array.from({ length: count }, (_, i) => i);
    const order = this.isAsSampled ? all : Random.of(this.seed, "batches", this.epoch, shard).shuffle(all);
    this.batches.set(shard, order);
    return order;
  }

  private get isAsSampled(): boolean {
    return this.epoch === 0 && this.seed === this.manifest.plan.seed;
  }
}

/**
 * The contexts of a tokenized data set, or a share of each batch. Holds one shard in memory.
 * @param digest of the manifest: the data must not change while a run reads it
 */
export async function storedContexts(
  { place, digest }: { readonly place: string; readonly digest: string },
  seed: number,
  tokenizers: Tokenizers,
  share: Share = alone,
): Promise<ContextStream> {
  const manifest = await readFrom(place, readManifest);
  if (digestOf(manifest) !== digest)
    throw new XPromptError(
      `reading tokenized data ${place}: expected it as it was when the run started, got other data (put it back, or start another run with --out)`,
    );
  const order = new BatchOrder(seed, manifest);
  let held: { readonly shard: number; readonly batches: Promise<ContextBatch<Codes>[]> } | undefined;
  return {
    async contextsOf(step) {
      const { shard, index } = order.at(step);
      if (held?.shard !== shard) {
        const batches = readFrom(place, (storage) =>
          readBatches(storage, manifest.shards[shard]!, tokenizers),
        );
        held = { shard, batches };
      }
      const { kind, contexts } = (await held.batches)[index]!;
      const { first, length } = partOf(contexts.length, share, "contexts");
      return { kind, contexts: contexts.slice(first, first + length) };
    },
    skipped: [],
  };
}
