import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from "vitest";
import type { Tokenizers } from "../../../src/chameleon/checkpoint/folder.ts";
import { HIDDEN } from "../../../src/chameleon/model/transformer.ts";
import { ImageTokenizer } from "../../../src/chameleon/tokenizers/image-tokenizer.ts";
import type { Image } from "../../../src/image/index.ts";
import { families, familyNamed } from "../../../src/tasks/index.ts";
import type { Context } from "../../../src/training/transformer/context.ts";
import { encodedContexts } from "../../../src/training/transformer/contexts.ts";
import {
  type ContextOptions,
  createSource,
  type PackedBatch,
  packBatch,
  packingOf,
  possibleShapes,
} from "../../../src/training/transformer/data.ts";
import { withNoise } from "../../../src/training/transformer/noise.ts";
import { HIDDEN_CODE, MOST_WORDS } from "../../../src/xprompt/sequence.ts";
import {
  tinyContexts,
  tinyTokenizers,
  tinyXPrompt,
  writeTinyTokenizers,
} from "../../fixtures/chameleon/kit.ts";
import { plainMix } from "./kit.ts";

const weights = { target: 1, words: 0.75, query: 0.25, instruction: 0.5 };
const options: ContextOptions = {
  seed: 1,
  part: "train",
  tokenizers: "",
  xprompt: tinyXPrompt,
  contexts: 2,
  todos: 2,
  weights,
  mix: { ...plainMix, exampleInstruction: 0.5, todoInstruction: 0.5 },
};
const mixed = (mix: Partial<ContextOptions["mix"]>, more: Partial<ContextOptions> = {}): ContextOptions => ({
  ...options,
  ...more,
  mix: { ...options.mix, ...mix },
});

/** The codes of a picture are the brightness of its four quarters, from 0 to 5. */
class Brightness extends ImageTokenizer {
  override async encode(images: readonly Image[]): Promise<Int32Array[]> {
    return images.map(({ width, data }) => {
      const sums = new Float64Array(4);
      for (const [i, value] of data.entries()) {
        const [x, y] = [Math.floor(i / 3) % width, Math.floor(i / 3 / width)];
        sums[2 * Number(y >= width / 2) + Number(x >= width / 2)]! += value;
      }
      return Int32Array.from(sums, (sum) => Math.min(5, Math.floor((sum / (data.length / 4)) * 6)));
    });
  }
}
const tiny = tinyTokenizers();
const { vocabulary } = tiny.text;
const bright: Tokenizers = {
  ...tiny,
  image: new Brightness({ ...tiny.image.config, resolution: 16, channelMultiplier: [1, 1, 1, 1] }, new Map()),
};
/** The codes of a TODO part's target picture. */
const pictureOf = ({ target }: Asked) => ("picture" in target ? target.picture : []);
type Asked = Context<ArrayLike<number>>["todos"][number];
const light = (codes: ArrayLike<number>) => Array.from(codes).reduce((sum, code) => sum + code, 0);
const contextsOf = async (given: ContextOptions, steps = 1) => {
  const batches = await Promise.all(
    Array.from({ length: steps }, async (_, step) =>
      withNoise(await encodedContexts(step, given, bright), step, given),
    ),
  );
  return batches.flatMap((batch) => batch.contexts);
};

afterEach(() => {
  vi.restoreAllMocks();
});

describe("contexts", () => {
  test("examples and TODO parts are pairs of one task", async () => {
    for (const [family, sign] of [
      ["snow", 1],
      ["desnow", -1],
    ] as const) {
      const contexts = await contextsOf(mixed({ families: [family], exampleCounts: [0, 1] }), 4);
      const [examples, todos] = [
        contexts.flatMap((each) => each.examples),
        contexts.flatMap((each) => each.todos),
      ];
      expect([examples.length, todos.length]).toEqual([2 * 2 * 4, 2 * 2 * 4]);
      const change = (from: ArrayLike<number>, to: ArrayLike<number>) => sign * (light(to) - light(from));
      const ofExamples = examples.map((shown) => change(shown!.input, shown!.output));
      const ofTodos = todos.map((asked) => change(asked.input!, pictureOf(asked)));
      for (const changes of [ofExamples, ofTodos]) {
        expect(Math.min(...changes)).toBeGreaterThanOrEqual(0);
        expect(Math.max(...changes)).toBeGreaterThan(0);
      }
    }
  });

  test("all pictures of a context differ", async () => {
    const drawn: string[] = [];
    const family = familyNamed("snow");
    const draw = family.draw.bind(family);
    vi.spyOn(family, "draw").mockImplementation((random) => {
      const task = draw(random);
      return {
        ...task,
        pair(source, size) {
          const pair = task.pair(source, size);
          drawn.push(String(pair.input.data.slice(0, 60)));
          return pair;
        },
      };
    });
    await contextsOf(mixed({ families: ["snow"] }), 2);
    expect(drawn).toHaveLength(2 * 2 * 3);
    expect(new Set(drawn).size).toBe(drawn.length);
  });

  test("held-out families are never sampled, all others are", async () => {
    const some = ["invert", "grayscale", "tint", "rotate"];
    const calls = some.map((name) => vi.spyOn(familyNamed(name), "draw"));
    await contextsOf(mixed({ families: some, heldOut: ["grayscale", "rotate"] }), 12);
    expect(calls.map((call) => call.mock.calls.length > 0)).toEqual([true, false, true, false]);
  });

  test("a family is sampled in proportion to its weight", async () => {
    const [often, never] = ["invert", "grayscale"].map((name) => vi.spyOn(familyNamed(name), "draw"));
    const seldom = vi.spyOn(familyNamed("tint"), "draw");
    const weights = { invert: 3, grayscale: 0 };
    await contextsOf(mixed({ families: ["invert", "grayscale", "tint"], weights }), 40);
    const [threes, ones] = [often!.mock.calls.length, seldom.mock.calls.length];
    expect(never!.mock.calls.length).toBe(0);
    expect(threes + ones).toBe(80);
    expect(threes / 80).toBeGreaterThan(0.6);
    expect(ones).toBeGreaterThan(5);
  });

  test("token noise changes its share of the targets' inputs and none of the predicted codes", async () => {
    const share = 0.25;
    const [plain, mistaken] = [
      await contextsOf(options, 30),
      await contextsOf(mixed({ tokenNoise: share }), 30),
    ];
    let [changed, expected] = [0, 0];
    for (const [i, { todos }] of mistaken.entries())
      for (const [j, { target }] of todos.entries()) {
        if (!("picture" in target)) continue;
        expect(target.picture).toEqual(pictureOf(plain[i]!.todos[j]!));
        const codes = Array.from(target.picture);
        for (const [k, code] of Array.from(target.read!).entries()) {
          expect(codes).toContain(code);
          if (code !== codes[k]) changed++;
          const others = codes.filter((other) => other !== codes[k]).length;
          expected += (share * others) / codes.length;
        }
      }
    expect(expected).toBeGreaterThan(20);
    expect(changed / expected).toBeGreaterThan(0.6);
    expect(changed / expected).toBeLessThan(1.4);
  });

  test("token dropout masks a random part of its share of the targets", async () => {
    const shares = async (tokenDropout: number) => {
      const [plain, dropped] = [await contextsOf(options, 30), await contextsOf(mixed({ tokenDropout }), 30)];
      return dropped.flatMap(({ todos }, i) =>
        todos.flatMap(({ target }, j) => {
          if (!("picture" in target)) return [];
          const picture = Array.from(target.picture);
          expect(picture).toEqual(Array.from(pictureOf(plain[i]!.todos[j]!)));
          const read = Array.from(target.read!);
          for (const [k, code] of read.entries()) expect([HIDDEN_CODE, picture[k]]).toContain(code);
          return [read.filter((code) => code === HIDDEN_CODE).length / picture.length];
        }),
      );
    };
    const all = await shares(1);
    expect(all.length).toBeGreaterThan(50);
    const mean = all.reduce((sum, share) => sum + share, 0) / all.length;
    expect(mean).toBeGreaterThan(0.35);
    expect(mean).toBeLessThan(0.65);
    // The masked share varies: there are as many targets with few masked codes as with many.
    expect(all.filter((share) => share <= 0.25).length / all.length).toBeGreaterThan(0.15);
    expect(all.filter((share) => share >= 0.75).length / all.length).toBeGreaterThan(0.15);
    const untouched = (await shares(0.3)).filter((share) => share === 0).length / all.length;
    expect(untouched).toBeGreaterThan(0.6);
    expect(untouched).toBeLessThan(0.95);
  });

  test("target dropout masks all codes of its share of the targets of changes, and none of captions", async () => {
    const shares = async (mix: Partial<ContextOptions["mix"]>) =>
      (await contextsOf(mixed({ textToImage: 0, describe: 0, ...mix }), 30)).flatMap(({ todos }) =>
        todos.flatMap(({ target }) =>
          "picture" in target
            ? [
                Array.from(target.read ?? []).filter((code) => code === HIDDEN_CODE).length /
                  target.picture.length,
              ]
            : [],
        ),
      );
    expect(new Set(await shares({ targetDropout: 1, tokenDropout: 1 }))).toEqual(new Set([1]));
    const some = await shares({ targetDropout: 0.5 });
    expect(new Set(some)).toEqual(new Set([0, 1]));
    const whole = some.filter((share) => share === 1).length / some.length;
    expect(whole).toBeGreaterThan(0.3);
    expect(whole).toBeLessThan(0.7);
    expect(new Set(await shares({ textToImage: 1, targetDropout: 1 }))).toEqual(new Set([0]));
  });

  test("captions can have their own share of token dropout", async () => {
    const readCodes = async (mix: Partial<ContextOptions["mix"]>) => {
      const contexts = await contextsOf(mixed(mix), 6);
      return contexts.flatMap(({ todos }) => todos).filter(({ target }) => "read" in target).length;
    };
    for (const textToImage of [0, 1]) {
      const [own, none] = [{ captionDropout: 1 }, { captionDropout: 0, tokenDropout: 1 }];
      expect(await readCodes({ textToImage, ...own })).toBe(textToImage * 6 * 2 * 4);
      expect((await readCodes({ textToImage, ...none })) > 0).toBe(textToImage === 0);
      expect(await readCodes({ textToImage, tokenDropout: 1 })).toBeGreaterThan(0);
    }
  });

  test("held-out contexts have neither token noise nor token dropout", async () => {
    const contexts = await contextsOf(
      mixed({ tokenNoise: 1, tokenDropout: 1, targetDropout: 1 }, { part: "held out" }),
      4,
    );
    for (const { target } of contexts.flatMap(({ todos }) => todos))
      expect(Object.keys(target)).not.toContain("read");
  });

  test("without a list of families, all but the held-out ones are sampled", async () => {
    const grey: Image = { width: 16, height: 16, data: new Float32Array(768).fill(0.5) };
    const pair = () => ({ input: grey, output: grey, instruction: "", difference: "" });
    const calls = families.map((family) =>
      vi.spyOn(family, "draw").mockReturnValue({ family: family.name, parameters: {}, pair }),
    );
    const heldOut = ["invert", "rotate"];
    await contextsOf(mixed({ heldOut }, { contexts: 50 }), 16);
    const never = families.filter((_, i) => calls[i]!.mock.calls.length === 0);
    // Families that combine others are created per recipe.
    const combined = ["twoChanges", "likeExample", "otherLook"];
    expect(never.map(({ name }) => name).toSorted()).toEqual([...heldOut, ...combined].toSorted());
  });

  test("the number of examples is sampled once per batch, with the given frequencies", async () => {
    const counts = async (exampleCounts: number[]) => {
      const contexts = await contextsOf(mixed({ families: ["invert"], exampleCounts }), 40);
      const found = contexts.map(({ examples }) => examples.length);
      for (let i = 0; i < found.length; i += 2) expect(found[i]).toBe(found[i + 1]);
      return [1, 2, 3].map((count) => found.filter((each) => each === count).length / found.length);
    };
    expect(await counts([0, 0, 1])).toEqual([0, 0, 1]);
    const [one, two] = await counts([3, 1]);
    expect(one! + two!).toBe(1);
    expect(one).toBeGreaterThan(0.5);
    expect(two).toBeGreaterThan(0.05);
  });

  test.each([
    [{ describe: 0.3, textToImage: 0.4, exampleCounts: [2, 0, 1] }, 4],
    [{ describe: 0, textToImage: 0, exampleCounts: [1, 1] }, 2],
    [{ describe: 1, textToImage: 1 }, 1],
    [{ describe: 0, textToImage: 1 }, 1],
    [{ describe: 0.3, textToImage: 0.4 }, 6, { side: 1, contexts: 3, steps: 15 }],
    [{ describe: 0.3, textToImage: 0.4 }, 3, { side: 1, contexts: 3 }],
  ])("possibleShapes lists the packings of %j", async (mix, count, windows?) => {
    const asked = { ...mixed({ families: ["invert"], withoutExample: 0.3, ...mix }), windows };
    const known = possibleShapes(asked, bright.image).map((shape) => JSON.stringify(shape));
    expect(known).toHaveLength(count);
    const drawn = new Set<string>();
    for (let step = 0; step < 30; step++) {
      const batch = packBatch(await encodedContexts(step, asked, bright), asked, bright);
      drawn.add(JSON.stringify({ kind: batch.kind, window: batch.window, packing: batch.packing }));
    }
    expect([...drawn].sort()).toEqual(known.sort());
  });

  test("windows are shown until their last step, with contexts of their own", async () => {
    const asked = mixed({}, { windows: { side: 1, contexts: 6, steps: 2 } });
    const sizes = [];
    for (let step = 0; step < 4; step++) {
      const { window, contexts } = await encodedContexts(step, asked, bright);
      sizes.push([window, contexts.length, contexts[0]!.todos[0]!.input!.length]);
    }
    const [windows, whole] = [
      [1, 6, 1],
      [undefined, 2, 4],
    ];
    expect(sizes).toEqual([windows, windows, whole, whole]);
  });

  test("text to image has a caption, the empty example, and no query", async () => {
    for (const { examples, todos } of await contextsOf(mixed({ textToImage: 1, exampleCounts: [0, 1] }), 3)) {
      expect(examples).toEqual([null]);
      expect(todos).toHaveLength(2 * options.todos);
      for (const { input, instruction, target } of todos) {
        expect(input).toBeUndefined();
        expect("picture" in target && target.picture).toHaveLength(4);
        // The caption uses the space of the query picture.
        expect(instruction.length).toBeGreaterThan(tinyXPrompt.maxTextTokens);
        expect(instruction.length).toBeLessThanOrEqual(MOST_WORDS);
      }
    }
  });

  test("TODO parts without examples mostly have an instruction", async () => {
    const given = mixed({ families: ["invert"], withoutExample: 1, todoInstruction: 0 });
    const contexts = await contextsOf(given, 20);
    expect(contexts.every(({ examples }) => examples[0] === null)).toBe(true);
    const told = contexts.flatMap(({ todos }) => todos).filter(({ instruction }) => instruction.length > 0);
    expect(told.length / 80).toBeGreaterThan(0.75);
    expect(told.length / 80).toBeLessThan(1);
    for (const share of [0, 1]) {
      const others = await contextsOf(
        mixed({ ...given.mix, instructionWithoutExample: share, todoInstruction: 0.5 }),
      );
      for (const { instruction } of others.flatMap(({ todos }) => todos))
        expect(instruction.length > 0).toBe(share === 1);
    }
  });

  test("a TODO part that does not fit is refused, not cut", () => {
    const [context] = tinyContexts({ contexts: 1, examples: 1, todos: 1 });
    const instruction = Array(tinyXPrompt.maxTextTokens + 60).fill(5);
    const todos = context!.todos.map((asked) => ({ ...asked, instruction }));
    const batch = { kind: "changes" as const, contexts: [{ ...context!, todos }] };
    expect(() => packBatch(batch, options, tiny)).toThrow(/expected at most \d+ tokens, got \d+/);
  });

  test("instructions appear with their share and are cut to the limit", async () => {
    const given = mixed({ families: ["removeObject"], exampleInstruction: 1, todoInstruction: 0 });
    for (const { examples, todos } of await contextsOf(given, 4)) {
      expect(examples.map((shown) => shown!.instruction.length)).toEqual([tinyXPrompt.maxTextTokens]);
      expect(todos.map(({ instruction }) => instruction.length)).toEqual([0, 0]);
    }
    const words = bright.text.decode((await contextsOf(given))[0]!.examples[0]!.instruction);
    expect(words).toMatch(/^[a-z ]{5,}$/);
  });

  test("contexts depend only on seed, part and step", async () => {
    const first = await encodedContexts(3, options, bright);
    expect(await encodedContexts(3, { ...options }, bright)).toEqual(first);
    for (const [step, other] of [
      [4, options],
      [3, { ...options, part: "held out" }],
      [3, { ...options, seed: 2 }],
    ] as const)
      expect(await encodedContexts(step, other, bright)).not.toEqual(first);
  });
});

/** The rows of one array of a batch, `length` numbers each. */
function sequences(values: BigInt64Array | Float32Array, length: number): number[][] {
  const numbers = Array.from<bigint | number, number>(values, Number);
  return Array.from({ length: values.length / length }, (_, i) =>
    numbers.slice(i * length, (i + 1) * length),
  );
}

/** Parses tokens according to the table in src/xprompt/sequence.ts. @throws when they do not follow it */
class Reader {
  private at = 0;
  constructor(private readonly tokens: readonly number[]) {}
  next(): number {
    return this.tokens[this.at++]!;
  }
  expect(token: number): void {
    expect(this.next(), `token ${this.at - 1} of ${this.tokens}`).toBe(token);
  }
  is(token: number): boolean {
    return this.tokens[this.at] === token;
  }
  words(): number[] {
    const words: number[] = [];
    while (this.at < this.tokens.length && vocabulary.isTextToken(this.tokens[this.at]!))
      words.push(this.next());
    return words;
  }
  /** The codes up to the end of image. */
  codes(): number[] {
    const codes = Array.from({ length: 4 }, () => vocabulary.codeOfToken[this.next()]!);
    this.expect(vocabulary.endImage);
    return codes;
  }
  picture(): number[] {
    this.expect(vocabulary.beginImage);
    return this.codes();
  }
  end(): void {
    expect(this.at).toBe(this.tokens.length);
  }
}

test("a corrupted target is corrupted in the inputs only", () => {
  const [context] = tinyContexts({ contexts: 1, examples: 1, todos: 1 });
  const [asked] = context!.todos;
  const picture = [0, 1, 2, 3];
  const pack = (read?: number[]) => {
    const todo = { ...asked!, target: { picture, ...(read && { read }) } };
    return packBatch(
      { kind: "changes", contexts: [{ ...context!, todos: [todo] }] },
      { xprompt: tinyXPrompt, weights },
      tiny,
    );
  };
  const [plain, mistaken] = [pack(), pack([0, 1, 5, 3])];
  expect(mistaken.targets).toEqual(plain.targets);
  const differ = [...plain.todoTokens.keys()].filter((i) => plain.todoTokens[i] !== mistaken.todoTokens[i]);
  expect(differ.map((i) => Number(mistaken.todoTokens[i]))).toEqual([vocabulary.imageTokens[5]]);
});

describe("packing", () => {
  const contexts = tinyContexts({ contexts: 2, examples: 2, todos: 3 });
  const batch = packBatch({ kind: "changes", contexts }, { xprompt: tinyXPrompt, weights }, tiny);
  const { exampleLength, todoLength } = batch.packing;
  const padded = sequences(batch.examplePadding, exampleLength).map((row) =>
    row.map((bias) => bias === HIDDEN),
  );

  test("has the sizes of packingOf and fits the longest texts exactly", () => {
    const sizes = { contexts: 2, todos: 3, xprompt: tinyXPrompt };
    expect(batch.packing).toEqual(packingOf(sizes, 2, 4));
    const words = Array(tinyXPrompt.maxTextTokens).fill(vocabulary.textTokens[0]!);
    const [shown, asked] = [contexts[0]!.examples[0]!, contexts[0]!.todos[0]!];
    const full = packBatch(
      {
        kind: "changes",
        contexts: [
          { examples: [{ ...shown, instruction: words }], todos: [{ ...asked, instruction: words }] },
        ],
      },
      { xprompt: tinyXPrompt, weights },
      tiny,
    );
    expect([...full.examplePadding]).toEqual(Array(full.packing.exampleLength).fill(0));
    expect(Number(full.targets.at(-1))).toBe(vocabulary.eos);
    expect(full.weights.every((weight) => weight > 0)).toBe(true);
  });

  test("examples follow the layout, are padded on the left and count positions from 0", () => {
    const shown = contexts.flatMap(({ examples }) => examples);
    const positions = sequences(batch.examplePositions, exampleLength);
    for (const [e, tokens] of sequences(batch.exampleTokens, exampleLength).entries()) {
      const start = padded[e]!.indexOf(false);
      expect(padded[e]).toEqual(tokens.map((_, i) => i < start));
      expect(tokens.slice(0, start)).toEqual(Array(start).fill(vocabulary.pad));
      expect(positions[e]!.slice(start)).toEqual([...Array(exampleLength - start).keys()]);
      const reader = new Reader(tokens.slice(start));
      reader.expect(vocabulary.bos);
      if (shown[e]) {
        expect(reader.words()).toEqual(shown[e].instruction);
        expect(reader.picture()).toEqual(shown[e].input);
        expect(reader.picture()).toEqual(shown[e].output);
      }
      for (const token of vocabulary.xp.slice(0, tinyXPrompt.tokens)) reader.expect(token);
      reader.end();
    }
    expect(shown.filter((each) => each === null)).toHaveLength(1);
  });

  test("TODO parts follow the layout from their fixed position, targets one token ahead", () => {
    const asked = contexts.flatMap(({ todos }) => todos);
    const targets = sequences(batch.targets, todoLength);
    const positions = sequences(batch.todoPositions, todoLength);
    const lossWeights = sequences(batch.weights, todoLength);
    const measured = sequences(batch.targetWeights, todoLength);
    for (const [t, tokens] of sequences(batch.todoTokens, todoLength).entries()) {
      const length = targets[t]!.indexOf(vocabulary.eos) + 1;
      const whole = [...tokens.slice(0, length), vocabulary.eos];
      expect(targets[t]!.slice(0, length)).toEqual(whole.slice(1));
      expect(positions[t]!.slice(0, length)).toEqual(
        whole.slice(1).map((_, i) => tinyXPrompt.todoPosition + i),
      );
      const reader = new Reader(whole);
      reader.expect(vocabulary.sep);
      const words = reader.words();
      expect(words).toEqual(asked[t]!.instruction);
      const { input } = asked[t]!;
      if (input) expect(reader.picture()).toEqual(input);
      expect(reader.picture()).toEqual(pictureOf(asked[t]!));
      reader.expect(vocabulary.eos);
      reader.end();

      // Predicted regions: words, the query up to the target's begin, the target with its end tokens, padding.
      const query = (input ? 6 : 0) + 1;
      expect(lossWeights[t]).toEqual([
        ...Array(words.length).fill(weights.instruction),
        ...Array(query).fill(weights.query),
        ...Array(6).fill(weights.target),
        ...Array(todoLength - words.length - query - 6).fill(0),
      ]);
      const codes = targets[t]!.filter((_, i) => measured[t]![i] === 1);
      expect(codes.map((token) => vocabulary.codeOfToken[token])).toEqual(pictureOf(asked[t]!));
      expect(new Set(measured[t])).toEqual(new Set([0, 1]));
    }
    expect(asked.filter(({ input }) => !input)).toHaveLength(1);
  });
});

describe("answers in words", () => {
  test("a share of the batches describes the example's change", async () => {
    const given = mixed({ families: ["invert", "snow"], describe: 0.5 });
    const batches = await Promise.all(
      Array.from({ length: 24 }, (_, step) => encodedContexts(step, given, bright)),
    );
    const inWords = batches.filter(({ kind }) => kind === "descriptions");
    expect(inWords.length).toBeGreaterThan(5);
    expect(inWords.length).toBeLessThan(19);
    const said = new Set<string>();
    for (const batch of inWords) {
      // As many TODO parts as a batch of pictures has, each with its own example.
      expect(batch.contexts).toHaveLength(given.contexts * given.todos);
      for (const { examples, todos } of batch.contexts) {
        const { input, instruction, target } = todos[0]!;
        expect([examples.length, todos.length, input, instruction]).toEqual([1, 1, undefined, []]);
        expect(examples[0]!.instruction).toEqual([]);
        if ("words" in target) said.add(bright.text.decode(target.words));
      }
    }
    for (const text of said) expect(text).toMatch(/^[a-z ]{8,}/);
    expect(said.size).toBeGreaterThan(1);
  });

  test("a share of text to image asks for captions instead", async () => {
    const contexts = await contextsOf(mixed({ textToImage: 1, imageToText: 0.5 }), 8);
    const todos = contexts.flatMap((context) => context.todos);
    const told = todos.filter(({ target }) => "words" in target);
    expect(told.length).toBeGreaterThan(20);
    expect(told.length).toBeLessThan(44);
    for (const { input, instruction } of told) expect([input?.length, instruction]).toEqual([4, []]);
  });

  test("background and number of objects of captioned scenes follow the mix", async () => {
    const captionsOf = async (mix: Partial<ContextOptions["mix"]>) =>
      (await contextsOf(mixed({ textToImage: 1, ...mix }), 4))
        .flatMap((context) => context.todos)
        .map(({ instruction }) => bright.text.decode([...instruction]));
    const elsewhere = /meadow|desert|beach|room/;
    const many = / and | to the | behind | in front of |objects|two|three|four/;
    const single = (await captionsOf({ plainScenes: 1, plainCounts: [1] })).join();
    expect(single).not.toMatch(elsewhere);
    expect(single).not.toMatch(many);
    const any = (await captionsOf({ plainScenes: 0 })).join();
    expect(any).toMatch(elsewhere);
    expect(any).toMatch(many);
  });

  test("a batch of descriptions is short; all its words have weight, and all but the end are measured", () => {
    const words = [...vocabulary.textTokens].slice(0, 3);
    const [shown] = tinyContexts({ contexts: 1, examples: 1, todos: 1 })[0]!.examples;
    const context = { examples: [shown!], todos: [{ instruction: [], target: { words } }] };
    const batch = packBatch(
      { kind: "descriptions", contexts: [context, context] },
      { xprompt: tinyXPrompt, weights },
      tiny,
    );
    expect(batch.packing).toEqual(
      packingOf({ contexts: 2, todos: 1, xprompt: tinyXPrompt }, 1, 4, "descriptions"),
    );
    const length = batch.packing.todoLength;
    expect(length).toBe(2 + MOST_WORDS);
    const rest = (count: number, value: number) => Array(length - count).fill(value);
    for (const [t, tokens] of sequences(batch.todoTokens, length).entries()) {
      const { sep, eos, pad } = vocabulary;
      expect(tokens).toEqual([sep, sep, ...words, ...rest(5, pad)]);
      expect(sequences(batch.targets, length)[t]!.slice(0, 5)).toEqual([sep, ...words, eos]);
      expect(sequences(batch.weights, length)[t]).toEqual([
        weights.query,
        ...Array(4).fill(weights.words),
        ...rest(5, 0),
      ]);
      expect(sequences(batch.targetWeights, length)[t]).toEqual([0, 1, 1, 1, ...rest(4, 0)]);
    }
  });

  test("a batch of captions fits one picture and the longest caption, in both directions", () => {
    const words = Array(MOST_WORDS).fill(vocabulary.textTokens[0]!);
    const picture = [0, 1, 2, 3];
    const drawn = { instruction: words, target: { picture } };
    const told = { input: picture, instruction: [], target: { words } };
    const batch = packBatch(
      { kind: "captions", contexts: [{ examples: [null], todos: [drawn, told] }] },
      { xprompt: tinyXPrompt, weights },
      tiny,
    );
    const length = batch.packing.todoLength;
    expect([...batch.examplePadding]).toEqual(Array(1 + tinyXPrompt.tokens).fill(0));
    const { sep, eos, beginImage, endImage, imageTokens, pad } = vocabulary;
    const codes = picture.map((code) => imageTokens[code]!);
    const [first, second] = sequences(batch.todoTokens, length);
    expect(first).toEqual([sep, ...words, beginImage, ...codes, endImage, pad]);
    expect(second).toEqual([sep, beginImage, ...codes, endImage, sep, ...words]);
    const [ofPicture, ofWords] = sequences(batch.targets, length);
    expect([ofPicture!.at(-2), ofWords!.at(-1)]).toEqual([eos, eos]);
    const [measured, unmeasured] = sequences(batch.targetWeights, length);
    expect(measured!.filter((weight) => weight === 1)).toHaveLength(4);
    expect(new Set(unmeasured)).toEqual(new Set([0]));
  });

  test("in batches with pictures, words have weight but are not measured", () => {
    const words = [...vocabulary.textTokens].slice(0, 3);
    const [context] = tinyContexts({ contexts: 1, examples: 1, todos: 2 });
    const [first, second] = context!.todos;
    const told = { ...second!, instruction: [], target: { words } };
    const batch = packBatch(
      { kind: "changes", contexts: [{ ...context!, todos: [first!, told] }] },
      { xprompt: tinyXPrompt, weights },
      tiny,
    );
    const length = batch.packing.todoLength;
    const [ofPicture, ofWords] = sequences(batch.targetWeights, length);
    expect(ofPicture!.filter((weight) => weight === 1)).toHaveLength(4);
    expect(new Set(ofWords)).toEqual(new Set([0]));
    expect(sequences(batch.weights, length)[1]!.filter((weight) => weight === weights.words)).toHaveLength(4);
  });
});

describe("createSource", () => {
  let folder = "";
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "xprompt-tokenizers-"));
    await writeTinyTokenizers(join(folder, "tokenizers"));
  });
  afterAll(() => rm(folder, { recursive: true }));

  test("makes each batch from its step alone, with real tokenizers", async () => {
    const given = mixed(
      { exampleCounts: [1, 1], textToImage: 0.3 },
      { tokenizers: join(folder, "tokenizers") },
    );
    const [forward, backward] = await Promise.all([createSource(given), createSource(given)]);
    const steps = [0, 1, 2, 3];
    const made: PackedBatch[] = [];
    for (const step of steps) made.push(await forward(step));
    const again: PackedBatch[] = [];
    for (const step of steps.toReversed()) again.unshift(await backward(step));
    expect(again).toEqual(made);
    expect(new Set(made.map(({ todoTokens }) => String(todoTokens))).size).toBe(4);
    const codes = made.flatMap(({ targets, targetWeights }) =>
      Array.from(targets, Number).filter((_, i) => targetWeights[i] === 1),
    );
    expect(new Set(codes).size).toBeGreaterThan(3);
  });
});
