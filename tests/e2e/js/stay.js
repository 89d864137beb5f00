// node stay.js <client> <url> <options>: a client that stays until its standard input ends, and comes back.
// Prints a line for each connect, disconnect and event.
import { createInterface } from "node:readline";

const [client, url, options] = process.argv.slice(2);
const { io } = await import(client);
const say = (...words) => console.log(JSON.stringify(words));

const socket = io(url, { reconnectionDelay: 50, reconnectionDelayMax: 200, ...JSON.parse(options) });
socket.on("here", ({ pid }) => say("here", pid));
socket.on("tick", (number) => say("tick", number));
socket.on("disconnect", (reason) => say("disconnect", reason));
createInterface({ input: process.stdin }).on("close", () => socket.disconnect());
