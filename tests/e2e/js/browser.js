// node browser.js <executable> <profile>: a browser without a window, which does what lines on standard input say.
// Each is answered with a line: {"result": …} or {"error": …}.
import { createInterface } from "node:readline";
import { chromium } from "playwright-core";

const [executablePath, profile] = process.argv.slice(2);
const quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const viewport = { width: 1180, height: 720 };
const context = await chromium.launchPersistentContext(profile, { executablePath, headless: true, viewport, args: ["--no-sandbox", ...quiet] });
let page = context.pages()[0];
const complaints = []; // of pages: errors on the console, and exceptions that nobody caught
context.on("console", (message) => message.type() === "error" && complaints.push(message.text()));
context.on("weberror", (error) => complaints.push(String(error.error())));

const commands = {
  open: async (url) => {
    page = await context.newPage();
    await page.goto(url);
    await page.waitForFunction("window.ready");
  },
  // A page that does not say when it is ready.
  visit: (url) => page.goto(url).then(() => null),
  fill: ([selector, text]) => page.fill(selector, text),
  click: (selector) => page.click(selector),
  wait: (expression) => page.waitForFunction(expression).then(() => null),
  resize: ([width, height]) => page.setViewportSize({ width, height }),
  screenshot: (path) => page.screenshot({ path }).then(() => null),
  complaints: () => complaints,
  evaluate: (expression) => page.evaluate(expression),
  reload: async () => {
    await page.reload();
    await page.waitForFunction("window.ready");
  },
  close: () => page.close(),
  // The renderer dies, and can say nothing to anybody.
  crash: async () => {
    const session = await context.newCDPSession(page);
    const crashed = new Promise((resolve) => page.once("crash", resolve));
    session.send("Page.crash").catch(() => {});
    await crashed;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const [name, argument] = JSON.parse(line);
  let answer;
  try {
    answer = { result: (await commands[name](argument)) ?? null };
  } catch (error) {
    answer = { error: String(error) };
  }
  console.log(JSON.stringify(answer));
}
await context.close();
