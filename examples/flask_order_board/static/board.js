// What the page shows, and the requests that it makes. How it hears of orders is its own: it gives `start` a function that connects.

const STATUSES = ["placed", "preparing", "ready", "collected"];
const TITLES = { placed: "Placed", preparing: "Preparing", ready: "Ready" };
const NEXT = { placed: "Start preparing", preparing: "It is ready", ready: "Collected" };

const PAGE = `
  <header>
    <h1>Order board</h1>
    <p id="state" role="status"></p>
    <ul id="here" aria-label="Who is here"></ul>
  </header>
  <form id="sign-in" hidden>
    <h2>Who are you?</h2>
    <p>Any name will do. Open the page in a second tab and be somebody else there.</p>
    <input name="name" aria-label="Your name" placeholder="Your name" maxlength="20" autocomplete="off" required>
    <button>Sign in</button>
  </form>
  <main hidden>
    <form id="place">
      <input name="item" aria-label="What would you like?" placeholder="What would you like?" maxlength="60" autocomplete="off" required>
      <button>Place order</button>
    </form>
    <div id="columns"></div>
  </main>
  <ul id="notices" aria-live="polite"></ul>`;

function element(name, properties = {}, ...children) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

const rank = (order) => STATUSES.indexOf(order.status);
const hue = (name) => [...name].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);

function badge(name) {
  const made = element("span", { className: "badge", textContent: [...name][0].toUpperCase() });
  made.style.setProperty("--hue", hue(name));
  return made;
}

class Board {
  #orders = new Map();
  #stale = new Set();
  #columns = {};

  constructor() {
    document.body.innerHTML = PAGE;
    for (const [status, title] of Object.entries(TITLES)) {
      const [count, list] = [element("span", { className: "count" }), element("ol")];
      this.#columns[status] = { count, list };
      document.querySelector("#columns").append(element("section", { className: status }, element("h2", {}, title, count), list));
    }
    document.querySelector("#sign-in").onsubmit = (event) => this.#signIn(event);
    document.querySelector("#place").onsubmit = (event) => this.#place(event);
    this.#draw();
  }

  // -- what the page hears ----------------------------------------------------------------------------------
  connected = (is) => {
    const state = document.querySelector("#state");
    state.className = is ? "live" : "lost";
    state.textContent = is ? "live" : "connecting …";
    if (!is) this.#stale = new Set(this.#orders.keys());
  };

  // All there are: what was here before the connection was lost, and is not among them, is gone.
  showAll = (orders) => {
    orders.forEach((order) => this.#keep(order));
    this.#stale.forEach((id) => this.#orders.delete(id));
    this.#stale.clear();
    this.#draw();
  };

  show = (order) => {
    this.#keep(order);
    this.#draw();
  };

  showHere = (names) => {
    document.querySelector("#here").replaceChildren(...names.map((name) => element("li", {}, badge(name), name === this.name ? `${name} (you)` : name)));
  };

  notice = (text, kind = "good") => {
    const shown = element("li", { className: kind, textContent: text });
    document.querySelector("#notices").append(shown);
    setTimeout(() => shown.remove(), 6000);
  };

  // -- orders -----------------------------------------------------------------------------------------------
  // Orders only move forward: an older word about one, which took a longer way, changes nothing.
  #keep(order) {
    const known = this.#orders.get(order.id);
    if (!known || rank(order) >= rank(known)) this.#orders.set(order.id, order);
    this.#stale.delete(order.id);
  }

  #draw() {
    for (const [status, { count, list }] of Object.entries(this.#columns)) {
      const orders = [...this.#orders.values()].filter((order) => order.status === status).sort((a, b) => a.id - b.id);
      count.textContent = orders.length;
      list.replaceChildren(...orders.map((order) => this.#card(order)));
      if (!orders.length) list.append(element("li", { className: "none", textContent: "nothing here" }));
    }
  }

  #card(order) {
    const button = element("button", { textContent: NEXT[order.status] });
    button.onclick = () => this.#post(`/orders/${order.id}/status`, { status: STATUSES[rank(order) + 1] });
    const owner = element("span", { className: "owner" }, badge(order.owner), order.owner === this.name ? "you" : order.owner);
    const head = element("p", { className: "head" }, element("span", { textContent: `#${order.id}` }), owner);
    const card = element("li", { className: "card" }, head, element("p", { className: "item", textContent: order.item }), button);
    card.classList.toggle("own", order.owner === this.name);
    card.dataset.order = order.id;
    return card;
  }

  async #place(event) {
    event.preventDefault();
    const form = event.target;
    if (await this.#post("/orders", { item: form.item.value })) form.reset();
  }

  // -- who --------------------------------------------------------------------------------------------------
  async #signIn(event) {
    event.preventDefault();
    const signed = await this.#post("/sign-in", { name: event.target.name.value });
    if (!signed) return;
    sessionStorage.setItem("signed", JSON.stringify(signed)); // of this tab: another one may be somebody else's
    this.open(signed);
  }

  signOut = () => {
    sessionStorage.removeItem("signed");
    location.reload();
  };

  // Answered with null if nobody answers.
  request = async (path, body = {}) => {
    const headers = { "Content-Type": "application/json", ...(this.token && { Authorization: `Bearer ${this.token}` }) };
    const answer = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) }).catch(() => null);
    if (answer?.status === 401) this.signOut();
    return answer;
  };

  async #post(path, body) {
    const answer = await this.request(path, body);
    if (answer?.ok) return answer.json();
    this.notice(answer ? "Somebody was quicker, or it is not possible" : "The server does not answer", "bad");
    return null;
  }

  open(signed) {
    Object.assign(this, signed);
    document.querySelector("#sign-in").hidden = Boolean(signed);
    document.querySelector("main").hidden = !signed;
    if (!signed) return;
    this.connected(false);
    this.connect(signed.token, this);
  }
}

export function start(connect) {
  const board = new Board();
  board.connect = connect;
  board.open(JSON.parse(sessionStorage.getItem("signed")));
}
