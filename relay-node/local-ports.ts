import { hash, randomBytes, randomFillSync, randomInt } from "node:crypto";
import { readFileSync } from "node:fs";

/** Where Linux tells the ports that outgoing connections have, and those of them that are kept for others. */
const RANGE_FILE = "/proc/sys/net/ipv4/ip_local_port_range";
const RESERVED_FILE = "/proc/sys/net/ipv4/ip_local_reserved_ports";

/** Linux has as many: with 256 and targets of one's own for each, one could read them all (CVE-2022-32296). */
const COUNTERS = 65_536;

/** The largest step from one port to the next: some noise over what a counter tells, which Linux adds too. */
const STEP_MAX = 4;

/**
 * Of so many ports one is left to others, the first, which is of the half that Linux looks through first. A port that is bound by its
 * number is no longer given to whoever asks for any, whatever their address and target, until a minute after its connection: a busy
 * node that used all of them would keep every other program of its host, and its own calls to the edge, from connecting anywhere.
 */
const SHARED_OF = 4;

/** Ends of connections whose hashes are remembered. */
const WAYS_MAX = 1_000;

/** Where the ports of two ends begin, and which counter counts them. */
interface Way {
  readonly offset: number;
  readonly counter: number;
}

/** What can be wrong with a port that was chosen here: another connection of the same two ends has it, or something listens on it. */
const TAKEN: ReadonlySet<string | undefined> = new Set(["EADDRINUSE", "EADDRNOTAVAIL"]);

/** Whether a connection failed by its local port alone. */
export function isPortTaken(error: unknown): boolean {
  return TAKEN.has((error as NodeJS.ErrnoException | undefined)?.code);
}

/**
 * Chooses the local ports of connections that are bound to an address (RFC 6056 section 3.3.4: those of a target follow each other
 * from an offset that is a secret's hash of it, by one of many counters that the hash chooses as well). So the ports at one target
 * tell nothing of those at another, and one comes back only once the whole range has been gone through. A system that is asked for any
 * port at that point finds one that no other connection has, whatever its target: that takes long where many have ended lately, and
 * there are no more than the range has for the minute that each of them waits. One that is named may be shared by connections to
 * different targets. Every fourth port is left to others.
 */
export class LocalPorts {
  readonly #first: number;
  /** A range of a few is not. */
  readonly #isShared: boolean;
  /** How many are used, those included that are reserved. */
  readonly #count: number;
  readonly #reserved: ReadonlySet<number>;
  readonly #secret = randomBytes(32).toString("base64");
  readonly #ways = new Map<string, Way>();
  readonly #counters = randomFillSync(new Uint16Array(COUNTERS));

  /** @param range the first and the last port: of those that are not left to others, not all may be reserved */
  constructor([first, last]: readonly [number, number], reserved: ReadonlySet<number> = new Set()) {
    this.#first = first;
    const all = last - first + 1;
    this.#isShared = all >= SHARED_OF;
    this.#count = this.#isShared ? all - Math.ceil(all / SHARED_OF) : all;
    this.#reserved = reserved;
  }

  /** Those of this system; undefined where it doesn't tell: it chooses them then. */
  static ofSystem(): LocalPorts | undefined {
    try {
      const [first, last] = readFileSync(RANGE_FILE, "utf8").trim().split(/\s+/).map(Number);
      if (!isPort(first) || !isPort(last) || last < first) return undefined;
      const ports = new LocalPorts([first, last], reservedIn(readFileSync(RESERVED_FILE, "utf8")));
      return ports.#hasAny() ? ports : undefined;
    } catch {
      return undefined;
    }
  }

  #hasAny(): boolean {
    for (let place = 0; place < this.#count; place++) if (!this.#reserved.has(this.#port(place))) return true;
    return false;
  }

  /** By the secret's hash; those of the last ways are remembered. */
  #wayTo(ends: string): Way {
    const known = this.#ways.get(ends);
    if (known !== undefined) return known;
    const digest = hash("sha256", `${this.#secret} ${ends}`, "buffer");
    const way = { offset: digest.readUInt32BE(0), counter: digest.readUInt32BE(4) % COUNTERS };
    if (this.#ways.size >= WAYS_MAX) this.#ways.clear();
    this.#ways.set(ends, way);
    return way;
  }

  /** The next one from a local address to a target's address and port. */
  next(egress: string, address: string, port: number): number {
    const { offset, counter } = this.#wayTo(`${egress} ${address} ${port}`);
    for (;;) {
      const at = (this.#counters[counter]! + 1 + randomInt(STEP_MAX)) % this.#count;
      this.#counters[counter] = at;
      const local = this.#port((offset + at) % this.#count);
      if (!this.#reserved.has(local)) return local;
    }
  }

  /** One of those that are used, by its place among them. */
  #port(place: number): number {
    if (!this.#isShared) return this.#first + place;
    const own = SHARED_OF - 1;
    return this.#first + SHARED_OF * Math.floor(place / own) + 1 + (place % own);
  }
}

/** Ports and ranges of them, with commas between: `8080,9148-9150`. */
function reservedIn(text: string): ReadonlySet<number> {
  const ranges = text.trim() === "" ? [] : text.trim().split(",");
  return new Set(
    ranges.flatMap((range) => {
      const [first = 0, last = first] = range.split("-").map(Number);
      return Array.from({ length: last - first + 1 }, (_, at) => first + at);
    }),
  );
}

function isPort(value: number | undefined): value is number {
  return Number.isInteger(value) && value! > 0 && value! <= 65_535;
}
