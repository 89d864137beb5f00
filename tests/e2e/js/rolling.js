// node rolling.js <url> <count> <milliseconds between two words of a client> <milliseconds between two ticks>: clients that go on
// talking while their workers are replaced. Lines on stdin: the name of a phase, which begins; the last one is "end".
// Lines of JSON on stdout: who is connected; then, per phase, how long answers took, and what went wrong.
import { createInterface } from "node:readline";
import { io } from "socket.io-client";

const [url, count, pause, beat] = process.argv.slice(2);
const WAIT = 30_000;
const errors = {};
const phases = {};
let phase = "calm";
let ended = false;

function fail(what) {
  errors[what] = (errors[what] ?? 0) + 1;
}

function took(since) {
  (phases[phase] ??= []).push(performance.now() - since);
}

// Numbers that are to come one by one.
function inOrder(name, next = null) {
  return (number) => {
    if (next !== null && number !== next) fail(`${name}: ${number < next ? "again or late" : "lost"}`);
    next = number + 1;
  };
}

async function client(number) {
  const socket = io(url, { transports: ["websocket"], forceNew: true, reconnection: false, timeout: WAIT });
  const state = { socket, sent: 0, said: 0, acknowledged: 0, asked: 0 };
  socket.on("disconnect", (reason) => reason !== "io client disconnect" && fail(`disconnect: ${reason}`));
  await new Promise((resolve, reject) => {
    socket.on("connect", resolve);
    socket.on("connect_error", reject);
  });
  await socket.timeout(WAIT).emitWithAck("enter", `room ${number % 7}`, `name ${number}`);
  const sid = socket.id;
  const since = new Map();
  const check = inOrder("said", 0);
  socket.on("said", (word, name, id) => {
    state.said += 1;
    check(word);
    if (name !== `name ${number}` || id !== sid) fail("somebody else");
    took(since.get(word));
    since.delete(word);
  });
  socket.on("tick", inOrder("tick"));
  socket.on("room", inOrder("room"));
  socket.on("question", (word, answer) => answer(word));
  state.speak = () => {
    since.set(state.sent, performance.now());
    socket.emit("say", state.sent);
    state.sent += 1;
    if (state.sent % 4 === 0) {
      state.asked += 1;
      const asked = performance.now();
      const attached = Buffer.from(`${state.sent}`);
      socket.timeout(WAIT).emitWithAck("echo", attached).then(
        (answer) => {
          state.acknowledged += 1;
          if (attached.compare(answer)) fail("another echo");
          took(asked);
        },
        () => fail("no acknowledgement"),
      );
    }
  };
  return state;
}

const clients = [];
for (let first = 0; first < Number(count); first += 50) {
  const group = Array.from({ length: Math.min(50, Number(count) - first) }, (_, index) => client(first + index));
  clients.push(...(await Promise.all(group)));
}
console.log(JSON.stringify({ connected: clients.length }));

for (const state of clients) {
  setTimeout(() => {
    const timer = setInterval(() => (ended ? clearInterval(timer) : state.speak()), Number(pause));
  }, Math.random() * Number(pause));
}
let tick = 0;
const ticking = setInterval(() => {
  clients[0].socket.emit("tick", tick);
  tick += 1;
}, Number(beat));

for await (const line of createInterface({ input: process.stdin })) {
  if (line === "end") break;
  phase = line;
}
ended = true;
clearInterval(ticking);
const isOpen = (state) => state.said < state.sent || state.acknowledged < state.asked;
for (let waited = 0; clients.some(isOpen) && waited < 10_000; waited += 50) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
for (const state of clients) {
  if (state.said < state.sent) fail("said: nothing came");
  if (!state.socket.connected) fail("gone");
}
const at = (times, part) => times[Math.min(times.length - 1, Math.floor(times.length * part))];
const report = Object.fromEntries(
  Object.entries(phases).map(([name, times]) => {
    times.sort((one, other) => one - other);
    return [name, { count: times.length, p50: at(times, 0.5), p99: at(times, 0.99), most: at(times, 1) }];
  }),
);
console.log(JSON.stringify({ phases: report, errors, ticks: tick }));
process.exit(0);
