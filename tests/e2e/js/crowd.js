// node crowd.js <url> <count> <transports as JSON> <echoes> <seconds>: that many clients at once, each of which says something, waits
// for its echo, and so on; and one of them tells everybody. One line of JSON: what each of them was, and what went wrong.
import { io } from "socket.io-client";

const [url, count, transports, echoes, seconds] = process.argv.slice(2);
const LIMIT = Number(seconds) * 1000;
const errors = {};
const workers = {};
let echoed = 0;
let told = 0;

function fail(what) {
  errors[what] = (errors[what] ?? 0) + 1;
}

async function one() {
  const socket = io(url, { transports: JSON.parse(transports), forceNew: true, reconnection: false, timeout: LIMIT });
  socket.on("told", () => (told += 1));
  socket.on("disconnect", (reason) => reason !== "io client disconnect" && fail(`disconnect: ${reason}`));
  await new Promise((resolve, reject) => {
    socket.on("connect", resolve);
    socket.on("connect_error", (error) => reject(new Error(`${error.message} ${error.context?.status ?? ""}`)));
  });
  const worker = await socket.timeout(LIMIT).emitWithAck("where");
  workers[worker] = (workers[worker] ?? 0) + 1;
  for (let number = 0; number < Number(echoes); number += 1) {
    const answer = await socket.timeout(LIMIT).emitWithAck("echo", number);
    if (answer === number) echoed += 1;
    else fail(`echo: ${answer}`);
  }
  return socket;
}

const sockets = await Promise.all(
  Array.from({ length: Number(count) }, () => one().catch((error) => (fail(error.message.trim()), null))),
);
const there = sockets.filter(Boolean);
if (there.length) await there[0].timeout(LIMIT).emitWithAck("tell");
for (let waited = 0; told < there.length && waited < LIMIT; waited += 50) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
console.log(JSON.stringify({ connected: there.length, echoed, told, workers, errors }));
there.forEach((socket) => socket.disconnect());
setTimeout(() => process.exit(0), 200);
