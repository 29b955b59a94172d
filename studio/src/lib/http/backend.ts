/** @file The model of a running `xprompt serve`. */
import type { z } from "zod/mini";
import {
  type Backend,
  BackendError,
  type Example,
  type GenerateEvent,
  type GenerateRequest,
  type MetricsLine,
  type Run,
  type RunSummary,
} from "../backend.ts";
import { pause } from "../pause.ts";
import { Client } from "./client.ts";
import { events, type ServerEvent } from "./events.ts";
import * as answers from "./schemas.ts";

/** Milliseconds between looks at a training run. */
const WATCH_EVERY = 3000;
/** Lines of metrics per request. */
const PAGE = 2000;
/** Bytes of all files of a request: in base64 they fit into 32 MiB, which is what `xprompt serve` takes by default. */
const LARGEST = 25_000_000;

/** @param base address of the server */
export function httpBackend(base: string): Backend {
  const client = new Client(base);
  const { address } = client;

  async function* metricsSince(
    id: string,
    since: number | undefined,
    signal: AbortSignal,
  ): AsyncGenerator<MetricsLine> {
    for (let from = since; ; ) {
      const after = from === undefined ? "" : `&since=${from}`;
      const path = `/v1/runs/${encodeURIComponent(id)}/metrics?limit=${PAGE}${after}`;
      const { data } = await client.get(path, answers.metricsSchema, signal);
      for (const line of data) yield withoutGaps(line);
      if (data.length < PAGE) return;
      from = data.at(-1)?.step ?? from;
    }
  }

  /** The lines and those that came since. Begun again, or resumed from an earlier step, a run has others now. */
  async function metricsAfter(
    id: string,
    known: readonly MetricsLine[],
    signal: AbortSignal,
  ): Promise<MetricsLine[]> {
    const last = known.at(-1);
    const from = last && last.step > 0 ? last.step - 1 : undefined;
    const lines: MetricsLine[] = [];
    for await (const line of metricsSince(id, from, signal)) lines.push(line);
    if (from === undefined) return lines;
    const [first, ...since] = lines;
    const isSame = first?.step === last!.step && first.time === last!.time;
    return isSame ? [...known, ...since] : metricsAfter(id, [], signal);
  }

  return {
    largest: LARGEST,
    useKey: (key) => client.useKey(key),
    onKeyNeeded(ask) {
      client.onKeyNeeded = ask;
    },

    async about(signal) {
      const { data } = await client.get("/v1/models", answers.modelsSchema, signal);
      client.keepKey();
      const [model] = data;
      return { model: model?.id ?? "", library: (model?.libraries.length ?? 0) > 0, training: true };
    },

    async *generate(request, signal) {
      const body = await generateBody(request);
      const path = request.input ? "/v1/images/edits" : "/v1/images/generations";
      const response = await client.postRaw(path, body, signal);
      for await (const event of events(response)) yield eventOf(event);
    },

    async describe(example, signal) {
      checkTotal([example]);
      const body = { examples: await examplesBody([example]) };
      return (await client.post("/v1/describe", body, answers.describedSchema, signal)).text;
    },

    async compile(examples, signal) {
      checkTotal(examples);
      const body = { examples: await examplesBody(examples), store: false };
      return (await client.postRaw("/v1/xprompts", body, signal)).blob();
    },

    async inspect(prompt, signal) {
      const path = "/v1/xprompts/upload?store=false";
      return (await client.post(path, prompt, answers.promptSchema, signal)).examples;
    },

    picture: (path, signal) => client.getBlob(path, signal),

    async gallery(signal) {
      const { data } = await client.get("/v1/gallery", answers.gallerySchema, signal);
      return data.map(({ id, group, before, after, queries }) => ({
        id,
        seen: group === "seen",
        before: address(before),
        after: address(after),
        queries: queries.map(({ input }) => address(input)),
      }));
    },

    async search(words, signal) {
      const { data: models } = await client.get("/v1/models", answers.modelsSchema, signal);
      const names = models.flatMap(({ libraries }) => libraries);
      const found = await Promise.all(
        names.map((name) => {
          const path = `/v1/libraries/${encodeURIComponent(name)}/examples?query=${encodeURIComponent(words)}`;
          return client.get(path, answers.searchSchema, signal);
        }),
      );
      const nearest = found.flatMap(({ data }) => data);
      nearest.sort((a, b) => (b.similarity ?? 0) - (a.similarity ?? 0));
      // Libraries may have the same pair.
      return [...new Map(nearest.map((entry) => [entry.id, entry])).values()];
    },

    async runs(signal) {
      return (await client.get("/v1/runs", answers.runsSchema, signal)).data.map(summary);
    },

    async *watch(id, signal) {
      let metrics: MetricsLine[] = [];
      for (let last = ""; ; await pause(WATCH_EVERY, signal)) {
        const run = await client.get(`/v1/runs/${encodeURIComponent(id)}`, answers.runSchema, signal);
        const state = `${run.step} ${run.updated_at} ${run.sheets.length}`;
        if (state === last) continue;
        last = state;
        metrics = await metricsAfter(id, metrics, signal);
        yield {
          ...{ ...summary(run), recipe: run.recipe, metrics },
          sheets: run.sheets.map(({ step, url }) => ({ step, picture: url })),
        } satisfies Run;
      }
    },
  };
}

async function generateBody(request: GenerateRequest): Promise<object> {
  const { examples, prompts, input, instruction, seed, samples, temperature, guidance, fullSize } = request;
  checkTotal(examples, prompts, input);
  return {
    prompt: instruction,
    ...(input && {
      ...{ images: [{ image_url: await dataUrl(input) }], full_size: fullSize },
      ...(fullSize && { example_colours: request.exampleColours }),
    }),
    ...(examples.length > 0 && { examples: await examplesBody(examples) }),
    ...(prompts.length > 0 && { xprompt: await Promise.all(prompts.map(dataUrl)) }),
    ...{ seed, n: samples, temperature, guidance },
    ...{ stream: true, every_row: true },
  };
}

const examplesBody = (examples: readonly Example[]): Promise<{ input: string; output: string }[]> =>
  Promise.all(
    examples.map(async ({ before, after }) => ({
      input: await dataUrl(before),
      output: await dataUrl(after),
    })),
  );

/** @throws BackendError for files that together do not fit into a request, where the largest of them is */
function checkTotal(examples: readonly Example[], prompts: readonly Blob[] = [], input?: Blob): void {
  const files = [...examples.flatMap(({ before, after }) => [before, after]), ...prompts];
  const shown = files.map(({ size }) => size);
  const given = input?.size ?? 0;
  const total = shown.reduce((sum, size) => sum + size, given);
  if (total > LARGEST)
    throw new BackendError(
      `All files together have ${Math.ceil(total / 1e6)} MB; the server takes ${LARGEST / 1e6} MB. Use smaller pictures, or JPEG files.`,
      given > Math.max(...shown) ? "input" : "examples",
    );
}

function eventOf(event: ServerEvent): GenerateEvent {
  if (event.type === "xprompt.queued") return { kind: "waiting", ahead: event.position };
  const picture = pictureOf(event.b64_json);
  const sample = event.image_index;
  if ("seed" in event) {
    const notes = {
      unread: event.unread_tokens ?? 0,
      isColourMap: event.change_from === "example colours",
      isMean: Boolean(event.settings?.expected && event.settings.onePass),
    };
    return { kind: "finished", sample, picture, seed: event.seed, notes };
  }
  return { kind: "partial", sample, picture, row: event.row, rows: event.rows };
}

/** A plain loop: a callback per byte would hold up the page with large pictures. */
function pictureOf(base64: string): Blob {
  const letters = atob(base64);
  const bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  return new Blob([bytes], { type: "image/png" });
}

const dataUrl = (blob: Blob): Promise<string> =>
  new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result as string);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });

const summary = ({
  id,
  kind,
  step,
  steps,
  updated_at,
}: z.infer<typeof answers.summarySchema>): RunSummary => ({
  ...{ id, kind: kind ?? "unknown", step: step ?? 0, steps: steps ?? 0 },
  updated: new Date(updated_at * 1000),
});

/** JSON has no NaN: a value that was not finite comes as null. */
function withoutGaps(line: Record<string, number | null>): MetricsLine {
  const known = Object.entries(line).filter((entry): entry is [string, number] => entry[1] !== null);
  return Object.fromEntries(known) as MetricsLine;
}
