/**
 * @file Draws docs/attention-mask.svg: which tokens see which, for two examples and two TODO parts, beside a plain
 * causal mask.
 *
 *     npx tsx tools/docs/attention-mask.ts
 *
 * Nothing is drawn from memory: the tokens come from `sequence.ts`, and the squares from the attention of `packing.ts`.
 * Queries and keys are zero, so that a row attends equally to all rows that it sees; values are one-hot, so that the
 * result names those rows.
 */
import { loadTokenizers } from "../../src/chameleon/checkpoint/folder.ts";
import type { Vocabulary } from "../../src/chameleon/tokenizers/vocabulary.ts";
import { exportOnnx, Graph } from "../../src/graph/index.ts";
import { writeFileAtomic } from "../../src/runtime/files.ts";
import { float32, floats, int64, Session } from "../../src/runtime/session.ts";
import { exampleRows, type Packing, packedAttention, todoRows } from "../../src/xprompt/packing.ts";
import { type ExampleMask, exampleTokens, queryTokens, targetTokens } from "../../src/xprompt/sequence.ts";

const EXAMPLES = 2;
const TODOS = 2;
/** XP tokens per example; the shipped model has 16. */
const XP_TOKENS = 3;
/** One code stands for all codes of an image. */
const [BEFORE, AFTER, QUERY, TARGET] = [[0], [1], [2], [3]] as const;

/** Pixels per token, and around the matrix for the names of tokens and parts. */
const CELL = 13;
const MARGIN = { left: 108, top: 136 };
const GAP = 56;

interface Row {
  readonly name: string;
  /** E.g. "example 1". */
  readonly part: string;
  readonly group: "IE" | "XP" | "TD";
}

const { vocabulary } = (await loadTokenizers("models/nano")).text;
const rows = rowsOf(vocabulary);
const panels = await Promise.all(
  (["xprompt", "causal"] as const).map(async (mask) => ({ mask, seen: await whoSeesWhom(mask) })),
);
await writeFileAtomic("docs/attention-mask.svg", draw());

/** The rows of a packed batch, in its order: all examples, then all TODO parts. */
function rowsOf(vocabulary: Vocabulary): Row[] {
  const example = exampleTokens(vocabulary, { input: BEFORE, output: AFTER, instruction: [] }, XP_TOKENS);
  const todo = [
    ...queryTokens(vocabulary, { input: QUERY, instruction: [] }),
    ...targetTokens(vocabulary, { picture: TARGET }),
  ];
  const names = new Map<number, string>([
    [vocabulary.bos, "start"],
    [vocabulary.eos, "end"],
    [vocabulary.sep, "separator"],
    [vocabulary.beginImage, "begin of image"],
    [vocabulary.endImage, "end of image"],
    [vocabulary.imageTokens[BEFORE[0]]!, "before …"],
    [vocabulary.imageTokens[AFTER[0]]!, "after …"],
    [vocabulary.imageTokens[QUERY[0]]!, "your image …"],
    [vocabulary.imageTokens[TARGET[0]]!, "result …"],
    ...vocabulary.xp.map((id, i): [number, string] => [id, `XP ${i + 1}`]),
  ]);
  const part = (tokens: readonly number[], name: string, group: "IE" | "TD") =>
    tokens.map((id): Row => {
      return { name: names.get(id)!, part: name, group: vocabulary.xp.includes(id) ? "XP" : group };
    });
  return [
    ...Array.from({ length: EXAMPLES }, (_, i) => part(example, `example ${i + 1}`, "IE")).flat(),
    ...Array.from({ length: TODOS }, (_, i) => part(todo, `TODO ${i + 1}`, "TD")).flat(),
  ];
}

/** `[row][key]`: whether the attention of training lets a row see a key. */
async function whoSeesWhom(mask: ExampleMask): Promise<boolean[][]> {
  const count = rows.length;
  const exampleLength = rows.filter(({ part }) => part === "example 1").length;
  const todoLength = rows.filter(({ part }) => part === "TODO 1").length;
  const sizes = {
    contexts: 1,
    examples: EXAMPLES,
    exampleLength,
    xpTokens: XP_TOKENS,
    todos: TODOS,
    todoLength,
  };
  const packing: Packing = { ...sizes, mask };
  if (exampleRows(packing) + todoRows(packing) !== count || count % 2 === 1)
    throw new Error(
      `expected an even number of rows, ${exampleRows(packing)} + ${todoRows(packing)}, got ${count}`,
    );
  const graph = new Graph();
  const attend = packedAttention(graph, packing, {
    ...{ vocabularySize: 1, hiddenSize: count, intermediateSize: 1, layers: 1, heads: 1, keyValueHeads: 1 },
    ...{ rmsNormEpsilon: 1e-5, rope: { theta: 10_000 }, maxPositions: 64, swinNorm: false },
  });
  const zeros = graph.input("zeros", "float32", [count, 1, count]);
  const values = graph.input("values", "float32", [count, 1, count]);
  const mixed = attend(0, { queries: zeros, keys: zeros, values });
  const session = await Session.create(exportOnnx({ mixed }));
  const positions = (sequences: number, length: number, from: number) =>
    int64(
      Array.from({ length: sequences * length }, (_, i) => from + (i % length)),
      [sequences, length],
    );
  const result = await session.runOn({
    zeros: float32(new Float32Array(count * count), [count, 1, count]),
    values: float32(
      Float32Array.from({ length: count * count }, (_, i) => Number(i % (count + 1) === 0)),
      [count, 1, count],
    ),
    "example positions": positions(EXAMPLES, exampleLength, 0),
    "todo positions": positions(TODOS, todoLength, exampleLength),
    "example padding": float32(new Float32Array(EXAMPLES * exampleLength), [EXAMPLES, 1, 1, exampleLength]),
  });
  const weights = floats(result.mixed!);
  await session.release();
  return rows.map((_, row) => rows.map((_, key) => weights[row * count + key]! > 1e-6));
}

function draw(): string {
  const side = CELL * rows.length;
  const width = MARGIN.left + 2 * side + GAP + 16;
  const height = MARGIN.top + side + 44;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    "<title>Which tokens see which: the mask of X-Prompt, and a causal mask that sees whole examples</title>",
    "<style>",
    "text{font:10px system-ui,sans-serif;fill:#222}.heading{font-size:14px;font-weight:600}.part{font-size:11px;font-weight:600}",
    ".paper{fill:#fff}.hidden{fill:#eceef1}.IE{fill:#8fb8de}.XP{fill:#e07b39}.TD{fill:#7aa95c}.rule{stroke:#222;stroke-width:1}",
    "@media(prefers-color-scheme:dark){text{fill:#e8e8e8}.paper{fill:#16181c}.hidden{fill:#2a2d33}.rule{stroke:#e8e8e8}}",
    "</style>",
    '<rect class="paper" width="100%" height="100%"/>',
    ...rows.map(
      ({ name }, i) =>
        `<text x="${MARGIN.left - 6}" y="${MARGIN.top + CELL * i + 10}" text-anchor="end">${name}</text>`,
    ),
    ...panels.flatMap(({ mask, seen }, i) => drawPanel(mask, seen, MARGIN.left + i * (side + GAP))),
    ...legend(MARGIN.top + side + 26),
    "</svg>\n",
  ].join("\n");
}

function drawPanel(mask: ExampleMask, seen: readonly (readonly boolean[])[], left: number): string[] {
  const side = CELL * rows.length;
  const starts = rows.flatMap(({ part }, i) => (part === rows[i - 1]?.part ? [] : [i]));
  const title =
    mask === "xprompt" ? "X-Prompt: TODO parts see XP blocks alone" : "causal: TODO parts see whole examples";
  return [
    `<text class="heading" x="${left}" y="22">${title}</text>`,
    ...starts.map((i) => `<text class="part" x="${left + CELL * i + 2}" y="44">${rows[i]!.part}</text>`),
    ...rows.map(({ name }, i) => {
      const x = left + CELL * i + 9;
      return `<text transform="translate(${x} ${MARGIN.top - 4}) rotate(-90)">${name}</text>`;
    }),
    ...["hidden", "IE", "XP", "TD"].map((kind) => {
      const cells = seen.flatMap((keys, row) =>
        keys.flatMap((isSeen, key) => {
          if ((isSeen ? rows[key]!.group : "hidden") !== kind) return [];
          return [`M${left + CELL * key} ${MARGIN.top + CELL * row}h12v12h-12z`];
        }),
      );
      return `<path class="${kind}" d="${cells.join("")}"/>`;
    }),
    ...starts.slice(1).flatMap((i) => {
      const [x, y] = [left + CELL * i - 0.5, MARGIN.top + CELL * i - 0.5];
      return [
        `<line class="rule" x1="${x}" x2="${x}" y1="${MARGIN.top}" y2="${MARGIN.top + side}"/>`,
        `<line class="rule" x1="${left}" x2="${left + side}" y1="${y}" y2="${y}"/>`,
      ];
    }),
  ];
}

function legend(top: number): string[] {
  const entries = [
    ["IE", "sees a token of an example (IE)"],
    ["XP", "sees an XP token"],
    ["TD", "sees a token of its TODO part (TD)"],
    ["hidden", "does not see it"],
  ] as const;
  return entries.flatMap(([kind, text], i) => [
    `<rect class="${kind}" x="${MARGIN.left + 215 * i}" y="${top - 10}" width="12" height="12"/>`,
    `<text x="${MARGIN.left + 215 * i + 18}" y="${top}">${text}</text>`,
  ]);
}
