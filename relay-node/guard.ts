import { type IpAddress, type IpRange, isInRange, isSameIp, parseCidr, parseIp } from "./ip-address.ts";
import { CARRIER_RANGES, METADATA_ADDRESSES, REFUSED_RANGES } from "./ranges.ts";

export { parseCidr };

/** `reason` is a short stable word: `loopback`, `private`, `metadata`, `own`, `nat64`, `unparseable` … */
export type Verdict = { readonly allowed: true } | { readonly allowed: false; readonly reason: string };

/** Says which addresses may be dialled. */
export interface Guard {
  /** Judges an address as text: canonical dotted decimal or IPv6 without brackets. Never throws. */
  judge(address: string): Verdict;
}

/** What a guard is made of. */
export interface GuardOptions {
  /** Ranges in CIDR notation that the operator opened, for instance `["10.20.0.0/16"]`. */
  readonly open: readonly string[];
  /** The node's own addresses as text. Asked for at every judgement, so that they may change. */
  readonly own: () => readonly string[];
}

/** Verdicts that are remembered: what is dialled is judged three times over, and often again. */
const GUARD_VERDICTS_MAX = 1_000;
const GUARD_ADDRESS_MAX = 64;

const ALLOWED: Verdict = Object.freeze({ allowed: true });
const refused = (reason: string): Verdict => Object.freeze({ allowed: false, reason });
const UNPARSEABLE = refused("unparseable");
const ZONE = refused("zone");
const OWN = refused("own");
const OWN_UNREADABLE = refused("own_unreadable");
const METADATA = refused("metadata");
const ISATAP = refused("isatap");
const RESERVED = refused("reserved");

type Rule = readonly [range: IpRange, verdict: Verdict];
const rules = (rows: readonly (readonly [string, string])[], family: 4 | 6): readonly Rule[] =>
  rows
    .map(([cidr, reason]): Rule => [parseCidr(cidr), refused(reason)])
    .filter(([range]) => range.family === family);

const CARRIERS = rules(CARRIER_RANGES, 6);
const REFUSED = { 4: rules(REFUSED_RANGES, 4), 6: rules(REFUSED_RANGES, 6) } as const;
const METADATA_IPS = METADATA_ADDRESSES.map((text) => parseIp(text)!);

/**
 * The address guard: decides by integers what may be dialled, with no I/O and no clock.
 *
 * An opened range lifts the refusals of ranges alone. The node's own addresses and the clouds' metadata
 * addresses are opened only by an entry for that one address (`/32`, `/128`); IPv6 forms that carry an IPv4
 * address by nothing.
 *
 * @throws Error naming an entry of `open` that is no range, or that can't be opened
 * @example
 * const guard = createGuard({ open: ["10.20.0.0/16"], own: () => ["203.0.113.7"] });
 * guard.judge("10.20.0.5"); // { allowed: true }
 * guard.judge("::ffff:10.20.0.5"); // { allowed: false, reason: "ipv4_mapped" }
 */
export function createGuard({ open, own }: GuardOptions): Guard {
  const opened = open.map((entry) => {
    const range = parseCidr(entry);
    if (carriesOnly(range)) {
      throw new Error(
        `${JSON.stringify(entry)} can't be opened: its addresses carry IPv4 addresses, so open those`,
      );
    }
    return range;
  });
  const single = opened.filter(({ bits, words }) => bits === words.length * 32);
  const isNamed = (ip: IpAddress) => single.some((range) => isSameIp(range, ip));
  const ownIps = readOwn(own);
  /** What was said of addresses, for as long as the node's own ones are these. */
  const said = new Map<string, Verdict>();
  let saidFor: readonly IpAddress[] | undefined;

  function verdictOn(address: string, mine: readonly IpAddress[] | undefined): Verdict {
    const ip = parseIp(address);
    if (ip === undefined) return address.includes("%") ? ZONE : UNPARSEABLE;
    const carrier = carrierOf(ip);
    if (carrier !== undefined) return carrier;
    if (mine === undefined) return OWN_UNREADABLE;
    if (mine.some((one) => isSameIp(one, ip))) return isNamed(ip) ? ALLOWED : OWN;
    if (METADATA_IPS.some((one) => isSameIp(one, ip))) return isNamed(ip) ? ALLOWED : METADATA;
    const verdict = rangeVerdict(ip);
    return verdict === undefined || opened.some((range) => isInRange(ip, range)) ? ALLOWED : verdict;
  }

  return {
    judge(address) {
      const mine = ownIps();
      if (mine !== saidFor) {
        said.clear();
        saidFor = mine;
      }
      const before = said.get(address);
      if (before !== undefined) return before;
      const verdict = verdictOn(address, mine);
      if (said.size >= GUARD_VERDICTS_MAX) said.clear();
      // No address is longer.
      if (address.length <= GUARD_ADDRESS_MAX) said.set(address, verdict);
      return verdict;
    },
  };
}

/** The refusal of an IPv6 address that carries an IPv4 one. */
function carrierOf(ip: IpAddress): Verdict | undefined {
  if (ip.family === 4) return undefined;
  const [a, b, c, d] = ip.words;
  // `::` and `::1` lie in the range of IPv4-compatible addresses and are none (RFC 4291 section 2.5.5.1).
  if (a === 0 && b === 0 && c === 0 && d! <= 1) return undefined;
  // RFC 5214 section 6.1: the interface id ::5efe:a.b.c.d, with or without the universal bit, under any
  // prefix.
  if (c === 0x0000_5efe || c === 0x0200_5efe) return ISATAP;
  return CARRIERS.find(([range]) => isInRange(ip, range))?.[1];
}

/** Whether every address of a range carries an IPv4 one, so that opening it would open nothing. */
function carriesOnly(range: IpRange): boolean {
  const first = carrierOf(range);
  if (first === ISATAP) return range.bits >= 96;
  return (
    first !== undefined &&
    CARRIERS.some(([carrier]) => range.bits >= carrier.bits && isInRange(range, carrier))
  );
}

/** The refusal of an address by what its range is for; undefined for a public one. */
function rangeVerdict(ip: IpAddress): Verdict | undefined {
  const row = REFUSED[ip.family].find(([range]) => isInRange(ip, range));
  if (row !== undefined) return row[1];
  // IANA hands out global unicast addresses from 2000::/3 alone; what it has not, is nobody's yet.
  return ip.family === 6 && ip.words[0]! >>> 29 !== 1 ? RESERVED : undefined;
}

/**
 * Parses the node's own addresses once for each list that differs from the last. One that can't be read
 * leaves open what must be refused, so the whole list counts as unreadable then.
 */
function readOwn(own: () => readonly string[]): () => readonly IpAddress[] | undefined {
  let texts: readonly string[] = [];
  let ips: readonly IpAddress[] | undefined = [];
  return () => {
    const current = own();
    if (current.length !== texts.length || current.some((text, index) => text !== texts[index])) {
      texts = [...current];
      // A link-local address of an interface comes with its zone.
      const parsed = texts.map((text) => parseIp(text.replace(/%.*$/, "")));
      ips = parsed.every((ip) => ip !== undefined) ? parsed : undefined;
    }
    return ips;
  };
}
