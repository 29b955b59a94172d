/**
 * @file `bench batching`: compares several requests in one batch (`Batcher`) with the same requests one after another. Wall
 * time is what users wait; CPU time varies less when other programs run.
 */
import type { Command } from "commander";
import { XPromptError } from "../src/errors.ts";
import { Random } from "../src/random.ts";
import { Batcher } from "../src/xprompt/batcher.ts";
import { type Generated, type GenerateOptions, XPrompt } from "../src/xprompt/model.ts";
import { benchmark, type CommonOptions, codeByCode, integer, type Report, setting } from "./options.ts";
import { alternate, median, milliseconds, type Ratio, type Run, ratio, round } from "./timing.ts";

interface BatchingOptions extends CommonOptions {
  readonly model: string;
  readonly requests: number;
}

export function batchingBenchmark(print: (report: Report, options: CommonOptions) => void): Command {
  return benchmark("batching", "Requests in one batch, compared with one after another.", 5)
    .option("--model <name>", "a shipped model, or a model folder. Defaults to nano", "nano")
    .option("--requests <n>", "requests at once. Defaults to 8", integer, 8)
    .action(async (options: BatchingOptions) => print(await measure(options), options));
}

async function measure(options: BatchingOptions): Promise<Report> {
  const { threads, repeats, requests: count } = options;
  const model = await XPrompt.load(options.model, { threads });
  const picture = (name: string | number) => {
    const random = Random.of(0, "picture", name);
    const data = Float32Array.from({ length: model.size ** 2 * 3 }, () => random.uniform());
    return { width: model.size, height: model.size, data };
  };
  const example = { input: picture("before"), output: picture("after") };
  const prompt = await model.compress([example]);
  const inputs = Array.from({ length: count }, (_, i) => picture(i));
  const kinds: Record<string, Partial<GenerateOptions>> = {
    "a compiled prompt": { ...codeByCode, prompt },
    "the same prompt, no guidance": { ...codeByCode, prompt, guidance: 1 },
    "the same example each": { ...codeByCode, examples: [example] },
    "a compiled prompt, as the model recommends": { prompt },
  };
  const batcher = new Batcher(model, { maxRows: 4 * count });
  const cpu: Record<string, number[]> = {};
  const measured = (name: string, work: () => Promise<unknown>): Run => {
    cpu[name] = [];
    return async () => {
      const [start, before] = [performance.now(), process.cpuUsage()];
      await work();
      const { user, system } = process.cpuUsage(before);
      cpu[name]!.push((user + system) / 1e3);
      return performance.now() - start;
    };
  };
  const programs: Record<string, Run> = {};
  for (const [kind, settings] of Object.entries(kinds)) {
    const requests = inputs.map((input, seed) => ({ ...settings, input, seed }));
    await requireEqual(model, batcher, requests);
    programs[`${kind}: one by one`] = measured(`${kind}: one by one`, async () => {
      for (const request of requests) await model.generate(request);
    });
    programs[`${kind}: at once`] = measured(`${kind}: at once`, () =>
      Promise.all(requests.map((request) => batcher.generate(request))),
    );
  }
  const one = { ...codeByCode, prompt, input: inputs[0]!, seed: 0 };
  programs["one alone"] = measured("one alone", () => model.generate(one));
  programs["one in a batcher"] = measured("one in a batcher", () => batcher.generate(one));
  process.stderr.write("measuring ");
  const times = await alternate(programs, { repeats, warmUp: 1 });
  await model.release();

  const counted = (name: string) => cpu[name]!.slice(-repeats);
  const compared = Object.keys(kinds).map((kind) => {
    const [slow, fast] = [`${kind}: one by one`, `${kind}: at once`];
    const side = (name: string) => ({
      picturesPerSecond: round((1e3 * count) / median(times[name]!), 2),
      cpuMsPerPicture: round(median(counted(name)) / count, 1),
    });
    return {
      kind,
      oneByOne: side(slow),
      atOnce: side(fast),
      /** Pictures per second at once ÷ one by one. */
      ratio: ratio(times[slow]!, times[fast]!),
      cpuRatio: ratio(counted(slow), counted(fast)),
    };
  });
  const alone = {
    ms: milliseconds(times["one alone"]!),
    batchedMs: milliseconds(times["one in a batcher"]!),
    /** Milliseconds in a batcher ÷ alone. */
    ratio: ratio(times["one in a batcher"]!, times["one alone"]!),
    cpuRatio: ratio(counted("one in a batcher"), counted("one alone")),
  };
  const text = ({ median, min, max }: Ratio) => `${median} (${min} … ${max})`;
  return {
    result: {
      benchmark: "batching",
      model: options.model,
      requests: count,
      compared,
      alone,
      ...setting(options),
    },
    rows: [
      [`${count} requests with`, "one by one", "at once", "ratio", "ratio of CPU time"],
      ...compared.map((each) => [
        each.kind,
        `${each.oneByOne.picturesPerSecond}/s`,
        `${each.atOnce.picturesPerSecond}/s`,
        text(each.ratio),
        text(each.cpuRatio),
      ]),
      ["one request in a batcher ÷ alone", "", "", text(alone.ratio), text(alone.cpuRatio)],
    ],
  };
}

/** @throws XPromptError when a request gives different codes in a batch and alone */
async function requireEqual(
  model: XPrompt,
  batcher: Batcher,
  requests: readonly GenerateOptions[],
): Promise<void> {
  const batched = await Promise.all(requests.map((request) => batcher.generate(request)));
  for (const [i, request] of requests.entries()) {
    const codesOf = ({ codes }: Pick<Generated, "codes">) => codes.join(" ");
    if (codesOf(await model.generate(request)) !== codesOf(batched[i]!))
      throw new XPromptError(
        `comparing: expected the same codes in a batch as alone, got others in request ${i}`,
      );
  }
}
