import { generateKeyPairSync } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createRelay, relayInfo } from "../../client/index.ts";
import { importPublicKey } from "../../protocol/keys.ts";
import { verifyReceipt } from "../../protocol/receipts.ts";
import { newRequestId } from "../../protocol/tokens.ts";
import { failureOf } from "../support/fidelity.ts";
import { EdgeCall, requestToken } from "../support/raw-caller.ts";
import { freePort, testStack } from "../support/stack.ts";

/** Receipts through an edge in workerd: asked for in a token, signed by a node, verified by who asked. */

type Stack = Awaited<ReturnType<typeof testStack>>;

let stack: Stack;
let target: Server;
let url: string;
/** Resolves when the endless answer has lost its reader. */
let abandoned: Promise<unknown>;
beforeAll(async () => {
  const port = await freePort();
  url = `https://localhost:${port}`;
  stack = await testStack({ allow: [url] });
  target = createServer({ cert: stack.keys.cert, key: stack.keys.key }, (request, response) => {
    response.setHeader("Relay-Receipt", "forged");
    response.setHeader("Relay-Egress", "203.0.113.10");
    request.resume();
    if (request.url !== "/endless") return void response.end("ok");
    abandoned = once(response, "close");
    response.write("secret");
  });
  target.listen(port, "127.0.0.1");
  await once(target, "listening");
});
afterAll(async () => {
  await stack.stop();
  target.closeAllConnections();
  target.close();
});

describe("our client", () => {
  test.each([
    { node: "node-1", egress: "127.0.0.2" },
    { node: "node-2", egress: "127.0.0.3" },
  ])("has the receipt of $node", async ({ node, egress }) => {
    const relay = createRelay(stack.relayUrl, { node, egress: ["203.0.113.10", egress] });
    const response = await relay.fetch(`${url}/path`, { method: "POST", body: "12345" });
    expect(await response.text()).toBe("ok");
    const info = relayInfo(response)!;
    expect(info.receipt).toMatchObject({
      iss: node,
      aud: stack.edge,
      sub: "dev",
      jti: info.requestId,
      htm: "POST",
      target: new URL(url).host,
      egress,
      dialed: "127.0.0.1",
      tls: "TLSv1.3",
      status: 200,
      bytes_up: 5,
      bytes_down: 2,
    });
    expect(info.fields.filter(([name]) => name.toLowerCase().startsWith("relay-"))).toEqual([]);
  });

  test("fails closed where the address is not listed, and the answer is cut off at the target", async () => {
    const relay = createRelay(stack.relayUrl, { node: "node-1", egress: ["203.0.113.10", "127.0.0.3"] });
    const error = await failureOf(relay.fetch(`${url}/endless`));
    expect([error.code, error.reached, error.node]).toEqual(["egress_not_listed", "yes", "node-1"]);
    await abandoned;
  });

  test("gets the relay's own failures as they are", async () => {
    const relay = createRelay(stack.relayUrl, { egress: ["203.0.113.10"] });
    const error = await failureOf(relay.fetch("https://other.example.com/"));
    expect([error.code, error.reached]).toEqual(["target_not_allowed", "no"]);
  });
});

describe("a raw caller", () => {
  const call = async (receipt: boolean | undefined) => {
    const jti = newRequestId();
    const token = await requestToken(stack.relayUrl, {
      htm: "GET",
      url: `${url}/x`,
      jti,
      node: "node-2",
      ...(receipt !== undefined && { receipt }),
    });
    const fields = [["Relay-Authorization", `Bearer ${token}`]] as const;
    const { head } = await EdgeCall.make(stack.edge, { method: "GET", framing: "none", fields });
    const receipts = head.fields.filter(([name]) => name.toLowerCase() === "relay-receipt");
    return { jti, head, receipts: receipts.map(([, value]) => value) };
  };

  test("has the receipt that it asks for, to verify by the published key", async () => {
    const { jti, receipts } = await call(true);
    expect(receipts).toHaveLength(1);
    const list = (await (await fetch(`${stack.edge}/.well-known/egress.json`)).json()) as {
      nodes: { id: string; key: Parameters<typeof importPublicKey>[0] }[];
    };
    const published = list.nodes.find(({ id }) => id === "node-2")!;
    const claims = await verifyReceipt(receipts[0]!, {
      node: "node-2",
      keys: [await importPublicKey(published.key)],
      edge: stack.edge,
      clientId: "dev",
      jti,
      method: "GET",
      target: new URL(url).host,
      status: 200,
    });
    expect([claims.egress, claims.dialed]).toEqual(["127.0.0.3", "127.0.0.1"]);
  });

  test.each([undefined, false])(
    "has none, nor the target's own, where the token says %s",
    async (receipt) => {
      const { head, receipts } = await call(receipt);
      expect([head.start, receipts]).toEqual(["HTTP/1.1 200 OK", []]);
    },
  );
});

describe("a node whose key is not the published one", () => {
  let other: Stack;
  let folder: string;
  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), "holdfast-key-"));
    const signingKeyFile = join(folder, "signing.jwk");
    const key = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" });
    writeFileSync(signingKeyFile, JSON.stringify(key), { mode: 0o600 });
    other = await testStack({ nodeConfig: { signingKeyFile } });
  });
  afterAll(async () => {
    await other.stop();
    rmSync(folder, { recursive: true, force: true });
  });

  test.each([{ receipt: true }, { egress: ["127.0.0.2", "127.0.0.3"] }])(
    "proves nothing: %j",
    async (options) => {
      const error = await failureOf(createRelay(other.relayUrl, options).fetch(other.target));
      expect([error.code, error.reached, error.retryable]).toEqual(["receipt_invalid", "yes", false]);
    },
  );

  test("serves who asks for no receipt", async () => {
    expect((await createRelay(other.relayUrl).fetch(other.target)).status).toBe(200);
  });
});
