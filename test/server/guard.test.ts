/** @file Who may ask a server. */
import { expect, test } from "vitest";
import { checkCaller } from "../../src/server/guard.ts";

const ask = (host: string, isPublic = false) =>
  checkCaller(new Request(`http://${host}/v1/jobs`), isPublic, {
    origins: ["https://pictures.example.org"],
    hosts: "private",
  });

test.each([
  ...["192.168.1.7:8000", "[fd00::1]:8000", "localhost:8000", "xprompt:8000", "nas.local", "box.home.arpa"],
  "pictures.example.org",
])("without keys, the private name %s is allowed", (host) => {
  expect(ask(host)).toBeUndefined();
});

test.each(["evil.example.com:8000", "local.example.com", "192.168.1.7.example.com"])(
  "without keys, the public name %s is refused, but for what everybody may see",
  (host) => {
    expect(() => ask(host)).toThrow(
      /expected an address, a name of a private network, or keys, got .* --origin/,
    );
    expect(ask(host, true)).toBeUndefined();
  },
);
