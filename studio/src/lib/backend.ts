/**
 * @file What the studio needs of a model, wherever it runs: on a server, or in a worker of this page. Pictures and
 * visual prompts are blobs, which workers and IndexedDB take as they are.
 */

/** A picture before and after a change. */
export interface Example {
  readonly before: Blob;
  readonly after: Blob;
}

export interface GenerateRequest {
  readonly examples: readonly Example[];
  /** `.xprompt` files: examples that were compiled before. */
  readonly prompts: readonly Blob[];
  /** The picture to change. Without it the model draws from examples and words alone. */
  readonly input?: Blob;
  readonly instruction: string;
  /** Sample i has seed + i. Several samples are drawn by chance; of one, the model may show the mean, whatever the seed. */
  readonly seed: number;
  readonly samples: number;
  /** Default: what the model recommends. */
  readonly temperature?: number;
  /** How strongly the examples are followed; 1 is plain sampling. Default: what the model recommends. */
  readonly guidance?: number;
  /** Give the result the size and shape of `input`. */
  readonly fullSize: boolean;
  /** At full size: where a map of colours explains the examples, apply that instead of what the model draws. */
  readonly exampleColours: boolean;
}

/** What there is to say about a result. */
export interface Notes {
  /** Tokens of the words that were cut off, because the words are too long for the model. */
  readonly unread: number;
  /** Whether a map of colours was applied that explains the examples. */
  readonly isColourMap: boolean;
  /** Whether it is the mean of what the model finds likely, the same with every seed. */
  readonly isMean: boolean;
}

export type GenerateEvent =
  /** Other requests come first. */
  | { readonly kind: "waiting"; readonly ahead: number }
  /** The model is on its way; `total` is 0 where nobody knows it. */
  | { readonly kind: "loading"; readonly bytes: number; readonly total: number }
  /** A row of codes of a sample is complete. The picture is as small as the model draws. */
  | {
      readonly kind: "partial";
      readonly sample: number;
      readonly picture: Blob;
      readonly row: number;
      readonly rows: number;
    }
  | {
      readonly kind: "finished";
      readonly sample: number;
      readonly picture: Blob;
      readonly seed: number;
      readonly notes: Notes;
    };

/** Where a picture is. `Backend.picture` fetches it; an `<img>` shows it only where no key is needed: in the gallery. */
export type Address = string;

export interface GalleryEntry {
  readonly id: string;
  /** Whether the model was trained on this change. */
  readonly seen: boolean;
  readonly before: Address;
  readonly after: Address;
  /** Pictures to try the change on. */
  readonly queries: readonly Address[];
}

/** An example of the library. */
export interface LibraryEntry {
  readonly id: string;
  readonly instruction: string;
  readonly before: Address;
  readonly after: Address;
}

export interface RunSummary {
  readonly id: string;
  readonly kind: string;
  readonly step: number;
  readonly steps: number;
  /** When the run last wrote something. */
  readonly updated: Date;
}

/** The metrics of one step. What was not measured, or was not finite, is missing. `time` is in seconds since 1970. */
export type MetricsLine = Readonly<Record<string, number>> & { readonly step: number; readonly time: number };

export interface Run extends RunSummary {
  readonly recipe: Readonly<Record<string, unknown>>;
  readonly metrics: readonly MetricsLine[];
  /** Contact sheets of what the model did, by step. */
  readonly sheets: readonly { readonly step: number; readonly picture: Address }[];
}

export interface About {
  readonly model: string;
  /** Whether there is an example library to search. */
  readonly library: boolean;
  /** Whether training runs can be watched. */
  readonly training: boolean;
}

export interface Backend {
  /** The most bytes of a picture that it takes. */
  readonly largest: number;
  /** Sends the key with each request from now on. */
  useKey(key: string): void;
  /** Has `ask` called with the reason whenever a request fails for want of a key, or of another one. */
  onKeyNeeded(ask: (why: string) => void): void;
  /** The tab keeps the key with which this succeeds. */
  about(signal?: AbortSignal): Promise<About>;
  /** Draws, and tells how far it is. Ending the iteration, or the signal, stops the drawing. */
  generate(request: GenerateRequest, signal: AbortSignal): AsyncIterable<GenerateEvent>;
  /** What the example changes, in words. */
  describe(example: Example, signal?: AbortSignal): Promise<string>;
  /** Makes a `.xprompt` file of examples. */
  compile(examples: readonly Example[], signal?: AbortSignal): Promise<Blob>;
  /** Checks a `.xprompt` file. @returns the number of examples in it */
  inspect(prompt: Blob, signal?: AbortSignal): Promise<number>;
  picture(address: Address, signal?: AbortSignal): Promise<Blob>;
  gallery(signal?: AbortSignal): Promise<readonly GalleryEntry[]>;
  /** The examples of the library that are nearest to the words. */
  search(words: string, signal?: AbortSignal): Promise<readonly LibraryEntry[]>;
  runs(signal?: AbortSignal): Promise<readonly RunSummary[]>;
  /** The run as it is, and again each time that it has gone on. Ends with the signal. */
  watch(id: string, signal: AbortSignal): AsyncIterable<Run>;
}

/** The part of the page that a failure is about. */
export type Part = "examples" | "input" | "instruction" | "settings" | "result";

/** A failure that the person at the page can read and act on. */
export class BackendError extends Error {
  readonly part: Part;

  constructor(message: string, part: Part = "result", options?: ErrorOptions) {
    super(message, options);
    this.name = "BackendError";
    this.part = part;
  }
}

/** The server answers only with a key, or with another one than it got. */
export class KeyNeeded extends BackendError {}
