import { promises as dns, type SrvRecord } from "node:dns";
import { RelayError } from "../protocol/errors.ts";
import type { Seed, SeedList, SeedListName } from "../protocol/seed-list.ts";
import { isDenial, meaningOf } from "./dns-answers.ts";
import { DNS_DEADLINE_MS, SEED_OPTIONS_MAX_BYTES, SEEDS_MAX } from "./limits.ts";
import { isDnsName, type ResolverOptions, unlessAborted } from "./resolver.ts";

/** Looks up what a `mongodb+srv` name stands for. */
export interface SeedResolver {
  /**
   * @param name of `parseSeedListUrl`
   * @throws RelayError `dns_failed`, `dns_timeout`; or the signal's reason
   */
  resolve(name: SeedListName, signal?: AbortSignal): Promise<SeedList>;
}

/**
 * Asks by c-ares, as the resolver of addresses does, for SRV and TXT of a name at once. Nothing is kept: a deployment is
 * looked up once, when a client starts.
 *
 * @example
 * const seeds = createSeedResolver({ timeoutMs: 1_500, tries: 3 });
 * await seeds.resolve(parseSeedListUrl("mongodb+srv://cluster0.ab1cd.mongodb.net"));
 * // { seeds: [{ host: "shard-0.ab1cd.mongodb.net", port: 27017 }], options: "authSource=admin" }
 */
export function createSeedResolver(
  options: Pick<ResolverOptions, "servers" | "timeoutMs" | "tries" | "deadlineMs">,
): SeedResolver {
  const { servers, timeoutMs, tries, deadlineMs = DNS_DEADLINE_MS } = options;
  const channel = new dns.Resolver({ timeout: timeoutMs, tries });
  if (servers !== undefined) channel.setServers(servers);

  return {
    async resolve(name, signal) {
      signal?.throwIfAborted();
      const { promise, reject } = Promise.withResolvers<never>();
      const late = () =>
        reject(new RelayError("dns_timeout", `${name.host}: no name server answered in time`));
      const timer = setTimeout(late, deadlineMs);
      const answers = Promise.all([
        channel.resolveSrv(`_mongodb._tcp.${name.host}`).catch((error: unknown) => {
          throw failureOf(name, "SRV", error);
        }),
        channel.resolveTxt(name.host).catch((error: unknown) => {
          if (isDenial(error as { code?: string })) return [];
          throw failureOf(name, "TXT", error);
        }),
      ]);
      try {
        return readSeedList(name, ...(await unlessAborted(Promise.race([answers, promise]), signal)));
      } finally {
        clearTimeout(timer);
        // Nobody waits for what may still come of it.
        answers.catch(() => {});
      }
    },
  };
}

/**
 * What the records of a name say. By the specification of the initial DNS seed list discovery all hosts lie in the name's
 * parent domain, and there is one TXT record at most.
 *
 * @throws RelayError `dns_failed`
 */
export function readSeedList(
  { host, parent }: SeedListName,
  srv: readonly Pick<SrvRecord, "name" | "port">[],
  txt: readonly (readonly string[])[],
): SeedList {
  const bad = (why: string) => new RelayError("dns_failed", `${host}: ${why}`);
  if (srv.length === 0) throw bad("it has no SRV record");
  if (srv.length > SEEDS_MAX) throw bad(`it has ${srv.length} SRV records, more than ${SEEDS_MAX}`);
  const seeds = srv.map(({ name, port }): Seed => {
    const seed = name.toLowerCase().replace(/\.$/, "");
    if (!isDnsName(seed) || port === 0) throw bad("an SRV record names no host and port");
    if (!seed.endsWith(`.${parent}`)) throw bad(`an SRV record names a host outside ${parent}`);
    return { host: seed, port };
  });
  if (txt.length > 1) throw bad(`it has ${txt.length} TXT records, more than one`);
  const options = (txt[0] ?? []).join("");
  if (options.length > SEED_OPTIONS_MAX_BYTES || !/^[\x21-\x7e]*$/.test(options)) {
    throw bad(`its TXT record is no list of options of at most ${SEED_OPTIONS_MAX_BYTES} bytes`);
  }
  return { seeds, options };
}

function failureOf({ host }: SeedListName, type: string, error: unknown): RelayError {
  const { code } = error as { code?: string };
  if (code === "ETIMEOUT") {
    return new RelayError("dns_timeout", `${host}: no name server answered in time`, { cause: error });
  }
  const why = code === "ENODATA" ? `the name has no ${type} record` : meaningOf(code);
  return new RelayError("dns_failed", `${host}: ${why}`, { cause: error });
}
