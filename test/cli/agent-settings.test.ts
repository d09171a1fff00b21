import { describe, expect, test } from "vitest";
import { authorityOf, parseDestinations } from "../../cli/agent/destinations.ts";
import { UsageError } from "../../cli/command.ts";
import { readSettings, readVia, type SettingsFlags } from "../../cli/agent/settings.ts";

const PASSWORD = "s3cret/w:rd";

function read(
  flags: SettingsFlags,
  env: Record<string, string> = {},
  files: Record<string, string> = {},
): ReturnType<typeof readSettings> {
  const there = new Map(Object.entries(files).map(([name, text]) => [`/app/${name}`, text]));
  return readSettings(flags, { env, folder: "/app", readFile: (path) => there.get(path) });
}

function refusal(...args: Parameters<typeof read>): string {
  try {
    read(...args);
  } catch (error) {
    return (error as Error).message;
  }
  throw new Error("nothing was refused");
}

describe("a list of destinations", () => {
  test.each([
    ["db.example.com:5432", ["db.example.com:5432"], []],
    [" DB.Example.com:5432 , b:1,", ["db.example.com:5432", "b:1"], []],
    ["[2001:db8::1]:5432", ["[2001:db8::1]:5432"], []],
    ["postgres://u:pw@db.example.com/app", ["db.example.com:5432"], []],
    ["postgresql+psycopg2://u:p,w@db.example.com:6432/app", ["db.example.com:6432"], []],
    ["mysql2://u:p@h@db.example.com/app,b:1", ["db.example.com:3306", "b:1"], []],
    ["a:1,redis://:pw@cache.example.com", ["a:1", "cache.example.com:6379"], []],
    ["mongodb://u:pw@a.example.com,b.example.com:2/x?w=1", ["a.example.com:27017", "b.example.com:2"], []],
    ["jdbc:postgresql://a.example.com,b.example.com:2/x", ["a.example.com:5432", "b.example.com:2"], []],
    ["jdbc:sqlserver://a.example.com;databaseName=x", ["a.example.com:1433"], []],
    ["mongodb+srv://u:pw@c0.abc.example.net/x", [], ["c0.abc.example.net"]],
    ["tcp://db.example.com:7", ["db.example.com:7"], []],
  ])("%s", (list, destinations, services) => {
    const named = parseDestinations(list);
    expect(named.destinations.map(authorityOf)).toEqual(destinations);
    expect(named.services).toEqual(services);
  });

  test.each([
    ["db.example.com", "names no port"],
    ["db.example.com:0", "neither host:port nor a URL"],
    ["db.example.com:99999", "neither host:port nor a URL"],
    ["db_.exa mple:1", "neither host:port nor a URL"],
    ["db.example.com.:5432", "has a trailing dot"],
    ["0x7f.1:5432", "canonical form is 127.0.0.1"],
    ["tcp://db.example.com", "its scheme has none"],
    ["mongodb+srv://a,b/x", "names one host and no port"],
    ["postgres:///app", "names no host"],
  ])("%s is refused", (list, why) => {
    expect(() => parseDestinations(list)).toThrow(why);
  });

  test.each([`postgres://u:${PASSWORD}@db.example.com/app`, `u:${PASSWORD}@db`, `x://u:${PASSWORD}@h`])(
    "a refusal of %s never shows the password",
    (list) => {
      try {
        parseDestinations(list);
      } catch (error) {
        expect((error as Error).message).not.toContain("s3cret");
        return;
      }
      throw new Error("not refused");
    },
  );
});

describe("precedence", () => {
  const toml = `
    hosts = ["toml.example.com"]
    env = ["DATABASE_URL"]
    names = "env"
    [[destinations]]
    host = "toml.example.com"
    port = 4
    listen = { address = "127.0.0.9", port = 14 }
    env = ["PGHOST"]
    [[destinations]]
    srv = "c0.example.net"`;
  const qgtunnel = `[QGTUNNEL.1]\naccept = "file.example.com:6"\nconnect = "file.example.com:6"\ntransparent = true`;
  const env = { HOLDFAST_DESTINATIONS: "env.example.com:3", QGTUNNEL_DESTINATIONS: "qg.example.com:5" };
  const files = { "holdfast.toml": toml, ".qgtunnel": qgtunnel };

  test.each([
    ["flags", { to: ["flag.example.com:1", "b:2"] }, env, files, ["flag.example.com:1", "b:2"]],
    ["HOLDFAST_DESTINATIONS", {}, env, files, ["env.example.com:3"]],
    ["holdfast.toml", {}, { ...env, HOLDFAST_DESTINATIONS: "" }, files, ["toml.example.com:4"]],
    [
      "QGTUNNEL_DESTINATIONS",
      {},
      { QGTUNNEL_DESTINATIONS: "qg.example.com:5" },
      { ".qgtunnel": qgtunnel },
      ["qg.example.com:5"],
    ],
    [".qgtunnel", {}, {}, { ".qgtunnel": qgtunnel }, ["file.example.com:6"]],
    ["nothing", {}, {}, {}, []],
  ] as [string, SettingsFlags, Record<string, string>, Record<string, string>, string[]][])(
    "%s",
    (_, flags, variables, there, expected) => {
      expect(read(flags, variables, there).destinations.map(authorityOf)).toEqual(expected);
    },
  );

  test("holdfast.toml says all that can be said", () => {
    expect(read({}, {}, files)).toEqual({
      destinations: [
        { host: "toml.example.com", port: 4, named: true, listen: { address: "127.0.0.9", port: 14 } },
      ],
      services: ["c0.example.net"],
      hosts: ["toml.example.com"],
      env: ["DATABASE_URL", "PGHOST"],
      names: "env",
      via: "edge",
      ahead: true,
      notes: [],
    });
  });

  test.each([
    [{ via: "direct" }, { HOLDFAST_VIA: "edge" }, 'via = "edge"', "direct"],
    [{}, { HOLDFAST_VIA: "direct" }, 'via = "edge"', "direct"],
    [{}, { HOLDFAST_VIA: " " }, 'via = "direct"', "direct"],
    [{}, {}, 'via = "direct"', "direct"],
    [{}, {}, "", "edge"],
  ] as const)("the way to the nodes with %o, %o and %j is %4$s", (flags, variables, text, expected) => {
    expect(read(flags, variables, { "holdfast.toml": text }).via).toBe(expected);
    expect(readVia(flags, { env: variables, folder: "/app", readFile: () => text })).toBe(expected);
  });

  test("paths are opened ahead unless holdfast.toml says no", () => {
    const ahead = (text: string) => read({}, {}, { "holdfast.toml": text }).ahead;
    expect([ahead(""), ahead("ahead = true"), ahead("ahead = false")]).toEqual([true, true, false]);
    expect(() => ahead('ahead = "no"')).toThrow("holdfast.toml: ahead:");
  });

  test.each([
    [{ via: "detour" }, {}, "", "--via detour is none of edge, direct"],
    [{}, { HOLDFAST_VIA: "Direct" }, "", "HOLDFAST_VIA Direct is none of edge, direct"],
    [{}, {}, 'via = "x"', "holdfast.toml: via:"],
  ] as const)("another way is refused with %o, %o and %j", (flags, variables, text, why) => {
    expect(refusal(flags, variables, { "holdfast.toml": text })).toContain(why);
    const sources = { env: variables, folder: "/app", readFile: () => text };
    expect(() => readVia(flags, sources)).toThrow(why);
    expect(() => readVia(flags, sources)).toThrow(UsageError);
  });

  test("hosts, variables and the way are taken from the flags and variables before it", () => {
    const settings = read(
      { env: ["A,B"], names: "nss" },
      { HOLDFAST_HOSTS: "a.example.com, *.b.example.com" },
      files,
    );
    expect(settings).toMatchObject({
      hosts: ["a.example.com", "*.b.example.com"],
      env: ["A", "B"],
      names: "nss",
    });
  });

  test("--config and HOLDFAST_CONFIG name the file", () => {
    const other = { "/etc/x.toml": `hosts = ["x.example.com"]` };
    const sources = { folder: "/app", readFile: (path: string) => other[path as keyof typeof other] };
    expect(readSettings({ config: "/etc/x.toml" }, { ...sources, env: {} }).hosts).toEqual(["x.example.com"]);
    expect(readSettings({}, { ...sources, env: { HOLDFAST_CONFIG: "/etc/x.toml" } }).hosts).toEqual([
      "x.example.com",
    ]);
    expect(refusal({ config: "/none" })).toContain("/none does not exist");
  });
});

describe("what is refused", () => {
  test("all problems come at once", () => {
    const toml = `
      url = "x"
      names = "dns"
      [[destinations]]
      host = "a"
      port = "5432"
      hots = 1
      listen = { address = "0.0.0.0" }`;
    const message = refusal(
      { to: ["nowhere"], env: ["A=b"], names: "magic" },
      { HOLDFAST_HOSTS: "https://x" },
      {
        "holdfast.toml": toml,
      },
    );
    for (const part of [
      'Unrecognized key: "url"',
      "holdfast.toml: names:",
      "holdfast.toml: destinations.0.port:",
      "holdfast.toml: destinations.0.listen.address: must lie in 127.0.0.0/8",
      'Unrecognized key: "hots"',
      '--to: "nowhere" names no port',
      "--names magic",
      "--env takes names",
      'hosts entry "https://x"',
    ]) {
      expect(message).toContain(part);
    }
  });

  test.each([
    [`[[destinations]]\nhost = "a"`, "needs host and port, or srv alone"],
    [`[[destinations]]\nsrv = "a"\nport = 1`, "needs host and port, or srv alone"],
    [`[[destinations]]\nhost = "A_."\nport = 1`, "trailing dot"],
    [`env = ["A-B"]`, "no name of an environment variable"],
    [`= 1`, "holdfast.toml is no TOML"],
  ])("holdfast.toml with %s", (toml, why) => {
    expect(refusal({}, {}, { "holdfast.toml": toml })).toContain(why);
  });

  test("a value in the place of a variable's name is not shown", () => {
    expect(refusal({ env: [`postgres://u:${PASSWORD}@h/x`] })).not.toContain("s3cret");
  });
});

describe(".qgtunnel", () => {
  test.each([
    [`accept = "127.0.0.1:5432"`, { named: false, listen: { address: "127.0.0.1", port: 5432 } }],
    [`accept = "localhost:15432"`, { named: false, listen: { address: "127.0.0.1", port: 15432 } }],
    [`accept = "15432"`, { named: false, listen: { address: "127.0.0.1", port: 15432 } }],
    [`accept = 15432`, { named: false, listen: { address: "127.0.0.1", port: 15432 } }],
    [`accept = ":5432"\ntransparent = true`, { named: true, listen: { port: 5432 } }],
    [
      `accept = "127.0.0.1:5432"\ntransparent = true`,
      { named: true, listen: { address: "127.0.0.1", port: 5432 } },
    ],
    [`accept = "db.example.com:3306"\ntransparent = true`, { named: true }],
    [`accept = "db.example.com:3307"`, { named: true, listen: { port: 3307 } }],
    [`client = true`, { named: true }],
  ])("%s", (lines, expected) => {
    const settings = read({}, {}, { ".qgtunnel": `[QGTUNNEL.1]\nconnect = "db.example.com:3306"\n${lines}` });
    expect(settings.destinations).toEqual([{ host: "db.example.com", port: 3306, ...expected }]);
    expect(settings.notes).toEqual([]);
  });

  test("tables of any name are tunnels, and what is ignored is told", () => {
    const settings = read(
      {},
      {},
      {
        ".qgtunnel": `
        [postgres]
        connect = "a.example.com:1"
        encrypted = true
        [QGTUNNEL.two]
        connect = "b.example.com:2"
        cert = "x"`,
      },
    );
    expect(settings.destinations.map(authorityOf)).toEqual(["a.example.com:1", "b.example.com:2"]);
    expect(settings.notes).toEqual([
      ".qgtunnel: [postgres] encrypted is ignored: what is between here and the relay is always encrypted",
      ".qgtunnel: [QGTUNNEL.two] cert is ignored",
    ]);
  });

  test.each([
    [`connect = "x"`, "connect is not host:port"],
    [`connect = "a.example.com:1"\naccept = "0.0.0.0:1"`, "accept must be a loopback address"],
    [`connect = "a.example.com:1"\naccept = "b.example.com:1"`, "accept must be a loopback address"],
    [`connect = "a.example.com:1"\naccept = true`, "accept is neither"],
    [`connect = `, "is no TOML"],
  ])("%s is refused", (lines, why) => {
    expect(refusal({}, {}, { ".qgtunnel": `[QGTUNNEL.1]\n${lines}` })).toContain(why);
  });
});
