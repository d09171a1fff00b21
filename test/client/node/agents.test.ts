import { once } from "node:events";
import http from "node:http";
import https from "node:https";
import { text } from "node:stream/consumers";
import { fetch as undiciFetch } from "undici";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAgent, createDispatcher, createHttpAgent } from "../../../client/node/index.ts";
import { run } from "../../support/run.ts";
import { freePort } from "../../support/stack.ts";
import { type StreamRelay, startStreamRelay } from "../../support/stream-relay.ts";
import { startOrigin } from "../origin.ts";
import { type SecureTarget, type SeenSecurely, startSecureTarget } from "./secure-target.ts";

let relay: StreamRelay;
let target: SecureTarget;
let other: SecureTarget;

beforeAll(async () => {
  relay = await startStreamRelay();
  target = await startSecureTarget();
  other = await startSecureTarget();
});
afterAll(async () => {
  await Promise.all([relay?.close(), target?.close(), other?.close()]);
});

/** How many connections the relay opened meanwhile. */
async function relayed<T>(work: () => Promise<T>): Promise<{ result: T; connections: number }> {
  const before = relay.seen.length;
  const result = await work();
  return { result, connections: relay.seen.length - before };
}

async function ask(options: https.RequestOptions, body = ""): Promise<SeenSecurely> {
  const request = https.request(target.origin, { method: "POST", ...options });
  request.end(body);
  const [response] = (await once(request, "response")) as [http.IncomingMessage];
  return JSON.parse(await text(response)) as SeenSecurely;
}

describe("createAgent", () => {
  test("lets TLS be the app's own with the target", async () => {
    const agent = createAgent(relay.url, {}, { ca: target.ca });
    const { result, connections } = await relayed(() => ask({ agent }, "x".repeat(300_000)));
    expect(result).toMatchObject({
      servername: "localhost",
      version: "1.1",
      bodyBytes: 300_000,
    });
    const direct = await ask({ agent: new https.Agent({ ca: target.ca }) });
    expect(result.alpn).toBe(direct.alpn);
    expect(connections).toBe(1);
    expect(relay.seen.at(-1)!.url).toBe(`tcp://localhost:${target.port}`);
    agent.destroy();
  });

  test("refuses a certificate of another authority", async () => {
    const agent = createAgent(relay.url, {}, { ca: other.ca });
    await expect(ask({ agent })).rejects.toMatchObject({ code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE" });
    agent.destroy();
  });

  test("keeps connections alive, and resumes TLS sessions on new ones", async () => {
    const agent = createAgent(relay.url, {}, { ca: target.ca, keepAlive: true });
    const first = await ask({ agent });
    const second = await ask({ agent });
    expect(second.connection).toBe(first.connection);
    agent.destroy();
    const third = await ask({ agent });
    expect(third.connection).not.toBe(first.connection);
    expect([first.isResumed, third.isResumed]).toEqual([false, true]);
    agent.destroy();
  });

  test("sends only the named hosts by the relay", async () => {
    const agent = createAgent(relay.url, { hosts: ["api.bank.com"] }, { ca: target.ca });
    const { result, connections } = await relayed(() => ask({ agent }));
    expect(result.servername).toBe("localhost");
    expect(connections).toBe(0);
    agent.destroy();
  });

  test("gives the relay's own error to the request", async () => {
    const agent = createAgent(relay.url);
    const request = https.get("https://127.0.0.1:1/", { agent });
    const [error] = (await once(request, "error")) as [unknown];
    expect(error).toMatchObject({ name: "RelayError", code: "connect_refused", reached: "no" });
    agent.destroy();
  });

  test("does not keep a process alive by what it holds idle", async () => {
    const code = `
      import https from "node:https";
      import { createAgent } from ${JSON.stringify(new URL("../../../client/node/index.ts", import.meta.url).href)};
      const agent = createAgent(process.env.RELAY, {}, { ca: process.env.CA, keepAlive: true });
      https.get(process.env.TARGET, { agent }, (response) => response.resume().on("end", () => console.log("asked")));
    `;
    const env = { RELAY: relay.url, CA: target.ca, TARGET: target.origin };
    const started = performance.now();
    const {
      code: exit,
      stdout,
      stderr,
    } = await run(process.execPath, ["--input-type=module", "-e", code], { env });
    expect([exit, stdout, stderr]).toEqual([0, "asked\n", ""]);
    expect(performance.now() - started).toBeLessThan(4_500);
  });
});

test("createHttpAgent carries plain http, kept alive", async () => {
  const origin = await startOrigin((got, response) => void response.end(`${got.method} ${got.headers.host}`));
  const agent = createHttpAgent(relay.url, {}, { keepAlive: true });
  const get = async () => {
    const [response] = (await once(http.get(origin.url, { agent }), "response")) as [http.IncomingMessage];
    return text(response);
  };
  const { result, connections } = await relayed(async () => [await get(), await get()]);
  expect(result).toEqual(Array(2).fill(`GET ${new URL(origin.url).host}`));
  expect(connections).toBe(1);
  agent.destroy();
  await origin.close();
});

describe("createDispatcher", () => {
  for (const [name, fetch] of [
    ["undici's fetch", undiciFetch],
    ["Node's own fetch", globalThis.fetch as unknown as typeof undiciFetch],
  ] as const) {
    for (const allowH2 of [false, true]) {
      test(`serves ${name} by HTTP/${allowH2 ? "2" : "1.1"}`, async () => {
        const dispatcher = createDispatcher(
          relay.url,
          {},
          { allowH2, connections: 1, connect: { ca: target.ca } },
        );
        const { result, connections } = await relayed(async () => {
          const seen: SeenSecurely[] = [];
          for (let i = 0; i < 3; i++) {
            const response = await fetch(target.origin, {
              method: "POST",
              body: "x".repeat(200_000),
              dispatcher,
            });
            seen.push((await response.json()) as SeenSecurely);
          }
          return seen;
        });
        for (const seen of result) {
          expect(seen).toMatchObject({
            servername: "localhost",
            version: allowH2 ? "2.0" : "1.1",
            bodyBytes: 200_000,
          });
        }
        expect(connections).toBe(1);
        await dispatcher.close();
      });
    }

    test(`serves ${name} for plain http, and tells it the relay's own error`, async () => {
      const origin = await startOrigin((got, response) => void response.end(got.body));
      const dispatcher = createDispatcher(relay.url);
      const { result, connections } = await relayed(async () => {
        const response = await fetch(origin.url, { method: "PUT", body: "plain", dispatcher });
        return response.text();
      });
      expect([result, connections]).toEqual(["plain", 1]);
      const closed = await freePort();
      for (const scheme of ["http", "https"]) {
        const failed = fetch(`${scheme}://127.0.0.1:${closed}`, { dispatcher });
        await expect(failed).rejects.toMatchObject({
          cause: { name: "RelayError", code: "connect_refused" },
        });
      }
      await dispatcher.close();
      await origin.close();
    });
  }

  test("sends only the named hosts by the relay", async () => {
    const dispatcher = createDispatcher(
      relay.url,
      { hosts: ["api.bank.com"] },
      { connect: { ca: target.ca } },
    );
    const { connections } = await relayed(() => undiciFetch(target.origin, { dispatcher }));
    expect(connections).toBe(0);
    await dispatcher.destroy();
  });
});
