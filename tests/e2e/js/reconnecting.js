// node reconnecting.js <url> <count> <milliseconds of the reconnection delay>: clients that come back when their worker is killed.
// Ends with its stdin. One line of JSON when all are connected; then one: of each disconnection, whose worker it was and how
// many milliseconds later the client was back, what else went wrong, and how many are connected at last.
import { io } from "socket.io-client";

const [url, count, delay] = process.argv.slice(2);
const errors = {};
const losses = [];

function fail(what) {
  errors[what] = (errors[what] ?? 0) + 1;
}

function client() {
  const socket = io(url, {
    transports: ["websocket"], forceNew: true, reconnectionDelay: Number(delay), reconnectionDelayMax: Number(delay),
    timeout: 20_000,
  });
  const state = { socket, pid: null, next: 0 };
  let lost = null;
  socket.on("connect", async () => {
    if (lost) {
      losses.push({ pid: lost.pid, back: performance.now() - lost.at, tries: lost.tries });
      lost = null;
    }
    state.pid = null;
    state.pid = await socket.timeout(20_000).emitWithAck("pid").catch(() => null);
  });
  socket.on("disconnect", (reason) => {
    if (reason === "io client disconnect") return;
    lost = { pid: state.pid, at: performance.now(), tries: [] };
  });
  socket.on("connect_error", (error) => lost?.tries.push([Math.round(performance.now() - lost.at), error.message]));
  return state;
}

const clients = Array.from({ length: Number(count) }, client);
const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 20));
};
await until(() => clients.every((state) => state.pid !== null));
console.log(JSON.stringify({ connected: clients.length }));

const talking = setInterval(async () => {
  for (const { socket, pid } of clients.filter((state) => state.socket.connected && state.pid !== null)) {
    const word = `${socket.id} ${Math.random()}`;
    socket.timeout(20_000).emitWithAck("echo", word).then(
      (answer) => answer === word || fail("another echo"),
      () => socket.connected && socket.id === word.split(" ")[0] && fail(`no answer of ${pid}`),
    );
  }
}, 200);

process.stdin.resume();
await new Promise((resolve) => process.stdin.on("end", resolve));
clearInterval(talking);
const there = clients.filter((state) => state.socket.connected).length;
process.stdout.write(JSON.stringify({ losses, errors, there }), () => process.exit(0));
