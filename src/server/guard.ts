/** @file Access control: API keys, and no web pages of other origins. */
import { isIP } from "node:net";
import { Failure } from "./failure.ts";
import type { Keys } from "./keys.ts";

export interface GuardOptions {
  /** Without keys, everyone who reaches the port has access. */
  readonly keys?: Keys;
  /** Origins of web pages with access, besides the server's own: `https://example.org`. */
  readonly origins: readonly string[];
  /**
   * Allowed host names of the server; any if undefined. "private": addresses, and names that only a private network
   * knows, or that `origins` have: a public name could belong to a web page with DNS rebinding.
   */
  readonly hosts?: readonly string[] | "private";
}

/** Local names, which no name server resolves. */
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
  if (hosts === "private") {
    const isNamed = origins.some((each) => URL.canParse(each) && new URL(each).hostname === hostname);
    if (!isPublic && !isPrivate(hostname) && !isNamed)
      throw wrongHost(
        "an address, a name of a private network, or keys",
        hostname,
        ` (allow it with --origin, or use --keys)`,
      );
  } else if (hosts && !hosts.includes(hostname)) throw wrongHost(`the host ${hosts.join(" or ")}`, hostname);
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

const wrongHost = (expected: string, got: string, advice = ""): Failure =>
  new Failure(403, `asking: expected ${expected}, got ${got.slice(0, 100)}${advice}`, { code: "wrong_host" });

/** An address, or a name that is no public one: a single word, or one that ends in a domain for private networks. */
const isPrivate = (hostname: string): boolean =>
  isIP(hostname.replace(/^\[|\]$/g, "")) !== 0 ||
  !hostname.includes(".") ||
  /\.(local|localhost|lan|internal|home\.arpa)$/.test(hostname);

const isOwn = (origin: string, host: string): boolean =>
  URL.canParse(origin) && new URL(origin).host === host;
