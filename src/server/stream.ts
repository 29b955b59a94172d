/** @file Server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html) of a request for pictures. */
import type { AskedPictures } from "./asked-pictures.ts";
import { now } from "./clock.ts";
import { drawPictures, lookOf, type Row } from "./draw.ts";
import { bodyOf, failureOf, isServerFault, traceOf } from "./failure.ts";
import { encoded } from "./pictures.ts";
import type { Services } from "./services.ts";

/** Milliseconds between keep-alive comments. */
const KEEP_ALIVE = 15_000;
/** Unread bytes of a client beyond which partial pictures are skipped. */
const BEHIND = 2 ** 20;

export interface Streaming {
  readonly client: string;
  readonly signal: AbortSignal;
  readonly id: string;
  /** Called at the end. */
  release(): void;
}

/**
 * The response to a request with `stream`. Later failures are sent as events.
 * @throws Failure 429 when the queue is full
 */
export function streamPictures(
  asked: AskedPictures,
  services: Services,
  { client, signal, id, release }: Streaming,
): Response {
  services.queue.admit(client);
  const gone = new AbortController();
  const leave = () => gone.abort(signal.reason);
  signal.addEventListener("abort", leave, { once: true });
  const source: UnderlyingDefaultSource<Uint8Array> = {
    async start(controller) {
      const events = new Events(controller, gone.signal);
      try {
        await sendPictures(events, asked, services, { client, signal: gone.signal });
      } catch (error) {
        if (isServerFault(error, gone.signal))
          services.log("error", "a stream failed", { id, trace: traceOf(error) });
        const failure = failureOf(error, gone.signal);
        const { status, message } = failure;
        services.log("warn", "a stream ended early", { id, status, error: message });
        events.send("error", bodyOf(failure));
      } finally {
        release();
        signal.removeEventListener("abort", leave);
        events.end();
      }
    },
    cancel(reason) {
      gone.abort(reason ?? new Error("the client went away"));
    },
  };
  const body = new ReadableStream(source, new ByteLengthQueuingStrategy({ highWaterMark: BEHIND }));
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" },
  });
}

/** Waits for the request's turn, draws its pictures, and sends partial and finished ones. */
async function sendPictures(
  events: Events,
  asked: AskedPictures,
  services: Services,
  { client, signal }: Pick<Streaming, "client" | "signal">,
): Promise<void> {
  const kind = asked.input ? "image_edit" : "image_generation";
  const { format, quality } = asked;
  const partials = new Map<number, number>();
  const onRow = async (row: Row) => {
    if (!isWanted(row, asked) || events.isBehind) return;
    const picture = await row.preview();
    events.send(`${kind}.partial_image`, {
      b64_json: await encoded(picture, { format, quality }),
      partial_image_index: nextOf(partials, row.image),
      image_index: row.image,
      row: row.row,
      rows: row.rows,
      created_at: now(),
      ...lookOf(asked, `${picture.width}x${picture.height}`),
    });
  };
  const arrived = performance.now();
  const draw = (inner: AbortSignal) => {
    const queued = performance.now() - arrived;
    return drawPictures(asked, services, {
      signal: inner,
      onRow,
      onFinished: ({ image, seed, base64, size, usage, notes, timings }) =>
        events.send(`${kind}.completed`, {
          b64_json: base64,
          image_index: image,
          seed,
          created_at: now(),
          ...lookOf(asked, size),
          ...{ usage, model: services.model, ...notes, timings: { queued, ...timings } },
        }),
    });
  };
  let waits = false;
  const onPosition = (position: number) => {
    // A client that had to wait is also told when its turn comes.
    if (asked.everyRow && (waits || position > 0)) events.send("xprompt.queued", { position });
    waits = position > 0;
  };
  await services.queue.run(draw, { client, signal, onPosition });
}

/** The events of one response. Nothing is written once the client is gone. */
class Events {
  private readonly timer = setInterval(() => this.write(": waiting\n\n"), KEEP_ALIVE);

  constructor(
    private readonly controller: ReadableStreamDefaultController<Uint8Array>,
    private readonly gone: AbortSignal,
  ) {}

  /** Whether the client has not read what was sent. */
  get isBehind(): boolean {
    return (this.controller.desiredSize ?? 0) <= 0;
  }

  send(type: string, data: object): void {
    this.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
  }

  end(): void {
    clearInterval(this.timer);
    if (!this.gone.aborted) this.controller.close();
  }

  private write(text: string): void {
    if (!this.gone.aborted) this.controller.enqueue(Buffer.from(text));
  }
}

/** Increments and returns the count of a key. */
function nextOf(counts: Map<number, number>, key: number): number {
  const count = counts.get(key) ?? 0;
  counts.set(key, count + 1);
  return count;
}

/** Whether a partial picture is sent after a row: after every row, or for a number of evenly spaced rows. */
export function isWanted(
  { row, rows }: Pick<Row, "row" | "rows">,
  asked: Pick<AskedPictures, "everyRow" | "partials">,
): boolean {
  if (row === rows) return false;
  if (asked.everyRow) return true;
  return Array.from({ length: asked.partials }, (_, i) =>
    Math.round(((i + 1) * rows) / (asked.partials + 1)),
  ).includes(row);
}
