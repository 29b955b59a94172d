/**
 * @file One process of `bench scale`. Process 0 hears the commands; the others read them from a file, for a process that
 * waits in MPI would use the core that another program is timed on.
 */
import { appendFile, readFile } from "node:fs/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { z } from "zod";
import { alone, type Collective, openMpi, prepareTask, transformerRecipe } from "../src/training/index.ts";
import { serve } from "./worker.ts";

export const workerSettings = z.strictObject({
  mpi: z.boolean(),
  threads: z.int(),
  contexts: z.int(),
  /** File of commands. */
  commands: z.string(),
});
export type WorkerSettings = z.output<typeof workerSettings>;

const { mpi, threads, contexts, commands } = workerSettings.parse(JSON.parse(process.argv[2]!));
let bytes = 0;
const counted = (collective: Collective): Collective => ({
  ...collective,
  allReduce: (values) => {
    if (collective.size > 1) bytes += values.byteLength;
    return collective.allReduce(values);
  },
});
const collective = counted(mpi ? await openMpi() : alone);

/** Nano's weights on batches of a quarter of its picture: the exchange weighs more than it does in its own training. */
const recipe = transformerRecipe({
  ...{ steps: 1_000_000, contexts, todos: 3, workers: 0, threads, heldOutBatches: 1 },
  tokenizers: "nano",
  model: { resolution: 32, sharedCodes: true },
  mix: { families: ["invert", "tint"], exampleCounts: [1], describe: 0, textToImage: 0 },
});
const task = await prepareTask(recipe, collective);
const stream = task.batches(0);
const batch = await stream.next();
const step = () => task.step(batch, 1e-4);
const { units } = await step();
const gradients = new Float32Array(task.state.size);

const works: Record<string, () => Promise<unknown>> = {
  step,
  exchange: () => collective.allReduce(gradients),
};
const facts = { parameters: task.state.size, tokens: units, bytes };

if (collective.rank === 0) {
  const announced = Object.entries(works).map(([name, work]) => [
    name,
    async () => {
      if (collective.size > 1) await appendFile(commands, `${name}\n`);
      return work();
    },
  ]);
  await serve(facts, Object.fromEntries(announced));
  if (collective.size > 1) await appendFile(commands, "end\n");
} else {
  for (let done = 0; ; done++) {
    const name = await command(done);
    if (name === "end") break;
    await works[name]!();
  }
}
await stream.close();
await task.close();
await collective.close();

/** The command of that number, once it is there. */
async function command(index: number): Promise<string> {
  while (true) {
    const lines = (await readFile(commands, "utf8")).split("\n").slice(0, -1);
    if (lines.length > index) return lines[index]!;
    await sleep(2);
  }
}
