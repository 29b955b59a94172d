/**
 * @file Held-out icons. Style tasks generate an icon in another style of its family; the result is right if its nearest
 * of fifty icons is the right one. Edits change one flat layer.
 */
import { XPromptError } from "../../errors.ts";
import { type Image, rounded, type Sheet, type SheetRow } from "../../image/index.ts";
import { Random } from "../../tasks/index.ts";
import { type Baseline, colourFit } from "../baselines/index.ts";
import {
  CANDIDATES,
  drawEdit,
  drawStyleTask,
  editablesOf,
  edits,
  type IconTask,
  stylePairs,
} from "../gathered/icon-tasks.ts";
import { openHeldOut } from "../gathered/pictures.ts";
import { IconJudge } from "../judges/icons.ts";
import { percent, plain, withInterval } from "../lines.ts";
import { boundedPsnr } from "../metrics/pictures.ts";
import type { Section } from "../report.ts";
import { numbered } from "../samples.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { estimate, shareBetter, shareEstimate } from "../summary.ts";

type Column = "drawn" | Exclude<Baseline, "classical">;
const columns: readonly Column[] = ["drawn", "unchanged", "colourFit", "roundTrip"];

/** Samples per task in the report. */
const SHOWN = 6;

export const icons: Suite = {
  name: "icons",
  description: "held-out icons: another style of their family, and exact edits of a layer (--pictures)",
  limit: 48,
  needs: ["pictures"],
  run: measure,
};

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const { generations, limit, seed, options, model } = context;
  const { iconSets, digest } = openHeldOut(options.pictures!);
  const families = stylePairs(iconSets);
  if (families.size === 0)
    throw new XPromptError(
      `eval icons: expected two held-out icon sets of one family with ${CANDIDATES} icons or more, got ${iconSets.length} sets without such a pair (gather more)`,
    );
  const editables = editablesOf(iconSets, Random.of(seed, "editable icons"));
  const editsMeasured = editables.length > 0 ? edits : [];
  generations.expect(limit * (1 + editsMeasured.length));
  const right = boardOf();
  const style = await measureTask(
    "style",
    context,
    (random) => {
      const pair = random.pick(families.get(random.pick([...families.keys()]))!);
      return drawStyleTask(pair, random, model.size);
    },
    ({ candidates, answer }, answers) => {
      const judge = new IconJudge(candidates);
      for (const column of columns) right[column].push(judge.nearest(answers[column]) === answer ? 1 : 0);
    },
  );
  const shares = Object.fromEntries(
    columns.map((column) => [column, shareEstimate(right[column])!]),
  ) as Record<Column, NonNullable<ReturnType<typeof estimate>>>;
  const editFigures: Record<string, ReturnType<typeof figuresOf>> = {};
  const sections: Section[] = [];
  for (const edit of editsMeasured) {
    const measured = await measureTask(edit, context, (random) =>
      drawEdit(edit, random.pick(editables), random, model.size),
    );
    editFigures[edit] = figuresOf(measured.psnr, seed);
    sections.push({ title: edit, sheet: measured.sheet });
  }
  const styleFigures = figuresOf(style.psnr, seed);
  const figures = { style: styleFigures, ...editFigures };
  return {
    figures: {
      metric: "right",
      right: shares,
      chance: 1 / CANDIDATES,
      candidates: CANDIDATES,
      tasks: figures,
      pictures: digest,
      n: limit,
    },
    report: [
      {
        title: "Icons in another style",
        text: explanation,
        table: {
          columns: ["", ...columns],
          rows: [["right icon", ...columns.map((column) => shares[column])]],
        },
        sheet: style.sheet,
      },
      {
        title: "Icons, PSNR in dB",
        text: "recolour, remove: edits of one flat layer, which has the same colour in the example. Shares are shares of pictures.",
        table: {
          columns: ["task", ...columns, "better than unchanged", "better than the colour fit"],
          rows: Object.entries(figures).map(([name, { psnr, betterThanUnchanged, betterThanColourFit }]) => [
            name,
            ...columns.map((column) => psnr[column] ?? null),
            betterThanUnchanged ?? null,
            betterThanColourFit ?? null,
          ]),
        },
      },
      ...sections,
    ],
    summary: [
      `right icon nearest of ${CANDIDATES} (chance ${percent({ mean: 1 / CANDIDATES, ci: [1 / CANDIDATES, 1 / CANDIDATES] })}): drawn ${percent(shares.drawn)}, ` +
        `unchanged ${percent(shares.unchanged)}, colour fit ${percent(shares.colourFit)}, round trip of the truth ${percent(shares.roundTrip)}`,
      ...Object.entries(figures).map(
        ([name, { psnr }]) =>
          `${name}, PSNR in dB: drawn ${withInterval(psnr.drawn, 1)}, unchanged ${plain(psnr.unchanged?.mean, 1)}, ` +
          `colour fit ${plain(psnr.colourFit?.mean, 1)}, round trip ${plain(psnr.roundTrip?.mean, 1)}`,
      ),
    ],
  };
}

const explanation =
  `Share of pictures whose nearest of ${CANDIDATES} icons in the target style is the right one. The example's icon is one ` +
  "of the candidates. drawn: with one example pair of another icon, without words; unchanged: the query, in the first " +
  "style; colourFit: least squares from the example's colours; roundTrip: the truth through the image tokenizer, an " +
  "upper bound that the judge allows.";

type Board = Readonly<Record<Column, number[]>>;
const boardOf = (): Board => Object.fromEntries(columns.map((column) => [column, []])) as unknown as Board;

/** Generates `limit` samples of a task and measures all columns. */
async function measureTask<T extends IconTask>(
  name: string,
  { generations, limit, model, seed }: SuiteContext,
  sampleTask: (random: Random) => T,
  judge: (task: T, answers: Readonly<Record<Column, Image>>) => void = () => {},
): Promise<{ readonly psnr: Board; readonly sheet: Sheet }> {
  const psnr = boardOf();
  const rows: SheetRow[] = [];
  for (let i = 0; i < limit; i++) {
    const random = Random.of(seed, "icons", name, i);
    const task = sampleTask(random);
    const { what, example, input, output } = task;
    const { image } = await generations.generate({
      id: `${name}/drawn-${numbered(i)}`,
      seed: random.integer(0, 2 ** 31 - 1),
      examples: [example],
      input,
    });
    const [roundTrip] = await model.reconstruct([output]);
    const answers: Record<Column, Image> = {
      drawn: image,
      unchanged: input,
      colourFit: colourFit([example], input),
      roundTrip: roundTrip!,
    };
    for (const column of columns) psnr[column].push(boundedPsnr(rounded(answers[column]), output));
    judge(task, answers);
    const cells = [example.input, example.output, input, output, ...columns.map((column) => answers[column])];
    if (rows.length < SHOWN) rows.push({ label: what, cells: cells.map((image) => ({ image })) });
  }
  return { psnr, sheet: { columnTitles: ["example", "", "query", "truth", ...columns], rows } };
}

function figuresOf(psnr: Board, seed: number) {
  const negative = (column: Column) => psnr[column].map((value) => -value);
  const better = (baseline: Column) => shareBetter(negative("drawn"), negative(baseline));
  return {
    psnr: Object.fromEntries(columns.map((column) => [column, estimate(psnr[column], seed)])),
    betterThanUnchanged: better("unchanged"),
    betterThanColourFit: better("colourFit"),
  };
}
