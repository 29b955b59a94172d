/** @file Held-out contexts as rows, and back: each part under its name. */
import type { Tokenizers } from "../../chameleon/checkpoint/folder.ts";
import type { Codes } from "../../xprompt/sequence.ts";
import type { ContextBatch } from "../transformer/contexts.ts";
import type { HeldOutContexts } from "../transformer/held-out.ts";
import { batchesOf, type TokenRow } from "./rows.ts";

/** What is added to the name of a held-out part for the contexts whose examples are wrong for its own. */
const OTHERS = "/others";

/** Held-out contexts as rows. */
export const heldOutRows = (
  contexts: Readonly<Record<string, HeldOutContexts>>,
  rows: (part: string, index: number, batch: ContextBatch<Codes>) => TokenRow[],
): TokenRow[] =>
  Object.entries(contexts).flatMap(([name, { batches, others }]) => [
    ...batches.flatMap((batch, i) => rows(name, i, batch)),
    ...(others ?? []).flatMap((each, i) => rows(name + OTHERS, i, { kind: "changes", contexts: each })),
  ]);

/** Held-out contexts of rows. */
export function heldOutOf(
  rows: readonly TokenRow[],
  tokenizers: Tokenizers,
): Record<string, HeldOutContexts> {
  const names = [...new Set(rows.map(({ part }) => part))].filter((name) => !name.endsWith(OTHERS));
  const of = (name: string) =>
    batchesOf(
      rows.filter(({ part }) => part === name),
      tokenizers,
    );
  return Object.fromEntries(
    names.map((name) => {
      const others = of(name + OTHERS).map(({ contexts }) => contexts);
      return [name, { batches: of(name), ...(others.length > 0 && { others }) }];
    }),
  );
}
