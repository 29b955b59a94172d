/** @file `xprompt examples list`: lists the examples of a library. */
import type { Command } from "commander";
import { ExampleLibrary } from "../../retrieval/index.ts";
import { wholeFor } from "../options.ts";
import { print, printJson, say } from "../output.ts";
import { type LibraryOptions, lineOf, named } from "./shared.ts";

export const listCommand = (): Command =>
  named("list", "List examples in the order in which they were added.")
    .option("--limit <n>", "the most examples to list. Defaults to 20", wholeFor("--limit"), 20)
    .option("--offset <n>", "how many to skip. Defaults to 0", wholeFor("--offset"), 0)
    .action(list);

async function list(options: LibraryOptions & { limit: number; offset: number }): Promise<void> {
  await using library = await ExampleLibrary.open(options.library);
  const examples = options.limit === 0 ? [] : await library.list(options);
  const count = await library.count();
  if (options.json)
    await printJson({ library: options.library, count, ...(await library.kinds()), examples });
  else {
    for (const facts of examples) await print(lineOf(facts));
    say(`${examples.length} of ${count} examples`);
  }
}
