import { describe, expect, test } from "vitest";
import { UsageError } from "../../cli/command.ts";
import { parseDeliveriesArguments } from "../../cli/deliveries/arguments.ts";
import { answerText, countsText, listText as deliveriesText, showText } from "../../cli/deliveries/tell.ts";
import { parseRoutesArguments } from "../../cli/routes/arguments.ts";
import {
  editRoute,
  endRotation,
  type RouteEdit,
  type RouteForm,
  rotateSecrets,
} from "../../cli/routes/record.ts";
import { newSecret } from "../../cli/routes/secrets.ts";
import { listText } from "../../cli/routes/tell.ts";
import type { DeliveryDetail } from "../../protocol/deliveries.ts";

/** What `holdfast routes` and `holdfast deliveries` decide without an edge. */

const NOTHING: RouteEdit = {
  client: undefined,
  target: undefined,
  verifier: undefined,
  members: new Map(),
  limits: new Map(),
  retention: new Map(),
  secret: undefined,
  sign: undefined,
};
const ROUTE: RouteForm = {
  id: "orders",
  client: "shop",
  target: "https://internal.example.com/hooks",
  verifier: { type: "stripe", secrets: [{ print: "one" }] },
  sign: { secrets: [{ print: "sign-one" }] },
  limits: { concurrent: 5 },
};

describe("an edit", () => {
  test("makes a record of an id", () => {
    const edit: RouteEdit = {
      ...NOTHING,
      client: "shop",
      target: "https://internal.example.com/hooks",
      verifier: { type: "hmac", header: "X-Signature", hash: "sha256" },
      members: new Map<string, unknown>([
        ["order", "all"],
        ["dedupe", undefined],
      ]),
      limits: new Map([["pending", 10]]),
      retention: new Map([["deadDays", 60]]),
      secret: "text",
      sign: "whsec_text",
    };
    expect(editRoute({ id: "orders" }, edit)).toEqual({
      id: "orders",
      client: "shop",
      target: "https://internal.example.com/hooks",
      verifier: { type: "hmac", header: "X-Signature", hash: "sha256", secrets: ["text"] },
      order: "all",
      limits: { pending: 10 },
      retention: { deadDays: 60 },
      sign: { secrets: ["whsec_text"] },
    });
  });

  test("of nothing changes nothing", () => {
    expect(editRoute(ROUTE, NOTHING)).toEqual(ROUTE);
  });

  test("keeps the secrets that it says nothing of", () => {
    const edited = editRoute(ROUTE, {
      ...NOTHING,
      verifier: { type: "slack" },
      limits: new Map([["concurrent", undefined]]),
    });
    expect(edited).toEqual({
      id: "orders",
      client: "shop",
      target: ROUTE.target,
      verifier: { type: "slack", secrets: [{ print: "one" }] },
      sign: ROUTE.sign,
    });
  });

  test("to no verifier and no signature takes the secrets away", () => {
    const edited = editRoute(ROUTE, { ...NOTHING, verifier: { type: "none" }, sign: null });
    expect(edited.verifier).toEqual({ type: "none" });
    expect(edited).not.toHaveProperty("sign");
  });
});

describe("a rotation", () => {
  test("puts the new secret before the old one, which goes when it ends", () => {
    const rotated = rotateSecrets(ROUTE, { secret: "two", sign: undefined });
    expect(rotated).toEqual({ ...ROUTE, verifier: { type: "stripe", secrets: ["two", { print: "one" }] } });
    expect(endRotation(rotated, { secret: true, sign: false }).verifier.secrets).toEqual(["two"]);
    const signed = rotateSecrets(ROUTE, { secret: undefined, sign: "sign-two" });
    expect(signed).toEqual({ ...ROUTE, sign: { secrets: ["sign-two", { print: "sign-one" }] } });
    expect(endRotation(signed, { secret: false, sign: true }).sign).toEqual({ secrets: ["sign-two"] });
  });

  test("is refused in the middle of another one, where there is nothing to rotate, and to end", () => {
    const rotated = rotateSecrets(ROUTE, { secret: "two", sign: undefined });
    expect(() => rotateSecrets(rotated, { secret: "three", sign: undefined })).toThrow(
      /routes rotate orders --end/,
    );
    const open = { ...ROUTE, verifier: { type: "none" } };
    expect(() => rotateSecrets(open, { secret: "two", sign: undefined })).toThrow(/has no secret there/);
    expect(() => endRotation(ROUTE, { secret: true, sign: false })).toThrow(/has no old secret there/);
  });

  test("makes secrets that the verifier takes", () => {
    expect(newSecret("standard-webhooks")).toMatch(/^whsec_[A-Za-z0-9+/]{43}=$/);
    expect(newSecret("github")).toMatch(/^[\w-]{43}$/);
    expect(newSecret("hmac")).not.toBe(newSecret("hmac"));
  });
});

describe("the command line of routes", () => {
  test("is read", () => {
    const words =
      "add orders --client shop --target https://a.test/ --verifier hmac,header=X-Sig,prefix=sha256=,hash=sha256,encoding=hex --secret-file - --new-sign --schedule 0,5s,5m,90 --dedupe default --keep dead=60 --limit pending=";
    expect(parseRoutesArguments(words.split(" "))).toMatchObject({
      action: "add",
      id: "orders",
      edit: {
        client: "shop",
        verifier: { type: "hmac", header: "X-Sig", prefix: "sha256=", hash: "sha256", encoding: "hex" },
        sources: { secret: { from: "stdin" }, sign: { from: "new", kind: "standard-webhooks" } },
        members: new Map<string, unknown>([
          ["dedupe", undefined],
          ["schedule", [0, 5, 300, 90]],
        ]),
        retention: new Map([["deadDays", 60]]),
        limits: new Map([["pending", undefined]]),
      },
    });
  });

  const ADD = "add orders --client shop --target https://a.test/";
  test.each([
    ["", "say what to do: list, show, add, update, rotate, remove, pause, resume"],
    ["show", "show takes one route's id"],
    ["list orders", "list takes no route"],
    ["add orders --client shop", "add takes --client, --target and --verifier"],
    [`${ADD} --verifier stripe`, "say where the secret of stripe comes from: --secret-file, --secret-env"],
    [`${ADD} --verifier github`, "--secret-env, or --new-secret"],
    [
      `${ADD} --verifier stripe --new-secret`,
      "--new-secret makes none for stripe, but for standard-webhooks",
    ],
    [`${ADD} --verifier none --secret-env A`, "the verifier none looks at no secret"],
    [
      `${ADD} --verifier slack --secret-env A --secret-file b`,
      "say one of --secret-file, --secret-env and --new-secret",
    ],
    [`${ADD} --verifier slack --secret-file - --sign-file -`, "stdin holds one secret"],
    [`${ADD} --verifier slack,secrets=a --secret-file -`, "--verifier takes TYPE"],
    ["update orders", "say what to change"],
    ["update orders --no-sign --new-sign", "say --no-sign, or what to sign with"],
    ["update orders --schedule soon", "--schedule takes the time before each attempt"],
    ["update orders --keep all=7", "--keep takes delivered=DAYS or dead=DAYS"],
    ["update orders --file a.json --order all", "--file is the whole record: --order can't go with it"],
    ["rotate orders", "say where the new secret comes from"],
    ["rotate orders --end --new-secret", "a new one can't go with it"],
    ["remove orders --reason x", "remove takes no --reason"],
  ])("%s: %s", (words, message) => {
    const parse = () => parseRoutesArguments(words.split(" ").filter((word) => word !== ""));
    expect(parse).toThrow(UsageError);
    expect(parse).toThrow(message);
  });
});

describe("the command line of deliveries", () => {
  const NOW = Date.UTC(2026, 10, 28, 12);
  const ID = `dlv_A${"a".repeat(21)}A`;
  const parse = (words: string) =>
    parseDeliveriesArguments(
      words.split(" ").filter((word) => word !== ""),
      NOW,
    );

  test("is read", () => {
    expect(
      parse("replay --route orders --state dead --since 1d --until 2026-11-28T11:00:00Z --rate 10"),
    ).toMatchObject({
      action: "replay",
      owner: "route:orders",
      filter: { state: "dead", from: NOW - 86_400_000, to: NOW - 3_600_000 },
      rate: 10,
    });
    expect(parse(`show ${ID} --client shop --json`)).toMatchObject({
      action: "show",
      owner: "client:shop",
      id: ID,
      json: true,
    });
    expect(parse("skip --lane a/b --route orders")).toMatchObject({ action: "skip", lane: "a/b" });
  });

  test.each([
    ["list", "say whose: --route ID or --client ID"],
    ["list --route a --client b", "say whose: --route ID or --client ID"],
    [`counts ${ID} --route a`, "counts takes no delivery"],
    ["show --route a", "show takes one delivery's id"],
    ["show dlv_x --route a", "show takes one delivery's id, as list tells it: dlv_…"],
    ["replay --route a", "replay takes one delivery's id, or --state dead"],
    ["replay --route a --since 1d", "replay takes one delivery's id, or --state dead"],
    ["purge --route a --lane b", "purge takes one delivery's id, or --state, --since or --until"],
    [`purge ${ID} --route a --state dead`, "purge takes one delivery's id, or says which by options"],
    ["list --route a --state lost", "--state takes pending, delivered, dead"],
    ["list --route a --since yesterday", "--since takes how long ago"],
    ["skip --route a", "skip takes --lane"],
    ["resume --route a --reason x", "resume takes no --reason"],
  ])("%s: %s", (words, message) => {
    expect(() => parse(words)).toThrow(UsageError);
    expect(() => parse(words)).toThrow(message);
  });
});

describe("is told", () => {
  const DETAIL: DeliveryDetail = {
    id: `dlv_A${"a".repeat(21)}A`,
    owner: "route:orders",
    kind: "hook",
    state: "dead",
    client: "shop",
    method: "POST",
    origin: null,
    lane: "cart \u001b[2J",
    dedupe: "evt_1",
    size: 12,
    accepted: Date.UTC(2026, 10, 28, 12, 0, 0, 500),
    spent: 1,
    due: null,
    ended: Date.UTC(2026, 10, 28, 12, 1),
    reason: "its attempts are spent",
    attempts: [
      {
        n: 1,
        started: Date.UTC(2026, 10, 28, 12, 0, 59),
        ended: Date.UTC(2026, 10, 28, 12, 1),
        result: "answered",
        status: 500,
        code: null,
        detail: null,
        node: "node-1",
        egress: "203.0.113.10",
      },
    ],
    answer: { status: 500, body: Buffer.from("no\u001b[31m\nroom").toString("base64"), isCut: false },
  };

  test("one with its attempts and its answer, without what moves a terminal's cursor", () => {
    expect(showText(DETAIL)).toBe(`delivery  ${DETAIL.id}
of        route:orders
kind      hook
client    shop
request   POST to its route's target, 12 bytes
known by  evt_1
lane      cart \\u{1b}[2J
accepted  2026-11-28T12:00:00Z
state     dead
spent     1 of its attempts
ended     2026-11-28T12:01:00Z
reason    its attempts are spent

ATTEMPT  BEGAN                 TOOK     RESULT    STATUS  NODE    LEFT FROM     DETAIL
1        2026-11-28T12:00:59Z  1000 ms  answered  500     node-1  203.0.113.10

The last answer was 500, with 12 bytes:

no\\u{1b}[31m
room
`);
  });

  test("a list of them", () => {
    expect(deliveriesText([DETAIL]).split("\n")[1]).toBe(
      `${DETAIL.id}  2026-11-28T12:00:00Z  dead   1      2026-11-28T12:01:00Z  12     cart \\u{1b}[2J  evt_1     its attempts are spent`,
    );
  });

  test("an answer that is no text in hex, and one that was cut in the middle of a character as text", () => {
    const answer = (bytes: Buffer, isCut = false) =>
      answerText({ status: 502, body: bytes.toString("base64"), isCut });
    expect(answer(Buffer.from([0xff, 0x00, 0x10]))).toBe(
      "The last answer was 502, with 3 bytes, in hex:\n\nff0010\n",
    );
    expect(answer(Buffer.from("für").subarray(0, 2), true)).toBe(
      "The last answer was 502, with the first 2 bytes:\n\nf\n",
    );
  });

  test("how they stand, and what pauses them", () => {
    const pause = { at: Date.UTC(2026, 10, 28), by: null, reason: "the route was removed" };
    expect(
      countsText({
        owner: "route:orders",
        isThere: false,
        pause,
        accepted: 3,
        delivered: 1,
        pending: 1,
        dead: 1,
        purged: 0,
      }),
    ).toBe(`of         route:orders, which is not registered
paused     since 2026-11-28T00:00:00Z: the route was removed
accepted   3
delivered  1
pending    1
dead       1
purged     0
`);
    expect(listText([{ version: 2, record: ROUTE, pause: { ...pause, by: "ops" } }])).toContain(
      "since 2026-11-28T00:00:00Z by ops: the route was removed",
    );
  });
});
