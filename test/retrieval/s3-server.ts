/**
 * @file A small S3 server in memory: objects, ranges, conditional puts, listings and parts. It checks no signatures.
 */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface ObjectStore {
  /** LanceDB's options for this server. */
  readonly storageOptions: Readonly<Record<string, string>>;
  /** Objects by `bucket/key`. */
  readonly objects: Map<string, Buffer>;
  close(): Promise<void>;
}

interface Request {
  readonly method: string;
  /** `bucket/key` */
  readonly path: string;
  readonly query: URLSearchParams;
  readonly headers: IncomingMessage["headers"];
  readonly body: Buffer;
}

interface Answer {
  readonly status?: number;
  readonly headers?: Readonly<Record<string, string | number>>;
  readonly body?: string | Buffer;
}

export async function startObjectStore(): Promise<ObjectStore> {
  const objects = new Map<string, Buffer>();
  const uploads = new Map<string, Map<number, Buffer>>();
  const server = createServer((incoming, response) => {
    const chunks: Buffer[] = [];
    incoming.on("data", (chunk) => chunks.push(chunk));
    incoming.on("end", () => {
      const { pathname, searchParams } = new URL(incoming.url!, "http://localhost");
      const request = {
        method: incoming.method!,
        path: decodeURIComponent(pathname.slice(1)),
        query: searchParams,
        headers: incoming.headers,
        body: Buffer.concat(chunks),
      };
      send(response, answer(request, objects, uploads), incoming.method === "HEAD");
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return {
    objects,
    storageOptions: {
      endpoint: `http://127.0.0.1:${port}`,
      allow_http: "true",
      region: "us-east-1",
      aws_access_key_id: "test",
      aws_secret_access_key: "test",
      virtual_hosted_style_request: "false",
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function send(
  response: ServerResponse,
  { status = 200, headers = {}, body = "" }: Answer,
  bare: boolean,
): void {
  response.writeHead(status, { ...headers, "content-length": headers["content-length"] ?? body.length });
  response.end(bare ? undefined : body);
}

function answer(
  request: Request,
  objects: Map<string, Buffer>,
  uploads: Map<string, Map<number, Buffer>>,
): Answer {
  const { method, path, query, body } = request;
  const upload = query.get("uploadId");
  if (method === "GET" && query.has("list-type")) return listing(request, objects);
  if (method === "GET" || method === "HEAD") return read(request, objects.get(path));
  if (method === "PUT" && upload !== null) {
    uploads.get(upload)!.set(Number(query.get("partNumber")), body);
    return { headers: { etag: etag(body) } };
  }
  if (method === "PUT") return put(request, objects);
  if (method === "POST" && query.has("uploads")) {
    const id = String(uploads.size);
    uploads.set(id, new Map());
    return xml(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
  }
  if (method === "POST" && upload !== null) {
    const parts = [...uploads.get(upload)!].sort(([a], [b]) => a - b);
    const whole = Buffer.concat(parts.map(([, part]) => part));
    objects.set(path, whole);
    return xml(`<CompleteMultipartUploadResult><ETag>${etag(whole)}</ETag></CompleteMultipartUploadResult>`);
  }
  if (method === "POST" && query.has("delete")) {
    for (const [, key] of body.toString().matchAll(/<Key>(.*?)<\/Key>/g))
      objects.delete(`${path.replace(/\/$/, "")}/${key}`);
    return xml("<DeleteResult/>");
  }
  if (method !== "DELETE") return { status: 501 };
  objects.delete(path);
  return { status: 204 };
}

function read({ headers }: Request, object: Buffer | undefined): Answer {
  if (!object) return { status: 404, ...xml("<Error><Code>NoSuchKey</Code></Error>") };
  const common = { etag: etag(object), "last-modified": "Thu, 01 Jan 2026 00:00:00 GMT" };
  const [, from, to] = /bytes=(\d*)-(\d*)/.exec(headers.range ?? "") ?? [];
  if (from === undefined) return { headers: common, body: object };
  const start = from === "" ? Math.max(0, object.length - Number(to)) : Number(from);
  const end = from === "" || to === "" ? object.length - 1 : Math.min(Number(to), object.length - 1);
  return {
    status: 206,
    headers: { ...common, "content-range": `bytes ${start}-${end}/${object.length}` },
    body: object.subarray(start, end + 1),
  };
}

function put({ path, headers, body }: Request, objects: Map<string, Buffer>): Answer {
  const source = headers["x-amz-copy-source"];
  const content = source ? objects.get(decodeURIComponent(String(source)).replace(/^\//, ""))! : body;
  if (headers["if-none-match"] === "*" && objects.has(path))
    return { status: 412, ...xml("<Error><Code>PreconditionFailed</Code></Error>") };
  objects.set(path, content);
  const answer = source ? xml(`<CopyObjectResult><ETag>${etag(content)}</ETag></CopyObjectResult>`) : {};
  return { ...answer, headers: { etag: etag(content) } };
}

function listing({ path, query }: Request, objects: Map<string, Buffer>): Answer {
  const bucket = path.replace(/\/$/, "");
  const [prefix, delimiter] = [query.get("prefix") ?? "", query.get("delimiter")];
  const after = query.get("start-after") ?? "";
  const folders = new Set<string>();
  const contents: string[] = [];
  for (const name of [...objects.keys()].sort()) {
    const key = name.slice(bucket.length + 1);
    if (!name.startsWith(`${bucket}/`) || !key.startsWith(prefix) || key <= after) continue;
    const cut = delimiter ? key.indexOf(delimiter, prefix.length) : -1;
    const { length } = objects.get(name)!;
    if (cut >= 0) folders.add(key.slice(0, cut + 1));
    else
      contents.push(
        `<Contents><Key>${key}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified><ETag>${etag(objects.get(name)!)}</ETag><Size>${length}</Size></Contents>`,
      );
  }
  const common = [...folders].map((each) => `<CommonPrefixes><Prefix>${each}</Prefix></CommonPrefixes>`);
  return xml(
    `<ListBucketResult><Name>${bucket}</Name><Prefix>${prefix}</Prefix><KeyCount>${contents.length}</KeyCount><IsTruncated>false</IsTruncated>${contents.join("")}${common.join("")}</ListBucketResult>`,
  );
}

const xml = (body: string): Answer => ({
  headers: { "content-type": "application/xml" },
  body: `<?xml version="1.0" encoding="UTF-8"?>${body}`,
});

const etag = (body: Buffer): string => createHash("md5").update(body).digest("hex");
