/** @file `xprompt examples show`: everything about one example. */
import type { Command } from "commander";
import { savePng } from "../../image/index.ts";
import { ExampleLibrary, exampleSheet } from "../../retrieval/index.ts";
import { oneLine, print, printJson } from "../output.ts";
import { checkSheet, type LibraryOptions, named } from "./shared.ts";

export const showCommand = (): Command =>
  named("show", "Print everything about one example, and optionally write it as a contact sheet.")
    .argument("<id>", "its id, or the first digits")
    .option("--sheet <file>", "write a contact sheet of it (PNG)")
    .action(show);

async function show(id: string, options: LibraryOptions & { sheet?: string }): Promise<void> {
  if (options.sheet !== undefined) await checkSheet(options.sheet);
  await using library = await ExampleLibrary.open(options.library);
  const { input, output, ...facts } = await library.get(id);
  if (options.sheet !== undefined)
    await savePng(options.sheet, await exampleSheet([{ ...facts, input, output }]));
  const { models } = await library.kinds();
  const compiled = [];
  for (const model of models) if ((await library.prompts(model, [facts.id])).size > 0) compiled.push(model);
  const about = { ...facts, bytes: { input: input.length, output: output.length }, compiled };
  if (options.json) await printJson({ library: options.library, ...about, sheet: options.sheet });
  else for (const [name, value] of Object.entries(about)) await print(oneLine(`${name}: ${textOf(value)}`));
}

const textOf = (value: unknown): string => (typeof value === "string" ? value : JSON.stringify(value));
