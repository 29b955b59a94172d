/**
 * @file Gathers real pictures from ordinary packages: `npm run gather -- --out DIR`. Notes and progress go to standard
 * error. Exit status 0, 1 (a set is missing) or 2 (wrong usage).
 */
import { Command, CommanderError } from "commander";
import sharp from "sharp";
import { messageOf, UsageError, XPromptError } from "../../src/errors.ts";
import { meant } from "../../src/spelling.ts";
import type { GatherSet } from "./found.ts";
import { gather } from "./gather.ts";
import { sets } from "./sets.ts";

sharp.concurrency(1);
sharp.cache(false);

const note = (line: string) => process.stderr.write(`${line}\n`);

/** The sets that `--only` names, by name or by kind; all of them without it. */
function chosen(only: string | undefined): readonly GatherSet[] {
  if (only === undefined) return sets;
  const wanted = only.split(",").map((name) => name.trim());
  const known = [...new Set(sets.flatMap(({ name, kind }) => [name, kind]))];
  for (const name of wanted) {
    if (known.includes(name)) continue;
    throw new UsageError(
      `choosing sets: expected names of ${known.join(", ")}, got "${name}"${meant(name, known)}`,
    );
  }
  return sets.filter(({ name, kind }) => wanted.includes(name) || wanted.includes(kind));
}

const program = new Command("gather")
  .description("Gathers real pictures from ordinary packages into a folder, for training.")
  .requiredOption("--out <dir>", "folder to gather into; what is there already is kept")
  .option("--only <sets>", "names of sets, or photos, icons, cutouts; separated by commas")
  .option("--again", "pack sets again that are there already")
  .exitOverride()
  .configureOutput({ writeErr: () => {} })
  .action(async ({ out, only, again }: { out: string; only?: string; again?: boolean }) => {
    const failed = await gather(out, chosen(only), { again, note });
    if (failed.length > 0) {
      throw new XPromptError(
        `gathering into ${out}: expected every set, got all but ${failed.join(", ")} (see above; what is there can be used)`,
      );
    }
  });

try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    if (error.exitCode !== 0) note(`${error.message} (see --help)`);
    process.exitCode = error.exitCode === 0 ? 0 : 2;
  } else if (error instanceof XPromptError) {
    note(error.message);
    process.exitCode = error.exitCode;
  } else {
    note(`internal error: ${messageOf(error)} (please report it)`);
    process.exitCode = 1;
  }
}
