/** @file `xprompt inspect`: what a model, a visual prompt, a graph or a generated picture is, without running it. */
import { stat } from "node:fs/promises";
import { extname } from "node:path";
import { Command } from "commander";
import { XPromptError } from "../errors.ts";
import { summarizeOnnx } from "../graph/inspect.ts";
import { readPngText } from "../image/index.ts";
import { formatBytes } from "../progress.ts";
import { readFileChecked } from "../runtime/files.ts";
import { describeModel } from "../xprompt/describe-model.ts";
import { resolveModel } from "../xprompt/models.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import { printJson } from "./output.ts";

export function inspectCommand(): Command {
  return new Command("inspect")
    .description("Say what a model folder, a .xprompt file, an .onnx graph or a generated .png holds.")
    .argument("<what>", "a model's name or folder, or a file")
    .option("--json", "print one JSON object on standard output", false)
    .action(async (what: string, { json }: { json: boolean }) => {
      const found = await inspect(what);
      if (json) printJson(found);
      else process.stdout.write(`${lines(found).join("\n")}\n`);
    });
}

async function inspect(what: string): Promise<Record<string, unknown>> {
  const isFile = await stat(what).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isFile) return { kind: "model", ...(await describeModel(await resolveModel(what))) };
  switch (extname(what).toLowerCase()) {
    case ".xprompt":
      return { kind: "prompt", ...describePrompt(await VisualPrompt.load(what)) };
    case ".onnx":
      return { kind: "graph", ...(await describeGraph(what)) };
    case ".png":
      return { kind: "picture", ...(await describePicture(what)) };
    default:
      throw new XPromptError(
        `inspecting ${what}: expected a model folder, a .xprompt, an .onnx or a .png file`,
      );
  }
}

function describePrompt({ model, blocks }: VisualPrompt): Record<string, unknown> {
  const numbers = blocks.flatMap(({ layers }) =>
    layers.map(({ keys, values }) => keys.length + values.length),
  );
  return {
    model,
    examples: blocks.length,
    slots: blocks.reduce((sum, { length }) => sum + length, 0),
    layers: blocks[0]!.layers.length,
    bytes: 2 * numbers.reduce((sum, count) => sum + count, 0),
  };
}

async function describeGraph(path: string): Promise<Record<string, unknown>> {
  const bytes = await readFileChecked(path, "graph", 2 ** 31);
  try {
    return { ...summarizeOnnx(bytes) };
  } catch {
    throw new XPromptError(`inspecting ${path}: expected an ONNX model, got something else`);
  }
}

async function describePicture(path: string): Promise<Record<string, unknown>> {
  const { xprompt } = await readPngText(path);
  if (xprompt === undefined)
    throw new XPromptError(`inspecting ${path}: expected a picture made by xprompt, found no settings in it`);
  try {
    return JSON.parse(xprompt) as Record<string, unknown>;
  } catch {
    throw new XPromptError(`inspecting ${path}: expected settings in JSON in its text, got something else`);
  }
}

/** `key: value` lines, groups indented; what is in bytes is shown in larger units. */
function lines(value: object, indent = "", inBytes = false): string[] {
  return Object.entries(value).flatMap(([key, item]: [string, unknown]) => {
    if (item === undefined) return [];
    const bytes = inBytes || /memory|bytes$/i.test(key);
    if (Array.isArray(item)) return [`${indent}${key}: ${item.join(", ")}`];
    if (typeof item === "object" && item !== null)
      return [`${indent}${key}:`, ...lines(item, `${indent}  `, bytes)];
    return [`${indent}${key}: ${bytes && typeof item === "number" ? formatBytes(item) : String(item)}`];
  });
}
