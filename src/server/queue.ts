/** @file A bounded first-come, first-served queue in front of the engine. A client that disconnects frees its place. */
import { Failure } from "./failure.ts";

export interface QueueOptions {
  /** The most running requests. */
  readonly width: number;
  /** The most waiting requests. */
  readonly depth: number;
  /** The most requests of one client, waiting and running. */
  readonly perClient: number;
  /** Seconds that a request may run, without its time in the queue. */
  readonly timeLimit: number;
}

export interface Ticket {
  /** Aborts when the client disconnects. */
  readonly signal?: AbortSignal;
  /** The client: the name of a key, or an address. */
  readonly client: string;
  /** Called with the number of requests ahead, at once and whenever it has changed; 0 when the work starts. */
  onPosition?(position: number): void;
}

interface Entry {
  readonly client: string;
  readonly controller: AbortController;
  readonly begin: () => void;
  readonly onPosition: (position: number) => void;
}

/** Number of recent requests whose durations predict the next ones. */
const REMEMBERED = 20;

const shuttingDown = () =>
  new Failure(503, "the server is shutting down (try again later)", {
    code: "shutting_down",
    retryAfter: 10,
  });

export class Queue {
  private readonly waiting: Entry[] = [];
  private readonly running = new Set<Entry>();
  /** Durations of the most recent requests, in seconds. */
  private readonly durations: number[] = [];
  private closed = false;
  private readonly onIdle: (() => void)[] = [];

  constructor(readonly options: QueueOptions) {}

  get sizes(): { readonly waiting: number; readonly running: number } {
    return { waiting: this.waiting.length, running: this.running.size };
  }

  get isClosed(): boolean {
    return this.closed;
  }

  /**
   * Runs `work` when its turn comes.
   * @returns the result of `work`, and the waiting time in milliseconds
   * @throws Failure 429 when the queue is full, 503 when it is closed, 504 when the work took too long
   * @throws the reason of the ticket's signal
   */
  async run<T>(
    work: (signal: AbortSignal) => Promise<T>,
    ticket: Ticket,
  ): Promise<{ readonly value: T; readonly queued: number }> {
    this.admit(ticket.client);
    const arrived = performance.now();
    const controller = new AbortController();
    const leave = () => controller.abort(ticket.signal!.reason);
    if (ticket.signal?.aborted) throw ticket.signal.reason;
    ticket.signal?.addEventListener("abort", leave, { once: true });
    let timer: NodeJS.Timeout | undefined;
    let entry: Entry | undefined;
    try {
      entry = await this.turn(controller, ticket);
      const started = performance.now();
      timer = setTimeout(() => controller.abort(this.tooLong()), this.options.timeLimit * 1000);
      const value = await work(controller.signal);
      this.remember((performance.now() - started) / 1000);
      return { value, queued: started - arrived };
    } finally {
      clearTimeout(timer);
      ticket.signal?.removeEventListener("abort", leave);
      if (entry) this.running.delete(entry);
      this.advance();
    }
  }

  /** Accepts no more requests; resolves when all accepted ones have ended. */
  async close(): Promise<void> {
    this.closed = true;
    if (this.waiting.length + this.running.size === 0) return;
    await new Promise<void>((resolve) => {
      this.onIdle.push(resolve);
    });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Ends all waiting and running requests. */
  abort(): void {
    for (const { controller } of [...this.waiting, ...this.running]) controller.abort(shuttingDown());
  }

  /** Expected waiting time of a new request in seconds, from recent durations. */
  get expectedWait(): number {
    const mean = this.durations.reduce((sum, each) => sum + each, 0) / Math.max(1, this.durations.length);
    const { waiting, running } = this.sizes;
    return Math.min(600, Math.max(1, Math.ceil((mean * (waiting + running)) / this.options.width)));
  }

  /** @throws Failure 429 when there is no place for the client, 503 when the queue is closed */
  admit(client: string): void {
    const { width, depth, perClient } = this.options;
    if (this.closed) throw shuttingDown();
    const retry = { code: "queue_full", retryAfter: this.expectedWait };
    if (this.waiting.length >= depth && this.running.size >= width)
      throw new Failure(
        429,
        `queueing: expected a free place, got ${depth} waiting requests (try again later)`,
        retry,
      );
    const own = [...this.waiting, ...this.running].filter((entry) => entry.client === client).length;
    if (own >= perClient)
      throw new Failure(
        429,
        `queueing: expected at most ${perClient} requests of one client at a time, got another (wait for one to end)`,
        retry,
      );
  }

  private turn(controller: AbortController, { client, onPosition }: Ticket): Promise<Entry> {
    return new Promise((resolve, reject) => {
      const { signal } = controller;
      let told: number | undefined;
      const onAbort = () => {
        this.waiting.splice(this.waiting.indexOf(entry), 1);
        this.tellPositions();
        reject(signal.reason);
      };
      const entry: Entry = {
        client,
        controller,
        onPosition(position) {
          if (position !== told) onPosition?.(position);
          told = position;
        },
        begin: () => {
          signal.removeEventListener("abort", onAbort);
          this.running.add(entry);
          resolve(entry);
        },
      };
      signal.addEventListener("abort", onAbort, { once: true });
      this.waiting.push(entry);
      this.advance();
    });
  }

  private advance(): void {
    while (this.running.size < this.options.width && this.waiting.length > 0) {
      const entry = this.waiting.shift()!;
      entry.onPosition(0);
      entry.begin();
    }
    this.tellPositions();
    if (this.waiting.length + this.running.size === 0) for (const tell of this.onIdle.splice(0)) tell();
  }

  private tellPositions(): void {
    for (const [i, { onPosition }] of this.waiting.entries()) onPosition(i + this.running.size);
  }

  private remember(seconds: number): void {
    this.durations.push(seconds);
    if (this.durations.length > REMEMBERED) this.durations.shift();
  }

  private tooLong(): Failure {
    const { timeLimit } = this.options;
    return new Failure(
      504,
      `generating: expected at most ${timeLimit} s, took longer (request fewer or smaller pictures; with many workers, look whether any is running)`,
      {
        code: "timeout",
      },
    );
  }
}
