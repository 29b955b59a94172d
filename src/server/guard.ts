/** @file Who may ask: API keys, and no web pages of other origins. */
import { Failure } from "./failure.ts";
import type { Keys } from "./keys.ts";

export interface GuardOptions {
  /** Without keys, all who reach the port may ask. */
  readonly keys?: Keys;
  /** Origins of web pages that may ask beside the server's own: `https://example.org`. */
  readonly origins: readonly string[];
  /** Host names by which the server may be called; any where there are none. */
  readonly hosts?: readonly string[];
}

/** Names of this machine that no name server gives away: others may be a web page that rebinds its name. */
export const loopbackHosts: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];

/** @returns who asks, as far as a key tells. @throws Failure 401 or 403 */
export function checkCaller(
  request: Request,
  isPublic: boolean,
  { keys, origins, hosts }: GuardOptions,
): string | undefined {
  const { host, hostname } = new URL(request.url);
  if (hosts && !hosts.includes(hostname))
    throw new Failure(403, `asking: expected the host ${hosts.join(" or ")}, got ${hostname.slice(0, 100)}`, {
      code: "wrong_host",
    });
  const origin = request.headers.get("origin");
  if (origin !== null && !isOwn(origin, host) && !origins.includes(origin))
    throw new Failure(
      403,
      `asking: expected a page of this server, got one of ${origin.slice(0, 100)} (allow it with --origin)`,
      {
        code: "wrong_origin",
      },
    );
  if (!keys) return undefined;
  const name = keys.nameOf(request.headers.get("authorization"));
  if (name === undefined && !isPublic)
    throw new Failure(
      401,
      "asking: expected the header Authorization: Bearer KEY with one of the server's keys",
      {
        code: "invalid_api_key",
      },
    );
  return name;
}

const isOwn = (origin: string, host: string): boolean =>
  URL.canParse(origin) && new URL(origin).host === host;
