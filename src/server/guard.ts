/** @file Access control: API keys, and no web pages of other origins. */
import { Failure } from "./failure.ts";
import type { Keys } from "./keys.ts";

export interface GuardOptions {
  /** Without keys, everyone who reaches the port has access. */
  readonly keys?: Keys;
  /** Origins of web pages with access, besides the server's own: `https://example.org`. */
  readonly origins: readonly string[];
  /** Allowed host names of the server; any if undefined. */
  readonly hosts?: readonly string[];
}

/** Local names, which no name server resolves. Other names could belong to a web page with DNS rebinding. */
export const loopbackHosts: readonly string[] = ["localhost", "127.0.0.1", "[::1]"];

/** Whether only this machine reaches an address to listen on. */
export const isLoopback = (address: string): boolean =>
  loopbackHosts.includes(address.includes(":") ? `[${address}]` : address);

/** @returns the client's name, if it has a key. @throws Failure 401 or 403 */
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
