/** @file Training runs in the operator's folder: descriptions, metrics, sample sheets. */
import { type Dirent, existsSync } from "node:fs";
import { type FileHandle, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { openFile, readJson } from "../../runtime/files.ts";
import { type MetricsLine, readMetrics } from "../../training/run/metrics.ts";
import { listOf, metricsSchema, runDetailsSchema, runSchema } from "../answers.ts";
import { Failure, ofServer } from "../failure.ts";
import { fileResponse } from "../files.ts";
import { operation } from "../operation.ts";
import type { Services } from "../services.ts";

/** The depth to which run folders are searched. */
const DEPTH = 3;
/** Bytes at the end of a metrics file in which its last line is searched. */
const TAIL = 64 * 1024;
const MOST_LINES = 20_000;

const tag = "Training runs";
const params = z.object({ id: z.string() });
const missing = { 404: { description: "There is no such run." } };

/**
 * Run folders by id: the path relative to the folder of runs, with dots instead of slashes. A dot of a name is doubled;
 * no name begins with one, so that no two paths have the same id.
 */
async function runFolders({ runs }: Services): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  const visit = async (folder: string, names: readonly string[]): Promise<void> => {
    if (names.length > 0 && existsSync(join(folder, "recipe.json")))
      found.set(names.map((name) => name.replaceAll(".", "..")).join("."), folder);
    if (names.length === DEPTH) return;
    const entries = await readdir(folder, { withFileTypes: true }).catch((): Dirent[] => []);
    for (const entry of entries) {
      const path = join(folder, entry.name);
      if (!entry.name.startsWith(".") && (entry.isDirectory() || (await isLinkedFolder(entry, path))))
        await visit(path, [...names, entry.name]);
    }
  };
  if (runs !== undefined) await visit(runs, []);
  return found;
}

const isLinkedFolder = async (entry: Dirent, path: string): Promise<boolean> =>
  entry.isSymbolicLink() && ((await stat(path).catch(() => undefined))?.isDirectory() ?? false);

async function folderOf(id: string, services: Services): Promise<string> {
  const folder = (await runFolders(services)).get(id);
  if (folder !== undefined) return folder;
  throw new Failure(
    404,
    `looking up a run: expected one of /v1/runs, got ${JSON.stringify(id.slice(0, 60))}`,
    {
      code: "run_not_found",
    },
  );
}

const recipeOf = (folder: string): Promise<Record<string, unknown>> =>
  readJson(join(folder, "recipe.json"), z.record(z.string(), z.unknown()), "recipe").catch(() => ({}));

const metricsPath = (folder: string): string => join(folder, "metrics.jsonl");

/** A line with null instead of numbers that are not finite: JSON has no NaN. */
const finite = (line: Readonly<Record<string, number>>): Record<string, number | null> =>
  Object.fromEntries(
    Object.entries(line).map(([name, value]) => [name, Number.isFinite(value) ? value : null]),
  );

interface ReadLines {
  /** Size and time of the file when it was read. */
  readonly state: string;
  readonly lines: readonly MetricsLine[];
}

/** Metrics read last, by path: clients ask for them page by page, and again every few seconds. */
const lastRead = new Map<string, ReadLines>();
const MOST_READ = 8;

async function linesOf(folder: string): Promise<readonly MetricsLine[]> {
  const path = metricsPath(folder);
  const found = await stat(path).catch(() => undefined);
  const state = found ? `${found.size} ${found.mtimeMs}` : "missing";
  const known = lastRead.get(path);
  lastRead.delete(path); // The newest comes last.
  const read = known?.state === state ? known : { state, lines: await ofServer(readMetrics(path)) };
  lastRead.set(path, read);
  if (lastRead.size > MOST_READ) lastRead.delete(lastRead.keys().next().value!);
  return read.lines;
}

/** The last complete line of a metrics file. */
async function latestOf(folder: string): Promise<Record<string, number | null> | null> {
  const path = metricsPath(folder);
  if (!existsSync(path)) return null;
  let file: FileHandle | undefined;
  try {
    file = await openFile(path, `reading metrics ${path}`);
    const { size } = await file.stat();
    const bytes = Buffer.alloc(Math.min(size, TAIL));
    await file.read(bytes, 0, bytes.length, size - bytes.length);
    const line = bytes.toString("utf8").split("\n").at(-2);
    return z.record(z.string(), z.number().nullable()).parse(JSON.parse(line ?? "null"));
  } catch {
    return null;
  } finally {
    await file?.close();
  }
}

async function summaryOf(id: string, folder: string) {
  const recipe = await recipeOf(folder);
  const latest = await latestOf(folder);
  // A folder that is removed meanwhile has no time.
  const changed = await stat(metricsPath(folder))
    .catch(() => stat(folder))
    .catch(() => undefined);
  const { kind, steps } = recipe;
  return {
    recipe,
    latest,
    summary: {
      id,
      kind: typeof kind === "string" ? kind : null,
      steps: typeof steps === "number" ? steps : null,
      step: latest?.step ?? null,
      updated_at: Math.floor((changed?.mtimeMs ?? 0) / 1000),
    },
  };
}

async function sheetsOf(
  folder: string,
): Promise<Map<string, { readonly step: number; readonly path: string }>> {
  const names = await readdir(join(folder, "sheets")).catch((): string[] => []);
  return new Map(
    names.sort().flatMap((name) => {
      const [, step] = /^[\w.-]*?step-(\d+)[\w.-]*\.png$/.exec(name) ?? [];
      return step === undefined
        ? []
        : [[name, { step: Number(step), path: join(folder, "sheets", name) }] as const];
    }),
  );
}

export const list = operation({
  method: "get",
  path: "/v1/runs",
  summary: "The training runs",
  tag,
  answers: { 200: { description: "Most recently changed first.", schema: listOf(runSchema) } },
  async handle(_asked, services) {
    const folders = [...(await runFolders(services))];
    const runs = await Promise.all(
      folders.map(async ([id, folder]) => (await summaryOf(id, folder)).summary),
    );
    return Response.json({ object: "list", data: runs.sort((a, b) => b.updated_at - a.updated_at) });
  },
});

export const get = operation({
  method: "get",
  path: "/v1/runs/{id}",
  summary: "A training run",
  tag,
  params,
  answers: { 200: { description: "The run.", schema: runDetailsSchema }, ...missing },
  async handle({ params: { id } }, services) {
    const folder = await folderOf(id, services);
    const { recipe, latest, summary } = await summaryOf(id, folder);
    const lines = await linesOf(folder);
    const names = new Set(lines.flatMap((line) => Object.keys(line)));
    const sheets = [...(await sheetsOf(folder))].map(([name, { step }]) => ({
      step,
      url: `/v1/runs/${encodeURIComponent(id)}/sheets/${encodeURIComponent(name)}`,
    }));
    const measured = [...names].filter((name) => name !== "step" && name !== "time");
    return Response.json({ ...summary, recipe, latest, names: measured, sheets });
  },
});

const whole = z
  .string()
  .regex(/^\d{1,12}$/, "expected a whole number")
  .transform(Number)
  .meta({ type: "integer", minimum: 0, pattern: undefined });

export const metrics = operation({
  method: "get",
  path: "/v1/runs/{id}/metrics",
  summary: "The metrics of a training run",
  tag,
  params,
  query: z.object({
    since: whole.optional().meta({ description: "Only lines of later steps." }),
    limit: whole.optional().meta({ description: `The most lines to return. Defaults to ${MOST_LINES}.` }),
  }),
  answers: {
    200: { description: "One line per step, in order.", schema: listOf(metricsSchema) },
    ...missing,
  },
  async handle({ params: { id }, query: { since = -1, limit = MOST_LINES } }, services) {
    const lines = await linesOf(await folderOf(id, services));
    const wanted = lines.filter(({ step }) => step > since).slice(0, limit);
    return Response.json({ object: "list", data: wanted.map(finite) });
  },
});

export const sheet = operation({
  method: "get",
  path: "/v1/runs/{id}/sheets/{sheet}",
  summary: "A sample sheet of a training run",
  tag,
  params: z.object({ id: z.string(), sheet: z.string() }),
  answers: {
    200: { description: "The sheet.", media: ["image/png"] },
    404: { description: "There is no such sheet." },
  },
  async handle({ params: { id, sheet: name } }, services) {
    const found = (await sheetsOf(await folderOf(id, services))).get(name);
    if (!found) throw new Failure(404, "looking up a sheet: expected one of the run's, got another");
    return fileResponse(found.path);
  },
});
