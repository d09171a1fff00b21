import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { answerQuestions } from "../../support/conversation.ts";

/**
 * Runs by `startModule`, as Lambda's runtime runs a function: the module is loaded once, and its handler called for one event after
 * the other.
 */

type Handler = (event: unknown, context: unknown) => unknown;

const [taskRoot, name] = process.argv.slice(2) as [string, string];
const [module, exported] = name.split(".") as [string, string];
const url = pathToFileURL(join(taskRoot, `${module}.mjs`)).href;
const handler = ((await import(url)) as Readonly<Record<string, Handler>>)[exported]!;
let requests = 0;
answerQuestions((event: unknown) =>
  handler(event, { awsRequestId: `request-${++requests}`, functionName: "booking" }),
);
