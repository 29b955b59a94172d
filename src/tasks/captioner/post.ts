/** @file One POST of JSON over HTTP, bounded in time and size, with retries after transient failures. */
import { setTimeout as sleep } from "node:timers/promises";
import { messageOf } from "../../errors.ts";

interface PostOptions {
  /** Sent as a bearer token. */
  readonly key: string;
  /** Retries after a transient failure. */
  readonly retries: number;
  /** Timeout of one try in seconds, from the request to the last byte of the answer. */
  readonly timeout: number;
  readonly signal?: AbortSignal;
}

/** A failed request. `status` is the HTTP status, "timeout" or "unreachable". */
export class ServerError extends Error {
  constructor(
    readonly status: number | "timeout" | "unreachable",
    message: string,
    /** Milliseconds to wait before a retry, if the server states them. */
    readonly retryAfter?: number,
  ) {
    super(message);
  }
}

const MAX_ANSWER_BYTES = 8 * 2 ** 20;
const FIRST_WAIT_MS = 500;
const LONGEST_WAIT_MS = 8_000;
const LONGEST_RETRY_AFTER_MS = 60_000;

/**
 * Posts `body` and returns the text of the answer. Redirects are not followed: the key is for this address only.
 * @throws ServerError after a timeout, for an answer over 8 MiB, or for a status other than 2xx
 * @throws the reason of `signal` once it is aborted
 */
export async function postJson(url: string, body: unknown, options: PostOptions): Promise<string> {
  const { retries, signal } = options;
  for (let attempt = 0; ; attempt++) {
    try {
      return await post(url, body, options);
    } catch (error) {
      signal?.throwIfAborted();
      if (!(error instanceof ServerError) || !mayPass(error) || attempt >= retries) throw error;
      const wait = error.retryAfter ?? Math.min(FIRST_WAIT_MS * 2 ** attempt, LONGEST_WAIT_MS);
      await sleep(wait, undefined, { signal }).catch(() => signal?.throwIfAborted());
    }
  }
}

const mayPass = ({ status }: ServerError): boolean =>
  typeof status === "string" || [408, 409, 429].includes(status) || status >= 500;

async function post(url: string, body: unknown, { key, timeout, signal }: PostOptions): Promise<string> {
  const late = AbortSignal.timeout(timeout * 1000);
  try {
    const response = await fetch(url, {
      method: "POST",
      redirect: "manual",
      headers: { "content-type": "application/json", authorization: `Bearer ${key}` },
      body: JSON.stringify(body),
      signal: signal ? AbortSignal.any([signal, late]) : late,
    });
    const text = await textOf(response);
    if (response.ok) return text;
    throw new ServerError(response.status, explain(response, text), retryAfterOf(response.headers));
  } catch (error) {
    if (error instanceof ServerError || signal?.aborted) throw error;
    if (late.aborted) throw new ServerError("timeout", `Request timed out after ${timeout} s`);
    const cause = error instanceof Error ? error.cause : undefined;
    throw new ServerError("unreachable", `no connection: ${messageOf(cause ?? error)}`);
  }
}

async function textOf(response: Response): Promise<string> {
  const chunks: Uint8Array[] = [];
  let bytes = 0;
  for await (const chunk of response.body ?? []) {
    bytes += chunk.length;
    if (bytes > MAX_ANSWER_BYTES)
      throw new ServerError(
        response.status,
        `${response.status} expected an answer of at most ${MAX_ANSWER_BYTES} bytes, got more`,
      );
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** `401 Incorrect API key`: the status, and the beginning of the server's message. */
function explain({ status, headers }: Response, text: string): string {
  const location = headers.get("location");
  if (status < 400 && location) return `${status} expected an answer, got a redirect to ${location}`;
  return `${status} ${text.trim().replace(/\s+/g, " ").slice(0, 200)}`.trim();
}

function retryAfterOf(headers: Headers): number | undefined {
  const milliseconds = Number(headers.get("retry-after-ms") ?? Number.NaN);
  const seconds = Number(headers.get("retry-after") ?? Number.NaN);
  const wait = Number.isFinite(milliseconds) ? milliseconds : seconds * 1000;
  return wait >= 0 && wait <= LONGEST_RETRY_AFTER_MS ? wait : undefined;
}
