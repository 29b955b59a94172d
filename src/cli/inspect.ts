/** @file `xprompt inspect`: describes a model, a visual prompt, a graph or a generated picture without running it. */
import { existsSync } from "node:fs";
import { stat } from "node:fs/promises";
import { extname, join } from "node:path";
import { Command } from "commander";
import { z } from "zod";
import { slotsOf } from "../chameleon/model/cache.ts";
import { XPromptError } from "../errors.ts";
import { formatBytes } from "../format.ts";
import { summarizeOnnx } from "../graph/inspect.ts";
import { imageExtensions, readImageText } from "../image/index.ts";
import { ExampleLibrary } from "../retrieval/library.ts";
import { isLibrary } from "../retrieval/neighbours.ts";
import { readFileChecked } from "../runtime/files.ts";
import { describeRun, isRun } from "../training/run/describe-run.ts";
import { describeModel } from "../xprompt/describe-model.ts";
import { resolveModel } from "../xprompt/models.ts";
import { VisualPrompt } from "../xprompt/prompt.ts";
import { oneLine, print, printJson } from "./output.ts";

export function inspectCommand(): Command {
  return new Command("inspect")
    .description(
      "Describe a model folder, a run folder, an example library, a .xprompt file, an .onnx graph or a generated picture.",
    )
    .argument("<what>", "a model's name, a folder, or a file")
    .option("--json", "print one JSON object on standard output", false)
    .action(async (what: string, { json }: { json: boolean }) => {
      const found = await inspect(what);
      await (json ? printJson(found) : print(lines(found).join("\n")));
    });
}

async function inspect(what: string): Promise<Record<string, unknown>> {
  const ending = extname(what).toLowerCase();
  const isFile = await stat(what).then(
    (found) => found.isFile(),
    () => [...imageExtensions, ".xprompt", ".onnx"].includes(ending), // whose readers say that it is missing
  );
  if (!isFile && isRun(what)) return { kind: "run", ...(await describeRun(what)) };
  if (!isFile && isLibrary(what)) return { kind: "library", ...(await describeLibrary(what)) };
  if (!isFile) return { kind: "model", ...(await describeModel(await modelAt(what))) };
  if (imageExtensions.includes(ending)) return { kind: "picture", ...(await describePicture(what)) };
  switch (ending) {
    case ".xprompt":
      return { kind: "prompt", ...(await describePrompt(what)) };
    case ".onnx":
      return { kind: "graph", ...(await describeGraph(what)) };
    default:
      throw nothingKnown(what);
  }
}

const nothingKnown = (what: string): XPromptError =>
  new XPromptError(
    `inspecting ${what}: expected a model, run or library folder, a .xprompt or an .onnx file, or a picture (${imageExtensions.join(", ")})`,
  );

/** The folder of a model. @throws XPromptError for a folder without the config of one */
async function modelAt(what: string): Promise<string> {
  const folder = await resolveModel(what);
  if (!existsSync(join(folder, "config.json"))) throw nothingKnown(what);
  return folder;
}

async function describeLibrary(place: string): Promise<Record<string, unknown>> {
  const library = await ExampleLibrary.open(place);
  try {
    return { place, examples: await library.count(), ...(await library.kinds()) };
  } finally {
    await library.close();
  }
}

async function describePrompt(path: string): Promise<Record<string, unknown>> {
  const { model, blocks } = await VisualPrompt.load(path);
  return {
    model,
    examples: blocks.length,
    slots: slotsOf(blocks),
    layers: blocks[0]!.layers.length,
    bytes: (await stat(path)).size,
  };
}

async function describeGraph(path: string): Promise<Record<string, unknown>> {
  const bytes = await readFileChecked(path, "graph", 2 ** 31 - 1);
  try {
    return { ...summarizeOnnx(bytes) };
  } catch {
    throw new XPromptError(`inspecting ${path}: expected an ONNX model, got something else`);
  }
}

async function describePicture(path: string): Promise<Record<string, unknown>> {
  const { xprompt } = await readImageText(path);
  if (xprompt === undefined)
    throw new XPromptError(`inspecting ${path}: expected a picture made by xprompt, found no settings in it`);
  try {
    return settingsSchema.parse(JSON.parse(xprompt));
  } catch {
    throw new XPromptError(`inspecting ${path}: expected settings in JSON in its text, got something else`);
  }
}

const plain = z.union([z.string(), z.number(), z.boolean(), z.null()]);

/** Plain values, lists of them, and groups of both, some levels deep: a picture's text may come from anybody. */
const settingsTo = (levels: number): z.ZodType<Record<string, unknown>> =>
  z.record(
    z.string(),
    levels === 0
      ? z.union([plain, z.array(plain)])
      : z.union([plain, z.array(plain), settingsTo(levels - 1)]),
  );
const settingsSchema = settingsTo(3);

/** Formats `key: value` lines with indented groups. Sizes in bytes are shown in larger units. */
function lines(value: Readonly<Record<string, unknown>>, indent = "", inBytes = false): string[] {
  return Object.entries(value).flatMap(([key, item]) => {
    if (item === undefined) return [];
    const name = `${indent}${oneLine(key)}:`;
    if (typeof item === "object" && item !== null && !Array.isArray(item))
      return [name, ...lines(item as Record<string, unknown>, `${indent}  `, key === "memory")];
    const isBytes = typeof item === "number" && (inBytes || /bytes$/i.test(key));
    const shown = isBytes ? formatBytes(item) : Array.isArray(item) ? item.join(", ") : String(item);
    return [`${name} ${oneLine(shown)}`];
  });
}
