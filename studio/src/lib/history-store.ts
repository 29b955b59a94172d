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

/** Adds a drawing. The oldest ones make room, where the browser has none left. */
export const addToHistory = (entry: HistoryEntry): Promise<void> =>
  withDatabase(async (db) => {
    for (let isKept = false; !isKept; ) isKept = await put(db, entry);
    await removeOldest(db, (await db.count("drawings")) - KEPT);
  });

/** @returns false if there was no room, and the oldest drawing has been removed for it */
async function put(db: Database, entry: HistoryEntry): Promise<boolean> {
  try {
    await db.put("drawings", entry);
    return true;
  } catch (error) {
    const isFull = error instanceof DOMException && error.name === "QuotaExceededError";
    if (!isFull || (await db.count("drawings")) === 0) throw error;
    await removeOldest(db, 1);
    return false;
  }
}

async function removeOldest(db: Database, count: number): Promise<void> {
  if (count <= 0) return;
  for (const key of await db.getAllKeysFromIndex("drawings", "time", null, count))
    await db.delete("drawings", key);
}

export const removeFromHistory = (id: string): Promise<void> =>
  withDatabase((db) => db.delete("drawings", id));

export const clearHistory = (): Promise<void> => withDatabase((db) => db.clear("drawings"));
