// node talk.js <client> <url> <options>: one conversation; prints its report.
import { converse } from "./conversation.js";

const [client, url, options] = process.argv.slice(2);
const { io } = await import(client);
console.log(JSON.stringify(await converse(io, url, JSON.parse(options))));
