/** @file `xprompt examples`: manages the example library of `generate --library`. */
import { Command } from "commander";
import { addCommand } from "./examples/add.ts";
import { compileCommand } from "./examples/compile.ts";
import { exportCommand } from "./examples/export.ts";
import { listCommand } from "./examples/list.ts";
import { removeCommand } from "./examples/remove.ts";
import { searchCommand } from "./examples/search.ts";
import { showCommand } from "./examples/show.ts";

export function examplesCommand(signal: AbortSignal): Command {
  const command = new Command("examples").description(
    "Manage a library of before → after pairs, and search it.",
  );
  const commands = [
    ...[addCommand(signal), listCommand(), searchCommand(), showCommand(), removeCommand()],
    ...[compileCommand(signal), exportCommand(signal)],
  ];
  for (const each of commands) command.addCommand(each);
  return command;
}
