/** @file The interface of evaluation suites: a suite generates pictures, measures them, and returns figures and a report. */
import type { XPrompt } from "../xprompt/model.ts";
import type { Generations } from "./generations.ts";
import type { Section } from "./report.ts";
import type { TrainingFacts } from "./training-facts.ts";

/** The input of a suite. */
export interface SuiteContext {
  readonly model: XPrompt;
  /** The model's folder. */
  readonly folder: string;
  readonly training: TrainingFacts;
  /** Folder of the adapter, if any. What it was trained on is not known. */
  readonly adapter?: string;
  readonly generations: Generations;
  /** Samples per task. */
  readonly limit: number;
  readonly seed: number;
  readonly options: SuiteOptions;
  /** Suites that generate no pictures have to check it themselves. */
  readonly signal?: AbortSignal;
  /** The command that repeats this evaluation. */
  readonly command: string;
  /** No progress is shown. */
  readonly quiet?: boolean;
}

/** Options of particular suites. */
export interface SuiteOptions {
  /** Folder of a data set, or file of prompts. */
  readonly data?: string;
  /** Folder of the results. */
  readonly out?: string;
  /** Folder of gathered pictures. */
  readonly pictures?: string;
  /** Side of the measured pictures in pixels. */
  readonly size?: number;
  /** Stores the figures as those of a comparison model, one of the suite's `comparisons`. */
  readonly as?: string;
  /** The recipe of the comparison model. */
  readonly recipe?: string;
  /** Folder of the model that is compared with it, where the figures are stored. */
  readonly beside?: string;
}

export interface SuiteOutcome {
  /** Figures of the suite, as fields of the JSON result. */
  readonly figures: Readonly<Record<string, unknown>>;
  readonly report: readonly Section[];
  /** The main figures in two to six lines, for the terminal. */
  readonly summary: readonly string[];
}

export interface Suite {
  readonly name: string;
  /** One line for the command's help. */
  readonly description: string;
  /** The default number of samples per task. */
  readonly limit: number;
  /** The suite measures only texts or likelihoods, so sampling settings of pictures do not apply. */
  readonly generatesNothing?: true;
  /** Required options. */
  readonly needs?: readonly (keyof SuiteOptions)[];
  /** Optional options. */
  readonly takes?: readonly "size"[];
  /** Names of comparison models, the values of `as`. */
  readonly comparisons?: readonly string[];
  run(context: SuiteContext): Promise<SuiteOutcome>;
}
