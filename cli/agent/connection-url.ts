/** One host of a URL's authority, as it is written there. */
export interface WrittenHost {
  /** Lower case, without brackets. */
  readonly host: string;
  /** Undefined where none is written. */
  readonly port: number | undefined;
  /** The very bytes. */
  readonly text: string;
}

/** A connection URL taken apart so that it can be put together again byte for byte. */
export interface ConnectionUrl {
  /** Lower case and without a driver's name: `postgresql` of `postgresql+psycopg2://`. `mongodb+srv` stays whole. */
  readonly scheme: string;
  /** `jdbc:postgresql://…`: no libpq reads it. */
  readonly isJdbc: boolean;
  /** Up to and with the two slashes. */
  readonly head: string;
  /** `user:password@`, or empty. Never to be shown. */
  readonly userinfo: string;
  readonly hosts: readonly WrittenHost[];
  /** From the path on. */
  readonly rest: string;
}

/** Ports that a scheme stands for where its URL names none: what the usual drivers take. */
export const SCHEME_PORTS: Readonly<Record<string, number>> = {
  postgres: 5432,
  postgresql: 5432,
  postgis: 5432,
  redshift: 5439,
  cockroachdb: 26257,
  mysql: 3306,
  mysql2: 3306,
  mariadb: 3306,
  trilogy: 3306,
  mssql: 1433,
  sqlserver: 1433,
  redis: 6379,
  rediss: 6379,
  valkey: 6379,
  valkeys: 6379,
  mongodb: 27017,
  amqp: 5672,
  amqps: 5671,
  nats: 4222,
  ldap: 389,
  ldaps: 636,
  smtp: 25,
  smtps: 465,
  ftp: 21,
  ssh: 22,
  sftp: 22,
  http: 80,
  https: 443,
};

/**
 * Takes a connection URL apart. Not by `new URL`, which knows one host alone, and gives the bytes back changed.
 *
 * @returns undefined where the text is no URL, or has a host that can't be one
 * @example parseConnectionUrl("mongodb://user:pw@a.example.com,b.example.com:27018/shop")?.hosts[1]?.port // 27018
 */
export function parseConnectionUrl(text: string): ConnectionUrl | undefined {
  const match = /^((jdbc:)?([a-z][a-z0-9.-]*)((?:[+:][a-z0-9.-]+)*):(@)?\/\/)(.*)$/is.exec(text);
  if (match === null) return undefined;
  const [, head, jdbc, name, driver, , behind] = match as unknown as [
    string,
    string,
    ...(string | undefined)[],
  ];
  const isJdbc = jdbc !== undefined;
  const end = behind!.search(isJdbc ? /[/?#;]/ : /[/?#]/);
  const authority = end === -1 ? behind! : behind!.slice(0, end);
  // A password may hold an @ that nobody encoded; no host can.
  const at = authority.lastIndexOf("@") + 1;
  const hosts = authority.slice(at).split(",").map(parseHost);
  if (!hosts.every((host) => host !== undefined)) return undefined;
  const isSrv = name!.toLowerCase() === "mongodb" && driver!.toLowerCase() === "+srv";
  return {
    scheme: isSrv ? "mongodb+srv" : name!.toLowerCase(),
    isJdbc,
    head,
    userinfo: authority.slice(0, at),
    hosts,
    rest: end === -1 ? "" : behind!.slice(end),
  };
}

/** `host`, `host:port`, `[::1]:port`; undefined where it is none of them. An empty host is a socket's or a default one. */
export function parseHost(text: string): WrittenHost | undefined {
  const match = /^(\[[0-9a-f:.%]+\]|[^\s:[\]@/]*)(?::([0-9]{0,5}))?$/i.exec(text);
  if (match === null) return undefined;
  const digits = match[2];
  const port = digits === undefined || digits === "" ? undefined : Number(digits);
  if (port !== undefined && (port < 1 || port > 65_535)) return undefined;
  return { host: match[1]!.replace(/^\[(.*)\]$/, "$1").toLowerCase(), port, text };
}

/** Puts a URL together with other hosts, other credentials kept as they are. */
export function withHosts(url: ConnectionUrl, hosts: readonly string[], rest = url.rest): string {
  return `${url.head}${url.userinfo}${hosts.join(",")}${rest}`;
}
