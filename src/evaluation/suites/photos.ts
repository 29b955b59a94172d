/**
 * @file Photographs that no model is trained on, changed in fifteen ways and in none, with one example pair of another
 * photograph. All columns are measured at one size, so that a small drawing is enlarged before it is measured.
 */
import type { Image, SheetRow } from "../../image/index.ts";
import type { Photo } from "../../tasks/gathered/index.ts";
import { Random } from "../../tasks/index.ts";
import { type Baseline, classicalFilter, colourFit } from "../baselines/index.ts";
import { type PhotoChange, photoChanges } from "../gathered/photo-changes.ts";
import { fitted, openHeldOut, photographsOf, squareOf } from "../gathered/pictures.ts";
import { percent, plain, withInterval } from "../lines.ts";
import { type Estimate, mean } from "../metrics/bootstrap.ts";
import { boundedPsnr } from "../metrics/pictures.ts";
import type { Table } from "../report.ts";
import { numbered } from "../samples.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";
import { estimate, shareBetter } from "../summary.ts";

/** `drawn` as large as the model draws, `fullSize` as large as the query. */
type Way = "drawn" | "fullSize";
const ways: readonly Way[] = ["drawn", "fullSize"];

type Column = Way | Baseline;
const columns: readonly Column[] = [...ways, "unchanged", "colourFit", "classical", "roundTrip"];

const DEFAULT_SIZE = 256;
/** Most pixels along a side of the pictures that the report shows. */
const SHOWN_SIZE = 128;

export const photos: Suite = {
  name: "photos",
  description:
    "held-out photographs: fifteen changes and none, by one example of another photograph (--pictures)",
  limit: 24,
  needs: ["pictures"],
  takes: ["size"],
  run: measure,
};

/** PSNR in dB by column, one value per photograph; `classical` is empty where nothing is restored. */
type Scores = Readonly<Record<Column, number[]>>;

interface Measured {
  readonly change: PhotoChange;
  readonly psnr: Scores;
}

async function measure(context: SuiteContext): Promise<SuiteOutcome> {
  const { drawings, limit, seed, options } = context;
  const size = options.size ?? DEFAULT_SIZE;
  const gathered = openHeldOut(options.pictures!);
  const usable = photographsOf(gathered, size, "eval photos");
  const queries = Random.of(seed, "photographs").shuffle(usable).slice(0, limit);
  drawings.expect(photoChanges.length * queries.length * ways.length);
  const measured: Measured[] = [];
  const rows: SheetRow[] = [];
  for (const change of photoChanges) {
    const psnr = Object.fromEntries(columns.map((column) => [column, [] as number[]])) as unknown as Scores;
    for (const [i, query] of queries.entries()) {
      const pictures = await answer(change, query, usable, { size, index: i }, context);
      for (const column of columns) {
        const image = pictures.answers.get(column);
        if (image) psnr[column].push(boundedPsnr(image, pictures.truth));
      }
      if (i === 0) rows.push(rowOf(change.name, pictures));
    }
    measured.push({ change, psnr });
  }
  const groups = {
    tone: measured.filter(({ change }) => change.kind === "tone"),
    place: measured.filter(({ change }) => change.kind === "place"),
    all: measured.filter(({ change }) => change.kind !== "nothing"),
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
      photographs: usable.length,
      size,
      n: queries.length,
    },
    report: [
      { title: "Photographs", text: explanation, table: tableOf(pooled, changes) },
      {
        title: "Pictures",
        text: "The first photograph under each change.",
        sheet: { columnTitles: ["example", "", "query", "truth", ...columns], rows },
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
  "PSNR in dB, higher is better; intervals over photographs. drawn: by one example pair of another photograph, without " +
  "words, enlarged to the size that is measured; fullSize: the same at the size of the query; unchanged: the query itself; colourFit: least squares from the example's " +
  "colours; classical: one filter, fixed for the change; roundTrip: the truth through the image tokenizer. tone: changes " +
  "that map colours; place: those that depend on places and neighbours; all: both. Changes are counted where the mean of " +
  "a way is above the baseline's.";

interface Pictures {
  readonly example: { readonly input: Image; readonly output: Image };
  readonly query: Image;
  readonly truth: Image;
  readonly answers: ReadonlyMap<Column, Image>;
}

/** All columns of one photograph under one change, `size` × `size` pixels. */
async function answer(
  change: PhotoChange,
  query: Photo,
  photographs: readonly Photo[],
  { size, index }: { readonly size: number; readonly index: number },
  { model, drawings, seed }: SuiteContext,
): Promise<Pictures> {
  const stream = (what: string) => Random.of(seed, "photographs", change.name, index, what);
  const changer = change.draw(stream("parameters"));
  const other = stream("example").pick(photographs.filter((photograph) => photograph !== query));
  const example = changer(squareOf(other, size), stream("example's places"));
  const { input, output } = changer(squareOf(query, size), stream("query's places"));
  const small = { input: fitted(example.input, model.size), output: fitted(example.output, model.size) };
  const answers = new Map<Column, Image>();
  for (const way of ways) {
    const { image } = await drawings.draw({
      id: `${size}/${change.name}/${way}-${numbered(index)}`,
      seed: stream("drawing").integer(0, 2 ** 31 - 1),
      examples: [small],
      input: way === "fullSize" ? input : fitted(input, model.size),
      fullSize: way === "fullSize",
    });
    answers.set(way, fitted(image, size));
  }
  answers.set("unchanged", input);
  answers.set("colourFit", colourFit([example], input));
  const filtered = await (change.restores && classicalFilter(change.restores)?.apply(input));
  if (filtered) answers.set("classical", filtered);
  const [roundTrip] = await model.reconstruct([fitted(output, model.size)]);
  answers.set("roundTrip", fitted(roundTrip!, size));
  return { example, query: input, truth: output, answers };
}

function rowOf(label: string, { example, query, truth, answers }: Pictures): SheetRow {
  const drawn = columns.map((column) => answers.get(column) ?? query);
  const cells = [example.input, example.output, query, truth, ...drawn];
  const shown = (image: Image) => fitted(image, Math.min(image.width, SHOWN_SIZE));
  return { label, cells: cells.map((image) => ({ image: shown(image) })) };
}

type Estimates = Partial<Record<Column, Estimate>>;
type Shares = Readonly<Record<Way, Estimate | undefined>>;

const byWay = <T>(value: (way: Way) => T) =>
  Object.fromEntries(ways.map((way) => [way, value(way)])) as Record<Way, T>;

/** 1 where a picture comes nearer to the truth than the baseline, one value per photograph. */
const nearer = (psnr: Scores, way: Way, baseline: Baseline): number[] =>
  psnr[way].map((value, i) => (value > psnr[baseline][i]! ? 1 : 0));

function figuresOf(psnr: Scores, seed: number) {
  const negative = (column: Column) => psnr[column].map((value) => -value);
  const better = (baseline: Baseline): Shares =>
    byWay((way) => shareBetter(negative(way), negative(baseline), seed));
  return {
    psnr: Object.fromEntries(columns.map((column) => [column, estimate(psnr[column], seed)])) as Estimates,
    betterThanUnchanged: better("unchanged"),
    betterThanColourFit: better("colourFit"),
  };
}

/** Several changes of the same photographs: a photograph's values are averaged first, for they belong together. */
function groupFigures(group: readonly Measured[], seed: number) {
  const perPhotograph = (valuesOf: (psnr: Scores) => number[]) => {
    const rows = group.map(({ psnr }) => valuesOf(psnr));
    return rows[0]!.map((_, i) => mean(rows.map((row) => row[i]!)));
  };
  const pooledColumns = columns.filter((column) => column !== "classical");
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
      pooledColumns.map((column) => [
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
