import ipaddr from "ipaddr.js";
import { describe, expect, it } from "vitest";
import { createGuard, parseCidr } from "../../relay-node/guard.ts";
import { METADATA_ADDRESSES, REFUSED_RANGES } from "../../relay-node/ranges.ts";
import vectors from "../vectors/addresses.json" with { type: "json" };

const guardOf = (open: readonly string[] = [], own: readonly string[] = []) =>
  createGuard({ open, own: () => own });
const closed = guardOf();
const refused = (reason: string) => ({ allowed: false, reason });
const ALLOWED = { allowed: true };

describe("address vectors", () => {
  it.each(vectors)("$address", ({ address, allowed, reason }) => {
    expect(closed.judge(address)).toEqual(allowed ? ALLOWED : refused(reason!));
  });

  it("holds every reason that a range can give", () => {
    const covered = new Set(vectors.map(({ reason }) => reason));
    for (const [, reason] of REFUSED_RANGES) expect(covered).toContain(reason);
  });

  it("reads no text that an independent strict parser refuses", () => {
    for (const { address } of vectors) {
      const verdict = closed.judge(address);
      if (!verdict.allowed && (verdict.reason === "unparseable" || verdict.reason === "zone")) continue;
      expect(ipaddr.IPv4.isValidFourPartDecimal(address) || ipaddr.IPv6.isValid(address), address).toBe(true);
    }
  });

  it("gives one verdict on every spelling of an IPv6 address", () => {
    // ipaddr.js reads ::0.0.0.1 as ::ffff:0.0.0.1, so it can't be asked about what is written with a dotted
    // part.
    for (const { address } of vectors.filter(
      (row) => ipaddr.IPv6.isValid(row.address) && !/[.%]/.test(row.address),
    )) {
      const parsed = ipaddr.IPv6.parse(address);
      const spellings = [parsed.toNormalizedString(), parsed.toRFC5952String(), address.toUpperCase()];
      for (const spelling of spellings) {
        expect(closed.judge(spelling), spelling).toEqual(closed.judge(address));
      }
    }
  });

  it("allows nothing that an independent registry calls special", () => {
    let allowed = 0;
    for (let i = 0; i < 20_000; i++) {
      const address = i % 2 === 0 ? randomIpv4() : randomIpv6();
      if (!closed.judge(address).allowed) continue;
      allowed++;
      expect(ipaddr.parse(address).range(), address).toBe("unicast");
    }
    expect(allowed).toBeGreaterThan(5_000);
  });
});

describe("opened ranges", () => {
  it("lift the refusal of a range, inside it alone", () => {
    const guard = guardOf(["10.20.0.0/16", "fd12::/16", "127.0.0.0/8", "::1/128"]);
    for (const address of ["10.20.0.0", "10.20.255.255", "fd12::1", "127.0.0.1", "::1"]) {
      expect(guard.judge(address)).toEqual(ALLOWED);
    }
    expect(guard.judge("10.19.255.255")).toEqual(refused("private"));
    expect(guard.judge("10.21.0.0")).toEqual(refused("private"));
    expect(guard.judge("fd13::1")).toEqual(refused("private"));
    expect(guard.judge("::2")).toEqual(refused("ipv4_compatible"));
  });

  it("lift what lies outside 2000::/3 when they name it", () => {
    expect(guardOf(["4000::/16"]).judge("4000::1")).toEqual(ALLOWED);
  });

  it.each(METADATA_ADDRESSES)("open metadata address %s by its own entry alone", (address) => {
    const isV6 = address.includes(":");
    const wide = isV6
      ? ["::/0", "fc00::/7", "fe80::/10"]
      : ["0.0.0.0/0", "100.64.0.0/10", "169.254.0.0/16", `${toEven(address)}/31`];
    expect(guardOf(wide).judge(address)).toEqual(refused("metadata"));
    expect(guardOf([`${address}/${isV6 ? 128 : 32}`]).judge(address)).toEqual(ALLOWED);
  });

  it("open an own address by its own entry alone", () => {
    const own = ["127.0.0.9", "8.8.4.4", "2001:4860::7"];
    const wide = guardOf(["0.0.0.0/0", "::/0", "127.0.0.0/8"], own);
    const named = guardOf(
      own.map((address) => `${address}/${address.includes(":") ? 128 : 32}`),
      own,
    );
    for (const address of own) {
      expect(wide.judge(address)).toEqual(refused("own"));
      expect(named.judge(address)).toEqual(ALLOWED);
    }
    expect(wide.judge("127.0.0.8")).toEqual(ALLOWED);
  });

  it("never lift a form that carries an IPv4 address", () => {
    const guard = guardOf([
      "0.0.0.0/0",
      "::/0",
      "2000::/3",
      "8.8.8.8/32",
      "127.0.0.1/32",
      "169.254.169.254/32",
    ]);
    for (const { address, reason } of vectors) {
      if (
        reason === undefined ||
        !/^(ipv4_|nat64$|6to4$|teredo$|isatap$)/.test(reason) ||
        !address.includes(":")
      ) {
        continue;
      }
      expect(guard.judge(address), address).toEqual(refused(reason));
    }
  });

  it.each([
    "64:ff9b::/96",
    "::ffff:7f00:1/128",
    "::ffff:0:0/96",
    "2002::/16",
    "2002:7f00::/32",
    "2001::/32",
    "2001:4860::5efe:0:0/96",
  ])("refuse the entry %s, which could open nothing", (entry) => {
    expect(() => guardOf([entry])).toThrow(`"${entry}" can't be opened`);
  });

  it("take an entry that is wider than the forms inside it", () => {
    const guard = guardOf(["64:ff9b::/32", "2001::/23"]);
    expect(guard.judge("64:ff9b:2::1")).toEqual(ALLOWED);
    expect(guard.judge("64:ff9b::1.2.3.4")).toEqual(refused("nat64"));
    expect(guard.judge("2001:1::1")).toEqual(ALLOWED);
    expect(guard.judge("2001::1")).toEqual(refused("teredo"));
  });

  it.each([
    "",
    "10.0.0.0",
    "10.0.0.0/",
    "10.0.0.0/33",
    "10.0.0.0/08",
    "10.0.0.0/-1",
    "10.0.0.0/8/8",
    "10.0.0.1/8",
    "10/8",
    "0x0a.0.0.0/8",
    "::/129",
    "fe80::%eth0/10",
    "fd00::1/8",
    "localhost/8",
    " 10.0.0.0/8",
    "10.0.0.0/8 ",
    "10.0.0.0/255.0.0.0",
  ])("refuse %j and name it", (entry) => {
    expect(() => parseCidr(entry)).toThrow(JSON.stringify(entry));
    expect(() => guardOf([entry])).toThrow(JSON.stringify(entry));
  });

  it.each(["0.0.0.0/0", "::/0", "10.0.0.0/8", "203.0.113.7/32", "::1/128", "fd00::/8", "2001:db8:8000::/33"])(
    "read %s",
    (entry) => {
      const { family, bits } = parseCidr(entry);
      expect([family, bits]).toEqual([entry.includes(":") ? 6 : 4, Number(entry.split("/")[1])]);
    },
  );
});

describe("own addresses", () => {
  it("are compared as numbers, not as text", () => {
    const guard = guardOf([], ["2001:4860:0:0::00AB", "fe80::1%eth0"]);
    expect(guard.judge("2001:4860::ab")).toEqual(refused("own"));
    expect(guard.judge("2001:4860::ac")).toEqual(ALLOWED);
    expect(guard.judge("fe80::1")).toEqual(refused("own"));
  });

  it("are read anew when they change, also in place", () => {
    const own = ["8.8.8.8"];
    const guard = createGuard({ open: [], own: () => own });
    expect(guard.judge("8.8.8.8")).toEqual(refused("own"));
    own[0] = "8.8.4.4";
    expect(guard.judge("8.8.8.8")).toEqual(ALLOWED);
    expect(guard.judge("8.8.4.4")).toEqual(refused("own"));
    own.push("1.1.1.1");
    expect(guard.judge("1.1.1.1")).toEqual(refused("own"));
  });

  it("refuse everything while one of them can't be read", () => {
    const own = ["8.8.8.8", "eth0"];
    const guard = createGuard({ open: [], own: () => own });
    expect(guard.judge("1.1.1.1")).toEqual(refused("own_unreadable"));
    own.pop();
    expect(guard.judge("1.1.1.1")).toEqual(ALLOWED);
  });
});

function toEven(address: string): string {
  return address.replace(/\d+$/, (last) => String(Number(last) & ~1));
}

function randomIpv4(): string {
  return [...crypto.getRandomValues(new Uint8Array(4))].join(".");
}

function randomIpv6(): string {
  const groups = [...crypto.getRandomValues(new Uint16Array(8))];
  // Half of them where the public addresses are, and near the special ones among these.
  if (groups[7]! % 2 === 0) groups[0] = [0x2001, 0x2002, 0x2600, 0x3fff][groups[6]! % 4]!;
  return groups.map((group) => group.toString(16)).join(":");
}
