/**
 * @file Measuring the transformer while it trains: nats per target token on held-out contexts with the right example,
 * with another context's example, and with the empty one. The distances are what the example is worth.
 */
import type { Tokenizers } from "../chameleon/folder.ts";
import { exportOnnx, type Tensor } from "../graph/index.ts";
import { floats, Session, type SessionOptions } from "../runtime/session.ts";
import type { Codes } from "../xprompt/sequence.ts";
import { type Context, type DrawnBatch, encodedContexts, openSets } from "./contexts.ts";
import { feedsOf } from "./objective.ts";
import type { TrainingState } from "./state.ts";
import { type ContextOptions, type PackedBatch, packBatch } from "./transformer-data.ts";

/** What a TODO part is given in place of its examples. */
const conditions = ["right", "wrong", "none"] as const;
type Condition = (typeof conditions)[number];

/** Held-out batches of one kind, packed once for each condition. */
interface Part {
  readonly name: string;
  readonly batches: readonly Readonly<Record<Condition, PackedBatch>>[];
}

export class HeldOut {
  private constructor(
    private readonly parts: readonly Part[],
    private readonly session: Session,
  ) {}

  /**
   * @param kinds options of each kind of held-out contexts, by name
   * @param count batches of each kind
   * @param nll mean nats per target token, of a packing with one example
   */
  static async prepare(
    kinds: Readonly<Record<string, ContextOptions>>,
    count: number,
    tokenizers: Tokenizers,
    nll: Tensor,
    session: SessionOptions,
  ): Promise<HeldOut> {
    const parts: Part[] = [];
    for (const [name, options] of Object.entries(kinds)) {
      const drawn: DrawnBatch<Codes>[] = [];
      const sets = await openSets(options);
      for (let i = 0; i < count; i++) drawn.push(await encodedContexts(i, options, tokenizers, sets));
      const contexts = drawn.flatMap((batch) => batch.contexts);
      const others = [...contexts.slice(1), contexts[0]!];
      const batches = drawn.map(({ kind, contexts }, i) => {
        const next = others.slice(i * contexts.length, (i + 1) * contexts.length);
        const pack = (condition: Condition) =>
          packBatch({ kind, contexts: given(contexts, next, condition) }, options, tokenizers);
        return { right: pack("right"), wrong: pack("wrong"), none: pack("none") };
      });
      parts.push({ name, batches });
    }
    return new HeldOut(parts, await Session.create(exportOnnx({ nll }), session));
  }

  /** Mean nats per target token, e.g. `seen.right`, `unseen.wrong`. */
  async measure(state: TrainingState): Promise<Record<string, number>> {
    const weights = state.feeds();
    const result: Record<string, number> = {};
    for (const { name, batches } of this.parts)
      for (const condition of conditions) {
        let total = 0;
        for (const batch of batches) {
          const { nll } = await this.session.runOn({ ...feedsOf(batch[condition]), ...weights });
          total += floats(nll!)[0]!;
        }
        result[`${name}.${condition}`] = total / batches.length;
      }
    return result;
  }

  async release(): Promise<void> {
    await this.session.release();
  }
}

/** The contexts with their own examples, those of the context after each, or empty ones. */
function given(
  contexts: readonly Context<Codes>[],
  next: readonly Context<Codes>[],
  condition: Condition,
): Context<Codes>[] {
  return contexts.map(({ examples, todos }, i) => {
    if (condition === "right") return { examples, todos };
    if (condition === "wrong") return { examples: next[i]!.examples, todos };
    return { examples: examples.map(() => null), todos };
  });
}
