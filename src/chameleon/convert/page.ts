/** @file The page of a converted model: that of the original, with a note on top. */
import { readFile } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { writeFileAtomic } from "../../runtime/files.ts";
import type { Target } from "./plan.ts";

export const PAGE = "README.md";

/** Hugging Face's pages begin with settings between lines of three hyphens. */
const settings = /^\uFEFF?---\r?\n(?:[\s\S]*?\r?\n)??---[ \t]*(?:\r?\n|$)/;

/** Writes the page of the model in `input`, with a note of what was done to its weights. */
export async function writePage(input: string, output: string, target: Target): Promise<void> {
  const text = await readFile(join(input, PAGE), "utf8");
  const [head = ""] = settings.exec(text) ?? [];
  const note = `> Made from \`${basename(resolve(input))}\` by \`xprompt convert\`: ${wordsOf(target)}. The page below is that of the original; its sizes and figures are of that.`;
  const gap = head === "" || head.endsWith("\n") ? "" : "\n";
  await writeFileAtomic(join(output, PAGE), `${head}${gap}${note}\n\n${text.slice(head.length)}`);
}

function wordsOf(target: Target): string {
  if (target === "none") return "its weights are in one file";
  if (target === "float16") return "its weights are in float16";
  return `its matrices are in ${target.bits} bits, in blocks of ${target.blockSize}`;
}
