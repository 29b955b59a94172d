/// <reference types="svelte" />
/** @file What stays on the board of the studio when pictures come late, without a browser. */
import { beforeEach, expect, test, vi } from "vitest";
import { type Backend, BackendError, type GalleryEntry, KeyNeeded } from "../../studio/src/lib/backend.ts";
import type { HistoryEntry } from "../../studio/src/lib/history-store.ts";
import { sortFiles } from "../../studio/src/lib/pictures.ts";
import type { History } from "../../studio/src/state/history.svelte.ts";

// Runes of Svelte as plain values: what is derived is not asked for here.
const plain = <T>(value: T): T => value;
vi.stubGlobal("$state", Object.assign(plain<unknown>, { raw: plain }));
vi.stubGlobal("$derived", plain);
const bitmap = { width: 1, height: 1, close: () => {} };
vi.stubGlobal(
  "createImageBitmap",
  vi.fn(async () => bitmap),
);
const { Board } = await import("../../studio/src/state/board.svelte.ts");
type Board = InstanceType<typeof Board>;

const plainNotes = { unread: 0, isColourMap: false, isMean: false };
const png = (name: string) => new File(["picture"], name, { type: "image/png" });
const entry: GalleryEntry = {
  id: "rain",
  seen: true,
  before: "/before",
  after: "/after",
  queries: ["/query"],
};

/** Holds back one call. */
class Gate {
  open = () => {};
  readonly opened = new Promise<void>((resolve) => {
    this.open = resolve;
  });
}

const picture = vi.fn<Backend["picture"]>();
beforeEach(() => void picture.mockReset().mockImplementation(async (address) => png(address)));
const makeBoard = () =>
  new Board({ largest: 1000, picture, inspect: async () => 1 } as unknown as Backend, {} as History);

/** Chooses the gallery entry. @returns a function that lets its pictures through, and waits for the board */
function chooseSlowly(board: Board): () => Promise<void> {
  const gate = new Gate();
  picture.mockImplementation(async (address) => {
    await gate.opened;
    return png(address);
  });
  const chosen = board.useGallery(entry);
  return () => {
    gate.open();
    return chosen;
  };
}

/** Takes a picture that is decoded slowly. @returns a function that lets it through, and waits for the board */
function takeSlowly(board: Board, name: string): () => Promise<void> {
  const gate = new Gate();
  vi.mocked(createImageBitmap).mockImplementationOnce(async () => {
    await gate.opened;
    return bitmap;
  });
  const taken = board.take([png(name)]);
  return () => {
    gate.open();
    return taken;
  };
}

const namesOn = ({ pairs, prompts, input }: Board) => ({
  pairs: pairs.map(({ before, after }) => [before?.name, after?.name]),
  prompts: prompts.map(({ name }) => name),
  input: input?.name,
});
const rain = ["Rain before", "Rain after"];

test("a picture that is still decoded when a gallery change replaces the examples becomes the picture to change", async () => {
  const board = makeBoard();
  const arrive = takeSlowly(board, "photo.png");
  await board.useGallery(entry);
  expect(namesOn(board)).toEqual({ pairs: [rain], prompts: [], input: "gallery Rain" });
  await arrive();
  expect(namesOn(board)).toEqual({ pairs: [rain], prompts: [], input: "photo.png" });
});

test("what comes too late for a board that was cleared is left out", async () => {
  const board = makeBoard();
  const arrivals = [takeSlowly(board, "photo.png"), chooseSlowly(board)];
  board.clear();
  for (const arrive of arrivals) await arrive();
  expect(namesOn(board)).toEqual({ pairs: [[undefined, undefined]], prompts: [], input: undefined });
});

test("a gallery change replaces the examples that it found; those that come meanwhile stay", async () => {
  const board = makeBoard();
  await board.take([png("1 before.png"), png("1 after.png"), new File([], "old.xprompt")]);
  const arrive = chooseSlowly(board);
  await board.take([png("2 before.png"), png("2 after.png"), new File([], "new.xprompt")]);
  await arrive();
  expect(namesOn(board)).toEqual({
    pairs: [rain, ["2 before.png", "2 after.png"]],
    prompts: ["new.xprompt"],
    input: "gallery Rain",
  });
});

test("a gallery change comes though examples were added and removed meanwhile", async () => {
  const board = makeBoard();
  await board.take(["1 before", "1 after", "2 before", "2 after"].map((name) => png(`${name}.png`)));
  const arrive = chooseSlowly(board);
  board.removePair(board.pairs[0]!.key);
  board.addEmptyPair();
  await arrive();
  expect(namesOn(board).pairs).toEqual([rain, [undefined, undefined]]);
});

test.each(["photo.png", "gallery wall.png"])(
  "a person's own %s is not replaced by the gallery's",
  async (name) => {
    const board = makeBoard();
    await board.take([png(name)], "input");
    await board.useGallery(entry);
    expect(picture.mock.calls.map(([address]) => address)).toEqual(["/before", "/after"]);
    expect(namesOn(board)).toEqual({ pairs: [rain], prompts: [], input: name });
  },
);

test.each([
  [
    ["before-1", "after-1", "before-2", "after-2"],
    [
      ["before-1", "after-1"],
      ["before-2", "after-2"],
    ],
  ],
  [
    ["2.output", "1.output", "2.input", "1.input"],
    [
      ["1.input", "1.output"],
      ["2.input", "2.output"],
    ],
  ],
  [
    ["b", "a", "d", "c"],
    [
      ["a", "b"],
      ["c", "d"],
    ],
  ],
])("files %j are the pairs %j", (names, pairs) => {
  const sorted = sortFiles(names.map((name) => png(`${name}.png`))).pairs;
  expect(sorted.map((pair) => pair.map(({ name }) => name.replace(".png", "")))).toEqual(pairs);
});

test("a picture is kept as it was when it came: its file may change", async () => {
  const board = makeBoard();
  const file = png("mine.png");
  await board.take([file], "input");
  expect(board.input?.blob).not.toBe(file);
  expect(await board.input?.blob.text()).toBe("picture");
  expect(board.input?.blob.type).toBe("image/png");
});

test("the words of a described example leave with it; the person's own stay", async () => {
  const board = makeBoard();
  board.useWords("it is gray");
  await board.useGallery(entry);
  expect(board.instruction).toBe("");
  board.useWords("it is gray");
  board.instruction = "gray, please";
  await board.useGallery(entry);
  expect(board.instruction).toBe("gray, please");
});

test.each([
  ["a sampled picture", {}, "more", { seed: 6, samples: 1 }],
  ["the mean, of which there is one", { isMean: true }, "variations", { seed: 6, samples: 4 }],
  ["a map of colours", { isColourMap: true, isMean: true }, "none", undefined],
])("what can be drawn besides %s", async (_, told, others, next) => {
  const asked: object[] = [];
  const generate: Backend["generate"] = async function* ({ seed, samples }) {
    asked.push({ seed, samples });
    const notes = { ...plainNotes, ...(samples === 1 && told) };
    for (let sample = 0; sample < samples; sample++)
      yield { kind: "finished", sample, picture: png("one.png"), seed: seed + sample, notes };
  };
  const kept = { add: async () => {} } as unknown as History;
  const board = new Board({ generate } as unknown as Backend, kept);
  expect(board.others).toBe("none");
  Object.assign(board, { instruction: "x", seed: 5 });
  await board.draw();
  expect(board.others).toBe(others);
  if (!next) return;
  await board.again();
  expect(asked.at(-1)).toEqual(next);
  expect(board.others).toBe("more");
  await board.again();
  expect(asked.at(-1)).toEqual({ ...next, seed: next.seed + next.samples });
});

test("a drawing has ended before the history has stored it", async () => {
  const gate = new Gate();
  const slow = { add: () => gate.opened } as unknown as History;
  const notes = plainNotes;
  const generate: Backend["generate"] = async function* () {
    yield { kind: "finished", sample: 0, picture: png("one.png"), seed: 1, notes };
  };
  const board = new Board({ generate } as unknown as Backend, slow);
  board.instruction = "x";
  const drawn = board.draw();
  await vi.waitFor(() => expect(board.drawing).toBe(false));
  expect(board.results).toHaveLength(1);
  gate.open();
  await drawn;
});

test("pictures of the person's own that are replaced can be brought back, those of the gallery need not", async () => {
  const board = makeBoard();
  await board.useGallery(entry);
  expect(board.replaced).toBeUndefined();
  board.clear();
  expect(board.replaced).toBeUndefined();
  await board.take([png("mine before.png"), png("mine after.png"), png("mine.png")]);
  board.instruction = "as mine";
  const own = namesOn(board);
  await board.useGallery({ ...entry, id: "snow" });
  expect(namesOn(board)).not.toEqual(own);
  board.bringBack();
  expect(namesOn(board)).toEqual(own);
  expect([board.instruction, board.replaced]).toEqual(["as mine", undefined]);
  board.clear();
  expect(board.untouched).toBe(true);
  board.bringBack();
  expect(namesOn(board)).toEqual(own);
});

test("that a key is needed is said by its form alone", async () => {
  const board = makeBoard();
  picture.mockRejectedValue(new KeyNeeded("The server does not know this key."));
  await board.useGallery(entry);
  expect(board.failures.examples).toBeUndefined();
});

test("a picture to try gives way to that of another entry", async () => {
  const board = makeBoard();
  await board.useGallery(entry);
  await board.useGallery({ ...entry, id: "snow" });
  expect(namesOn(board).input).toBe("gallery Snow");
});

test.each(["is stopped", "fails"])(
  "finished samples stay in the history when the drawing %s",
  async (end) => {
    const added: HistoryEntry[] = [];
    const kept = { add: async (entry: HistoryEntry) => void added.push(entry) } as unknown as History;
    const first = png("first.png");
    let board: Board;
    const generate: Backend["generate"] = async function* () {
      yield { kind: "waiting", ahead: 2 };
      expect(board.ahead).toBe(2);
      const notes = plainNotes;
      yield { kind: "finished", sample: 1, picture: first, seed: 8, notes };
      expect(board.ahead).toBe(0);
      if (end === "fails") throw new BackendError("no more");
      board.stop();
    };
    board = new Board({ generate } as unknown as Backend, kept);
    Object.assign(board, { instruction: "x", seed: 7, samples: 3 });
    await board.draw();
    expect(added).toMatchObject([{ instruction: "x", results: [{ picture: first, seed: 8 }] }]);
    expect(added[0]!.settings).toMatchObject({ seed: 7, samples: 3 });
    expect(board.failures.result).toBe(end === "fails" ? "no more" : undefined);
    expect(board.results.map(({ seed }) => seed)).toEqual([8]);
  },
);

test("a picture larger than the backend takes is refused where it was dropped", async () => {
  const board = makeBoard();
  await board.take([new File([new Uint8Array(1001)], "large.png", { type: "image/png" })], "input");
  expect(board.failures).toEqual({ input: "large.png is larger than 0.001 MB." });
});
