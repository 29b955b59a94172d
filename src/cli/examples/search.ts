/** @file `xprompt examples search`: finds the examples nearest to an instruction or a picture. */
import type { Command } from "commander";
import { UsageError } from "../../errors.ts";
import { savePng } from "../../image/index.ts";
import { ExampleLibrary, exampleSheet } from "../../retrieval/index.ts";
import { requestSchema } from "../../xprompt/request.ts";
import { type DistanceOptions, weightsOf, withClip, withEmbedder, withWeights } from "../library-options.ts";
import { checkDevice, type ModelOptions, numberFor, withModel } from "../options.ts";
import { print, printJson, say } from "../output.ts";
import { checkSheet, type LibraryOptions, lineOf, named } from "./shared.ts";

export const searchCommand = (): Command =>
  withWeights(
    withClip(withModel(named("search", "Search the examples nearest to an instruction or a picture."))),
  )
    .argument("[instruction]", "what to search for, in words")
    .option("--input <picture>", "the picture to change")
    .option("--k <n>", "the most results. Defaults to 5", numberFor("--k", requestSchema.shape.k), 5)
    .option("--sheet <file>", "write a contact sheet of the results (PNG)")
    .action((instruction: string | undefined, options: SearchOptions) => search(instruction, options));

interface SearchOptions extends ModelOptions, LibraryOptions, DistanceOptions {
  readonly input?: string;
  readonly k: number;
  readonly sheet?: string;
}

async function search(instruction = "", options: SearchOptions): Promise<void> {
  const { library: place, input, k, sheet } = options;
  const weights = weightsOf(options);
  if (instruction.trim() === "" && input === undefined)
    throw new UsageError("examples search: expected an instruction or --input, got neither");
  if (input !== undefined && weights.image === 0)
    throw new UsageError(
      "examples search: --input: expected --image-weight above 0 with it, got 0 (leave one of them out)",
    );
  if (sheet !== undefined) await checkSheet(sheet, input);
  checkDevice(options.device);
  await using library = await ExampleLibrary.open(place);
  const found =
    weights.text + weights.image === 0
      ? await library.search({ instruction }, undefined, weights, k)
      : await withEmbedder(options, async (embedder) => {
          if ((await library.lacking(embedder)) > 0)
            say(`note: some examples have no vectors of ${embedder.space} (see xprompt examples compile)`);
          const image = input !== undefined ? await embedder.image(input) : undefined;
          return library.search({ instruction, vectors: { image } }, embedder, weights, k);
        });
  if (sheet !== undefined) {
    const shown = await Promise.all(
      found.map(async (each) => ({ ...each, ...(await library.get(each.id)) })),
    );
    await savePng(sheet, await exampleSheet(shown, { instruction, input }));
  }
  if (options.json) await printJson({ library: place, instruction, input, weights, found, sheet });
  else {
    for (const each of found) await print(`${each.distance.toFixed(4)}  ${lineOf(each)}`);
    if (found.length === 0) say("found nothing");
    if (sheet !== undefined) say(`wrote ${sheet}`);
  }
}
