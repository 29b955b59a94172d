/** @file What an evaluation suite is: it has pictures drawn, measures them, and tells the result twice, as JSON and as a report. */
import type { XPrompt } from "../xprompt/model.ts";
import type { Drawings } from "./drawings.ts";
import type { Section } from "./report.ts";
import type { TrainingFacts } from "./training-facts.ts";

/** What a suite works with. */
export interface SuiteContext {
  readonly model: XPrompt;
  /** The model's folder. */
  readonly folder: string;
  readonly training: TrainingFacts;
  readonly drawings: Drawings;
  /** How many samples of each task are measured. */
  readonly limit: number;
  readonly seed: number;
  readonly options: SuiteOptions;
  /** Work that draws nothing looks at it by itself. */
  readonly signal?: AbortSignal;
  /** The command that does this again. */
  readonly command: string;
  /** The answers of the model are blank, and the figures are not used: no progress is shown. */
  readonly isRehearsal?: boolean;
}

/** Options that only some suites take. */
export interface SuiteOptions {
  /** Folder of a data set, or a file of prompts. */
  readonly data?: string;
  /** Where the results go. */
  readonly out?: string;
  /** Folder of gathered pictures. */
  readonly pictures?: string;
  /** Pixels along a side of the pictures that are measured. */
  readonly size?: number;
  /** The model is one that another is compared with, one of the suite's `comparisons`: its figures are stored. */
  readonly as?: string;
  /** The recipe that made such a model. */
  readonly recipe?: string;
  /** Folder of the model that such figures are for. */
  readonly beside?: string;
}

export interface SuiteOutcome {
  /** Figures of the suite: the fields of the JSON object after `suite`. */
  readonly figures: Readonly<Record<string, unknown>>;
  readonly report: readonly Section[];
  /** The main figures in two to six lines, for a terminal. */
  readonly summary: readonly string[];
}

export interface Suite {
  readonly name: string;
  /** One line for the command's help. */
  readonly description: string;
  /** The default number of samples per task. */
  readonly limit: number;
  /** It asks the model for words or likelihoods alone: how pictures are drawn says nothing. */
  readonly drawsNothing?: true;
  /** Which of the options it needs. */
  readonly needs?: readonly (keyof SuiteOptions)[];
  /** Which others it takes. */
  readonly takes?: readonly "size"[];
  /** What `as` may say, of suites that compare with models that are not there. */
  readonly comparisons?: readonly string[];
  run(context: SuiteContext): Promise<SuiteOutcome>;
}
