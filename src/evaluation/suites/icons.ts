/**
 * @file Held-out icons. Style tasks generate an icon in another style of its family; the result is right if its nearest
 * of fifty icons is the right one. Pairs of styles that training shows, and those that it never shows, are measured
 * separately. Edits change one flat layer.
 */
import { XPromptError } from "../../errors.ts";
import { type Image, rounded, type Sheet, type SheetRow } from "../../image/index.ts";
import type { IconSet } from "../../tasks/gathered/index.ts";
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
import type { Cell, Section } from "../report.ts";
import { numbered } from "../samples.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { estimate, shareBetter, shareEstimate } from "../summary.ts";
import { hasSeen } from "../training-facts.ts";

type Column = "drawn" | Exclude<Baseline, "classical">;
const columns: readonly Column[] = ["drawn", "unchanged", "colourFit", "roundTrip"];

/** The style tasks, and what they are called. */
const styleTasks = {
  style: { heldOut: false, title: "pairs of styles as in nano's training" },
  unseenStyle: { heldOut: true, title: "pairs of styles held out of it" },
} as const;
type StyleTaskName = keyof typeof styleTasks;

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
  const { generations, limit, seed, options } = context;
  const { iconSets, digest } = openHeldOut(options.pictures!);
  const styles = stylesIn(iconSets);
  const editables = editablesOf(iconSets, Random.of(seed, "editable icons"));
  const editsMeasured = editables.length > 0 ? edits : [];
  generations.expect(limit * (styles.length + editsMeasured.length));
  const shares: Record<string, Shares> = {};
  const figures: Record<string, ReturnType<typeof figuresOf>> = {};
  const sections: Section[] = [];
  for (const task of styles) {
    const [name] = task;
    const { right, psnr, sheet } = await measureStyles(task, context);
    shares[name] = right;
    figures[name] = figuresOf(psnr, seed);
    sections.push({ title: styleTasks[name].title, sheet });
  }
  for (const edit of editsMeasured) {
    const { psnr, sheet } = await measureTask(edit, context, (random) =>
      drawEdit(edit, random.pick(editables), random, context.model.size),
    );
    figures[edit] = figuresOf(psnr, seed);
    sections.push({ title: edit, sheet });
  }
  return {
    figures: {
      metric: "right",
      right: shares,
      seen: { unseenStyle: hasSeenStyles(context) },
      chance: 1 / CANDIDATES,
      candidates: CANDIDATES,
      tasks: figures,
      pictures: digest,
      n: limit,
    },
    report: [
      {
        title: "Icons in another style",
        text: explanation + seenNote(context),
        table: {
          columns: ["right icon", ...columns],
          rows: styles.map(([name]): Cell[] => [
            styleTasks[name].title,
            ...columns.map((column) => shares[name]![column] ?? null),
          ]),
        },
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
      ...styles.map(([name]) => lineOf(styleTasks[name].title, shares[name]!)),
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

/** The pairs of styles of one task, by family of icons. */
type Styles = readonly [StyleTaskName, ReturnType<typeof stylePairs>];

/** The tasks that there are pairs of styles for. @throws XPromptError when there are none */
function stylesIn(iconSets: readonly IconSet[]): readonly Styles[] {
  const names = Object.keys(styleTasks) as StyleTaskName[];
  const found = names
    .map((name): Styles => [name, stylePairs(iconSets, styleTasks[name].heldOut)])
    .filter(([, families]) => families.size > 0);
  if (found.length > 0) return found;
  throw new XPromptError(
    `eval icons: expected two held-out icon sets of one family with ${CANDIDATES} icons or more, got ${iconSets.length} sets without such a pair (gather more)`,
  );
}

/** Whether the model was trained on the held-out pairs of styles; null for an adapter, whose tasks are not known. */
const hasSeenStyles = ({ training, adapter }: SuiteContext): boolean | null =>
  adapter === undefined ? hasSeen(training, "iconStyleUnseen") : null;

const seenNote = (context: SuiteContext): string =>
  hasSeenStyles(context) ? " This model was trained on the held-out pairs of styles." : "";

const lineOf = (title: string, shares: Shares): string =>
  `${title}, right icon nearest of ${CANDIDATES} (chance ${100 / CANDIDATES}%): drawn ${percent(shares.drawn)}, ` +
  `unchanged ${percent(shares.unchanged)}, colour fit ${percent(shares.colourFit)}, round trip of the truth ${percent(shares.roundTrip)}`;

/** Generates icons in another style, and judges which of the candidates each one is. */
async function measureStyles(
  [name, families]: Styles,
  context: SuiteContext,
): Promise<{ readonly right: Shares; readonly psnr: Board; readonly sheet: Sheet }> {
  const right = boardOf();
  const measured = await measureTask(
    name,
    context,
    (random) => {
      const pair = random.pick(families.get(random.pick([...families.keys()]))!);
      return drawStyleTask(pair, random, context.model.size);
    },
    ({ candidates, answer }, answers) => {
      const judge = new IconJudge(candidates);
      for (const column of columns) right[column].push(judge.nearest(answers[column]) === answer ? 1 : 0);
    },
  );
  const shares = Object.fromEntries(columns.map((column) => [column, shareEstimate(right[column])]));
  return { right: shares as Shares, ...measured };
}

type Shares = Readonly<Record<Column, ReturnType<typeof shareEstimate>>>;
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
