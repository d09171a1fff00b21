import { expect, test } from "vitest";
import { CLOCK_LEEWAY_SECONDS, SCOPE_TOKEN_SECONDS } from "../../protocol/limits.ts";
import type { ClientLimits } from "../../worker/clients.ts";
import { REVOCATION_SECONDS } from "../../worker/limits.ts";
import { rememberUntil, tokenRememberedUntil } from "../../worker/revoked.ts";

const AT = 1_767_225_600;
const DAY = 86_400;

test.each<[what: string, limits: readonly (ClientLimits | undefined)[], seconds: number]>([
  ["a week", [undefined], REVOCATION_SECONDS],
  ["a week, where streams last for less", [{ streamLifetimeSeconds: 60 }], REVOCATION_SECONDS],
  ["as long as streams may last", [{ streamLifetimeSeconds: 30 * DAY + 0.5 }], 30 * DAY + 1],
  ["as long as they might before", [{ streamLifetimeSeconds: 30 * DAY }, {}], 30 * DAY],
])("what is revoked is remembered for %s", (_what, limits, seconds) => {
  expect(rememberUntil(AT, limits)).toBe(AT + seconds);
});

test("a limit of any size is a time that can be stored", () => {
  expect(rememberUntil(AT, [{ streamLifetimeSeconds: Number.MAX_VALUE }])).toBeLessThan(2 ** 53);
  const limits = { scopeSeconds: Number.MAX_VALUE };
  expect(tokenRememberedUntil({ client: "shop", jti: "x", exp: 1 }, AT, limits)).toBeLessThan(2 ** 53);
});

test.each<[what: string, exp: number | undefined, limits: ClientLimits, until: number | null]>([
  ["for good, where its end isn't known", undefined, {}, null],
  // Nobody has proven it: a token that is passed round may have been made to look shorter than it is.
  ["as long as the client's tokens may live, whatever it says", AT + 60, {}, AT + SCOPE_TOKEN_SECONDS],
  ["as long as it says", AT + 200 * DAY, {}, AT + 200 * DAY],
  [
    "as long as its streams may last",
    AT + 60,
    { scopeSeconds: 60, streamLifetimeSeconds: 30 * DAY },
    AT + 30 * DAY,
  ],
])("a revoked token is remembered %s", (_what, exp, limits, until) => {
  expect(tokenRememberedUntil({ client: "shop", jti: "x", exp }, AT, limits)).toBe(
    until === null ? null : until + CLOCK_LEEWAY_SECONDS,
  );
});
