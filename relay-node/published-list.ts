import type { Logger } from "pino";
import type { EgressList } from "../protocol/egress-list.ts";
import { EGRESS_LIST_MAX_BYTES } from "../protocol/limits.ts";
import type { NodeConfig } from "./config.ts";
import type { GetText, Way } from "./get-text.ts";
import { listIn } from "./listing.ts";

/** The edge's published list, as the node read it last. */
export class PublishedList {
  /** Undefined until one was read. */
  list: EgressList | undefined;
  readonly #edge: string;
  readonly #ways: readonly Way[];
  readonly #getText: GetText;
  readonly #log: Logger;
  #reading: Promise<void> | undefined;
  #isSilent = false;

  constructor({ edge, egress }: NodeConfig, getText: GetText, log: Logger) {
    this.#edge = edge;
    this.#ways = [
      ...(egress.ipv4 === undefined ? [] : [{ family: 4, bind: egress.ipv4.bind } as const]),
      ...(egress.ipv6 === undefined ? [] : [{ family: 6, bind: egress.ipv6.bind } as const]),
    ];
    this.#getText = getText;
    this.#log = log;
  }

  /** Reads it again, or joins who already does. What can't be read leaves the former list in place; never rejects. */
  read(): Promise<void> {
    this.#reading ??= this.#read().finally(() => (this.#reading = undefined));
    return this.#reading;
  }

  /** By each family: the list is one, and an edge may have an address of one family alone. */
  async #read(): Promise<void> {
    const url = new URL("/.well-known/egress.json", this.#edge);
    const causes: string[] = [];
    const lists = await Promise.all(
      this.#ways.map(async (from) => {
        const got = await this.#getText(url, from, EGRESS_LIST_MAX_BYTES);
        const list = "text" in got ? listIn(got.text, this.#edge) : undefined;
        if (list === undefined) causes.push("silent" in got ? got.silent : "answered no list of this edge's");
        return list;
      }),
    );
    const list = lists.find((one) => one !== undefined);
    this.list = list ?? this.list;
    const isSilent = list === undefined;
    if (isSilent && !this.#isSilent) {
      this.#log.warn({ cause: causes.join(", "), kept: this.list !== undefined }, "published list not read");
    } else if (!isSilent && this.#isSilent) this.#log.info("published list read");
    this.#isSilent = isSilent;
  }
}
