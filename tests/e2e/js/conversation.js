// What one client does with the service of journal_app.py. Node and a page run the same; returns what came of it.

const LIMIT = 20000;

function once(socket, event) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${event}`)), LIMIT);
    socket.once(event, (...data) => {
      clearTimeout(timer);
      resolve(data);
    });
  });
}

function call(socket, event, ...data) {
  return new Promise((resolve, reject) => {
    socket.timeout(LIMIT).emit(event, ...data, (error, ...answers) => {
      if (error) reject(new Error(`${event}: ${error}`));
      else resolve(answers.length > 1 ? answers : answers[0]);
    });
  });
}

// Binary values differ between Node, a page and the transports: written out, they are the same.
function plain(value) {
  if (value instanceof ArrayBuffer) return { bytes: Array.from(new Uint8Array(value)) };
  if (ArrayBuffer.isView(value)) return { bytes: Array.from(new Uint8Array(value.buffer, value.byteOffset, value.byteLength)) };
  if (Array.isArray(value)) return value.map(plain);
  if (value !== null && typeof value === "object") {
    return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, plain(inner)]));
  }
  return value;
}

function same(left, right) {
  return JSON.stringify(plain(left)) === JSON.stringify(plain(right));
}

async function upgraded(socket, transport) {
  const engine = socket.io.engine;
  while (engine.transport.name !== transport) {
    await once(engine, "upgrade");
  }
}

export async function converse(io, url, options) {
  const opened = [];
  const open = (namespace, more) => {
    const socket = io(url + namespace, { ...options, forceNew: true, reconnection: false, ...more });
    opened.push(socket);
    return socket;
  };
  try {
    return await conversation(open, options.transports[options.transports.length - 1]);
  } finally {
    opened.forEach((socket) => socket.disconnect());
  }
}

async function conversation(open, transport) {
  const report = {};

  const [refusal] = await once(open("/", { auth: { token: "wrong" } }), "connect_error");
  report.refused = [refusal.message, refusal.data];

  const socket = open("/", { auth: { token: "right", nested: [1, { deep: true }] } });
  const [here] = await once(socket, "here");
  report.auth = here.auth;
  await upgraded(socket, transport);
  report.transport = socket.io.engine.transport.name;

  // Acknowledgements of the server, with every kind of value.
  const bytes = new Uint8Array([0, 1, 127, 128, 255]);
  const values = ["", "héllo \u{1f600}", 0, -1.5, false, [], [null], [1, [2, [3]]], { a: { b: [null] } }, bytes, { list: [bytes, { again: bytes }] }];
  report.echoed = [];
  for (const value of values) {
    report.echoed.push(same(await call(socket, "echo", value), value) || plain(value));
  }
  report.several = plain(await call(socket, "echo", 1, bytes, "three"));

  // Events back, and acknowledgements of the client: by callback and by call().
  socket.on("question", (question, answer) => answer(question, "and", bytes));
  report.asked = plain(await call(socket, "ask", { about: bytes }));

  // Sizes at which something may have a limit.
  report.large = [];
  for (const size of [125, 126, 65535, 65536, 1500000]) {
    report.large.push(same(await call(socket, "echo", "x".repeat(size)), "x".repeat(size)));
    report.large.push(same(await call(socket, "echo", new Uint8Array(size).fill(7)), new Uint8Array(size).fill(7)));
  }

  // Modifiers that the client has.
  const said = [];
  socket.on("said", (data) => said.push(data));
  socket.compress(true).emit("say", "compressed".repeat(1000));
  socket.compress(false).emit("say", "not compressed");
  await call(socket, "echo", "settled");
  while (!socket.io.engine.transport.writable) await once(socket.io.engine, "drain");
  socket.volatile.emit("say", "volatile");
  await call(socket, "echo", "settled");
  report.modified = said.map((text) => text.slice(0, 14)).sort();

  // Rooms: those who are in hear it, and not who speaks.
  const other = open("/");
  await once(other, "here");
  await upgraded(other, transport);
  const told = { mine: [], other: [] };
  socket.on("told", (data) => told.mine.push(plain(data)));
  other.on("told", (data) => told.other.push(plain(data)));
  await call(socket, "enter", "room");
  await call(other, "enter", "room");
  await call(socket, "tell", "room", "to the other");
  await call(other, "tell", "room", bytes);
  await call(socket, "leave", "room");
  await call(other, "tell", "room", "to nobody");
  await call(socket, "enter", "room");
  await call(other, "close", "room");
  await call(other, "tell", "room", "to nobody");
  await call(socket, "echo", "settled");
  report.told = told;

  // Namespaces share a connection; one that is left leaves the others alone.
  const chat = socket.io.socket("/chat", { auth: { name: "Ada" } });
  await once(chat, "connect");
  report.whoami = await call(chat, "whoami");
  const shouted = once(chat, "shouted");
  chat.emit("shout", [bytes]);
  report.shouted = plain((await shouted)[0]);
  const closed = once(chat, "disconnect");
  chat.disconnect();
  report.chat = (await closed)[0];
  report.after = await call(socket, "echo", "still here");
  const [unknown] = await once(socket.io.socket("/unknown"), "connect_error");
  report.unknown = unknown instanceof Error;

  // Both sides may leave.
  const dismissed = once(other, "disconnect");
  other.emit("dismiss");
  report.dismissed = (await dismissed)[0];
  const left = once(socket, "disconnect");
  socket.disconnect();
  report.left = (await left)[0];
  return report;
}
