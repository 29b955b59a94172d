/** @file Rows of a batch: on the CPU, their logits are identical whatever else is in the batch. */
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { Batch, type BatchMember, type Prefix, type Row } from "../../../src/chameleon/model/batch.ts";
import { KeyValueCache } from "../../../src/chameleon/model/cache.ts";
import type { Decoder } from "../../../src/chameleon/model/decoder.ts";
import { Random } from "../../../src/random.ts";
import { XPrompt } from "../../../src/xprompt/model.ts";

const need = { doing: "testing", rows: 8, slots: 200 };

describe.each([1, 2])("nano with %i threads", (threads) => {
  let model: XPrompt;
  let decoder: Decoder;
  beforeAll(async () => {
    model = await XPrompt.load("nano", { threads });
    decoder = model.base.decoder;
  });
  afterAll(() => model.release());

  const tokensOf = (name: string, count: number): number[] => {
    const random = Random.of("tokens", name);
    return Array.from({ length: count }, () => random.integer(0, decoder.config.vocabularySize - 1));
  };
  const prefixOf = (name: string, count: number): Prefix => ({
    blocks: [],
    tokens: tokensOf(name, count),
    position: 0,
  });
  const STEPS = 40;

  /** Logits of a sequence after its prefix and after every step, in a batch of its own. */
  async function alone(name: string, count: number): Promise<Float32Array[]> {
    const member = await new Batch(decoder).join(need);
    const [row] = await member.add([prefixOf(name, count)]);
    const logits = [row!.logits[0]!];
    for (const token of tokensOf(`${name} next`, STEPS)) {
      await member.step(new Map([[row!, [token]]]));
      logits.push(row!.logits[0]!);
    }
    member.leave();
    return logits;
  }

  test("a row's logits are equal bit for bit, whichever other rows join, wait and leave", async () => {
    // Lengths below and above the growth of the cache, and a much longer one.
    const lengths: Record<string, number> = { a: 20, b: 31, c: 60, d: 33, e: 140 };
    const expected = new Map<string, Float32Array[]>();
    for (const [name, count] of Object.entries(lengths)) expected.set(name, await alone(name, count));
    const random = Random.of("rows");
    const batch = new Batch(decoder);
    const waiting = Object.keys(lengths);
    const live = new Map<string, { member: BatchMember; row: Row; taken: number }>();
    let most = 0;
    while (waiting.length > 0 || live.size > 0) {
      if (waiting.length > 0 && (live.size === 0 || random.chance(0.2))) {
        const name = waiting.shift()!;
        const member = await batch.join(need);
        const [row] = await member.add([prefixOf(name, lengths[name]!)]);
        live.set(name, { member, row: row!, taken: 0 });
      }
      most = Math.max(most, live.size);
      const active = [...live].filter(() => random.chance(0.9));
      await Promise.all(
        active.map(async ([name, each]) => {
          const token = tokensOf(`${name} next`, STEPS)[each.taken++]!;
          await each.member.step(new Map([[each.row, [token]]]));
          expect(each.row.logits[0]!.every((logit, i) => logit === expected.get(name)![each.taken]![i])).toBe(
            true,
          );
          if (each.taken < STEPS) return;
          each.member.leave();
          live.delete(name);
        }),
      );
    }
    expect(most).toBeGreaterThan(2);
  });

  test("rows that begin alike are prefilled once, and go on by themselves", async () => {
    const expected = await alone("a", 20);
    const member = await new Batch(decoder).join(need);
    const prefix = prefixOf("a", 20);
    const [first, other, second] = await member.add([prefix, prefixOf("b", 31), prefix]);
    expect(second!.logits).toEqual([expected[0]]);
    const [token] = tokensOf("a next", 1);
    await member.step(
      new Map([
        [first!, [5]],
        [other!, [6]],
        [second!, [token!]],
      ]),
    );
    expect(second!.logits).toEqual([expected[1]]);
    expect(first!.logits).not.toEqual([expected[1]]);
    member.leave();
  });

  test("a request without memory for all of its rows leaves none", async () => {
    const member = await new Batch(decoder).join(need);
    vi.spyOn(KeyValueCache.prototype, "addRows").mockImplementationOnce(() => {
      throw new RangeError("Array buffer allocation failed");
    });
    // Of two lengths: the rows of the first are there already.
    await expect(member.add([prefixOf("a", 20), prefixOf("b", 31)])).rejects.toThrow("allocation failed");
    expect(member.share.rows).toBe(0);
    const [row] = await member.add([prefixOf("a", 20)]);
    expect(member.share.rows).toBe(1);
    expect(row!.logits).toEqual([(await alone("a", 20))[0]]);
    member.leave();
  });
});
