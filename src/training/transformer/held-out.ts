/**
 * @file Held-out loss of the transformer during training: NLL in nats per target token on held-out contexts with the
 * right examples, with those of another context, and with empty ones. The differences show what the examples contribute.
 */
import type { Tokenizers } from "../../chameleon/checkpoint/folder.ts";
import { exportOnnx, type Tensor } from "../../graph/index.ts";
import { type Feeds, floats, Session } from "../../runtime/session.ts";
import type { SessionOptions } from "../../runtime/session-options.ts";
import type { Skipped } from "../../tasks/datasets/index.ts";
import { selectFamilies } from "../../tasks/index.ts";
import type { Codes } from "../../xprompt/sequence.ts";
import type { Context } from "./context.ts";
import {
  type ContextBatch,
  type ContextSettings,
  closeSets,
  encodedContexts,
  openSources,
} from "./contexts.ts";
import { type PackedBatch, packBatch } from "./data.ts";
import { feedsOf } from "./objective.ts";

/** Which examples a TODO part gets. */
const conditions = ["right", "wrong", "none"] as const;
type Condition = (typeof conditions)[number];

/** Held-out batches of one kind, packed once per condition. "wrong" is missing if there is no other context. */
interface Part {
  readonly name: string;
  readonly conditions: readonly Condition[];
  readonly batches: readonly Readonly<Partial<Record<Condition, PackedBatch>>>[];
}

export class HeldOut {
  private constructor(
    private readonly parts: readonly Part[],
    private readonly session: Session,
  ) {}

  /**
   * @param contexts the contexts of each part
   * @param nll mean NLL per target token in nats, for a packing with one example
   */
  static async prepare(
    contexts: Readonly<Record<string, HeldOutContexts>>,
    options: Parameters<typeof packBatch>[1],
    tokenizers: Tokenizers,
    nll: Tensor,
    session: SessionOptions,
  ): Promise<HeldOut> {
    const parts = Object.entries(contexts).map(([name, each]) => ({
      name,
      ...packedPart(each, options, tokenizers),
    }));
    return new HeldOut(parts, await Session.create(exportOnnx({ nll }), session));
  }

  /** Mean NLL per target token in nats, e.g. `seen.right`, `unseen.wrong`. A single context has no `wrong`. */
  async measure(weights: Feeds): Promise<Record<string, number>> {
    const result: Record<string, number> = {};
    for (const { name, conditions, batches } of this.parts)
      for (const condition of conditions) {
        let total = 0;
        for (const batch of batches) {
          const { nll } = await this.session.runOn({ ...feedsOf(batch[condition]!), ...weights });
          total += floats(nll!)[0]!;
        }
        result[`${name}.${condition}`] = total / batches.length;
      }
    return result;
  }

  async release(): Promise<void> {
    await this.session.release();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.release();
  }
}

/** The contexts of one part. */
export interface HeldOutContexts {
  readonly batches: readonly ContextBatch<Codes>[];
  /** For every context of every batch the one whose examples are wrong for it; none if there is but one context. */
  readonly others?: readonly (readonly Context<Codes>[])[];
}

/**
 * Draws the contexts of each part.
 * @param parts settings of each part, by name
 * @param count batches of each part
 * @param onSkip called for broken records of data sets
 */
export async function heldOutContexts(
  parts: Readonly<Record<string, ContextSettings>>,
  count: number,
  tokenizers: Tokenizers,
  onSkip?: (skipped: Skipped) => void,
): Promise<Record<string, HeldOutContexts>> {
  const drawn: Record<string, HeldOutContexts> = {};
  for (const [name, settings] of Object.entries(parts)) {
    const batches = await sampleBatches(settings, count, tokenizers, onSkip);
    const others = await othersOf(batches, settings, tokenizers);
    drawn[name] = { batches, ...(others && { others }) };
  }
  return drawn;
}

function packedPart(
  { batches, others }: HeldOutContexts,
  options: Parameters<typeof packBatch>[1],
  tokenizers: Tokenizers,
): Omit<Part, "name"> {
  const possible = conditions.filter((condition) => condition !== "wrong" || others);
  const packed = batches.map((batch, i) => {
    const pack = (condition: Condition) =>
      packBatch(
        { ...batch, contexts: withExamples(batch.contexts, others?.[i], condition) },
        options,
        tokenizers,
      );
    return Object.fromEntries(possible.map((condition) => [condition, pack(condition)]));
  });
  return { conditions: possible, batches: packed };
}

async function sampleBatches(
  options: ContextSettings,
  count: number,
  tokenizers: Tokenizers,
  onSkip?: (skipped: Skipped) => void,
): Promise<ContextBatch<Codes>[]> {
  const drawn: ContextBatch<Codes>[] = [];
  const sources = await openSources(options, onSkip);
  try {
    for (let i = 0; i < count; i++) drawn.push(await encodedContexts(i, options, tokenizers, sources));
    return drawn;
  } finally {
    await closeSets(sources.sets);
  }
}

/**
 * Finds for every context of every batch another context, whose examples are wrong for it: the next context for
 * families; a context of a family for pairs, because all pairs of a set are often of one task.
 * @returns undefined if there is only one context
 */
async function othersOf(
  drawn: readonly ContextBatch<Codes>[],
  options: ContextSettings,
  tokenizers: Tokenizers,
): Promise<readonly (readonly Context<Codes>[])[] | undefined> {
  if (options.mix.pairsShare > 0) {
    const { families: include, heldOut: exclude } = options.mix;
    const hasOwn = include.length === 0 || selectFamilies({ include, exclude }).length > 0;
    const own = { ...options.mix, pairsShare: 0 };
    // The families of the recipe may all be of icons, which this part has none of.
    const ofFamilies = { ...options, mix: hasOwn ? own : { ...own, families: [], heldOut: [] } };
    return (await sampleBatches(ofFamilies, drawn.length, tokenizers)).map(({ contexts }) => contexts);
  }
  const contexts = drawn.flatMap((batch) => batch.contexts);
  if (contexts.length === 1) return undefined;
  const next = [...contexts.slice(1), contexts[0]!];
  return drawn.map((batch, i) => next.slice(i * batch.contexts.length, (i + 1) * batch.contexts.length));
}

/** Replaces the examples of the contexts according to the condition. */
function withExamples(
  contexts: readonly Context<Codes>[],
  others: readonly Context<Codes>[] | undefined,
  condition: Condition,
): Context<Codes>[] {
  return contexts.map(({ examples, todos }, i) => {
    if (condition === "right") return { examples, todos };
    if (condition === "wrong") return { examples: others![i]!.examples, todos };
    return { examples: examples.map(() => null), todos };
  });
}
