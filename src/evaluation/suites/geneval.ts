/**
 * @file GenEval's own prompts (https://github.com/djghosh13/geneval, `prompts/evaluation_metadata.jsonl`). Writes the
 * pictures in the folder layout of GenEval's scripts, which judge them: its detectors are not part of this package.
 */
import { existsSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { XPromptError } from "../../errors.ts";
import { savePng } from "../../image/index.ts";
import { makeFolder, readFileChecked, writeFileAtomic } from "../../runtime/files.ts";
import { Random } from "../../tasks/index.ts";
import type { Suite, SuiteContext, SuiteOutcome } from "../suite.ts";

const lineSchema = z.looseObject({ tag: z.string(), prompt: z.string().min(1) });

interface Line {
  readonly text: string;
  readonly prompt: string;
  readonly tag: string;
}

/** Pictures per prompt, as in GenEval. */
const SAMPLES = 4;

export const geneval: Suite = {
  name: "geneval",
  description:
    "generates pictures of GenEval's own prompts (--data evaluation_metadata.jsonl) into --out, for its scripts to judge",
  limit: 553,
  needs: ["data", "out"],
  run: measure,
};

async function measure({ generations, limit, seed, options }: SuiteContext): Promise<SuiteOutcome> {
  const lines = (await readPrompts(options.data!)).slice(0, limit);
  const root = join(options.out!, "images");
  await checkNoOthers(root, lines.length);
  generations.expect(lines.length * SAMPLES);
  for (const [i, { text, prompt }] of lines.entries()) {
    const folder = join(root, String(i).padStart(5, "0"));
    await makeFolder(join(folder, "samples"));
    for (let k = 0; k < SAMPLES; k++) {
      const name = String(k).padStart(4, "0");
      const { image } = await generations.generate({
        id: `${String(i).padStart(5, "0")}/${name}`,
        seed: Random.of(seed, "geneval", i, k).integer(0, 2 ** 31 - 1),
        instruction: prompt,
      });
      await savePng(join(folder, "samples", `${name}.png`), image);
    }
    await writeFileAtomic(join(folder, "metadata.jsonl"), `${text}\n`);
  }
  const tags: Record<string, number> = {};
  for (const { tag } of lines) tags[tag] = (tags[tag] ?? 0) + 1;
  const text = `Pictures are in ${root}: judge them with GenEval's evaluation/evaluate_images.py.`;
  return {
    figures: { prompts: lines.length, samples: SAMPLES, tags, images: root },
    summary: [`${lines.length * SAMPLES} pictures of ${lines.length} prompts written to ${root}`],
    report: [{ title: "GenEval", text, table: { columns: ["kind", "prompts"], rows: Object.entries(tags) } }],
  };
}

/** @throws XPromptError when the folder holds more prompts, of an earlier evaluation: they would be judged together */
async function checkNoOthers(root: string, prompts: number): Promise<void> {
  const others = existsSync(root) ? (await readdir(root)).filter((name) => Number(name) >= prompts) : [];
  if (others.length > 0)
    throw new XPromptError(
      `eval geneval: expected at most ${prompts} prompts in ${root}, found pictures of ${others.length} more (remove the folder, or choose another --out)`,
    );
}

/** @throws XPromptError naming the first invalid line */
async function readPrompts(path: string): Promise<Line[]> {
  const lines = (await readFileChecked(path, "prompts")).toString("utf8").split("\n");
  const prompts = lines.flatMap((text, i): Line[] => {
    if (text.trim() === "") return [];
    try {
      const { tag, prompt } = lineSchema.parse(JSON.parse(text));
      return [{ text, tag, prompt }];
    } catch {
      throw new XPromptError(
        `reading prompts ${path}: expected a JSON object with tag and prompt in line ${i + 1}, got something else (use GenEval's evaluation_metadata.jsonl)`,
      );
    }
  });
  if (prompts.length > 0) return prompts;
  throw new XPromptError(
    `reading prompts ${path}: expected at least one, got none (use GenEval's evaluation_metadata.jsonl)`,
  );
}
