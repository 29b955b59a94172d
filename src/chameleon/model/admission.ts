/** @file Admission to a batch: requests join in order of arrival as long as they fit the limits. */
import { XPromptError } from "../../errors.ts";
import { formatBytes } from "../../format.ts";
import { availableMemory } from "../../runtime/available-memory.ts";
import { requireRoom } from "../../runtime/memory.ts";
import type { DecoderConfig } from "../checkpoint/config.ts";
import { sequencesMemory } from "./memory.ts";

/** The most that a request will need. */
export interface BatchNeed {
  /** What the request does, for errors: "generating". */
  readonly doing: string;
  readonly rows: number;
  /** Slots of the longest row, prefix included. */
  readonly slots: number;
  /** The most tokens per row of a step. Defaults to 1. */
  readonly perStep?: number;
  /** Cancels the wait. */
  readonly signal?: AbortSignal;
}

export interface BatchLimits {
  /**
   * Bytes of the cache and the activations of a step. Defaults to half of the free memory when the first request joins.
   */
  readonly maxBytes?: number;
  /** Rows beyond which requests wait. A request that alone has more rows runs alone. */
  readonly maxRows: number;
}

const ADVICE = "use fewer samples, fewer examples or a shorter prompt, or no guidance";

export class Admission {
  private readonly admitted = new Set<BatchNeed>();
  private maxBytes: number;
  /** In order of arrival. */
  private readonly waiting: { readonly need: BatchNeed; readonly admit: () => void }[] = [];

  /** @param limits undefined: limited by the free memory alone */
  constructor(
    private readonly config: DecoderConfig,
    private readonly limits?: BatchLimits,
  ) {
    this.maxBytes = limits?.maxBytes ?? Number.NaN;
  }

  /**
   * Waits until there is room.
   * @throws XPromptError when the request can never fit
   * @throws the signal's reason when it is aborted
   */
  async enter(need: BatchNeed): Promise<void> {
    const { doing, rows, slots, signal } = need;
    const bytes = sequencesMemory(this.config, rows, slots, need.perStep);
    const what = `${rows} sequences of ${slots} tokens, one per sample and guidance condition`;
    if (!this.limits) await requireRoom(doing, bytes, what, ADVICE);
    else if (Number.isNaN(this.maxBytes)) this.maxBytes = (await availableMemory()) / 2;
    if (bytes > this.maxBytes)
      throw new XPromptError(
        `${doing}: expected at most ${formatBytes(this.maxBytes)} for a batch, got ${formatBytes(bytes)} for ${what} (${ADVICE}; or raise the byte limit of the batch)`,
        { code: "ERR_MEMORY" },
      );
    signal?.throwIfAborted();
    if (this.waiting.length === 0 && this.hasRoomFor(need)) {
      this.admitted.add(need);
      return;
    }
    await this.turn(need);
  }

  /** Releases what a request took. */
  leave(need: BatchNeed): void {
    this.admitted.delete(need);
    this.admitNext();
  }

  private turn(need: BatchNeed): Promise<void> {
    return new Promise((resolve, reject) => {
      const place = {
        need,
        admit: () => {
          need.signal?.removeEventListener("abort", abort);
          resolve();
        },
      };
      const abort = () => {
        this.waiting.splice(this.waiting.indexOf(place), 1);
        reject(need.signal!.reason);
        this.admitNext(); // the next one may fit
      };
      need.signal?.addEventListener("abort", abort, { once: true });
      this.waiting.push(place);
    });
  }

  private admitNext(): void {
    for (let next = this.waiting[0]; next && this.hasRoomFor(next.need); next = this.waiting[0]) {
      this.waiting.shift();
      this.admitted.add(next.need);
      next.admit();
    }
  }

  private hasRoomFor(need: BatchNeed): boolean {
    if (!this.limits || this.admitted.size === 0) return true;
    const all = [...this.admitted, need];
    const rows = all.reduce((sum, each) => sum + each.rows, 0);
    const slots = Math.max(...all.map((each) => each.slots));
    const perStep = Math.max(...all.map((each) => each.perStep ?? 1));
    const bytes = sequencesMemory(this.config, rows, slots, perStep);
    return rows <= this.limits.maxRows && bytes <= this.maxBytes;
  }
}
