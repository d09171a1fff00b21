/** A process's environment, as far as it may be read. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** As much of `process` as is used, where there is one. */
type MaybeProcess = Pick<NodeJS.Process, "env" | "getBuiltinModule"> | undefined;

/** The environment of this process; nothing where the runtime has none, or keeps it from this program. */
export function environment(): Environment {
  try {
    return { ...ownProcess()?.env };
  } catch {
    // Deno asks for a permission.
    return {};
  }
}

/** Node's `fs`, where the runtime has it: looked up at run time, since bundles for other runtimes can't import it. */
export function nodeFs() {
  return ownProcess()?.getBuiltinModule?.("node:fs");
}

/** Node's `http`, likewise. */
export function nodeHttp() {
  return ownProcess()?.getBuiltinModule?.("node:http");
}

/** Node's `crypto`, in Node itself alone: what others have by that name is no sooner than their WebCrypto. */
export function nodeCrypto() {
  const { navigator } = globalThis as { readonly navigator?: { readonly userAgent?: string } };
  if (navigator?.userAgent?.startsWith("Node.js/") !== true) return undefined;
  return ownProcess()?.getBuiltinModule?.("node:crypto");
}

/** The variable's value, unless it is empty: an empty one is as good as none. */
export function valueOf(env: Environment, name: string): string | undefined {
  const value = env[name]?.trim();
  return value === "" ? undefined : value;
}

/** The first of these variables that is set. */
export function firstSet(env: Environment, names: readonly string[]): string | undefined {
  return names.find((name) => valueOf(env, name) !== undefined);
}

function ownProcess(): MaybeProcess {
  return (globalThis as { readonly process?: MaybeProcess }).process;
}
