import { describe, expect, test } from "vitest";
import {
  PROOF_FIRST_MS,
  PROOF_LASTS_MS,
  PROOF_RETRY_MS,
  PROOFS_AFTER_WRONG,
} from "../../relay-node/limits.ts";
import {
  advance,
  isProven,
  nextRoundMs,
  type ProofState,
  reasonOf,
  type Report,
  UNPROVEN,
  type Verdict,
  verdictOf,
} from "../../relay-node/proof.ts";

const PUBLIC = "203.0.113.10";
const INTERVAL_MS = 60_000;

/** `r` saw the published address, `w` another one, `-` said nothing. */
function reports(letters: string): Report[] {
  return Array.from(letters, (letter, index) => {
    const witness = `w${index}`;
    if (letter === "-") return { witness, silent: "ECONNREFUSED" };
    return { witness, saw: letter === "r" ? PUBLIC : "198.51.100.9" };
  });
}

describe("the verdict on one round", () => {
  const CASES: readonly (readonly [letters: string, verdict: Verdict])[] = [
    ["", "silent"],
    ["-", "silent"],
    ["---", "silent"],
    ["r", "right"],
    ["r--", "right"],
    ["rw", "right"],
    ["wr", "right"],
    ["rw-", "right"],
    ["rrw", "right"],
    ["rrww", "right"],
    ["w", "wrong"],
    ["w--", "wrong"],
    ["rww", "wrong"],
    ["wwr-", "wrong"],
    ["ww", "wrong"],
    ["rrwww", "wrong"],
  ];
  test.each(CASES)("%j is %s", (letters, verdict) => {
    expect(verdictOf(PUBLIC, reports(letters))).toBe(verdict);
  });

  const ADDRESSES: readonly (readonly [published: string, saw: string, verdict: Verdict])[] = [
    ["2001:db8::7", "2001:DB8:0::0:7", "right"],
    ["2001:db8::7", "2001:db8::8", "wrong"],
    ["2001:db8::7", "203.0.113.10", "wrong"],
    ["203.0.113.10", "2001:db8::7", "wrong"],
    ["203.0.113.10", "no address", "wrong"],
  ];
  test.each(ADDRESSES)("published as %s, seen as %s: %s", (published, saw, verdict) => {
    expect(verdictOf(published, [{ witness: "edge", saw }])).toBe(verdict);
  });
});

/** Rounds one second apart, as letters of verdicts; tells after each whether the address is in service. */
function run(
  letters: string,
  start: ProofState = UNPROVEN,
): { service: string; state: ProofState; now: number } {
  const verdicts: Readonly<Record<string, Verdict>> = { r: "right", w: "wrong", "-": "silent" };
  let state = start;
  let now = 0;
  let service = "";
  for (const letter of letters) {
    now += 1_000;
    state = advance(state, verdicts[letter]!, now);
    service += isProven(state, now) ? "1" : "0";
  }
  return { service, state, now };
}

describe("an address over several rounds", () => {
  test("is not in service before its first", () => {
    expect(isProven(UNPROVEN, 0)).toBe(false);
  });

  test.each([
    { what: "one proof is enough at the start", rounds: "r", service: "1" },
    { what: "silence proves nothing", rounds: "--r", service: "001" },
    { what: "a proof outlasts silence", rounds: "r----", service: "11111" },
    { what: "a wrong verdict takes effect at once", rounds: "rw", service: "10" },
    { what: "two in a row are needed after it", rounds: "rwrr", service: "1001" },
    { what: "not two with another wrong one in between", rounds: "rwrwrr", service: "100001" },
    { what: "nor with silence in between", rounds: "rwr-rr", service: "100001" },
    { what: "also where it was never in service", rounds: "wrr", service: "001" },
    { what: "silence does not make a wrong verdict good", rounds: "rw--r", service: "10000" },
    { what: "it goes and comes back again", rounds: "rwrrwrr", service: "1001001" },
  ])("$what: $rounds", ({ rounds, service }) => {
    expect(run(rounds).service).toBe(service);
  });

  test("is in service as long as a proof lasts, and no longer, also between two rounds", () => {
    const { state, now } = run("r-");
    const proven = now - 1_000;
    expect(isProven(state, proven + PROOF_LASTS_MS)).toBe(true);
    expect(isProven(state, proven + PROOF_LASTS_MS + 1)).toBe(false);
    const late = advance(state, "silent", proven + PROOF_LASTS_MS + 1);
    expect(late.provenAt).toBeUndefined();
    expect(isProven(advance(late, "right", proven + PROOF_LASTS_MS + 2), proven + PROOF_LASTS_MS + 2)).toBe(
      true,
    );
  });

  test.each([
    { rounds: "", ms: PROOF_FIRST_MS },
    { rounds: "-", ms: PROOF_FIRST_MS },
    { rounds: "wr", ms: PROOF_FIRST_MS },
    { rounds: "r", ms: INTERVAL_MS },
    { rounds: "r-", ms: PROOF_RETRY_MS },
    { rounds: "rw", ms: PROOF_RETRY_MS },
    { rounds: "rwr", ms: PROOF_RETRY_MS },
    { rounds: "rwrr", ms: INTERVAL_MS },
  ])("after $rounds its witnesses are asked again in $ms ms", ({ rounds, ms }) => {
    expect(nextRoundMs(run(rounds).state, true, INTERVAL_MS)).toBe(ms);
  });

  test.each([
    { rounds: "", isListed: false, ms: PROOF_FIRST_MS },
    { rounds: "r", isListed: false, ms: PROOF_RETRY_MS },
    { rounds: "r", isListed: undefined, ms: PROOF_RETRY_MS },
  ])("after $rounds, listed: $isListed, all are asked again in $ms ms", ({ rounds, isListed, ms }) => {
    expect(nextRoundMs(run(rounds).state, isListed, INTERVAL_MS)).toBe(ms);
  });

  test("is never asked for less often in trouble than in peace", () => {
    expect(nextRoundMs(run("rw").state, true, 2_000)).toBe(2_000);
  });
});

describe("the reason", () => {
  test.each([
    {
      what: "one other address",
      rounds: "w",
      told: [
        { witness: "edge", saw: "198.51.100.9" },
        { witness: "node-2", saw: "198.51.100.9" },
        { witness: "node-3", silent: "ECONNREFUSED" },
      ],
      reason: `ipv4: the world sees 198.51.100.9, published is ${PUBLIC} (told by edge, node-2)`,
    },
    {
      what: "several, and one right",
      rounds: "w",
      told: [
        { witness: "edge", saw: "198.51.100.9" },
        { witness: "node-2", saw: PUBLIC },
        { witness: "node-3", saw: "198.51.100.10" },
      ],
      reason: `ipv4: the world sees 198.51.100.9 or 198.51.100.10, published is ${PUBLIC} (told by edge, node-3)`,
    },
    {
      what: "silence",
      rounds: "-",
      told: [
        { witness: "edge", silent: "dns_failed" },
        { witness: "node-2", silent: "ECONNREFUSED" },
      ],
      reason: `ipv4: no witness tells whether ${PUBLIC} is what the world sees (edge: dns_failed, node-2: ECONNREFUSED)`,
    },
    {
      what: "before the first round",
      rounds: "",
      told: [],
      reason: `ipv4: no witness tells whether ${PUBLIC} is what the world sees (none was asked yet)`,
    },
    {
      what: "on the way back",
      rounds: "wr",
      told: [{ witness: "edge", saw: PUBLIC }],
      reason: `ipv4: ${PUBLIC} is seen again, 1 of ${PROOFS_AFTER_WRONG} times in a row`,
    },
  ])("of $what", ({ rounds, told, reason }) => {
    expect(reasonOf("ipv4", PUBLIC, run(rounds).state, told as readonly Report[])).toBe(reason);
  });
});
