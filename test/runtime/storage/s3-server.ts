/**
 * @file moto's S3 server for tests, in a process of its own. It comes from PyPI: `.ci/run` installs it to `.ci/moto`.
 * Without it these tests are skipped.
 */
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { CreateBucketCommand, ListObjectsV2Command, S3Client } from "@aws-sdk/client-s3";
import { afterAll, beforeAll, describe } from "vitest";

const program =
  process.env.XPROMPT_MOTO_SERVER ??
  fileURLToPath(new URL("../../../.ci/moto/bin/moto_server", import.meta.url));

const isThere = existsSync(program);
if (!isThere)
  console.warn(
    "skipped: tests of object storage need moto (python3 -m venv .ci/moto && .ci/moto/bin/pip install -r .ci/moto.txt)",
  );

/** Credentials that no message may show. */
export const secret = "a-secret-key-that-nobody-may-see";

export interface S3Server {
  readonly endpoint: string;
  /** The keys of a bucket. */
  keys(bucket: string): Promise<string[]>;
  /** Whether credentials are checked from now on; none are known. */
  checkCredentials(isOn: boolean): Promise<void>;
}

/** Tests with a server, its address and credentials in the environment, and an empty bucket named "bucket". */
export function describeS3(name: string, tests: (server: S3Server) => void): void {
  describe.skipIf(!isThere)(`${name} (needs moto)`, () => {
    const before = { ...process.env };
    let endpoint = "";
    let client: S3Client;
    const child = isThere
      ? spawn(program, ["-H", "127.0.0.1", "-p", "0"], { stdio: ["ignore", "ignore", "pipe"] })
      : undefined;
    beforeAll(async () => {
      endpoint = await new Promise<string>((resolve, reject) => {
        let said = "";
        child!.stderr!.on("data", (data) => {
          said += data;
          const address = /Running on (http:\S+)/.exec(said)?.[1];
          if (address) resolve(address);
        });
        child!.on("error", reject).on("close", () => reject(new Error(`moto ended: ${said}`)));
      });
      for (const key of Object.keys(process.env)) if (key.startsWith("AWS_")) delete process.env[key];
      Object.assign(process.env, {
        AWS_ENDPOINT_URL: endpoint,
        AWS_ACCESS_KEY_ID: "test-key-id",
        AWS_SECRET_ACCESS_KEY: secret,
        AWS_REGION: "us-east-1",
      });
      client = new S3Client({ endpoint, forcePathStyle: true });
      await client.send(new CreateBucketCommand({ Bucket: "bucket" }));
    });
    afterAll(async () => {
      process.env = before;
      client?.destroy();
      child?.kill();
    });
    tests({
      get endpoint() {
        return endpoint;
      },
      keys: async (Bucket) => {
        const { Contents = [] } = await client.send(new ListObjectsV2Command({ Bucket }));
        return Contents.map(({ Key }) => Key!);
      },
      checkCredentials: async (isOn) => {
        await fetch(`${endpoint}/moto-api/reset-auth`, { method: "POST", body: isOn ? "0" : "inf" });
      },
    });
  });
}
