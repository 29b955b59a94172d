/** @file Starts the peers in Python, and finds an interpreter for them. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { z } from "zod";
import { XPromptError } from "../src/errors.ts";
import type { PeerOptions } from "./options.ts";
import { alternate, type Run } from "./timing.ts";
import { Worker } from "./worker.ts";

const versionsSchema = z.looseObject({ python: z.string(), torch: z.string() });

/** Facts that both peers report. */
export const peerFacts = z.looseObject({ parameters: z.int(), versions: versionsSchema });
export type PeerFacts = z.output<typeof peerFacts>;

/** Interpreters to try, in this order. */
const CANDIDATES = [".venv/bin/python", "python3"];

/**
 * Starts `bench/peers/‹script›.py`. With --no-peer it returns null; also without its packages, and says how to install them.
 * @param parameters the number that its model must have
 */
export async function startPeer(
  script: "train_step" | "context_step" | "generate",
  args: readonly string[],
  { peer: isWanted, python }: PeerOptions,
  parameters: number,
): Promise<Worker<PeerFacts> | null> {
  if (!isWanted) return null;
  const needed = script === "generate" ? ["torch", "transformers"] : ["torch"];
  const found = await interpreterWith(needed, python);
  if (!found) {
    process.stderr.write(
      `no Python with ${needed.join(" and ")} found (tried ${(python ? [python] : CANDIDATES).join(", ")}): measuring only our side. To install it:\n` +
        "  python3 -m venv .venv && .venv/bin/pip install -r bench/peers/requirements.txt\n",
    );
    return null;
  }
  const path = fileURLToPath(new URL(`peers/${script}.py`, import.meta.url));
  const peer = await Worker.start(found, [path, ...args, "--serve"], peerFacts);
  if (peer.facts.parameters !== parameters)
    throw new XPromptError(
      `comparing: expected models of one size, got ${parameters} and PyTorch's ${peer.facts.parameters} parameters`,
    );
  return peer;
}

/** Finds the first interpreter with these modules. */
export async function interpreterWith(
  modules: readonly string[],
  python: string | undefined,
): Promise<string | undefined> {
  for (const candidate of python ? [python] : CANDIDATES) {
    try {
      await promisify(execFile)(candidate, ["-c", `import ${modules.join(", ")}`]);
      return candidate;
    } catch (error) {
      const { stderr = "", code } = error as { stderr?: string; code?: number | string };
      if (python && code === "ENOENT")
        throw new XPromptError(`--python ${python}: expected a Python interpreter, found none there`);
      if (code !== "ENOENT" && !stderr.includes("ModuleNotFoundError"))
        throw new XPromptError(`running ${candidate}: ${stderr.trim().split("\n").at(-1)}`);
    }
  }
  return undefined;
}

/** The modes of PyTorch's training step, and how their names begin in the peers. */
const modes = {
  float32: "",
  bfloat16: "bf16-",
  "float32 compiled": "compiled-",
  "bfloat16 compiled": "compiled-bf16-",
};

/** The peer's training step in each mode, with the variant of AdamW that is faster on this machine. */
export async function stepsOf(peer: Worker<PeerFacts>, compiled: boolean): Promise<Record<string, Run>> {
  const found: Record<string, Run> = {};
  for (const [mode, prefix] of Object.entries(modes)) {
    if (mode.endsWith("compiled") && !compiled) continue;
    process.stderr.write(`choosing PyTorch's AdamW, ${mode} `);
    const [fused, foreach] = ["fused", "foreach"].map((form) => peer.run(prefix + form)) as [Run, Run];
    const times = await alternate({ fused, foreach }, { repeats: 2, warmUp: 1 });
    found[mode] = Math.min(...times.fused) <= Math.min(...times.foreach) ? fused : foreach;
  }
  return found;
}
