/** @file The connection to Redis: made at once or refused, and made again whenever it breaks later. */
import { setTimeout as sleep } from "node:timers/promises";
import type { Redis, RedisOptions } from "ioredis";
import { firstLineOf, UsageError, XPromptError } from "../errors.ts";
import { loadOptional } from "../optional.ts";

/** Milliseconds until a connection that was never made is given up. */
const PATIENCE = 5000;
/** Most milliseconds that the last answers are waited for. */
const GOODBYE = 500;
/** Most milliseconds between two attempts to make a broken connection again. */
const LONGEST_PAUSE = 2000;

/** The optional packages, as `npm install` takes them. */
export const PACKAGES = "bullmq@6.7.0 ioredis@6.0.0";

const doing = "connecting to Redis";

export interface OpenOptions {
  /** `redis://HOST:PORT`, `rediss://…` (TLS) or `unix:///PATH`, with a user, a password and a database number or without. */
  readonly url: string;
  /** Defaults to XPROMPT_REDIS_PASSWORD of the environment, where the URL has none. */
  readonly password?: string;
  /** Called when the connection breaks, and when it is back. */
  readonly log?: (line: string) => void;
}

/** The URL without its password and user, for messages. */
export function shownUrl(url: string): string {
  const { protocol, host, pathname } = checkedUrl(url);
  return `${protocol}//${host}${pathname === "/" ? "" : pathname}`;
}

/**
 * Connects to Redis.
 * @throws XPromptError ERR_QUEUE when it does not answer within five seconds, or refuses the password
 * @throws UsageError for a URL of another kind
 */
export async function openRedis({ url, password, log = () => {} }: OpenOptions): Promise<Redis> {
  const shown = shownUrl(url);
  const { Redis } = await loadOptional(doing, PACKAGES, () => import("ioredis"));
  const redis = new Redis({
    ...settingsOf(url, password),
    lazyConnect: true,
    connectTimeout: PATIENCE,
    // Commands wait while the connection is away.
    maxRetriesPerRequest: null,
    retryStrategy: (times) => Math.min(50 * 2 ** Math.min(times, 10), LONGEST_PAUSE),
  });
  let failure: unknown;
  redis.on("error", (error) => {
    failure = error;
  });
  try {
    await answering(redis);
  } catch (error) {
    redis.disconnect();
    throw new XPromptError(
      `${doing} at ${shown}: expected an answer, got: ${reasonOf(failure ?? error)} (start Redis, or check the address and the password)`,
      { code: "ERR_QUEUE" },
    );
  }
  let isAway = false;
  redis.on("reconnecting", () => {
    if (!isAway) log(`Redis at ${shown} is away: connecting again`);
    isAway = true;
  });
  redis.on("ready", () => {
    log(`Redis at ${shown} is back`);
    isAway = false;
  });
  return redis;
}

/** Connects and leaves again: for a check before long work. @throws what `openRedis` throws */
export async function checkRedis(options: OpenOptions): Promise<void> {
  await closeRedis(await openRedis(options));
}

/** Closes a connection after the answers that are on their way, unless Redis is away. */
export async function closeRedis(redis: Redis): Promise<void> {
  if (redis.status === "ready")
    await Promise.race([redis.quit().catch(() => {}), sleep(GOODBYE, undefined, { ref: false })]);
  redis.disconnect();
}

/** Settles once Redis has answered a PING. The first failure ends the attempt. */
function answering(redis: Redis): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer in ${PATIENCE / 1000} s`)), PATIENCE);
    const settle = (act: () => void) => () => {
      clearTimeout(timer);
      act();
    };
    redis.once(
      "close",
      settle(() => reject(new Error("the connection was closed"))),
    );
    redis
      .connect()
      .then(() => redis.ping())
      .then(settle(resolve), (error: unknown) => settle(() => reject(error))());
  });
}

/** Of a host with several addresses, Node puts the reasons into `errors`. */
function reasonOf(error: unknown): string {
  const [first] = error instanceof AggregateError ? error.errors : [];
  const reason = firstLineOf(first ?? error) || "no connection";
  return reason.startsWith("NOAUTH") ? "a demand for a password" : reason;
}

function checkedUrl(url: string): URL {
  const parsed = URL.canParse(url) ? new URL(url) : undefined;
  const isKnown = parsed && ["redis:", "rediss:", "unix:"].includes(parsed.protocol);
  if (isKnown && (parsed.protocol === "unix:" ? parsed.pathname.length > 1 : parsed.hostname !== ""))
    return parsed;
  throw new UsageError(
    `${doing}: expected redis://HOST:PORT, rediss://HOST:PORT or unix:///PATH, got ${parsed ? `${parsed.protocol}…` : "something else"}`,
  );
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new UsageError(
      `${doing}: expected %25 for a percent sign in the address, got % without two hexadecimal digits`,
    );
  }
}

function settingsOf(url: string, given?: string): RedisOptions {
  const { protocol, hostname, port, username, password, pathname, searchParams } = checkedUrl(url);
  const isSocket = protocol === "unix:";
  const database = isSocket ? (searchParams.get("db") ?? "0") : pathname.slice(1) || "0";
  if (!/^\d{1,5}$/.test(database))
    throw new UsageError(
      `${doing}: expected a database number after the address, got ${database.slice(0, 20)}`,
    );
  const secret = password ? decoded(password) : (given ?? process.env.XPROMPT_REDIS_PASSWORD);
  return {
    ...(isSocket ? { path: decoded(pathname) } : { host: hostname.replace(/^\[|\]$/g, "") }),
    ...(!isSocket && { port: Number(port || 6379) }),
    ...(protocol === "rediss:" && { tls: {} }),
    ...(username !== "" && { username: decoded(username) }),
    ...(secret ? { password: secret } : {}),
    db: Number(database),
  };
}
