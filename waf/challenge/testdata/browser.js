// Plays a browser for the script of a page: browser.js page.html scheme
// behaviour. Prints what became of it as JSON.
"use strict";
const fs = require("fs");
const vm = require("vm");
const [, , file, scheme, behaviour] = process.argv;
const html = fs.readFileSync(file, "utf8");
const script = html.match(/<script>([^]*)<\/script>/)[1];
const attributes = {};
for (const m of html.match(/<main [^>]*>/)[0].matchAll(/([a-z-]+)="([^"]*)"/g)) {
  attributes[m[1]] = m[2];
}

const visit = { Cookies: [], Reloads: 0, Status: "", Again: false, Working: false };
const elements = {
  challenge: { getAttribute: (name) => attributes[name] },
  working: { hidden: true },
  again: { hidden: true },
  status: { textContent: "" },
};
const jar = ["other=1"];
const document = {
  hidden: false,
  getElementById: (id) => elements[id],
  get cookie() { return jar.join("; "); },
  set cookie(text) {
    visit.Cookies.push(text);
    if (behaviour !== "cookies dropped") jar.push(text.split(";")[0]);
  },
};

let clock = 0; // what "slow" adds to each look at the time
class SlowDate extends Date { getTime() { clock += 1000; return super.getTime() + clock; } }

const storage = new Map();
if (behaviour === "seen often") {
  const now = Date.now();
  storage.set(attributes["data-cookie"], [now - 40000, now - 30000, now - 20000, now - 10000].join(","));
}
const window = {
  get sessionStorage() {
    if (behaviour === "no storage") throw new Error("SecurityError");
    return { getItem: (k) => (storage.has(k) ? storage.get(k) : null), setItem: (k, v) => void storage.set(k, String(v)) };
  },
};

vm.runInNewContext(script, {
  document, window, setTimeout,
  navigator: { cookieEnabled: behaviour !== "cookies off" },
  location: { protocol: scheme + ":", reload: () => { visit.Reloads++; } },
  Date: behaviour === "slow" ? SlowDate : Date,
});

process.on("exit", () => {
  visit.Status = elements.status.textContent;
  visit.Again = !elements.again.hidden;
  visit.Working = !elements.working.hidden;
  process.stdout.write(JSON.stringify(visit));
});
