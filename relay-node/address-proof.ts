import type { SecureContext } from "node:tls";
import type { Logger } from "pino";
import type { EgressList } from "../protocol/egress-list.ts";
import { RelayError } from "../protocol/errors.ts";
import type { EgressAddress, NodeConfig } from "./config.ts";
import { createGetText } from "./get-text.ts";
import { isListed, unlistedReason } from "./listing.ts";
import {
  advance,
  type Family,
  isProven,
  nextRoundMs,
  type ProofState,
  reasonOf,
  type Report,
  UNPROVEN,
  verdictOf,
} from "./proof.ts";
import { PublishedList } from "./published-list.ts";
import type { Resolver } from "./resolver.ts";
import { type AskWitness, createAskWitness, type Witness, witnessesOf } from "./witness.ts";

interface Proof {
  readonly family: Family;
  readonly address: EgressAddress;
  state: ProofState;
  reports: readonly Report[];
  /** What was last logged, so that the same is not told twice. */
  told: string;
  wasInService: boolean;
  timer: NodeJS.Timeout | undefined;
  /** What the list says of it that was read last: each request asks. */
  word: { readonly list: EgressList; readonly isListed: boolean } | undefined;
}

/** Whether requests may leave, by which family. */
export interface EgressState {
  /** @throws RelayError `node_out_of_service` where no address is in service */
  assertProven(): void;
  /** Whether the address of a family is proven, and not missing from the edge's list. */
  mayLeave(family: 4 | 6): boolean;
}

/**
 * Keeps asking witnesses whether the world sees each of the node's addresses as it is configured, and the edge whether they
 * are in its published list; takes those out of service that nobody vouches for or that are not listed.
 *
 * The list is the edge's own, so that its word counts at once, either way. While it can't be read, the former word stays;
 * before the first one the witnesses' is enough, since an edge that is gone asks for no calls, and a node that waited for
 * it would be late for the first.
 *
 * What a lost proof means for requests: none is begun, none that waits for its connection is sent, and no warm connection
 * of that family is used again, since it may have been opened from the other address. A request that its target has
 * begun to see goes on to its end: its connection keeps the address that it was opened from, and cutting it would take
 * nothing back and leave its fate unknown.
 */
export class AddressProof implements EgressState {
  readonly #id: string;
  readonly #proofs: readonly Proof[];
  readonly #published: PublishedList;
  readonly #witnesses: readonly Witness[];
  readonly #ask: AskWitness;
  readonly #intervalMs: number;
  readonly #log: Logger;
  readonly #onLost: (family: 4 | 6) => void;
  #stopped = false;

  /** @param onLost called when a family that was in service no longer is */
  /** @param tls of `relayTls` */
  constructor(
    config: NodeConfig,
    resolver: Resolver,
    tls: SecureContext,
    log: Logger,
    onLost: (family: 4 | 6) => void,
  ) {
    this.#id = config.id;
    this.#proofs = (["ipv4", "ipv6"] as const).flatMap((family) => {
      const address = config.egress[family];
      if (address === undefined) return [];
      const fresh = {
        state: UNPROVEN,
        reports: [],
        told: "",
        wasInService: false,
        timer: undefined,
        word: undefined,
      };
      return [{ family, address, ...fresh }];
    });
    this.#witnesses = witnessesOf(config);
    const getText = createGetText(resolver, tls);
    this.#ask = createAskWitness(getText);
    this.#published = new PublishedList(config, getText, log);
    this.#intervalMs = config.proofSeconds * 1_000;
    this.#log = log;
    this.#onLost = onLost;
  }

  /** Begins to ask, at once and on a schedule. */
  start(): void {
    for (const proof of this.#proofs) void this.#round(proof);
  }

  stop(): void {
    this.#stopped = true;
    for (const { timer } of this.#proofs) clearTimeout(timer);
  }

  mayLeave(family: 4 | 6): boolean {
    const name = nameOf(family);
    const now = performance.now();
    for (const proof of this.#proofs) if (proof.family === name) return this.#isInService(proof, now);
    return false;
  }

  assertProven(): void {
    const reason = this.outOfService();
    if (reason !== undefined) throw new RelayError("node_out_of_service", reason);
  }

  /** Why nothing may leave from this node, or undefined where it is in service. */
  outOfService(): string | undefined {
    const now = performance.now();
    if (this.#proofs.some((proof) => this.#isInService(proof, now))) return undefined;
    return this.#proofs.map((proof) => this.#reasonOf(proof, now)).join("; ");
  }

  /** The configured families, and which of them may be left by. */
  families(): readonly (readonly [family: Family, inService: boolean])[] {
    const now = performance.now();
    return this.#proofs.map((proof) => [proof.family, this.#isInService(proof, now)]);
  }

  #isInService(proof: Proof, now: number): boolean {
    return isProven(proof.state, now) && this.#isListed(proof) !== false;
  }

  /** Undefined while no list was read. */
  #isListed(proof: Proof): boolean | undefined {
    const { list } = this.#published;
    if (list === undefined) return undefined;
    if (proof.word?.list !== list) {
      proof.word = { list, isListed: isListed(list, this.#id, proof.address.public) };
    }
    return proof.word.isListed;
  }

  /** Why an address is not in service: all that has to be mended. */
  #reasonOf(proof: Proof, now: number): string {
    const { family, address, state, reports } = proof;
    const { list } = this.#published;
    const isMissing = list !== undefined && this.#isListed(proof) === false;
    return [
      ...(isMissing ? [unlistedReason(family, address.public, this.#id, list)] : []),
      ...(isMissing && isProven(state, now) ? [] : [reasonOf(family, address.public, state, reports)]),
    ].join("; ");
  }

  async #round(proof: Proof): Promise<void> {
    const { family, address } = proof;
    const from = { family: family === "ipv4" ? 4 : 6, bind: address.bind } as const;
    const [reports] = await Promise.all([
      Promise.all(this.#witnesses.map((witness) => this.#ask(witness, from))),
      this.#published.read(),
    ]);
    if (this.#stopped) return;
    const now = performance.now();
    proof.reports = reports;
    proof.state = advance(proof.state, verdictOf(address.public, reports), now);
    // A new list tells of the other family, too.
    for (const one of this.#proofs) if (one === proof || one.wasInService) this.#tell(one, now);
    const ms = nextRoundMs(proof.state, this.#isListed(proof), this.#intervalMs);
    proof.timer = setTimeout(() => void this.#round(proof), ms);
  }

  #tell(proof: Proof, now: number): void {
    const { family, address, state, reports } = proof;
    const inService = this.#isInService(proof, now);
    const listed = this.#isListed(proof);
    const lost = proof.wasInService && !inService;
    proof.wasInService = inService;
    const told = JSON.stringify([
      inService,
      listed ?? "-",
      reports.map((report) => ("saw" in report ? report.saw : "-")),
    ]);
    if (told !== proof.told) {
      proof.told = told;
      const line = {
        family,
        published: address.public,
        in_service: inService,
        listed,
        told: Object.fromEntries(
          reports.map((report) => [report.witness, "saw" in report ? report.saw : report.silent]),
        ),
      };
      if (!inService) {
        this.#log.warn({ ...line, reason: this.#reasonOf(proof, now) }, "out of service");
      } else if (state.last === "right") this.#log.info(line, "address proven");
      else this.#log.warn(line, "address not confirmed: the last proof still holds");
    }
    if (lost) this.#onLost(family === "ipv4" ? 4 : 6);
  }
}

function nameOf(family: 4 | 6): Family {
  return family === 4 ? "ipv4" : "ipv6";
}
