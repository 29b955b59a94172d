/**
 * @file Sampling all codes of a picture from one run of the model, in which it sees none of them. A model can do so if
 * it was trained with hidden targets (`mix.targetDropout`). Codes that it samples one after another follow each other,
 * mistakes included; these follow the query and the examples alone.
 */
import { type Batch, prefixLength } from "../chameleon/model/batch.ts";
import { pick } from "../chameleon/model/decoding.ts";
import { guidedLogits, sample } from "../chameleon/model/sampling.ts";
import type { Vocabulary } from "../chameleon/tokenizers/vocabulary.ts";
import { conditionsOf, randomOf, type SampleRequest } from "./sample-codes.ts";
import type { XPromptConfig } from "./sequence.ts";

/**
 * Samples the image codes of `samples` pictures.
 * @returns all codes in one step, `[samples][codes]`
 */
export async function* codesInOnePass(
  batch: Batch,
  vocabulary: Vocabulary,
  config: XPromptConfig,
  request: SampleRequest,
): AsyncGenerator<readonly (readonly number[])[]> {
  const { samples, sampling, steps, signal } = request;
  const { prefixes, weights } = conditionsOf(vocabulary, config, request);
  const hidden = Array<number>(request.codes - 1).fill(vocabulary.pad);
  const member = await batch.join({
    doing: "generating",
    rows: prefixes.length,
    slots: Math.max(...prefixes.map(prefixLength)) + hidden.length,
    perStep: hidden.length,
    signal,
  });
  try {
    const rows = await member.add(prefixes);
    const first = rows.map(({ logits }) => logits[0]!);
    await member.step(new Map(rows.map((row) => [row, hidden])));
    if (steps) steps.runs++;
    const randoms = Array.from({ length: samples }, (_, i) => randomOf(request, i));
    const pictures = randoms.map(() => [] as number[]);
    for (let place = 0; place < request.codes; place++) {
      signal?.throwIfAborted();
      const chain = rows.map(({ logits }, i) =>
        pick(place === 0 ? first[i]! : logits[place - 1]!, vocabulary.imageTokens),
      );
      const logits = guidedLogits(chain, weights, "generating");
      for (const [i, random] of randoms.entries()) {
        request.onLogits?.({ sample: i, place }, logits);
        pictures[i]!.push(sample(logits, sampling, random));
      }
    }
    yield pictures;
  } finally {
    member.leave();
  }
}
