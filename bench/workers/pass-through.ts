import { Hono } from "hono";

/** What a relay costs at the least that is written in a few lines: every request goes on as it came, and its answer comes back so. */
const app = new Hono<{ Bindings: { readonly TO: string } }>();

app.all("*", (c) => fetch(new Request(c.env.TO + c.req.path, c.req.raw)));

export default app;
