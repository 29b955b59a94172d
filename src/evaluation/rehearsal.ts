/**
 * @file Evaluations whose model works in other processes. A suite asks for one answer after another. So that many can be
 * computed at once, it is run twice at the same time: in the rehearsal every answer is blank and comes at once, which
 * tells what will be asked; the real run gets the answers of the workers.
 */
import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { workWith } from "../runtime/resources.ts";
import type { XPrompt } from "../xprompt/model.ts";
import { Generations, type SamplingSettings } from "./generations.ts";
import type { Suite, SuiteContext } from "./suite.ts";

/** Hands the questions of a suite to other processes. */
export interface Spread {
  /** For the rehearsal: notes what it is asked, and gives blank answers. */
  readonly rehearsing: XPrompt;
  /** For the real run: gives the answers of the other processes. */
  readonly model: XPrompt;
  /** The rehearsal is over: what is asked now was not foreseen. */
  rehearsed(): void;
  /** Nothing more is wanted. */
  stop(): Promise<void>;
}

interface Rehearsed extends Omit<SuiteContext, "model" | "generations"> {
  readonly settings: SamplingSettings;
  readonly kept: ConstructorParameters<typeof Generations>[2];
}

/** Runs a suite with blank answers. What it writes, other than pictures, goes to a folder that is deleted. */
export async function rehearse(
  suite: Suite,
  spread: Spread,
  { settings, kept, ...context }: Rehearsed,
): Promise<void> {
  await workWith(async (resources) => {
    const scratch = await mkdtemp(join(tmpdir(), "xprompt-rehearsal-"));
    resources.defer(() => rm(scratch, { recursive: true, force: true }));
    const { rehearsing: model } = spread;
    const elsewhere = (name: "out" | "beside") =>
      context.options[name] === undefined ? {} : { [name]: join(scratch, name) };
    const options = { ...context.options, ...elsewhere("out"), ...elsewhere("beside") };
    for (const name of ["out", "beside"]) await mkdir(join(scratch, name));
    const generations = new Generations(model, settings, { ...kept, isRehearsal: true, quiet: true });
    await suite.run({ ...context, options, model, generations, quiet: true });
  }).catch(() => {
    // Blank pictures may be more than a suite can bear. The real run asks for what is missing then.
  });
  spread.rehearsed();
}
