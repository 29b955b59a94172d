/** @file The tools over HTTP. Requests are stateless: there are no sessions. */
import { XPromptError } from "../../errors.ts";
import { packageVersion } from "../files.ts";
import type { Services } from "../services.ts";
import { readDataUrl } from "./pictures.ts";
import { loadMcp, mcpFactory } from "./server.ts";

export type McpOverHttp = (request: Request, client: string) => Promise<Response>;

/** @returns undefined if the package is not installed */
export async function mcpHandler(services: Services): Promise<McpOverHttp | undefined> {
  try {
    const { createMcpHandler } = await loadMcp("serving MCP");
    const make = await mcpFactory(packageVersion());
    const pictures = "A PNG, JPEG or WebP as a data URL: data:image/png;base64,…";
    return async (request, client) => {
      const { bytes, release } = await services.bodies.read(request);
      try {
        const handler = createMcpHandler(() => make({ services, client, read: readDataUrl, pictures }), {
          maxRequestBodySize: services.bodies.perRequest,
          onerror: (error) => services.log("warn", "MCP", { error: error.message }),
        });
        return whenEnded(await handler.fetch(withBody(request, bytes)), release);
      } catch (error) {
        release();
        throw error;
      }
    };
  } catch (error) {
    if (!(error instanceof XPromptError)) throw error;
    services.log("info", "no /mcp", { reason: error.message });
    return undefined;
  }
}

/** The request, whose body has been read already. */
const withBody = ({ url, method, headers, signal }: Request, bytes: Uint8Array<ArrayBuffer>): Request =>
  new Request(url, { method, headers, signal, ...(bytes.length > 0 && { body: bytes }) });

/** The response; calls `release` when its body has ended, for tools run until then. */
function whenEnded(response: Response, release: () => void): Response {
  const { body, status, headers } = response;
  if (!body) {
    release();
    return response;
  }
  const { readable, writable } = new TransformStream<Uint8Array, Uint8Array>();
  // A client that leaves is no failure.
  void body
    .pipeTo(writable)
    .catch(() => {})
    .finally(release);
  return new Response(readable, { status, headers });
}
