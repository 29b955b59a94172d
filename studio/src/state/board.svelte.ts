/** @file The board: examples, the picture to change, settings, and what is being drawn. */
import {
  type Address,
  type Backend,
  BackendError,
  type GalleryEntry,
  type GenerateEvent,
  KeyNeeded,
  type LibraryEntry,
  type Notes,
  type Part,
} from "../lib/backend.ts";
import type { HistoryEntry, PromptFile, Result } from "../lib/history-store.ts";
import { titleOf } from "../lib/names.ts";
import { copyOf, type Picture, readPicture, sortFiles } from "../lib/pictures.ts";
import type { History } from "./history.svelte.ts";

export interface Pair {
  readonly key: number;
  readonly before?: Picture;
  readonly after?: Picture;
}

/** Where a picture goes: a side of a pair, or the picture to change. */
export type Place = { readonly pair: number; readonly side: "before" | "after" } | "input";

export interface Sample {
  readonly picture?: Blob;
  /** Rows of codes that are complete, of `rows`. */
  readonly row: number;
  readonly rows: number;
  /** Known once the sample is complete. */
  readonly seed?: number;
  readonly notes?: Notes;
}

/** The number of samples that differ, after the mean. */
const VARIATIONS = 4;

/** What a person has put on the board, apart from settings. */
type Contents = Pick<Board, "pairs" | "prompts" | "input" | "suggestions" | "instruction">;

let keys = 0;
const emptyPair = (): Pair => ({ key: keys++ });
const isWhole = (pair: Pair): pair is Required<Pair> => Boolean(pair.before && pair.after);
const isEmpty = ({ before, after }: Pair) => !before && !after;

export class Board {
  pairs = $state.raw<readonly Pair[]>([emptyPair()]);
  prompts = $state.raw<readonly PromptFile[]>([]);
  input = $state.raw<Picture>();
  /** The entry of the gallery that the example came from: its pictures to try are offered. */
  suggestions = $state.raw<GalleryEntry>();
  instruction = $state("");
  seed = $state(1);
  samples = $state(1);
  temperature = $state<number>();
  guidance = $state<number>();
  fullSize = $state(true);
  exampleColours = $state(true);

  /** The person's own pictures that were replaced by others, to be brought back. */
  replaced = $state.raw<Contents>();

  /** What was drawn, or is being drawn; `drawnFrom` is the picture that it was made of. */
  results = $state.raw<readonly Sample[]>([]);
  drawnFrom = $state.raw<Picture>();
  drawnFullSize = $state(true);
  drawing = $state(false);
  /** Requests that come first. */
  ahead = $state(0);
  /** Share of the model that has arrived, while it is on its way. */
  loading = $state<number>();
  failures = $state.raw<Partial<Record<Part, string>>>({});

  readonly examples = $derived(this.pairs.filter(isWhole));
  readonly untouched = $derived(
    this.pairs.every(isEmpty) && this.prompts.length === 0 && !this.input && this.results.length === 0,
  );

  /** Whether the words keep the colours of the examples from being applied. */
  readonly isColourless = $derived(
    this.fullSize &&
      this.exampleColours &&
      this.input !== undefined &&
      this.examples.length + this.prompts.length > 0 &&
      this.instruction.trim() !== "",
  );

  /** What there is to say about the results. */
  readonly notes = $derived(notesOn(this.results));

  private readonly backend: Backend;
  private readonly history: History;
  private stopping?: AbortController;
  /** The words of an example that was described. */
  private described = "";
  /** The number of choices of pictures for the board, among them new boards. */
  private choices = 0;
  /** The number of new boards. */
  private boards = 0;

  constructor(backend: Backend, history: History) {
    this.backend = backend;
    this.history = history;
  }

  /** Takes files that were dropped, pasted or chosen, at a place of the board or anywhere. */
  async take(files: readonly File[], place?: Place): Promise<void> {
    const { prompts, pairs, single } = sortFiles(files);
    const part: Part =
      place === "input" || (!place && !pairs.length && !prompts.length) ? "input" : "examples";
    const isSame = this.sameBoard();
    const work = async () => {
      for (const prompt of prompts) {
        const blob = await copyOf(prompt);
        const examples = await this.backend.inspect(blob);
        if (!isSame()) return;
        this.prompts = [...this.prompts, { blob, name: prompt.name, examples }];
      }
      for (const [i, pair] of pairs.entries()) {
        const [before, after] = await Promise.all(pair.map((file) => this.read(file, file.name)));
        if (!isSame()) return;
        this.addPair(before!, after!, i > 0 || place === "input" ? undefined : place?.pair);
      }
      if (!single) return;
      const picture = await this.read(single, single.name);
      if (!isSame()) return;
      const alone = pairs.length === 0;
      this.put(picture, (alone && place) || this.nextPlace(!alone));
    };
    await this.attempt(part, work, isSame);
  }

  put(picture: Picture | undefined, place: Place): void {
    if (place === "input") this.input = picture;
    else
      this.pairs = this.pairs.map((pair) =>
        pair.key === place.pair ? { ...pair, [place.side]: picture } : pair,
      );
  }

  /** Adds an example, in the place of `key` or of an empty one. */
  addPair(before: Picture, after: Picture, key = this.pairs.find(isEmpty)?.key): void {
    const exists = this.pairs.some((pair) => pair.key === key);
    this.pairs = exists
      ? this.pairs.map((pair) => (pair.key === key ? { key: pair.key, before, after } : pair))
      : [...this.pairs, { key: keys++, before, after }];
  }

  addEmptyPair(): void {
    this.pairs = [...this.pairs, emptyPair()];
  }

  removePair(key: number): void {
    const left = this.pairs.filter((pair) => pair.key !== key);
    this.pairs = left.length > 0 ? left : [emptyPair()];
  }

  /** Takes the words that describe the change of an example. They leave with it. */
  useWords(words: string): void {
    this.instruction = words;
    this.described = words;
  }

  removePrompt(prompt: PromptFile): void {
    this.prompts = this.prompts.filter((other) => other !== prompt);
  }

  clear(): void {
    this.keepContents();
    this.beginBoard();
    this.stop();
    this.pairs = [emptyPair()];
    this.prompts = [];
    this.input = undefined;
    this.suggestions = undefined;
    this.instruction = "";
    this.results = [];
    this.failures = {};
  }

  /**
   * Shows the change of a gallery entry in place of the examples that are on the board now. Examples that come while it is
   * fetched stay, and so does a picture of the person's own.
   */
  async useGallery(entry: GalleryEntry): Promise<void> {
    const isLast = this.choose();
    const { pairs, prompts } = this;
    const work = async () => {
      const title = titleOf(entry.id);
      const [before, after, query] = await Promise.all([
        this.fetch(entry.before, `${title} before`),
        this.fetch(entry.after, `${title} after`),
        entry.queries[0] && !this.hasOwnInput()
          ? this.fetch(entry.queries[0], `gallery ${title}`)
          : undefined,
      ]);
      if (!isLast()) return;
      this.stop();
      if (hasOwn(pairs, prompts)) this.replaced = this.contents();
      this.pairs = [{ key: keys++, before, after }, ...this.pairs.filter((pair) => !pairs.includes(pair))];
      this.prompts = this.prompts.filter((prompt) => !prompts.includes(prompt));
      if (query && !this.hasOwnInput()) this.input = query;
      this.suggestions = entry;
      if (this.instruction === this.described) this.instruction = "";
      this.results = [];
    };
    await this.attempt("examples", work, isLast);
  }

  /** Adds an example of the library to those on the board. */
  async useLibrary({ before, after, instruction }: LibraryEntry): Promise<void> {
    const isSame = this.sameBoard();
    const work = async () => {
      const pair = await Promise.all([
        this.fetch(before, `${instruction} before`),
        this.fetch(after, `${instruction} after`),
      ]);
      if (isSame()) this.addPair(...pair);
    };
    await this.attempt("examples", work, isSame);
  }

  async useAddress(address: Address, name: string): Promise<void> {
    const isLast = this.choose();
    const former = this.input;
    const work = async () => {
      const picture = await this.fetch(address, name);
      if (!isLast() || this.input !== former) return;
      this.input = picture;
      this.stop();
      this.results = [];
    };
    await this.attempt("input", work, isLast);
  }

  /** Puts everything back as it was for an entry of the history. */
  restore(entry: HistoryEntry): void {
    this.keepContents();
    this.beginBoard();
    this.stop();
    const pairs = entry.examples.map(({ before, after }) => ({ key: keys++, before, after }));
    this.pairs = pairs.length > 0 ? pairs : [emptyPair()];
    this.prompts = entry.prompts;
    this.input = entry.input;
    this.suggestions = undefined;
    this.instruction = entry.instruction;
    const { seed, samples, temperature, guidance, fullSize, exampleColours = true } = entry.settings;
    Object.assign(this, { seed, samples, temperature, guidance, fullSize, exampleColours });
    this.results = entry.results.map(({ picture, seed }) => ({ picture, seed, row: 1, rows: 1 }));
    this.drawnFrom = entry.input;
    this.drawnFullSize = fullSize;
    this.failures = {};
  }

  /** Puts the person's own pictures back that were replaced. */
  bringBack(): void {
    if (!this.replaced) return;
    this.beginBoard();
    this.stop();
    Object.assign(this, this.replaced, { replaced: undefined, results: [], failures: {} });
  }

  private contents(): Contents {
    const { pairs, prompts, input, suggestions, instruction } = this;
    return { pairs, prompts, input, suggestions, instruction };
  }

  /** Keeps the board as it is, if there is anything of the person's own. What was drawn is in the history. */
  private keepContents(): void {
    if (hasOwn(this.pairs, this.prompts) || this.hasOwnInput()) this.replaced = this.contents();
  }

  /** A result as a picture of the board. */
  async asPicture({ picture, seed }: Result): Promise<Picture> {
    return this.read(picture, `result ${seed}`);
  }

  /** What can be drawn besides the results. */
  get others(): ReturnType<typeof othersOf> {
    return othersOf(this.results);
  }

  /** The same with seeds that were not used yet; several of them, where one alone would be the same picture again. */
  again(): Promise<void> {
    if (this.others === "variations") this.samples = VARIATIONS;
    const last = Math.max(...this.results.map(({ seed = 0 }) => seed));
    this.seed = Math.max(this.seed, last) + 1;
    return this.draw();
  }

  stop(): void {
    this.stopping?.abort();
  }

  async draw(): Promise<void> {
    this.stop();
    this.failures = this.missing();
    if (Object.keys(this.failures).length > 0) return;
    const stopping = new AbortController();
    this.stopping = stopping;
    const { seed, samples, fullSize, exampleColours, input, prompts } = this;
    // A field that was emptied again has null.
    const [temperature, guidance] = [this.temperature ?? undefined, this.guidance ?? undefined];
    const instruction = this.instruction.trim();
    const examples = this.examples.map(({ before, after }) => ({ before, after }));
    this.results = Array.from({ length: samples }, () => ({ row: 0, rows: 0 }));
    Object.assign(this, { drawing: true, drawnFrom: input, drawnFullSize: fullSize, ahead: 0 });
    this.loading = undefined;
    const settings = { seed, samples, temperature, guidance, fullSize, exampleColours };
    /** By sample; kept also if the drawing is stopped, or fails, before all are complete. */
    const finished = new Map<number, Result>();
    await this.attempt("result", async () => {
      const request = {
        examples: examples.map(({ before, after }) => ({ before: before.blob, after: after.blob })),
        prompts: prompts.map(({ blob }) => blob),
        input: input?.blob,
        ...{ instruction, ...settings },
      };
      for await (const event of this.backend.generate(request, stopping.signal)) {
        // What comes of a drawing that was stopped is not shown.
        if (stopping.signal.aborted) return;
        this.ahead = event.kind === "waiting" ? event.ahead : 0;
        if (event.kind === "loading") this.loading = event.bytes / (event.total || Infinity);
        if (event.kind === "finished")
          finished.set(event.sample, { picture: event.picture, seed: event.seed });
        if (event.kind === "finished" || event.kind === "partial")
          this.results = this.results.with(event.sample, sampleOf(event));
      }
      if (finished.size < samples && !stopping.signal.aborted)
        throw new BackendError("The drawing ended before the picture was complete. Draw again.");
    });
    if (this.stopping === stopping) {
      this.drawing = false;
      this.stopping = undefined;
      this.results = this.results.filter(({ seed }) => seed !== undefined);
    }
    if (finished.size === 0) return;
    const results = [...finished.values()].sort((a, b) => a.seed - b.seed);
    const entry = { id: newId(), time: Date.now() };
    await this.history.add({ ...entry, examples, prompts, input, instruction, settings, results });
  }

  /** Begins a choice of pictures. @returns whether it is still the last one: pictures of a former one come too late */
  private choose(): () => boolean {
    const choice = ++this.choices;
    return () => choice === this.choices;
  }

  /** Begins a board: what is on its way to the one before comes too late. */
  private beginBoard(): void {
    this.choices++;
    this.boards++;
  }

  /** @returns whether no other board has begun since */
  private sameBoard(): () => boolean {
    const board = this.boards;
    return () => board === this.boards;
  }

  private read(blob: Blob, name: string): Promise<Picture> {
    return readPicture(blob, name, this.backend.largest);
  }

  private async fetch(address: Address, name: string): Promise<Picture> {
    return { ...(await this.read(await this.backend.picture(address), name)), isOffered: true };
  }

  /** Whether the picture to change is the person's own, not one of the gallery. */
  private hasOwnInput(): boolean {
    return this.input !== undefined && !this.input.isOffered;
  }

  /**
   * Does the work; says at the part of the page that it is about why it failed.
   * @param matters whether a failure is still of interest when it comes
   */
  async attempt(part: Part, work: () => Promise<void>, matters = () => true): Promise<void> {
    this.failures = { ...this.failures, [part]: undefined };
    try {
      await work();
    } catch (error) {
      if (!matters() || (error instanceof DOMException && error.name === "AbortError")) return;
      if (error instanceof KeyNeeded) return; // the form says so
      const message = error instanceof Error ? error.message : String(error);
      const where = error instanceof BackendError && part === "result" ? error.part : part;
      this.failures = { ...this.failures, [where]: message };
    }
  }

  /** What is still missing for a drawing, at the part of the page that it is about. */
  private missing(): Board["failures"] {
    if (this.pairs.some((pair) => !isEmpty(pair) && !isWhole(pair)))
      return { examples: "An example needs both pictures, before and after." };
    if (this.examples.length + this.prompts.length === 0 && !this.instruction.trim())
      return { examples: "Show a change first: a picture before it, and after it." };
    if (!Number.isInteger(this.seed) || this.seed < 0)
      return { settings: "The seed is a whole number, 0 or more." };
    return {};
  }

  /** The place that a single picture goes to: the first that is empty, else it replaces the picture to change. */
  private nextPlace(withPairs: boolean): Place {
    const pair = this.pairs.find((each) => !isWhole(each));
    if (!pair || withPairs || (this.prompts.length > 0 && isEmpty(pair))) return "input";
    return { pair: pair.key, side: pair.before ? "after" : "before" };
  }
}

/** Whether a pair has a picture of the person's own, or there are prompt files. */
const hasOwn = (pairs: readonly Pair[], prompts: readonly PromptFile[]): boolean =>
  prompts.length > 0 ||
  pairs.some((pair) => [pair.before, pair.after].some((side) => side && !side.isOffered));

function notesOn(results: readonly Sample[]): string[] {
  const { unread = 0, isColourMap = false } = results.find(({ notes }) => notes)?.notes ?? {};
  const cut = `The words are too long for this model: ${unread} ${unread === 1 ? "token was" : "tokens were"} cut off at the end.`;
  const same = results.length > 1 ? ", so all results are the same" : "";
  const map = `A map of colours explains the example, and was applied${same}. “Exact colours” in the settings turns this off.`;
  return [...(unread > 0 ? [cut] : []), ...(isColourMap ? [map] : [])];
}

/** A map of colours gives the same picture with every seed, the mean only if it is the only sample. */
function othersOf(results: readonly Sample[]): "none" | "more" | "variations" {
  const { isColourMap, isMean } = results.find(({ notes }) => notes)?.notes ?? {};
  if (results.length === 0 || isColourMap) return "none";
  return isMean ? "variations" : "more";
}

/** `crypto.randomUUID` is missing on plain HTTP. */
const newId = (): string => [...crypto.getRandomValues(new Uint32Array(4))].join("-");

type Drawn = Exclude<GenerateEvent, { kind: "waiting" | "loading" }>;

const sampleOf = (event: Drawn): Sample =>
  event.kind === "finished" ? { ...event, row: 1, rows: 1 } : { ...event, seed: undefined };
