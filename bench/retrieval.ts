/**
 * @file `bench retrieval`: adds examples with given vectors to a library, indexes and searches them. Compares with exact
 * search in the same library, and with faiss (IVFFlat and Flat). Also compares generation with and without an example
 * from a library.
 */
import { mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import type { Command } from "commander";
import { z } from "zod";
import { formatBytes, formatNumber } from "../src/format.ts";
import { encodePng } from "../src/image/encode-png.ts";
import { createImage } from "../src/image/index.ts";
import {
  type Embedder,
  ExampleLibrary,
  modelEmbedder,
  type NewExample,
  Retriever,
} from "../src/retrieval/index.ts";
import { XPrompt } from "../src/xprompt/model.ts";
import {
  benchmark,
  type CommonOptions,
  integer,
  type PeerOptions,
  type Report,
  setting,
  withPeer,
} from "./options.ts";
import { interpreterWith } from "./peers.ts";
import { alternate, median, milliseconds, type Run, ratio, round, timed } from "./timing.ts";
import { PIECE, Vectors } from "./vectors.ts";
import { Worker } from "./worker.ts";

interface RetrievalOptions extends CommonOptions, PeerOptions {
  readonly count: number;
  readonly width: number;
}

/** Results of a search. */
const K = 10;
const byText = { text: 1, image: 0, words: 0 };
const peerFacts = z.looseObject({ seconds: z.number(), recall: z.number(), versions: z.looseObject({}) });

export function retrievalBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return withPeer(benchmark("retrieval", "The example library at scale, compared with faiss.", 100))
    .option("--count <n>", "examples. Defaults to 1,000,000", integer, 1_000_000)
    .option("--width <n>", "width of the vectors. Defaults to 512, as in CLIP ViT-B/32", integer, 512)
    .action(async (options: RetrievalOptions) => print(await measure(options), options));
}

async function measure(options: RetrievalOptions): Promise<Report> {
  const folder = await mkdtemp(join(tmpdir(), "xprompt-bench-"));
  try {
    const vectors = new Vectors(options.count, options.width, options.repeats);
    const embedder = given(options.width);
    const library = await ExampleLibrary.open(join(folder, "library"), { create: true });
    const adding = await fill(library, embedder, vectors);
    const peer = options.peer ? await startFaiss(folder, vectors, options) : null;

    const queries = vectors.queries();
    const found: Record<"search" | "exact", string[][]> = { search: [], exact: [] };
    /** Runs one query after the other. The warm-up uses the last queries. */
    const program = (name: keyof typeof found, exact: boolean) => {
      let next = queries.length - WARM_UP;
      return timed(async () => {
        const at = next++ % queries.length;
        const query = { vectors: { text: queries[at]! }, exact };
        found[name][at] = (await library.search(query, embedder, byText, K)).map(({ id }) => id);
      });
    };
    process.stderr.write("searching ");
    const programs: Record<string, Run> = {
      search: program("search", false),
      exact: program("exact", true),
      ...(peer && { faiss: peer.run("ivf"), faissExact: peer.run("flat") }),
    };
    const times = await alternate(programs, { repeats: options.repeats, warmUp: WARM_UP });
    const same = found.search.map((ids, i) => ids.filter((id) => found.exact[i]!.includes(id)).length / K);
    const recall = round(same.reduce((sum, share) => sum + share, 0) / same.length, 4);
    const peakBytes = process.resourceUsage().maxRSS * 1024;
    const faissBytes = await peer?.end();
    const drawing = await withAndWithout(join(folder, "drawing"), options);
    const result = {
      benchmark: "retrieval",
      count: options.count,
      width: options.width,
      adding,
      search: { ms: spread(times.search!), recallAt10: recall },
      exact: { ms: spread(times.exact!) },
      faiss: peer && {
        ...peer.facts,
        ivf: { ms: spread(times.faiss!), recallAt10: peer.facts.recall },
        flat: { ms: spread(times.faissExact!) },
        peakBytes: faissBytes,
        /** faiss ÷ xprompt */
        ratio: { search: ratio(times.faiss!, times.search!), exact: ratio(times.faissExact!, times.exact!) },
      },
      peakBytes,
      drawing,
      ...setting(options),
    };
    return { result, rows: rowsOf(result) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const WARM_UP = 3;

/** An embedder that is never called, because the vectors are given. */
function given(width: number): Embedder {
  const never = () => Promise.reject(new Error("the vectors are given"));
  return { space: `bench-${width}`, textWidth: width, imageWidth: 1, text: never, image: never };
}

async function fill(library: ExampleLibrary, embedder: Embedder, vectors: Vectors) {
  const input = await encodePng(createImage(8, 8));
  async function* examples(): AsyncGenerator<NewExample> {
    for (let from = 0; from < vectors.count; from += PIECE) {
      const piece = vectors.piece(from);
      for (const [i, text] of piece.entries())
        yield { input, output: input, instruction: `change number ${from + i}`, vectors: { text } };
    }
  }
  const start = performance.now();
  let added = start;
  await library.add(examples(), embedder, {
    onProgress: ({ added: count }) => {
      added = performance.now();
      process.stderr.write(`\radded ${count} `);
    },
  });
  const indexed = performance.now();
  process.stderr.write("\n");
  const seconds = (added - start) / 1e3;
  return {
    seconds: round(seconds, 2),
    perSecond: round(vectors.count / seconds, 0),
    indexSeconds: round((indexed - added) / 1e3, 2),
  };
}

async function startFaiss(folder: string, vectors: Vectors, { python, threads }: RetrievalOptions) {
  const found = await interpreterWith(["faiss", "numpy"], python);
  if (!found) {
    process.stderr.write("no Python with faiss and numpy found: measuring only our side\n");
    return null;
  }
  const file = await open(join(folder, "vectors.f32"), "w");
  for (let from = 0; from < vectors.count; from += PIECE)
    for (const vector of vectors.piece(from)) await file.write(new Uint8Array(vector.buffer));
  await file.close();
  const queries = await open(join(folder, "queries.f32"), "w");
  for (const query of vectors.queries()) await queries.write(new Uint8Array(query.buffer));
  await queries.close();
  process.stderr.write("faiss: indexing\n");
  const script = fileURLToPath(new URL("peers/retrieval.py", import.meta.url));
  return Worker.start(found, [script, folder, String(vectors.width), String(threads)], peerFacts);
}

/** Generates a picture with an example that is retrieved each time, and without an example. */
async function withAndWithout(place: string, { threads, repeats }: RetrievalOptions) {
  const model = await XPrompt.load("nano", { threads });
  const picture = (red: number) => createImage(model.size, model.size, [red, 0.5, 0.5]);
  const stored = await ExampleLibrary.open(place, { create: true });
  const examples = Array.from({ length: 32 }, (_, i) => ({
    input: picture(i / 32),
    output: picture(1 - i / 32),
    instruction: `make it number ${i}`,
  }));
  await stored.add(examples, modelEmbedder(model));
  const library = new Retriever(stored);
  const ask = { input: picture(0.3), instruction: "make it number 3", seed: 1 };
  await model.generate({ ...ask, library });
  process.stderr.write("generating ");
  const times = await alternate(
    { with: timed(() => model.generate({ ...ask, library })), without: timed(() => model.generate(ask)) },
    { repeats: Math.min(repeats, 20) },
  );
  await model.release();
  return {
    with: milliseconds(times.with),
    without: milliseconds(times.without),
    ratio: ratio(times.with, times.without),
  };
}

function spread(times: readonly number[]) {
  const sorted = [...times].sort((a, b) => a - b);
  return { p50: round(median(times), 2), p95: round(sorted[Math.floor(0.95 * (sorted.length - 1))]!, 2) };
}

interface Result {
  readonly count: number;
  readonly adding: Awaited<ReturnType<typeof fill>>;
  readonly search: { readonly ms: ReturnType<typeof spread>; readonly recallAt10: number };
  readonly exact: { readonly ms: ReturnType<typeof spread> };
  readonly faiss: {
    readonly seconds: number;
    readonly ivf: { readonly ms: ReturnType<typeof spread>; readonly recallAt10: number };
    readonly flat: { readonly ms: ReturnType<typeof spread> };
    readonly peakBytes?: number;
  } | null;
  readonly peakBytes: number;
  readonly drawing: Awaited<ReturnType<typeof withAndWithout>>;
}

function rowsOf({ count, adding, search, exact, faiss, peakBytes, drawing }: Result): string[][] {
  const times = (ms: ReturnType<typeof spread>) => [String(ms.p50), String(ms.p95)];
  return [
    [`${count} examples`, "p50 ms", "p95 ms", "recall@10", "add and index, s", "peak memory"],
    [
      "library, indexed",
      ...times(search.ms),
      String(search.recallAt10),
      `${adding.seconds} + ${adding.indexSeconds}`,
      formatBytes(peakBytes),
    ],
    ["library, exact", ...times(exact.ms), "1", "", ""],
    ...(faiss
      ? [
          [
            "faiss IVFFlat",
            ...times(faiss.ivf.ms),
            String(faiss.ivf.recallAt10),
            String(faiss.seconds),
            formatBytes(faiss.peakBytes ?? 0),
          ],
          ["faiss Flat", ...times(faiss.flat.ms), "1", "", ""],
        ]
      : []),
    ["added", `${formatNumber(adding.perSecond)}/s`, "", "", "", ""],
    [
      "generation with ÷ without",
      `${drawing.ratio.median} (${drawing.ratio.min} … ${drawing.ratio.max})`,
      "",
      "",
      "",
      "",
    ],
  ];
}
