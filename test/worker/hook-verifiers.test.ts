import { createHmac } from "node:crypto";
import { verify as verifyAsGitHub } from "@octokit/webhooks-methods";
import fc from "fast-check";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import { describe, expect, test } from "vitest";
import { digestOf } from "../../protocol/tokens.ts";
import { Proof } from "../../worker/hooks/proof.ts";
import { readRoute } from "../../worker/hooks/route-record.ts";
import { loadRoute, type Route } from "../../worker/hooks/route.ts";
import { Mac } from "../../worker/mac.ts";
import { Sealing } from "../../worker/sealing.ts";
import { provideDigestStream } from "../support/digest-stream.ts";
import { HOOK_SENDERS, type HookSender, type Sent } from "../support/hook-senders.ts";

provideDigestStream();

const NOW = 1_790_000_000;
const URL_OF_ROUTE = "https://edge.example.com/hooks/orders";
const sealing = await Sealing.with([new Uint8Array(32)]);

async function routeOf(verifier: object): Promise<Route> {
  const form = { id: "orders", client: "shop", target: "https://internal.example.com/", verifier };
  return loadRoute(await readRoute(form, undefined, sealing), sealing);
}

/** Whether a call is taken; its refusal's detail where it isn't. */
async function judged(
  { verify }: Route,
  { headers, query = "" }: Sent,
  body: Buffer,
  seconds = NOW,
): Promise<string> {
  try {
    const check = verify({ headers: new Headers(headers), url: URL_OF_ROUTE + query }, seconds * 1_000);
    const bytes = Uint8Array.from(body);
    if (check === null) return "taken";
    const proof = await Proof.begin(check);
    await proof.write(bytes);
    await proof.end({ digest: await digestOf(bytes), bytes });
    return "taken";
  } catch (error) {
    expect(error).toMatchObject({ code: "hook_signature" });
    return (error as { detail: string }).detail;
  }
}

const BODY = Buffer.from('{"id":"evt_1","name":"Überweisung"}');
const BINARY = Buffer.from([0, 0xff, 0xfe, 10, 13, 0x80]);

describe.each(HOOK_SENDERS)("$type", (sender: HookSender) => {
  const { type, verifier, secrets, isTimed, needs } = sender;
  const [one, two, stranger] = secrets;
  const sign = (secret: string, body: Buffer, seconds = NOW) =>
    sender.sign(secret, body, seconds, URL_OF_ROUTE);
  const single = routeOf({ type, ...verifier, secrets: [one] });
  const both = routeOf({ type, ...verifier, secrets: [one, two] });

  test.each([
    ["text", BODY],
    ["nothing", Buffer.alloc(0)],
    ["bytes that are no text", BINARY],
    ["much", Buffer.alloc(300_000, "x")],
  ])("takes %s that it signed", async (_what, body) => {
    expect(await judged(await single, await sign(one, body), body)).toBe("taken");
  });

  test("takes both secrets during a rotation, and no other", async () => {
    expect(await judged(await both, await sign(one, BODY), BODY)).toBe("taken");
    expect(await judged(await both, await sign(two, BODY), BODY)).toBe("taken");
    expect(await judged(await both, await sign(stranger, BODY), BODY)).toMatch(/no signature by a secret/);
    expect(await judged(await single, await sign(two, BODY), BODY)).toMatch(/no signature by a secret/);
  });

  test("refuses a body that was changed in one bit", async () => {
    const sent = await sign(one, BODY);
    const route = await single;
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 1, maxLength: 200 }),
        fc.nat(),
        fc.integer({ min: 0, max: 7 }),
        async (bytes, at, bit) => {
          const body = Buffer.from(bytes);
          const signed = await sign(one, body);
          expect(await judged(route, signed, body)).toBe("taken");
          body[at % body.length]! ^= 1 << bit;
          expect(await judged(route, signed, body)).not.toBe("taken");
        },
      ),
      { numRuns: 50 },
    );
    expect(await judged(route, sent, Buffer.concat([BODY, Buffer.from("\n")]))).not.toBe("taken");
    expect(await judged(route, sent, BODY.subarray(0, -1))).not.toBe("taken");
  });

  test("refuses a field that was changed in one character", async () => {
    const sent = await sign(one, BODY);
    const route = await single;
    for (const name of needs) {
      const value = sent.headers[name]!;
      for (let at = 0; at < value.length; at++) {
        // The next character, too: of the last one of base64 some bits say nothing.
        const next = String.fromCharCode(value.charCodeAt(at) + 1);
        for (const other of [value[at] === "1" ? "2" : "1", next]) {
          const headers = { ...sent.headers, [name]: value.slice(0, at) + other + value.slice(at + 1) };
          expect(await judged(route, { ...sent, headers }, BODY), `${name} at ${at}`).not.toBe("taken");
        }
      }
    }
  });

  test("refuses a signature that was cut", async () => {
    const sent = await sign(one, BODY);
    for (const name of needs) {
      for (const keep of [-1, -2, -4, 4]) {
        const headers = { ...sent.headers, [name]: sent.headers[name]!.slice(0, keep) };
        expect(await judged(await single, { ...sent, headers }, BODY)).not.toBe("taken");
      }
    }
  });

  test("needs each of its fields", async () => {
    const sent = await sign(one, BODY);
    for (const name of needs) {
      const { [name]: _left, ...headers } = sent.headers;
      const told = await judged(await single, { ...sent, headers }, BODY);
      expect(told.toLowerCase()).toBe(`the call has no ${name}`);
    }
  });

  test("takes five minutes either way and not a second more, if it signs its time", async () => {
    const old = /was signed 301 s from now, and 300 are taken/;
    for (const away of [300, -300, 301, -301]) {
      const told = await judged(await single, await sign(one, BODY, NOW + away), BODY);
      expect(told).toMatch(isTimed && Math.abs(away) > 300 ? old : /^taken$/);
    }
  });

  test("is proven in pieces as it is whole", async () => {
    const sent = await sign(one, BODY);
    const head = { headers: new Headers(sent.headers), url: URL_OF_ROUTE + (sent.query ?? "") };
    for (const cut of [0, 1, BODY.length]) {
      const proof = await Proof.begin((await single).verify(head, NOW * 1_000)!);
      await proof.write(Uint8Array.from(BODY.subarray(0, cut)));
      await proof.write(Uint8Array.from(BODY.subarray(cut)));
      await proof.end({ digest: await digestOf(Uint8Array.from(BODY)), bytes: undefined });
    }
    const proof = await Proof.begin((await single).verify(head, NOW * 1_000)!);
    const cut = Uint8Array.from(BODY.subarray(0, -1));
    await proof.write(cut);
    const end = proof.end({ digest: await digestOf(cut), bytes: undefined });
    await expect(end).rejects.toThrow(/hook_signature/);
  });
});

test("a route without a verifier takes anything", async () => {
  expect(await judged(await routeOf({ type: "none" }), { headers: {} }, BODY)).toBe("taken");
});

describe("what the edge computes is what the providers' own libraries take", () => {
  async function macOf(verifier: { type: string; secrets: string[] }, headers: Record<string, string>) {
    const { verify } = await routeOf(verifier);
    const check = verify({ headers: new Headers(headers), url: URL_OF_ROUTE }, Date.now())!;
    const [{ hash, key, before }] = check.macs as [(typeof check.macs)[0]];
    const mac = await Mac.begin(hash, key);
    await mac.write(before);
    await mac.write(Uint8Array.from(BODY));
    return Buffer.from(await mac.end());
  }
  const seconds = String(Math.floor(Date.now() / 1_000));

  test("standardwebhooks", async () => {
    const [secret] = HOOK_SENDERS[0]!.secrets;
    const headers = { "webhook-id": "msg_1", "webhook-timestamp": seconds, "webhook-signature": "v1,AAAA" };
    const mac = await macOf({ type: "standard-webhooks", secrets: [secret] }, headers);
    const signed = { ...headers, "webhook-signature": `v1,${mac.toString("base64")}` };
    expect(new Webhook(secret).verify(BODY.toString(), signed)).toEqual(JSON.parse(BODY.toString()));
  });

  test("stripe", async () => {
    const header = (mac: string) => `t=${seconds},v1=${mac}`;
    const mac = await macOf({ type: "stripe", secrets: ["whsec_x"] }, { "stripe-signature": header("00") });
    const event = Stripe.webhooks.constructEvent(BODY, header(mac.toString("hex")), "whsec_x");
    expect(event.id).toBe("evt_1");
  });

  test("@octokit/webhooks-methods", async () => {
    const headers = { "x-hub-signature-256": "sha256=00" };
    const mac = await macOf({ type: "github", secrets: ["x"] }, headers);
    expect(await verifyAsGitHub("x", BODY.toString(), `sha256=${mac.toString("hex")}`)).toBe(true);
  });
});

describe("providers' own examples", () => {
  test("GitHub's", async () => {
    const route = await routeOf({ type: "github", secrets: ["It's a Secret to Everybody"] });
    const signature = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    const headers = { "x-hub-signature-256": `sha256=${signature}` };
    expect(await judged(route, { headers }, Buffer.from("Hello, World!"))).toBe("taken");
  });

  test("Slack's", async () => {
    const route = await routeOf({ type: "slack", secrets: ["8f742231b10e8888abcd99yyyzzz85a5"] });
    const body =
      "token=xyzz0WbapA4vBCDEFasx0q6G&team_id=T1DC2JH3J&team_domain=testteamnow&channel_id=G8PSS9T3V&channel_name=foobar&user_id=U2CERLKJA&user_name=roadrunner&command=%2Fwebhook-collect&text=&response_url=https%3A%2F%2Fhooks.slack.com%2Fcommands%2FT1DC2JH3J%2F397700885554%2F96rGlfmibIGlgcZRskXaIFfN&trigger_id=398738663015.47445629121.803a0bc887a14d10d2c447fce8b6703c";
    const headers = {
      "x-slack-request-timestamp": "1531420618",
      "x-slack-signature": "v0=a2114d57b48eac39b9ad189dd8316235a7b4a8d21a10bd27519666489c69b503",
    };
    expect(await judged(route, { headers }, Buffer.from(body), 1_531_420_618)).toBe("taken");
  });
});

describe("Standard Webhooks", () => {
  const [secret, next] = HOOK_SENDERS[0]!.secrets;
  const sign = (key: string) => HOOK_SENDERS[0]!.sign(key, BODY, NOW, URL_OF_ROUTE) as Sent;
  const { headers } = sign(secret);
  const signature = headers["webhook-signature"]!;
  const signedAs = (value: string) => ({ headers: { ...headers, "webhook-signature": value } });

  test.each([
    ["several", `${sign(next).headers["webhook-signature"]} ${signature}`, "taken"],
    ["one of another version before it", `v1a,${"A".repeat(86)}== ${signature}`, "taken"],
    ["one that can't be read before it", `v1,! ${signature}`, "taken"],
    ["of another version alone", signature.replace("v1,", "v1a,"), /no signature of the kind/],
    ["of a later version alone", signature.replace("v1,", "v2,"), /no signature of the kind/],
    ["without a version", signature.slice(3), /no signature of the kind/],
    ["seventeen", Array.from({ length: 17 }, () => signature).join(" "), /has 17 signatures/],
  ])("%s", async (_what, value, told) => {
    const route = await routeOf({ type: "standard-webhooks", secrets: [secret] });
    expect(await judged(route, signedAs(value), BODY)).toMatch(told);
  });

  test("takes its elder names", async () => {
    const route = await routeOf({ type: "standard-webhooks", secrets: [secret] });
    const elder = Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name.replace("webhook", "svix"), value]),
    );
    expect(await judged(route, { headers: elder }, BODY)).toBe("taken");
    // The two are not to be mixed.
    const mixed = { ...elder, "webhook-id": "msg_other" };
    expect(await judged(route, { headers: mixed }, BODY)).toMatch(/no webhook-timestamp/);
  });

  test.each(["", "1e9", "-1", "0x6ab13b80", " ", "17900000000000"])(
    "refuses the timestamp %j",
    async (timestamp) => {
      const route = await routeOf({ type: "standard-webhooks", secrets: [secret] });
      const changed = { headers: { ...headers, "webhook-timestamp": timestamp } };
      expect(await judged(route, changed, BODY)).toMatch(/timestamp/);
    },
  );
});

describe("Stripe", () => {
  const signed = (key: string, t = NOW) =>
    createHmac("sha256", key).update(`${t}.`).update(BODY).digest("hex");
  const right = signed("whsec_1");

  test.each([
    ["two signatures", `t=${NOW},v1=${signed("whsec_0")},v1=${right}`, "taken"],
    ["one of its test mode beside it", `t=${NOW},v1=${right},v0=${signed("x")}`, "taken"],
    ["white space", `t=${NOW}, v1=${right}`, "taken"],
    ["one of its test mode alone", `t=${NOW},v0=${right}`, /no signature of the kind/],
    ["no time", `v1=${right}`, /without its one t=/],
    ["two times", `t=1,t=${NOW},v1=${right}`, /without its one t=/],
    ["a time that is none", `t=now,v1=${right}`, /no whole number/],
    ["another time", `t=${NOW + 1},v1=${right}`, /no signature by a secret/],
    ["no signature", `t=${NOW}`, /no signature of the kind/],
    ["an empty signature", `t=${NOW},v1=`, /no signature of the kind/],
  ])("with %s", async (_what, header, told) => {
    const route = await routeOf({ type: "stripe", secrets: ["whsec_1"] });
    expect(await judged(route, { headers: { "stripe-signature": header } }, BODY)).toMatch(told);
  });
});

describe("Twilio", () => {
  const form = { "content-type": "application/x-www-form-urlencoded; charset=UTF-8" };
  const signOver = (text: string) => createHmac("sha1", "12345").update(text).digest("base64");
  const judge = async (headers: Record<string, string>, body: string, query = "") =>
    judged(await routeOf({ type: "twilio", secrets: ["12345"] }), { headers, query }, Buffer.from(body));

  test.each([
    ["sorted by name", "b=2&a=1&B=3", "B3a1b2"],
    ["decoded", "To=%2B180&Body=a+b%20c%26&empty=", "Bodya b c&To+180empty"],
    ["a name more than once: each value once, sorted", "a=2&a=1&a=2", "a1a2"],
    ["none", "", ""],
    ["beyond ASCII", "Body=%C3%BC%F0%9F%98%80", "Bodyü😀"],
  ])("signs parameters %s", async (_what, body, signed) => {
    const headers = { ...form, "x-twilio-signature": signOver(`${URL_OF_ROUTE}?x=1${signed}`) };
    expect(await judge(headers, body, "?x=1")).toBe("taken");
    expect(await judge(headers, `${body}&z=1`, "?x=1")).toMatch(/no signature by a secret/);
    expect(await judge(headers, body, "?x=2")).toMatch(/no signature by a secret/);
  });

  test("has no more parameters than anybody sends", async () => {
    const body = (count: number) => Array.from({ length: count }, (_, n) => `a${n}=`).join("&");
    const headers = { ...form, "x-twilio-signature": signOver(URL_OF_ROUTE) };
    expect(await judge(headers, body(1_000))).toMatch(/no signature by a secret/);
    expect(await judge(headers, body(1_001))).toMatch(/more than 1000 parameters/);
  });

  test("signs its URL with a port or without", async () => {
    const withPort = URL_OF_ROUTE.replace(".com", ".com:443");
    expect(await judge({ ...form, "x-twilio-signature": signOver(`${withPort}a1`) }, "a=1")).toBe("taken");
    const other = URL_OF_ROUTE.replace(".com", ".com:444");
    expect(await judge({ ...form, "x-twilio-signature": signOver(`${other}a1`) }, "a=1")).not.toBe("taken");
  });

  test("leaves no body unsigned", async () => {
    const headers = { "x-twilio-signature": signOver(URL_OF_ROUTE) };
    expect(await judge({ ...headers, "content-type": "text/plain" }, "anything")).toMatch(/body is no form/);
    expect(await judge(headers, "anything")).toMatch(/body is no form/);
    const bad = "?bodySHA256=00";
    expect(await judge({ "x-twilio-signature": signOver(URL_OF_ROUTE + bad) }, "anything", bad)).toMatch(
      /no SHA-256 in hex/,
    );
    const twice = `?bodySHA256=${"0".repeat(64)}&bodySHA256=${"0".repeat(64)}`;
    expect(await judge({ "x-twilio-signature": signOver(URL_OF_ROUTE + twice) }, "x", twice)).toMatch(
      /no SHA-256 in hex/,
    );
  });

  test("of a form with bodySHA256 the very bytes are bound", async () => {
    const query = `?bodySHA256=${"0".repeat(64)}`;
    const headers = { ...form, "x-twilio-signature": signOver(URL_OF_ROUTE + query) };
    expect(await judge(headers, "a=1", query)).toMatch(/another body than the one that was signed/);
  });
});
