/** @file Jobs that compute a shard of an evaluation: some of the calls of the model that a suite makes. */
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { checkedData } from "../data.ts";
import { type JobKind, modelKind } from "../kind.ts";
import { describe } from "./describe.ts";
import { generate } from "./generate.ts";
import { reconstruct } from "./reconstruct.ts";
import { score } from "./score.ts";

/** The kinds of calls that a suite makes. */
const kinds: Readonly<Record<string, JobKind>> = { generate, describe, reconstruct, score };

const MAX_CALLS = 256;

export const evaluate = modelKind({
  name: "evaluate",
  data: z.strictObject({
    /** `data` is that of the kind. */
    calls: z
      .array(z.strictObject({ kind: z.string(), data: z.unknown() }))
      .min(1)
      .max(MAX_CALLS),
  }),
  /** The results of the calls, in their order. */
  result: z.object({ rows: z.array(z.unknown()) }),
  async handle({ calls }, model, { signal }) {
    const work = calls.map(async ({ kind: name, data }) => {
      const kind = Object.hasOwn(kinds, name) ? kinds[name]! : undefined;
      if (!kind)
        throw new XPromptError(
          `evaluating: expected a call of kind ${Object.keys(kinds).join(", ")}, got ${JSON.stringify(name.slice(0, 40))}`,
        );
      return kind.handle(checkedData(kind, data), { model }, { signal, onProgress: async () => {} });
    });
    // All calls end before the job does.
    const outcomes = await Promise.allSettled(work);
    return {
      rows: outcomes.map((outcome) => {
        if (outcome.status === "rejected") throw outcome.reason;
        return outcome.value;
      }),
    };
  },
});
