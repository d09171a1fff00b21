import { readdirSync } from "node:fs";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";

/** Opens the registry's own database, while its edge is down. */
export function openRegistry(storage: string): DatabaseSync {
  const files = readdirSync(storage, { recursive: true, encoding: "utf8" }).filter((name) =>
    name.endsWith(".sqlite"),
  );
  for (const file of files) {
    const database = new DatabaseSync(join(storage, file));
    const found = database.prepare("SELECT 1 FROM sqlite_master WHERE name = 'clients'").get();
    if (found !== undefined) return database;
    database.close();
  }
  throw new Error(`no registry below ${storage}, which holds ${files.join(", ") || "no database"}`);
}
