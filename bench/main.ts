/**
 * @file Side-by-side benchmarks: `npm run bench -- NAME [options]`. The result goes to standard output, as a table or one
 * JSON object; everything else goes to standard error. Exit status 0, 1 (failure) or 2 (wrong usage).
 */
import { Command, CommanderError } from "commander";
import { XPromptError } from "../src/errors.ts";
import { sevenBenchmark } from "./7b.ts";
import { ablationsBenchmark } from "./ablations.ts";
import { attentionBenchmark } from "./attention.ts";
import { batchingBenchmark } from "./batching.ts";
import { draftBenchmark } from "./draft.ts";
import { fullSizeBenchmark } from "./full-size.ts";
import { generateBenchmark } from "./generate.ts";
import type { CommonOptions, Report } from "./options.ts";
import { quantizationBenchmark } from "./quantization.ts";
import { retrievalBenchmark } from "./retrieval.ts";
import { scaleBenchmark } from "./scale.ts";
import { serveBenchmark } from "./serve.ts";
import { startupBenchmark } from "./startup.ts";
import { trainBenchmark } from "./train.ts";
import { workersBenchmark } from "./workers.ts";

function print({ result, rows }: Report, { json }: CommonOptions): void {
  process.stdout.write(`${json ? JSON.stringify(result) : table(rows)}\n`);
}

/** Formats rows with aligned columns. */
function table(rows: readonly (readonly string[])[]): string {
  const widths = rows.reduce<number[]>(
    (widths, row) => row.map((cell, i) => Math.max(cell.length, widths[i] ?? 0)),
    [],
  );
  return rows
    .map((row) =>
      row
        .map((cell, i) => cell.padEnd(widths[i]!))
        .join("   ")
        .trimEnd(),
    )
    .join("\n");
}

const program = new Command("bench")
  .description("Side-by-side benchmarks.")
  .exitOverride()
  .configureOutput({ writeErr: () => {} });
for (const make of [
  trainBenchmark,
  generateBenchmark,
  draftBenchmark,
  batchingBenchmark,
  serveBenchmark,
  attentionBenchmark,
  sevenBenchmark,
  quantizationBenchmark,
  retrievalBenchmark,
  ablationsBenchmark,
  fullSizeBenchmark,
  workersBenchmark,
  scaleBenchmark,
  startupBenchmark,
])
  program.addCommand(make(print).exitOverride().copyInheritedSettings(program));
try {
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) {
    process.exitCode = error.exitCode === 0 ? 0 : 2;
    const words =
      error.message === "(outputHelp)"
        ? "expected a benchmark, got none"
        : error.message.replace(/^error: /, "");
    if (process.exitCode !== 0) process.stderr.write(`bench: ${words} (see npm run bench -- --help)\n`);
  } else if (error instanceof XPromptError) {
    process.stderr.write(`bench: ${error.message}\n`);
    process.exit(error.exitCode); // peers that still wait end with this process
  } else throw error;
}
