/** @file What the commands of `xprompt examples` share. */
import { Command } from "commander";
import type { Facts } from "../../retrieval/index.ts";
import { withLibrary } from "../library-options.ts";
import { checkExtension, checkOutput } from "../options.ts";
import { oneLine } from "../output.ts";

const DEFAULT_PLACE = "examples-library";

export interface LibraryOptions {
  readonly library: string;
  readonly json: boolean;
}

/** A command with `--library` and `--json`. */
export const named = (name: string, description: string): Command =>
  withLibrary(new Command(name).description(description), DEFAULT_PLACE).option(
    "--json",
    "print one JSON object on standard output",
    false,
  );

/** An example on one line. */
export const lineOf = ({ id, instruction, subtask, source }: Facts): string =>
  oneLine([id.slice(0, 12), instruction || "(no instruction)", subtask, source].filter(Boolean).join("  "));

/** Checks the place of a contact sheet before any work. */
export async function checkSheet(sheet: string, input?: string): Promise<void> {
  checkExtension(sheet, [".png"], "--sheet");
  await checkOutput(sheet, input === undefined ? [] : [input], "--sheet");
}
