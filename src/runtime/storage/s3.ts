/** @file Storage in a bucket of S3 or of a server that speaks its protocol. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { Readable } from "node:stream";
import type * as ClientModule from "@aws-sdk/client-s3";
import type * as UploadModule from "@aws-sdk/lib-storage";
import { UsageError } from "../../errors.ts";
import { loadOptional } from "../../optional.ts";
import { writeFileAtomic } from "../files.ts";
import { endpointOf, regionOf } from "./environment.ts";
import { isMissing, storageError } from "./s3-errors.ts";
import type { Storage } from "./storage.ts";

export const isS3 = (place: string): boolean => /^s3:/i.test(place);

/** Most parts of an upload that S3 takes are 10,000. */
const MOST_PARTS = 9000;
/** Bytes of a part, at least. */
const LEAST_PART = 8 * 2 ** 20;

interface Packages {
  readonly client: typeof ClientModule;
  readonly upload: typeof UploadModule;
}

export class S3Storage implements Storage {
  private readonly client: ClientModule.S3Client;

  private constructor(
    readonly place: string,
    private readonly bucket: string,
    private readonly prefix: string,
    private readonly packages: Packages,
  ) {
    const endpoint = endpointOf();
    this.client = new packages.client.S3Client({
      region: regionOf(),
      // A server of one's own has no host name per bucket, and may not know checksums in trailers.
      ...(endpoint !== undefined && { endpoint, forcePathStyle: true }),
      requestChecksumCalculation: "WHEN_REQUIRED",
      responseChecksumValidation: "WHEN_REQUIRED",
    });
  }

  /** @throws UsageError for a wrong URL; XPromptError when a package is not installed */
  static async open(place: string): Promise<S3Storage> {
    const { bucket, prefix } = parsePlace(place);
    const doing = `opening ${place}`;
    // The notice about old versions of Node is for those who choose the packages.
    process.env.AWS_SDK_JS_NODE_VERSION_SUPPORT_WARNING_DISABLED ??= "true";
    const client = await loadOptional(
      doing,
      "@aws-sdk/client-s3@3.1175.0",
      () => import("@aws-sdk/client-s3"),
    );
    const upload = await loadOptional(
      doing,
      "@aws-sdk/lib-storage@3.1175.0",
      () => import("@aws-sdk/lib-storage"),
    );
    return new S3Storage(place, bucket, prefix, { client, upload });
  }

  async read(name: string): Promise<Uint8Array | undefined> {
    return this.attempt("reading", name, async () => {
      const { GetObjectCommand } = this.packages.client;
      try {
        const { Body } = await this.client.send(new GetObjectCommand(this.object(name)));
        return await Body!.transformToByteArray();
      } catch (error) {
        if (isMissing(error)) return undefined;
        throw error;
      }
    });
  }

  async write(name: string, content: string | Uint8Array): Promise<void> {
    const { PutObjectCommand } = this.packages.client;
    const Body = typeof content === "string" ? Buffer.from(content) : content;
    await this.attempt("writing", name, () =>
      this.client.send(new PutObjectCommand({ ...this.object(name), Body })),
    );
  }

  async upload(name: string, path: string): Promise<void> {
    await this.attempt("writing", name, async () => {
      const { size } = await stat(path);
      const content = createReadStream(path);
      try {
        const upload = new this.packages.upload.Upload({
          client: this.client,
          params: { ...this.object(name), Body: content },
          partSize: Math.max(LEAST_PART, Math.ceil(size / MOST_PARTS)),
        });
        await upload.done();
      } finally {
        content.destroy();
      }
    });
  }

  async download(name: string, path: string): Promise<void> {
    await this.attempt("reading", name, async () => {
      const { GetObjectCommand } = this.packages.client;
      const { Body } = await this.client.send(new GetObjectCommand(this.object(name)));
      const content = Body as Readable;
      try {
        await writeFileAtomic(path, content);
      } finally {
        content.destroy(); // where the target is refused, nothing has read it
      }
    });
  }

  async list(prefix: string): Promise<string[]> {
    return this.attempt("listing", prefix, async () => {
      const { paginateListObjectsV2 } = this.packages.client;
      const names: string[] = [];
      const query = { Bucket: this.bucket, Prefix: this.keyOf(prefix) };
      for await (const { Contents = [] } of paginateListObjectsV2({ client: this.client }, query))
        for (const { Key } of Contents) names.push(Key!.slice(this.prefix.length));
      return names.sort();
    });
  }

  async remove(name: string): Promise<void> {
    const { DeleteObjectCommand } = this.packages.client;
    await this.attempt("removing", name, () => this.client.send(new DeleteObjectCommand(this.object(name))));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.destroy();
  }

  private keyOf(name: string): string {
    return this.prefix + name;
  }

  private object(name: string): { Bucket: string; Key: string } {
    return { Bucket: this.bucket, Key: this.keyOf(name) };
  }

  private async attempt<T>(doing: string, name: string, work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      throw storageError(`${doing} s3://${this.bucket}/${this.keyOf(name)}`, this.bucket, error);
    }
  }
}

/** `s3://bucket/prefix` in parts; the prefix ends in `/` or is empty. */
function parsePlace(place: string): { readonly bucket: string; readonly prefix: string } {
  const [, bucket, path = ""] = /^s3:\/\/([a-z0-9][a-z0-9.-]+[a-z0-9])(?:\/(.*))?$/.exec(place) ?? [];
  if (bucket === undefined)
    throw new UsageError(
      // The part before an @ may be a password.
      `expected object storage as s3://bucket/prefix, got ${place.replace(/\/\/.*@/, "//…@")} (credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY)`,
    );
  const prefix = path.replace(/\/+$/, "");
  return { bucket, prefix: prefix === "" ? "" : `${prefix}/` };
}
