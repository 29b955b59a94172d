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
  const kind = asked.input ? "image_edit" : "image_generation";
  const gone = new AbortController();
  const leave = () => gone.abort(signal.reason);
  signal.addEventListener("abort", leave, { once: true });
  let timer: NodeJS.Timeout | undefined;
  const body = new ReadableStream<Uint8Array>(
    {
      async start(controller) {
        const isBehind = () => (controller.desiredSize ?? 0) <= 0;
        const write = (text: string) => {
          if (!gone.signal.aborted) controller.enqueue(Buffer.from(text));
        };
        const send = (type: string, data: object) =>
          write(`event: ${type}\ndata: ${JSON.stringify({ type, ...data })}\n\n`);
        timer = setInterval(() => write(": waiting\n\n"), KEEP_ALIVE);
        const partials = new Map<number, number>();
        const sendRow = async (row: Row) => {
          if (!isWanted(row, asked) || isBehind()) return;
          const picture = await row.preview();
          send(`${kind}.partial_image`, {
            ...{ b64_json: await encoded(picture, { format: asked.format, quality: asked.quality }) },
            ...{
              partial_image_index: nextOf(partials, row.image),
              image_index: row.image,
              row: row.row,
              rows: row.rows,
            },
            ...{ created_at: now(), ...lookOf(asked, `${picture.width}x${picture.height}`) },
          });
        };
        try {
          let queued = 0;
          let waits = false;
          const arrived = performance.now();
          await services.queue.run(
            (inner) => {
              queued = performance.now() - arrived;
              return drawPictures(asked, services, {
                signal: inner,
                onRow: sendRow,
                onFinished: ({ image, seed, base64, size, usage, notes, timings }) => {
                  send(`${kind}.completed`, {
                    ...{
                      b64_json: base64,
                      image_index: image,
                      seed,
                      created_at: now(),
                      ...lookOf(asked, size),
                    },
                    ...{ usage, model: services.model, ...notes, timings: { queued, ...timings } },
                  });
                },
              });
            },
            {
              client,
              signal: gone.signal,
              onPosition: (position) => {
                // A client that had to wait is also told when its turn comes.
                if (asked.everyRow && (waits || position > 0)) send("xprompt.queued", { position });
                waits = position > 0;
              },
            },
          );
        } catch (error) {
          if (isServerFault(error, gone.signal))
            services.log("error", "a stream failed", { id, trace: traceOf(error) });
          const failure = failureOf(error, gone.signal);
          services.log("warn", "a stream ended early", {
            id,
            status: failure.status,
            error: failure.message,
          });
          send("error", bodyOf(failure));
        } finally {
          release();
          clearInterval(timer);
          signal.removeEventListener("abort", leave);
          if (!gone.signal.aborted) controller.close();
        }
      },
      cancel(reason) {
        gone.abort(reason ?? new Error("the client went away"));
      },
    },
    new ByteLengthQueuingStrategy({ highWaterMark: BEHIND }),
  );
  return new Response(body, {
    headers: { "content-type": "text/event-stream", "cache-control": "no-store", "x-accel-buffering": "no" },
  });
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
