/**
 * @file Batched decoding: the sequences of one or several requests share every forward pass. Requests join and leave
 * between passes. With plain weights, the logits of a row do not depend on the other rows. Products of quantized weights
 * are summed otherwise for one row than for several, which changes codes (docs/batching.md).
 */
import { soon } from "../../runtime/soon.ts";
import { Admission, type BatchLimits, type BatchNeed } from "./admission.ts";
import { type CacheBlock, type KeyValueCache, slotsOf } from "./cache.ts";
import { type Decoder, PREFILL_CHUNK, type TokenSpan } from "./decoder.ts";
import { type RunShare, runCost } from "./draft.ts";

/** The beginning of a row. Rows of one call with the same prefix object are prefilled once. */
export interface Prefix {
  /** Keys and values before the row's tokens. */
  readonly blocks: readonly CacheBlock[];
  readonly tokens: readonly number[];
  /** Position of the first token. */
  readonly position: number;
}

/** Slots of a prefix in the cache. */
export const prefixLength = ({ blocks, tokens }: Prefix): number => slotsOf(blocks) + tokens.length;

/** A sequence of a batch under one guidance condition. */
export interface Row {
  /** Logits after each token of its last step, `[tokens][vocabulary]`; after its prefix those of the next token alone. */
  readonly logits: readonly Float32Array[];
}

/** A row with its state in the batch. */
interface LiveRow extends Row {
  logits: readonly Float32Array[];
  /** Position of the next token. */
  position: number;
}

/** What a member waits for. */
type Work = (
  | { readonly prefixes: readonly Prefix[]; readonly done: (rows: Row[]) => void }
  | { readonly tokens: ReadonlyMap<Row, readonly number[]>; readonly done: () => void }
) & { readonly failed: (error: unknown) => void };

export class Batch {
  private cache: KeyValueCache;
  /** In the order of the cache's rows. */
  private readonly rows: LiveRow[] = [];
  private readonly members = new Set<BatchMember>();
  /** What each member waits for, oldest first. */
  private readonly work = new Map<BatchMember, Work>();
  private readonly removed = new Set<Row>();
  private isRunning = false;
  private isDue = false;
  private readonly admission: Admission;

  /** @param limits undefined: limited by the free memory alone */
  constructor(
    private readonly decoder: Decoder,
    limits?: BatchLimits,
  ) {
    this.cache = decoder.newCache(0);
    this.admission = new Admission(decoder.config, limits);
  }

  /**
   * Joins the batch, without rows at first. Waits while the limits leave no room.
   * @throws XPromptError when the request can never fit
   * @throws the signal's reason when it is aborted
   */
  async join(need: BatchNeed): Promise<BatchMember> {
    await this.admission.enter(need);
    const member: BatchMember = new BatchMember({
      do: (work) => {
        this.work.set(member, work);
        this.wake();
      },
      remove: (rows) => {
        for (const row of rows) this.removed.add(row);
      },
      rewind: (row, count) => {
        const live = row as LiveRow;
        live.position -= count;
        this.cache.rewind(this.rows.indexOf(live), count);
      },
      share: () => ({ rows: this.rows.length - this.removed.size, runCost: runCost(this.decoder.config) }),
      leave: () => {
        if (!this.members.delete(member)) return;
        this.admission.leave(need);
        this.wake();
      },
    });
    this.members.add(member);
    return member;
  }

  /**
   * Starts a forward pass as soon as every member with rows has given its next tokens. A member that takes longer than
   * a turn of the event loop, for example to show a preview, misses a pass.
   */
  private wake(): void {
    if (this.isRunning || (this.work.size === 0 && this.removed.size === 0)) return;
    if ([...this.members].every((member) => member.isEmpty || this.work.has(member))) this.start();
    else if (!this.isDue) {
      this.isDue = true;
      soon(() => {
        this.isDue = false;
        if (!this.isRunning) this.start();
      });
    }
  }

  private start(): void {
    this.isRunning = true;
    this.run()
      .catch((error: unknown) => {
        for (const { failed } of this.work.values()) failed(error);
        this.work.clear();
      })
      .finally(() => {
        this.isRunning = false;
        this.wake();
      });
  }

  /** One pass: removes rows, prefills some of the new ones, and decodes a token of the others. */
  private async run(): Promise<void> {
    this.takeOut();
    let prefilled = 0;
    for (const [member, work] of this.work) {
      if (!("prefixes" in work)) continue;
      this.work.delete(member);
      await this.prefill(work.prefixes).then(work.done, work.failed);
      // A limit per pass, so that decoding does not wait for all prefixes of a large request.
      for (const { tokens } of new Set(work.prefixes)) prefilled += tokens.length;
      if (prefilled >= PREFILL_CHUNK) break;
    }
    const steps = [...this.work].flatMap(([member, work]) => ("tokens" in work ? [{ member, work }] : []));
    if (steps.length === 0) return;
    for (const { member } of steps) this.work.delete(member);
    try {
      await this.step(new Map(steps.flatMap(({ work }) => [...work.tokens])));
      for (const { work } of steps) work.done();
    } catch (error) {
      for (const { work } of steps) work.failed(error);
    }
  }

  private takeOut(): void {
    if (this.removed.size === 0) return;
    for (let i = this.rows.length - 1; i >= 0; i--) {
      if (!this.removed.has(this.rows[i]!)) continue;
      this.cache.removeRow(i);
      const last = this.rows.pop()!;
      if (i < this.rows.length) this.rows[i] = last;
    }
    this.removed.clear();
    this.cache.shrink();
  }

  /** Prefills prefixes, those of equal length in one pass, and adds a row for each. */
  private async prefill(prefixes: readonly Prefix[]): Promise<Row[]> {
    const { vocabularySize } = this.decoder.config;
    const read = [];
    for (const group of byLength(new Set(prefixes))) {
      const cache = this.decoder.newCache(group.length);
      for (const [row, { blocks }] of group.entries()) for (const block of blocks) cache.append(row, block);
      const spans = group.map(({ tokens, position }) => spanAt(position, tokens));
      read.push({ group, cache, logits: await this.decoder.forward(spans, cache) });
    }
    const made = new Map<Prefix, LiveRow[]>(prefixes.map((prefix) => [prefix, []]));
    try {
      for (const { group, cache, logits } of read) {
        const copies = group.flatMap((prefix, i) => prefixes.filter((each) => each === prefix).map(() => i));
        if (this.rows.length === 0 && copies.length === group.length) this.cache = cache;
        else this.cache.addRows(cache, copies);
        for (const i of copies) {
          const { position, tokens } = group[i]!;
          const row: LiveRow = {
            logits: [logits.subarray(i * vocabularySize, (i + 1) * vocabularySize)],
            position: position + tokens.length,
          };
          this.rows.push(row);
          made.get(group[i]!)!.push(row);
        }
      }
    } catch (error) {
      // The request fails, so nobody has its rows.
      for (const row of [...made.values()].flat()) this.removed.add(row);
      throw error;
    }
    return prefixes.map((prefix) => made.get(prefix)!.shift()!);
  }

  private async step(tokens: ReadonlyMap<Row, readonly number[]>): Promise<void> {
    const spans = this.rows.map((row) => {
      const next = tokens.get(row);
      return next ? spanAt(row.position, next) : null;
    });
    const logits = await this.decoder.forwardEach(spans, this.cache);
    for (const [i, row] of this.rows.entries()) {
      if (!tokens.has(row)) continue;
      row.logits = logits[i]!;
      row.position += tokens.get(row)!.length;
    }
  }
}

/** A request's share of a batch. */
export class BatchMember {
  private readonly rows = new Set<Row>();

  /** @internal Use `Batch.join`. */
  constructor(
    private readonly batch: {
      do(work: Work): void;
      remove(rows: Iterable<Row>): void;
      rewind(row: Row, count: number): void;
      share(): Omit<RunShare, "ownRows">;
      leave(): void;
    },
  ) {}

  get isEmpty(): boolean {
    return this.rows.size === 0;
  }

  /** Adds a row per prefix. */
  async add(prefixes: readonly Prefix[]): Promise<Row[]> {
    const rows = await new Promise<Row[]>((done, failed) => this.batch.do({ prefixes, done, failed }));
    for (const row of rows) this.rows.add(row);
    return rows;
  }

  /** This member's part of the batch. */
  get share(): RunShare {
    return { ownRows: this.rows.size, ...this.batch.share() };
  }

  /** Takes the next tokens of rows, each as many as it has; the others wait. */
  step(tokens: ReadonlyMap<Row, readonly number[]>): Promise<void> {
    return new Promise((done, failed) => this.batch.do({ tokens, done, failed }));
  }

  /** Forgets the last tokens of rows. */
  rewind(rows: readonly Row[], count: number): void {
    if (count > 0) for (const row of rows) this.batch.rewind(row, count);
  }

  /** Frees rows before the next run. */
  remove(rows: readonly Row[]): void {
    for (const row of rows) this.rows.delete(row);
    this.batch.remove(rows);
  }

  /** Frees all rows. */
  leave(): void {
    this.batch.remove(this.rows);
    this.rows.clear();
    this.batch.leave();
  }
}

const spanAt = (position: number, tokens: readonly number[]): TokenSpan => ({
  tokens,
  positions: tokens.map((_, i) => position + i),
});

function byLength(prefixes: Iterable<Prefix>): Prefix[][] {
  const groups = new Map<number, Prefix[]>();
  for (const prefix of prefixes) {
    const { length } = prefix.tokens;
    groups.set(length, [...(groups.get(length) ?? []), prefix]);
  }
  return [...groups.values()];
}
