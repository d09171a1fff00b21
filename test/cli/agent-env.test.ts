import { describe, expect, test } from "vitest";
import { parseConnectionUrl } from "../../cli/agent/connection-url.ts";
import { type Leads, rewriteVariable, variablesHolding } from "../../cli/agent/env-rewrite.ts";
import { seedListUrl } from "../../cli/agent/seed-list.ts";

/** `db` and `db2` on their own ports; `moved` at another one; a service of two hosts. */
const LEADS: Leads = {
  lead: (host, port) => {
    if (host === "db.example.com" && port !== 9999) return { address: "127.70.0.1", port: port ?? 5432 };
    if (host === "db2.example.com") return { address: "127.70.0.2", port: port ?? 5432 };
    if (host === "moved.example.com") return { address: "127.70.0.3", port: 40_000 };
    return undefined;
  },
  service: (name) =>
    name === "c0.example.net"
      ? {
          seeds: [
            { host: "db.example.com", port: 27_017 },
            { host: "s1.example.net", port: 27_018 },
          ],
          options: "authSource=admin&replicaSet=main",
        }
      : undefined,
};

describe("a variable's hosts are replaced, and nothing else", () => {
  test.each([
    ["postgres://u:pw@db.example.com:5432/app?x=1#f", "postgres://u:pw@127.70.0.1:5432/app?x=1#f"],
    ["postgres://u:p%40w@DB.example.com/app", "postgres://u:p%40w@127.70.0.1/app"],
    [
      "postgres://u:p@db.example.com@db.example.com/db.example.com",
      "postgres://u:p@db.example.com@127.70.0.1/db.example.com",
    ],
    ["postgres://u:pw@moved.example.com/app", "postgres://u:pw@127.70.0.3:40000/app"],
    [
      "postgresql+asyncpg://u:pw@db.example.com/app?sslmode=verify-full",
      "postgresql+asyncpg://u:pw@127.70.0.1/app?sslmode=verify-full",
    ],
    ["ecto://u:pw@db.example.com/app", "ecto://u:pw@127.70.0.1/app"],
    ["mysql://u:pw@db.example.com:3306/app", "mysql://u:pw@127.70.0.1:3306/app"],
    [
      "mongodb://u:pw@db.example.com,other.example.com:2,db2.example.com:3/x",
      "mongodb://u:pw@127.70.0.1,other.example.com:2,127.70.0.2:3/x",
    ],
    ["rediss://:pw@db.example.com:6380/0", "rediss://:pw@127.70.0.1:6380/0"],
    [
      "jdbc:postgresql://db.example.com:5432/app?user=u&sslmode=verify-full",
      "jdbc:postgresql://127.70.0.1:5432/app?user=u&sslmode=verify-full",
    ],
    [
      "jdbc:sqlserver://db.example.com:1433;databaseName=x;password=y",
      "jdbc:sqlserver://127.70.0.1:1433;databaseName=x;password=y",
    ],
    ["jdbc:oracle:thin:@//db.example.com:1521/svc", "jdbc:oracle:thin:@//127.70.0.1:1521/svc"],
    ["db.example.com:5432", "127.70.0.1:5432"],
    ["db.example.com:5432,db2.example.com:5433", "127.70.0.1:5432,127.70.0.2:5433"],
    ["db.example.com", "127.70.0.1"],
  ])("%s", (value, expected) => {
    expect(rewriteVariable("X", { X: value }, LEADS)).toEqual({ env: { X: expected }, hidesName: true });
  });

  test.each([
    "",
    "postgres://u:pw@other.example.com/db.example.com",
    "postgres://db.example.com:pw@other.example.com/x",
    "postgres://u:pw@db.example.com:9999/x",
    "the host is db.example.com",
    "https://xdb.example.com/",
    "db.example.com.evil.example",
    "mongodb+srv://u:pw@other.example.net/x",
  ])("%s stays", (value) => {
    expect(rewriteVariable("X", { X: value }, LEADS)).toBeUndefined();
  });

  test("a variable that is not set", () => {
    expect(rewriteVariable("X", {}, LEADS)).toBeUndefined();
  });
});

describe("libpq with verify-full keeps the name", () => {
  test.each([
    [
      "postgres://u:pw@db.example.com/app?sslmode=verify-full",
      "postgres://u:pw@db.example.com/app?sslmode=verify-full&hostaddr=127.70.0.1",
    ],
    [
      "postgresql+psycopg2://u@db.example.com/a?sslmode=verify-full#f",
      "postgresql+psycopg2://u@db.example.com/a?sslmode=verify-full&hostaddr=127.70.0.1#f",
    ],
    [
      "postgres://u@db.example.com:1,other.example.com,db2.example.com/a?x=1&sslmode=verify-full&y=2",
      "postgres://u@db.example.com:1,other.example.com,db2.example.com/a?x=1&sslmode=verify-full&y=2&hostaddr=127.70.0.1,,127.70.0.2",
    ],
    [
      "postgres://u@moved.example.com:5432/a?sslmode=verify-full",
      "postgres://u@moved.example.com:40000/a?sslmode=verify-full&hostaddr=127.70.0.3",
    ],
  ])("%s", (value, expected) => {
    expect(rewriteVariable("X", { X: value }, LEADS)).toEqual({ env: { X: expected }, hidesName: false });
  });

  test.each([
    ["postgres://u@db.example.com", "postgres://u@db.example.com/?hostaddr=127.70.0.1"],
    ["postgres://u@db.example.com/x", "postgres://u@db.example.com/x?hostaddr=127.70.0.1"],
    ["postgres://u@db.example.com/x?sslmode=require", "postgres://u@127.70.0.1/x?sslmode=require"],
  ])("PGSSLMODE counts where the URL is silent: %s", (value, expected) => {
    const env = { X: value, PGSSLMODE: "verify-full" };
    expect(rewriteVariable("X", env, LEADS)?.env).toEqual({ X: expected });
  });

  test.each([
    [{ PGHOST: "db.example.com" }, { PGHOST: "127.70.0.1" }],
    [
      { PGHOST: "moved.example.com", PGPORT: "22" },
      { PGHOST: "127.70.0.3", PGPORT: "40000" },
    ],
    [{ PGHOST: "db.example.com", PGSSLMODE: "verify-full" }, { PGHOSTADDR: "127.70.0.1" }],
    [
      { PGHOST: "other.example.com,moved.example.com", PGPORT: "5433", PGSSLMODE: "verify-full" },
      { PGHOSTADDR: ",127.70.0.3", PGPORT: "5433,40000" },
    ],
  ])("%o", (env, expected) => {
    expect(rewriteVariable("PGHOST", env, LEADS)?.env).toEqual(expected);
  });
});

describe("mongodb+srv", () => {
  test("its hosts are written out and led", () => {
    expect(
      rewriteVariable("M", { M: "mongodb+srv://u:p%2Fw@c0.example.net/shop?w=majority" }, LEADS),
    ).toEqual({
      env: {
        M: "mongodb://u:p%2Fw@127.70.0.1:27017,s1.example.net:27018/shop?w=majority&authSource=admin&replicaSet=main&tls=true",
      },
      hidesName: true,
    });
  });

  test("its hosts are written out where names lead by themselves", () => {
    const leads = { ...LEADS, lead: () => undefined };
    expect(rewriteVariable("M", { M: "mongodb+srv://c0.example.net" }, leads)).toEqual({
      env: {
        M: "mongodb://db.example.com:27017,s1.example.net:27018/?authSource=admin&replicaSet=main&tls=true",
      },
      hidesName: false,
    });
  });

  const seeds = [
    { host: "a.example.net", port: 1 },
    { host: "b.example.net", port: 2 },
  ];
  test.each([
    ["mongodb+srv://c", "", "mongodb://a.example.net:1,b.example.net:2/?tls=true"],
    ["mongodb+srv://c/", "", "mongodb://a.example.net:1,b.example.net:2/?tls=true"],
    ["mongodb+srv://c/x?tls=false", "", "mongodb://a.example.net:1,b.example.net:2/x?tls=false"],
    ["mongodb+srv://c/x?SSL=true", "", "mongodb://a.example.net:1,b.example.net:2/x?SSL=true"],
    [
      "mongodb+srv://c?authsource=mine",
      "authSource=admin",
      "mongodb://a.example.net:1,b.example.net:2/?authsource=mine&tls=true",
    ],
    ["mongodb+srv://c/?srvMaxHosts=1", "", "mongodb://a.example.net:1/?tls=true"],
    [
      "mongodb+srv://c/?srvServiceName=mongodb",
      "loadBalanced=true",
      "mongodb://a.example.net:1,b.example.net:2/?loadBalanced=true&tls=true",
    ],
  ])("%s with %s", (text, options, expected) => {
    expect(seedListUrl(parseConnectionUrl(text)!, { seeds, options })).toBe(expected);
  });

  test.each([
    ["mongodb+srv://c/?srvServiceName=other", "", "srvServiceName can't be resolved"],
    ["mongodb+srv://c", "tlsInsecure=true", "sets tlsInsecure, which it may not"],
  ])("%s with %s is refused", (text, options, why) => {
    expect(() => seedListUrl(parseConnectionUrl(text)!, { seeds, options })).toThrow(why);
  });
});

test("variables that hold a destination's host are told by name", () => {
  const env = {
    A: "postgres://u:pw@db.example.com/x",
    B: "db.example.com:5432",
    C: "db.example.com",
    D: "mongodb://x,db.example.com/y",
    E: "see db.example.com",
    F: "postgres://db.example.com@h/x",
    G: undefined,
  };
  expect(variablesHolding(env, ["db.example.com"])).toEqual(["A", "B", "C", "D"]);
});
