/** @file What was drawn, kept in the browser's IndexedDB, so that it survives a reload. */
import { type DBSchema, type IDBPDatabase, openDB } from "idb";
import type { Picture } from "./pictures.ts";

export interface PromptFile {
  readonly blob: Blob;
  readonly name: string;
  readonly examples: number;
}

export interface Settings {
  readonly seed: number;
  readonly samples: number;
  readonly temperature?: number;
  readonly guidance?: number;
  readonly fullSize: boolean;
  /** Missing in drawings of before there was a choice. */
  readonly exampleColours?: boolean;
}

export interface Result {
  readonly picture: Blob;
  readonly seed: number;
}

/** A drawing, and all that it takes to make it again. */
export interface HistoryEntry {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  readonly examples: readonly { readonly before: Picture; readonly after: Picture }[];
  readonly prompts: readonly PromptFile[];
  readonly input?: Picture;
  readonly instruction: string;
  readonly settings: Settings;
  readonly results: readonly Result[];
}

interface Schema extends DBSchema {
  drawings: { key: string; value: HistoryEntry; indexes: { time: number } };
}

/** Older drawings make room for new ones. */
export const KEPT = 200;

type Database = IDBPDatabase<Schema>;

async function withDatabase<T>(work: (db: Database) => Promise<T>): Promise<T> {
  const db = await openDB<Schema>("xprompt-studio", 1, {
    upgrade: (made) => made.createObjectStore("drawings", { keyPath: "id" }).createIndex("time", "time"),
  });
  try {
    return await work(db);
  } finally {
    db.close();
  }
}

/** The newest first. */
export const loadHistory = (): Promise<HistoryEntry[]> =>
  withDatabase(async (db) => (await db.getAllFromIndex("drawings", "time")).reverse());

/**
 * Adds a drawing. Where the browser has no room left, the oldest drawings are removed, but only as many as take the same
 * room: if that is not enough, it is no use to remove more.
 */
export const addToHistory = (entry: HistoryEntry): Promise<void> =>
  withDatabase(async (db) => {
    try {
      await db.put("drawings", entry);
    } catch (error) {
      if (!(error instanceof DOMException && error.name === "QuotaExceededError")) throw error;
      await makeRoom(db, bytesOf(entry));
      await db.put("drawings", entry);
    }
    const extra = (await db.count("drawings")) - KEPT;
    if (extra <= 0) return;
    for (const key of await db.getAllKeysFromIndex("drawings", "time", null, extra))
      await db.delete("drawings", key);
  });

/** Removes the oldest drawings that together have so many bytes. */
async function makeRoom(db: Database, bytes: number): Promise<void> {
  const { store, done } = db.transaction("drawings", "readwrite");
  let left = bytes;
  for (let at = await store.index("time").openCursor(); at && left > 0; at = await at.continue()) {
    left -= bytesOf(at.value);
    await at.delete();
  }
  await done;
}

const bytesOf = ({ examples, prompts, input, results }: HistoryEntry): number =>
  [
    ...examples.flatMap(({ before, after }) => [before.blob, after.blob]),
    ...prompts.map(({ blob }) => blob),
    ...(input ? [input.blob] : []),
    ...results.map(({ picture }) => picture),
  ].reduce((sum, { size }) => sum + size, 0);

export const removeFromHistory = (id: string): Promise<void> =>
  withDatabase((db) => db.delete("drawings", id));

export const clearHistory = (): Promise<void> => withDatabase((db) => db.clear("drawings"));
