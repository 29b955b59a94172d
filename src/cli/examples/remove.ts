/** @file `xprompt examples remove`: removes examples from a library. */
import type { Command } from "commander";
import { ExampleLibrary } from "../../retrieval/index.ts";
import { counted, printJson, say } from "../output.ts";
import { type LibraryOptions, named } from "./shared.ts";

export const removeCommand = (): Command =>
  named("remove", "Remove examples with their vectors and compiled blocks.")
    .argument("<id...>", "their ids, or the first digits")
    .action(remove);

async function remove(ids: readonly string[], options: LibraryOptions): Promise<void> {
  await using library = await ExampleLibrary.open(options.library);
  const found = [];
  for (const id of ids) found.push((await library.get(id)).id);
  const removed = await library.remove(found);
  if (options.json) await printJson({ library: options.library, removed, ids: found });
  else say(`removed ${removed}: ${options.library} has ${counted(await library.count(), "example")}`);
}
