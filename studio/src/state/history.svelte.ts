/** @file The history as the page shows it. */

import type { HistoryEntry } from "../lib/history-store.ts";
import * as store from "../lib/history-store.ts";

export class History {
  entries = $state.raw<readonly HistoryEntry[]>([]);
  /** Why the history is not kept, where it is not. */
  problem = $state("");

  /** Changes wait until what was kept is there. */
  private readonly loaded = this.attempt(async () => {
    this.entries = await store.loadHistory();
  });

  async add(entry: HistoryEntry): Promise<void> {
    await this.loaded;
    this.entries = [entry, ...this.entries].slice(0, store.KEPT);
    return this.attempt(() => store.addToHistory(entry));
  }

  async remove(id: string): Promise<void> {
    await this.loaded;
    this.entries = this.entries.filter((entry) => entry.id !== id);
    return this.attempt(() => store.removeFromHistory(id));
  }

  async clear(): Promise<void> {
    await this.loaded;
    this.entries = [];
    return this.attempt(store.clearHistory);
  }

  private async attempt(work: () => Promise<void>): Promise<void> {
    try {
      await work();
      this.problem = "";
    } catch (error) {
      this.problem = `This browser does not keep the history: ${error instanceof Error ? error.message : error}`;
    }
  }
}
