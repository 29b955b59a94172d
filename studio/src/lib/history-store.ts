/** @file What was drawn, kept in the browser's IndexedDB, so that it survives a reload. */
import { type DBSchema, openDB } from "idb";
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
const KEPT = 200;

const database = () =>
  openDB<Schema>("xprompt-studio", 1, {
    upgrade: (db) => db.createObjectStore("drawings", { keyPath: "id" }).createIndex("time", "time"),
  });

/** The newest first. */
export async function loadHistory(): Promise<HistoryEntry[]> {
  const db = await database();
  const entries = await db.getAllFromIndex("drawings", "time");
  db.close();
  return entries.reverse();
}

export async function addToHistory(entry: HistoryEntry): Promise<void> {
  const db = await database();
  const transaction = db.transaction("drawings", "readwrite");
  await transaction.store.put(entry);
  const keys = await transaction.store.index("time").getAllKeys();
  for (const key of keys.slice(0, Math.max(0, keys.length - KEPT))) await transaction.store.delete(key);
  await transaction.done;
  db.close();
}

export async function removeFromHistory(id: string): Promise<void> {
  const db = await database();
  await db.delete("drawings", id);
  db.close();
}

export async function clearHistory(): Promise<void> {
  const db = await database();
  await db.clear("drawings");
  db.close();
}
