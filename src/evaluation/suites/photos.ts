/**
 * @file Held-out photographs under fifteen changes, no change, and two more restorations, with one example pair of
 * another photograph. All columns are measured at the same size, so small results are enlarged first.
 */
import { type Image, rounded, type SheetRow } from "../../image/index.ts";
import { type Baseline, classicalFilter, colourFit } from "../baselines/index.ts";
import { expertPsnr } from "../gathered/expert.ts";
import { type PhotoChange, photoChanges } from "../gathered/photo-changes.ts";
import { type PhotoQuery, photoQueries } from "../gathered/photo-queries.ts";
import { fitted, openHeldOut } from "../gathered/pictures.ts";
import { percent, plain, withInterval } from "../lines.ts";
import { type Estimate, mean } from "../metrics/bootstrap.ts";
import { boundedPsnr } from "../metrics/pictures.ts";
import type { Table } from "../report.ts";
import { numbered } from "../samples.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { estimate, shareBetter } from "../summary.ts";

/**
 * `drawn`: result at the model's size. `drawnFullSize`: the change that the model drew, at the size of the query.
 * `fullSize`: what a user gets, the map of colours where one explains the example, else `drawnFullSize`.
 */
type Way = "drawn" | "drawnFullSize" | "fullSize";
const ways: readonly Way[] = ["drawn", "drawnFullSize", "fullSize"];

type Column = Way | Baseline | "expert";
const columns: readonly Column[] = [...ways, "unchanged", "colourFit", "classical", "expert", "roundTrip"];
/** Columns of every change. */
const common = columns.filter((column) => column !== "classical" && column !== "expert");
/** Columns with pictures. */
const pictureColumns = columns.filter((column) => column !== "expert");

const DEFAULT_SIZE = 256;
/** Largest side of pictures in the report, in pixels. */
const REPORT_SIZE = 128;

export const photos: Suite = {
  name: "photos",
  description:
    "held-out photographs: fifteen changes and none, with one example of another photograph (--pictures)",
  limit: 24,
  needs: ["pictures"],
  takes: ["size"],
  run: measure,
};

/** PSNR in dB by column, one value per photograph; `classical` and `expert` are empty if they do not apply. */
type Scores = Readonly<Record<Column, number[]>>;

interface Measured {
  readonly change: PhotoChange;
  readonly psnr: Scores;
}

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const { generations, limit, seed, options } = context;
  const size = options.size ?? DEFAULT_SIZE;
  const gathered = openHeldOut(options.pictures!);
  const queries = photoQueries(gathered, { size, limit, seed });
  const count = queries.names.length;
  generations.expect(photoChanges.length * count * ways.length);
  const measured: Measured[] = [];
  const rows: SheetRow[] = [];
  for (const change of photoChanges) {
    const psnr = Object.fromEntries(columns.map((column) => [column, [] as number[]])) as unknown as Scores;
    for (let i = 0; i < count; i++) {
      const query = queries.of(change, i);
      const answers = await answer(change, query, { size, index: i }, context);
      for (const [column, image] of answers) psnr[column].push(boundedPsnr(rounded(image), query.truth));
      if (i === 0) rows.push(rowOf(change.name, query, answers));
    }
    psnr.expert.push(
      ...expertPsnr(change.name, { digest: gathered.digest, photographs: queries.names, size, seed }),
    );
    measured.push({ change, psnr });
  }
  const groups = {
    tone: measured.filter(({ change }) => change.kind === "tone"),
    place: measured.filter(({ change }) => change.kind === "place"),
    all: measured.filter(({ change }) => change.kind === "tone" || change.kind === "place"),
  };
  const pooled = Object.fromEntries(
    Object.entries(groups).map(([name, group]) => [name, groupFigures(group, seed)]),
  ) as Record<keyof typeof groups, ReturnType<typeof groupFigures>>;
  const changes = Object.fromEntries(
    measured.map(({ change, psnr }) => [change.name, { kind: change.kind, ...figuresOf(psnr, seed) }]),
  );
  return {
    figures: {
      metric: "psnr",
      groups: pooled,
      changes,
      pictures: gathered.digest,
      photographs: queries.photographs,
      size,
      n: count,
    },
    report: [
      { title: "Photographs", text: explanation, table: tableOf(pooled, changes) },
      {
        title: "Pictures",
        text: "The first photograph under each change.",
        sheet: { columnTitles: ["example", "", "query", "truth", ...pictureColumns], rows },
      },
    ],
    summary: [
      ...(["tone", "place"] as const).map((name) => lineOf(name, pooled[name])),
      countsOf(pooled.all),
      `change nothing: ${ways.map((way) => `${way} ${plain(mean(measured.at(-1)!.psnr[way]), 1)}`).join(", ")}, round trip ${plain(mean(measured.at(-1)!.psnr.roundTrip), 1)} dB`,
    ],
  };
}

const explanation =
  "PSNR in dB, higher is better; intervals over photographs. drawn: with one example pair of another photograph, without " +
  "words, enlarged to the measured size; drawnFullSize: the drawn change at the size of the query; fullSize: the default of generate, " +
  "which applies a map of colours instead where one explains the example; unchanged: the query itself; colourFit: least squares from the example's " +
  "colours; classical: one fixed filter per change; expert: MAXIM's model for the restoration, which was trained " +
  "on such photographs (stored figures: only for the same photographs, size and seed); roundTrip: the truth through the image tokenizer. tone: changes " +
  "that map colours; place: changes that depend on positions and neighbours; all: both (without denoise and dehaze). A change counts as better if its mean " +
  "is above that of the baseline.";

/** The pictures of one photograph under one change, by column, `size` × `size` pixels. */
async function answer(
  change: PhotoChange,
  { example, input, truth, samplingSeed }: PhotoQuery,
  { size, index }: { readonly size: number; readonly index: number },
  { model, generations }: SuiteContext,
): Promise<ReadonlyMap<Column, Image>> {
  const small = { input: fitted(example.input, model.size), output: fitted(example.output, model.size) };
  const answers = new Map<Column, Image>();
  for (const way of ways) {
    const { image } = await generations.generate({
      id: `${size}/${change.name}/${way}-${numbered(index)}`,
      seed: samplingSeed,
      examples: [small],
      input: way === "drawn" ? fitted(input, model.size) : input,
      ...(way !== "drawn" && { fullSize: true, exampleColours: way === "fullSize" }),
    });
    answers.set(way, fitted(image, size));
  }
  answers.set("unchanged", input);
  answers.set("colourFit", colourFit([example], input));
  const filtered = await (change.restores && classicalFilter(change.restores)?.apply(input));
  if (filtered) answers.set("classical", filtered);
  const [roundTrip] = await model.reconstruct([fitted(truth, model.size)]);
  answers.set("roundTrip", fitted(roundTrip!, size));
  return answers;
}

function rowOf(
  label: string,
  { example, input, truth }: PhotoQuery,
  answers: ReadonlyMap<Column, Image>,
): SheetRow {
  const results = pictureColumns.map((column) => answers.get(column) ?? input);
  const cells = [example.input, example.output, input, truth, ...results];
  const small = (image: Image) => fitted(image, Math.min(image.width, REPORT_SIZE));
  return { label, cells: cells.map((image) => ({ image: small(image) })) };
}

type Estimates = Partial<Record<Column, Estimate>>;
type Shares = Readonly<Record<Way, Estimate | undefined>>;

const byWay = <T>(value: (way: Way) => T) =>
  Object.fromEntries(ways.map((way) => [way, value(way)])) as Record<Way, T>;

/** 1 if a picture is nearer to the truth than the baseline, one value per photograph. */
const nearer = (psnr: Scores, way: Way, baseline: Baseline): number[] =>
  psnr[way].map((value, i) => (value > psnr[baseline][i]! ? 1 : 0));

function figuresOf(psnr: Scores, seed: number) {
  const negative = (column: Column) => psnr[column].map((value) => -value);
  const better = (baseline: Baseline): Shares =>
    byWay((way) => shareBetter(negative(way), negative(baseline)));
  return {
    psnr: Object.fromEntries(columns.map((column) => [column, estimate(psnr[column], seed)])) as Estimates,
    betterThanUnchanged: better("unchanged"),
    betterThanColourFit: better("colourFit"),
  };
}

/** Figures of several changes. The values of a photograph are averaged first, because they are not independent. */
function groupFigures(group: readonly Measured[], seed: number) {
  const perPhotograph = (valuesOf: (psnr: Scores) => number[]) => {
    const rows = group.map(({ psnr }) => valuesOf(psnr));
    return rows[0]!.map((_, i) => mean(rows.map((row) => row[i]!)));
  };
  const share = (baseline: Baseline): Shares =>
    byWay((way) =>
      estimate(
        perPhotograph((psnr) => nearer(psnr, way, baseline)),
        seed,
      ),
    );
  const count = (baseline: Baseline) =>
    byWay((way) => group.filter(({ psnr }) => mean(psnr[way]) > mean(psnr[baseline])).length);
  return {
    psnr: Object.fromEntries(
      common.map((column) => [
        column,
        estimate(
          perPhotograph((psnr) => psnr[column]),
          seed,
        ),
      ]),
    ) as Estimates,
    betterThanUnchanged: share("unchanged"),
    betterThanColourFit: share("colourFit"),
    changesBetterThanUnchanged: count("unchanged"),
    changesBetterThanColourFit: count("colourFit"),
    changes: group.length,
  };
}

type GroupFigures = ReturnType<typeof groupFigures>;

function tableOf(
  groups: Readonly<Record<string, GroupFigures>>,
  changes: Readonly<Record<string, ReturnType<typeof figuresOf>>>,
): Table {
  const better = ways.flatMap((way) => [`${way} better than unchanged`, `${way} better than the colour fit`]);
  return {
    columns: ["change", ...columns, ...better],
    rows: [...Object.entries(groups), ...Object.entries(changes)].map(([name, figures]) => [
      name,
      ...columns.map((column) => figures.psnr[column] ?? null),
      ...ways.flatMap((way) => [
        figures.betterThanUnchanged[way] ?? null,
        figures.betterThanColourFit[way] ?? null,
      ]),
    ]),
  };
}

function lineOf(name: "tone" | "place", { psnr, changes }: GroupFigures): string {
  const drawn = ways.map((way) => `${way} ${withInterval(psnr[way], 1)}`).join(", ");
  return (
    `${changes} ${name === "tone" ? "tone changes" : "other changes"}, PSNR in dB: ${drawn}, unchanged ${plain(psnr.unchanged?.mean, 1)}, ` +
    `colour fit ${plain(psnr.colourFit?.mean, 1)}, round trip ${plain(psnr.roundTrip?.mean, 1)}`
  );
}

const countsOf = (all: GroupFigures): string =>
  ways
    .map(
      (way) =>
        `${way} is better than unchanged in ${all.changesBetterThanUnchanged[way]} of ${all.changes} changes and ${percent(all.betterThanUnchanged[way])} of pictures, ` +
        `than the colour fit in ${all.changesBetterThanColourFit[way]} and ${percent(all.betterThanColourFit[way])}`,
    )
    .join("; ");
