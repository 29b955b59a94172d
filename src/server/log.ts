/** @file The log of the server: one JSON object per line. */

export type Level = "info" | "warn" | "error";

export type Log = (level: Level, message: string, facts?: Readonly<Record<string, unknown>>) => void;

/** A log that writes lines, as `{"time":"2026-01-01T00:00:00.000Z","level":"info","message":"…",…}`. */
export const jsonLog =
  (write: (line: string) => void): Log =>
  (level, message, facts = {}) =>
    write(`${JSON.stringify({ time: new Date().toISOString(), level, message, ...facts })}\n`);
